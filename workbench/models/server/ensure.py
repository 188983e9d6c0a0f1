"""Finding a local model and a server for it: one that runs already, or a new one."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import ServiceError, UserError
from workbench.home import Home
from workbench.text import clean_line
from workbench.workflow.hashing import digest

READY_SECONDS = 600.0
_POLL_S = 0.1
_LAUNCHES = 3
"""A server that has just been stopped may still be on its way out, and its successor then gives way to it."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server that answers: `url` is the base of the OpenAI protocol (…/v1), `model` the name it goes by there."""

    url: str
    model: str
    job_id: str
    folder: Path
    token: str | None = field(default=None, repr=False)


def model_folder(home: Home, name: str) -> Path:
    """The Hugging Face folder that `name` means: a folder, a run (its best checkpoint), or a base model's name.

    Raises UserError if there is none.
    """
    given = Path(name).expanduser()
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
        raise UserError(f'no model "{shown}": name a run (`workbench train list`) or a Hugging Face folder') from error


def model_title(folder: Path) -> str:
    """A short name for the model in `folder`."""
    return folder.parent.name if folder.name in ("best", "last") else folder.name


def weights_version(folder: Path) -> str:
    """Changes whenever the weights in `folder` do (names, sizes and times of its safetensors files)."""
    stamps: list[Any] = []
    for file in sorted(folder.glob("*.safetensors")):
        stat = file.stat()
        stamps.append([file.name, stat.st_size, stat.st_mtime_ns])
    return digest(stamps)


def serve_args(folder: Path, **options: object) -> dict[str, object]:
    """The args of a `serve` job for the weights that are in `folder` now; `options` as `server.job.main` takes them."""
    return {"model": str(folder), "name": model_title(folder), "version": weights_version(folder), **options}


def running_server(home: Home, folder: Path, dtype: str = "auto") -> ServerInfo | None:
    """A server that already answers for these very weights, or None."""
    from workbench.jobs import jobs

    wanted = (str(folder), weights_version(folder), dtype)
    for job in jobs(home, "serve"):
        if job.state == "running":
            record = _record(job.folder)
            if record and tuple(record.get(k) for k in ("folder", "version", "dtype")) == wanted:
                info = _info(job.id, job.folder, record)
                if healthy(info):
                    return info
    return None


def ensure_server(home: Home, folder: Path, dtype: str = "auto", timeout_s: float = READY_SECONDS) -> ServerInfo:
    """A server for the model in `folder`: joins one that runs, else starts one and waits until it answers.

    It asks for a bearer token that only this user can read, and stops by itself when nobody has used it for a while.
    Raises UserError if the folder holds no model, ServiceError if the server does not come up.
    """
    from workbench.jobs import launch, status

    folder = folder.resolve()
    found = running_server(home, folder, dtype)
    if found is not None:
        return found
    args = serve_args(folder, dtype=dtype, port=0, private=True)
    for _ in range(_LAUNCHES):
        job = launch(home, "serve", args, f"serve {model_title(folder)}")
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

    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        now = status(home, job_id)
        if now.state in ENDED:
            line = now.error or f"it {now.state} before it answered (`workbench jobs show {job_id}`)"
            mendable = _read_json(now.folder / "done.json").get("exit_code") == UserError.exit_code
            raise (UserError if mendable else ServiceError)(f"the model server did not start: {line}")
        record = _record(now.folder)
        if record:
            info = _info(job_id, now.folder, record)
            if healthy(info):
                return info
        time.sleep(_POLL_S)
    raise ServiceError(f"the model server did not answer within {timeout_s:g} s: see `workbench jobs show {job_id}`")


def health(info: ServerInfo, timeout_s: float = 5.0) -> Mapping[str, Any]:
    """What the server says about itself (load, memory, cache). Raises OSError or ValueError if it does not answer."""
    with urllib.request.urlopen(f"{info.url.removesuffix('/v1')}/health", timeout=timeout_s) as answer:
        found = json.loads(answer.read(1 << 20))
    return found if isinstance(found, dict) else {}


def healthy(info: ServerInfo) -> bool:
    """Whether the server answers for its model."""
    try:
        return health(info).get("model") == info.model
    except (OSError, ValueError):
        return False


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _record(folder: Path) -> dict[str, Any] | None:
    found = _read_json(folder / "server.json")
    return found if {"url", "model"} <= set(found) else None


def _info(job_id: str, folder: Path, record: Mapping[str, Any]) -> ServerInfo:
    token = None
    if record.get("private"):
        token = (folder / "token").read_text(encoding="utf-8")
    return ServerInfo(str(record["url"]), str(record["model"]), job_id, Path(str(record["folder"])), token)
