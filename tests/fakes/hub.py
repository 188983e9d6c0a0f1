"""A model hub on loopback that speaks what the hub's library asks for: files of one repository, by HEAD and GET."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from tests.fakes.loopback import serving

COMMIT = "c0ffee" * 6 + "c0ff"


@contextmanager
def fake_hub(repository: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """(address, paths asked for) of a hub whose only repository has the files of `folder`."""
    asked: list[str] = []

    def missing(code: str) -> Response:
        return JSONResponse({"error": code}, 404, headers={"X-Error-Code": code})

    def resolve(request: Request) -> Response:
        owner, name, file = (request.path_params[part] for part in ("owner", "name", "file"))
        asked.append(f"{request.method} {file}")
        if f"{owner}/{name}" != repository:
            return missing("RepoNotFound")
        found = folder / file
        if not found.is_file():
            return missing("EntryNotFound")
        etag = hashlib.sha256(found.read_bytes()).hexdigest()
        return FileResponse(found, headers={"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'})

    def about(request: Request) -> Response:
        path = str(request.path_params["path"])
        asked.append(f"api {path}")
        if not path.startswith(repository):
            return missing("RepoNotFound")
        if "/tree/" in path:
            return missing("EntryNotFound")
        files = [{"rfilename": file.name} for file in sorted(folder.iterdir())]
        return JSONResponse({"id": repository, "sha": COMMIT, "siblings": files, "tags": [], "private": False})

    routes = [
        Route("/api/models/{path:path}", about),
        Route("/{owner}/{name}/resolve/{revision}/{file:path}", resolve, methods=["GET", "HEAD"]),
    ]
    with serving(Starlette(routes=routes)) as url:
        yield url, asked
