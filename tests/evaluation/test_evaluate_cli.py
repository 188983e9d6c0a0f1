"""`workbench evaluate` and `results rejudge --judge`: estimates before money, refusals in one line, settings of the job."""

from __future__ import annotations

import json

import pytest

from tests.evaluation.test_cli import run
from workbench.evaluation.plan import plan_of
from workbench.evaluation.preview import preview
from workbench.home import Home
from workbench.models.prices import Price
from workbench.store import connect

CLAUDE, GPT = "anthropic/claude-sonnet-5-5", "openai/gpt-4.1"
PRICE = (Price(2.0, 10.0, 0.2, 2.5, "2026-11-01"), False)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test-0123456789")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")


def test_the_estimate_counts_real_requests(home: Home) -> None:
    plan = plan_of(
        {
            "workflow": "travel_booking",
            "agents": [f"in-context:{CLAUDE}", f"orchestrated:{GPT}", "oracle"],
            "scenarios": 12,
            "user": f"llm:{GPT}",
            "judges": ["pair"],
            "judge_repetitions": 2,
        }
    )
    with connect(home) as rec:
        found = preview(rec, plan, {CLAUDE: PRICE, GPT: (None, False)})
        half = preview(rec, plan, {CLAUDE: PRICE, GPT: PRICE}, batch=True)
    parts = {p.what: p for p in found.parts}
    assert (found.conversations, found.judgements) == (36, 2 * 36 * 2)
    in_context, orchestrated = parts[f"in-context:{CLAUDE}"], parts[f"orchestrated:{GPT}"]
    assert in_context.calls >= 24
    assert orchestrated.calls > in_context.calls  # a choice at every hub comes on top
    assert in_context.input > orchestrated.input / 2  # the whole graph at every turn
    assert in_context.dollars == pytest.approx((in_context.input * 2 + in_context.output * 10) / 1e6, rel=0.01)
    assert orchestrated.dollars is None
    assert found.dollars is None  # one price is unknown: so is the sum
    assert parts["simulated user"].calls > 0
    judge = {p.what: p for p in half.parts}[f"judge {CLAUDE}"]
    assert judge.calls == 72
    assert judge.dollars == pytest.approx(parts[f"judge {CLAUDE}"].dollars / 2)  # type: ignore[operator]
    assert half.dollars is not None


def test_a_dry_run_shows_and_starts_nothing(home: Home, keys: None, capsys: pytest.CaptureFixture[str]) -> None:
    asked = (
        "evaluate",
        "travel_booking",
        "--agents",
        f"in-context:{CLAUDE},oracle",
        "--scenarios",
        "6",
        "--judge",
        "pair",
    )
    assert run(home, *asked, "--dry-run", "--budget", "4") == 0
    told = capsys.readouterr().out
    assert "12 conversations to hold, 24 judgements" in told
    assert f"judge {GPT}" in told
    assert "budget: $4.00" in told
    assert not (home.root / "jobs").exists() or not any((home.root / "jobs").iterdir())
    assert run(home, *asked, "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["judgements"] == 24


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--judge", "pair"), "add --yes"),
        (("--judge", "nobody"), "no judge"),
        (("--judge", "llm:http://198.51.100.1:9/v1#m", "--budget", "3"), "price of"),
        (("--judge", "gpt-4.1", "--batch", "--yes"), "batch"),
        (("--judge", "gpt-4.1", "--rubric", "nowhere.yaml"), "no rubric"),
        (("--concurrency", "many", "--agents", "oracle"), "concurrency"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    home: Home, keys: None, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], why: str
) -> None:
    assert run(home, "evaluate", "travel_booking", "--agents", "oracle", "--scenarios", "2", *more) == 2
    assert why in capsys.readouterr().err


def test_a_missing_key_is_told_before_anything_starts(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    assert run(home, "evaluate", "travel_booking", "--agents", f"in-context:{CLAUDE}", "--yes") == 2
    assert "ANTHROPIC_API_KEY is not set" in capsys.readouterr().err
