"""The chat pane: columns side by side while they stream, fail, branch, are voted on and replayed."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from tests.tui.conftest import press, screen_text, until
from tests.tui.live_server import JOB, LiveServer
from tests.tui.snapshots import SnapCompare
from workbench.agents.live_client import LiveClient
from workbench.home import Home
from workbench.tui.panes.chat import servers, session
from workbench.tui.panes.chat.board import Board
from workbench.tui.panes.chat.dialogs import AgentsScreen
from workbench.tui.panes.chat.screen import REDRAW
from workbench.tui.shell import Workbench
from workbench.tui.state import AppState, ChatState

FOUR = ("compiled:a", "orchestrated:openai/b", "in-context:anthropic/c", "oracle")


def chatting(home: Home, agents: tuple[str, ...], **state: Any) -> Workbench:
    app = Workbench(home, watch=False)
    app.state = AppState("chat", chat=ChatState(agents, JOB, **state))
    return app


async def test_every_key_is_handled_while_four_columns_stream(home: Home) -> None:
    over = asyncio.Event()
    async with LiveServer(home, FOUR) as server:
        app = chatting(home, FOUR)
        async with app.run_test(size=(160, 50)) as pilot:
            await until(pilot, lambda: "Hello from oracle" in screen_text(app))
            board = app.query_one(Board)
            began, before = time.monotonic(), board.drawn
            streaming = asyncio.create_task(server.stream(50, over))
            await until(pilot, lambda: board.columns and max(len(c.rows) for c in board.columns) > 60)
            keys = 0
            for key, handled in (
                ("m", lambda: app.state.chat.graph == "on"),
                ("m", lambda: app.state.chat.graph == "off"),
                ("l", lambda: not app.state.chat.aligned),
                ("left_square_bracket", lambda: board.chosen == 0),
                ("right_square_bracket", lambda: board.chosen is None),
                ("home", lambda: board.scroll_offset.y == 0),
                ("end", lambda: board.scroll_offset.y > 0),
                ("ctrl+t", lambda: "to A only" in app.query_one(Input).placeholder),
                ("x", lambda: server.received[-1]["op"] == "stop"),
                ("i", lambda: app.query_one(Input).has_focus),
                *((letter, lambda n=n: app.state.chat.draft == "while they stream"[:n]) for n, letter in
                  enumerate(("w", "h", "i", "l", "e", "space"), 1)),
                ("escape", lambda: board.has_focus),
                ("2", lambda: app.state.pane == "dialogues"),
                ("4", lambda: app.state.pane == "chat"),
            ):  # fmt: skip
                await pilot.press(key)
                await until(pilot, handled)
                keys += 1
            assert all(c.state == "answering" for c in app.query_one("#chat").talk.columns)  # type: ignore[attr-defined]
            drawn, elapsed = board.drawn - before, time.monotonic() - began
            over.set()
            await streaming
            # One drawing a period, one more for what a key changes: never one a token (200 a second here).
            assert drawn <= elapsed / REDRAW + 3 * keys + 5


@pytest.mark.parametrize(("size", "columns"), [((80, 24), 2), ((120, 40), 3), ((160, 50), 4), ((60, 20), 1)])
async def test_columns_by_width_and_the_rest_as_strips(home: Home, size: tuple[int, int], columns: int) -> None:
    async with LiveServer(home, FOUR) as server:
        app = chatting(home, FOUR, graph="off")
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: "Hello from" in screen_text(app))
            for n in range(4):
                server.place(n, ["open", "user_request"])
            await until(pilot, lambda: all(c.at for c in app.query_one("#chat").talk.columns))  # type: ignore[attr-defined]
            await until(pilot, lambda: len(_strips(app)) == 4 - columns)
            strips = _strips(app)
            assert len(app.query_one(Board).columns) == columns
            assert all("$" in row and "Hello from" in row for row in strips)
            if size == (80, 24):
                assert app.query_one(Board).size.height >= 16


def _strips(app: Workbench) -> list[str]:
    rows = screen_text(app).splitlines()
    return [row for row in rows if "user_request" in row and row.strip()[:1] == "○" and "$" in row]


async def test_a_failed_column_says_what_to_do_and_the_others_go_on(home: Home) -> None:
    async with LiveServer(home, FOUR[:2]) as server:
        app = chatting(home, FOUR[:2])
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: "Hello from" in screen_text(app))
            server.tell("state", column=1, state="answering", queued=0, auto=0)
            server.tell("waiting", column=1, text="trying again (2 of 4) in 0.5 s: a: Overloaded [529]")
            await until(pilot, lambda: "trying again (2 of 4)" in screen_text(app))
            server.tell("chunk", column=1, text="so far and ")
            await until(pilot, lambda: "trying again" not in screen_text(app))
            server.tell("state", column=1, state="failed", queued=0, auto=0, error="overloaded (529): wait, then retry")
            await until(pilot, lambda: "overloaded (529)" in screen_text(app))
            assert "so far and" in screen_text(app)
            assert "asks again" in screen_text(app)
            await pilot.press("r")
            await until(pilot, lambda: server.received[-1] == {"op": "retry", "to": [1]})
            await pilot.press("i", *"on", "enter")
            await until(pilot, lambda: "a reply in words" in screen_text(app))


async def test_a_message_that_reaches_nobody_stays_in_the_input(home: Home) -> None:
    async with LiveServer(home, FOUR[:2]) as server:
        app = chatting(home, FOUR[:2])
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: "Hello from" in screen_text(app))
            for column in range(2):
                server.tell("state", column=column, state="ended", queued=0, auto=0, ended_by="stopped")
            await until(pilot, lambda: not app.query_one(Input).placeholder.startswith("to"))
            before = len(server.received)
            await pilot.press("i", *"lost", "enter")
            await until(pilot, lambda: "all have ended" in screen_text(app))
            assert app.query_one(Input).value == "lost"
            await pilot.press("escape", "s", "p")
            await pilot.pause()
            assert len(server.received) == before
            server.tell("state", column=1, state="failed", queued=0, auto=0, error="no key")
            await until(pilot, lambda: "asks B again" in app.query_one(Input).placeholder)
            await pilot.press("i", *["backspace"] * 4, "enter")
            await until(pilot, lambda: server.received[-1] == {"op": "retry", "to": [1]})


async def test_a_conversation_that_is_just_starting_is_joined_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever speaks to it meanwhile waits for the same line."""
    async with LiveServer(home, FOUR[:2]) as server:
        starting, joined = asyncio.Event(), LiveClient.join

        async def join(*args: Any, **kwargs: Any) -> LiveClient:
            await starting.wait()
            return await joined(*args, **kwargs)

        monkeypatch.setattr(LiveClient, "join", join)
        monkeypatch.setattr(session, "resume", lambda _, job: SimpleNamespace(id=job))
        app = chatting(home, FOUR[:2])
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: "starting" in screen_text(app))
            await pilot.press("i", *"early", "enter")
            await pilot.pause()
            starting.set()
            await until(pilot, lambda: screen_text(app).count("a reply in words") >= 2)
            assert [m["op"] for m in server.received] == ["join", "say"]


async def test_the_keys_behind_the_one_that_opens_the_line_for_a_name_belong_to_the_name(home: Home) -> None:
    app = Workbench(home, watch=False)
    async with app.run_test(size=(80, 24)) as pilot:
        chosen: list[Any] = []
        await app.push_screen(AgentsScreen(("compiled:a",), ()), chosen.append)
        for name in ("compiled:b", "compiled:x"):
            for char in f"/{name}":  # in one burst, as a slow line brings them
                app.post_message(events.Key({"/": "slash", ":": "colon"}.get(char, char), char))
            await until(pilot, lambda name=name: app.screen.query_one(Input).value == name)  # type: ignore[misc]
            await pilot.press("enter")
            await until(pilot, lambda name=name: f" {name}" in screen_text(app))  # type: ignore[misc]
        assert "compiled:a" in screen_text(app), "the list grows with its rows"
        await pilot.press("enter")
        assert chosen == [("compiled:b", "compiled:x")]


async def test_the_mark_of_a_chosen_message_does_not_outlive_its_conversation(home: Home) -> None:
    async with LiveServer(home, FOUR[:2]):
        app = chatting(home, FOUR[:2])
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: "Hello from" in screen_text(app))
            await pilot.press("left_square_bracket")
            assert app.query_one(Board).chosen == 0
            app.query_one("#chat")._join(JOB)  # type: ignore[attr-defined]
            assert app.query_one(Board).chosen is None


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_local_servers_are_shown_with_health_load_and_memory(
    home: Home, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = {"status": "ok", "active": 2, "queued": 1, "tokens_per_s": 41.6, "rss_bytes": 2e9, "idle_s": 0.0}
    told = [
        {"job": "a" * 16, "model": "travel", "engine": "light", "idle_minutes": 15.0, "cache_bytes": 12e6,
         "cache_limit": 1074e6, **busy},
        {"job": "b" * 16, "model": "other", "engine": "vllm", "idle_minutes": 0.0, "status": "no answer"},
    ]  # fmt: skip
    stopped: list[str] = []
    monkeypatch.setattr(servers, "look", lambda _: told)
    monkeypatch.setattr(servers, "stop", lambda _, job: stopped.append(job))
    app = chatting(home, ())
    async with app.run_test(size=size) as pilot:
        await press(pilot, "H")
        await until(pilot, lambda: "travel" in screen_text(app) and "no answer" in screen_text(app))
        rows = screen_text(app).splitlines()
        (first,) = (row for row in rows if "travel" in row)
        assert all(word in first for word in ("light", "2+1", "42", "2.0 GB", "12/1074 MB", "0 of 15 min"))
        assert any("other" in row and "no answer" in row for row in rows)
        await press(pilot, "x")
        await until(pilot, lambda: stopped == ["a" * 16])
        await press(pilot, "escape")
        assert not app.screen.query("#servers-list")


async def test_saying_anew_branching_and_retrying_name_the_message(home: Home) -> None:
    async with LiveServer(home, FOUR[:2]) as server:
        app = chatting(home, FOUR[:2])
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: "Hello from" in screen_text(app))
            await pilot.press("i", *"one", "enter", "escape")
            await until(pilot, lambda: screen_text(app).count("a reply in words") >= 2)
            await pilot.press("e")
            await until(pilot, lambda: app.screen.query("#words"))
            await pilot.press(*" or two", "enter")
            wanted = {"op": "back", "idx": 1, "text": "one or two", "to": None}
            await until(pilot, lambda: server.received[-1] == wanted)
            await pilot.press("left_square_bracket", "left_square_bracket", "b")
            await until(pilot, lambda: server.received[-1] == {"op": "back", "idx": 2, "text": None, "to": None})
            await pilot.press("r")
            await until(pilot, lambda: server.received[-1] == {"op": "retry", "to": None})


async def test_a_blind_comparison_names_nobody_before_the_vote(home: Home) -> None:
    async with LiveServer(home, FOUR[:2], blind=True) as server:
        server.place(0, ["open", "user_request"], known=True)
        app = chatting(home, FOUR[:2])
        async with app.run_test(size=(160, 50)) as pilot:
            await until(pilot, lambda: "Hello from" in screen_text(app))
            shown = screen_text(app)
            assert "agent A" in shown
            for secret in ("compiled:a ", "orchestrated:b", "user_request", "cheaper", "10 tok"):
                assert secret not in shown.replace("Hello from compiled:a", "").replace("Hello from orchestrated:", "")
            await pilot.press("m")
            assert not app.query_one("#chat-map").display
            await pilot.press("v")
            await until(pilot, lambda: app.screen.query("#vote-note"))
            await pilot.press("r", *"faster", "enter")
            await until(pilot, lambda: "orchestrated:b" in screen_text(app))
            vote = next(m for m in server.received if m["op"] == "vote")
            assert (vote["choice"], vote["note"]) == ("1", "faster")


async def test_a_conversation_is_replayed_without_its_process(home: Home) -> None:
    async with LiveServer(home, ("oracle",)) as server:
        events = "".join(f"{line}\n" for line in map(_line, server.events))
    folder = home.jobs / JOB
    (folder / "events.jsonl").write_text(events)
    (folder / "done.json").write_text('{"attempt": 1, "at": 1.0, "state": "done", "result": {}}')
    app = chatting(home, ("oracle",))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Hello from oracle" in screen_text(app))
        await pilot.press("P")
        await until(pilot, lambda: "REPLAY" in screen_text(app) or "Hello from oracle" in screen_text(app))
        await until(pilot, lambda: "REPLAY" not in screen_text(app) and "Hello from oracle" in screen_text(app))


async def test_what_waited_when_the_process_died_is_shown_as_unsaid_and_one_key_goes_on(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LiveServer(home, ("oracle",)) as server:
        server.tell("state", column=0, state="answering", queued=0, auto=0)
        server.tell("chunk", column=0, text="half a ")
        server.tell("queued", column=0, text="I would like to know more.")
        server.tell("state", column=0, state="answering", queued=1, auto=0)
        (home.jobs / JOB / "events.jsonl").write_text("".join(f"{line}\n" for line in map(_line, server.events)))
        done = home.jobs / JOB / "done.json"
        done.write_text('{"attempt": 1, "at": 1.0, "state": "failed", "result": {}}')

        def again(_: Home, job: str) -> SimpleNamespace:
            done.unlink()
            return SimpleNamespace(id=job)

        monkeypatch.setattr(session, "resume", again)
        app = chatting(home, ("oracle",))
        async with app.run_test(size=(80, 24)) as pilot:
            await until(
                pilot, lambda: "its process is gone (1 message not said yet, A to reply): ⏎" in screen_text(app)
            )
            await until(pilot, lambda: "I would like to know more. (not said yet)" in screen_text(app))
            await pilot.press("i", "enter")
            await until(pilot, lambda: server.received)
            server.turn(0, "half a reply")
            server.tell("said", column=0, idx=2, text="I would like to know more.", by="human")
            await until(pilot, lambda: "not said yet" not in screen_text(app))
            assert "I would like to know more." in screen_text(app)
            assert [m["op"] for m in server.received] == ["join"]


def _line(event: dict[str, Any]) -> str:
    import json

    return json.dumps(event)


SIZES = [(80, 24), (120, 40), (160, 50)]


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40", "160x50"])
def test_four_agents_in_a_picture(home: Home, snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    async def talk(pilot: Pilot[int]) -> None:
        await until(pilot, lambda: pilot.app.query("#chat-board"))
        async with LiveServer(home, FOUR, "Is **Oslo** right?\n\n1. *Fjord*\n2. City") as server:
            pilot.app.query_one("#chat")._join(JOB)  # type: ignore[attr-defined]
            await until(pilot, lambda: "Hello from" in screen_text(pilot.app))  # type: ignore[arg-type]
            for n in range(4):
                server.place(n, ["open", "user_request", "assess", "user_clarify"][: n + 1], known=n == 1)
            error = "no key for anthropic: set ANTHROPIC_API_KEY, then retry"
            server.tell("state", column=2, state="failed", queued=1, auto=0, error=error)
            await pilot.press("i", *"hi", "enter", "escape")
            await until(pilot, lambda: len(pilot.app.query_one("#chat").talk.columns[3].said) == 3)  # type: ignore[attr-defined]
            before = ""
            while before != (now := screen_text(pilot.app)):  # type: ignore[arg-type]
                before = now
                await asyncio.sleep(2 * REDRAW)
                await pilot.pause()

    app = Workbench(home, watch=False)
    app.state = AppState("chat", chat=ChatState(FOUR))
    assert snap_compare(app, terminal_size=size, run_before=talk)
