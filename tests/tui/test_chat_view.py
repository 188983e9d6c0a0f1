"""The chat pane's plain data: what events make of a talk, and the rows that are drawn of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.record import START
from workbench.agents.live_client import STOPPED
from workbench.agents.names import brief_name
from workbench.store.rows import ChatRow
from workbench.tui.panes.chat import view
from workbench.tui.panes.chat.invitation import invitation
from workbench.tui.panes.chat.layout import Wrapper, changed, message_rows, shares
from workbench.tui.panes.chat.map import map_lines
from workbench.tui.state import ChatState
from workbench.tui.widgets.markdown import markdown
from workbench.tui.widgets.safe import width_of
from workbench.workflow.load import load_workflow

FOUR = ("compiled:a", "orchestrated:openai/b", "in-context:anthropic/c", "oracle")


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
