"""How far reviewers agree: Cohen's κ and Krippendorff's α on what they decided independently, with their intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from workbench.dialogue.reviewing import blind_votes
from workbench.evaluation.statistics.agreement import krippendorff_alpha, weighted_kappa
from workbench.store.rows import ReviewRow

RESAMPLES = 2000
Bounds = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two reviewers on the `n` subjects that both decided on: share of equal decisions, κ with its 95% interval."""

    first: str
    second: str
    n: int
    equal: float
    kappa: float | None
    interval: Bounds


@dataclass(frozen=True, slots=True)
class ReviewerAgreement:
    """All reviewers: `subjects` have two or more independent decisions; α over all of them, κ for every pair.

    Intervals are percentile bootstraps over subjects. `disagreements` are the subjects whose decisions differ.
    """

    subjects: int
    decisions: Mapping[str, Mapping[str, int]]
    alpha: float | None
    interval: Bounds
    pairs: tuple[PairAgreement, ...]
    disagreements: tuple[str, ...]


def reviewer_agreement(rows: Iterable[ReviewRow], *, seed: int = 0, resamples: int = RESAMPLES) -> ReviewerAgreement:
    """Agreement of the reviewers whose reviews these are, in the order given; see `blind_votes` for what counts."""
    independent = blind_votes(rows)
    shared = {subject: votes for subject, votes in independent.items() if len(votes) > 1}
    codes = {decision: n for n, decision in enumerate(sorted({d for votes in shared.values() for d in votes.values()}))}
    reviewers = sorted({who for votes in independent.values() for who in votes})
    ratings = [[float(codes[v[who]]) if who in v else None for v in shared.values()] for who in reviewers]
    return ReviewerAgreement(
        subjects=len(shared),
        decisions={w: Counter(votes[w] for votes in independent.values() if w in votes) for w in reviewers},
        alpha=krippendorff_alpha(ratings, "nominal") if shared else None,
        interval=_alpha_interval(
            [[codes[d] for d in v.values()] for v in shared.values()], len(codes), seed, resamples
        ),
        pairs=tuple(_pairs(shared, codes, seed, resamples)),
        disagreements=tuple(subject for subject, votes in shared.items() if len(set(votes.values())) > 1),
    )


def _pairs(
    shared: Mapping[str, Mapping[str, str]], codes: Mapping[str, int], seed: int, resamples: int
) -> Iterable[PairAgreement]:
    for first, second in combinations(sorted({who for votes in shared.values() for who in votes}), 2):
        both = [(codes[v[first]], codes[v[second]]) for v in shared.values() if first in v and second in v]
        if both:
            a, b = [float(x) for x, _ in both], [float(y) for _, y in both]
            equal = sum(x == y for x, y in both) / len(both)
            interval = _kappa_interval(both, len(codes), seed, resamples)
            yield PairAgreement(first, second, len(both), equal, weighted_kappa(a, b, "none"), interval)


def _draws(n: int, seed: int, resamples: int) -> np.ndarray:
    """How often each of `n` subjects is drawn, resamples × n."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), resamples).astype(float)


def _bounds(values: np.ndarray) -> Bounds:
    there = values[np.isfinite(values)]
    if len(there) < len(values) / 2 or len(there) == 0:
        return None  # most resamples have no variation: there is nothing to say
    low, high = np.quantile(there, [0.025, 0.975])
    return float(low), float(high)


def _alpha_interval(units: list[list[int]], k: int, seed: int, resamples: int) -> Bounds:
    """Of nominal α: each unit's coincidences are counted once, resamples are weighted sums of them."""
    if len(units) < 2:
        return None
    parts = np.zeros((len(units), k, k))
    for n, unit in enumerate(units):
        counts = np.bincount(unit, minlength=k).astype(float)
        parts[n] = (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)
    table = (_draws(len(units), seed, resamples) @ parts.reshape(len(units), -1)).reshape(-1, k, k)
    margin, total = table.sum(axis=2), table.sum(axis=(1, 2))
    unequal = total - np.trace(table, axis1=1, axis2=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _bounds(1 - (total - 1) * unequal / (total**2 - (margin**2).sum(axis=1)))


def _kappa_interval(both: list[tuple[int, int]], k: int, seed: int, resamples: int) -> Bounds:
    if len(both) < 2:
        return None
    cells = np.zeros((len(both), k * k))
    cells[np.arange(len(both)), [x * k + y for x, y in both]] = 1 / len(both)
    table = (_draws(len(both), seed, resamples) @ cells).reshape(-1, k, k)
    observed = np.trace(table, axis1=1, axis2=2)
    chance = (table.sum(axis=2) * table.sum(axis=1)).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _bounds((observed - chance) / (1 - chance))


def agreement_text(found: ReviewerAgreement) -> list[str]:
    """The same as lines of plain text, for the command line and the app."""
    lines = [
        f"{who}: " + ", ".join(f"{n:,} {what}" for what, n in sorted(c.items())) for who, c in found.decisions.items()
    ]
    if not found.subjects:
        return [*lines, "no subject has independent decisions of two reviewers yet"]
    lines.append(f"{found.subjects:,} with independent decisions of two or more, {len(found.disagreements):,} differ")
    lines.append(f"Krippendorff's α (nominal) {_figure(found.alpha, found.interval)}")
    lines += [
        f"{p.first} and {p.second}: {p.equal:.0%} equal of {p.n:,}, Cohen's κ {_figure(p.kappa, p.interval)}"
        for p in found.pairs
    ]
    return lines


def _figure(value: float | None, bounds: Bounds) -> str:
    if value is None:
        return "cannot be had: there is no variation"
    return f"{value:.2f} " + (f"({bounds[0]:.2f} to {bounds[1]:.2f})" if bounds else "(no interval: too few)")
