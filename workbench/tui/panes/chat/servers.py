"""The local servers, over the pane: what each has to do, how fast it is, what memory it takes, when it stops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from workbench.home import Home
from workbench.jobs import stop
from workbench.models.server.look import look
from workbench.tui.panes.chat.dialogs import keys
from workbench.tui.widgets.safe import SafeText, line
from workbench.tui.widgets.table import Column, ListSource, Row, VirtualTable

EVERY_S = 2.0
COLUMNS = (
    Column("model"),
    Column("engine", 9),
    Column("busy", 5, "right"),
    Column("tok/s", 6, "right"),
    Column("memory", 8, "right"),
    Column("cache", 12, "right"),
    Column("unused", 12, "right"),
)


class Run(Protocol):
    """Does work in a thread and hands on what came of it, as a pane does."""

    def __call__(self, key: str, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """`then(work())`."""
        ...


class ServersScreen(ModalScreen[None]):
    """The servers of this home, read every other second."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,H", "dismiss", show=False),
        Binding("x", "stop", show=False),
    ]

    def __init__(self, home: Home, run: Run) -> None:
        super().__init__()
        self._home, self._run = home, run

    def compose(self) -> ComposeResult:
        """The table."""
        empty = "nothing is served: agents start their servers by themselves"
        with Vertical(classes="dialog", id="servers-dialog"):
            yield SafeText(line(("Local servers", "strong"), ("  workbench serve list says the same", "dim")))
            yield VirtualTable(COLUMNS, id="servers-list", empty=empty)
            yield keys(("x", "stop this one"), ("esc", "closes"))

    def on_mount(self) -> None:
        """Look at once, then again and again."""
        self.query_one("#servers-list").focus()
        self._look()
        self.set_interval(EVERY_S, self._look)

    def _look(self) -> None:
        self._run("servers", lambda: look(self._home), self._show)

    def _show(self, found: Sequence[Mapping[str, Any]]) -> None:
        if self.is_attached:
            table = self.query_one("#servers-list", VirtualTable)
            table.show(ListSource(tuple(map(server_row, found))), None if table.row else 0)
            table.styles.height = min(max(len(found), 1) + 1, 12)

    def action_stop(self) -> None:
        """Stop the server under the cursor."""
        if row := self.query_one("#servers-list", VirtualTable).row:
            self._run("stop server", lambda: stop(self._home, row.id), lambda _: self._look())

    @on(VirtualTable.Moved)
    @on(VirtualTable.Chosen)
    def _nothing_more(self, message: VirtualTable.Moved | VirtualTable.Chosen) -> None:
        message.stop()


def server_row(server: Mapping[str, Any]) -> Row:
    """A line of the list; what an engine does not tell is `–`."""
    name = (str(server["model"]), "strong")
    if server.get("status") != "ok":
        return Row(server["job"], (name, server["engine"], "", "", "", "", ("no answer", "bad")))
    busy = f"{server.get('active', 0):g}" + (f"+{server['queued']:g}" if server.get("queued") else "")
    rate = f"{server['tokens_per_s']:.0f}" if server.get("tokens_per_s") else "–"
    memory = f"{server['rss_bytes'] / 1e9:.1f} GB" if server.get("rss_bytes") else "–"
    cache = f"{server['cache_share']:.0%} full" if "cache_share" in server else "–"
    if server.get("cache_limit"):
        cache = f"{server['cache_bytes'] / 1e6:.0f}/{server['cache_limit'] / 1e6:.0f} MB"
    minutes = server["idle_minutes"]
    unused = f"{server['idle_s'] / 60:.0f}" if "idle_s" in server else "–"
    stops = f"{unused} of {minutes:g} min" if minutes else "never stops"
    return Row(server["job"], (name, server["engine"], busy, rate, memory, cache, stops))
