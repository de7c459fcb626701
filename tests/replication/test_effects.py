import math

import pytest
from scipy import stats

from dtimuscle.replication import effects
from dtimuscle.replication.criteria import Effect
from dtimuscle.statistics.estimates import Estimate, Interval


@pytest.mark.parametrize(
    ("scale", "value", "printed"),
    [
        ("Fisher z", math.atanh(0.45), 0.45),
        ("logit AUC", math.log(0.722 / 0.278), 0.722),
        ("log odds ratio", math.log(1.6), 1.6),
        ("difference", -7e-4, -7e-4),
        ("mean", 1.02e-3, 1.02e-3),
    ],
)
def test_values_come_back_to_the_printed_scale(scale: str, value: float, printed: float) -> None:
    assert effects.on_printed_scale(scale, value) == pytest.approx(printed, rel=1e-12)


@pytest.mark.parametrize("scale", ["Fisher z", "logit AUC", "log odds ratio", "difference"])
def test_extreme_values_come_back_without_overflow(scale: str) -> None:
    assert effects.on_printed_scale(scale, -1e9) < effects.on_printed_scale(scale, 1e9)
    assert math.isnan(effects.on_printed_scale(scale, math.nan))


@pytest.mark.parametrize(
    "missing",
    [
        effects.group_mean(1.0, 0.3, 1),
        effects.group_mean(1.0, 0.0, 30),
        effects.group_mean(1.0, math.nan, 30),
        effects.correlation(1.0, None, 30),
        effects.correlation(-1.0, Interval(-1.0, -0.9), 30),
        effects.correlation(math.nan, None, 30),
        effects.correlation(0.5, None, 3),
        effects.correlation(0.5, Interval(math.nan, math.nan), 3),
        effects.auc(1.0, Interval(0.9, 1.0)),
        effects.auc(0.0, Interval(0.0, 0.1)),
        effects.auc(0.7, None),
        effects.auc(0.7, None, sizes=(1, 20)),
        effects.auc(0.7, Interval(0.7, 0.7)),
        effects.auc(0.7, Interval(math.nan, math.nan)),
        effects.odds_ratio(0.0, Interval(0.0, 2.0)),
        effects.odds_ratio(math.inf, None),
        effects.odds_ratio(math.nan, None),
        effects.odds_ratio(2.0, None),
        effects.odds_ratio(2.0, Interval(0.0, 5.0)),
        effects.odds_ratio(2.0, Interval(1.0, math.inf)),
        effects.new_effect("difference", Estimate("difference", "x.md", "", 1.0, n=50)),
        effects.new_effect("difference", Estimate("difference", "x.md", "", 1.0, interval=Interval(0.0, 2.0), n=2)),
        effects.new_effect("difference", Estimate("difference", "x.md", "", math.nan, interval=Interval(0, 2), n=9)),
        effects.new_effect("mean", Estimate("mean", "x.md", "poor", 1.0, interval=Interval(0.0, 2.0), n=1)),
    ],
)
def test_what_has_no_standard_error_says_so(missing: Effect | str) -> None:
    assert isinstance(missing, str)
    assert missing.endswith(".")


def test_an_interval_that_is_cut_off_counts_by_its_other_side() -> None:
    # DeLong's interval is cut off at 1; half of what is left would make the standard error too small.
    whole = effects.auc_error(0.9, Interval(0.75, 1.05))
    assert effects.auc_error(0.9, Interval(0.75, 1.0)) == pytest.approx(whole)
    assert effects.auc_error(0.1, Interval(0.0, 0.25)) == pytest.approx(whole)
    assert whole == pytest.approx(0.15 / stats.norm.ppf(0.975))


def test_an_auc_below_one_half_is_the_one_above_turned_round() -> None:
    above, below = (effects.auc(value, None, sizes=(31, 69)) for value in (0.722, 1 - 0.722))
    assert isinstance(above, Effect)
    assert isinstance(below, Effect)
    assert below.value == pytest.approx(-above.value)
    assert below.standard_error == pytest.approx(above.standard_error)
    nothing = effects.auc(0.5, None, sizes=(31, 69))
    assert isinstance(nothing, Effect)
    assert nothing.value == 0


def test_an_odds_ratio_for_twice_the_step_has_twice_the_log_and_error() -> None:
    once, twice = (effects.odds_ratio(1.5, Interval(1.1, 2.0), units=units) for units in (1, -2))
    assert isinstance(once, Effect)
    assert isinstance(twice, Effect)
    assert (twice.value, twice.standard_error) == pytest.approx((-2 * once.value, 2 * once.standard_error))


def test_intervals_of_other_levels_give_the_same_standard_error() -> None:
    found = []
    for level in (0.8, 0.95, 0.99):
        margin = stats.t.ppf((1 + level) / 2, 48) * 0.2
        interval = Interval(1.0 - margin, 1.0 + margin, level)
        found.append(effects.new_effect("difference", Estimate("difference", "x.md", "", 1.0, interval=interval, n=50)))
    for effect in found:
        assert isinstance(effect, Effect)
        assert effect.standard_error == pytest.approx(0.2, rel=1e-9)
        assert effect.df == 48


def test_a_mean_has_the_interval_of_students_distribution():
    mean, sd, n = 1.02, 0.34, 31
    expected = stats.t.interval(0.95, n - 1, loc=mean, scale=sd / math.sqrt(n))
    found = effects.effect_interval(Effect(mean, sd / math.sqrt(n), n - 1, has_neutral=False), "mean")
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-12)


def test_a_correlation_has_the_interval_of_fishers_z():
    # Fisher 1921: z = artanh r with standard error 1 / √(n − 3).
    expected = stats.pearsonr([1, 2, 3, 4, 5, 6, 7], [2, 1, 4, 3, 7, 5, 6])
    found = effects.effect_interval(Effect(math.atanh(expected.statistic), 1 / math.sqrt(4)), "Fisher z", level=0.9)
    bounds = expected.confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high), rel=1e-12)
    assert found.level == 0.9


def test_an_odds_ratio_has_an_interval_that_is_symmetric_as_a_ratio():
    found = effects.effect_interval(Effect(math.log(2), 0.3), "log odds ratio")
    assert 2 / found.low == pytest.approx(found.high / 2, rel=1e-12)
