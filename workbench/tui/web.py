"""The app in a browser: textual-serve on loopback, behind a random token in the address.

For a machine reached by an SSH tunnel (`ssh -L 8000:127.0.0.1:8000 host`). Whoever knows the whole address has the app;
requests without the token, for another host name or from another page are refused.
"""

from __future__ import annotations

import secrets
import shlex
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import UserError
from workbench.home import Home

if TYPE_CHECKING:
    from aiohttp.typedefs import Middleware

LOOPBACK = "127.0.0.1"


def serve(home: Home, port: int = 0) -> int:
    """Serve the app until Ctrl+C, a process a browser window; 0 takes any free port. Returns the exit code.

    Raises UserError if textual-serve is missing or the port is taken.
    """
    try:
        from aiohttp import web
        from textual_serve.server import Server
    except ImportError as error:
        raise UserError("the app in a browser needs textual-serve: run `pip install 'workbench[web]'`") from error

    token = secrets.token_urlsafe(24)

    class Guarded(Server):
        """textual-serve's own server, below a secret path and for this address only."""

        async def _make_app(self) -> web.Application:
            outer = web.Application(middlewares=[only_from(f"{LOOPBACK}:{self.port}")])
            outer.add_subapp(f"/{token}/", await super()._make_app())
            return outer

        async def on_startup(self, app: web.Application) -> None:
            """Nothing yet: the address is told once the port listens."""

    def tell(_: str) -> None:
        print(f"workbench in a browser: http://{LOOPBACK}:{server.port}/{token}/", flush=True)
        print("whoever has this address has the app; Ctrl+C ends it", flush=True)

    command = shlex.join([sys.executable, "-P", "-m", "workbench", "--home", str(home.root.parent)])
    page = Path(__file__).with_name("web_page")
    server = Guarded(command, LOOPBACK, free_port(port), title="workbench", templates_path=page)
    web.run_app(server._make_app(), host=LOOPBACK, port=server.port, print=tell, access_log=None)
    return 0


def free_port(wanted: int) -> int:
    """`wanted`, or any free port for 0. Raises UserError if it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
        except OSError as error:
            raise UserError(
                f"port {wanted}: {error.strerror}; choose another with --port, or 0 for any free one"
            ) from error
        return int(probe.getsockname()[1])


def only_from(address: str) -> Middleware:
    """A middleware that refuses other host names (DNS rebinding) and pages of other origins."""
    from aiohttp import web
    from aiohttp.typedefs import Handler

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if request.host != address or origin not in (None, f"http://{address}"):
            raise web.HTTPForbidden(text="this app answers its own address only\n")
        response = await handler(request)
        if not response.prepared:
            response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return guard
