"""`workbench chat` and `workbench conversations`, on real processes and the real record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.agents.fake_server import chat_server
from workbench.agents.replay import timeline
from workbench.cli.main import cli
from workbench.home import Home
from workbench.jobs import jobs, stop
from workbench.store.rows import MessageRow


def run(home: Home, *arguments: str, text: str | None = None) -> Result:
    result = CliRunner().invoke(cli, ["--home", str(home.root.parent), *arguments], input=text)
    for job in jobs(home):
        stop(home, job.id, 10.0)
    return result


def test_autopilot_then_list_show_export_and_replay(home: Home, tmp_path: Path) -> None:
    talked = run(home, "chat", "oracle", "oracle", "--auto", "--seed", "3", "--json")
    assert talked.exit_code == 0, talked.output
    columns = json.loads(talked.output)
    assert [c["ended_by"] for c in columns] == ["agent", "agent"]
    assert columns[0]["messages"] == columns[1]["messages"]
    listed = json.loads(run(home, "conversations", "list", "--json").output)
    assert {c["id"] for c in listed} == {c["conversation"] for c in columns}
    wanted = columns[0]["conversation"]
    shown = run(home, "conversations", "show", wanted, "--nodes").output
    assert columns[0]["messages"][-1]["text"] in shown
    assert "[0 tokens, 0.0 s, open]" in shown
    file = tmp_path / "talk.jsonl"
    assert run(home, "conversations", "export", wanted, "-o", str(file)).exit_code == 0
    exported = json.loads(file.read_text())
    assert [m["text"] for m in exported["messages"]] == [m["text"] for m in columns[0]["messages"]]
    assert run(home, "conversations", "export", wanted, "--to", "md").output.count("**Agent**") == sum(
        m["role"] == "agent" for m in columns[0]["messages"]
    )
    replayed = run(home, "conversations", "replay", wanted, "--speed", "1000").output
    assert replayed.startswith("REPLAY oracle")
    assert all(message["text"] in replayed for message in columns[0]["messages"])


def test_lines_from_a_pipe_reach_every_agent_and_hostile_text_no_terminal(home: Home) -> None:
    with chat_server(lambda messages: f"\x1b]52;c;eA==\x07 heard {messages[-1]['content']} [/x]") as url:
        result = run(home, "chat", f"compiled:{url}#a", f"in-context:{url}#b", text="one\n\ntwo\n")
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert result.output.count("heard one") == 2
    assert result.output.count("heard two") == 2
    assert "[/x]" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("chat",),
        ("chat", "nonsense"),
        ("chat", "compiled:nowhere"),
        ("chat", "oracle", "--workflow", "nowhere"),
        ("chat", "oracle", "--scenario", "nowhere"),
        ("chat", "--join", "nowhere"),
        ("conversations", "show", "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_no_traceback(home: Home, arguments: tuple[str, ...]) -> None:
    result = run(home, *arguments)
    assert result.exit_code in (2, 3)
    assert "Traceback" not in result.output


def test_replay_keeps_the_recorded_times() -> None:
    messages = [
        MessageRow("agent", "one two three", latency_s=2.0, ttft_s=1.0, created=102.0),
        MessageRow("user", "four", created=105.0),
        MessageRow("agent", "five", latency_s=1.0, ttft_s=0.5, created=4000.0),
    ]
    pieces = list(timeline(messages))
    assert [(p.at, p.text) for p in pieces[:3]] == [(1.0, "one "), (1.5, "two "), (2.0, "three")]
    assert pieces[3].at == 5.0
    assert pieces[4].at == 25.5
    assert [p.last for p in pieces] == [False, False, True, True, True]
