import numpy as np
import pytest

from dtimuscle.statistics.outlying import OUTLYING_Z, robust_z


def test_the_score_is_the_distance_from_the_median_in_robust_sds():
    # Median 5.5, MAD 2.5; 0.6745 (x - median) / MAD is Iglewicz and Hoaglin's form.
    values = np.arange(1.0, 11.0)
    np.testing.assert_allclose(robust_z(values), 0.6745 * (values - 5.5) / 2.5, rtol=1e-4)


def test_an_outlier_cannot_hide_behind_its_own_size():
    values = np.append(np.linspace(0, 1, 19), 1e6)
    assert abs((values[-1] - values.mean()) / values.std(ddof=1)) < 4.3
    assert robust_z(values)[-1] > 1e5


def test_of_normal_values_about_one_in_two_thousand_is_outlying():
    z = robust_z(np.random.default_rng(0).normal(size=200_000))
    assert np.mean(np.abs(z) > OUTLYING_Z) == pytest.approx(4.7e-4, abs=1.5e-4)


def test_where_most_are_equal_the_mean_deviation_takes_over():
    values = np.append(np.zeros(19), 1.0)
    np.testing.assert_allclose(robust_z(values)[-1], 20 / 1.2533141373155001)
    assert robust_z(values)[0] == 0


def test_equal_values_are_not_outlying():
    assert (robust_z(np.full(12, 3.0)) == 0).all()


def test_unknown_values_stay_unknown_and_do_not_count():
    values = np.append(np.arange(10.0), np.nan)
    z = robust_z(values)
    assert np.isnan(z[-1])
    np.testing.assert_array_equal(z[:-1], robust_z(values[:-1]))


def test_of_fewer_than_ten_none_can_be_told_apart():
    assert np.isnan(robust_z(np.arange(9.0))).all()
