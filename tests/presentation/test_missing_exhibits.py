import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dtimuscle.muscles import Muscle, MuscleRegistry
from dtimuscle.presentation import figures, tables
from dtimuscle.presentation.tables.cells import NO_ESTIMATE
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.groups import compare_all_features
from dtimuscle.statistics.imputation import impute
from dtimuscle.statistics.logistic import prespecified_model
from dtimuscle.statistics.missing import describe_missing
from dtimuscle.statistics.pooling import pool_analyses

NAMES = ("gracilis", "sartorius")
REGISTRY = MuscleRegistry(tuple(Muscle(n, n.title(), 2 * i + 1, 2 * i + 2) for i, n in enumerate(NAMES)))


def cohort(n=40, *, gaps=True, n_ungraded=0):
    rng = np.random.default_rng(1)
    poor = np.arange(n) < 16
    index = pd.Index([f"{i:03d}" for i in range(n)], name="participant_id")
    values = pd.DataFrame(
        {f"{muscle}.{parameter}": scale * (1.5 - 0.4 * poor + 0.4 * rng.normal(size=n)) for muscle in NAMES
         for parameter, scale in (("fa", 0.2), ("md", 1e-3))},
        index,
    )  # fmt: skip
    covariates = pd.DataFrame({"age": rng.normal(68, 6, n)}, index)
    if gaps:
        values.iloc[[2, 20, 21], 0] = math.nan
        values.iloc[[2, 25], 1] = math.nan
        covariates.iloc[[20], 0] = math.nan
    grade = pd.Series(np.where(poor, 2 + np.arange(n) % 2, 4 + np.arange(n) % 2), index, dtype="Int64")
    grade.iloc[n - n_ungraded :] = pd.NA
    return FeatureFrame(values, grade, (grade < 4).astype("boolean"), covariates)


def text(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)))


@pytest.fixture(scope="module")
def missing():
    return describe_missing(cohort(), model=("gracilis.fa", "age"))


@pytest.fixture(scope="module")
def analysis():
    imputation = impute(cohort(), n_imputations=3, seed=7)
    return pool_analyses(imputation, muscles=("gracilis",), model=("gracilis.fa", "age"))


@pytest.fixture(scope="module")
def complete():
    return [estimate for c in compare_all_features(cohort()) for estimate in c.estimates()]


def test_missing_table_counts_by_group_and_tells_the_test(missing):
    exhibit = tables.missing_table(missing, REGISTRY)
    words = text(exhibit.html)
    assert "Gracilis 1 / 16 2 / 24 7.5" in words
    assert "Sartorius" not in words
    assert "No grade" not in words
    assert "6 values are missing, in 3 of 5 features and covariates; 36 of 40 patients" in exhibit.summary
    assert "does not prove" in exhibit.summary
    assert len(exhibit.data) == 5


def test_missing_table_shows_participants_without_a_grade():
    exhibit = tables.missing_table(describe_missing(cohort(n_ungraded=2)), REGISTRY)
    assert "No grade" in text(exhibit.html)
    assert "0 / 2" in text(exhibit.html)


def test_nothing_missing_is_said_plainly():
    nothing = describe_missing(cohort(gaps=False))
    table, figure = tables.missing_table(nothing, REGISTRY), figures.missing_pattern_figure(nothing, REGISTRY)
    for exhibit in (table, figure):
        assert exhibit.summary.startswith("Nothing is missing: all")
    assert "All 5 features and covariates 0 / 16 0 / 24 0.0" in text(table.html)
    assert "Nobody with a grade is left out" in tables.complete_cases_table(nothing).summary
    assert "nothing is missing" in figure.alt


def test_complete_cases_are_listed_for_each_analysis(missing):
    exhibit = tables.complete_cases_table(missing)
    assert "Prespecified model 2 15 / 16 22 / 24 3" in text(exhibit.html)
    assert exhibit.data.set_index("purpose").loc["prespecified model", "columns"] == "gracilis.fa, age"


def test_pattern_figure_counts_the_patients_of_each_pattern(missing):
    exhibit = figures.missing_pattern_figure(missing, REGISTRY)
    assert exhibit.data["n"].tolist() == [36, 1, 1, 1, 1]
    assert "40 patients, 5 patterns" in exhibit.summary
    assert "36 of them complete" in exhibit.alt
    for words in ("Poor function (n = 16)", "Gracilis, FA", "Age, years"):
        assert words in exhibit.svg
    assert exhibit.png.startswith(b"\x89PNG")


def test_pattern_figure_says_what_it_leaves_out():
    rng = np.random.default_rng(1)
    features = cohort()
    values = pd.DataFrame(rng.random((40, 34)), features.values.index, [f"m{i}.fa" for i in range(34)])
    values.iloc[:, 2:] = values.iloc[:, 2:].mask(rng.random((40, 32)) < 0.1)
    many = describe_missing(replace(features, values=values, covariates=features.covariates[[]]))
    registry = MuscleRegistry(tuple(Muscle(f"m{i}", f"Muscle {i}", 2 * i + 1, 2 * i + 2) for i in range(34)))
    exhibit = figures.missing_pattern_figure(many, registry)
    assert "rarest patterns" in exhibit.summary
    assert "2 features and covariates without missing values are not drawn" in exhibit.summary
    assert "Muscle 0, FA" not in exhibit.svg
    assert "Muscle 33, FA" in exhibit.svg
    assert len(exhibit.data) == len(many.patterns)


def test_imputation_table_sets_pooled_beside_complete(analysis, complete):
    exhibit = tables.imputation_table(analysis, complete, REGISTRY)
    data = exhibit.data.set_index(["kind", "subject", "group"])
    row = data.loc[("difference", "gracilis.md", "")]
    pooled = next(item for item in analysis.pooled if item.subject == ("difference", "gracilis.md", ""))
    direct = next(item for item in complete if (item.kind, item.subject) == ("difference", "gracilis.md"))
    assert (row["value"], row["fmi"], row["n_imputed"]) == (pooled.value, pooled.pooled.fmi, 2)
    assert (row["complete_value"], row["complete_n"]) == (direct.value, 38)
    assert f"{pooled.value * 1e3:.2f}".replace("-", "−") in exhibit.html
    for words in (
        "Difference of means, poor − good: ADC (MD), 10⁻³ mm²/s",
        "FA + ADC − FA",
        "prespecified model",
        "Age, years",
    ):
        assert words in text(exhibit.html)


def test_imputation_summary_tells_how_the_data_sets_were_made(analysis, complete):
    summary = tables.imputation_table(analysis, complete, REGISTRY).summary
    for words in ("6 missing values in 3 columns of 40 patients", "imputed 3 times", "seed 7", "Rubin's rules"):
        assert words in summary


def test_imputation_table_shows_only_the_kinds_asked_for(analysis, complete):
    exhibit = tables.imputation_table(analysis, complete, REGISTRY, kinds=("auc",))
    assert set(exhibit.data["kind"]) == {"auc"}
    assert "–" in text(exhibit.html)


def test_odds_ratios_are_printed_with_the_digits_of_their_size(analysis, complete):
    item = next(item for item in analysis.pooled if item.subject.kind == "univariate_odds_ratio")
    huge = replace(item, value=24479.41, interval=Interval(0.02, 28437988394.0))
    words = text(tables.imputation_table(replace(analysis, pooled=(huge,)), complete, REGISTRY).html)
    assert "&gt; 1000 0.020 to &gt; 1000" in words
    assert "24479" not in words


def test_the_prespecified_model_of_the_complete_cases_stands_beside(analysis, complete):
    fit = prespecified_model(cohort(), ["gracilis.fa", "age"]).multivariable
    data = tables.imputation_table(analysis, complete, REGISTRY, prespecified=fit).data.tail(2)
    assert data["complete_value"].tolist() == [c.odds_ratio for c in fit.coefficients]
    assert data["complete_n"].tolist() == [37, 37]
    without = tables.imputation_table(analysis, complete, REGISTRY).data.tail(2)
    assert without["complete_value"].isna().all()


def test_the_intervals_of_aucs_are_said_to_differ_in_kind(analysis, complete):
    words = "DeLong's on the left and on the logit scale on the right"
    assert words in tables.imputation_table(analysis, complete, REGISTRY).summary
    assert words not in tables.imputation_table(analysis, complete, REGISTRY, kinds=("correlation",)).summary
    assert "where the estimates differ, the assumption matters." in (
        tables.imputation_table(analysis, complete, REGISTRY).summary
    )


def test_undefined_estimates_are_called_not_estimable(analysis, complete):
    nothing = replace(analysis.pooled[8], value=math.nan, interval=Interval(math.nan, math.nan), p=math.nan)
    undefined = replace(nothing.pooled, fmi=math.nan)
    broken = replace(analysis, pooled=(replace(nothing, pooled=undefined),), prespecified=())
    exhibit = tables.imputation_table(broken, complete, REGISTRY)
    assert NO_ESTIMATE in text(exhibit.html)
    assert "nan" not in text(exhibit.html)
    assert "values cost. Imputation" in exhibit.summary
    assert "values cost, at most" in tables.imputation_table(analysis, complete, REGISTRY).summary


def test_nothing_imputed_is_said_in_the_summary(complete):
    whole = pool_analyses(impute(cohort(gaps=False), seed=1))
    assert tables.imputation_table(whole, complete, REGISTRY).summary.startswith("Nothing was imputed")
