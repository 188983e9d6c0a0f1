"""`workbench serve`: an OpenAI-compatible endpoint on loopback for a compiled model, and what runs already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.output import emit, example, json_option, pass_home, table
from workbench.home import Home

if TYPE_CHECKING:
    from workbench.models.server.ensure import ServerInfo


@click.command(
    "serve",
    epilog=example(
        "workbench serve last --port 8000     a run's best checkpoint",
        "workbench serve models/agent.gguf    a GGUF file",
        "workbench serve list                 what is served, its load and memory",
    ),
)
@click.argument("model")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1; 0 takes any free one.")
@click.option("--engine", type=click.Choice(["auto", "light", "vllm", "llama.cpp"]), default="auto", show_default=True,
              help="Who serves it. auto: vLLM with a GPU, llama.cpp for a GGUF (each if installed), else our own.")  # fmt: skip
@click.option("--dtype", type=click.Choice(["auto", "bfloat16", "float32"]), default="auto", show_default=True)
@click.option("--idle", type=click.FloatRange(0), default=15.0, show_default=True, help="Stop after MINUTES; 0: never.")
@click.option("--open", "open_", is_flag=True, help="Ask for no bearer token: every user of this machine may call it.")
@json_option
@pass_home
def command(
    home: Home, model: str, port: int, engine: str, dtype: str, idle: float, open_: bool, as_json: bool
) -> None:
    """Serve MODEL (a run, a Hugging Face folder, a GGUF file or a base model) in the background; print its address.

    The server goes on when this command has ended; `workbench jobs stop` ends it. `workbench serve list` shows every
    server with its load. Callers need the bearer token in the job's file `token`, which only you can read.
    """
    from workbench.jobs import launch
    from workbench.models.server.ensure import model_path, model_title, running_server, serve_args, wait_ready

    if model == "list":
        found = list_servers(home)
        emit(found, as_json, _render_list)
        return
    path = model_path(home, model)
    args = serve_args(path, engine, dtype=dtype, port=port, private=not open_, idle_minutes=idle)
    info = None if port or open_ else running_server(home, path, dtype, str(args["program"]))
    if info is None:
        job = launch(home, "serve", args, f"serve {model_title(path)}")
        info = wait_ready(home, job.id)
    token = str(home.jobs / info.job_id / "token") if info.token else None
    data = {"url": info.url, "model": info.model, "job": info.job_id, "folder": str(path), "token_file": token}
    emit({**data, "engine": info.program}, as_json, _render_started)


def list_servers(home: Home) -> list[dict[str, Any]]:
    """Every running server: job, model, engine, address, and what it says of its load."""
    from workbench.models.server.ensure import servers

    return [
        {"job": info.job_id, "model": info.model, "engine": info.program, "url": info.url, **load_of(info)}
        for info in servers(home)
    ]


def load_of(info: ServerInfo) -> Mapping[str, Any]:
    """What a server says of itself; `status` is "no answer" where it says nothing."""
    from workbench.models.server.ensure import health

    try:
        return health(info)
    except (OSError, ValueError):
        return {"status": "no answer"}


def load_words(load: Mapping[str, Any]) -> str:
    """A server's load in one line."""
    if load.get("status") != "ok":
        return str(load.get("status", "no answer"))
    words = [f"{load.get('active', 0):g} running, {load.get('queued', 0):g} waiting"]
    if load.get("tokens_per_s"):
        words.append(f"{load['tokens_per_s']:.0f} tokens/s")
    if load.get("rss_bytes"):
        words.append(f"{load['rss_bytes'] / 1e9:.1f} GB")
    if load.get("cache_limit"):
        words.append(f"cache {load['cache_bytes'] / 1e6:.0f} of {load['cache_limit'] / 1e6:.0f} MB")
    if load.get("idle_s"):
        words.append(f"idle for {load['idle_s']:.0f} s")
    return ", ".join(words)


def _render_list(found: list[dict[str, Any]]) -> str:
    if not found:
        return "Nothing is served: `workbench serve RUN` starts a server, and agents start theirs by themselves."
    rows = [(s["job"], s["model"], s["engine"], s["url"], load_words(s)) for s in found]
    return table(("job", "model", "engine", "address", "load"), rows)


def _render_started(data: dict[str, str | None]) -> str:
    lines = [f"{data['model']} answers at {data['url']}  ({data['engine']}; stop: workbench jobs stop {data['job']})"]
    if data["token_file"]:
        lines.append(f'bearer token: {data["token_file"]}  (WORKBENCH_SERVER_KEY="$(cat FILE)" for workbench itself)')
    return "\n".join(lines)
