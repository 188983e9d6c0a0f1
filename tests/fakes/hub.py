"""A model hub on loopback that speaks what the hub's library asks for: files of a few repositories, by HEAD and GET."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from tests.fakes.loopback import serving

COMMIT = "c0ffee" * 6 + "c0ff"


@contextmanager
def fake_hub(folders: Mapping[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """(address, what was asked for) of a hub whose repositories have the files of these folders."""
    asked: list[str] = []

    def missing(code: str) -> Response:
        return JSONResponse({"error": code}, 404, headers={"X-Error-Code": code})

    def resolve(request: Request) -> Response:
        owner, name, file = (request.path_params[part] for part in ("owner", "name", "file"))
        asked.append(f"{request.method} {name}/{file}")
        if f"{owner}/{name}" not in folders:
            return missing("RepoNotFound")
        found = folders[f"{owner}/{name}"] / file
        if not found.is_file():
            return missing("EntryNotFound")
        etag = hashlib.sha256(found.read_bytes()).hexdigest()
        return FileResponse(found, headers={"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'})

    def about(request: Request) -> Response:
        path = str(request.path_params["path"])
        asked.append(f"api {path}")
        repository = "/".join(path.split("/")[:2])
        if repository not in folders:
            return missing("RepoNotFound")
        if "/tree/" in path:
            return missing("EntryNotFound")
        files = [{"rfilename": file.name} for file in sorted(folders[repository].iterdir())]
        return JSONResponse({"id": repository, "sha": COMMIT, "siblings": files, "tags": [], "private": False})

    routes = [
        Route("/api/models/{path:path}", about),
        Route("/{owner}/{name}/resolve/{revision}/{file:path}", resolve, methods=["GET", "HEAD"]),
    ]
    with serving(Starlette(routes=routes)) as url:
        yield url, asked
