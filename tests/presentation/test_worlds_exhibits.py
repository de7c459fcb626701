import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

from dtimuscle.presentation import figures, tables
from dtimuscle.replication.published import PrintedAuc
from dtimuscle.replication.worlds import AucInWorld, ClaimInWorld, ClaimPart, Opposition, Share, Together, WorldAnswer
from dtimuscle.statistics.cut_offs import clopper_pearson
from dtimuscle.statistics.estimates import Interval

N = 200


def share(n_yes):
    return Share(n_yes, N, clopper_pearson(n_yes, N))


@pytest.fixture
def answers():
    """Two worlds, three claims: in the second world one of them is out of reach."""
    printed = PrintedAuc(0.722, Interval(0.6239, 0.821), 0.001, "0.722 (95% CI 0.6239–0.821)")
    values = np.r_[np.full(50, 0.71), np.full(150, 0.7236)]
    first = WorldAnswer(
        name="published_means",
        statement="The means are true.",
        n_cohorts=N,
        n_poor=31,
        n_good=69,
        claims=(
            ClaimInWorld(
                "adc_lower", "group_difference", "ADC is lower.", (ClaimPart("gracilis.md", share(190), direction=-1),),
                share(190),
            ),
            ClaimInWorld(
                "factors", "independent_factors", "ADC increase is a factor.",
                (ClaimPart("gracilis.md", share(3), direction=1),), share(3), n_separated=7,
            ),
            ClaimInWorld("auc_combined", "auc", "AUC <b>0.722</b>.", (ClaimPart("fa+md", share(0)),), share(0)),
        ),
        together=(
            Together("adc_lower", "factors", share(2)),
            Together("adc_lower", "auc_combined", share(0)),
            Together("factors", "auc_combined", share(0)),
        ),
        all_claims=share(0),
        oppositions=(Opposition("adc_lower", "factors", ("gracilis.md",), (share(2),), share(2)),),
        aucs=(
            AucInWorld("auc_combined", "fa+md", ("gracilis.fa", "gracilis.md"), printed, values, share(50), share(150),
                       share(200)),
        ),
    )  # fmt: skip
    untestable = ClaimInWorld(
        "factors", "independent_factors", "ADC increase is a factor.",
        (ClaimPart("gracilis.md", None, direction=1, reason="This world says nothing about it."),), None,
        reason="This world says nothing about it.",
    )  # fmt: skip
    second = replace(
        first,
        name="a_world_of_mine",
        statement="Nobody knows.",
        claims=(first.claims[0], untestable, first.claims[2]),
        together=first.together[1:2],
        oppositions=(),
    )
    return first, second


def words_of(html):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<style.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL)))


def words_in(svg):
    return " | ".join("".join(node.itertext()).strip() for node in ET.fromstring(svg).iter() if "text" in node.tag)


def test_shares_of_whole_claims_stand_by_world(answers):
    table = tables.worlds_table(answers)
    words = words_of(table.html)
    # R: binom.test(190, 200)$conf.int is 0.90997246 to 0.97576583; of 0 of 200 it ends at 0.01827534.
    assert "ADC is lower. 95.0% (91.0 to 97.6) 95.0% (91.0 to 97.6)" in words
    assert "ADC increase is a factor. 1.5% (0.3 to 4.3) not testable" in words
    assert "All of these claims at once 0.0% (0.0 to 1.8)" in words
    assert "Printed means true A world of mine" in words
    assert "<b>" not in table.html
    assert table.summary.startswith("Simulated cohorts, not patients: 200 of 31 + 69 patients in each world")
    assert "A world of mine: Nobody knows." in words


def test_the_data_hold_wholes_and_parts_unrounded(answers):
    data = tables.worlds_table(answers).data.set_index(["world", "claim_id", "subject"])
    whole = data.loc[("published_means", "adc_lower", "whole claim")]
    assert (whole["n_yes"], whole["n_cohorts"], whole["share"]) == (190, N, 0.95)
    assert whole["low"] == pytest.approx(0.90997246, abs=1e-8)
    assert data.loc[("published_means", "factors", "gracilis.md"), "share"] == 0.015
    missing = data.loc[("a_world_of_mine", "factors", "whole claim")]
    assert np.isnan(missing["share"])
    assert missing["reason"] == "This world says nothing about it."
    assert len(data) == 2 * (3 + 3 + 1)


def test_cohorts_without_odds_ratios_are_counted(answers):
    assert "no odds ratios exist: 7 (Printed means true)" in words_of(tables.worlds_table(answers).html)
    assert "no odds ratios exist" not in tables.worlds_table(answers[1:]).html


def test_claims_that_oppose_each_other_come_first_and_in_a_sentence(answers, registry):
    table = tables.worlds_together_table(answers, registry)
    words = words_of(table.html)
    opposed, pairs = words.index("Opposite statements"), words.index("Two whole claims at once")
    assert opposed < words.index("Gracilis, ADC (MD): ADC lower + Factors 1.0% (0.1 to 3.6)") < pairs
    assert pairs < words.index("ADC lower + AUC combined 0.0% (0.0 to 1.8) 0.0% (0.0 to 1.8)")
    assert (
        'Claims about the same values (Gracilis, ADC (MD)) point opposite ways: "ADC lower" and "Factors".'
        in table.summary
    )
    assert "in this share of the cohorts: 1.0% (0.1 to 3.6) (Printed means true)." in table.summary
    assert "All claims that can be tested come out at once in none of the cohorts of any world" in table.summary
    assert "up to 1.8%" in table.summary
    assert set(table.data["world"]) == {"published_means", "a_world_of_mine"}


def test_areas_of_every_cohort_are_drawn_beside_the_printed_one(answers, registry):
    figure = figures.worlds_auc_figure(answers, registry)
    words = words_in(figure.svg)
    for word in ("Printed means true", "A world of mine", "≤ 0.722: 25.0% (19.2 to 31.6)", "published"):
        assert word in words
    assert "AUC of FA + ADC in 200 cohorts of 31 + 69, simulated" in words
    assert figure.data.groupby("world")["auc"].count().tolist() == [N, N]
    assert "Within it lie 100.0% (Printed means true)" in figure.summary
    assert "Printed means true: 25.0%" in figure.alt
    assert figure.png.startswith(b"\x89PNG")


def test_bars_at_most_the_printed_area_are_dark_and_others_pale(answers, registry):
    svg = figures.worlds_auc_figure(answers[:1], registry).svg
    # 0.71 is at most 0.722; 0.7236 is not, though less than a bar's width away.
    assert svg.count("fill: #9fb4c4") >= 1
    dark = re.findall(r"<path d=\"M ?([\d.]+) [\d.]+ ?L ?([\d.]+)[^\"]*\"[^>]*fill: #1f2933", svg)
    pale = re.findall(r"<path d=\"M ?([\d.]+) [\d.]+ ?L ?([\d.]+)[^\"]*\"[^>]*fill: #9fb4c4", svg)
    assert max(float(end) for _, end in dark) <= min(float(start) for start, _ in pale) + 0.01


def test_without_an_auc_the_figure_says_so(answers, registry):
    bare = [replace(answer, aucs=()) for answer in answers]
    figure = figures.worlds_auc_figure(bare, registry)
    assert "No published AUC can be tested" in figure.summary
    assert figure.data.empty
    assert list(figure.data.columns) == ["world", "claim_id", "predictor", "cohort", "auc"]
    assert figures.worlds_auc_figure(answers, registry, claim_id="another").data.empty


def test_nothing_testable_anywhere_is_said_in_words(answers, registry):
    bare = [replace(answer, all_claims=None, together=(), oppositions=()) for answer in answers]
    table = tables.worlds_together_table(bare, registry)
    assert "come out at once nowhere, since none can be tested." in table.summary
    assert "All of these claims at once not testable not testable" in words_of(table.html)
