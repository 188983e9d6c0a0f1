"""Work beside the app: what is outdated is broken off, what changes is read to its end and once more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any, cast

import pytest
from textual.message_pump import MessagePump

from tests.tui.conftest import DEADLINE
from workbench.home import Home
from workbench.tui.effects import Effects, Finished, reader

ENDLESS = "WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n) SELECT count(*) FROM n"


class Inbox:
    """Stands for the app: messages are dealt with when the test says so."""

    def __init__(self) -> None:
        self.messages: Queue[Finished] = Queue()

    def post_message(self, message: Finished) -> None:
        """From any thread."""
        self.messages.put(message)

    def deal(self) -> None:
        """Wait for one message and deal with it."""
        self.messages.get(timeout=DEADLINE).deliver()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def effects(inbox: Inbox) -> Iterator[Effects]:
    made = Effects(cast(MessagePump, inbox), workers=1)
    yield made
    made.close()


def read_without_end(effects: Effects, home: Home, got: list[Any]) -> None:
    """Returns when the read has begun."""
    begun = threading.Event()

    def endless() -> object:
        rec = reader(home)
        begun.set()
        return rec.query(ENDLESS)

    effects.run("find", endless, got.append)
    assert begun.wait(DEADLINE)


def test_an_outdated_read_is_broken_off(effects: Effects, inbox: Inbox, tmp_path: Path) -> None:
    home, got, failed = Home(tmp_path / "runs").make(), list[Any](), list[Exception]()
    effects.failed = lambda key, error: failed.append(error)

    read_without_end(effects, home, got)
    effects.run("find", lambda: reader(home).query("SELECT 7")[0][0], got.append)
    inbox.deal()
    inbox.deal()
    assert got == [7]
    assert failed == []
    assert effects.idle


def test_nothing_is_read_on_when_the_app_has_closed(effects: Effects, inbox: Inbox, tmp_path: Path) -> None:
    home, got = Home(tmp_path / "runs").make(), list[Any]()

    read_without_end(effects, home, got)
    effects.close()
    inbox.deal()
    assert got == []


def test_a_read_that_is_still_wanted_is_not(effects: Effects, inbox: Inbox, tmp_path: Path) -> None:
    home, got = Home(tmp_path / "runs").make(), list[Any]()
    limited = ENDLESS.replace("FROM n)", "FROM n WHERE k < 1000000)", 1)
    effects.run("find", lambda: reader(home).query(limited)[0][0], got.append)
    effects.run("status", lambda: 1, got.append)
    inbox.deal()
    inbox.deal()
    assert got == [1_000_000, 1]


def test_what_changes_meanwhile_is_read_once_more(effects: Effects, inbox: Inbox) -> None:
    got, go_on = list[str](), threading.Event()

    def slow(name: str) -> Callable[[], str]:
        return lambda: name if go_on.wait(DEADLINE) else "late"

    effects.run_again("list", slow("first"), got.append)
    effects.run_again("list", slow("second"), got.append)
    effects.run_again("list", slow("third"), got.append)
    go_on.set()
    inbox.deal()
    assert got == ["first"]
    assert not effects.idle
    inbox.deal()
    assert got == ["first", "third"]
    assert effects.idle


def test_what_the_user_asks_for_comes_instead_of_what_waits(effects: Effects, inbox: Inbox) -> None:
    got, go_on = list[str](), threading.Event()
    effects.run("list", lambda: str(go_on.wait(DEADLINE)), got.append)
    effects.run_again("list", lambda: "changed", got.append)
    effects.run("list", lambda: "asked", got.append)
    go_on.set()
    inbox.deal()
    inbox.deal()
    assert got == ["asked"]
    assert effects.idle
