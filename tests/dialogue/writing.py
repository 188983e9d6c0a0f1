"""A fake model that writes well: it says what it is told to say, in a few words more."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.dialogue.generation import Order, main
from workbench.home import Home
from workbench.jobs.context import JobContext
from workbench.jobs.events import EventWriter, read_events
from workbench.workflow.hashing import digest

SONNET = "anthropic/claude-sonnet-4-6"
_ENTRY = re.compile(
    r'^(\d+)\. (?:assistant|user): (?:.* It means: "(?P<means>.*)"|(?P<said>.*?))(?: Details: .*\.)?$', re.M
)
_NOTE = re.compile(r'(?:What it means|Such as): "(.*)"')


def obliging(body: dict[str, Any]) -> str:
    """The reply to a writer's prompt, as Anthropic's or OpenAI's request body holds it."""
    content = body["messages"][-1]["content"]
    text = content if isinstance(content, str) else "".join(block["text"] for block in content)
    if note := _NOTE.search(text):
        return f"Well then. {note[1]}"
    entries = [(int(m[1]), m["means"] or m["said"]) for m in _ENTRY.finditer(text)]
    return json.dumps({"messages": [{"n": n, "text": f"Well then. {meaning}"} for n, meaning in entries]})


@contextmanager
def job(home: Home, order: Order, **settings: object) -> Iterator[JobContext]:
    """A generation's context without a process of its own; the same order again is the same job."""
    from dataclasses import asdict

    from workbench.jobs.settings import change_settings

    folder = home.make().jobs / digest(["generate", asdict(order)])
    folder.mkdir(exist_ok=True)
    if settings:
        change_settings(folder, settings)
    yield JobContext(home, folder, asdict(order), EventWriter(folder / "events.jsonl"))


def generate(home: Home, order: Order, **settings: object) -> dict[str, Any]:
    """Run the job to its end."""
    with job(home, order, **settings) as ctx:
        return main(ctx)


def logged(folder: Path) -> str:
    """What the job's log lines say."""
    return "\n".join(e["text"] for e in read_events(folder / "events.jsonl")[0] if e["type"] == "log")
