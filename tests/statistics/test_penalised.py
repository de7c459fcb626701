import math

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from dtimuscle import threads
from dtimuscle.errors import StatisticsError
from dtimuscle.statistics import penalised
from dtimuscle.statistics.logistic import fit_logistic
from dtimuscle.statistics.penalised import fit_elastic_net, fit_penalised, penalised_recipe
from dtimuscle.statistics.resampling import generator_for

QUICK = {"repeats": 2, "n_penalties": 8}


def patients(*, n_poor=31, n_good=69, k=6, effect=1.0, seed=0, scale=1e-3):
    """The first two features are lower in poor function, the others say nothing."""
    rng = np.random.default_rng(seed)
    poor = np.arange(n_poor + n_good) < n_poor
    x = 0.8 * rng.normal(size=(poor.size, k)) + 0.6 * rng.normal(size=(poor.size, 1))
    x[:, :2] -= effect * poor[:, None]
    index = pd.Index([f"sub-{i:03d}" for i in range(poor.size)], name="participant_id")
    values = pd.DataFrame(scale * (1.7 + 0.3 * x), index=index, columns=[f"muscle_{i}.md" for i in range(k)])
    return values, pd.Series(poor, index=index, dtype="boolean")


def test_the_final_model_is_the_penalised_optimum_in_the_features_own_units():
    values, poor = patients()
    fit = fit_penalised(values, poor, seed=1, **QUICK)
    x = (values - values.mean()) / values.std(ddof=0)
    beta = fit_elastic_net(x.to_numpy(), poor.to_numpy(dtype=bool), l1_ratio=fit.l1_ratio, penalty=fit.penalty)
    for term, own, sd in zip(fit.terms, beta[1:], values.std(), strict=True):
        assert term.estimate == pytest.approx(own * math.sqrt(100 / 99) / sd, rel=1e-10)
        assert term.odds_ratio_per_sd == pytest.approx(math.exp(term.estimate * sd))
        assert term.odds_ratio == pytest.approx(math.exp(term.estimate * 0.1e-3))
    eta = fit.intercept + values.to_numpy() @ [term.estimate for term in fit.terms]
    np.testing.assert_allclose(fit.probabilities, 1 / (1 + np.exp(-eta)), rtol=1e-9)
    assert fit.apparent_auc == pytest.approx(roc_auc_score(poor.astype(int), fit.probabilities))


def test_the_chosen_penalty_has_the_lowest_log_loss_of_the_path():
    fit = fit_penalised(*patients(), seed=1, **QUICK)
    best = min(fit.path, key=lambda point: point.log_loss)
    assert (best.l1_ratio, best.penalty) == (fit.l1_ratio, fit.penalty)
    assert len(fit.path) == 3 * 8


def test_cross_validated_log_loss_agrees_with_scikit_learn_fold_by_fold():
    values, poor = patients()
    y = poor.to_numpy(dtype=bool)
    fit = fit_penalised(values, poor, seed=7, l1_ratios=(0,), n_penalties=4, repeats=2)
    rng = generator_for(7, "penalised nested cross-validation")
    folds = [penalised._fold_numbers(y, 5, rng) for _ in range(2)]
    for point in fit.path:
        losses = []
        for numbers in folds:
            for fold in range(5):
                training, test = values[numbers != fold], values[numbers == fold]
                centre, sd = training.mean(), training.std(ddof=0)
                model = LogisticRegression(C=1 / (len(training) * point.penalty), solver="newton-cholesky", tol=1e-10)
                model.fit((training - centre) / sd, y[numbers != fold])
                predicted = model.predict_proba((test - centre) / sd)[:, 1]
                losses.append(log_loss(y[numbers == fold], predicted, labels=[False, True]))
        assert point.log_loss == pytest.approx(np.mean(losses), rel=1e-5)


def test_the_seed_alone_decides():
    values, poor = patients()
    one, same, other = (fit_penalised(values, poor, seed=seed, **QUICK) for seed in (1, 1, 2))
    assert one.performance == same.performance
    assert one.terms == same.terms
    assert one.performance != other.performance


def test_units_change_nothing_but_the_coefficients():
    values, poor = patients()
    small, large = (fit_penalised(values * factor, poor, seed=1, **QUICK) for factor in (1, 1e6))
    assert large.penalty == small.penalty
    assert large.performance.auc == pytest.approx(small.performance.auc)
    assert large.terms[0].odds_ratio_per_sd == pytest.approx(small.terms[0].odds_ratio_per_sd, rel=1e-8)


def test_noise_is_predicted_no_better_than_chance_although_it_seems_so():
    found = [fit_penalised(*patients(k=20, effect=0.0, seed=s), seed=1, l1_ratios=(0,), **QUICK) for s in range(6)]
    assert np.mean([fit.apparent_auc for fit in found]) > 0.7
    assert abs(np.mean([fit.performance.auc for fit in found]) - 0.5) < 0.08
    assert np.mean([fit.performance.log_loss - fit.performance.null_log_loss for fit in found]) > -0.005


def test_true_features_stay_and_keep_their_direction():
    fit = fit_penalised(*patients(k=12, effect=1.0), seed=1, l1_ratios=(1,), n_penalties=10, repeats=3)
    true, noise = fit.terms[:2], fit.terms[2:]
    assert min(term.same_direction for term in true) > 0.9
    assert np.mean([term.selected for term in noise]) < 0.8
    assert all(term.odds_ratio_per_sd < 1 and term.difference < 0 and not term.turns_round for term in true)
    assert fit.kind == "lasso"
    assert fit.ridge_share == 0
    assert fit.performance.auc > 0.75
    assert fit.performance.brier < fit.performance.null_brier


def test_the_direction_alone_is_that_of_the_univariate_odds_ratio():
    values, poor = patients(effect=0.2)
    for term in fit_penalised(values, poor, seed=1, l1_ratios=(0,), **QUICK).terms:
        (single,) = fit_logistic(values[[term.name]], poor).coefficients
        assert np.sign(single.estimate) == np.sign(term.difference)


def test_everybody_is_held_out_once_in_each_repeat():
    values, poor = patients()
    fit = fit_penalised(values, poor, seed=1, **QUICK)
    assert fit.held_out.between(0, 1, inclusive="neither").all()
    assert list(fit.held_out.index) == list(values.index)
    assert roc_auc_score(poor.astype(int), fit.held_out) < fit.apparent_auc


def test_incomplete_participants_and_constant_features_are_left_out_and_said():
    values, poor = patients()
    values.iloc[[0, 50], 1] = np.nan
    values.iloc[1, 2] = np.inf
    poor.iloc[99] = pd.NA
    fit = fit_penalised(values.assign(flat=3.0), poor, seed=1, **QUICK)
    assert (fit.n, fit.n_missing, fit.n_events) == (96, 3, 29)
    assert math.isnan(fit.terms[-1].estimate)
    assert not fit.terms[-1].is_zero
    assert [issue.where for issue in fit.issues] == ["flat", "penalised model"]
    assert "3 participant(s) left out" in fit.issues[1].what


def test_fewer_events_than_folds_make_fewer_folds():
    fit = fit_penalised(*patients(n_poor=3, n_good=20), seed=1, **QUICK)
    assert (fit.folds, fit.inner_folds) == (3, 2)
    assert math.isfinite(fit.performance.auc)
    assert any("3 folds instead of 5" in issue.what for issue in fit.issues)


@pytest.mark.parametrize(("n_poor", "n_good"), [(0, 20), (20, 0), (1, 20), (2, 20), (0, 0), (1, 1)])
def test_without_enough_of_both_groups_there_is_no_model(n_poor, n_good):
    fit = fit_penalised(*patients(n_poor=n_poor, n_good=n_good), seed=1)
    assert all(math.isnan(term.odds_ratio) for term in fit.terms)
    assert math.isnan(fit.performance.auc)
    assert fit.path == ()
    assert fit.issues[-1].severity == "error"


def test_without_a_feature_that_varies_there_is_no_model():
    values, poor = patients()
    fit = fit_penalised(values[[]].assign(flat=1.0), poor, seed=1)
    assert fit.issues[-1].what.startswith("no feature that varies")
    assert fit_penalised(values[[]], poor, seed=1).terms == ()


def test_perfect_prediction_gives_finite_odds_ratios():
    values, poor = patients(effect=30.0)
    fit = fit_penalised(values, poor, seed=1, **QUICK)
    assert fit.performance.auc == 1
    assert all(math.isfinite(term.odds_ratio_per_sd) for term in fit.terms)
    assert any("weakest penalty" in issue.what for issue in fit.issues)


def test_repeated_features_and_more_features_than_participants_have_a_model():
    values, poor = patients(n_poor=8, n_good=12, k=30)
    values["again"] = values.iloc[:, 0]
    fit = fit_penalised(values, poor, seed=1, **QUICK)
    assert math.isfinite(fit.performance.auc)
    assert all(math.isfinite(term.estimate) for term in fit.terms)


def test_progress_ends_where_it_said():
    said = []
    fit_penalised(*patients(), seed=1, progress=lambda done, total: said.append((done, total)), **QUICK)
    assert said[-1] == (24, 24)
    assert [done for done, _ in said] == sorted(done for done, _ in said)


def test_work_in_blocks_changes_nothing(monkeypatch):
    values, poor = patients()
    whole = fit_penalised(values, poor, seed=1, **QUICK)
    monkeypatch.setattr(penalised, "LARGEST_BLOCK", 1500)
    said = []
    blocks = fit_penalised(values, poor, seed=1, progress=lambda done, total: said.append((done, total)), **QUICK)
    assert said[-1] == (5 * 24, 5 * 24)
    assert blocks.performance.log_loss == pytest.approx(whole.performance.log_loss, rel=1e-6)
    assert blocks.penalty == whole.penalty


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"l1_ratios": ()}, "l1_ratios"), ({"l1_ratios": (2,)}, "l1_ratios"), ({"folds": 1}, "folds 1"),
     ({"repeats": 0}, "repeats 0"), ({"n_penalties": 1}, "n_penalties 1")],
)  # fmt: skip
def test_choices_outside_their_range_are_refused(wrong, words):
    with pytest.raises(StatisticsError, match=words):
        fit_penalised(*patients(), seed=1, **wrong)


def test_a_recipe_predicts_new_participants():
    values, poor = patients()
    recipe = penalised_recipe(values.columns, seed=3)
    assert (recipe.name, recipe.columns) == ("ridge", tuple(values.columns))
    x, y = values.to_numpy(), poor.to_numpy(dtype=bool)
    predict = recipe.fit(x, y)
    new, new_poor = patients(seed=9)
    assert roc_auc_score(new_poor.astype(int), predict(new.to_numpy())) > 0.75
    np.testing.assert_array_equal(recipe.fit(x, y)(x), predict(x))
    assert predict(x[:1]).shape == (1,)


def test_a_recipe_survives_constant_features_and_refuses_a_single_event():
    values, poor = patients(n_poor=4, n_good=8)
    x, y = values.assign(flat=1.0).to_numpy(), poor.to_numpy(dtype=bool)
    recipe = penalised_recipe([*values.columns, "flat"], seed=3, l1_ratios=(0, 0.5))
    assert recipe.name == "penalised"
    assert np.isfinite(recipe.fit(x, y)(x)).all()
    with pytest.raises(StatisticsError, match="2 needed"):
        recipe.fit(x[3:], y[3:])


def test_a_recipe_fits_sets_together_as_it_fits_each_alone():
    values, poor = patients(n_poor=6, n_good=14)
    x, y = values.to_numpy(), poor.to_numpy(dtype=bool)
    rng = np.random.default_rng(5)
    # With repetitions as in a bootstrap sample; of one event, which is too few; and with few, for fewer folds.
    sets = [rng.integers(0, 20, 20), np.arange(5, 20), np.flatnonzero(np.arange(20) != 3), np.r_[0:3, 6:20]]
    recipe = penalised_recipe(values.columns, seed=3, n_penalties=8)
    together = recipe.fit_each(x, y, sets)
    assert isinstance(together[1], StatisticsError)
    for rows, model in zip(sets, together, strict=True):
        if not isinstance(model, StatisticsError):
            np.testing.assert_allclose(model(x), recipe.fit(x[rows], y[rows])(x), rtol=1e-9)


def test_numbers_do_not_depend_on_threads(monkeypatch):
    values, poor = patients()

    def fit(n, ticks):
        monkeypatch.setitem(threads._limits, "n", n)
        return fit_penalised(values, poor, seed=1, repeats=6, n_penalties=4, progress=lambda *tick: ticks.append(tick))

    ticks = [], []
    one, two = (fit(n, said) for n, said in zip((1, 2), ticks, strict=True))
    for said in ticks:
        assert sorted(said) == [(done, len(said)) for done in range(1, len(said) + 1)]
    assert (one.intercept, one.performance) == (two.intercept, two.performance)
    pd.testing.assert_series_equal(one.held_out, two.held_out, check_exact=True)
