"""Finding a local model and a server for it: one that runs already, or a new one."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import ServiceError, UserError
from workbench.home import Home
from workbench.models.server.asking import ask
from workbench.models.server.programs import choose_program
from workbench.text import clean_line
from workbench.workflow.hashing import digest

if TYPE_CHECKING:
    from workbench.jobs.states import JobStatus

READY_SECONDS = 600.0
_POLL_S = 0.1
_LAUNCHES = 3
"""A server that has just been stopped may still be on its way out, and its successor then gives way to it."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server that answers: `url` is the base of the OpenAI protocol (…/v1), `model` the name it goes by there.

    `folder` is the Hugging Face folder or GGUF file it serves, `program` who serves it (light, vllm, llama.cpp). With
    several `replicas` it is the front before them; `front` is the job of the front that a replica stands behind.
    """

    url: str
    model: str
    job_id: str
    folder: Path
    token: str | None = field(default=None, repr=False)
    program: str = "light"
    dtype: str = "auto"
    version: str = ""
    pid: int = 0
    replicas: int = 1
    front: str = ""


def model_path(home: Home, name: str) -> Path:
    """What `name` means: a Hugging Face folder, a GGUF file, a run (its best checkpoint), or a base model's name.

    Raises UserError if there is none.
    """
    given = Path(name).expanduser()
    if given.suffix == ".gguf":
        if given.is_file():
            return given.resolve()
        raise UserError(f"{clean_line(name, 80)}: no such GGUF file")
    for folder in (given, given / "best", home.models / name):
        if name and (folder / "config.json").is_file():
            return folder.resolve()
    folder = _run_folder(home, name)
    if not (folder / "best" / "config.json").is_file():
        raise UserError(f'run "{clean_line(name, 80)}" has no checkpoint yet: wait for its first evaluation')
    return (folder / "best").resolve()


def _run_folder(home: Home, name: str) -> Path:
    """The job folder of a run, by the run's id or name or by the job's id."""
    from workbench.jobs import job_folder
    from workbench.store import connect
    from workbench.store.find import find
    from workbench.store.runs import get_run

    job = name
    with suppress(UserError), connect(home) as record:
        run = get_run(record, find(record, "run", name))
        job = (run.job_id if run else None) or name
    try:
        return job_folder(home, job)
    except UserError as error:
        shown = clean_line(name, 80)
        raise UserError(
            f'no model "{shown}": name a run (`workbench train list`), a Hugging Face folder or a GGUF file'
        ) from error


def model_title(model: Path) -> str:
    """A short name for the model at this path."""
    if model.suffix == ".gguf":
        return model.stem
    return model.parent.name if model.name in ("best", "last") else model.name


def weights_version(model: Path) -> str:
    """Changes whenever the weights at this path do (names, sizes and times of the files that hold them)."""
    stamps: list[Any] = []
    for file in [model] if model.is_file() else sorted(model.glob("*.safetensors")):
        stat = file.stat()
        stamps.append([file.name, stat.st_size, stat.st_mtime_ns])
    return digest(stamps)


def serve_args(model: Path, program: str = "auto", **options: object) -> dict[str, object]:
    """The args of a `serve` job for the weights that are there now; `options` as `server.job.main` takes them.

    Raises UserError where `program` is not installed or cannot read the model.
    """
    chosen = choose_program(model, program)
    name, version = model_title(model), weights_version(model)
    return {"model": str(model), "name": name, "version": version, "program": chosen, **options}


def servers(home: Home) -> list[ServerInfo]:
    """Every server of this home that runs and has said where it listens, newest first."""
    from workbench.jobs import jobs

    found = []
    for job in jobs(home, "serve"):
        if (info := server_of(job)) is not None:
            found.append(info)
    return found


def server_of(job: JobStatus) -> ServerInfo | None:
    """The server that a `serve` job runs, once it has said where it listens."""
    record = server_record(job.folder) if job.state == "running" else None
    if record:
        with suppress(OSError):  # it may be leaving this very moment
            return server_info(job.id, job.folder, record)
    return None


def running_server(home: Home, model: Path, dtype: str = "auto", program: str | None = None) -> ServerInfo | None:
    """A server that already answers for these very weights (of `program`, if that matters), or None; never one that
    stands behind a front."""
    wanted = (model, weights_version(model), dtype)
    for info in servers(home):
        fits = (info.folder, info.version, info.dtype) == wanted and program in (None, info.program)
        if fits and not info.front and healthy(info):
            return info
    return None


def ensure_server(home: Home, model: Path, dtype: str = "auto", timeout_s: float = READY_SECONDS) -> ServerInfo:
    """A server for the model at this path: joins one that runs, else starts one and waits until it answers.

    It asks for a bearer token that only this user can read, and stops by itself when nobody has used it for a while.
    Raises UserError if there is no model, ServiceError if the server does not come up.
    """
    from workbench.jobs import launch, status

    model = model.resolve()
    found = running_server(home, model, dtype)
    if found is not None:
        return found
    args = serve_args(model, dtype=dtype, port=0, private=True)
    for _ in range(_LAUNCHES):
        job = launch(home, "serve", args, f"serve {model_title(model)}")
        try:
            return wait_ready(home, job.id, timeout_s)
        except ServiceError:
            if status(home, job.id).state != "lost":
                raise
    raise ServiceError(f"the model server did not start: see `workbench jobs show {job.id}`")


def wait_ready(home: Home, job_id: str, timeout_s: float = READY_SECONDS) -> ServerInfo:
    """Wait until the `serve` job answers.

    Raises ServiceError with its error if it ends first or takes too long, UserError
    if the user can mend it (the port is taken).
    """
    from workbench.jobs import ENDED, status
    from workbench.jobs.folder import read_json

    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        now = status(home, job_id)
        if now.state in ENDED:
            line = now.error or f"it {now.state} before it answered (`workbench jobs show {job_id}`)"
            mendable = read_json(now.folder / "done.json").get("exit_code") == UserError.exit_code
            raise (UserError if mendable else ServiceError)(f"the model server did not start: {line}")
        record = server_record(now.folder)
        if record:
            info = server_info(job_id, now.folder, record)
            if healthy(info):
                return info
        time.sleep(_POLL_S)
    raise ServiceError(f"the model server did not answer within {timeout_s:g} s: see `workbench jobs show {job_id}`")


def health(info: ServerInfo, timeout_s: float = 5.0) -> Mapping[str, Any]:
    """What the server says about itself: `active`, `queued`, `output_tokens`, `rss_bytes`, the light one also its cache.

    Raises OSError or ValueError if it does not answer.
    """
    root = info.url.removesuffix("/v1")
    if info.program == "light" or info.replicas > 1:
        found = json.loads(ask(f"{root}/health", timeout_s=timeout_s))
        return found if isinstance(found, dict) else {}
    from workbench.models.server.external import is_up, memory_of, read_load

    if not is_up(root, timeout_s):
        raise OSError(f"{root}: not healthy")
    load = read_load(root, info.token, timeout_s)
    return {"status": "ok", "model": info.model, **load, "rss_bytes": memory_of(info.pid), "pid": info.pid}


def healthy(info: ServerInfo) -> bool:
    """Whether the server answers for its model."""
    try:
        return health(info).get("model") == info.model
    except (OSError, ValueError):
        return False


def server_record(folder: Path) -> dict[str, Any] | None:
    """The `server.json` of a `serve` job's folder, None until there is one."""
    from workbench.jobs.folder import read_json

    found = read_json(folder / "server.json")
    return found if {"url", "model"} <= set(found) else None


def server_info(job_id: str, folder: Path, record: Mapping[str, Any]) -> ServerInfo:
    """What such a record says, with the token that lies beside it. Raises OSError if that has gone."""
    return ServerInfo(
        url=str(record["url"]),
        model=str(record["model"]),
        job_id=job_id,
        folder=Path(str(record["folder"])),
        token=(folder / "token").read_text(encoding="utf-8") if record.get("private") else None,
        program=str(record.get("program", "light")),
        dtype=str(record.get("dtype", "auto")),
        version=str(record.get("version", "")),
        pid=int(record.get("pid") or 0),
        replicas=int(record.get("replicas") or 1),
        front=str(record.get("front") or ""),
    )
