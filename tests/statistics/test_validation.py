import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Severity
from dtimuscle.statistics import recipes, validation
from dtimuscle.statistics.likelihood import maximise_likelihood
from dtimuscle.statistics.logistic import fit_logistic
from dtimuscle.statistics.penalised import penalised_recipe
from dtimuscle.statistics.recipes import entry_recipe, firth_recipe, maximum_likelihood_recipe
from dtimuscle.statistics.validation import Recipe, draw_resamples, performance, validate_models

NAMES = tuple(f"muscle{i}.md" for i in range(6))
FEW = {"n_resamples": 20, "folds": 5, "repeats": 2}


def patients(effect=0.0, *, seed=0, n_poor=31, n_good=69, k=6):
    rng = np.random.default_rng(seed)
    poor = pd.Series(np.arange(n_poor + n_good) < n_poor, dtype="boolean")
    noise = rng.normal(size=(poor.size, k)) - effect * poor.to_numpy(dtype=float)[:, None]
    return pd.DataFrame(1.5e-3 + 0.2e-3 * noise, columns=list(NAMES[:k])), poor


def validate(features, poor, recipe, **options):
    return validate_models(features, poor, recipes=[recipe], **{**FEW, **options})[0]


def constant_recipe(value=0.3):
    return Recipe("constant", NAMES[:1], lambda features, is_event: lambda rows: np.full(len(rows), value))


def whats(validation):
    return " ".join(issue.what for issue in validation.issues)


@pytest.mark.parametrize("make", [maximum_likelihood_recipe, entry_recipe, firth_recipe])
def test_noise_looks_like_a_model_until_it_is_corrected(make):
    features, poor = patients()
    options = {"entry_p": 0.5} if make is entry_recipe else {}
    found = validate(features, poor, make("noise", NAMES, **options), n_resamples=60)
    assert found.apparent.auc > 0.6
    assert abs(found.cross_validated.auc - 0.5) < 0.1
    assert found.apparent.auc - found.corrected.auc > 0.05
    assert found.corrected.slope < 0.8
    assert found.corrected.brier > found.apparent.brier


def test_a_strong_model_with_few_features_loses_little():
    features, poor = patients(1.5)
    found = validate(features, poor, maximum_likelihood_recipe("strong", NAMES[:2]))
    assert found.apparent.auc > 0.9
    assert found.optimism.auc < 0.02
    assert found.cross_validated.auc == pytest.approx(found.corrected.auc, abs=0.03)
    assert found.issues == ()


def test_corrected_is_apparent_minus_optimism():
    found = validate(*patients(0.5), maximum_likelihood_recipe("model", NAMES[:3]))
    for quantity in ("auc", "slope", "brier"):
        apparent, optimism, corrected = (
            getattr(getattr(found, part), quantity) for part in ("apparent", "optimism", "corrected")
        )
        assert corrected == apparent - optimism


def test_a_maximum_likelihood_model_has_apparent_slope_1():
    found = validate(*patients(0.5), maximum_likelihood_recipe("model", NAMES[:3]))
    assert found.apparent.slope == pytest.approx(1, rel=1e-9)


def test_the_quick_fit_gives_the_probabilities_of_the_full_one():
    features, poor = patients(0.5)
    found = validate(features, poor, maximum_likelihood_recipe("model", NAMES[:3]))
    np.testing.assert_allclose(found.fitted, fit_logistic(features[list(NAMES[:3])], poor).probabilities, rtol=1e-9)


def test_entry_fits_those_below_the_limit_of_p():
    features, poor = patients(0.5, seed=2)
    p = [fit_logistic(features[[name]], poor).coefficients[0].p for name in NAMES]
    limit = float(np.mean(sorted(p)[2:4]))
    entered = [name for name, value in zip(NAMES, p, strict=True) if value < limit]
    assert len(entered) == 3
    found = validate(features, poor, entry_recipe("entry", NAMES, limit))
    np.testing.assert_allclose(found.fitted, fit_logistic(features[entered], poor).probabilities, rtol=1e-9)


def test_where_nothing_enters_everybody_gets_the_prevalence():
    features, poor = patients()
    found = validate(features, poor, entry_recipe("entry", NAMES, 1e-9))
    np.testing.assert_allclose(found.fitted, 0.31, rtol=1e-12)
    assert (found.apparent.auc, found.corrected.auc, found.cross_validated.auc) == (0.5, 0.5, 0.5)
    assert math.isnan(found.corrected.slope)
    assert "rests on 0 of 20 bootstrap samples" in whats(found)


def test_the_choice_of_features_is_made_anew_in_every_resample():
    # Chosen once on all patients, then validated: the flattering way. Chosen in each resample: the right way.
    features, poor = patients(n_poor=20, n_good=20)
    p = [fit_logistic(features[[name]], poor).coefficients[0].p for name in NAMES]
    chosen = tuple(name for name, value in zip(NAMES, p, strict=True) if value < 0.3)
    flattered = validate(features, poor, maximum_likelihood_recipe("chosen", chosen))
    honest = validate(features, poor, entry_recipe("entry", NAMES, 0.3))
    np.testing.assert_allclose(honest.fitted, flattered.fitted, rtol=1e-9)
    assert honest.cross_validated.auc < flattered.cross_validated.auc - 0.05


def test_firths_fit_solves_its_score_equation_and_shrinks():
    features, poor = patients(1.0)
    x = features.to_numpy()[:, :2]
    design = np.column_stack([np.ones(100), (x - x.mean(axis=0)) / x.std(axis=0)])
    y = poor.to_numpy(dtype=float)
    fitted = firth_recipe("firth", NAMES[:2]).fit(x, y == 1)(x)
    weighted = design * np.sqrt(fitted * (1 - fitted))[:, None]
    leverage = np.diag(weighted @ np.linalg.inv(weighted.T @ weighted) @ weighted.T)
    assert np.abs(design.T @ (y - fitted + leverage * (0.5 - fitted))).max() < 1e-8
    plain = maximum_likelihood_recipe("plain", NAMES[:2]).fit(x, y == 1)(x)
    assert np.var(np.log(fitted / (1 - fitted))) < np.var(np.log(plain / (1 - plain)))


def test_firths_fit_survives_nearly_as_many_features_as_patients():
    features, poor = patients(n_poor=4, n_good=4, k=4)
    features["copy"] = features["muscle0.md"] * (1 + 1e-6 * np.arange(8))
    columns = (*NAMES[:4], "copy")
    x = features[list(columns)].to_numpy()
    fitted = firth_recipe("firth", columns).fit(x, poor.to_numpy(dtype=bool))(x)
    assert ((fitted > 0) & (fitted < 1)).all()
    assert fitted[:4].mean() > fitted[4:].mean() + 0.3


def test_the_unit_of_a_feature_does_not_matter():
    features, poor = patients(0.5)
    recipes = [entry_recipe("entry", NAMES, 0.5), firth_recipe("firth", NAMES)]
    for recipe in recipes:
        small, large = (validate(features * unit, poor, recipe) for unit in (1.0, 1e9))
        assert small.corrected.auc == pytest.approx(large.corrected.auc, rel=1e-12)


def test_separated_groups_are_ranked_perfectly_and_break_nothing():
    features, poor = patients()
    features["muscle0.md"] = np.where(poor, 1e-3, 2e-3) + features["muscle0.md"] / 10
    plain, firth, entry = validate_models(
        features,
        poor,
        recipes=[
            maximum_likelihood_recipe("plain", NAMES[:2]),
            firth_recipe("firth", NAMES[:2]),
            entry_recipe("entry", NAMES[:1]),
        ],
        **FEW,
    )
    assert plain.apparent.auc == plain.cross_validated.auc == firth.cross_validated.auc == 1
    assert plain.fitted.between(0, 1).all()
    assert plain.apparent.brier < 1e-6
    assert math.isnan(plain.apparent.slope)
    assert entry.apparent.auc == 0.5  # no Wald P, so it does not enter


def test_tied_patients_stay_tied_in_every_prediction():
    features, poor = patients(0.5)
    features = (features * 2e3).round() / 2e3
    found = validate(features[list(NAMES[:2])], poor, maximum_likelihood_recipe("tied", NAMES[:2]))
    assert found.fitted.nunique() == len(features[list(NAMES[:2])].drop_duplicates())


def test_constant_and_repeated_features_add_nothing():
    features, poor = patients(0.5)
    features["same"] = 3 * features["muscle0.md"] + 1e-3
    features["constant"] = 7.0
    alone = validate(features, poor, maximum_likelihood_recipe("alone", NAMES[:1]))
    for make in (maximum_likelihood_recipe, firth_recipe):
        found = validate(features, poor, make("more", (NAMES[0], "same", "constant")))
        assert found.apparent.auc == alone.apparent.auc
        assert found.corrected.auc == pytest.approx(alone.corrected.auc, abs=1e-3)


def test_the_same_seed_gives_the_same_numbers_and_another_one_does_not():
    features, poor = patients(0.5)
    recipe = maximum_likelihood_recipe("model", NAMES[:3])
    first, again, other = (validate(features, poor, recipe, seed=seed) for seed in (3, 3, 4))
    assert first.corrected == again.corrected
    assert (first.auc_of_repeats == again.auc_of_repeats).all()
    assert first.corrected != other.corrected
    assert (first.auc_of_repeats != other.auc_of_repeats).any()


def test_recipes_share_patients_and_resamples_whatever_their_company():
    features, poor = patients(0.5)
    features.iloc[3, 5] = np.inf
    a, b = maximum_likelihood_recipe("a", NAMES[:2]), maximum_likelihood_recipe("b", NAMES)
    together = validate_models(features, poor, recipes=[b, a], **FEW)
    known = features.drop(index=3), poor.drop(index=3)
    alone = validate(*known, a)
    assert together[1].corrected == alone.corrected
    assert [found.n_missing for found in together] == [1, 1]
    assert "1 participant(s) left out" in whats(together[1])
    (apart,) = validate_models(features, poor, recipes=[a], known=NAMES, **FEW)
    assert (apart.corrected, apart.n_missing, apart.issues) == (
        together[1].corrected,
        together[1].n_missing,
        together[1].issues,
    )
    with pytest.raises(StatisticsError, match="nobody"):
        validate_models(features, poor, recipes=[a], known=["nobody"], **FEW)


def test_each_fold_has_its_share_of_each_group():
    is_event = np.arange(100) < 31
    resamples = draw_resamples(is_event, n_resamples=5, folds=5, repeats=6, seed=1)
    for split in resamples.folds:
        assert sorted(np.bincount(split[is_event])) == [6, 6, 6, 6, 7]
        assert np.bincount(split).tolist() == [20] * 5
    assert len({tuple(split) for split in resamples.folds}) == 6
    assert resamples.n_fits == 1 + 5 + 30


def test_no_bootstrap_sample_lacks_a_group():
    is_event = np.arange(6) < 1
    rows = draw_resamples(is_event, n_resamples=500, folds=5, repeats=2, seed=1).bootstrap
    n_events = is_event[rows].sum(axis=1)
    assert n_events.min() == 1
    assert n_events.max() < 6


def test_out_of_fold_predictions_do_not_know_the_outcome_they_predict():
    features, poor = patients(0.5)

    def fit(rows, is_event):
        seen = {tuple(row): float(event) for row, event in zip(rows, is_event, strict=True)}
        return lambda others: np.array([seen.get(tuple(row), 0.5) for row in others])

    found = validate(features, poor, Recipe("memory", NAMES, fit))
    assert found.apparent.auc == 1
    assert (found.out_of_fold == 0.5).all()
    assert found.cross_validated.auc == 0.5
    # Two thirds of the original patients are in a bootstrap sample, so the bootstrap sees part of it only.
    assert 0.7 < found.corrected.auc < 0.95


def test_resamples_without_a_fit_are_left_out_and_counted():
    features, poor = patients(0.5)
    likelihood = maximum_likelihood_recipe("model", NAMES[:2])

    def fit(rows, is_event):
        if is_event.sum() < 25:
            raise StatisticsError("too few events.")
        return likelihood.fit(rows, is_event)

    found = validate(features, poor, Recipe("fragile", NAMES[:2], fit), n_resamples=40)
    n_events = (draw_resamples(poor.to_numpy(dtype=bool), **FEW | {"n_resamples": 40}, seed=1).bootstrap < 31).sum(
        axis=1
    )
    n_lacking = int((n_events < 25).sum())
    assert n_lacking > 0
    # Of 31 events in 5 folds, the fold with 7 of them leaves 24 to fit.
    assert found.n_failed == n_lacking + FEW["repeats"]
    assert f"could not be fitted in {found.n_failed} of 51 resamples" in whats(found)
    assert math.isfinite(found.corrected.auc)
    assert math.isfinite(found.cross_validated.auc)


def test_predictions_that_are_not_finite_count_as_failures():
    found = validate(*patients(), constant_recipe(math.nan))
    assert math.isnan(found.apparent.auc)
    assert [issue.severity for issue in found.issues] == [Severity.ERROR]
    assert "its predictions are not finite" in whats(found)


def test_a_model_that_tells_nobody_apart_has_auc_one_half_and_no_slope():
    found = validate(*patients(), constant_recipe())
    assert found.apparent.auc == found.corrected.auc == found.cross_validated.auc == 0.5
    assert found.apparent.brier == pytest.approx(0.31 * 0.49 + 0.69 * 0.09)
    assert math.isnan(found.apparent.slope)


def test_a_small_group_gets_fewer_folds():
    features, poor = patients(1.0, n_poor=3, n_good=9)
    found = validate(features, poor, maximum_likelihood_recipe("small", NAMES[:1]))
    assert found.n_folds == 3
    assert "3 folds instead of 5" in whats(found)
    assert math.isfinite(found.cross_validated.auc)


def test_a_single_event_allows_no_cross_validation():
    features, poor = patients(1.0, n_poor=1, n_good=9)
    found = validate(features, poor, firth_recipe("single", NAMES[:1]))
    assert "there is no cross-validation" in whats(found)
    assert math.isnan(found.cross_validated.auc)
    assert math.isnan(found.cross_validated_sd)
    assert math.isfinite(found.corrected.auc)
    assert found.out_of_fold.isna().all()


@pytest.mark.parametrize(("value", "group"), [(True, "good"), (False, "poor")])
def test_an_empty_group_leaves_nothing_to_validate(value, group):
    features, poor = patients(n_poor=4, n_good=4)
    poor[:] = value
    found = validate(features, poor, firth_recipe("none", NAMES[:1]))
    assert math.isnan(found.apparent.auc)
    assert [issue.severity for issue in found.issues] == [Severity.ERROR]
    assert f"no complete participant with {group} muscle function" in whats(found)


def test_nobody_complete_leaves_nothing_to_validate():
    features, poor = patients()
    found = validate(features * np.nan, poor, firth_recipe("none", NAMES[:1]))
    assert (found.n, found.n_missing) == (0, 100)


def test_a_feature_that_is_not_there_is_named():
    with pytest.raises(StatisticsError, match=r"validation of model: absent is not among the features\. Choose from"):
        validate(*patients(), maximum_likelihood_recipe("model", ("absent",)))


@pytest.mark.parametrize("option", [{"folds": 1}, {"repeats": 0}, {"n_resamples": 0}])
def test_counts_that_are_too_small_are_refused(option):
    with pytest.raises(StatisticsError, match=f"validation: {next(iter(option))} is"):
        validate(*patients(), maximum_likelihood_recipe("model", NAMES[:1]), **option)


def test_progress_counts_every_fit_of_every_model():
    calls = []
    recipes = [maximum_likelihood_recipe("a", NAMES[:1]), constant_recipe()]
    validate_models(*patients(), recipes=recipes, **FEW, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i + 1, 62) for i in range(62)]


def test_thousands_of_patients_are_no_trouble():
    features, poor = patients(0.5, n_poor=1500, n_good=2500)
    found = validate(features, poor, entry_recipe("large", NAMES), n_resamples=3, repeats=1)
    assert abs(found.optimism.auc) < 0.01
    assert found.cross_validated.auc == pytest.approx(found.apparent.auc, abs=0.02)


def test_performance_is_what_its_definition_says():
    predicted = np.array([0.9, 0.6, 0.6, 0.2, 0.6, 0.1])
    is_event = np.array([True, True, False, True, False, False])
    found = performance(predicted, is_event)
    assert found.auc == pytest.approx((3 + 0.5 + 0.5 + 1 + 1) / 9)
    assert found.brier == pytest.approx((0.01 + 0.16 + 0.36 + 0.64 + 0.36 + 0.01) / 6)
    assert found.slope > 0


def test_a_model_that_is_fitted_to_all_resamples_together_has_the_same_performance():
    features, poor = patients(0.5, n_poor=12, n_good=20)
    together = penalised_recipe(NAMES, seed=1, n_penalties=5)
    alone = replace(together, fit_each=None)
    one, other = (validate(features, poor, recipe) for recipe in (together, alone))
    for quantity in ("auc", "slope", "brier"):
        for part in ("apparent", "corrected", "cross_validated"):
            found, expected = (getattr(getattr(item, part), quantity) for item in (one, other))
            assert found == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(one.out_of_fold, other.out_of_fold, rtol=1e-9)
    assert one.n_failed == other.n_failed == 0


def test_samples_are_judged_together_as_each_alone():
    rng = np.random.default_rng(4)
    is_event = rng.random((6, 40)) < 0.4
    predicted = rng.random((6, 40))
    predicted[1] = np.nan  # no model
    is_event[2] = True  # one outcome only
    predicted[3] = 0.3  # nobody told apart
    predicted[4] = is_event[4]  # separated
    predicted[5] = np.round(predicted[5], 1)  # ties
    found = validation._performances(predicted, is_event)
    for row, (probabilities, outcome) in enumerate(zip(predicted, is_event, strict=True)):
        alone = performance(probabilities, outcome)
        np.testing.assert_array_equal(found[row], [alone.auc, alone.slope, alone.brier])
    assert np.isnan(found[1]).all()
    assert np.isnan(found[2, :2]).all()
    assert found[3, 0] == 0.5
    assert found[4, 0] == 1
    assert np.isnan(found[3:5, 1]).all()
    assert found[5, 0] == pytest.approx(roc_auc_score(is_event[5], predicted[5]))
    expected = fit_logistic(
        pd.DataFrame({"log_odds": np.log(predicted[0] / (1 - predicted[0]))}), pd.Series(is_event[0], dtype="boolean")
    )
    assert found[0, 1] == pytest.approx(expected.coefficients[0].estimate, rel=1e-6)


def test_models_of_different_outcomes_can_be_fitted_at_once():
    rng = np.random.default_rng(2)
    is_event = rng.random((3, 50)) < 0.4
    designs = np.stack([np.ones((3, 50)), rng.normal(size=(3, 50))], axis=1)
    together = maximise_likelihood(designs, is_event)
    for number in range(3):
        alone = maximise_likelihood(designs[number : number + 1], is_event[number])
        np.testing.assert_array_equal(together.terms[number], alone.terms[0])
        np.testing.assert_array_equal(together.covariance[number], alone.covariance[0])


@pytest.mark.parametrize("recipe", [maximum_likelihood_recipe("all", NAMES), entry_recipe("entered", NAMES, 0.3)])
@pytest.mark.parametrize("effect", [0.0, 0.8, 30.0])
def test_models_of_many_sets_are_those_of_each_alone(recipe, effect):
    features, poor = patients(effect)
    values, is_event = features.to_numpy(copy=True), poor.to_numpy(dtype=bool)
    values[:, 4] = values[:, 3] + values[:, 2]  # adds nothing
    values[60:, 5] = values[60, 5]
    rng = np.random.default_rng(1)
    # Of two sizes; in the last one a feature is constant.
    sets = [*rng.integers(0, 100, (5, 100)), *rng.integers(0, 100, (3, 80)), np.r_[:5, 60:100]]
    together = recipe.fit_each(values, is_event, sets)
    for rows, model in zip(sets, together, strict=True):
        alone = recipe.fit(values[rows], is_event[rows])
        assert model(values) == pytest.approx(alone(values), rel=1e-9, abs=1e-12)


def test_a_set_is_fitted_alike_in_blocks_of_any_size(monkeypatch):
    features, poor = patients(0.5)
    recipe, values, is_event = entry_recipe("entered", NAMES, 0.3), features.to_numpy(), poor.to_numpy(dtype=bool)
    sets = list(np.random.default_rng(1).integers(0, 100, (7, 100)))
    at_once = recipe.fit_each(values, is_event, sets)
    monkeypatch.setattr(recipes, "LARGEST_BLOCK", 1300)
    for one, other in zip(at_once, recipe.fit_each(values, is_event, sets), strict=True):
        assert one(values) == pytest.approx(other(values), rel=1e-9, abs=1e-12)
