"""`workbench chat` and `workbench conversations`, on real processes and the real record."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.agents.fake_server import Fault, chat_server
from tests.fakes.openai_server import Act, fake_openai
from workbench.agents.export import FORMS
from workbench.agents.replay import events_of, pricing, timeline
from workbench.cli.main import cli
from workbench.home import Home
from workbench.jobs import jobs, stop
from workbench.models.prices import Price
from workbench.store.rows import ConversationRow, MessageRow


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
    assert "[no model call, open]" in shown
    file = tmp_path / "talk.jsonl"
    assert run(home, "conversations", "export", wanted, "-o", str(file)).exit_code == 0
    exported = json.loads(file.read_text())
    assert [m["text"] for m in exported["messages"]] == [m["text"] for m in columns[0]["messages"]]
    markdown = run(home, "conversations", "export", wanted, "--to", "md").output
    spoken = sum(m["role"] == "agent" for m in columns[0]["messages"])
    assert markdown.count("**Agent**") == markdown.count("`no model call, ") == spoken
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
    (talk,) = json.loads(run(home, "conversations", "chats", "--json").output)
    assert talk["agents"] == [f"compiled:{url}#a", f"in-context:{url}#b"]


def test_what_had_come_of_a_reply_that_broke_off_is_shown(home: Home) -> None:
    with fake_openai("Hello.", Act("one two three four", cut=2)) as fake:
        result = run(home, "chat", f"compiled:{fake.url}#m", text="hi\n")
    assert "it had said: one two" in result.output


def test_a_blind_talk_tells_nothing_of_who_is_who_before_the_vote(home: Home) -> None:
    def answer(messages: list[dict[str, Any]]) -> str:
        if messages[-1]["content"] == "two":
            raise Fault(400)
        return "Hello."

    with chat_server(answer) as url:
        agents = (f"compiled:{url}#secret", f"in-context:{url}#secret", "oracle")
        result = run(home, "chat", *agents, "--blind", text="one\ntwo\n/vote tie\n")
    before, after = result.output.split("A is ", 1)
    assert "agent A" in before
    assert before.count("failed: /retry asks it again") == 2
    for secret in ("secret", "tokens", "oracle", "user_request", "model call"):
        assert secret not in before
    assert after.count("#secret") >= 2


def test_nothing_that_is_listed_shown_or_exported_names_a_blind_chats_agents_before_the_vote(
    home: Home, tmp_path: Path
) -> None:
    def views() -> list[str]:
        (chat,) = json.loads(run(home, "conversations", "chats", "--json").output)
        (one, *_) = json.loads(run(home, "conversations", "list", "--json").output)
        commands = [
            ("conversations", "chats"), ("conversations", "chats", "--json"), ("conversations", "list"),
            ("conversations", "list", "--json"), ("conversations", "list", "--agent", "oracle"),
            ("conversations", "show", one["id"], "--nodes"), ("conversations", "show", one["id"], "--json"),
            ("conversations", "replay", one["id"], "--speed", "9999"), ("results", "votes"), ("results", "votes", "--json"),
            ("jobs", "list", "--json"), ("jobs", "show", chat["job"]), ("jobs", "show", chat["job"], "--json"),
            ("jobs", "tail", chat["job"], "-n", "999"), ("jobs", "tail", chat["job"], "-n", "999", "--json"),
            *(("conversations", "export", "--chat", "last", "--to", form) for form in FORMS),
        ]  # fmt: skip
        return [run(home, *command).output for command in commands]

    with chat_server(lambda _: "Hello.") as url:
        agents = (f"compiled:{url}#secret", "oracle")
        talked = json.loads(run(home, "chat", *agents, "--blind", "--json", text="one\n").output)
        assert [c["agent"] for c in talked] == ["agent A", "agent B"]
        assert [m["text"].strip() for c in talked for m in c["messages"]].count("Hello.") == 2
        before = [json.dumps(talked), *views()]
        for told in before:
            for secret in ("secret", "oracle", "user_request", "tokens", "no model call", '"output_tokens"', '"input"'):
                assert secret not in told
        assert sum("agent A" in told for told in before) > 5
        assert all("Hello." in told for told in before[-len(FORMS) :])
        (chat,) = json.loads(run(home, "conversations", "chats", "--json").output)
        told = run(home, "chat", "--join", chat["job"], text="/vote A clear\n")  # its process has gone meanwhile
        assert (told.exit_code, "A is " in told.output) == (0, True), told.output
    after = views()
    assert sum("oracle" in told and "secret" in told for told in after) > 5


def test_a_script_waits_for_what_its_orders_bring(home: Home, tmp_path: Path) -> None:
    script = tmp_path / "lines.txt"
    script.write_text("To Oslo, please.\n\n/to B Lima\n/retry\n/back 1 To Rome.\n/retry")  # the last line is not ended
    result = run(home, "chat", "oracle", "oracle", "--script", str(script), "--json")
    assert result.exit_code == 0, result.output
    for column in json.loads(result.output):
        opening, said, answer = column["messages"]
        assert (said["role"], said["text"]) == ("user", "To Rome.")
        assert (answer["role"], answer["nodes"]) == ("agent", ["assess"])
        assert answer["text"] != opening["text"]


def test_ctrl_c_leaves_a_half_written_line_at_once_and_the_conversation_as_it_is(home: Home) -> None:
    keyboard, terminal = pty.openpty()
    command = [sys.executable, "-m", "workbench", "--home", str(home.root.parent), "chat", "oracle"]
    talking = subprocess.Popen(
        command,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # whoever runs the tests may ignore it
    )
    try:
        os.write(keyboard, b"To Oslo, please.\n")
        assert talking.stdout
        said = ""
        while said.count("you> ") < 2:
            piece = talking.stdout.read(1)
            assert piece, said
            said += piece
        os.write(keyboard, b"half a li")
        talking.send_signal(signal.SIGINT)
        rest = talking.communicate(timeout=60)[0]
        assert talking.returncode == 130
        assert "> To Oslo, please." in said
        assert f"`workbench chat --join {jobs(home)[0].id}` takes it up again" in rest
        assert jobs(home)[0].state == "running"
    finally:
        talking.kill()
        stop(home, jobs(home)[0].id, 10.0)
        os.close(keyboard)
        os.close(terminal)


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


def test_known_costs_stay_and_unknown_ones_are_priced_as_is_stated_now() -> None:
    usage = {"input": 500_000, "output": 250_000, "cache_read": 0, "cache_write": 0}
    talk = [
        MessageRow("agent", "one", usage=usage, calls=1, latency_s=2.0, cost=0.5, created=102.0),
        MessageRow("user", "two", created=103.0),
        MessageRow("agent", "three", usage=usage, calls=1, latency_s=3.0, created=109.0),
    ]
    held = [
        (ConversationRow(n, None, name, "compiled", None, "w"), talk)
        for n, name in (("1", "compiled:a"), ("2", "oracle"))
    ]
    events = events_of(held, "travel_booking")
    prices = {"local/a": Price(2.0, 4.0, 0.0, 0.0, "")}

    def spent(column: int, **told: Price) -> list[tuple[float | None, float | None, float]]:
        shown = map(pricing((told or prices).get), events)
        turns = [e for e in shown if e["type"] == "turn" and e["column"] == column]
        return [(e["cost"], e["totals"]["cost"], e["totals"]["known_cost"]) for e in turns]

    assert spent(0) == [(0.5, 0.5, 0.5), (2.0, 2.5, 2.5)]
    assert spent(1) == [(0.5, 0.5, 0.5), (None, None, 0.5)]
    assert spent(0, **{"local/a": Price(0.0, 0.0, 0.0, 0.0, "", 0.1)})[1] == (
        pytest.approx(0.3),
        pytest.approx(0.8),
        pytest.approx(0.8),
    )


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
