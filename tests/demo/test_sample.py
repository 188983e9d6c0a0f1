"""Sample data: one command, the same again adds nothing, real measures on it, and never on top of a real record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fakes.record import make_sample_record
from workbench.cli.main import cli
from workbench.demo.sample import AGENTS, STATEMENT, Amount, make_sample
from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs import jobs
from workbench.store import connect
from workbench.store.comparisons import comparisons
from workbench.store.dialogues import DialogueFilter, count_dialogues
from workbench.store.explore import tables

SMALL = Amount(dialogues=40, conversations=4, scenarios=6)


def counts(home: Home) -> dict[str, int]:
    return {table.name: table.rows for table in tables(home)}


def test_the_same_amount_again_adds_nothing_and_a_larger_one_what_is_missing(tmp_path: Path) -> None:
    home = Home(tmp_path / "runs")
    make_sample(home, SMALL)
    before = counts(home)
    make_sample(home, SMALL)
    assert counts(home) == before
    make_sample(home, Amount(dialogues=60, conversations=4, scenarios=6))
    with connect(home) as rec:
        assert count_dialogues(rec, DialogueFilter()) == 60


def test_the_comparison_is_measured_and_says_what_it_is(tmp_path: Path) -> None:
    home = Home(tmp_path / "runs")
    make_sample(home, Amount(dialogues=40, scenarios=12))
    with connect(home) as rec:
        (row,) = comparisons(rec)
    assert row.status == "done"
    assert row.summary["statement"] == STATEMENT
    agents = row.summary["agents"]
    assert set(agents) == set(AGENTS)
    assert agents["oracle"]["fitness"] >= 0.95  # flawless, by the real measure
    assert agents["orchestrated"]["fitness"] < agents["oracle"]["fitness"]  # half of its conversations have a fault
    assert [job.kind for job in jobs(home)] == ["train"]


def test_a_record_of_ones_own_is_never_mixed_with_sample_data(tmp_path: Path) -> None:
    home = Home(tmp_path / "runs")
    make_sample_record(home).close()
    before = counts(home)
    with pytest.raises(UserError, match="choose another folder"):
        make_sample(home, SMALL)
    assert counts(home) == before
    assert not home.sample.exists()


def test_one_command_makes_it(tmp_path: Path) -> None:
    options = ["--home", str(tmp_path), "record", "sample", "--dialogues", "20", "--scenarios", "0", "--json"]
    done = CliRunner().invoke(cli, options)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["bytes"] > 0
    assert Home(tmp_path / "runs").sample.exists()
