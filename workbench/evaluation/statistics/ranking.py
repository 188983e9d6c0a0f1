"""Reliability over repetitions (pass^k) and a ranking from pairwise preferences (Bradley-Terry)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True, slots=True)
class Strength:
    """An agent's log-strength against the reference (which has 0), its standard error and interval; None if not
    estimable."""

    name: str
    log_strength: float | None
    error: float | None
    low: float | None
    high: float | None


def pass_hat_k(outcomes: Mapping[str, Sequence[bool | None]], k: int) -> float | None:
    """pass^k: the chance that k repetitions of a scenario all succeed, mean over scenarios of C(c, k) ÷ C(n, k).

    None outcomes (infrastructure errors) are left out; scenarios with fewer than k repetitions are too. None if none is
    left.
    """
    known = ([r for r in repetitions if r is not None] for repetitions in outcomes.values())
    return pass_hat_of(((sum(r), len(r)) for r in known), k)


def pass_hat_of(counts: Iterable[tuple[int, int]], k: int) -> float | None:
    """The same from each scenario's repetitions that succeeded and its repetitions with an outcome."""
    if k < 1:
        raise ValueError("k must be at least 1")
    total, scenarios = 0.0, 0
    for succeeded, n in counts:
        if n >= k:
            total += comb(succeeded, k) / comb(n, k)
            scenarios += 1
    return total / scenarios if scenarios else None


def bradley_terry(wins: Mapping[tuple[str, str], float], reference: str, *, alpha: float = 0.05) -> dict[str, Strength]:
    """Bradley-Terry strengths by maximum likelihood from wins[(winner, loser)] (half a win each for a tie).

    An agent that only won, only lost or never met the others has no finite estimate: its figures are None, and it is
    left out. KeyError if the reference is not among the agents.
    """
    names = sorted({name for pair in wins for name in pair})
    if reference not in names:
        raise KeyError(reference)
    matrix = np.array([[wins.get((a, b), 0.0) for b in names] for a in names])
    kept = _strongly_connected(matrix, names.index(reference))
    free = [i for i in kept if names[i] != reference]
    result = {name: Strength(name, None, None, None, None) for name in names}
    result[reference] = Strength(reference, 0.0, None, None, None)
    if not free:
        return result
    beta = np.zeros(len(names))
    for _ in range(100):
        gradient, information = _likelihood(matrix, beta, kept)
        step = np.linalg.solve(information[np.ix_(free, free)], gradient[free])
        beta[free] += np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    errors = np.sqrt(np.diag(np.linalg.inv(_likelihood(matrix, beta, kept)[1][np.ix_(free, free)])))
    z = NormalDist().inv_cdf(1 - alpha / 2)
    for index, error in zip(free, errors, strict=True):
        value, spread = float(beta[index]), float(error)
        result[names[index]] = Strength(names[index], value, spread, value - z * spread, value + z * spread)
    return result


def _likelihood(
    matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    beta: np.ndarray[tuple[int], np.dtype[np.float64]],
    kept: list[int],
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
    """Gradient and Fisher information of the log-likelihood, over the agents kept."""
    part = matrix[np.ix_(kept, kept)]
    met = part + part.T
    chance = 1 / (1 + np.exp(-np.subtract.outer(beta[kept], beta[kept])))
    weight = met * chance * (1 - chance)
    gradient, information = np.zeros(len(beta)), np.zeros((len(beta), len(beta)))
    gradient[kept] = (part - met * chance).sum(axis=1)
    information[np.ix_(kept, kept)] = np.diag(weight.sum(axis=1)) - weight
    return gradient, information


def _strongly_connected(matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]], start: int) -> list[int]:
    """Agents that can be reached from `start` along wins and along losses: where the likelihood has a maximum."""

    def reach(beats: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> set[int]:
        seen, stack = {start}, [start]
        while stack:
            for other in np.flatnonzero(beats[stack.pop()]):
                if int(other) not in seen:
                    seen.add(int(other))
                    stack.append(int(other))
        return seen

    return sorted(reach(matrix > 0) & reach(matrix.T > 0))
