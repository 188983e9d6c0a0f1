"""Every action of the registry in the command palette, as "group: verb"."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from workbench.tui.actions import Action, actions_of, allowed, key_name, scopes_of

if TYPE_CHECKING:
    from workbench.tui.shell import Workbench

_NOT_HERE = ("command_palette", "back", "chord", "interrupt")


class ActionsProvider(Provider):
    """The actions that make sense now: the app's and the open pane's."""

    def _actions(self) -> Iterator[Action]:
        app = cast("Workbench", self.app)
        scope = app.state.pane
        state = getattr(app.state, scope)
        for action in actions_of(*scopes_of(scope)):
            if allowed(action, state):
                yield action
        for action in actions_of("app"):
            if allowed(action, app) and action.name not in _NOT_HERE:
                yield action

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for action in self._actions():
            yield DiscoveryHit(action.title, partial(self._do, action), help=_keys(action))

    async def search(self, query: str) -> Hits:
        """Those that match."""
        matcher = self.matcher(query)
        for action in self._actions():
            if (score := matcher.match(action.title)) > 0:
                yield Hit(score, Content(action.title), partial(self._do, action), help=_keys(action))

    async def _do(self, action: Action) -> None:
        await cast("Workbench", self.app).perform(action)


def _keys(action: Action) -> str:
    return " ".join(key_name(key) for key in action.keys)
