"""`workbench export`: a compiled model as a folder that other programs can load."""

from __future__ import annotations

from pathlib import Path

import click

from workbench.cli.output import emit, example, json_option, pass_home
from workbench.home import Home


@click.command("export", epilog=example("workbench export last --to hf -o travel-agent"))
@click.argument("run")
@click.option("--to", "form", type=click.Choice(["hf"]), default="hf", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write it (else the run's name).")
@json_option
@pass_home
def command(home: Home, run: str, form: str, output: Path | None, as_json: bool) -> None:
    """Write RUN's best model as a Hugging Face folder: weights, tokenizer, template and model card."""
    from workbench.training.export import export_hf
    from workbench.training.launch import find_run

    row = find_run(home, run)
    target = export_hf(home, row.id, output or Path(row.name.replace("/", "-")))
    emit(
        {"run": row.id, "form": form, "folder": str(target)}, as_json, lambda data: f"{data['run']} → {data['folder']}"
    )
