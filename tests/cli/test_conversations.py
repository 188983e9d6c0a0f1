"""`workbench conversations list` reads what it shows, however many there are."""

from __future__ import annotations

import json

from click.testing import CliRunner

from tests.fakes.record import make_sample_record
from workbench.cli.main import cli
from workbench.home import Home


def test_a_list_shows_the_newest_and_counts_the_rest(home: Home) -> None:
    make_sample_record(home).close()
    words = ["--home", str(home.root.parent), "conversations", "list"]
    every = json.loads(CliRunner().invoke(cli, [*words, "--json", "-n", "1000"], catch_exceptions=False).output)
    assert len(every) > 3
    told = CliRunner().invoke(cli, [*words, "-n", "2"], catch_exceptions=False).output
    assert f"… {len(every) - 2} more (--limit)" in told
    shown = json.loads(CliRunner().invoke(cli, [*words, "--json", "-n", "2"], catch_exceptions=False).output)
    assert shown == every[:2]
    assert "more (--limit)" not in CliRunner().invoke(cli, [*words, "-n", "1000"], catch_exceptions=False).output
