from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from workbench.cli.main import cli
from workbench.models.server.look import load_words


def run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home), *words])


def test_nothing_is_served_at_first_and_an_unknown_model_is_bad_input(tmp_path: Path) -> None:
    assert json.loads(run(tmp_path, "serve", "list", "--json").output) == []
    assert "workbench serve RUN" in run(tmp_path, "serve", "list").output
    assert run(tmp_path, "serve", "nowhere").exit_code == 2


def test_what_local_models_cost_is_checked_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_LOCAL_PRICE", "")
    assert run(tmp_path, "--price", "a lot", "serve", "list").exit_code == 2
    assert run(tmp_path, "--price", "paper-a100", "serve", "list").exit_code == 0


def test_a_load_is_one_line() -> None:
    load = {"status": "ok", "active": 2, "queued": 1, "tokens_per_s": 41.6, "rss_bytes": 2_000_000_000}
    assert load_words(load) == "2 running, 1 waiting, 42 tokens/s, 2.0 GB"
    assert load_words({"status": "ok", "active": 1.0, "cache_share": 0.125}) == "1 running, 0 waiting, cache 12% full"
    assert load_words({"status": "no answer"}) == "no answer"
