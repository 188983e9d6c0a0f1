"""The test table for a paper, in LaTeX (booktabs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.evaluation.sections import facts, notes, tests
from workbench.text import clean_line

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "−": "$-$", "–": "--", "…": r"\dots{}", "≤": r"$\leq$", "α": r"$\alpha$", "κ": r"$\kappa$", "×": r"$\times$",
}  # fmt: skip


def latex(row_id: str, name: str, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """A `table` environment with the tests; how they were made stands in the caption and in comments above it."""
    section = tests(summary)
    said = [f"% {clean_line(line, 400)}" for line in [*facts(row_id, name, summary, config), *notes(summary)]]
    if not section.rows:
        return "\n".join([*said, f"% {section.note}"]) + "\n"
    head, *body = section.rows
    layout = "l" * 3 + "r" * (len(head) - 4) + "l"
    return (
        "\n".join(
            [
                *said,
                r"\begin{table}",
                r"\centering\small",
                rf"\begin{{tabular}}{{{layout}}}",
                r"\toprule",
                _line(head),
                r"\midrule",
                *(_line(cells) for cells in body),
                r"\bottomrule",
                r"\end{tabular}",
                rf"\caption{{{escape(section.note)}}}",
                rf"\label{{tab:{''.join(c for c in row_id if c.isalnum())}}}",
                r"\end{table}",
            ]
        )
        + "\n"
    )


def escape(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return "".join(_SPECIAL.get(char, char) for char in clean_line(text, 2000))


def _line(cells: Sequence[str]) -> str:
    return " & ".join(escape(cell) for cell in cells) + r" \\"
