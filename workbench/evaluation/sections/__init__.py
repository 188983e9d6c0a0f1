"""A comparison's summary as tables of words: one definition for the command line, the reports and the pane.

Imports nothing heavy. Summaries of older versions lack parts; what is missing there is left out.
"""

from __future__ import annotations

from workbench.evaluation.economy import economy
from workbench.evaluation.sections.about import facts, notes, paper
from workbench.evaluation.sections.money import break_even, costs
from workbench.evaluation.sections.scores import (
    agreement,
    carried,
    deviations,
    distributions,
    figures,
    judged,
    tests,
    weighted,
)
from workbench.evaluation.sections.table import People, Rows, Section, Target, mark
from workbench.evaluation.sections.walk import controls, coverage, missing, procedure
from workbench.evaluation.words import Summary

__all__ = ["People", "Rows", "Section", "Target", "agreement", "carried", "facts", "mark", "notes", "sections", "tests"]


def sections(
    summary: Summary, *, hourly_price: float | None = None, one_time: float | None = None, people: People = ()
) -> list[Section]:
    """Every table of a summary, in the order of a report. The two prices replace those it was made with."""
    found = economy(summary, hourly_price, one_time)
    made = (
        figures(summary),
        tests(summary),
        carried(summary),
        judged(summary),
        weighted(summary),
        distributions(summary),
        deviations(summary),
        procedure(summary),
        coverage(summary),
        agreement(summary, people),
        costs(summary, hourly_price),
        break_even(found),
        controls(summary),
        missing(summary),
        paper(summary),
    )
    return [section for section in made if section.rows or section.note]
