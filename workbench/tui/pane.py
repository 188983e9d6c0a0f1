"""What every pane has: its state, a way to do slow things, and a call when something it shows has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual.containers import Container
from textual.widget import Widget

from workbench.home import Home
from workbench.tui.actions import actions_of, allowed, bindings, scopes_of

if TYPE_CHECKING:
    from workbench.tui.shell import Workbench

T = TypeVar("T")


class Pane(Container):
    """Base of the panes. A subclass names its `scope`; its actions are the registry's, as methods `action_NAME`."""

    scope: ClassVar[str]
    first: ClassVar[str]
    """Selector of the widget that gets the focus when the pane opens."""
    HELP: ClassVar[str] = ""
    DEFAULT_CSS = "Pane { height: 1fr; width: 1fr; }"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.BINDINGS = [binding for scope in scopes_of(cls.scope) for binding in bindings(scope)]
        super().__init_subclass__(**kwargs)

    def __init__(self) -> None:
        super().__init__(id=self.scope)
        self._focus: Widget | None = None

    @property
    def shell(self) -> Workbench:
        """The app, typed."""
        return cast("Workbench", self.app)

    @property
    def home(self) -> Home:
        """Where the record is."""
        return self.shell.home

    @property
    def state(self) -> Any:
        """This pane's part of the app's state."""
        return getattr(self.shell.state, self.scope)

    @state.setter
    def state(self, state: Any) -> None:
        self.shell.keep(self.scope, state)

    @property
    def is_open(self) -> bool:
        """Whether this is the pane on the screen."""
        return bool(self.shell.state.pane == self.scope)

    def run(self, key: str, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Do `work` in a thread and `then` here; see `Effects.run`."""
        self.shell.effects.run(f"{self.scope}/{key}", work, then)

    def run_again(self, key: str, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """The same because the data has changed; see `Effects.run_again`."""
        self.shell.effects.run_again(f"{self.scope}/{key}", work, then)

    def opened(self) -> None:
        """The pane is on the screen now: the focus goes where it was."""
        target = self._focus if self._focus and self._focus.is_attached and self._focus.display else None
        self.screen.set_focus(target or self.query_one(self.first))  # at once: `focus` would come after a burst of keys

    def left(self) -> None:
        """The pane goes off the screen: it remembers the focus."""
        focused = self.screen.focused
        if focused and self in focused.ancestors:
            self._focus = focused

    def refresh_data(self, topics: frozenset[str]) -> None:
        """Read again what these topics are about; called only while the pane is open, and when it opens."""

    def back(self) -> None:
        """Esc: to the first widget; panes with levels go up one."""
        self.query_one(self.first).focus()

    def leave_input(self, focused: Widget) -> None:
        """Esc in an input: its text stays, the focus goes back to the pane's first widget."""
        self.query_one(self.first).focus()

    def selected_text(self) -> str:
        """What `copy` copies."""
        return ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Refuse what the registry says makes no sense now, and in an input the keys that open one."""
        meant = [item for item in actions_of(*scopes_of(self.scope)) if item.name.split("(", 1)[0] == action]
        if any(item.priority for item in meant) and self.shell.typing:
            return False
        return all(allowed(item, self.state) for item in meant)
