"""`workbench export`: a run's model or its metrics in a form that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from workbench.cli.output import emit, example, json_option, pass_home
from workbench.errors import UserError
from workbench.home import Home

_ENDINGS = {"hf": "", "gguf": ".gguf", "csv": ".csv", "tensorboard": "-tensorboard"}


@click.command(
    "export",
    epilog=example(
        "workbench export last --to hf -o travel-agent",
        "workbench export last --to gguf -o travel.gguf",
        "workbench export last --to csv -o metrics.csv",
    ),
)
@click.argument("run")
@click.option("--to", "form", type=click.Choice(list(_ENDINGS)), default="hf", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write it (else the run's name).")
@click.option(
    "--kind", type=click.Choice(["q8_0", "f16"]), default="q8_0", show_default=True, help="Of a GGUF file's weights."
)
@click.option("--no-verify", is_flag=True, help="Do not generate with the GGUF file to check it (saves a minute).")
@json_option
@pass_home
def command(home: Home, run: str, form: str, output: Path | None, kind: Any, no_verify: bool, as_json: bool) -> None:
    """Write RUN's best model as a Hugging Face folder or a GGUF file, or its metrics as CSV or TensorBoard files.

    A GGUF file (Llama, Qwen2, Qwen3) is loaded again and made to generate: it must agree with the model.
    """
    from workbench.training import export, metrics_file
    from workbench.training.launch import find_run

    row = find_run(home, run)
    target = (output or Path(row.name.replace("/", "-") + _ENDINGS[form])).absolute()
    if target.exists():
        raise UserError(f"{target} exists already: choose another --output or remove it")
    data: dict[str, Any] = {"run": row.id, "form": form, "path": str(target)}
    if form == "hf":
        export.export_hf(home, row.id, target)
    elif form == "gguf":
        checked = export.export_gguf(home, row.id, target, kind, verify=not no_verify)
        data["verified"] = checked
    elif form == "csv":
        data["rows"] = metrics_file.write_csv(home, row.job_id or row.id, target)
    else:
        data["values"] = metrics_file.write_tensorboard(home, row.job_id or row.id, target)
    emit(data, as_json, _render)


def _render(data: dict[str, Any]) -> str:
    lines = [f"{data['run']} → {data['path']}"]
    for found in data.get("verified", ()):
        share = "" if found.agreement is None else f", {found.agreement:.1%} of next tokens agree"
        lines.append(f"generated with {found.by}{share}: “{found.reply}”")
    return "\n".join(lines)
