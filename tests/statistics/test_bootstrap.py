import math

import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics import bootstrap
from dtimuscle.statistics.auc import delong_components
from dtimuscle.statistics.bootstrap import bootstrap_aucs, percentile_interval
from dtimuscle.statistics.partial_auc import partial_auc
from dtimuscle.statistics.resampling import generator_for, part_of
from dtimuscle.statistics.roc import roc_curve

N_POOR, N_GOOD = 12, 20
POOR = pd.Series(np.arange(N_POOR + N_GOOD) < N_POOR, dtype="boolean")


def scores(seed=0, digits=1):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(POOR.size, 2)) + 0.8 * POOR.to_numpy(dtype=float)[:, None]
    return pd.DataFrame(values.round(digits), columns=["a", "b"])


def drawn(n_bootstrap, *, seed=1):
    """The participants of each resample, drawn here as the module says that it draws them."""
    events, controls = (
        generator_for(seed, f"stratified bootstrap {group}").integers(n, size=(n_bootstrap, n))
        for group, n in (("events", N_POOR), ("controls", N_GOOD))
    )
    return [np.concatenate([e, N_POOR + c]) for e, c in zip(events, controls, strict=True)]


def test_every_resample_has_the_auc_of_its_participants():
    found = bootstrap_aucs(scores(), POOR, n_bootstrap=50)
    for rows, areas in zip(drawn(50), found.replicates, strict=True):
        sample = scores().to_numpy()[rows].T
        assert areas == pytest.approx(delong_components(sample, POOR.to_numpy(dtype=bool)).auc)


def test_every_resample_has_the_partial_area_and_the_sensitivities_of_its_curve():
    found = bootstrap_aucs(scores(), POOR, n_bootstrap=50, min_specificity=0.63)
    for rows, area in zip(drawn(50), found.partial_replicates[:, 0], strict=True):
        curve = roc_curve(pd.Series(scores()["a"].to_numpy()[rows]), POOR, name="a", higher_is_poor=True)
        assert area == pytest.approx(partial_auc(curve.specificity, curve.sensitivity, min_specificity=0.63).value)


def sensitivity_at(curve, position):
    """Sensitivity where so many controls are called poor: the top of a step, or on the line between two points."""
    x, y = np.rint(N_GOOD * (1 - curve.specificity)), curve.sensitivity
    if (x == position).any():
        return y[x == position].max()
    left, right = x[x < position].max(), x[x > position].min()
    start, end = y[x == left].max(), y[x == right].min()
    return start + (end - start) * (position - left) / (right - left)


def test_a_band_lies_between_percentiles_of_the_resampled_curves():
    # Called poor are 20, 13.4, 10, 6, 1 and 0 controls.
    grid = (0.0, 0.33, 0.5, 0.7, 0.95, 1.0)
    found = bootstrap_aucs(scores(), POOR, n_bootstrap=60, specificities=grid, level=0.8).of("a").band
    curves = [
        roc_curve(pd.Series(scores()["a"].to_numpy()[rows]), POOR, name="a", higher_is_poor=True) for rows in drawn(60)
    ]
    sensitivities = [[sensitivity_at(curve, position) for position in (20, 13.4, 10, 6, 1, 0)] for curve in curves]
    low, high = np.quantile(sensitivities, (0.1, 0.9), axis=0)
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)


def test_the_size_of_blocks_changes_nothing(monkeypatch):
    whole = bootstrap_aucs(scores(), POOR, n_bootstrap=40)
    monkeypatch.setattr(bootstrap, "_BLOCK", 7 * POOR.size)
    told = []
    in_blocks = bootstrap_aucs(scores(), POOR, n_bootstrap=40, progress=lambda *how: told.append(how))
    assert np.array_equal(whole.replicates, in_blocks.replicates)
    assert told == [(7, 40), (14, 40), (21, 40), (28, 40), (35, 40), (40, 40)]


def test_more_resamples_begin_with_the_same_ones_and_another_seed_does_not():
    first, more, other = (bootstrap_aucs(scores(), POOR, n_bootstrap=n, seed=s) for n, s in ((9, 1), (30, 1), (9, 2)))
    assert np.array_equal(first.replicates, more.replicates[:9])
    assert not np.array_equal(first.replicates, other.replicates)


def test_scores_share_their_resamples():
    values = scores().assign(again=lambda table: table["a"] * 1e-3 + 5)
    found = bootstrap_aucs(values, POOR, n_bootstrap=100)
    assert np.array_equal(found.replicates[:, 0], found.replicates[:, 2])
    same = found.compare("a", "again")
    assert (same.difference, same.z, same.p, same.interval.low, same.interval.high) == (0, 0, 1, 0, 0)
    alone = bootstrap_aucs(values[["b"]], POOR, n_bootstrap=100)
    assert np.array_equal(found.replicates[:, 1], alone.replicates[:, 0])


def test_the_test_divides_by_the_spread_of_the_differences():
    found = bootstrap_aucs(scores(), POOR, n_bootstrap=200)
    differences = found.replicates[:, 0] - found.replicates[:, 1]
    test = found.compare("a", "b")
    assert test.z == pytest.approx((found.observed[0] - found.observed[1]) / differences.std(ddof=1))
    assert (test.interval.low, test.interval.high) == pytest.approx(np.quantile(differences, (0.025, 0.975)))


def test_the_spread_of_the_resamples_is_delongs():
    found = bootstrap_aucs(scores(digits=9), POOR, n_bootstrap=20_000)
    components = delong_components(scores(digits=9).to_numpy().T, POOR.to_numpy(dtype=bool))
    # The bootstrap's variance divides by n where DeLong's divides by n - 1, and adds a term of the order 1 / (mn).
    assert found.replicates[:, 0].std() ** 2 == pytest.approx(components.variance_of(np.array([1.0, 0.0])), rel=0.1)


def test_directions_can_differ():
    found = bootstrap_aucs(
        scores().assign(b=-scores()["a"]), POOR, higher_is_poor={"a": True, "b": False}, n_bootstrap=9
    )
    assert np.array_equal(found.replicates[:, 0], found.replicates[:, 1])


def test_those_who_lack_a_score_are_left_out_and_counted():
    values = scores()
    values.iloc[[0, 15], [0, 1]] = np.nan
    found = bootstrap_aucs(values, POOR, n_bootstrap=5)
    assert (found.n_events, found.n_controls, found.n_missing) == (N_POOR - 1, N_GOOD - 1, 2)


def test_resamples_that_all_agree_give_no_interval():
    perfect = pd.DataFrame({"a": POOR.astype(float), "b": scores()["b"]})
    found = bootstrap_aucs(perfect, POOR, n_bootstrap=20, min_specificity=0.8, specificities=(0.5,))
    one = found.of("a")
    assert one.auc.value == 1
    assert not one.auc.interval.is_defined
    assert not one.partial.is_defined
    assert one.band is None
    assert "every resample has the same AUC" in one.issues[0].what
    assert found.of("b").auc.interval.is_defined


def test_opposite_perfect_scores_have_no_bootstrap_test():
    both = pd.DataFrame({"a": POOR.astype(float), "b": -POOR.astype(float)})
    test = bootstrap_aucs(both, POOR, n_bootstrap=20).compare("a", "b")
    assert test.difference == 1
    assert math.isnan(test.p)
    assert "resamples do not differ" in test.issues[0].what


def test_a_single_participant_cannot_be_resampled():
    poor = pd.Series([True] + [False] * 9, dtype="boolean")
    found = bootstrap_aucs(scores().head(10), poor, n_bootstrap=20)
    assert not found.of("a").auc.interval.is_defined
    assert math.isnan(found.compare("a", "b").p)
    assert "a single participant" in found.of("a").issues[0].what


def test_without_a_partial_area_or_band_there_is_none():
    found = bootstrap_aucs(scores(), POOR, n_bootstrap=20).of("a")
    assert not found.partial.is_defined
    assert not found.standardised.is_defined
    assert found.band is None


def test_percentiles_are_those_of_r():
    found = percentile_interval(np.array([1.0, 2.0, 4.0, 8.0]), level=0.5)
    assert (found.low, found.high) == (1.75, 5.0)


@pytest.mark.parametrize(
    ("options", "message"), [({"n_bootstrap": 1}, "at least 2"), ({"min_specificity": 1}, "below 1")]
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(StatisticsError, match=message):
        bootstrap_aucs(scores(), POOR, **options)


def test_nobody_in_a_group_stops_the_bootstrap():
    with pytest.raises(StatisticsError, match="no participant with good muscle function"):
        bootstrap_aucs(scores(), POOR | True, n_bootstrap=5)


def test_parts_tell_of_the_whole():
    told = []
    for part in range(2):
        part_of(lambda *how: told.append(how), part=part, n_parts=2)(10, 10)
    assert told == [(10, 20), (20, 20)]
    assert part_of(None, part=0, n_parts=2) is None
