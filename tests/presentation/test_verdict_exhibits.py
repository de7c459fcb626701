import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from dtimuscle.presentation import figures, tables
from dtimuscle.presentation.tables.verdict_words import found_in_words, odds_in_words
from dtimuscle.replication.criteria import CRITERIA, Criterion, Effect
from dtimuscle.replication.verdict import Verdict
from dtimuscle.statistics.estimates import Estimate, Interval

NO_NUMBER = "Only a direction is printed."
NO_NEUTRAL = "A mean has no such value."


def _without_number(p: float) -> tuple[Criterion, ...]:
    answers = [Criterion(name, "not testable", reason=NO_NUMBER) for name in CRITERIA]
    return (Criterion("significance", "yes" if p < 0.05 else "no", p), *answers[1:])


AREA = Verdict(
    "roc", "fa+md", "The curve.", "0.722 (95% CI 0.6239–0.821)", 0.722, Interval(0.6239, 0.821),
    Estimate("auc", "fa+md", "", 0.9635, interval=Interval(0.9327, 0.9944), n=100), "disagrees", "Too large.",
    criteria=(
        Criterion("significance", "yes", 1e-9),
        Criterion("original_in_interval", "no", 0.722, Interval(0.9327, 0.9944)),
        Criterion("prediction_interval", "no", 0.9635, Interval(0.4872, 0.8767)),
        Criterion("small_telescopes", "unclear", 0.0512, limit=0.59),
        Criterion("sceptical_p", "yes", 0.01234),
        Criterion("bayes_factor", "yes", 12.3456),
        Criterion("combined", "yes", 0.8187, Interval(0.7463, 0.8739), p_heterogeneity=6e-6),
    ),
    published_effect=Effect(0.954, 0.25), found_effect=Effect(3.27, 0.45), scale="logit AUC",
)  # fmt: skip

MEAN = Verdict(
    "means", "gracilis.md", "Means of ADC.", "1.02 ± 0.34 mm²/s", 1.02e-3, None,
    Estimate("mean", "gracilis.md", "poor", 0.969e-3, sd=0.366e-3, interval=Interval(0.8347e-3, 1.103e-3), n=31),
    "agrees", "As expected.", "poor",
    criteria=(
        Criterion("significance", "not testable", reason=NO_NEUTRAL),
        Criterion("original_in_interval", "yes", 1.02e-3, Interval(0.8347e-3, 1.103e-3)),
        Criterion("prediction_interval", "yes", 0.969e-3, Interval(0.840e-3, 1.2e-3)),
        *(Criterion(name, "not testable", reason=NO_NEUTRAL) for name in list(CRITERIA)[3:]),
    ),
    published_effect=Effect(1.02e-3, 0.34e-3 / math.sqrt(31), 30, has_neutral=False),
    found_effect=Effect(0.969e-3, 6.6e-5, 30, has_neutral=False), scale="mean",
)  # fmt: skip

DIFFERENCE = Verdict(
    "lower", "gracilis.md", "ADC is lower.", "lower, P < 0.05", None, None,
    Estimate("difference", "gracilis.md", "", -0.8e-3, interval=Interval(-0.95e-3, -0.65e-3), p=1e-9, n=100),
    "agrees", "As published.",
    criteria=(
        Criterion("significance", "yes", 1e-9),
        Criterion("original_in_interval", "yes", -0.72e-3, Interval(-0.95e-3, -0.65e-3)),
        Criterion("prediction_interval", "yes", -0.8e-3, Interval(-0.94e-3, -0.5e-3)),
        *(Criterion(name, "not testable", reason="Unknown.") for name in list(CRITERIA)[3:]),
    ),
    published_effect=Effect(-0.72e-3, 8.43e-5, 98), found_effect=Effect(-0.8e-3, 7.5e-5, 98), scale="difference",
)  # fmt: skip

DIRECTIONS = tuple(
    Verdict(
        "lower", f"{muscle}.fa", "FA is lower.", "lower, P < 0.05", None, None,
        Estimate("difference", f"{muscle}.fa", "", -0.02, interval=Interval(-0.04, 0.0), p=p, n=100),
        "undecided", "The published way.", criteria=_without_number(p),
    )
    for muscle, p in (("gracilis", 0.049), ("adductor_longus", 0.2))
)  # fmt: skip

ODDS = Verdict(
    "factors", "gracilis.fa", "FA is a factor.", "OR 0.5 (0.3–0.8)", 0.5, Interval(0.3, 0.8),
    Estimate("odds_ratio", "gracilis.fa", "", 0.0362, interval=Interval(0.00005, 21.24), p=0.3, n=100),
    "undecided", "Chance.",
)  # fmt: skip

CORRELATION = Verdict(
    "correlates", "gracilis.md", "ADC falls.", "r = 0.45 (0.27–0.60)", 0.45, Interval(0.27, 0.6),
    Estimate("correlation", "gracilis.md", "", 0.69, interval=Interval(0.57, 0.78), p=1e-9, n=100),
    "agrees", "Fits.",
)  # fmt: skip

COMPARISON = Verdict(
    "beats", "fa+md - fa", "More than FA.", "0.10 (0.02–0.18)", 0.1, Interval(0.02, 0.18),
    Estimate("auc_difference", "fa+md - fa", "", 0.257, interval=Interval(0.135, 0.379), p=1e-4, n=100),
    "agrees", "Fits.",
)  # fmt: skip

NOTHING_FOUND = Verdict("none", "sartorius.fa", "FA.", "lower", None, None, None, "not testable", "Not <measured>.")

ALL = (*DIRECTIONS, DIFFERENCE, MEAN, ODDS, CORRELATION, AREA, COMPARISON, NOTHING_FOUND)


@pytest.fixture(scope="module")
def drawn(registry):
    return {exhibit.name: exhibit for exhibit in figures.family_figures(ALL, registry)}


def _words(markup: str) -> str:
    without_style = re.sub(r"<style>.*?</style>", "", markup, flags=re.DOTALL)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without_style.replace("</sup>", "</sup> ")))
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("\u00a0", " ")


def _texts(svg: str) -> str:
    return " | ".join("".join(node.itertext()).strip() for node in ET.fromstring(svg).iter() if "text" in node.tag)


def _row(html: str, subject: str) -> str:
    return _words(next(row for row in html.split("<tr>") if f">{subject}</th>" in row))


def test_verdicts_stand_beside_the_published_value_in_the_printed_unit(results, registry):
    pairs = tables.verdict_pairs(results.verdicts, registry)
    mean = results.verdicts[0].found
    assert pairs[0].found.replace("\u00a0", " ") == f"{mean.value * 1e3:.2f} ± {mean.sd * 1e3:.2f} × 10⁻³ mm²/s"
    assert pairs[2].found == "–"
    assert [pair.agreement for pair in pairs] == ["agrees", "disagrees", "not testable"]


def test_text_of_others_is_escaped(results, registry):
    assert "&lt;no&gt; &amp; nothing" in tables.verdict_table(results.verdicts, registry).html
    hostile = replace(
        DIRECTIONS[0], statement="<b>x</b>", criteria=(Criterion("significance", "not testable", reason="<i>"),)
    )
    html = tables.criteria_table([hostile], registry).html
    assert "<b>x" not in html
    assert "<i>" not in html


def test_odds_ratios_say_which_model_they_come_from():
    alone = replace(ODDS, found=replace(ODDS.found, kind="univariate_odds_ratio"))
    words = [found_in_words(verdict).replace("\u00a0", " ") for verdict in (ODDS, alone)]
    assert words == [
        "0.036 (< 0.001 to 21.24) per 0.1, in the joint model, P = 0.300",
        "0.036 (< 0.001 to 21.24) per 0.1, alone, P = 0.300",
    ]


def test_each_verdict_is_a_sentence_with_its_numbers(registry):
    sentences = dict(zip([v.claim_id for v in ALL], tables.plain_verdicts(ALL, registry), strict=True))
    assert sentences["roc"] == (
        "FA + ADC: published 0.722 (95% CI 0.6239–0.821); found 0.964 (0.933 to 0.994). Too large."
    )
    assert sentences["none"].endswith("published lower. Not <measured>.")
    exhibit = tables.verdict_table(ALL, registry)
    assert exhibit.data["in_words"].tolist() == list(tables.plain_verdicts(ALL, registry))


def test_a_difference_that_follows_from_printed_means_is_named_where_only_a_direction_is_claimed(registry):
    words = _words(tables.verdict_table([DIFFERENCE], registry).html)
    assert "The printed means differ by −0.72 × 10⁻³ mm²/s." in words
    assert "printed means" not in _words(tables.verdict_table(DIRECTIONS, registry).html)


def test_each_criterion_is_a_word_with_the_number_that_decided(registry):
    row = _row(tables.criteria_table([AREA], registry).html, "FA + ADC")
    for words in (
        "4 of 7", "✓ yes P < 0.001", "✗ no 0.722 not in 0.933 to 0.994", "✗ no 0.964 not in 0.487 to 0.877",
        "≈ unclear P = 0.051", "✓ yes P = 0.012", "✓ yes 12:1 for the published effect",
        "✓ yes 0.819 (0.746 to 0.874)",
    ):  # fmt: skip
        assert words in row, words


def test_numbers_of_criteria_stand_in_the_printed_unit_which_is_named(registry):
    words = _words(tables.criteria_table([MEAN], registry).html)
    assert "1.02 in 0.83 to 1.10" in words
    assert "ADC (MD) in 10⁻³ mm²/s." in words
    assert "mm²/s" not in _words(tables.criteria_table([AREA], registry).html)


def test_a_value_close_to_the_end_of_an_interval_does_not_look_like_it(registry):
    close = Criterion("original_in_interval", "no", 1.4901e-3, Interval(1.4941e-3, 1.57e-3))
    row = _words(tables.criteria_table([replace(MEAN, criteria=(MEAN.criteria[0], close))], registry).html)
    assert "✗ no 1.490 not in 1.494 to 1.570" in row


def test_why_a_criterion_cannot_be_applied_is_said_once(registry):
    html = tables.criteria_table([*DIRECTIONS, MEAN], registry).html
    assert html.count(NO_NUMBER) == 1
    assert html.count(NO_NEUTRAL) == 1
    assert _row(html, "Gracilis, FA").count("not testable") == 6
    assert "1 of 1 a" in _row(html, "Gracilis, FA")
    assert "0 of 1 a" in _row(html, "Adductor longus, FA")
    assert "2 of 2 b" in _row(html, "Gracilis, ADC (MD), poor")


def test_different_reasons_stand_where_they_hold(registry):
    mixed = (
        *AREA.criteria[:5],
        *(Criterion(n, "not testable", reason=f"No {n}.") for n in ("bayes_factor", "combined")),
    )
    row = _row(tables.criteria_table([replace(AREA, criteria=mixed)], registry).html, "FA + ADC")
    assert "– a not testable" in row
    assert "– b not testable" in row


def test_what_was_not_found_keeps_its_row_and_its_reason(registry):
    words = _words(tables.criteria_table([NOTHING_FOUND], registry).html)
    assert words.count("not testable") == len(CRITERIA) + 1
    assert "a Not <measured>." in words


def test_every_criterion_is_explained_below_the_table(registry):
    words = _words(tables.criteria_table([AREA], registry).html)
    for criterion in CRITERIA.values():
        assert all(part in words for part in (criterion.title, criterion.question, criterion.yes, criterion.no))


def test_criteria_keep_their_numbers_unrounded(registry):
    data = tables.criteria_table(ALL, registry).data
    assert len(data) == sum(len(verdict.criteria) for verdict in ALL)
    rows = data[data["claim_id"] == "roc"].set_index("criterion")
    assert rows.loc["bayes_factor", "value"] == 12.3456
    assert rows.loc["prediction_interval", ["low", "high", "level"]].tolist() == [0.4872, 0.8767, 0.95]
    assert rows.loc["small_telescopes", "limit"] == 0.59
    assert rows.loc["combined", "p_heterogeneity"] == 6e-6
    assert set(data[data["answer"] == "not testable"]["reason"]) == {NO_NUMBER, NO_NEUTRAL, "Unknown."}


def test_the_words_above_say_how_often_criteria_differ(registry):
    summary = tables.criteria_table(ALL, registry).summary
    assert "3 of 9 rows can be put to more than one, and in 1 of them the answers differ." in summary
    assert "2 can be put to one only" in summary


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (12.3, "12:1 for the published effect"),
        (1.0, "1.0:1 for the published effect"),
        (0.2, "5.0:1 for no effect"),
        (1e24, "> 1000:1 for the published effect"),
        (math.inf, "> 1000:1 for the published effect"),
        (0.0, "> 1000:1 for no effect"),
    ],
)
def test_a_bayes_factor_is_printed_as_odds(factor, words):
    assert odds_in_words(factor) == words


def test_each_family_has_a_figure_of_its_own(drawn):
    families = ("differences", "means", "odds_ratios", "correlations", "auc", "auc_differences")
    assert list(drawn) == [f"published_and_found_{family}" for family in families]
    assert [len(exhibit.data) for exhibit in drawn.values()] == [1] * 6


def test_verdicts_without_criteria_are_drawn_too(results, registry):
    made = figures.family_figures(results.verdicts, registry)
    assert [claim for exhibit in made for claim in exhibit.data["claim_id"]] == ["adc", "roc"]


def test_without_a_pair_there_is_no_figure(registry):
    assert figures.family_figures((*DIRECTIONS, NOTHING_FOUND), registry) == ()


def test_figures_keep_their_numbers_unrounded(drawn):
    row = drawn["published_and_found_auc"].data.iloc[0]
    assert (row["published"], row["published_low"], row["published_high"]) == (0.722, 0.6239, 0.821)
    assert (row["found"], row["found_low"], row["found_high"]) == (0.9635, 0.9327, 0.9944)
    assert (row["expected_low"], row["expected_high"]) == (0.4872, 0.8767)
    assert (row["combined"], row["combined_low"], row["combined_high"]) == (0.8187, 0.7463, 0.8739)


def test_a_published_mean_has_the_interval_of_its_sd_and_n(drawn):
    row = drawn["published_and_found_means"].data.iloc[0]
    margin = 2.0422724563 * 0.34e-3 / math.sqrt(31)  # Student's 97.5% quantile for 30 degrees of freedom
    assert row["published_high"] - row["published"] == pytest.approx(margin, rel=1e-9)
    assert "follow from the printed SDs" in drawn["published_and_found_means"].summary
    assert "follow from the printed SDs" not in drawn["published_and_found_auc"].summary


def test_figures_print_numbers_in_the_printed_unit_with_n(drawn):
    words = _texts(drawn["published_and_found_means"].svg)
    assert "1.02 (0.90 to 1.14)" in words
    assert "n = 31" in words
    assert "ADC (MD), 10⁻³ mm²/s" in words


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("auc", "chance"),
        ("differences", "no difference"),
        ("correlations", "no correlation"),
        ("odds_ratios", "no effect"),
    ],
)
def test_the_value_that_means_no_effect_is_marked_where_there_is_one(drawn, family, words):
    assert f"| {words} |" in _texts(drawn[f"published_and_found_{family}"].svg)


def test_the_band_and_the_combined_estimate_are_explained_only_where_drawn(drawn):
    with_both, without = (drawn[f"published_and_found_{name}"] for name in ("auc", "correlations"))
    assert "both together" in _texts(with_both.svg)
    assert "prediction interval" in with_both.summary
    assert "both together" not in _texts(without.svg)
    assert "prediction interval" not in without.summary


def test_what_has_no_number_is_left_out_and_counted(drawn):
    for exhibit in drawn.values():
        assert exhibit.summary.endswith(
            "Of 9 values and directions that the study claims, 3 are not drawn: for 2 the study prints only a "
            "direction and for 1 the new data give no value."
        )


def test_figures_say_in_words_what_they_show(drawn):
    for exhibit in drawn.values():
        assert ET.fromstring(exhibit.svg).get("aria-label") == exhibit.alt
        assert "found" in exhibit.alt
        assert exhibit.png.startswith(b"\x89PNG")
    assert "0.722 (95% CI 0.6239–0.821); found 0.964" in drawn["published_and_found_auc"].alt


def test_headings_of_claims_stay_in_sight_while_a_table_scrolls(registry):
    html = tables.criteria_table(ALL, registry).html
    assert '<span class="gt_group_words">FA is lower.</span>' in html
    assert ".gt_group_words { display: inline-block; position: sticky" in html
