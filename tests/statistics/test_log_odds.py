import math

import numpy as np
import pytest

from dtimuscle.statistics.log_odds import LogOdds, inverse


def model(*, is_penalised, seed=0, n=60):
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(n), rng.normal(size=(n, 3))])
    return LogOdds(design, rng.random(n) < 0.4, is_penalised)


def slopes(function, terms):
    steps = 1e-6 * np.eye(terms.size)
    return np.array([(function(terms + step) - function(terms - step)) / 2e-6 for step in steps])


@pytest.mark.parametrize("is_penalised", [False, True])
def test_score_and_curvature_are_the_derivatives_of_the_log_likelihood(is_penalised):
    likelihood, terms = model(is_penalised=is_penalised), np.array([0.3, -0.8, 0.5, 1.1])
    point = likelihood.at(terms)
    np.testing.assert_allclose(point.score, slopes(lambda b: likelihood.at(b).value, terms), atol=1e-7)
    np.testing.assert_allclose(-point.curvature, slopes(lambda b: likelihood.at(b).score, terms), atol=1e-7)


def test_the_penalty_is_half_the_log_determinant_of_the_information():
    plain, penalised, terms = model(is_penalised=False), model(is_penalised=True), np.array([0.3, -0.8, 0.5, 1.1])
    information = plain.at(terms).information
    expected = plain.at(terms).value + math.log(np.linalg.det(information)) / 2
    assert penalised.at(terms).value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("is_penalised", [False, True])
def test_the_score_vanishes_at_the_maximum(is_penalised):
    maximum = model(is_penalised=is_penalised).maximise()
    assert maximum.is_reached
    np.testing.assert_allclose(maximum.point.score, 0, atol=1e-12)


def test_fixed_terms_stay_where_they_are():
    likelihood = model(is_penalised=False)
    held = likelihood.maximise(start=np.array([0.0, 0.7, 0.0, 0.0]), fixed=[1])
    assert held.terms[1] == 0.7
    np.testing.assert_allclose(held.point.score[[0, 2, 3]], 0, atol=1e-12)
    assert abs(held.point.score[1]) > 0.1


def test_a_search_that_is_cut_short_says_so():
    assert not model(is_penalised=False).maximise(max_iterations=1).is_reached


def test_far_out_the_penalised_likelihood_is_minus_infinity_and_no_error():
    assert model(is_penalised=True).at(np.array([0.0, 1e4, 0.0, 0.0])).value == -math.inf


def test_a_singular_matrix_has_no_inverse():
    assert np.isnan(inverse(np.ones((2, 2)))).all()
    np.testing.assert_allclose(inverse(np.array([[2.0, 1.0], [1.0, 2.0]])), np.array([[2, -1], [-1, 2]]) / 3)
