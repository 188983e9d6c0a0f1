"""Reads the events of the demo job that is followed, and puts into one line what happens and why it matters."""

from __future__ import annotations

import json

from workbench.home import Home
from workbench.tui.follow import Demo, fold
from workbench.tui.widgets.safe import Line

LIMIT = 1 << 20


class Follower:
    """The demo that may be followed; `active` while the app moves with it."""

    def __init__(self, home: Home, job: str | None) -> None:
        self._home = home
        self.demo = Demo(job or "")
        self.active = False

    @property
    def exists(self) -> bool:
        """Whether the app was asked to follow a demo."""
        return bool(self.demo.job)

    def concerns(self, topics: frozenset[str]) -> bool:
        """Whether these topics are about the demo."""
        return self.exists and bool(topics & {f"job:{self.demo.job}", "jobs"})

    def read(self) -> Demo:
        """The demo after the events written since the last look; for a worker thread. A half-written line waits."""
        demo, folder = self.demo, self._home.jobs / self.demo.job
        events: list[dict[str, object]] = []
        offset = demo.offset
        try:
            with (folder / "events.jsonl").open("rb") as file:
                file.seek(offset)
                data = file.read(LIMIT)
        except OSError:
            data = b""
        whole = data[: data.rfind(b"\n") + 1]
        for raw in whole.splitlines():
            try:
                event = json.loads(raw)
            except ValueError:
                continue
            if isinstance(event, dict):
                events.append(event)
        return fold(demo, events, offset + len(whole))

    def words(self) -> Line:
        """One line: what happens, why it matters, and how to follow or to leave."""
        demo, stage = self.demo, self.demo.running
        spans: list[tuple[str, str]] = [(" ", "plain")]
        if stage:
            total = demo.total or len(demo.stages)
            spans += [
                (f"{stage.index}/{total} {stage.title}", "strong"),
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
