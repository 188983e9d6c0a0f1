"""`workbench dialogues generate` as people meet it: the plan, the question, the exit codes, what a mistake says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.dialogue.writing import SONNET, obliging
from tests.fakes.anthropic_server import fake_anthropic
from tests.fakes.openai_server import Act, Fake
from workbench.cli import generate as module
from workbench.cli.dialogues import group
from workbench.cli.jobs import group as jobs_group
from workbench.cli.main import main
from workbench.errors import ServiceError, UserError
from workbench.home import Home
from workbench.jobs import jobs
from workbench.jobs.launcher import reap

SMALL = ("travel_booking", "--train", "0", "--dev", "0", "--test", "5", "--least", "0")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test-0123456789abcdef")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("WORKBENCH_LAUNCHER", raising=False)
    yield
    reap()


@pytest.fixture
def claude(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    with fake_anthropic("") as fake:
        fake.answer = obliging
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        yield fake


def run(home: Home, *words: str, say: str | None = None) -> Result:
    return CliRunner().invoke(group, ["generate", *words], obj=home, input=say)


def test_the_plan_is_shown_and_nothing_is_started(home: Home) -> None:
    result = run(home, "travel_booking", "--train", "100", "--least", "5", "--writer", SONNET, "--dry-run")
    assert "200 dialogues: 100 train on 86 of 86 paths, 60 dev, 40 test" in result.output
    assert "estimate: 200 calls" in result.output
    plan = json.loads(run(home, *SMALL, "--writer", SONNET, "--manner", "turns", "--dry-run", "--json").output)
    found = plan["estimate"]
    assert (plan["dialogues"]["test"], plan["written"], found["dialogues"]) == (5, 0, 5)
    assert found["calls"] > 20
    assert found["dollars"] == pytest.approx((found["input"] * 3 + found["output"] * 15) / 1e6, rel=0.01)
    half = json.loads(
        run(home, *SMALL, "--writer", SONNET, "--manner", "turns", "--dry-run", "--json", "--batch").output
    )
    assert half["estimate"]["dollars"] == pytest.approx(found["dollars"] / 2)
    assert half["estimate"]["seconds"] is None
    each = json.loads(run(home, "travel_booking", "--per-path", "2", "--dry-run", "--json").output)
    assert (each["dialogues"]["train"], each["distinct_paths"]) == (172, 86)
    assert jobs(home) == []


def test_an_unknown_price_is_not_zero_and_a_local_model_costs_nothing(home: Home) -> None:
    unknown = run(home, *SMALL, "--writer", "anthropic/new-model", "--dry-run")
    assert "cost unknown (the model has no price)" in unknown.output
    local = run(home, *SMALL, "--writer", "http://127.0.0.1:9/v1#m", "--dry-run")
    assert "nothing to pay (local)" in local.output


def test_money_is_spent_only_after_yes(home: Home, claude: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = run(home, *SMALL, "--writer", SONNET)
    assert isinstance(nobody.exception, UserError)
    assert "add --yes" in str(nobody.exception)

    monkeypatch.setattr(module, "_somebody_is_there", lambda: True)
    declined = run(home, *SMALL, "--writer", SONNET, say="n\n")
    assert "Go ahead? [y/N]" in declined.output
    assert (declined.exit_code, claude.bodies, jobs(home)) == (1, [], [])
    agreed = run(home, *SMALL, "--writer", SONNET, say="y\n")
    assert "5 test; 5 new, 0 quarantined" in agreed.output
    assert "5 calls (0 failed)" in agreed.output
    again = run(home, *SMALL, "--writer", SONNET)
    assert "5 are written already, 0 are left" in again.output
    assert len(claude.bodies) == 5


def test_a_budget_ends_with_a_services_exit_code_and_more_of_it_goes_on(home: Home, claude: Fake) -> None:
    result = run(home, *SMALL, "--writer", SONNET, "--yes", "--budget", "0.03", "--concurrency", "1")
    assert isinstance(result.exception, ServiceError)
    assert "are left" in str(result.exception)
    first = len(claude.bodies)
    assert 0 < first < 5
    done = run(home, *SMALL, "--writer", SONNET, "--yes", "--budget", "1", "--json")
    assert json.loads(done.output)["test"] == 5
    assert len(claude.bodies) == 5
    assert len(jobs(home)) == 1


@pytest.mark.parametrize(("status", "todo"), [(401, "key in the environment"), (403, "may use"), (404, "model's name")])
def test_a_wrong_key_or_model_ends_with_one_line_and_a_services_exit_code(
    status: int,
    todo: str,
    home: Home,
    claude: Fake,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    claude.script = [Act(status=status, kind="error", message="no such thing for you")]
    words = ["--home", str(home.root.parent), "dialogues", "generate", *SMALL, "--writer", SONNET, "--yes", "--json"]
    words += ["--concurrency", "1"]
    monkeypatch.setattr("sys.argv", ["workbench", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 3
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "no such thing for you" in said[0]
    assert todo in said[0]
    assert len(claude.bodies) == 1


def test_what_was_quarantined_is_written_anew_by_the_same_command(home: Home, claude: Fake) -> None:
    words = (*SMALL, "--writer", SONNET, "--yes", "--concurrency", "1")
    claude.script = [Act("no JSON", fixed=True)] * 3 + [""]
    assert "--retry-quarantined 1 writes it anew" in run(home, *words).output
    plan = run(home, *words, "--retry-quarantined", "1", "--dry-run").output
    assert "4 are written already, 1 are left" in plan
    assert "1 of these are quarantined and are written anew" in plan
    done = json.loads(run(home, *words, "--retry-quarantined", "1", "--json").output)
    assert (done["new"], done["quarantined"], done["test"]) == (1, 0, 5)
    assert len(jobs(home)) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--writer", "openai/gpt-4.1"), "OPENAI_API_KEY is not set"),
        (("--writer", "nonsense"), "is not a model"),
        (("--writer", "local/nothing"), "no model"),
        (("--batch",), "add --writer MODEL"),
        (("--budget", "3"), "add --writer MODEL"),
        (("--retry-quarantined", "1"), "add --writer MODEL"),
        (("--manner", "turns"), "add --writer MODEL"),
        (("--writer", "anthropic/new-model", "--budget", "3"), "prices.json"),
        (("--writer", "http://127.0.0.1:9/v1#m", "--batch"), "--batch works with anthropic/NAME"),
        (("--writer", SONNET, "--user", "x/y"), "only --manner turns has"),
        (("--writer", SONNET, "--concurrency", "0"), "auto or a number"),
        (("--train", "-1"), "must not be negative"),
    ],
)
def test_a_mistake_is_one_line_before_anything_starts(words: tuple[str, ...], says: str, home: Home) -> None:
    result = run(home, *SMALL, *words)
    assert isinstance(result.exception, UserError)
    assert says in str(result.exception)
    assert jobs(home) == []


def test_the_estimate_learns_the_speed_and_the_job_shows_what_it_spent(home: Home, claude: Fake) -> None:
    turns = (*SMALL, "--writer", SONNET, "--manner", "turns")
    assumed = run(home, *turns, "--dry-run").output
    assert "assuming 1 s + 60 tokens/s a call" in assumed
    done = json.loads(run(home, *turns, "--yes", "--json").output)
    assert done["calls"] > 20
    learnt = run(home, *turns, "--seed", "7", "--dry-run").output
    assert f"speed of {done['calls']} earlier calls" in learnt
    shown = CliRunner().invoke(jobs_group, ["show", done["job"]], obj=home).output
    assert f"spent {done['cost']:.4g}" in shown
    assert "in flight 0" in shown
    listed = CliRunner().invoke(group, ["list", "--json"], obj=home)
    assert json.loads(listed.output)["total"] == 5
