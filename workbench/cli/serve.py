"""`workbench serve`: an OpenAI-compatible endpoint on loopback for a compiled model, and what runs already."""

from __future__ import annotations

from typing import Any

import click

from workbench.cli.output import emit, example, json_option, pass_home, table
from workbench.errors import UserError
from workbench.home import Home


@click.command(
    "serve",
    epilog=example(
        "workbench serve last --port 8000     a run's best checkpoint",
        "workbench serve models/agent.gguf    a GGUF file",
        "workbench serve last --replicas 4    one address for four of them; vLLM takes a GPU each",
        "workbench serve list                 what is served, its load and memory",
    ),
)
@click.argument("model")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1; 0 takes any free one.")
@click.option("--engine", type=click.Choice(["auto", "light", "vllm", "llama.cpp"]), default="auto", show_default=True,
              help="Who serves it. auto: vLLM with a GPU, llama.cpp for a GGUF (each if installed), else our own.")  # fmt: skip
@click.option("--dtype", type=click.Choice(["auto", "bfloat16", "float32"]), default="auto", show_default=True)
@click.option("--idle", type=click.FloatRange(0), default=15.0, show_default=True, help="Stop after MINUTES; 0: never.")
@click.option(
    "--replicas",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="So many servers behind one address; a conversation stays on one of them.",
)
@click.option(
    "--on", metavar="WHERE", help="With --replicas: on the machines of a Ray cluster (ray://ADDRESS, HOST:PORT)."
)
@click.option("--open", "open_", is_flag=True, help="Ask for no bearer token: every user of this machine may call it.")
@json_option
@pass_home
def command(
    home: Home,
    model: str,
    port: int,
    engine: str,
    dtype: str,
    idle: float,
    replicas: int,
    on: str | None,
    open_: bool,
    as_json: bool,
) -> None:
    """Serve MODEL (a run, a Hugging Face folder, a GGUF file or a base model) in the background; print its address.

    The server goes on when this command has ended; `workbench jobs stop` ends it. `workbench serve list` shows every
    server with its load. Callers need the bearer token in the job's file `token`, which only you can read.
    """
    from workbench.jobs import launch
    from workbench.jobs.where import parse_where
    from workbench.models.server.ensure import model_path, model_title, running_server, serve_args, wait_ready
    from workbench.models.server.look import engine_of, idle_minutes, look

    if model == "list":
        emit(look(home), as_json, _render_list)
        return
    path = model_path(home, model)
    args = serve_args(path, engine, dtype=dtype, port=port, private=not open_, idle_minutes=idle)
    if replicas > 1:
        args |= {"replicas": replicas} | ({"on": where} if (where := parse_where(on)) else {})
    elif on:
        raise UserError("--on places replicas: say how many (--replicas N)")
    own = port or open_ or replicas > 1
    joined = info = None if own else running_server(home, path, dtype, str(args["program"]))
    if info is None:
        job = launch(home, "serve", args, f"serve {model_title(path)}")
        info = wait_ready(home, job.id)
    token = str(home.jobs / info.job_id / "token") if info.token else None
    data = {"url": info.url, "model": info.model, "job": info.job_id, "folder": str(path), "token_file": token}
    more = {"engine": engine_of(info), "idle_minutes": idle_minutes(home, info), "joined": joined is not None}
    emit({**data, **more}, as_json, lambda d: _render_started(d, idle))


def _render_list(found: list[dict[str, Any]]) -> str:
    if not found:
        return "Nothing is served: `workbench serve RUN` starts a server, and agents start theirs by themselves."
    from workbench.models.server.look import load_words

    rows: list[tuple[str, ...]] = []
    for s in found:
        rows.append((s["job"], s["model"], s["engine"], s["url"], load_words(s)))
        for r in s.get("replicas", ()):
            words = f"{load_words(r)}, {r['served']} answered"
            rows.append((f"  {r.get('job', '')}", f"  replica {r['replica'] + 1}", "", r.get("url", ""), words))
    return table(("job", "model", "engine", "address", "load"), rows)


def _render_started(data: dict[str, Any], idle: float) -> str:
    lines = [f"{data['model']} answers at {data['url']}  ({data['engine']}; stop: workbench jobs stop {data['job']})"]
    if data["token_file"]:
        lines.append(f'bearer token: {data["token_file"]}  (WORKBENCH_SERVER_KEY="$(cat FILE)" for workbench itself)')
    if data["joined"] and data["idle_minutes"] != idle:
        minutes = data["idle_minutes"]
        stops = f"stops after {minutes:g} minute{'s'[: minutes != 1]} without use" if minutes else "never stops"
        lines.append(f"It ran already and {stops}; --idle counts for a new one: stop it first.")
    return "\n".join(lines)
