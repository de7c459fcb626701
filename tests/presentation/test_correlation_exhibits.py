import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html import unescape

import numpy as np
import pandas as pd
import pytest

from dtimuscle.muscles import Muscle, MuscleRegistry
from dtimuscle.presentation import figures, tables
from dtimuscle.statistics.correlation import METHODS, correlate_all_features
from dtimuscle.statistics.correlation_matrix import correlation_matrix
from dtimuscle.statistics.features import FeatureFrame

PUBLISHED = {"gracilis.fa": "positive, P < 0.05"}


@pytest.fixture(scope="module")
def registry():
    return MuscleRegistry((Muscle("gracilis", "Gracilis", 1, 2), Muscle("sartorius", "Sartorius", 3, 4)))


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(8)
    n = 50
    grade = pd.Series(rng.integers(0, 6, n), dtype="Int64")
    values = pd.DataFrame(
        {
            "gracilis.fa": 0.25 + 0.02 * grade.to_numpy(dtype=float) + 0.03 * rng.normal(size=n),
            "sartorius.fa": 0.25 + 0.03 * rng.normal(size=n),
            "gracilis.md": 1e-3 * (1.5 + 0.2 * rng.normal(size=n)),
        }
    )
    values.iloc[4, 0] = np.nan
    covariates = pd.DataFrame({"age": 70 + 5 * rng.normal(size=n), "constant": 1.0})
    return FeatureFrame(values, grade, (grade < 4).astype("boolean"), covariates)


@pytest.fixture(scope="module")
def correlations(features):
    return correlate_all_features(features, methods=METHODS)


@pytest.fixture(scope="module")
def adjusted(features):
    names = ("age", "constant", "bmi")
    return correlate_all_features(features, methods=("Pearson", "Spearman"), covariates=names)


def words_of(html):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<style.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL)))


def words_in(svg):
    return " | ".join("".join(node.itertext()).strip() for node in ET.fromstring(svg).iter() if "text" in node.tag)


def test_each_method_has_its_columns_beside_what_was_published(correlations, registry):
    table = tables.correlation_table(correlations, registry, published=PUBLISHED)
    words = words_of(table.html)
    for word in (*METHODS, "r", "ρ", "τ-b", "Published", "positive, P < 0.05", "P (Holm)", "49"):
        assert f" {word} " in words
    assert len(table.data) == 9
    assert table.data["r"].tolist() == [item.r for item in correlations]
    assert "corrected for the 3 features" in table.summary
    assert "turned to the value and the grade" in table.summary


def test_a_published_direction_stands_beside_the_first_method(correlations, registry):
    (pair,) = tables.correlation_table(correlations, registry, published=PUBLISHED).beside
    assert pair.label == "Gracilis, FA"
    assert pair.published == "positive, P < 0.05"
    assert pair.found == f"r = {correlations[0].r:.2f} ({correlations[0].interval.low:.2f} to " + (
        f"{correlations[0].interval.high:.2f}), P < 0.001"
    )


def test_pearson_alone_makes_a_table_without_published_column(correlations, registry):
    table = tables.correlation_table(correlations[:3], registry)
    assert "Published" not in words_of(table.html)
    assert "Kendall" not in table.summary
    assert table.beside == ()


def test_the_adjusted_table_names_what_was_and_what_was_not_adjusted_for(adjusted, correlations, registry):
    table = tables.adjusted_correlation_table(adjusted, registry, unadjusted=correlations)
    assert table.summary.startswith("Adjusted for age:")
    assert "Not adjusted for bmi, which the table of participants lacks." in table.summary
    assert "Not adjusted for constant, which does not vary." in table.summary
    assert "49 to 50 patients" in table.summary
    assert "ρ unadjusted" in words_of(table.html)
    assert table.data["r_unadjusted"].tolist() == [item.r for item in correlations[:6]]


def test_without_correlations_tables_and_figures_are_empty(features, registry):
    assert tables.adjusted_correlation_table((), registry).data.empty
    assert figures.correlation_figure(features, (), registry).data.empty
    empty = figures.correlation_heatmap_figure(correlation_matrix(pd.DataFrame(index=range(4))), registry)
    assert empty.data.empty


def test_undefined_coefficients_are_dashes(correlations, registry):
    undefined = replace(correlations[0], r=np.nan, p=np.nan, p_holm=np.nan)
    assert " – " in words_of(tables.correlation_table([undefined], registry).html)


def test_a_panel_names_each_coefficient_and_n(features, correlations, registry):
    figure = figures.correlation_figure(features, [correlations[0], correlations[3], correlations[6]], registry)
    words = words_in(figure.svg)
    for item, symbol in zip(correlations[::3], ("r", "ρ", "τ-b"), strict=True):
        assert f"{symbol} = {item.r:.2f}" in words
    assert "n = 49" in words
    assert len(figure.data) == 49
    assert "no straight line" in figure.summary


def test_the_heat_map_has_a_cell_for_each_pair_muscle_by_muscle(features, registry):
    matrix = correlation_matrix(features.values, method="Spearman")
    figure = figures.correlation_heatmap_figure(matrix, registry)
    pairs = list(zip(figure.data["feature"], figure.data["other"], strict=True))
    assert pairs == [("gracilis.md", "gracilis.fa"), ("sartorius.fa", "gracilis.fa"), ("sartorius.fa", "gracilis.md")]
    words = words_in(figure.svg)
    for r in figure.data["r"]:
        assert f"{r:.2f}".replace("-", "−") in words
    assert "Spearman's ρ (n = 49 to 50)" in words
    assert "the strongest is that of" in figure.alt


def test_a_heat_map_of_many_features_has_no_numbers(registry):
    values = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 16)))
    values.columns = [f"muscle_{i}.{parameter}" for i in range(8) for parameter in ("fa", "md")]
    values["muscle_1.fa"] = 0.0
    figure = figures.correlation_heatmap_figure(correlation_matrix(values), registry)
    shown = words_in(figure.svg)
    assert not re.search(r"\| −?0\.\d\d \|", shown)
    assert figure.data["r"].isna().sum() == 15
