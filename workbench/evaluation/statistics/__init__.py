"""Statistics of comparisons: pure functions on numbers, scipy underneath, no input or output.

Everywhere: NaN and None are missing data, left out pairwise and counted, never read as a number. A p-value or estimate
that cannot be had is None. Intervals are (low, high) at level 1 − alpha. Whatever draws at random takes a seed.
"""

from __future__ import annotations

from workbench.evaluation.statistics.agreement import alpha_interval, kappa_interval, krippendorff_alpha, weighted_kappa
from workbench.evaluation.statistics.difference import (
    McNemar,
    RankSum,
    SignedRank,
    holm,
    mann_whitney,
    mcnemar,
    permutation,
    wilcoxon,
)
from workbench.evaluation.statistics.effects import Effects, cliffs_delta, effects, rank_biserial
from workbench.evaluation.statistics.intervals import (
    RESAMPLES,
    Interval,
    Proportion,
    bootstrap_mean,
    clustered_se,
    proportion,
    two_way_bootstrap,
    weighted_mean,
)
from workbench.evaluation.statistics.power import Equivalence, equivalence, paired_power, sample_size, smallest_effect
from workbench.evaluation.statistics.ranking import Strength, bradley_terry, pass_hat_k, pass_hat_of

__all__ = [
    "RESAMPLES",
    "Effects",
    "Equivalence",
    "Interval",
    "McNemar",
    "Proportion",
    "RankSum",
    "SignedRank",
    "Strength",
    "alpha_interval",
    "bootstrap_mean",
    "bradley_terry",
    "cliffs_delta",
    "clustered_se",
    "effects",
    "equivalence",
    "holm",
    "kappa_interval",
    "krippendorff_alpha",
    "mann_whitney",
    "mcnemar",
    "paired_power",
    "pass_hat_k",
    "pass_hat_of",
    "permutation",
    "proportion",
    "rank_biserial",
    "sample_size",
    "smallest_effect",
    "two_way_bootstrap",
    "weighted_kappa",
    "weighted_mean",
    "wilcoxon",
]
