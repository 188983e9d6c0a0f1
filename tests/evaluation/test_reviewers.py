from __future__ import annotations

import random

import pytest

from workbench.evaluation.reviewers import reviewer_agreement
from workbench.store.rows import ReviewRow


def rows(votes: dict[str, str], names: str = "ab") -> list[ReviewRow]:
    return [
        ReviewRow(f"{subject}{who}", subject, who, {"p": "pass", "f": "flag", "x": "fix"}[letter])
        for subject, letters in votes.items()
        for who, letter in zip(names, letters, strict=False)
        if letter != "-"
    ]


def test_kappa_of_a_known_table() -> None:
    # Cohen's textbook table: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no → κ = 0.4
    table = ["pp"] * 20 + ["pf"] * 5 + ["fp"] * 10 + ["ff"] * 15
    found = reviewer_agreement(rows({f"s{n}": letters for n, letters in enumerate(table)}))
    pair = found.pairs[0]
    assert pair.kappa == pytest.approx(0.4)
    assert (pair.n, pair.equal) == (50, 0.7)
    assert pair.interval is not None
    assert pair.interval[0] < 0.4 < pair.interval[1]
    assert found.interval is not None
    assert found.alpha is not None
    assert found.interval[0] < found.alpha < found.interval[1]
    assert len(found.disagreements) == 15
    assert found.decisions["a"] == {"pass": 25, "flag": 25}


def test_alpha_of_three_reviewers_with_gaps() -> None:
    votes = {f"s{n}": random.Random(n).choice(["ppp", "fff", "ppf", "p-p", "-ff", "xxx", "p--"]) for n in range(60)}
    found = reviewer_agreement(rows(votes, "abc"))
    assert len(found.pairs) == 3
    assert found.subjects == sum(v.count("-") < 2 for v in votes.values())
    assert found.alpha is not None
    assert found.interval is not None
    assert 0.5 < found.interval[0] < found.alpha < found.interval[1] <= 1
    assert found == reviewer_agreement(rows(votes, "abc"))


def test_nothing_is_said_where_nothing_can_be() -> None:
    assert reviewer_agreement([]).alpha is None
    alone = reviewer_agreement(rows({"s": "p"}))
    assert (alone.subjects, alone.alpha, alone.pairs) == (0, None, ())
    once = reviewer_agreement(rows({"s": "pf"}))
    assert (once.subjects, once.interval, once.pairs[0].interval) == (1, None, None)
    same = reviewer_agreement(rows({f"s{n}": "pp" for n in range(5)}))
    assert (same.alpha, same.pairs[0].kappa, same.interval) == (1.0, None, None)


def test_what_is_said_after_seeing_the_other_does_not_count() -> None:
    given = [*rows({"s": "pf", "t": "pp"}), ReviewRow("late", "s", "b", "pass")]
    assert reviewer_agreement(given).disagreements == ("s",)
