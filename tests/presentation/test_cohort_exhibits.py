import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dtimuscle.presentation import figures, tables
from dtimuscle.presentation.cohort_page import cohort_page
from dtimuscle.presentation.pages import PageContext
from dtimuscle.presentation.participant_links import from_folder_below, from_run_folder, only_to
from dtimuscle.rating import (
    QUANTITY,
    Rule,
    ScanNumbers,
    Verdict,
    count_verdicts,
    numbers_to_frame,
    odd_muscles,
    odd_numbers,
    rate,
)
from dtimuscle.statistics.estimates import Estimate, Interval
from dtimuscle.statistics.exclusion import Change, Sensitivity

N = 30
RULES = (Rule(QUANTITY["snr"], 25.0, 10.0), Rule(QUANTITY["mean_framewise_mm"], 5.0, 10.0))


def text_of(html: str) -> str:
    without_style = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without_style))


@pytest.fixture(scope="module")
def numbers() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    scans = [
        ScanNumbers(f"sub-{i:02d}", snr=rng.normal(30, 1), mean_framewise_mm=rng.normal(2, 0.2), n_issues=0.0)
        for i in range(N)
    ]
    scans[4] = replace(scans[4], mean_framewise_mm=12.0)
    scans[9] = replace(scans[9], snr=22.0)
    return numbers_to_frame(scans)


@pytest.fixture(scope="module")
def ratings(numbers):
    return tuple(rate(ScanNumbers(**row), RULES) for row in numbers.to_dict("records"))


@pytest.fixture(scope="module")
def values() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    rows = [
        {"name": f"sub-{i:02d}", "muscle": "gracilis", "parameter": p, "group": "poor" if i % 3 else "good", "value": v}
        for i in range(N)
        for p, v in (("fa", rng.normal(0.25, 0.02)), ("md", rng.normal(1.5e-3, 1e-4)))
    ]
    rows[2 * 7]["value"] = 0.6
    rows[2 * 8]["value"] = np.nan
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def page_of() -> dict[str, str]:
    return {f"sub-{i:02d}": f"participants/sub-{i:02d}.html" for i in range(N - 1)}


@pytest.fixture(scope="module")
def strips(numbers, ratings, page_of):
    return figures.quality_strips_figure(numbers, ratings, RULES, odd_numbers(numbers), page_of=page_of)


# Figures


def test_every_scan_is_a_point_of_every_strip_with_its_name_value_and_page(strips, numbers):
    points = re.findall(r'<a(?: tabindex="-1" href="([^"]*)")?><use [^>]*/><title>([^<]*)</title></a>', strips.svg)
    assert len(points) == 3 * N
    assert ("participants/sub-04.html", "sub-04: Motion from volume to volume, mean 12.0 mm") in points
    snr = numbers["snr"].iloc[0]
    assert ("participants/sub-00.html", f"sub-00: SNR of the muscles {snr:.1f}") in points
    assert [href for href, words in points if words.startswith(f"sub-{N - 1}")] == [""] * 3
    assert "#point" not in strips.svg


def test_a_number_that_nobody_has_gets_no_strip_and_is_named(strips):
    assert "Lost slices</text>" not in strips.svg
    assert "Not known of anybody: Motion from volume to volume, largest; Lost slices;" in strips.summary


def test_who_is_far_from_the_others_is_named_in_the_picture_and_in_its_words(strips):
    assert re.findall(r">(sub-\d+)</text>", strips.svg) == ["sub-09", "sub-04"]
    assert "SNR of the muscles: sub-09 22.0; Motion from volume to volume, mean: sub-04 12.0 mm" in strips.alt
    assert "use 28, look before use 1, leave out 1" in strips.alt
    assert strips.data["verdict"].value_counts().to_dict() == {"use": 28, "look": 1, "leave out": 1}


def test_points_of_one_look_share_it(strips):
    assert re.findall(r'<use [^>]*style="[^>]*/><title>', strips.svg) == []
    assert len(strips.svg) < 45_000


def test_strips_of_equal_values_and_of_nobody_can_be_drawn(numbers, ratings):
    nothing = numbers_to_frame([])
    assert figures.quality_strips_figure(nothing, (), RULES, odd_numbers(nothing)).svg
    equal = numbers.assign(snr=30.0, mean_framewise_mm=0.0)
    assert figures.quality_strips_figure(equal, ratings, RULES, odd_numbers(equal)).svg


def test_every_value_of_a_muscle_is_a_point_and_a_scan_that_is_left_out_a_cross(values, ratings, registry, page_of):
    odd = odd_muscles(values)
    shown = figures.muscle_strips_figure(values, odd, ratings, registry, parameter="fa", page_of=page_of)
    link = r'<a(?: tabindex="-1" href="[^"]*")?><use [^>]*/><title>(sub-\d+): ([^<]*)</title></a>'
    points = re.findall(link, shown.svg)
    assert len(points) == N - 1
    assert ("sub-07", "0.600") in points
    assert "sub-07 Gracilis 0.600" in shown.alt
    assert "Crosses are scans" in shown.summary
    assert shown.name == "scans_fa"
    assert set(shown.data["parameter"]) == {"fa"}


def test_without_grades_there_is_one_row_of_points(values, ratings, registry):
    shown = figures.muscle_strips_figure(
        values.assign(group=""), odd_muscles(values.assign(group="")), ratings, registry, parameter="md"
    )
    assert f"No grade (n = {N})" in shown.svg


# Lists and tables


def test_the_list_says_who_is_odd_and_why_the_gravest_first(odd_list):
    found = odd_list
    text = text_of(found.html)
    assert "sub-04 ✗&nbsp;Leave out Motion from volume to volume, mean: 12.0 mm (at most 10.0 mm) sub-09" in text
    assert "sub-09 ≈&nbsp;Look before use SNR of the muscles: 22.0 (at least 25.0) 1 within all limits" in text
    assert re.search(r"sub-07 ✓&nbsp;Use FA: gracilis 0\.600 \(median 0\.2\d\d\)", text)
    assert 'href="participants/sub-04.html"' in found.html
    assert found.data["name"].tolist() == ["sub-04", "sub-09", "sub-07"]


def test_a_sound_cohort_has_an_empty_list(ratings, registry):
    nothing = odd_numbers(numbers_to_frame([]))
    none = pd.DataFrame(columns=["name", "muscle", "parameter", "group", "value", "median", "z"])
    found = tables.odd_scans_list([r for r in ratings if r.verdict is Verdict.USE], nothing, none, registry)
    assert "No scan is beyond a limit" in found.html
    assert found.data.empty


def test_a_long_list_is_cut_and_says_so(ratings):
    poor = [replace(ratings[4], participant_id=f"sub-{i}") for i in range(50)]
    found = tables.left_out_list(poor)
    assert found.html.count('class="who"') == 40
    assert "and 10 more" in found.html
    assert len(found.data) == 50


def test_names_are_escaped(ratings):
    found = tables.left_out_list([replace(ratings[4], participant_id="sub-<b>")])
    assert "<b>" not in found.html


def test_results_with_and_without_stand_side_by_side(registry):
    def estimate(kind, subject, value, low, high):
        return Estimate(kind, subject, "", value, interval=Interval(low, high), p=0.04, n=20)

    changes = (
        Change(
            estimate("difference", "gracilis.md", -2e-4, -3e-4, -1e-4),
            replace(estimate("difference", "gracilis.md", -1e-4, -3e-4, 1e-4), n=22),
        ),
        Change(estimate("auc", "fa+md", 0.8, 0.7, 0.9), estimate("auc", "fa+md", 0.75, 0.6, 0.9)),
        Change(
            estimate("odds_ratio", "gracilis.fa", 0.5, 0.2, 0.9), estimate("odds_ratio", "gracilis.fa", 0.25, 0.1, 0.6)
        ),
        Change(Estimate("odds_ratio", "age", "", np.nan), estimate("odds_ratio", "age", 1.5, 1.1, 2)),
    )
    exhibit = tables.exclusion_table(Sensitivity(changes, 20, 22), registry)
    text = text_of(exhibit.html)
    assert "Gracilis 20 −0.20 −0.30 to −0.10 0.040 22 −0.10 −0.30 to 0.10 0.040 −0.10 depends on it" in text
    assert "FA + ADC 20 0.800 0.700 to 0.900 0.040 20 0.750 0.600 to 0.900 0.040 +0.050 the same" in text
    assert "0.50 0.20 to 0.90 0.040 20 0.25 0.10 to 0.60 0.040 × 2.00 the same" in text
    assert "Age, years 0 not estimable – – 20 1.50" in text
    assert "1 of 4 conclusions depend on it" in exhibit.summary
    assert "of the 20 participants with a grade that are used, and of all 22" in exhibit.summary
    assert exhibit.data["turns"].tolist() == [True, False, False, False]


def test_sizes_and_sides_are_summarised_by_muscle(registry):
    sizes = pd.DataFrame(
        [
            {"muscle": "gracilis", "side": side, "volume_ml": volume, "cross_section_cm2": area}
            for side, volume, area in (("both", 100.0, 8.0), ("both", 120.0, 10.0), ("left", 1.0, 1.0))
        ]
    )
    sides = pd.DataFrame(
        [
            {"muscle": "gracilis", "parameter": p, "difference": d, "percent": share}
            for p, d, share in (("fa", 0.01, 4.0), ("fa", -0.03, -12.0), ("md", 1e-4, 6.0), ("md", np.nan, np.nan))
        ]
    )
    exhibit = tables.sides_table(sizes, sides, registry)
    assert "Gracilis 2 110 ± 14 9.0 ± 1.4 1" in text_of(exhibit.html)
    assert exhibit.data["fa_difference_mean"].item() == pytest.approx(-0.01)
    assert exhibit.data["fa_percent_median"].item() == 8.0


# Links and the page


def test_links_are_right_from_every_folder_and_gone_without_a_page():
    link = '<a class="x" href="participants/sub-01.html">sub-01</a> <a href="pages/roc.html">ROC</a>'
    below = from_folder_below(link)
    assert 'href="../participants/sub-01.html"' in below
    assert from_folder_below(below) == below
    assert from_run_folder(below) == link
    assert only_to(link, {"sub-01"}) == link
    assert only_to(below, set()) == '<a class="x">sub-01</a> <a href="pages/roc.html">ROC</a>'


@pytest.fixture
def odd_list(numbers, ratings, values, registry, page_of):
    return tables.odd_scans_list(ratings, odd_numbers(numbers), odd_muscles(values), registry, page_of=page_of)


@pytest.fixture
def page(strips, odd_list, ratings, page_of):
    def page(**settings):
        context = PageContext("Study", "run", is_simulated=True, version="1", created="today")
        given = {"counts": count_verdicts(ratings), "left_out": ("sub-04",), "pages": page_of}
        return cohort_page({"odd_scans": odd_list, "quality_strips": strips}, context, **(given | settings))

    return page


def test_the_page_gathers_what_there_is_and_says_that_it_is_simulated(page):
    text = text_of(page())
    assert "Simulated data, not patients" in text
    assert "28 use 1 look before use 1 leave out" in text
    assert "1 scan left out of the statistics: sub-04." in text
    assert "Values of all scans" not in text
    assert 'href="participants/sub-04.html"' in page()


def test_a_page_without_participants_pages_links_to_none(page):
    html = page(pages=(), left_out=())
    assert "participants/" not in html
    assert "left out of the statistics" not in text_of(html)
