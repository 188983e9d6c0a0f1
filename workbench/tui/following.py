"""How the app moves with a running demo: from pane to pane, until a key is pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import App

from workbench.tui.demo import Follower
from workbench.tui.follow import Demo
from workbench.tui.widgets.timeline import Timeline

if TYPE_CHECKING:
    from workbench.jobs.folder import Job
    from workbench.tui.shell import Workbench


class Following(App[int], inherit_bindings=False):
    """The part of the app that watches the demo."""

    def follow_job(self: Workbench, job: Job) -> None:  # type: ignore[misc]
        """Move along with a demo that has just been started."""
        self.follower = Follower(self.home, job.id)
        self.follower.active = True
        self.read_demo()

    def read_demo(self: Workbench) -> None:  # type: ignore[misc]
        """Read the demo's new events, then show where it is."""
        self.effects.run("demo", self.follower.read, lambda demo: self._demo_read(demo))

    def _demo_read(self: Workbench, demo: Demo) -> None:  # type: ignore[misc]
        self.call_later(self.show_demo, demo)

    async def show_demo(self: Workbench, demo: Demo) -> None:  # type: ignore[misc]
        """Show where the demo is, and go there while it is followed and nothing is open on top."""
        self.follower.demo = demo
        self.base.set_class(self.follower.exists, "-following")
        if self.follower.active and demo.stages and self.state.pane != demo.pane and self.screen is self.base:
            await self.open_pane(demo.pane)
        if demo.ended:
            self.follower.active = False
        self._tell()

    def end_following(self: Workbench) -> None:  # type: ignore[misc]
        """A key was pressed: the user looks for themselves."""
        if self.follower.active:
            self.follower.active = False
            self._tell()

    def _tell(self: Workbench) -> None:  # type: ignore[misc]
        self.base.query_one(Timeline).put(self.follower.demo.stages, self.follower.words())
        self.refresh_footer()
