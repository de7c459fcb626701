import re
from dataclasses import replace

import numpy as np
import pandas as pd
from great_tables import GT

from dtimuscle.presentation import grid, tables
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.tables.cells import NO_ESTIMATE


def _text(html: str) -> str:
    without_style = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without_style))


def test_group_table_prints_rounded_and_keeps_unrounded(results, registry):
    exhibit = tables.group_comparison_table(results.comparisons, registry)
    md = next(item for item in results.comparisons if item.feature == "gracilis.md")
    assert f"{md.poor.mean * 1e3:.2f} ± {md.poor.sd * 1e3:.2f}" in exhibit.html
    row = exhibit.data.set_index("feature").loc["gracilis.md"]
    assert row["poor_mean"] == md.poor.mean
    assert row["p_holm"] == md.p_holm


def test_group_table_states_units_test_and_counts(results, registry):
    exhibit = tables.group_comparison_table(results.comparisons, registry)
    text = _text(exhibit.html)
    assert "ADC (MD), 10⁻³ mm²/s, mean ± SD" in text
    assert "15 / 24" in text  # gracilis FA lacks one value
    assert "Student's t" in exhibit.summary


def test_group_table_puts_the_published_value_beside_the_found_one(results, registry):
    published = {("gracilis.md", "poor"): "1.02 ± 0.34"}
    exhibit = tables.group_comparison_table(results.comparisons, registry, published=published)
    assert "1.02 ± 0.34" in exhibit.html
    assert [pair.published for pair in exhibit.beside] == ["1.02 ± 0.34"]
    assert "Published" not in tables.group_comparison_table(results.comparisons, registry).html


def test_the_unit_of_published_values_is_said_once_and_only_where_there_are_any(results, registry):
    note = "The published ADC is printed in mm²/s."
    published = {("gracilis.md", "poor"): "1.02 ± 0.34"}
    with_values = tables.group_comparison_table(results.comparisons, registry, published=published, published_note=note)
    assert with_values.summary.endswith(note)
    assert note not in tables.group_comparison_table(results.comparisons, registry, published_note=note).summary


def test_tables_carry_no_rules_for_parts_that_they_lack(results, registry):
    html = tables.correlation_table(results.correlations, registry).html
    assert ".gt_row " in html
    assert ".gt_footnote" not in html
    assert "position: sticky" in html


def test_every_table_has_caption_row_headers_and_its_own_id(results, registry, bias):
    made = [
        tables.quality_table(pd.DataFrame({"participant_id": ["001"], "snr": [30.0]})),
        tables.characteristics_table(results.characteristics),
        tables.group_comparison_table(results.comparisons, registry),
        tables.bias_table(bias, registry),
        tables.correlation_table(results.correlations, registry),
        tables.univariate_table(results.model.univariate, registry),
        tables.multivariable_table(results.model, registry),
        tables.auc_table(list(results.roc.curves.values()), registry),
        tables.auc_comparison_table(results.roc.comparisons, registry),
        tables.verdict_table(results.verdicts, registry),
        tables.criteria_table(results.verdicts, registry),
    ]
    for exhibit in made:
        assert "<caption" in exhibit.html, exhibit.name
        assert 'scope="row"' in exhibit.html, exhibit.name
        assert len(exhibit.summary) > 30, exhibit.name
    assert len({re.search(r'<div id="([^"]+)"', e.html).group(1) for e in made}) == len(made)


def test_quality_table_lives_without_the_columns_that_are_missing():
    exhibit = tables.quality_table(
        pd.DataFrame({"participant_id": ["001"], "mean_displacement_mm": [0.876], "fraction_unusable": [0.0123]})
    )
    assert "0.88" in exhibit.html
    assert "1.2" in _text(exhibit.html)
    assert "SNR" not in exhibit.html


def test_quality_without_motion_correction_says_nothing_of_motion():
    quality = pd.DataFrame({"participant_id": ["001", "002"], "snr": [30.0, 31.0], "max_displacement_mm": [None, None]})
    exhibit = tables.quality_table(quality, title="Quality of the fit")
    assert "otion" not in exhibit.summary + _text(exhibit.html)
    assert exhibit.title == "Quality of the fit"
    assert "Motion" in _text(tables.quality_table(quality.assign(max_displacement_mm=[1.0, None])).html)


def test_quality_of_nothing_lists_the_participants():
    quality = pd.DataFrame({"participant_id": ["001"], "snr": [None], "n_directions": [None]})
    exhibit = tables.quality_table(quality)
    assert "001" in _text(exhibit.html)
    assert "SNR" not in exhibit.summary


def test_characteristics_give_mean_and_sd_or_count_and_percent(results):
    text = _text(tables.characteristics_table(results.characteristics).html)
    age = results.characteristics[0].poor
    assert f"{age.mean:.1f} ± {age.sd:.1f}" in text
    assert re.search(r"Sex: female +\d+ \(\d+%\)", text)
    assert "Poor function (n = 16)" in text


def test_bias_is_given_in_percent_of_the_truth(bias, registry):
    assert "−0.7" in tables.bias_table(bias, registry).html


def test_odds_ratios_name_their_step(results, registry):
    text = _text(tables.univariate_table(results.model.univariate, registry).html)
    assert "FA, odds ratio per 0.1" in text
    assert "ADC (MD), odds ratio per 0.1 × 10⁻³ mm²/s" in text


def test_a_separated_model_prints_no_odds_ratio(results, registry):
    fit = replace(results.model.univariate[0], separation="complete")
    assert NO_ESTIMATE in tables.univariate_table([fit], registry).html


def test_without_a_multivariable_model_the_table_says_why(results, registry):
    model = replace(results.model, entered=(), multivariable=None)
    assert "no multivariable model" in tables.multivariable_table(model, registry).summary


def test_auc_table_says_that_models_are_apparent(results, registry):
    curves = list(results.roc.curves.values())
    exhibit = tables.auc_table(curves, registry, published={"fa+md": "0.722 (0.6239–0.821)"})
    assert "flatters" in exhibit.summary
    assert exhibit.beside[0].published == "0.722 (0.6239–0.821)"
    assert exhibit.data["auc"].tolist() == [curve.auc.value for curve in curves]


def test_text_of_others_is_escaped():
    quality = pd.DataFrame({"participant_id": ["<script>alert(1)</script>"], "snr": [30.0]})
    assert "<script>" not in tables.quality_table(quality).html


def test_quality_that_was_not_measured_is_a_dash():
    quality = pd.DataFrame({"participant_id": ["001", "002"], "snr": [None, 30.0]})
    assert "–" in _text(tables.quality_table(quality).html)


def test_empty_results_make_empty_tables(registry):
    for made in (tables.group_comparison_table((), registry), tables.correlation_table((), registry)):
        assert made.data.empty


def test_undefined_numbers_are_dashes(registry, results):
    nan = replace(results.correlations[0], r=np.nan, p=np.nan)
    assert "–" in _text(tables.correlation_table([nan], registry).html)


def test_cells_are_escaped_as_the_library_would(monkeypatch):
    cells = pd.DataFrame(
        {
            "row": ["a <b>", "c & d", "e"],
            "kind": ["one & all", "one & all", "two"],
            "p": ["P < 0.001", None, "–"],
            "words": ['"quoted"', "it's", "ü"],
        }
    )
    columns = [Column("p", "P <", spanner="A & B"), Column("words", "Words", align="left")]
    how = {"title": "T", "row_label": ("row", "Row"), "group": "kind", "colours": ("words", ["red", "blue", "red"])}
    ours = table_html("some", cells, columns, **how)
    assert "a &lt;b&gt;" in ours
    monkeypatch.setattr(grid, "_escaped", lambda frame, *, markup: GT(frame)._body)
    assert table_html("some", cells, columns, **how) == ours


def test_cells_of_markup_stay_markup():
    cells = pd.DataFrame({"row": ["<a>"], "link": ['<a href="x">1 &lt; 2</a>']})
    html = table_html("some", cells, [Column("link", "Link", is_markup=True)], title="T", row_label=("row", "Row"))
    assert '<a href="x">1 &lt; 2</a>' in html
    assert "&lt;a&gt;" in html
