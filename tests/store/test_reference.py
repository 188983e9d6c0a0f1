"""docs/record.md says what the schema says."""

from __future__ import annotations

from pathlib import Path

from workbench.home import Home
from workbench.store.explore import tables
from workbench.store.reference import JSON, MEANINGS, page


def test_the_page_of_the_record_is_up_to_date() -> None:
    kept = (Path(__file__).parents[2] / "docs" / "record.md").read_text("utf-8")
    assert kept == page(), "make it anew: python -m workbench.store.reference > docs/record.md"


def test_every_table_and_json_column_is_told_and_none_that_is_gone(tmp_path: Path) -> None:
    found = tables(Home(tmp_path / "runs").make())
    assert set(MEANINGS) == {table.name for table in found}
    assert set(JSON) <= {f"{table.name}.{column.name}" for table in found for column in table.columns}
