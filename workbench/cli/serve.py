"""`workbench serve`: an OpenAI-compatible endpoint on loopback for a compiled model."""

from __future__ import annotations

import click

from workbench.cli.output import emit, example, json_option, pass_home
from workbench.home import Home


@click.command("serve", epilog=example("workbench serve last --port 8000"))
@click.argument("model")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1; 0 takes any free one.")
@click.option("--dtype", type=click.Choice(["auto", "bfloat16", "float32"]), default="auto", show_default=True)
@click.option("--idle", type=click.FloatRange(0), default=15.0, show_default=True, help="Stop after MINUTES; 0: never.")
@click.option("--private", is_flag=True, help="Ask for a bearer token (written to the job's folder, mode 0600).")
@json_option
@pass_home
def command(home: Home, model: str, port: int, dtype: str, idle: float, private: bool, as_json: bool) -> None:
    """Serve MODEL (a run, a Hugging Face folder or a base model) in the background and print its address.

    The server goes on when this command has ended; `workbench jobs stop` ends it.
    """
    from workbench.jobs import launch
    from workbench.models.server.ensure import model_folder, model_title, running_server, serve_args, wait_ready

    folder = model_folder(home, model)
    info = None if port or private else running_server(home, folder, dtype)
    if info is None:
        args = serve_args(folder, dtype=dtype, port=port, private=private, idle_minutes=idle)
        job = launch(home, "serve", args, f"serve {model_title(folder)}")
        info = wait_ready(home, job.id)
    token = str(home.jobs / info.job_id / "token") if info.token else None
    data = {"url": info.url, "model": info.model, "job": info.job_id, "folder": str(folder), "token_file": token}
    emit(data, as_json, lambda _: _lines(data))


def _lines(data: dict[str, str | None]) -> str:
    lines = [f"{data['model']} answers at {data['url']}  (stop: workbench jobs stop {data['job']})"]
    if data["token_file"]:
        lines.append(f"bearer token: {data['token_file']}")
    return "\n".join(lines)
