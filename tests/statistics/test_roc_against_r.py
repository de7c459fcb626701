"""The same data in R: tests/reference/roc.R made the numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dtimuscle.statistics.bootstrap import bootstrap_aucs
from dtimuscle.statistics.combination import combination_curves
from dtimuscle.statistics.complete_cases import complete_cases
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.partial_auc import partial_auc
from dtimuscle.statistics.roc import compare_aucs, compare_independent_aucs, roc_curve

REFERENCE = Path(__file__).parents[1] / "reference"
FEATURES = ["gracilis.fa", "gracilis.md", "adductor_longus.fa", "adductor_longus.md"]
MEASURED = ["mean_texture", "mean_smoothness", "mean_symmetry", "mean_fractal_dimension", "worst_smoothness"]
RELATIVE = 1e-8


def agrees(found, expected):
    expected = np.array(expected, dtype=float)
    np.testing.assert_allclose(found, expected, rtol=RELATIVE, atol=0)


@pytest.fixture(scope="module")
def r():
    return json.loads((REFERENCE / "roc.json").read_text())


@pytest.fixture(scope="module")
def features():
    table = pd.read_csv(REFERENCE / "cohort.csv", dtype={"participant_id": str, "lovett_grade": "Int64"})
    table = table.set_index("participant_id")
    grade = table["lovett_grade"]
    return FeatureFrame(table[FEATURES], grade, (grade < 4).astype("boolean"), table[["age"]])


@pytest.fixture(scope="module")
def wdbc():
    return pd.read_csv(REFERENCE / "wdbc.csv")


@pytest.fixture(scope="module")
def curves(features, wdbc):
    complete, poor, _ = complete_cases(features.values, features.poor)
    of_muscles = {name: roc_curve(complete[name], poor, name=name, higher_is_poor=False) for name in FEATURES}
    malignant = wdbc["malignant"].astype("boolean")
    of_tumours = {name: roc_curve(wdbc[name], malignant, name=name, higher_is_poor=True) for name in MEASURED}
    models = combination_curves(features, muscles=("gracilis", "adductor_longus"))
    return of_muscles | of_tumours | models.curves


@pytest.fixture(scope="module")
def expected(r):
    return r["curves"] | r["wdbc"]


NAMES = [*FEATURES, "fa", "md", "fa+md", *MEASURED]


@pytest.mark.parametrize("name", NAMES)
def test_area_and_intervals_agree_with_proc(curves, expected, name):
    found, in_r = curves[name], expected[name]
    assert [found.auc.n_events, found.auc.n_controls] == in_r["n"]
    agrees(found.auc.value, in_r["auc"])
    agrees([found.auc.interval.low, found.auc.interval.high], in_r["interval"])
    agrees([found.auc_logit.interval.low, found.auc_logit.interval.high], in_r["interval_logit"])


@pytest.mark.parametrize("name", NAMES)
def test_every_point_of_the_curve_agrees_with_proc(curves, expected, name):
    agrees(curves[name].sensitivity, expected[name]["sensitivities"])
    agrees(curves[name].specificity, expected[name]["specificities"])


@pytest.mark.parametrize("name", NAMES)
def test_cut_offs_agree_with_coords(curves, expected, name):
    for cut in curves[name].cut_offs:
        in_r = expected[name]["cut_offs"][cut.rule]
        counts = cut.true_positives, cut.false_negatives, cut.true_negatives, cut.false_positives
        assert counts == (in_r["tp"], in_r["fn"], in_r["tn"], in_r["fp"]), cut.rule
        agrees(cut.threshold, in_r["threshold"])
        for share in ("sensitivity", "specificity", "ppv", "npv"):
            agrees(getattr(cut, share), in_r[share])
            interval = getattr(cut, f"{share}_interval")
            agrees([interval.low, interval.high], in_r[f"{share}_interval"])
        for ratio in ("lr_positive", "lr_negative"):
            interval = getattr(cut, f"{ratio}_interval")
            agrees([getattr(cut, ratio), interval.low, interval.high], [in_r[ratio]["value"], *in_r[ratio]["interval"]])


@pytest.mark.parametrize("name", NAMES)
def test_partial_areas_agree_with_proc(curves, expected, name):
    agrees(curves[name].partial.value, expected[name]["partial"][0]["value"])
    for in_r in expected[name]["partial"]:
        curve = curves[name]
        found = partial_auc(curve.specificity, curve.sensitivity, min_specificity=in_r["min_specificity"])
        agrees([found.value, found.standardised], [in_r["value"], in_r["standardised"]])


@pytest.mark.parametrize("name", NAMES)
def test_the_smooth_curve_agrees_with_proc(curves, expected, name):
    found, in_r = curves[name].binormal, expected[name]["binormal"]
    agrees([found.a, found.b, found.auc], [in_r["a"], in_r["b"], in_r["auc"]])
    agrees(found.sensitivity_at(np.array(in_r["specificity"])), in_r["sensitivity"])


def check_test(found, in_r):
    agrees([found.z, found.p], [in_r["z"], in_r["p"]])
    agrees([found.interval.low, found.interval.high], in_r["interval"])


@pytest.mark.parametrize("parameter", ["fa", "md"])
def test_delongs_test_of_two_features_agrees_with_proc(features, r, parameter):
    complete, poor, _ = complete_cases(features.values, features.poor)
    first, second = f"gracilis.{parameter}", f"adductor_longus.{parameter}"
    found = compare_aucs(complete[first], complete[second], poor, names=(first, second), higher_is_poor=(False, False))
    check_test(found, r["tests"][parameter])


def test_delongs_tests_of_models_agree_with_proc(features, r):
    found = combination_curves(features, muscles=("gracilis", "adductor_longus"))
    assert [comparison.name for comparison in found.comparisons] == list(r["combined_tests"])
    for comparison in found.comparisons:
        check_test(comparison, r["combined_tests"][comparison.name])


def test_delongs_test_on_public_data_agrees_with_proc(wdbc, r):
    names = ("mean_texture", "mean_smoothness")
    malignant = wdbc["malignant"].astype("boolean")
    check_test(compare_aucs(wdbc[names[0]], wdbc[names[1]], malignant, names=names), r["wdbc_test"])


def test_delongs_test_of_two_samples_agrees_with_proc(features, wdbc, r):
    odd = wdbc.index % 2 == 0  # R counts from 1
    malignant = wdbc["malignant"].astype("boolean")
    halves = compare_independent_aucs(
        wdbc["mean_texture"][odd], malignant[odd], wdbc["worst_smoothness"][~odd], malignant[~odd], names=("a", "b")
    )
    values, poor = features.values, features.poor
    muscles = compare_independent_aucs(
        values["gracilis.fa"],
        poor,
        values["adductor_longus.md"],
        poor,
        names=("a", "b"),
        higher_is_poor=(False, False),
    )
    for found, in_r in ((halves, r["wdbc_unpaired"]), (muscles, r["unpaired_features"])):
        agrees([found.z, found.df, found.p], [in_r["z"], in_r["df"], in_r["p"]])


def test_the_bootstrap_agrees_with_proc_as_far_as_chance_allows(features, r):
    in_r = r["bootstrap"]
    complete, poor, _ = complete_cases(features.values, features.poor)
    found = bootstrap_aucs(
        complete[["gracilis.fa", "gracilis.md"]],
        poor,
        higher_is_poor=False,
        n_bootstrap=20_000,
        min_specificity=0.8,
        specificities=in_r["specificities"],
    )
    one = found.of("gracilis.fa")
    # Beyond four standard errors of a percentile (0.0015 of an area, by the spread of repeated runs) or of an SD.
    np.testing.assert_allclose([one.auc.interval.low, one.auc.interval.high], in_r["interval"], atol=0.006)
    np.testing.assert_allclose([one.partial.low, one.partial.high], in_r["partial"], atol=0.005)
    np.testing.assert_allclose(
        found.compare("gracilis.fa", "gracilis.md").z, in_r["z"], rtol=4 / np.sqrt(2 * in_r["n"])
    )
    # Percentiles of a sensitivity move in steps of a participant.
    np.testing.assert_allclose(np.transpose([one.band.low, one.band.high]), in_r["band"], atol=1.01 / 30)
