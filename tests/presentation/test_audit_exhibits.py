import math
from dataclasses import replace

import pytest

from dtimuscle.presentation import figures, tables
from dtimuscle.presentation.tables.audit import audit_in_words
from dtimuscle.presentation.tables.printed import printed_in_short
from dtimuscle.presentation.tables.quantities import in_words, plain_text, quantity_text, value_text
from dtimuscle.replication.audit import Audit
from dtimuscle.replication.audit.adjustment import turning_region
from dtimuscle.replication.audit.directions import SignedStatement, signs
from dtimuscle.replication.audit.effects import implied_effects
from dtimuscle.replication.audit.findings import (
    Check,
    CheckResult,
    Finding,
    Quantity,
    Sentence,
    Severity,
    Step,
    WayOut,
)
from dtimuscle.replication.published import PublishedStudy
from dtimuscle.running.studies import read_published
from dtimuscle.statistics.estimates import Interval
from dtimuscle.store.registry import read_registry

AUC = Quantity("auc", "AUC alone", "auc", 0.9124, Interval(0.906, 0.918), Interval(0.8512, 0.9549))
P = Quantity("p", "P (Student)", "p", 0.0123)


@pytest.fixture(scope="module")
def study() -> PublishedStudy:
    return read_published("wang_thigh_osteoporosis")


@pytest.fixture(scope="module")
def registry():
    return read_registry()


@pytest.fixture(scope="module")
def finding() -> Finding:
    return Finding(
        check="first",
        severity=Severity.INCONSISTENT,
        title="One <alone> beats both",
        sentence=Sentence("It would be {auc}, with P {p}.", (AUC, P)),
        claims=("adc_means", "auc_combined"),
        features=("gracilis.md",),
        steps=(Step("Area under the curve", "AUC = Φ(z)", (replace(AUC, name="area"),)),),
        ways_out=(WayOut("The SDs are standard errors", "no", Sentence("It would be {auc}.", (AUC,)), ()),),
        references=("Somebody, 1982",),
    )


@pytest.fixture(scope="module")
def audit(finding: Finding) -> Audit:
    gravest = replace(finding, check="second", severity=Severity.IMPOSSIBLE, title="Above all")
    note = replace(finding, check="second", severity=Severity.NOTE, title="To know", ways_out=())

    def check(name: str, rate: float) -> Check:
        return Check(name, f"Is {name} so?", f"what {name} needs", rate, lambda *_: CheckResult(()))

    return Audit(
        "made_up",
        (
            (check("first", 0.001), CheckResult(("one", "two"), (finding,))),
            (check("second", 0.0), CheckResult(("three",), (gravest, note))),
            (check("silent", 0.0), CheckResult(("four",))),
            (check("idle", 0.0), CheckResult(())),
        ),
    )


def spaced(text: str) -> str:
    return text.replace("\u00a0", " ").replace("&nbsp;", " ")


@pytest.mark.parametrize(
    ("quantity", "printed"),
    [
        (AUC, "0.912 (95% CI 0.851 to 0.955; 0.906 to 0.918 over the rounding)"),
        (P, "= 0.012"),
        (Quantity("p", "", "p", 1e-9, Interval(1e-10, 1e-8)), "< 0.001"),
        (Quantity("p", "", "p", 0.02, Interval(1e-4, 0.03)), "= 0.020 (< 0.001 to 0.030 over the rounding)"),
        (Quantity("g", "", "effect", -1.938, Interval(-2.004, -1.881)), "−1.94 (−2.00 to −1.88 over the rounding)"),
        (Quantity("m", "", "diffusivity", 1.02e-3, Interval(1.015e-3, 1.025e-3)), "1.02 × 10⁻³ mm²/s"),
        (Quantity("m", "", "diffusivity", 1.02, Interval(1.015, 1.025)), "1.02 mm²/s"),
        (
            Quantity("m", "", "diffusivity", 1.02e-3, Interval(1.01e-3, 1.03e-3)),
            "1.02 (1.01 to 1.03 over the rounding) × 10⁻³ mm²/s",
        ),
        (Quantity("f", "", "anisotropy", 0.2514), "0.251"),
        (Quantity("s", "", "share", 0.3333), "33.3%"),
        (Quantity("s", "", "share", 0.19), "19%"),
        (Quantity("s", "", "share", 2e-5), "< 0.1%"),
        (Quantity("s", "", "share", 0.99999), "> 99.9%"),
        (Quantity("r", "", "correlation", 0.456, None, Interval(0.27, 0.6, 0.9)), "0.46 (90% CI 0.27 to 0.60)"),
        (Quantity("e", "", "standard_error", 0.05029), "0.0503"),
        (Quantity("o", "", "odds_ratio", 0.0052), "0.0052"),
        (Quantity("d", "", "df", 98), "98"),
        (Quantity("d", "", "df", 65.432), "65.4"),
        (Quantity("c", "", "count", 12345), "12\u20093" + "45"),
        (Quantity("x", "", "number", 335.526), "336"),
        (Quantity("x", "", "number", math.nan), "–"),
        (Quantity("u", "", "text", text="mm²/s"), "mm²/s"),
    ],
)
def test_each_kind_of_number_is_printed_as_it_is_read(quantity, printed):
    assert spaced(quantity_text(quantity)) == printed


def test_a_range_within_the_last_digit_is_left_out():
    assert quantity_text(Quantity("t", "", "t", 5.001, Interval(4.996, 5.004))) == "5.00"


def test_a_p_has_its_sign_in_a_sentence_and_none_in_a_table():
    assert spaced(in_words(Sentence("P {p}.", (P,)))) == "P = 0.012."
    assert spaced(value_text(P)) == "0.012"


@pytest.mark.parametrize(
    ("template", "p", "words"),
    [
        ("It has P {p}.", 0.0123, "It has P = 0.012."),
        ("It has P = {p}.", 0.0123, "It has P = 0.012."),
        ("It has P = {p}.", 1e-9, "It has P < 0.001."),
        ("A P of {p}.", 0.0123, "A P of 0.012."),
        ("P is between {p} and 1.", 1e-9, "P is between < 0.001 and 1."),
    ],
)
def test_a_p_reads_well_wherever_it_stands(template, p, words):
    assert spaced(in_words(Sentence(template, (replace(P, value=p),)))) == words


def test_ends_that_are_printed_alike_are_one_number():
    low, high = replace(P, name="low", value=0.0002), replace(P, name="high", value=0.0004)
    template = "It has a P between {low} and {high}, depending on how they were rounded."
    assert (
        spaced(in_words(Sentence(template, (low, high)))) == "It has a P < 0.001, depending on how they were rounded."
    )
    words = spaced(in_words(Sentence(template, (low, replace(high, value=0.04)))))
    assert words.startswith("It has a P between < 0.001 and 0.040, ")


def test_a_sentence_gives_the_interval_and_leaves_the_rounding_to_the_table():
    assert spaced(in_words(Sentence("AUC {auc}.", (AUC,)))) == "AUC 0.912 (95% CI 0.851 to 0.955)."
    assert "over the rounding" in value_text(AUC)
    assert plain_text(AUC) == "0.912 (0.851 to 0.955)"


def test_findings_come_gravest_first_with_all_that_they_rest_on(audit, study):
    exhibit = tables.findings_list(audit, study)
    html = spaced(exhibit.html)
    assert html.index("Above all") < html.index("One &lt;alone&gt; beats both") < html.index("To know")
    assert "<alone>" not in html
    for words in (
        "✗ Impossible", "≠ Inconsistent", "i Note", "It would be 0.912 (95% CI 0.851 to 0.955), with P = 0.012.",
        "1.02 ± 0.34 mm²/s (poor muscle function)", "0.722 (95% CI 0.6239–0.821)", "(abstract)", "AUC = Φ(z)",
        "0.906 to 0.918 over the rounding", "The SDs are standard errors", "✗ no", "Somebody, 1982",
    ):  # fmt: skip
        assert words in html
    assert "1.04 ± 0.34" not in html, "only the features of the finding are quoted"


def test_the_computation_of_a_conflict_is_open_and_that_of_a_note_is_folded(audit, study):
    html = tables.findings_list(audit, study).html
    assert html.count("<details open>") == 2
    assert html.count("<details>") == 1


def test_the_data_of_the_findings_hold_every_number_unrounded(audit, study):
    data = tables.findings_list(audit, study).data
    assert set(data["part"]) == {"finding", "computation", "way out"}
    assert data.query("quantity == 'area'")["value"].tolist() == [AUC.value] * 3
    assert data.query("part == 'way out'")["resolves"].tolist() == ["no"] * 2
    assert data["interval_high"].max() == AUC.interval.high


def test_an_audit_without_findings_says_what_that_means(study):
    exhibit = tables.findings_list(Audit("x", ()), study)
    assert "No check found anything" in exhibit.html
    assert "right" in exhibit.summary
    assert exhibit.data.empty


def test_the_short_answer_counts_conflicts_and_ways_out(audit, study, finding):
    words = audit_in_words(audit, study)
    assert "3 questions could be put to the 7 printed claims." in words
    assert "2 conflicts came up. The gravest: Above all." in words
    assert "would resolve" not in words
    assert "1 note says" in words
    solved = replace(finding, ways_out=(WayOut("x", "yes", Sentence("y")),))
    half = replace(finding, ways_out=(WayOut("x", "in part", Sentence("y")),))
    check = audit.results[0][0]
    words = audit_in_words(Audit("x", ((check, CheckResult(("a",), (solved, half, half))),)), study)
    assert "would resolve 1 of them altogether and 2 of them only in part." in words
    words = audit_in_words(Audit("x", ((check, CheckResult(("a",), (half,))),)), study)
    assert "would resolve 1 of them only in part." in words
    assert "fit each other" in audit_in_words(Audit("x", ()), study)


def test_every_question_has_its_answer(audit):
    exhibit = tables.checks_table(audit)
    for words in (
        "Is first so?", "1 inconsistent", "1 impossible, 1 note", "nothing found", "needs what idle needs", "one; two",
        "1 in 1,000".replace(",", "\u2009"), "none",
    ):  # fmt: skip
        assert words in spaced(exhibit.html)
    assert "4 questions: 1 found nothing; 1 could not be put" in exhibit.summary
    assert exhibit.data["n_findings"].tolist() == [1, 2, 0, 0]


def test_the_claims_stand_with_every_printed_number(study, registry):
    exhibit = tables.claims_table(study, registry)
    for claim in study.claims:
        assert claim.id in exhibit.html
        assert claim.statement in exhibit.html
    for number in ("1.02 ± 0.34 mm²/s", "1.68 ± 0.34 mm²/s", "0.722 (95% CI 0.6239–0.821)"):
        assert number in exhibit.html
    means = exhibit.data.query("kind == 'group_means'")
    assert len(means) == 6
    assert means["printed"].tolist()[0] == "1.02 ± 0.34 mm²/s"


def test_a_claim_in_short_names_only_what_was_asked_for(study):
    claim = study.claim("adc_means")
    short = printed_in_short(study, claim, features=["gracilis.md"])
    assert short == (
        "ADC (MD) of gracilis: 1.02 ± 0.34 mm²/s (poor muscle function), 1.74 ± 0.41 mm²/s (good muscle function)"
    )
    assert printed_in_short(study, study.claim("fa_lower")) == "lower with poor muscle function, P < 0.05"


def test_a_feature_that_a_claim_does_not_print_does_not_empty_it(study):
    assert printed_in_short(study, study.claim("auc_combined"), features=["gracilis.md"]).startswith("0.722")


def test_readings_stand_with_their_reasons(study, registry):
    exhibit = tables.readings_table(study, registry)
    assert len(exhibit.data) == len(study.readings)
    for reading in study.readings:
        assert reading.reason.split("'")[0] in exhibit.html
    assert "adductor femoris, adductor major" in exhibit.html


def test_readings_name_claims_by_their_statement_and_features_by_their_parameter(study, registry):
    html = tables.readings_table(study, registry).html
    assert "FA of gluteus maximus, gracilis, rectus femoris, adductor magnus and adductor longus" in html
    assert not [claim.id for claim in study.claims if claim.id in html]


def test_a_study_that_needs_no_reading_says_so(study, registry):
    exhibit = tables.readings_table(study.model_copy(update={"readings": ()}), registry)
    assert "Nothing had to be assumed" in exhibit.summary


def test_what_the_means_imply_is_printed_rounded_and_kept_unrounded(study, registry):
    effects = implied_effects(study)
    exhibit = tables.implied_table(effects, registry)
    html = exhibit.html
    for effect in effects:
        assert f"{effect.auc.value:.3f}" in html
    assert "poor muscle function (n = 31) against good muscle function (n = 69)" in html
    assert exhibit.data["auc"].tolist() == [effect.auc.value for effect in effects]
    assert exhibit.data["hedges_g_rounding_low"].tolist() == [effect.hedges_g.rounding.low for effect in effects]
    assert "10⁻³ mm²/s" in exhibit.summary


def test_a_study_without_means_has_an_empty_table_of_what_they_imply(registry):
    assert "prints no feature's mean" in tables.implied_table((), registry).summary


def test_the_figure_holds_single_features_beside_the_printed_combination(study, registry):
    exhibit = figures.implied_auc_figure(implied_effects(study), study, registry)
    assert exhibit.data["source"].tolist() == ["implied"] * 3 + ["printed"]
    assert exhibit.data["auc"].tolist()[-1] == 0.722
    assert exhibit.data["low"].tolist()[-1] == 0.6239
    for words in ("Gracilis, ADC (MD), implied: 0.912", "FA + ADC, printed: 0.722 (95% CI 0.6239–0.821)"):
        assert words in exhibit.alt
    assert "0.908 to 0.915 for single features against 0.722 as printed" in exhibit.summary
    assert "n = 31 + 69" in exhibit.svg


def test_directions_show_what_points_both_ways(study, registry):
    exhibit = tables.directions_table(signs(study), registry)
    assert "Both ways: Adductor magnus, ADC (MD); Adductor longus, ADC (MD)." in exhibit.summary
    assert spaced(exhibit.html).count("≠ both ways") == 2
    assert exhibit.html.count("↑\u00a0higher") == 2
    assert "A star" in exhibit.summary
    assert len(exhibit.data) == len(signs(study))


def test_a_direction_that_may_be_chance_conflicts_with_nothing(registry):
    def said(kind, sign, *, is_shown=True):
        return SignedStatement("c", kind, "gracilis.fa", sign, False, is_shown, False, "words")

    exhibit = tables.directions_table((said("difference", -1), said("correlation", 1, is_shown=False)), registry)
    assert "(↑\u00a0higher)" in exhibit.html
    assert "In parentheses" in exhibit.summary
    assert "No feature is claimed to point both ways." in exhibit.summary
    assert "both ways" not in spaced(exhibit.html)
    assert "Printed means" not in exhibit.html, "a kind of claim that does not occur has no column"


def test_the_turning_figure_holds_its_curves_beside_the_printed_model(study, registry):
    regions = {"gracilis.md": turning_region(1.5, [1.6, 2.0, 3.0]), "adductor_longus.md": turning_region(1.9, [2.0])}
    exhibit = figures.turning_figure(regions, study, registry)
    assert exhibit.data["correlation"].tolist() == [1.5 / 1.6, 1.5 / 2.0, 1.5 / 3.0, 1.9 / 2.0]
    assert f"ADC (MD) of gracilis: AUC above {regions['gracilis.md'].auc[0]:.3f}" in exhibit.summary
    assert "FA + ADC 0.722 (95% CI 0.6239–0.821)" in exhibit.alt
    assert "Adductor longus, ADC (MD)" in exhibit.svg


def test_figures_of_a_study_without_such_numbers_are_drawn_empty(study, registry):
    without = study.model_copy(update={"claims": study.claims[:1]})
    assert figures.implied_auc_figure((), without, registry).data.empty
    assert figures.turning_figure({}, without, registry).data.empty


def test_every_exhibit_says_that_it_shows_what_is_printed(audit, study, registry):
    effects = implied_effects(study)
    made = [
        tables.findings_list(audit, study), tables.checks_table(audit), tables.claims_table(study, registry),
        tables.readings_table(study, registry), tables.implied_table(effects, registry),
        tables.directions_table(signs(study), registry), figures.implied_auc_figure(effects, study, registry),
        figures.turning_figure({}, study, registry),
    ]  # fmt: skip
    assert {exhibit.rests_on for exhibit in made} == {"print"}
