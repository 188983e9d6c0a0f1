"""Votes: what they add up to, in the record, on the command line, in a pack."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.record import WORKFLOW, make_sample_record, sample_id
from workbench.cli.main import cli
from workbench.evaluation.votes import add_up, text
from workbench.home import Home
from workbench.store import connect
from workbench.store.carry import Selection
from workbench.store.chat_votes import put_vote, votes
from workbench.store.chats import chat_conversations, chats, find_chat, name_chat
from workbench.store.conversations import put_conversation
from workbench.store.pack import pack, unpack
from workbench.store.rows import ConversationRow, MessageRow, VoteRow

JOB = "e" * 16


def vote(number: int, agents: tuple[str, ...], winner: int | None, verdict: str = "win", **more: object) -> VoteRow:
    ids = tuple(sample_id("talk", number, agent) for agent in agents)
    return VoteRow(sample_id("vote", number), JOB, WORKFLOW, agents, ids, winner, verdict, created=number, **more)  # type: ignore[arg-type]


def test_wins_ties_and_bad_ones_by_pairs() -> None:
    found = add_up(
        [vote(n, ("a", "b"), 0) for n in range(6)]
        + [vote(n, ("b", "a"), 0) for n in range(6, 9)]
        + [vote(9, ("a", "b"), None, "tie"), vote(10, ("a", "b"), None, "bad", note="neither")]
    )
    a, b = found.standings
    assert (a.agent, a.wins, a.losses, a.ties, a.bad) == ("a", 6, 3, 1, 1)
    assert a.rate == 6 / 9
    assert a.low is not None and a.high is not None and a.low < a.rate < a.high  # noqa: PT018
    assert a.strength == 0.0
    assert b.strength is not None and b.strength < 0  # noqa: PT018
    # Seven points of eleven against four: the closed form for two agents.
    import math

    assert math.isclose(b.strength, math.log(4 / 7), abs_tol=1e-6)
    assert found.notes == (("all bad: a, b", "neither"),)


@settings(deadline=None)
@given(st.lists(st.tuples(st.permutations(["a", "b", "c"]), st.integers(0, 4)), max_size=25))
def test_pairs_balance_whatever_the_votes(given_votes: list[tuple[list[str], int]]) -> None:
    rows = [
        vote(n, tuple(agents), pick if pick < 3 else None, "win" if pick < 3 else ("tie", "bad")[pick - 3])
        for n, (agents, pick) in enumerate(given_votes)
    ]
    found = add_up(rows)
    assert sum(s.wins for s in found.standings) == sum(s.losses for s in found.standings)
    assert sum(s.wins for s in found.standings) == 2 * sum(r.verdict == "win" for r in rows)
    assert all(s.ties == 2 * sum(r.verdict == "tie" for r in rows) for s in found.standings)


def test_an_agent_against_itself_says_nothing() -> None:
    found = add_up([vote(1, ("a", "a"), 1)])
    assert (found.standings[0].wins, found.standings[0].losses, found.standings[0].rate) == (0, 0, None)


def test_agents_by_url_can_be_told_apart_however_narrow_the_table() -> None:
    long = tuple(
        f"orchestrated:http://127.0.0.1:{port}/a/very/long/way/to/the/servers/v1#smollm2-135m" for port in (1, 2)
    )
    found = add_up([replace(vote(1, (*long, "compiled:last"), 0), note="clear")])
    names = ["orchestrated:127.0.0.1:1#smollm2-135m", "orchestrated:127.0.0.1:2#smollm2-135m", "compiled:last"]
    for width in (0, 110, 76, 40):
        shown = text(found, width)
        assert all(shown.count(name) == 2 for name in names), shown  # in the table or below it, and in the note
        assert f"{names[0]} better than {names[1]}, {names[2]}: clear" in shown
    assert [row.split()[0] for row in text(found, 76).splitlines()[2:5]] == ["A", "B", "C"]


def test_the_latest_vote_on_the_same_conversations_counts_and_travels(tmp_path: Path) -> None:
    home, away = Home(tmp_path / "runs"), Home(tmp_path / "away")
    with make_sample_record(home) as rec:
        put_vote(rec, vote(1, ("a", "b"), 0))
        put_vote(rec, VoteRow(**{**_fields(vote(1, ("a", "b"), 1)), "id": sample_id("second"), "created": 5.0}))
        put_vote(rec, vote(2, ("a", "b"), 0, blind=False))
        assert [v.winner for v in votes(rec)] == [0, 1]  # in the order given
        assert [v.winner for v in votes(rec, blind=True)] == [1]
        row = ConversationRow("c" * 16, None, "oracle", "oracle", None, WORKFLOW, provenance={"job": JOB, "column": 0})
        put_conversation(rec, row, [MessageRow("agent", "hello")])
        name_chat(rec, JOB, "a good one")
        out = tmp_path / "all.zip"
        pack(rec, home, out, Selection(), busy=lambda _: False)
    with connect(away.make()) as rec:
        unpack(rec, away, out)
        assert len(votes(rec)) == 2
        assert [c.name for c in chats(rec)] == ["a good one"]
        assert find_chat(rec, "a good one").job == JOB
        assert chat_conversations(rec, JOB) == ["c" * 16]
    result = CliRunner().invoke(cli, ["--home", str(tmp_path), "results", "votes", "--json"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.output)
    assert (data["n"], data["blind"], data["standings"][0]["agent"]) == (1, 1, "b")
    shown = CliRunner().invoke(cli, ["--home", str(tmp_path), "results", "votes", "--all"]).output
    assert "2 votes, 1 of them blind" in shown


def _fields(row: VoteRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in VoteRow.__slots__}
