"""The chat pane: columns side by side while they stream, fail, branch, are voted on and replayed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from tests.fakes.record import START
from tests.tui.conftest import press, screen_text, until
from tests.tui.live_server import JOB, LiveServer
from workbench.agents.live_client import STOPPED, LiveClient
from workbench.agents.names import brief_name
from workbench.home import Home
from workbench.store.rows import ChatRow
from workbench.tui.panes.chat import servers, session, view
from workbench.tui.panes.chat.board import Board
from workbench.tui.panes.chat.dialogs import AgentsScreen
from workbench.tui.panes.chat.invitation import invitation
from workbench.tui.panes.chat.layout import Wrapper, changed, message_rows, shares
from workbench.tui.panes.chat.map import map_lines
from workbench.tui.panes.chat.screen import REDRAW
from workbench.tui.shell import Workbench
from workbench.tui.state import AppState, ChatState
from workbench.tui.widgets.markdown import markdown
from workbench.tui.widgets.safe import width_of
from workbench.workflow.load import load_workflow

FOUR = ("compiled:a", "orchestrated:openai/b", "in-context:anthropic/c", "oracle")


def chatting(home: Home, agents: tuple[str, ...], **state: Any) -> Workbench:
    app = Workbench(home, watch=False)
    app.state = AppState("chat", chat=ChatState(agents, JOB, **state))
    return app


def told(*events: dict[str, Any], agents: int = 2) -> view.Talk:
    named = [{"column": n, "name": FOUR[n], "conversation": str(n)} for n in range(agents)]
    talk = view.fold(view.Talk(), {"seq": 1, "type": "hello", "agents": named, "workflow": "travel_booking"})
    for event in events:
        talk = view.fold(talk, event)
    return talk


def said(column: int, idx: int, text: str) -> dict[str, Any]:
    return {"type": "said", "column": column, "idx": idx, "text": text, "by": "human"}


def turn(column: int, idx: int, text: str) -> dict[str, Any]:
    usage = {"input": 1, "output": 1, "cache_read": 0, "cache_write": 0}
    return {"type": "turn", "column": column, "idx": idx, "text": text, "usage": usage, "calls": 1, "cost": 0.0}


def test_the_empty_pane_says_what_to_press_who_is_here_and_what_was_said_last() -> None:
    def shown(**state: Any) -> str:
        talks = [
            ChatRow("1" * 16, "the good one", FOUR[:2], "travel_booking", 7, open=False, blind=False, created=START),
            ChatRow("2" * 16, "", FOUR[2:], "travel_booking", 1, open=True, blind=True, created=START),
        ]
        lines = invitation(ChatState(**state), (*FOUR, *"5678"), talks, "travel_booking")
        assert all(width_of(said) <= 78 for said in lines)
        return "\n".join("".join(text for text, _ in said) for said in lines)

    first = shown()
    assert "a  chooses the agents" in first
    assert "a user of travel_booking" in first
    assert "compiled:a      the procedure is in its weights" in first
    assert "and 2 more: a shows all" in first
    assert "7 messages  the good one  compiled:a, orchestrated:b" in first
    assert "1 message  blind" in first  # and no names: there was no vote
    assert "n  talks to oracle" in shown(agents=("oracle",))
    unread = invitation(ChatState(("oracle",)), (), (), "")
    assert not any("Agents here" in text for said in unread for text, _ in said)


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
def test_four_agents_in_a_picture(home: Home, snap_compare: Any, size: tuple[int, int]) -> None:
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


# Plain data --------------------------------------------------------------------------------------------------------


def test_a_branch_cuts_and_an_alone_message_diverges() -> None:
    talk = told(turn(0, 0, "hi"), said(0, 1, "x"), turn(0, 2, "y"), turn(1, 0, "hi"))
    talk = view.fold(talk, {"type": "branch", "column": 0, "idx": 1, "conversation": "new", "of": "old"})
    assert [s.text for s in talk.columns[0].said] == ["hi"]
    assert len(talk.columns[1].said) == 1
    talk = view.fold(talk, {"type": "state", "column": 1, "state": "ready", "diverged": True})
    assert (talk.columns[0].diverged, talk.columns[1].diverged) == (False, True)
    assert any("diverged" in text for text, _ in view.head(talk, talk.columns[1], True)[0])


def test_a_failed_reply_stays_until_it_is_asked_for_again() -> None:
    def state(name: str, **more: Any) -> dict[str, Any]:
        return {"type": "state", "column": 0, "state": name, **more}

    def chunk(text: str) -> dict[str, Any]:
        return {"type": "chunk", "column": 0, "text": text}

    begun = (state("answering"), chunk("so "), state("answering", queued=1), chunk("far"), state("failed", error="cut"))
    assert told(*begun).columns[0].reply == "so far"
    assert told(*begun, state("answering"), chunk("anew")).columns[0].reply == "anew"


def test_what_nobody_measured_is_unknown_and_what_is_known_of_a_cost_is_shown() -> None:
    whole = turn(0, 0, "Hello") | {"latency_s": 2.0, "ttft_s": None, "malformed": 1}
    assert view.figures(whole) == "2.0 s first – · 1→1 tok · 1 malformed · $0"
    totals = {"input": 1, "output": 1, "cost": None, "known_cost": 0.02}
    talk = told(whole | {"totals": totals})
    assert talk.columns[0].spent == "≥ $0.0200"
    assert told(whole | {"totals": totals | {"known_cost": 0}}).columns[0].spent == "$?"
    cut = turn(0, 1, "Hel") | {"usage": dict.fromkeys(whole["usage"], 0), "totals": totals}
    assert [told(*turns).columns[0].tokens for turns in ((whole,), (whole, cut))] == ["0 tok", "≥ 2 tok"]
    assert told(cut | {"idx": 0, "totals": {}}).columns[0].tokens == "? tok"


def test_the_input_says_to_whom_it_goes() -> None:
    talk = told(turn(0, 0, "hi"), agents=3)
    assert view.whom(talk, None).startswith("to all ABC")
    talk = view.fold(talk, {"type": "state", "column": 0, "state": "ended", "ended_by": "agent"})
    talk = view.fold(talk, {"type": "state", "column": 2, "state": "answering"})
    assert view.whom(talk, None).startswith("to BC, 1 still answering takes it next")
    assert view.whom(talk, 1) == "to B only: orchestrated:b (^t changes it; it will have diverged)"
    assert view.whom(talk, 0).startswith("A has ended")
    talk = view.fold(talk, {"type": "state", "column": 2, "state": "failed", "error": "no key"})
    assert view.whom(talk, None) == "to BC, ⏎ asks C again (^t: one alone)"
    talk = view.fold(talk, {"type": "state", "column": 2, "state": "ended", "ended_by": "stopped"})
    assert view.whom(talk, 1) == "to B only: orchestrated:b (^t changes it)"
    assert view.whom(talk, None) == "to only B (^t: one alone)"


def test_what_is_wrong_is_told_over_the_column_and_in_a_strip_but_names_nobody_in_a_blind_comparison() -> None:
    def shown(talk: view.Talk) -> list[str]:
        lines = [*view.head(talk, talk.columns[1], True), view.strip(talk, talk.columns[1])]
        lines += Wrapper().lay(talk.columns, [40, 40], aligned=True, masked=talk.masked)[1].rows
        return ["".join(text for text, _ in spans) for spans in lines]

    for event in (
        {"type": "state", "state": "failed", "error": "OPENAI_API_KEY is not set", "column": 1},
        {"type": "waiting", "text": "trying again: OPENAI is busy", "column": 1},
    ):
        talk = told(turn(0, 0, "hi"), event)
        assert sum("OPENAI" in row for row in shown(talk)) == 3
        assert not any("OPENAI" in row for row in shown(replace(talk, blind=True)))
    stopped = told(turn(0, 0, "hi"), {"type": "state", "state": "failed", "error": STOPPED, "column": 1})
    assert sum("stopped" in row for row in shown(replace(stopped, blind=True))) == 3  # one's own doing tells nothing


def test_an_agent_is_called_by_its_model() -> None:
    assert brief_name("compiled:http://127.0.0.1:8000/v1#travel") == "compiled:travel"
    assert brief_name("orchestrated:local//data/models/base/") == "orchestrated:base"
    assert brief_name("oracle") == "oracle"


@settings(deadline=None)
@given(st.lists(st.lists(st.text(max_size=60), min_size=1, max_size=5), min_size=2, max_size=4))
def test_message_n_starts_on_one_line_in_all_columns(texts: list[list[str]]) -> None:
    events = [turn(c, n, f"x{text}") for c, column in enumerate(texts) for n, text in enumerate(column)]
    columns = told(*events, agents=len(texts)).columns
    laid = Wrapper().lay(columns, [30] * len(columns), aligned=True, masked=False)
    for n in range(max(map(len, texts))):
        assert len({lines.starts[n] for lines in laid if n < len(lines.starts)}) == 1
    assert all(width_of(row) <= 30 for lines in laid for row in lines.rows)


@settings(deadline=None)
@given(st.text(alphabet=" *_`#[]()<>|~-+1.\nabc\x1b\u202e漢", max_size=200), st.integers(8, 60))
def test_markdown_of_anything_fits_and_is_clean(text: str, width: int) -> None:
    for row in markdown(text, width):
        assert width_of(row) <= width + 12  # a deep list keeps at least four cells for its words
        assert not any(char in part for part, _ in row for char in "\x1b\u202e\n")


def test_markdown_shows_where_a_link_leads_and_keeps_html_as_text() -> None:
    rows = markdown("see [here](https://x.example/a) and <b>this</b> **now**", 80)
    assert "".join(part for part, _ in rows[0]) == "see here (https://x.example/a) and <b>this</b> now"
    assert ("now", "strong") in [(part.strip(), tone) for part, tone in rows[0]]


def test_plain_text_is_shown_as_it_is_and_a_user_is_never_markdown() -> None:
    assert [row[1][0] for row in message_rows(view.Said("user", "**a** [x](y)"), 40)[:1]] == ["**a** [x](y)"]


def test_only_rows_that_changed_are_drawn() -> None:
    row = (("a", "plain"),)
    other = (("b", "plain"),)
    assert changed([row, row], [row, row]) is None
    assert changed([row, row, row], [row, other, row]) == (1, 2)
    assert changed([row], [row, other]) == (1, 2)
    assert sum(shares(80, 3)) + 2 == 80


def test_the_graph_shows_where_everyone_stands() -> None:
    flow = load_workflow(str(Path(__file__).parents[2] / "workflows" / "travel_booking.yaml"))
    place = {"nodes": ["open", "user_request"], "edges": ["open>user_request"], "at": "user_request", "known": True}
    talk = told({"type": "place", "column": 0, "idx": 0, **place})
    lines, current = map_lines(flow, talk, 0, 34, 60)
    shown = ["".join(text for text, _ in line) for line in lines]
    assert shown[current].startswith("●  ○ user_request")
    assert any(row.startswith("·  ● open") for row in shown)
    assert any("as the agent itself knows" in row for row in shown)
    assert any("┌" in row for row in shown)
