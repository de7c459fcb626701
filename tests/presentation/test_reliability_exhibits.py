"""Tables and figure of how well values repeat."""

import re

import numpy as np
import pandas as pd
import pytest

from dtimuscle.presentation import figures, tables
from dtimuscle.presentation.figures.drawing import feature_colour
from dtimuscle.presentation.style import NARROW
from dtimuscle.statistics.reliability import all_comparisons, measure_all_features
from dtimuscle.statistics.repeated import repeated_values

# Style and place of the text of an SVG.
PLACED = re.compile(r'<text style="([^"]*)" x="([\d.]+)"')


def repeated(n=20, occasions=("ses-01", "ses-02"), *, missing=True):
    rng = np.random.default_rng(6)
    rows = []
    for feature, mean, between, within in (
        ("gracilis.fa", 0.26, 0.03, 0.01), ("adductor_longus.fa", 0.25, 0.001, 0.02),
        ("gracilis.md", 1.5e-3, 1.5e-4, 4e-5), ("adductor_longus.md", 1.4e-3, 1.2e-4, 4e-5),
    ):  # fmt: skip
        for i in range(n):
            person = mean + between * rng.normal()
            for j, occasion in enumerate(occasions):
                value = person + within * rng.normal() + 0.5 * j * between
                is_missing = missing and feature == "gracilis.fa" and i == 4 and j == 1
                rows.append((f"sub-{i:02d}", occasion, feature, np.nan if is_missing else value))
    return repeated_values(pd.DataFrame(rows, columns=["participant_id", "occasion", "feature", "value"]))


@pytest.fixture(scope="module")
def results():
    return measure_all_features(repeated())


@pytest.fixture(scope="module")
def figure(results, registry):
    return figures.bland_altman_figure(all_comparisons(results), registry)


def test_each_feature_has_a_row_with_both_coefficients_and_errors(results, registry):
    exhibit = tables.reliability_table(results, registry)
    first = results[0]
    assert exhibit.html.count("<tr") == 2 + 2 + 4  # headings, groups, features
    assert f"{first.agreement.value:.3f} ({first.agreement.interval.low:.3f} to " in exhibit.html
    assert first.agreement.grade in exhibit.html
    assert f"{100 * first.within_cv:.1f}" in exhibit.html
    assert f"{results[2].sdc * 1e3:.3f}" in exhibit.html
    assert "Left out" in exhibit.html


def test_the_summary_names_occasions_and_the_least_reliable_value(results, registry):
    summary = tables.reliability_table(results, registry).summary
    assert "19 to 20 participants, each with a value on all of 2 occasions (ses-01, ses-02)" in summary
    assert "Least reliable: Adductor longus, FA" in summary


def test_the_data_of_the_reliability_table_are_not_rounded(results, registry):
    data = tables.reliability_table(results, registry).data.set_index("feature")
    assert data.loc["gracilis.md", "icc_agreement"] == results[2].agreement.value
    assert data.loc["gracilis.md", "sdc"] == results[2].sdc
    assert data.loc["gracilis.fa", ["n", "n_missing", "n_missing_ses-02"]].tolist() == [19, 1, 1]


def test_nobody_missing_leaves_out_the_column(registry):
    found = measure_all_features(repeated(missing=False))
    assert "Left out" not in tables.reliability_table(found, registry).html


def test_an_undefined_feature_keeps_its_row(registry):
    exhibit = tables.reliability_table(measure_all_features(repeated(n=2, missing=False)), registry)
    assert "not estimable" in exhibit.html
    assert exhibit.data["icc_agreement"].isna().all()


def test_no_result_is_an_empty_table(registry):
    assert "No feature was measured twice" in tables.reliability_table((), registry).summary
    assert tables.bland_altman_table((), registry).data.empty


def test_differences_are_listed_with_their_limits(results, registry):
    comparisons = all_comparisons(results)
    exhibit = tables.bland_altman_table(comparisons, registry)
    assert exhibit.summary.startswith("Differences are ses-02 − ses-01.")
    assert f"{comparisons[2].upper * 1e3:.3f}" in exhibit.html
    assert exhibit.data.loc[2, "upper"] == comparisons[2].upper
    assert "ses-02 − ses-01" not in exhibit.html


def test_three_occasions_are_told_apart(registry):
    comparisons = all_comparisons(measure_all_features(repeated(occasions=("a", "b", "c"))))
    assert tables.bland_altman_table(comparisons, registry).html.count("c − b") == 4
    assert "c − a" in figures.bland_altman_figure(comparisons[:2], registry).svg


def test_each_participant_is_a_point_of_the_figure(figure):
    points = figure.data[figure.data["part"] == "participant"]
    assert points.groupby("feature").size().to_dict() == {
        "adductor_longus.fa": 20, "adductor_longus.md": 20, "gracilis.fa": 19, "gracilis.md": 20,
    }  # fmt: skip
    assert set(figure.data["part"]) == {"participant", "bias", "lower limit", "upper limit"}
    assert "n = 19" in figure.svg
    assert "Gracilis, FA: bias +0.0" in figure.alt
    # Panels of a muscle stand together.
    assert list(dict.fromkeys(figure.data["feature"]))[:2] == ["gracilis.fa", "gracilis.md"]


def test_the_figure_fits_a_phone(figure):
    assert f'width="{72 * NARROW:g}pt"' in figure.svg


def test_who_lies_farthest_outside_the_limits_is_named(registry):
    rows = repeated(missing=False)
    values = rows.values
    values.loc[(values["participant_id"] == "sub-13") & (values["occasion"] == "ses-02"), "value"] *= 1.5
    exhibit = figures.bland_altman_figure(all_comparisons(measure_all_features(rows))[::2], registry)
    assert exhibit.svg.count("sub-13") == 2
    assert "The participant farthest outside the limits is named" in exhibit.summary


def test_undefined_comparisons_are_left_out_of_the_figure_and_counted(registry):
    comparisons = all_comparisons(measure_all_features(repeated(n=2, missing=False)))
    exhibit = figures.bland_altman_figure(comparisons, registry)
    assert exhibit.data.empty
    assert "4 left out" in exhibit.summary


def test_values_that_repeat_exactly_are_drawn(registry):
    rows = repeated(missing=False)
    wide = rows.of("gracilis.fa")
    copies = pd.concat(
        [wide["ses-01"].rename("value").reset_index().assign(occasion=o, feature="gracilis.fa") for o in "ab"]
    )
    found = measure_all_features(repeated_values(copies))
    exhibit = figures.bland_altman_figure(all_comparisons(found), registry)
    assert "bias 0.000" in exhibit.alt


def test_numbers_of_lines_that_lie_close_stand_side_by_side(registry):
    """One muscle that repeats twenty times better than the other shares its height."""
    values = repeated(missing=False).values
    is_good = values["feature"] == "gracilis.fa"
    good = values[is_good].groupby("participant_id")["value"].transform("mean")
    values.loc[is_good, "value"] = good + (values.loc[is_good, "value"] - good) / 20
    found = all_comparisons(measure_all_features(repeated_values(values)))
    svg = figures.bland_altman_figure([item for item in found if item.feature.endswith(".fa")], registry).svg
    in_colour = [match for match in PLACED.findall(svg) if feature_colour("gracilis.fa") in match[0]]
    right = sorted(float(x) for _, x in in_colour)
    # Of the three numbers of the tight panel that of the bias has moved left; the other panel's stay where they were.
    assert len(right) == 6
    assert right[1] - right[0] > 25
    assert len(set(right[1:])) == 2


def overlap() -> pd.DataFrame:
    rows = [
        ("sub-01", "", "gracilis", "both", 0.90, 100.0, 110.0), ("sub-02", "", "gracilis", "both", 0.80, 100.0, 90.0),
        ("sub-01", "", "gracilis", "left", 0.10, 50.0, 50.0), ("sub-02", "", "sartorius", "both", np.nan, 80.0, 0.0),
    ]  # fmt: skip
    names = ["participant_id", "session", "muscle", "side", "dice", "volume_first_ml", "volume_second_ml"]
    return pd.DataFrame(rows, columns=names)


def test_the_overlap_of_readers_has_a_row_for_each_muscle_with_its_worst_scan(registry):
    exhibit = tables.overlap_table(overlap(), registry, n_scans=5)
    assert "0.850 ± 0.071" in exhibit.html
    assert "sub-02" in exhibit.html
    # 200 · 10 / 210 and -200 · 10 / 190.
    assert f"{(200 / 21 - 200 / 19) / 2:.1f}".replace("-", "−") in exhibit.html
    assert "Drawn by one only" in exhibit.html
    assert "2 of 5 labelled scans were drawn by both readers" in exhibit.summary
    assert len(exhibit.data) == 4


def test_one_side_of_the_overlap_can_be_shown(registry):
    exhibit = tables.overlap_table(overlap(), registry, n_scans=2, side="left")
    assert "0.100" in exhibit.html
    assert "Sartorius" not in exhibit.html
