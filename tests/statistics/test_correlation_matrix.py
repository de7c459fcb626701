import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.correlation import correlate_with_grade
from dtimuscle.statistics.correlation_matrix import correlation_matrix

NAMES = ["a.fa", "a.md", "b.fa"]


@pytest.fixture
def values():
    table = pd.DataFrame(np.random.default_rng(2).normal(size=(30, 3)), columns=NAMES)
    table["a.md"] *= 1e-3
    table.iloc[:4, 0] = np.nan
    table.iloc[2:6, 1] = np.inf
    return table


@pytest.mark.parametrize("method", ["Pearson", "Spearman", "Kendall"])
def test_each_pair_uses_everybody_in_whom_both_are_known(values, method):
    found = correlation_matrix(values, method=method)
    both = values.iloc[6:]
    expected = correlate_with_grade(both["a.fa"], both["a.md"], name="a.fa", method=method)
    assert found.r.loc["a.fa", "a.md"] == pytest.approx(expected.r, rel=1e-12)
    assert found.p.loc["a.md", "a.fa"] == pytest.approx(expected.p, rel=1e-12)
    assert found.n.to_numpy().tolist() == [[26, 24, 26], [24, 26, 26], [26, 26, 30]]
    assert found.features == tuple(NAMES)


def test_the_matrix_is_symmetric_with_ones_on_its_diagonal(values):
    found = correlation_matrix(values)
    assert found.r.equals(found.r.T)
    assert np.diag(found.r).tolist() == [1, 1, 1]
    assert np.isnan(np.diag(found.p)).all()
    assert found.issues == ()


def test_what_has_no_correlation_is_nan_and_named(values):
    values["flat.fa"] = 0.3
    values["rare.fa"] = values["b.fa"].where(values.index < 4)  # nobody of these has a.fa
    found = correlation_matrix(values)
    assert found.r["flat.fa"].isna().all()
    assert np.isnan(found.r.loc["a.fa", "rare.fa"])
    assert found.r.loc["rare.fa", "rare.fa"] == 1
    assert [issue.where for issue in found.issues] == ["flat.fa", "a.fa and rare.fa", "a.md and rare.fa"]


def test_nothing_to_correlate_makes_an_empty_matrix():
    assert correlation_matrix(pd.DataFrame(index=range(5))).r.empty


def test_an_unknown_method_is_refused(values):
    with pytest.raises(StatisticsError, match="'tau' found, one of Pearson, Spearman, Kendall needed"):
        correlation_matrix(values, method="tau")
