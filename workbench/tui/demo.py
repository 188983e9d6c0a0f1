"""Reads the events of the demo job that is followed, and puts into one line what happens and why it matters."""

from __future__ import annotations

from workbench.errors import UserError
from workbench.home import Home
from workbench.tui.follow import Demo, Stage, fold
from workbench.tui.widgets.safe import Line


class Follower:
    """The demo that may be followed; `active` while the app moves with it."""

    def __init__(self, home: Home, job: str | None) -> None:
        self._home = home
        coming = _coming() if job else ()
        self.demo = Demo(job or "", coming, len(coming))
        self.active = False

    @property
    def exists(self) -> bool:
        """Whether the app was asked to follow a demo."""
        return bool(self.demo.job)

    def concerns(self, topics: frozenset[str]) -> bool:
        """Whether these topics are about the demo."""
        return self.exists and bool(topics & {f"job:{self.demo.job}", "jobs"})

    def read(self) -> Demo:
        """The demo after the events written since the last look; for a worker thread."""
        from workbench.jobs import tail_events  # not before the first frame

        try:
            events, offset = tail_events(self._home, self.demo.job, self.demo.offset)
        except UserError:
            return self.demo
        return fold(self.demo, events, offset)

    def words(self) -> Line:
        """One line: what happens, why it matters, and how to follow or to leave."""
        demo, stage = self.demo, self.demo.running
        spans: list[tuple[str, str]] = [(" ", "plain")]
        if stage:
            total = demo.total or len(demo.stages)
            spans += [
                (f"{stage.index + 1}/{total} {stage.title}", "strong"),
                (f" — {stage.why}" if stage.why else "", "plain"),
            ]
        elif demo.ended == "done":
            spans += [
                ("✓ done", "good"),
                (" — look at the results, then press 4 and talk to what was compiled", "plain"),
            ]
        elif demo.ended:
            spans += [(f"{demo.ended} {demo.error}", "bad"), (" — workbench demo continues it", "plain")]
        else:
            spans.append(("the demo is starting …", "dim"))
        if not self.active and not demo.ended:
            spans.insert(1, ("F follows ", "key"))
        return tuple(spans)


def _coming() -> tuple[Stage, ...]:
    """The stages that every demo has."""
    from workbench.demo.plan import STAGES

    return tuple(Stage(n, stage.name, stage.title, stage.why) for n, stage in enumerate(STAGES))
