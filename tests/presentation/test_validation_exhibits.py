import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dtimuscle.muscles import Muscle, MuscleRegistry
from dtimuscle.presentation.figures.validation import calibration_figure, decision_curve_figure, validation_figure
from dtimuscle.presentation.tables.cells import NO_ESTIMATE
from dtimuscle.presentation.tables.validation import calibration_table, validation_table
from dtimuscle.statistics.calibration import calibrate
from dtimuscle.statistics.decision import decision_curve
from dtimuscle.statistics.recipes import entry_recipe, maximum_likelihood_recipe
from dtimuscle.statistics.validation import validate_models


def text(html):
    without_style = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without_style))


@pytest.fixture(scope="module")
def registry():
    return MuscleRegistry((Muscle("gracilis", "Gracilis", 1, 2),))


@pytest.fixture(scope="module")
def study():
    rng = np.random.default_rng(1)
    poor = pd.Series(np.arange(60) < 20, dtype="boolean")
    names = ["gracilis.fa", "gracilis.md", "sartorius.fa", "sartorius.md"]
    values = pd.DataFrame(rng.normal(size=(60, 4)) - 0.4 * poor.to_numpy(dtype=float)[:, None], columns=names)
    return values, poor


@pytest.fixture(scope="module")
def validations(study):
    names = tuple(study[0].columns)
    recipes = [
        maximum_likelihood_recipe("fa", names[::2]),
        maximum_likelihood_recipe("fa+md", names),
        entry_recipe("as_published", names, 1e-6),
    ]
    return validate_models(*study, recipes=recipes, n_resamples=20, repeats=3, seed=7)


@pytest.fixture(scope="module")
def calibrations(study, validations):
    found = [calibrate(model.out_of_fold, study[1], name=model.name, is_apparent=False) for model in validations]
    return [*found, calibrate(validations[1].fitted, study[1], name="fa+md", is_apparent=True)]


@pytest.fixture(scope="module")
def curves(study, validations):
    return [decision_curve(model.out_of_fold, study[1], name=model.name, is_apparent=False) for model in validations]


def test_the_three_aucs_stand_side_by_side_and_unrounded_behind(validations, registry):
    exhibit = validation_table(validations, registry)
    model = validations[1]
    both = f"{model.apparent.auc:.3f} {model.corrected.auc:.3f} {model.cross_validated.auc:.3f} ±"
    assert both in text(exhibit.html)
    row = exhibit.data.set_index("name").loc["fa+md"]
    assert row["corrected_auc"] == model.corrected.auc
    assert row["cross_validated_sd"] == model.cross_validated_sd
    assert row["events_per_variable"] == 5


def test_the_summary_says_what_was_done_and_what_was_lost(validations, registry):
    summary = validation_table(validations, registry).summary
    worst = max(validations, key=lambda model: model.optimism.auc)
    tried = max(validations, key=lambda model: model.apparent.auc - model.cross_validated.auc)
    lost = tried.apparent.auc - tried.cross_validated.auc
    for words in ("60 patients, 20 with poor function", "20 bootstrap samples", "5-fold", "3 times", "Seed 7"):
        assert words in summary
    assert f"loses most, {worst.optimism.auc:.3f} of {worst.apparent.auc:.3f}; by cross-validation" in summary
    assert f"{lost:.3f} of {tried.apparent.auc:.3f}. Where" in summary


def test_the_published_auc_stands_beside(validations, registry):
    exhibit = validation_table(validations, registry, published={"fa+md": "0.722 (0.624 to 0.821)"})
    assert "Published" in text(exhibit.html)
    assert [(pair.label, pair.published) for pair in exhibit.beside] == [("AUC of FA + ADC", "0.722 (0.624 to 0.821)")]
    assert "corrected" in exhibit.beside[0].found
    assert "Published" not in text(validation_table(validations, registry).html)


def test_a_model_without_a_slope_has_none_printed(validations, registry):
    assert NO_ESTIMATE in text(validation_table([validations[2]], registry).html)
    assert "nan" not in text(validation_table(validations, registry).html)


def test_calibration_is_grouped_by_where_the_probabilities_come_from(calibrations, registry):
    exhibit = calibration_table(calibrations, registry)
    found = text(exhibit.html)
    assert found.index("Predicted by models without the patient") < found.index("Apparent: fitted to these patients")
    slope = calibrations[1].slope
    assert f"{slope.value:.2f} ({slope.interval.low:.2f}".replace("-", "−") in found
    assert exhibit.data["slope"].tolist()[1] == slope.value
    assert "fitted to by maximum likelihood" in exhibit.summary
    assert "fitted to by maximum likelihood" not in calibration_table(calibrations[:2], registry).summary


def test_what_does_not_exist_is_called_so(study, registry):
    certain = calibrate(study[1].astype(float), study[1], name="fa", is_apparent=True)
    found = text(calibration_table([certain], registry).html)
    assert found.count(NO_ESTIMATE) >= 4
    assert "nan" not in found


def test_the_dumbbells_show_each_step(validations, registry):
    exhibit = validation_figure(validations, registry)
    model = validations[1]
    steps = f"{model.apparent.auc:.3f} → {model.corrected.auc:.3f} → {model.cross_validated.auc:.3f}"
    assert steps in exhibit.svg
    assert steps in exhibit.alt
    assert "n = 60 (20 poor)" in exhibit.svg
    assert exhibit.data["apparent"].tolist() == [item.apparent.auc for item in validations]
    assert exhibit.png.startswith(b"\x89PNG")


def test_the_calibration_figure_carries_groups_curve_slope_and_counts(calibrations, registry):
    found = calibrations[1]
    exhibit = calibration_figure(found, registry)
    kinds = exhibit.data["kind"].value_counts()
    assert kinds["group"] == len(found.hosmer_lemeshow.groups)
    assert kinds["smooth"] == found.smooth_predicted.size
    assert f"Slope {found.slope.value:.2f}".replace("-", "−") in exhibit.svg
    assert "n = 60 (20 poor)" in exhibit.svg
    assert "out of fold" in exhibit.alt
    assert "models fitted without this patient" in exhibit.summary
    assert "by construction" in calibration_figure(calibrations[-1], registry).summary


def test_a_calibration_without_slope_is_drawn_too(calibrations, registry):
    constant = calibrations[2]
    assert "NaN" not in calibration_figure(constant, registry).svg
    assert f"Slope {NO_ESTIMATE}" in calibration_figure(constant, registry).svg


def test_the_decision_curve_names_models_and_alternatives(curves, registry):
    exhibit = decision_curve_figure(curves, registry)
    for words in ("FA + ADC", "Everybody", "Nobody", "Net benefit per patient"):
        assert words in exhibit.svg
    assert len(exhibit.data) == sum(curve.thresholds.size for curve in curves)
    assert "FA + ADC: " in exhibit.summary
    assert "dashed" not in exhibit.svg


def test_apparent_decision_curves_are_told_apart(study, validations, curves, registry):
    apparent = decision_curve(validations[0].fitted, study[1], name="fa", is_apparent=True, n_resamples=20)
    exhibit = decision_curve_figure([curves[0], apparent], registry)
    assert "FA, apparent (dashed)" in exhibit.svg
    assert "flatters" in exhibit.summary
    assert "20 bootstrap samples" in exhibit.summary


def test_a_useless_model_is_called_so(curves, registry):
    useless = replace(curves[0], net_benefit=np.full(curves[0].thresholds.size, -0.1))
    assert "at no threshold better than both" in decision_curve_figure([useless], registry).summary


def test_nothing_to_show_is_shown_as_nothing(registry):
    assert validation_table([], registry).summary == "No model was validated."
    assert calibration_table([], registry).summary == "No model was calibrated."
    assert validation_figure([], registry).data.empty
    assert decision_curve_figure([], registry).data.empty
