"""Against published values and R's printed results, and at the edges: ties, zeros, constants, NaN, n = 0, 1, 2."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.evaluation import statistics as s

# Hollander & Wolfe (1973), depression scale: the example of R's ?wilcox.test
BEFORE = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
AFTER = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
# R's `sleep`
DRUG1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
DRUG2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
# R's `airquality`, ozone in May and in August
_ = None
# fmt: off
MAY = [41, 36, 12, 18, _, 28, 23, 19, 8, _, 7, 16, 11, 14, 18, 14, 34, 6, 30, 11, 1, 11, 4, 32, _, _, _, 23, 45]
MAY += [115, 37]
AUGUST = [39, 9, 16, 78, 35, 66, 122, 89, 110, _, _, 44, 28, 65, _, 22, 59, 23, 31, 44, 21, 9, _, 45, 168, 73, _]
AUGUST += [76, 118, 84, 85]
# fmt: on
NEWCOMBE = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]


class TestSignedRank:
    def test_exact_as_in_r(self) -> None:
        found = s.wilcoxon(BEFORE, AFTER)  # R: V = 40, one-sided p = 0.01953
        assert (found.statistic, found.n, found.zero) == (40, 9, 0)
        assert found.p_exact == pytest.approx(2 * 0.01953125)

    def test_ties_and_a_zero_with_continuity_as_in_r(self) -> None:
        found = s.wilcoxon(DRUG1, DRUG2, continuity=True)  # R: V = 0, p-value = 0.009091
        assert (found.statistic, found.plus, found.minus, found.zero) == (0, 0, 9, 1)
        assert found.p == pytest.approx(0.009091, abs=5e-7)
        assert found.p_exact == pytest.approx(2 / 2**9)
        assert s.wilcoxon(DRUG1, DRUG2).p != pytest.approx(found.p)

    def test_asymptotic_as_in_r(self) -> None:
        # R: wilcox.test(x, y, paired = TRUE, exact = FALSE, correct = FALSE / TRUE): p-value = 0.6948866 / 0.7240817
        x = [120, 114, 181, 188, 180, 146, 121, 191, 132, 113, 127, 112]
        y = [133, 143, 119, 189, 112, 199, 198, 113, 115, 121, 142, 187]
        plain, corrected = s.wilcoxon(x, y), s.wilcoxon(x, y, continuity=True)
        assert plain.statistic == 34
        assert plain.p == pytest.approx(0.6948866, abs=5e-8)
        assert corrected.p == pytest.approx(0.7240817, abs=5e-8)
        assert plain.p_pratt == plain.p  # no zeros: both rules are one

    def test_both_zero_rules_from_their_definition(self) -> None:
        """Pratt ranks the zeros and drops their ranks (Pratt 1959; mean and variance by Cureton 1967), Wilcoxon drops the
        zeros before ranking; ties take Σ(t³ − t) ÷ 48 off the variance of both."""
        counts = dict(zip(range(-4, 5), [1, 4, 16, 15, 8, 4, 5, 1, 2], strict=True))
        d = [value for value, n in counts.items() for _ in range(n)]

        def p(zeros_ranked: bool) -> float:
            kept = d if zeros_ranked else [v for v in d if v]
            size = np.abs(kept)
            ranks = np.array([(size < v).sum() + ((size == v).sum() + 1) / 2 for v in size])
            n, gone = len(kept), 8 if zeros_ranked else 0
            ties = sum((size == v).sum() ** 3 - (size == v).sum() for v in (1, 2, 3, 4))
            mean = (n * (n + 1) - gone * (gone + 1)) / 4
            variance = (n * (n + 1) * (2 * n + 1) - gone * (gone + 1) * (2 * gone + 1)) / 24 - ties / 48
            z = (ranks[np.array(kept) > 0].sum() - mean) / math.sqrt(variance)
            return math.erfc(abs(z) / math.sqrt(2))

        found = s.wilcoxon(d, [0] * len(d))
        assert (found.plus, found.minus, found.zero) == (12, 36, 8)
        assert found.p == pytest.approx(p(zeros_ranked=False))
        assert found.p_pratt == pytest.approx(p(zeros_ranked=True))
        assert (found.p, found.p_pratt) == (pytest.approx(0.0064134612), pytest.approx(0.0031724568))

    def test_all_zero_is_no_difference(self) -> None:
        found = s.wilcoxon([3, 4, 5], [3, 4, 5])
        assert found.no_difference
        assert (found.p, found.p_pratt, found.p_exact) == (1.0, 1.0, 1.0)

    @pytest.mark.parametrize(("a", "b", "p"), [([], [], None), ([None], [4], None), ([4], [4], 1.0), ([5], [4], 1.0)])
    def test_tiny(self, a: list[float | None], b: list[float | None], p: float | None) -> None:
        assert s.wilcoxon(a, b).p_exact == p

    def test_missing_pairs_are_counted(self) -> None:
        found = s.wilcoxon([1, float("nan"), 3, 4], [2, 2, None, 4])
        assert (found.n, found.missing) == (2, 2)

    def test_pratt_differs_where_there_are_zeros(self) -> None:
        found = s.wilcoxon([5, 5, 5, 4, 3, 5, 4], [4, 5, 5, 4, 4, 3, 2])
        assert found.zero == 3
        assert found.p != found.p_pratt

    def test_rounding_noise_ties(self) -> None:
        assert s.wilcoxon([0.3, 0.2], [0.1, 0.4]).p == pytest.approx(1.0)

    def test_unequal_lengths(self) -> None:
        with pytest.raises(ValueError, match="length"):
            s.wilcoxon([1], [1, 2])

    @given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=40))
    @settings(max_examples=60, deadline=None)
    def test_symmetric_and_within_bounds(self, pairs: list[tuple[int, int]]) -> None:
        a, b = [x for x, _ in pairs], [y for _, y in pairs]
        one, two = s.wilcoxon(a, b), s.wilcoxon(b, a)
        assert one.p is not None
        assert 0 <= one.p <= 1
        assert one.p == pytest.approx(two.p)
        assert (one.plus, one.minus) == (two.minus, two.plus)


class TestOthers:
    def test_permutation(self) -> None:
        # Fisher's / Darwin's Zea mays data: exact two-sided sign-flip p = 0.0527
        d = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
        assert s.permutation(d, [0] * 15) == pytest.approx(0.0527, abs=1e-4)
        assert s.permutation([], []) is None
        assert s.permutation([2, 2], [2, 2]) == 1.0
        sampled = s.permutation([*d, *d], [0] * 30, seed=1)
        assert sampled == s.permutation([*d, *d], [0] * 30, seed=1)

    def test_mann_whitney_as_in_r(self) -> None:
        found = s.mann_whitney(MAY, AUGUST)  # R: W = 127.5, p-value = 0.0001208
        assert (found.statistic, found.n, found.missing) == (127.5, (26, 26), 10)
        assert found.p == pytest.approx(0.0001208, abs=5e-8)
        assert s.mann_whitney([], [1, 2]).p is None
        assert s.mann_whitney([1], [2]).p == 1.0  # two values in all: the continuity correction leaves nothing
        assert s.mann_whitney([float("nan"), 1, 2], [None]).n == (2, 0)
        assert s.mann_whitney([2, 2], [2]).p == 1.0

    def test_mcnemar(self) -> None:
        # Agresti's approval ratings; (|b − c| − 1)² ÷ (b + c) = 63² ÷ 236 on one degree of freedom
        first = [1] * 794 + [1] * 150 + [0] * 86 + [0] * 570
        second = [1] * 794 + [0] * 150 + [1] * 86 + [0] * 570
        found = s.mcnemar(first, second)
        assert (found.only_first, found.only_second, found.n) == (150, 86, 1600)
        assert found.p_chi2 == pytest.approx(4.1146e-05, rel=1e-3)
        assert found.p_exact is not None
        # R: binom.test(1, 10) p-value = 0.02148, twice 11 of 1,024
        one_nine = s.mcnemar([1] * 3 + [1] + [0] * 9, [1] * 3 + [0] + [1] * 9)
        assert one_nine.p_exact == pytest.approx(22 / 1024)
        gappy = s.mcnemar([1, float("nan"), 0], [0, 1, None])
        assert (gappy.n, gappy.only_first, gappy.missing, gappy.p_exact) == (1, 1, 2, 1.0)
        assert s.mcnemar([1, 1], [1, 1]).p_exact == 1.0
        assert s.mcnemar([], []).p_exact is None

    def test_holm_as_in_r(self) -> None:
        assert s.holm({"a": 0.01, "b": 0.02, "c": 0.03, "d": 0.04}) == pytest.approx(
            {"a": 0.04, "b": 0.06, "c": 0.06, "d": 0.06}
        )
        assert s.holm({"a": 0.03, "b": None, "c": float("nan"), "d": 0.04}) == {
            "a": 0.06,
            "b": None,
            "c": None,
            "d": 0.06,
        }
        assert s.holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
        assert s.holm({}) == {}


class TestEffects:
    def test_each_d_by_its_name(self) -> None:
        found = s.effects(DRUG2, DRUG1)
        assert found.mean_difference == pytest.approx(1.58)
        assert found.d_z == pytest.approx(1.58 / 1.229995, abs=1e-5)  # R: t = 4.0621 with n = 10
        assert found.d_z == pytest.approx(4.0621 / math.sqrt(10), abs=1e-4)
        assert found.d_pooled == pytest.approx(0.8321811, abs=1e-6)  # R effsize::cohen.d(sleep), unpaired
        assert found.d_av == pytest.approx(1.58 / ((1.78901 + 2.002249) / 2), abs=1e-5)
        assert found.rank_biserial == 1.0

    def test_no_variance(self) -> None:
        equal, shifted = s.effects([4, 4, 4], [4, 4, 4]), s.effects([5, 5, 5], [4, 4, 4])
        assert (equal.d_pooled, equal.d_z, equal.rank_biserial) == (0.0, 0.0, 0.0)
        assert (shifted.d_pooled, shifted.d_z, shifted.mean_difference) == (None, None, 1.0)

    def test_tiny(self) -> None:
        assert s.effects([], []).d_z is None
        assert s.effects([3], [2]).d_pooled is None
        assert s.effects([3], [2]).mean_difference == 1

    def test_cliffs_delta_as_in_effsize(self) -> None:
        # the example of R's effsize::cliff.delta: delta estimate: -0.25
        treatment, control = [10, 10, 20, 20, 20, 30, 30, 30, 40, 50], [10, 20, 30, 40, 40, 50]
        assert s.cliffs_delta(treatment, control) == pytest.approx(-0.25)

    def test_rank_biserial_as_in_effectsize(self) -> None:
        # R effectsize::rank_biserial(x, y, paired = TRUE) of the depression scale: 0.78; V = 40 of 45
        assert s.rank_biserial(BEFORE, AFTER) == pytest.approx((40 - 5) / 45)
        assert s.rank_biserial([], []) is None

    def test_missing_pairs_are_left_out(self) -> None:
        found = s.effects([5, None, 3, float("nan")], [4, 2, 1, 1])
        assert (found.n, found.missing, found.mean_difference) == (2, 2, 1.5)

    def test_cliffs_delta(self) -> None:
        assert s.cliffs_delta([1, 2, 3], [1, 2, 3]) == 0
        assert s.cliffs_delta([4, 5], [1, 2, 3]) == 1
        assert s.cliffs_delta([1, 2], [1, 3]) == pytest.approx((0 - 1 + 1 - 1) / 4)
        assert s.cliffs_delta([], [1]) is None

    def test_rank_biserial_by_hand(self) -> None:
        assert s.rank_biserial([5, 1, 4], [3, 2, 1]) == pytest.approx((2 - 1 + 3) / 6)


class TestIntervals:
    def test_bootstrap_of_a_normal_sample_is_near_the_t_interval(self) -> None:
        data = list(np.random.default_rng(3).normal(4, 1, 200))
        found = s.bootstrap_mean(data, seed=1)
        mean, error = np.mean(data), np.std(data, ddof=1) / math.sqrt(200)
        assert found.low == pytest.approx(mean - 1.96 * error, abs=0.02)
        assert found.high == pytest.approx(mean + 1.96 * error, abs=0.02)
        assert found.bca is not None
        assert found.bca[0] == pytest.approx(found.low, abs=0.03)
        assert found == s.bootstrap_mean(data, seed=1)

    def test_bca_from_its_definition(self) -> None:
        """Efron (1987): percentiles moved by the bias z0 and the acceleration a of the jackknife; on the times between
        failures of an air conditioner (R's `aircondit`), which are skewed."""
        hours = [3.0, 5, 7, 18, 43, 85, 91, 98, 100, 130, 230, 487]
        normal = NormalDist()
        drawn = np.random.default_rng(5).choice(hours, (200_000, 12)).mean(axis=1)
        z0 = normal.inv_cdf(float((drawn < np.mean(hours)).mean()))
        left = np.mean(hours) - np.array([np.mean(hours[:i] + hours[i + 1 :]) for i in range(12)])
        a = float((left**3).sum() / (6 * (left**2).sum() ** 1.5))
        ends = []
        for z in (normal.inv_cdf(0.025), normal.inv_cdf(0.975)):
            ends.append(np.quantile(drawn, normal.cdf(z0 + (z0 + z) / (1 - a * (z0 + z)))))
        found = s.bootstrap_mean(hours)
        assert found.estimate == pytest.approx(108.0833, abs=5e-5)
        assert found.bca == (pytest.approx(ends[0], rel=0.03), pytest.approx(ends[1], rel=0.03))
        assert found.bca[1] > found.high + 10  # skewed to the right: the percentile interval ends too early

    def test_edges(self) -> None:
        assert s.bootstrap_mean([]).estimate is None
        assert (s.bootstrap_mean([4]).estimate, s.bootstrap_mean([4]).low) == (4, None)
        constant = s.bootstrap_mean([5, 5, 5, 5])
        assert (constant.low, constant.high, constant.bca) == (5, 5, None)
        assert "undefined" in constant.note
        assert s.bootstrap_mean([1, 2]).bca is None
        assert s.bootstrap_mean([1, None, 2]).missing == 1

    @pytest.mark.parametrize(
        ("count", "n", "low", "high"),
        NEWCOMBE,
    )
    def test_wilson_as_in_newcombe(self, count: int, n: int, low: float, high: float) -> None:
        found = s.proportion(count, n)  # Newcombe 1998, table I, method 3
        assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))

    def test_wilson_edges(self) -> None:
        assert s.proportion(0, 0).rate is None
        with pytest.raises(ValueError, match="successes"):
            s.proportion(3, 2)

    def test_weighted_mean(self) -> None:
        # R: weighted.mean(c(3.7, 3.3, 3.5, 2.8), c(5, 5, 4, 1) / 15) = 3.453333 (the example of ?weighted.mean)
        gpa = s.weighted_mean([3.7, 3.3, 3.5, 2.8], [5 / 15, 5 / 15, 4 / 15, 1 / 15])
        assert gpa.estimate == pytest.approx(3.453333, abs=5e-7)
        assert gpa.low is not None
        assert gpa.high is not None
        assert 2.8 <= gpa.low < 3.453333 < gpa.high <= 3.7
        data = [float(v) for v in np.random.default_rng(3).normal(4, 1, 100)]
        even = s.weighted_mean(data, [2.0] * 100, seed=1)
        plain = s.bootstrap_mean(data, seed=1)
        assert (even.estimate, even.low, even.high) == pytest.approx((plain.estimate, plain.low, plain.high))
        gappy = s.weighted_mean([1, None, 3], [1, 99, 1])
        assert (gappy.estimate, gappy.missing, gappy.n) == (2, 1, 2)
        assert s.weighted_mean([], []).estimate is None
        assert s.weighted_mean([4], [0]).estimate is None
        assert s.weighted_mean([4], [2]).low is None
        with pytest.raises(ValueError, match="weights"):
            s.weighted_mean([1, 2], [1, -1])
        with pytest.raises(ValueError, match="one weight"):
            s.weighted_mean([1, 2], [1])

    def test_of_very_many_values_the_normal_interval_is_what_the_bootstrap_finds(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from workbench.evaluation.statistics import agreement, intervals

        rng = np.random.default_rng(4)
        values = [float(v) for v in rng.choice([1, 2, 4, 5], 6_000, p=[0.1, 0.1, 0.3, 0.5])]
        weights = [float(w) for w in rng.uniform(0.5, 2, 6_000)]
        other = [min(v + float(e), 5.0) for v, e in zip(values, rng.choice([0, 1], 6_000), strict=True)]

        def found() -> list[tuple[float, float]]:
            mean = s.bootstrap_mean(values, resamples=2_000)
            weighed = s.weighted_mean(values, weights, resamples=2_000)
            pairs = [(mean.low, mean.high), (weighed.low, weighed.high)]
            pairs += [
                s.alpha_interval([values, other])[1] or (None, None),
                s.kappa_interval(values, other)[1] or (None, None),
            ]
            return [(low, high) for low, high in pairs if low is not None and high is not None]

        quick = found()
        assert s.bootstrap_mean(values).note == "normal: more than 5,000 values"
        monkeypatch.setattr(intervals, "LARGE", 10_000)
        monkeypatch.setattr(agreement, "LARGE", 10_000)
        drawn = found()
        assert len(quick) == len(drawn) == 4
        for (low, high), (drawn_low, drawn_high) in zip(quick, drawn, strict=True):
            wide = drawn_high - drawn_low
            assert low == pytest.approx(drawn_low, abs=0.1 * wide)
            assert high == pytest.approx(drawn_high, abs=0.1 * wide)

    def test_two_way_bootstrap_is_wider_than_pooling_when_seeds_differ(self) -> None:
        rng = np.random.default_rng(0)
        table = rng.normal(0, 0.2, (50, 4)) + rng.normal(0, 1, (1, 4))
        both = s.two_way_bootstrap([list(row) for row in table], seed=1)
        pooled = s.bootstrap_mean(list(table.ravel()), seed=1)
        assert None not in (both.low, both.high, pooled.low, pooled.high)
        assert both.high - both.low > 2 * (pooled.high - pooled.low)  # type: ignore[operator]

    def test_two_way_bootstrap_keeps_its_level_where_pooling_does_not(self) -> None:
        """No difference at all, 8 training seeds that differ: how often does an interval miss zero?"""
        rng, runs = np.random.default_rng(2), 150
        two_way = pooled = 0
        for n in range(runs):
            table = rng.normal(0, 1, (200, 8)) + rng.normal(0, 0.15, (1, 8)) + rng.normal(0, 0.1, (200, 1))
            both = s.two_way_bootstrap([list(row) for row in table], seed=n, resamples=400)
            flat = table.ravel()
            reach = 1.96 * flat.std(ddof=1) / math.sqrt(flat.size)
            assert both.low is not None
            assert both.high is not None
            two_way += not both.low <= 0 <= both.high
            pooled += abs(flat.mean()) > reach
        assert two_way / runs <= 0.08
        assert pooled / runs >= 0.2

    def test_two_way_bootstrap_edges(self) -> None:
        assert s.two_way_bootstrap([]).estimate is None
        assert s.two_way_bootstrap([[None]]).estimate is None
        found = s.two_way_bootstrap([[1.0], [2.0], [None]])
        assert (found.missing, found.estimate) == (1, 1.5)
        assert "one training seed" in found.note

    def test_clustered_error(self) -> None:
        values = [1.0, 0.0, 1.0, 1.0]
        assert s.clustered_se(values, list("abcd")) == pytest.approx(np.std(values, ddof=1) / 2)
        doubled = s.clustered_se([*values, *values], list("abcdabcd"))
        assert doubled == pytest.approx(np.std(values, ddof=1) / 2)
        assert s.clustered_se([1, 0], ["a", "a"]) is None


class TestPower:
    def test_published_values(self) -> None:
        assert s.sample_size(0.2) == 199  # G*Power: paired t, two-sided, power .80
        assert s.sample_size(0.5) == 34
        assert s.paired_power(0.2, 200) == pytest.approx(0.8036, abs=1e-3)
        assert s.smallest_effect(200) == pytest.approx(0.199, abs=1e-3)
        assert s.smallest_effect(1) is None
        with pytest.raises(ValueError, match="zero"):
            s.sample_size(0)

    def test_r_power_t_test(self) -> None:
        # power.t.test(n = 20, delta = 1, sd = 1, type = "paired"): power = 0.9886
        assert s.paired_power(1.0, 20) == pytest.approx(0.9886, abs=1e-3)

    def test_equivalence(self) -> None:
        same = s.equivalence([4, 5, 4, 5, 4, 5, 4, 5], [5, 4, 5, 4, 4, 5, 4, 5], margin=2)
        assert same.p is not None
        assert same.p < 0.05
        assert s.equivalence([4, 5], [4, 5], 0.5).p == 0.0
        assert s.equivalence([5, 5], [4, 4], 0.5).p == 1.0
        assert s.equivalence([5], [4], 0.5).p is None
        sleep = s.equivalence(DRUG2, DRUG1, margin=2.5)
        # R t.test(mu = 2.5, alternative = "less", paired): t = (1.58 - 2.5) / 0.38896 = -2.3653, df = 9
        assert sleep.p == pytest.approx(0.0211, abs=2e-4)
        # R t.test(extra ~ group, paired = TRUE): 95 percent confidence interval: 0.7001142 2.4598858
        interval = s.equivalence(DRUG2, DRUG1, margin=2.5, alpha=0.025)
        assert (interval.low, interval.high) == (pytest.approx(0.7001142), pytest.approx(2.4598858))
        assert s.equivalence([5, None, 4], [4, 3, float("nan")], 0.5).n == 1
        with pytest.raises(ValueError, match="margin"):
            s.equivalence([1, 2], [1, 2], 0)


class TestAgreement:
    def test_krippendorff_2011(self) -> None:
        n = None
        ratings = [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, n, n, n],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, n, 3],
            [n, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, n],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, n],
        ]
        assert s.krippendorff_alpha(ratings, "nominal") == pytest.approx(0.743, abs=5e-4)
        assert s.krippendorff_alpha(ratings, "ordinal") == pytest.approx(0.815, abs=5e-4)
        assert s.krippendorff_alpha(ratings, "interval") == pytest.approx(0.849, abs=5e-4)

    def test_krippendorff_edges(self) -> None:
        assert s.krippendorff_alpha([[1, 2]]) is None
        assert s.krippendorff_alpha([[None, 1], [2, None]]) is None
        assert s.krippendorff_alpha([[5, 5], [5, 5]]) == 1.0

    def test_weighted_kappa_as_in_sas(self) -> None:
        # The skin condition example of PROC FREQ: simple 0.3449, weighted (linear) 0.5082
        table = [[10, 4, 1, 0], [5, 10, 12, 2], [2, 4, 12, 5], [0, 2, 6, 13]]
        pairs = [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
        a, b = [i for i, _ in pairs], [j for _, j in pairs]
        assert s.weighted_kappa(a, b, "none") == pytest.approx(0.3449, abs=5e-5)
        assert s.weighted_kappa(a, b, "linear") == pytest.approx(0.5082, abs=5e-5)
        # Fleiss and Cohen (1973): quadratically weighted, κ is the intraclass correlation 2·cov ÷ (var + var + (Δ mean)²)
        x, y = np.array(a), np.array(b)
        same = 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
        assert s.weighted_kappa(a, b) == pytest.approx(same)
        assert s.weighted_kappa([1, 2, None], [1, 2, 5]) == 1.0
        assert s.weighted_kappa([1], [2]) == 0.0
        assert s.weighted_kappa([], []) is None
        assert s.weighted_kappa([5, 5], [5, 5]) is None


class TestRanking:
    def test_bradley_terry_as_in_bradleyterry2(self) -> None:
        # Stigler's citations; reference Biometrika (coefficients and errors printed by BTm)
        names = ["Biometrika", "Comm Statist", "JASA", "JRSS-B"]
        cited = [[714, 730, 498, 221], [33, 425, 68, 17], [320, 813, 1072, 142], [284, 276, 325, 188]]
        wins = {(a, b): float(cited[i][j]) for i, a in enumerate(names) for j, b in enumerate(names) if i != j}
        found = s.bradley_terry(wins, "Biometrika")
        for name, value, error in [
            ("Comm Statist", -2.9491, 0.10255),
            ("JASA", -0.4796, 0.06059),
            ("JRSS-B", 0.2690, 0.07083),
        ]:
            assert found[name].log_strength == pytest.approx(value, abs=5e-5)
            assert found[name].error == pytest.approx(error, abs=5e-6)
            assert found[name].low == pytest.approx(value - 1.959964 * error, abs=1e-4)
            assert found[name].high == pytest.approx(value + 1.959964 * error, abs=1e-4)

    def test_an_agent_that_always_wins_has_no_estimate(self) -> None:
        found = s.bradley_terry({("a", "b"): 3, ("b", "c"): 2, ("c", "b"): 2}, "b")
        assert found["a"].log_strength is None
        assert found["c"].log_strength == pytest.approx(0)
        with pytest.raises(KeyError):
            s.bradley_terry({("a", "b"): 1}, "z")

    def test_pass_hat_k(self) -> None:
        outcomes = {"x": [True, True, False, True], "y": [True, True, True, None, True]}
        assert s.pass_hat_k(outcomes, 1) == pytest.approx((0.75 + 1) / 2)
        assert s.pass_hat_k(outcomes, 2) == pytest.approx((0.5 + 1) / 2)
        assert s.pass_hat_k(outcomes, 5) is None
        assert s.pass_hat_k({}, 1) is None
        assert s.pass_hat_k({"x": [None, None]}, 1) is None
        with pytest.raises(ValueError, match="at least 1"):
            s.pass_hat_k(outcomes, 0)


@pytest.mark.parametrize("n", [3, 4, 5, 6, 8, 12, 13, 40, 200])
def test_the_smallest_effect_is_found_for_every_n(n: int) -> None:
    """scipy's noncentral t gives NaN at scattered points; the search must not step on one."""
    smallest = s.smallest_effect(n)
    assert smallest is not None
    assert s.paired_power(smallest, n) == pytest.approx(0.8, abs=0.01)
