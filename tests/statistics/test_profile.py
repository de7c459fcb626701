import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

from dtimuscle.statistics.log_odds import LogOdds
from dtimuscle.statistics.profile import likelihood_ratio, profile_interval


def model(*, is_penalised=False, n=80, seed=1):
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    return LogOdds(design, rng.random(n) < 1 / (1 + np.exp(0.5 - design[:, 1])), is_penalised)


def deviance_at(likelihood, maximum, index, value):
    start = maximum.terms.copy()
    start[index] = value
    return 2 * (maximum.point.value - likelihood.maximise(start=start, fixed=[index]).point.value)


@pytest.mark.parametrize("is_penalised", [False, True])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_the_deviance_at_both_ends_is_the_quantile(is_penalised, level):
    likelihood = model(is_penalised=is_penalised)
    maximum = likelihood.maximise()
    found = profile_interval(likelihood, maximum, 1, level=level)
    assert found.low < maximum.terms[1] < found.high
    for end in (found.low, found.high):
        assert deviance_at(likelihood, maximum, 1, end) == pytest.approx(stats.chi2.ppf(level, 1), rel=1e-9)


def test_one_proportion_has_the_interval_of_the_binomial_likelihood():
    k, n = 3, 20
    likelihood = LogOdds(np.ones((n, 1)), np.arange(n) < k)
    found = profile_interval(likelihood, likelihood.maximise(), 0)

    def excess(p):
        return 2 * (stats.binom.logpmf(k, n, k / n) - stats.binom.logpmf(k, n, p)) - stats.chi2.ppf(0.95, 1)

    expected = [brentq(excess, 1e-6, k / n, xtol=1e-14), brentq(excess, k / n, 1 - 1e-6, xtol=1e-14)]
    np.testing.assert_allclose(1 / (1 + np.exp([-found.low, -found.high])), expected, rtol=1e-9)


def test_the_likelihood_ratio_is_that_of_the_smaller_model():
    likelihood = model()
    smaller = LogOdds(likelihood.design[:, [0, 2]], likelihood.is_event)
    expected = 2 * (likelihood.maximise().point.value - smaller.maximise().point.value)
    assert likelihood_ratio(likelihood, likelihood.maximise(), 1) == pytest.approx(expected, rel=1e-10)


def test_the_interval_holds_zero_exactly_when_the_test_does_not_reject():
    likelihood = model()
    maximum = likelihood.maximise()
    p = stats.chi2.sf(likelihood_ratio(likelihood, maximum, 1), 1)
    assert profile_interval(likelihood, maximum, 1, level=1 - 1.001 * p).low > 0
    assert profile_interval(likelihood, maximum, 1, level=1 - 0.999 * p).low < 0


def test_thousands_of_participants_have_an_interval():
    likelihood = model(n=6000)
    maximum = likelihood.maximise()
    found = profile_interval(likelihood, maximum, 1)
    assert deviance_at(likelihood, maximum, 1, found.high) == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-9)


def test_groups_that_hardly_overlap_have_a_wide_interval():
    x = np.concatenate([np.linspace(0, 1.001, 20), np.linspace(1, 2, 20)])
    likelihood = LogOdds(np.column_stack([np.ones(40), x - x.mean()]), np.arange(40) >= 20)
    maximum = likelihood.maximise()
    found = profile_interval(likelihood, maximum, 1)
    assert 0 < found.low < maximum.terms[1] < found.high < np.inf
    assert deviance_at(likelihood, maximum, 1, found.low) == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-8)


def test_no_other_start_finds_a_higher_likelihood_at_an_end_of_separated_groups():
    rng = np.random.default_rng([2, 10])
    n, k = int(rng.integers(8, 41)), int(rng.integers(1, 5))
    columns = rng.normal(size=(n, k))
    columns = (columns - columns.mean(axis=0)) / columns.std(axis=0, ddof=1)
    likelihood = LogOdds(
        np.column_stack([np.ones(n), columns]), columns[:, 0] > rng.normal(scale=0.5), is_penalised=True
    )
    maximum = likelihood.maximise()
    end = profile_interval(likelihood, maximum, 3, is_rugged=True).low
    fallen = []
    for start in rng.normal(size=(60, k + 1)) * 10 ** rng.uniform(-1, 1.7, size=(60, 1)):
        start[3] = end
        held = likelihood.maximise(start=start, fixed=[3])
        fallen.append(2 * (maximum.point.value - held.point.value) if held.is_reached else np.inf)
    assert min(fallen) == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-8)
