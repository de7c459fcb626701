import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from dtimuscle.statistics.elastic_net import fit_path

FINE = 1e-11


def data(*, n=90, k=6, seed=0, effect=1.0):
    rng = np.random.default_rng(seed)
    x = 0.7 * rng.normal(size=(n, k)) + 0.7 * rng.normal(size=(n, 1))
    is_event = effect * x[:, 0] - 0.8 + rng.logistic(size=n) > 0
    return (x - x.mean(axis=0)) / x.std(axis=0), is_event


def alone(x, is_event, ratio, strength):
    way = [(ratio, strength * factor) for factor in (100, 10, 1)]
    return fit_path(x, is_event, np.ones((len(x), 1)), way, tolerance=FINE)[-1, :, 0]


@pytest.mark.parametrize("penalty", [1.0, 0.03, 0.001])
def test_ridge_agrees_with_scikit_learn(penalty):
    x, is_event = data()
    expected = LogisticRegression(C=1 / (len(x) * penalty), solver="newton-cholesky", tol=1e-13).fit(x, is_event)
    found = alone(x, is_event, 0.0, penalty)
    np.testing.assert_allclose(found, [*expected.intercept_, *expected.coef_[0]], rtol=1e-7)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("penalty", [0.2, 0.02, 0.001])
def test_no_coefficient_can_be_improved(ratio, penalty):
    x, is_event = data(k=20)
    beta = alone(x, is_event, ratio, penalty)
    probability = 1 / (1 + np.exp(-(beta[0] + x @ beta[1:])))
    slope = x.T @ (probability - is_event) / len(x) + penalty * (1 - ratio) * beta[1:]
    zero = beta[1:] == 0
    assert np.mean(probability - is_event) == pytest.approx(0, abs=1e-10)
    np.testing.assert_allclose(slope[~zero], -penalty * ratio * np.sign(beta[1:][~zero]), atol=1e-9)
    assert (np.abs(slope[zero]) <= penalty * ratio + 1e-12).all()
    assert zero.any() or penalty < 0.01


def test_the_lasso_lets_the_first_feature_in_where_theory_says():
    x, is_event = data()
    entry = np.abs(x.T @ (is_event - is_event.mean())).max() / len(x)
    assert (alone(x, is_event, 1.0, 1.0001 * entry)[1:] == 0).all()
    assert (alone(x, is_event, 1.0, 0.9999 * entry)[1:] != 0).sum() == 1


def test_together_and_alone_training_sets_have_the_same_models():
    x, is_event = data(k=8)
    weights = (np.random.default_rng(1).random((len(x), 5)) < 0.7).astype(float)
    way = [(0.5, strength) for strength in np.geomspace(2, 0.005, 8)]
    together = fit_path(x, is_event, weights, way, tolerance=FINE)
    for column in range(5):
        rows = weights[:, column] > 0
        own = x[rows]
        centre, scale = own.mean(axis=0), own.std(axis=0)
        found = fit_path((own - centre) / scale, is_event[rows], np.ones((rows.sum(), 1)), way, tolerance=FINE)
        np.testing.assert_allclose(together[:, 1:, column] * scale, found[:, 1:, 0], atol=1e-8)
        np.testing.assert_allclose(together[:, 0, column] + together[:, 1:, column] @ centre, found[:, 0, 0], atol=1e-8)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_doubling_a_row_is_weighing_it_twice(ratio):
    x, is_event = data()
    weights = np.ones((len(x), 1))
    weights[:10] = 2
    weighed = fit_path(x, is_event, weights, [(ratio, 0.05)], tolerance=FINE)
    twice = np.concatenate([np.arange(len(x)), np.arange(10)])
    doubled = fit_path(x[twice], is_event[twice], np.ones((len(twice), 1)), [(ratio, 0.05)], tolerance=FINE)
    np.testing.assert_allclose(weighed, doubled, atol=1e-9)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_repeated_features_share_what_they_say(ratio):
    x, is_event = data(k=2)
    beta = alone(np.column_stack([x, x[:, 0]]), is_event, ratio, 0.02)
    assert np.isfinite(beta).all()
    if ratio < 1:
        assert beta[1] == pytest.approx(beta[3], rel=1e-6)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_a_feature_that_is_constant_in_a_training_set_stays_zero_there(ratio):
    x, is_event = data(k=3)
    x[:, 2] = 0.0
    x[-1, 2] = 1.0
    weights = np.ones((len(x), 2))
    weights[-1, 0] = 0
    found = fit_path(x, is_event, weights, [(ratio, 0.1), (ratio, 0.005)], tolerance=FINE)
    np.testing.assert_allclose(found[:, 3, 0], 0, atol=1e-12)
    if ratio == 0:
        assert (found[:, 3, 1] != 0).all()


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_perfect_prediction_has_a_finite_model(ratio):
    x, is_event = data(k=3)
    x[:, 0] = np.where(is_event, 1.0, -1.0)
    beta = alone(x, is_event, ratio, 0.001)
    assert np.isfinite(beta).all()
    assert beta[1] > 1


@pytest.mark.parametrize("ratios", [(0.0, 0.0), (0.0, 0.7)])
def test_training_sets_can_have_penalties_of_their_own(ratios):
    x, is_event = data(k=5)
    strengths = np.array([0.3, 0.01])
    way = [(np.array(ratios), strengths * factor) for factor in (100, 10, 1)]
    found = fit_path(x, is_event, np.ones((len(x), 2)), way, tolerance=FINE)[-1]
    for column, (ratio, strength) in enumerate(zip(ratios, strengths, strict=True)):
        np.testing.assert_allclose(found[:, column], alone(x, is_event, ratio, strength), rtol=1e-8, atol=1e-10)
