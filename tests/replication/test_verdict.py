import math
from dataclasses import replace

import pytest
from scipy import stats

from dtimuscle.errors import PublishedError
from dtimuscle.replication.published import PublishedStudy
from dtimuscle.replication.verdict import Verdict, judge
from dtimuscle.statistics.estimates import Estimate, EstimateKind, Interval


def _estimate(kind: EstimateKind, subject: str, value: float, *, p: float = math.nan, **more: object) -> Estimate:
    return replace(Estimate(kind, subject, "", value, p=p, n=100), **more)


def _only(verdicts: tuple[Verdict, ...]) -> Verdict:
    (verdict,) = verdicts
    return verdict


def _about(verdicts: tuple[Verdict, ...], subject: str) -> Verdict:
    return _only(tuple(verdict for verdict in verdicts if verdict.subject == subject))


@pytest.mark.parametrize(
    ("difference", "p", "agreement"),
    [(-0.05, 0.01, "agrees"), (-0.05, 0.05, "undecided"), (0.05, 0.3, "undecided"), (0.05, 0.01, "disagrees")],
)
def test_a_difference_is_judged_by_direction_and_p(
    wang: PublishedStudy, difference: float, p: float, agreement: str
) -> None:
    found = _estimate("difference", "gracilis.fa", difference, p=p)
    verdict = _about(judge(wang, [found], claims=["fa_lower"]), "gracilis.fa")
    assert verdict.agreement == agreement
    assert verdict.found is found
    assert verdict.published == "lower with poor muscle function, P < 0.05"
    assert verdict.published_value is None


def test_chance_is_named_where_it_may_explain_an_opposite_direction(wang: PublishedStudy) -> None:
    reasons = [
        _about(
            judge(wang, [_estimate("difference", "gracilis.md", 1e-4, p=p)], claims=["adc_lower"]), "gracilis.md"
        ).reason
        for p in (0.3, 0.01)
    ]
    assert ["chance" in reason for reason in reasons] == [True, False]
    assert all("higher with poor muscle function" in reason for reason in reasons)


def test_no_difference_at_all_decides_nothing(wang: PublishedStudy) -> None:
    found = [_estimate("difference", "gracilis.md", 0.0, p=1.0)]
    verdict = _about(judge(wang, found, claims=["adc_lower"]), "gracilis.md")
    assert verdict.agreement == "undecided"


def test_a_difference_of_swapped_groups_is_turned_round(made_up: PublishedStudy) -> None:
    # Lower in the robust means that poor minus good is above zero.
    for difference, agreement in ((1e-4, "agrees"), (-1e-4, "disagrees")):
        found = [_estimate("difference", "vastus_lateralis.md", difference, p=0.001)]
        assert _only(judge(made_up, found, claims=["stronger_lower"])).agreement == agreement


def test_a_mean_agrees_when_its_interval_contains_the_printed_one(wang: PublishedStudy) -> None:
    sd, n = 0.34e-3, 31
    margin = stats.t.ppf(0.975, n - 1) * sd / math.sqrt(n)
    for offset, agreement in ((0.99 * margin, "agrees"), (1.01 * margin, "disagrees")):
        found = Estimate("mean", "gracilis.md", "poor", 1.02e-3 + offset, sd=sd, n=n)
        verdicts = judge(wang, [found], claims=["adc_means"])
        verdict = _only(tuple(v for v in verdicts if (v.subject, v.group) == ("gracilis.md", "poor")))
        assert verdict.agreement == agreement
        assert verdict.published == "1.02 ± 0.34 mm²/s"
        assert verdict.published_value == pytest.approx(1.02e-3, rel=1e-12)
        assert verdict.found is not None
        assert verdict.found.interval is not None
        assert verdict.found.interval.high == pytest.approx(1.02e-3 + offset + margin, rel=1e-9)
        assert "read as 10⁻³ mm²/s, an assumption" in verdict.reason


def test_means_of_the_two_groups_are_kept_apart(wang: PublishedStudy) -> None:
    good = Estimate("mean", "gracilis.md", "good", 1.74e-3, sd=0.41e-3, n=69)
    verdicts = judge(wang, [good], claims=["adc_means"])
    assert len(verdicts) == 6
    gracilis = {v.group: v.agreement for v in verdicts if v.subject == "gracilis.md"}
    assert gracilis == {"poor": "not testable", "good": "agrees"}


def test_a_mean_keeps_the_interval_that_it_brings(made_up: PublishedStudy) -> None:
    found = Estimate("mean", "sartorius.fa", "poor", 0.2, sd=0.5, interval=Interval(0.19, 0.205, 0.9), n=5)
    verdict = _only(judge(made_up, [found], claims=["fa_means"]))
    assert (verdict.agreement, verdict.found) == ("disagrees", found)
    assert "90% CI" in verdict.reason
    assert "assumption" not in verdict.reason


def test_a_mean_of_one_patient_has_no_interval_to_be_judged_by(made_up: PublishedStudy) -> None:
    found = Estimate("mean", "sartorius.fa", "poor", 0.21, n=1)
    assert _only(judge(made_up, [found], claims=["fa_means"])).agreement == "not testable"


def test_fa_decrease_and_adc_increase_are_looked_for_on_their_own_sides_of_one(wang: PublishedStudy) -> None:
    found = [
        _estimate("odds_ratio", "adductor_magnus.fa", 0.4, p=0.01),
        _estimate("odds_ratio", "adductor_magnus.md", 1.6, p=0.01),
        _estimate("odds_ratio", "adductor_longus.fa", 0.9, p=0.4),
        _estimate("odds_ratio", "adductor_longus.md", 0.5, p=0.01),
    ]
    verdicts = judge(wang, found, claims=["independent_factors"])
    assert {v.subject: v.agreement for v in verdicts} == {
        "adductor_magnus.fa": "agrees",
        "adductor_magnus.md": "agrees",
        "adductor_longus.fa": "undecided",
        "adductor_longus.md": "disagrees",
    }
    assert "lower values go with poor muscle function" in _about(verdicts, "adductor_longus.md").reason


def test_a_factor_of_the_good_group_is_turned_round(made_up: PublishedStudy) -> None:
    for ratio, agreement in ((0.5, "agrees"), (2.0, "disagrees")):
        found = [_estimate("odds_ratio", "sartorius.fa", ratio, p=0.01)]
        assert _only(judge(made_up, found, claims=["factor_of_robustness"])).agreement == agreement


@pytest.mark.parametrize(
    ("ratio", "p", "agreement", "words"),
    [
        (0.9, 0.3, "undecided", "did not enter"),
        (1.1, 0.3, "undecided", "did not enter"),
        (0.5, 0.01, "not testable", "gives no odds ratio"),
        (math.nan, math.nan, "not testable", "perfectly"),
    ],
)
def test_a_feature_outside_the_multivariable_model_is_answered_by_itself(
    wang: PublishedStudy, ratio: float, p: float, agreement: str, words: str
) -> None:
    found = _estimate("univariate_odds_ratio", "adductor_magnus.fa", ratio, p=p)
    verdict = _about(judge(wang, [found], claims=["independent_factors"]), "adductor_magnus.fa")
    assert verdict.agreement == agreement
    assert words in verdict.reason
    assert verdict.found is found


def test_a_separated_model_cannot_be_judged(wang: PublishedStudy) -> None:
    found = [
        _estimate("univariate_odds_ratio", "adductor_magnus.fa", 0.4, p=0.001),
        _estimate("odds_ratio", "adductor_magnus.fa", math.nan),
    ]
    verdict = _about(judge(wang, found, claims=["independent_factors"]), "adductor_magnus.fa")
    assert verdict.agreement == "not testable"
    assert "tells the groups apart perfectly" in verdict.reason


def test_weakening_with_decrease_is_a_positive_correlation_with_the_grade(wang: PublishedStudy) -> None:
    found = [
        _estimate("correlation", "gracilis.fa", 0.4, p=0.001),
        _estimate("correlation", "gracilis.md", -0.4, p=0.001),
        _estimate("correlation", "adductor_longus.md", 0.1, p=0.3),
    ]
    verdicts = judge(wang, found, claims=["weakening_correlates"])
    assert len(verdicts) == 8
    assert _about(verdicts, "gracilis.fa").agreement == "agrees"
    assert "falls as the muscle weakens" in _about(verdicts, "gracilis.fa").reason
    assert _about(verdicts, "gracilis.md").agreement == "disagrees"
    assert _about(verdicts, "adductor_longus.md").agreement == "undecided"
    assert all(("it is assumed" in verdict.reason) == (verdict.found is not None) for verdict in verdicts)


@pytest.mark.parametrize(
    ("interval", "agreement"),
    [
        (Interval(-0.7, -0.2), "agrees"),
        (Interval(-0.4, -0.1), "disagrees"),
        (Interval(-0.5, 0.1), "undecided"),
        (Interval(0.4, 0.5), "disagrees"),
    ],
)
def test_a_printed_correlation_is_judged_by_the_interval(
    made_up: PublishedStudy, interval: Interval, agreement: str
) -> None:
    middle = (interval.low + interval.high) / 2
    found = [_estimate("correlation", "vastus_lateralis.md", middle, p=0.01, interval=interval)]
    verdict = _only(judge(made_up, found, claims=["correlates"]))
    assert verdict.agreement == agreement
    assert verdict.published == (
        "positive correlation of increase with weakening, r = 0.45 (90% CI 0.27–0.60), P = 0.002"
    )
    assert (verdict.published_value, verdict.published_interval) == (-0.45, Interval(-0.6, -0.27, 0.9))


@pytest.mark.parametrize(
    ("interval", "agreement"),
    [
        (Interval(0.65, 0.80), "agrees"),
        (Interval(0.722, 0.80), "agrees"),
        (Interval(0.85, 0.97), "disagrees"),
        (Interval(0.45, 0.75), "undecided"),
    ],
)
def test_an_auc_is_judged_by_the_interval(wang: PublishedStudy, interval: Interval, agreement: str) -> None:
    found = _estimate("auc", "fa+md", 0.73, interval=interval)
    verdict = _only(judge(wang, [found], claims=["auc_combined"]))
    assert verdict.agreement == agreement
    assert verdict.published == "0.722 (95% CI 0.6239–0.821)"
    assert (verdict.published_value, verdict.published_interval) == (0.722, Interval(0.6239, 0.821))
    assert "Which muscles are meant is not published" in verdict.reason


def test_an_auc_without_interval_cannot_be_judged(wang: PublishedStudy) -> None:
    for interval in (None, Interval(math.nan, math.nan)):
        found = _estimate("auc", "fa+md", 0.73, interval=interval)
        assert _only(judge(wang, [found], claims=["auc_combined"])).agreement == "not testable"


def test_the_combination_is_compared_with_each_part(wang: PublishedStudy) -> None:
    found = [
        _estimate("auc_difference", "fa+md - fa", 0.1, p=0.01),
        _estimate("auc_difference", "fa+md - md", -0.01, p=0.6),
    ]
    verdicts = judge(wang, found, claims=["combined_beats_alone"])
    assert {v.subject: v.agreement for v in verdicts} == {"fa+md - fa": "agrees", "fa+md - md": "undecided"}
    assert "FA + ADC (MD) has a lower AUC than ADC (MD)" in _about(verdicts, "fa+md - md").reason


def test_without_estimates_nothing_is_testable_and_the_reason_names_grades(wang: PublishedStudy) -> None:
    verdicts = judge(wang, [])
    assert {verdict.agreement for verdict in verdicts} == {"not testable"}
    assert all("grades" in verdict.reason and verdict.found is None for verdict in verdicts)
    assert [v.claim_id for v in verdicts] == sorted(
        (v.claim_id for v in verdicts), key=[c.id for c in wang.claims].index
    )
    assert {v.claim_id for v in verdicts} == {claim.id for claim in wang.claims}


def test_what_is_missing_is_named(wang: PublishedStudy) -> None:
    found = [_estimate("difference", "gracilis.md", -1e-4, p=0.01)]
    reasons = {(v.claim_id, v.subject): v.reason for v in judge(wang, found)}
    assert reasons["fa_lower", "gluteus_maximus.fa"].startswith("Gluteus maximus was not measured")
    assert reasons["fa_lower", "gracilis.fa"].startswith("FA of gracilis was not measured")
    assert reasons["adc_means", "adductor_longus.md"].startswith("Adductor longus was not measured")
    assert reasons["weakening_correlates", "gracilis.md"].startswith("The new data give no correlation")
    assert reasons["auc_combined", "fa+md"].startswith("The new data give no ROC curve")
    assert reasons["combined_beats_alone", "fa+md - fa"].startswith("The new data give no comparison of ROC curves")


def test_a_parameter_is_named_as_the_study_names_it(wang: PublishedStudy, made_up: PublishedStudy) -> None:
    found = [_estimate("difference", f"{muscle}.fa", -0.1, p=0.01) for muscle in ("gracilis", "vastus_lateralis")]
    (reason, *_) = {v.reason for v in judge(wang, found, claims=["adc_lower"]) if v.subject == "gracilis.md"}
    assert reason.startswith("ADC (MD) of gracilis was not measured")
    assert _only(judge(made_up, found, claims=["stronger_lower"])).reason.startswith("MD of vastus lateralis was not")


def test_an_estimate_without_p_cannot_show_a_direction(wang: PublishedStudy) -> None:
    verdict = _about(judge(wang, [_estimate("difference", "gracilis.md", -1e-4)], claims=["adc_lower"]), "gracilis.md")
    assert verdict.agreement == "not testable"


def test_an_undefined_estimate_is_said_to_be_so(wang: PublishedStudy) -> None:
    found = [_estimate("correlation", "gracilis.md", math.nan)]
    verdict = _about(judge(wang, found, claims=["weakening_correlates"]), "gracilis.md")
    assert verdict.agreement == "not testable"
    assert verdict.reason.startswith("The correlation with the grade could not be computed")


def test_a_group_without_counterpart_cannot_be_judged(made_up: PublishedStudy) -> None:
    found = [Estimate("mean", "vastus_lateralis.md", "poor", 1.7e-3, sd=1e-4, n=20)]
    verdicts = {verdict.group: verdict for verdict in judge(made_up, found, claims=["means"])}
    assert verdicts["poor"].agreement == "agrees"
    assert verdicts["between"].agreement == "not testable"
    assert "no group that stands for" in verdicts["between"].reason


def test_claims_are_chosen_by_name_and_stay_in_the_order_of_the_study(wang: PublishedStudy) -> None:
    verdicts = judge(wang, [], claims=["auc_combined", "adc_lower"])
    assert list(dict.fromkeys(verdict.claim_id for verdict in verdicts)) == ["adc_lower", "auc_combined"]


def test_an_unknown_claim_is_refused(wang: PublishedStudy) -> None:
    with pytest.raises(PublishedError, match=r"found 'auc_combine'; .* Did you mean 'auc_combined'\?"):
        judge(wang, [], claims=["auc_combine"])
