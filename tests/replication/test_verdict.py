import math
from dataclasses import replace
from typing import Any

import pytest
from scipy import stats

from dtimuscle.errors import PublishedError
from dtimuscle.replication.criteria import CRITERIA
from dtimuscle.replication.effects import on_printed_scale
from dtimuscle.replication.published import PublishedStudy
from dtimuscle.replication.questions import questions
from dtimuscle.replication.verdict import Verdict, judge
from dtimuscle.statistics.estimates import Estimate, EstimateKind, Interval
from dtimuscle.statistics.power import auc_standard_error


def _estimate(kind: EstimateKind, subject: str, value: float, *, p: float = math.nan, **more: object) -> Estimate:
    return replace(Estimate(kind, subject, "", value, p=p, n=100), **more)


def _answers(verdict: Verdict) -> dict[str, str]:
    return {criterion.name: criterion.answer for criterion in verdict.criteria}


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


def test_a_mean_agrees_where_the_printed_one_lets_it_be_expected(wang: PublishedStudy) -> None:
    # Both SDs are 0.34 and both groups 31, so the means differ by √2 standard errors, with Student's t of 60 degrees.
    sd, n = 0.34e-3, 31
    margin = float(stats.t.ppf(0.975, 2 * (n - 1))) * math.sqrt(2) * sd / math.sqrt(n)
    for offset, agreement in ((0.99 * margin, "agrees"), (1.01 * margin, "disagrees"), (-1.01 * margin, "disagrees")):
        found = Estimate("mean", "gracilis.md", "poor", 1.02e-3 + offset, sd=sd, n=n)
        verdicts = judge(wang, [found], claims=["adc_means"])
        verdict = _only(tuple(v for v in verdicts if (v.subject, v.group) == ("gracilis.md", "poor")))
        assert verdict.agreement == agreement
        assert verdict.published == "1.02 ± 0.34 mm²/s"
        assert verdict.published_value == pytest.approx(1.02e-3, rel=1e-12)
        assert verdict.found is not None
        assert verdict.found.interval is not None
        own = float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n)
        assert verdict.found.interval.high == pytest.approx(1.02e-3 + offset + own, rel=1e-9)
        assert "read as 10⁻³ mm²/s, an assumption" in verdict.reason
        answers = _answers(verdict)
        assert answers["prediction_interval"] == ("yes" if agreement == "agrees" else "no")
        assert answers["significance"] == answers["sceptical_p"] == answers["combined"] == "not testable"


def test_means_of_the_two_groups_are_kept_apart(wang: PublishedStudy) -> None:
    good = Estimate("mean", "gracilis.md", "good", 1.74e-3, sd=0.41e-3, n=69)
    verdicts = judge(wang, [good], claims=["adc_means"])
    assert len(verdicts) == 6
    gracilis = {v.group: v.agreement for v in verdicts if v.subject == "gracilis.md"}
    assert gracilis == {"poor": "not testable", "good": "agrees"}


def test_a_mean_keeps_the_interval_that_it_brings(made_up: PublishedStudy) -> None:
    found = Estimate("mean", "sartorius.fa", "poor", 0.2, sd=0.5, interval=Interval(0.19, 0.205, 0.9), n=5)
    verdict = _only(judge(made_up, [found], claims=["fa_means"]))
    assert verdict.found is found
    assert _answers(verdict)["original_in_interval"] == "no"
    assert verdict.found_effect is not None
    width = verdict.found_effect.standard_error * float(stats.t.ppf(0.95, 4))
    assert width == pytest.approx(0.0075, rel=1e-9)
    assert "assumption" not in verdict.reason


def test_means_that_do_not_vary_cannot_be_held_against_the_printed_one(made_up: PublishedStudy) -> None:
    found = Estimate("mean", "sartorius.fa", "poor", 0.2, sd=0.0, n=5)
    verdict = _only(judge(made_up, [found], claims=["fa_means"]))
    assert verdict.found_effect is None
    assert _answers(verdict)["prediction_interval"] == "not testable"


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


def _correlated(r: float, n: int) -> Estimate:
    """A correlation with its interval and P, as if normal on Fisher's scale."""
    error = 1 / math.sqrt(n - 3)
    low, high = (math.tanh(math.atanh(r) + side * stats.norm.ppf(0.975) * error) for side in (-1, 1))
    p = 2 * float(stats.norm.sf(abs(math.atanh(r)) / error))
    return replace(_estimate("correlation", "vastus_lateralis.md", r, p=p, interval=Interval(low, high)), n=n)


@pytest.mark.parametrize(
    ("r", "n", "agreement", "words"),
    [
        (-0.40, 100, "agrees", "rises"),
        (-0.15, 100, "disagrees", "No effect is shown"),
        (-0.30, 30, "undecided", "also allow no effect"),
        (0.40, 100, "disagrees", "Contrary"),
        (-0.80, 100, "disagrees", "larger than chance would explain"),
        (-0.12, 1000, "disagrees", "smaller than chance would explain"),
        (0.10, 12, "undecided", "also allow no effect"),
    ],
)
def test_a_printed_correlation_is_judged_by_direction_chance_and_size(
    made_up: PublishedStudy, r: float, n: int, agreement: str, words: str
) -> None:
    verdict = _only(judge(made_up, [_correlated(r, n)], claims=["correlates"]))
    assert verdict.agreement == agreement
    assert words in verdict.reason
    assert verdict.published == (
        "positive correlation of increase with weakening, r = 0.45 (90% CI 0.27–0.60), P = 0.002"
    )
    assert (verdict.published_value, verdict.published_interval) == (-0.45, Interval(-0.6, -0.27, 0.9))
    assert verdict.scale == "Fisher z"
    assert verdict.found_effect is not None
    assert on_printed_scale(verdict.scale, verdict.found_effect.value) == pytest.approx(r)


def test_a_correlation_without_p_is_shown_by_its_interval(made_up: PublishedStudy) -> None:
    for n, answer in ((100, "yes"), (20, "no")):
        found = _correlated(-0.40, n)
        (with_p, *_), (without, *_) = (
            _only(judge(made_up, [estimate], claims=["correlates"])).criteria
            for estimate in (found, replace(found, p=math.nan))
        )
        assert without.answer == answer
        assert without.value == pytest.approx(with_p.value, rel=1e-9)


@pytest.mark.parametrize("method", ["spearman", "kendall"])
def test_a_coefficient_of_ranks_is_not_compared_with_pearsons(made_up_mapping: dict[str, Any], method: str) -> None:
    claim = next(claim for claim in made_up_mapping["claims"] if claim["id"] == "correlates")
    claim["method"] = method
    study = PublishedStudy.from_mapping(made_up_mapping, source="made_up.yaml")
    verdict = _only(judge(study, [_correlated(-0.8, 100)], claims=["correlates"]))
    assert (verdict.agreement, verdict.published_value) == ("agrees", None)
    assert "one of ranks" in verdict.criteria[2].reason


def test_a_correlation_of_fewer_patients_is_as_inexact_as_they_are_few(made_up_mapping: dict[str, Any]) -> None:
    claim = next(claim for claim in made_up_mapping["claims"] if claim["id"] == "correlates")
    del claim["interval"]
    claim["n"] = 28
    study = PublishedStudy.from_mapping(made_up_mapping, source="made_up.yaml")
    verdict = _only(judge(study, [_correlated(-0.4, 100)], claims=["correlates"]))
    assert verdict.published_effect is not None
    assert verdict.published_effect.standard_error == pytest.approx(0.2)


def test_an_auc_of_other_patients_is_said_to_be_one(made_up_mapping: dict[str, Any]) -> None:
    claim = next(claim for claim in made_up_mapping["claims"] if claim["id"] == "auc_of_one")
    found = _estimate("auc", "vastus_lateralis.md", 0.75, interval=Interval(0.64, 0.86))
    for validation, is_said in (("apparent", False), ("cross_validated", True), ("external", True)):
        study = PublishedStudy.from_mapping(
            made_up_mapping | {"claims": [claim | {"validation": validation}]}, source="x"
        )
        assert ("not made from" in _only(judge(study, [found])).reason) == is_said


def test_every_kind_of_claim_of_a_whole_study_can_be_compared(second: PublishedStudy) -> None:
    found = [
        Estimate(question.kind, question.subject, question.group, question.value, interval=question.interval, n=50)
        for _, question in questions(second)
        if question.value is not None and question.kind != "mean"
    ]
    verdicts = [verdict for verdict in judge(second, found) if verdict.found]
    # A study that finds the published numbers again; the odds ratios too, whose steps and event are others.
    assert {verdict.scale for verdict in verdicts} == {"Fisher z", "logit AUC", "log odds ratio"}
    assert {verdict.agreement for verdict in verdicts} == {"agrees"}
    assert {_answers(verdict)["prediction_interval"] for verdict in verdicts} == {"yes"}


def test_the_published_value_itself_is_held_against_the_new_interval(wang: PublishedStudy) -> None:
    # To the last digit, whatever the scale of the comparison does to it.
    for interval in (Interval(0.722, 0.80), Interval(0.64, 0.722)):
        found = _estimate("auc", "fa+md", 0.72, interval=interval)
        verdict = _only(judge(wang, [found], claims=["auc_combined"]))
        assert _answers(verdict)["original_in_interval"] == "yes"


def _auc(value: float, half_width: float, n: int = 100) -> Estimate:
    return replace(_estimate("auc", "fa+md", value, interval=Interval(value - half_width, value + half_width)), n=n)


@pytest.mark.parametrize(
    ("value", "half_width", "agreement", "words"),
    [
        (0.73, 0.10, "agrees", "FA + ADC (MD) tells the groups apart"),
        (0.65, 0.16, "undecided", "also allow no effect"),
        (0.91, 0.06, "disagrees", "The effect is there, but larger than chance"),
        (0.55, 0.03, "disagrees", "The effect is there, but smaller than chance"),
        (0.52, 0.06, "disagrees", "No effect is shown"),
        (0.30, 0.10, "disagrees", "the other way round"),
    ],
)
def test_a_printed_auc_is_judged_by_direction_chance_and_size(
    wang: PublishedStudy, value: float, half_width: float, agreement: str, words: str
) -> None:
    verdict = _only(judge(wang, [_auc(value, half_width)], claims=["auc_combined"]))
    assert verdict.agreement == agreement
    assert words in verdict.reason
    assert verdict.published == "0.722 (95% CI 0.6239–0.821)"
    assert (verdict.published_value, verdict.published_interval) == (0.722, Interval(0.6239, 0.821))
    assert "Which muscles are meant is not published" in verdict.reason


@pytest.mark.parametrize(("value", "half_width"), [(0.6, 0.0999), (0.6, 0.1001), (0.4, 0.0999), (0.4, 0.1001)])
def test_an_auc_is_shown_where_its_interval_leaves_out_one_half(
    wang: PublishedStudy, value: float, half_width: float
) -> None:
    verdict = _only(judge(wang, [_auc(value, half_width)], claims=["auc_combined"]))
    (significance, *_) = verdict.criteria
    assert (significance.value < 0.05) == (half_width < 0.1)
    assert significance.answer == ("yes" if half_width < 0.1 and value > 0.5 else "no")


def test_criteria_of_an_auc_are_on_the_scale_of_aucs(wang: PublishedStudy) -> None:
    verdict = _only(judge(wang, [_auc(0.73, 0.1)], claims=["auc_combined"]))
    assert [criterion.name for criterion in verdict.criteria] == list(CRITERIA)
    by_name = {criterion.name: criterion for criterion in verdict.criteria}
    expected = by_name["prediction_interval"].interval
    assert expected is not None
    assert 0.5 < expected.low < 0.722 < expected.high < 1
    assert by_name["prediction_interval"].value == pytest.approx(0.73)
    assert by_name["original_in_interval"].value == pytest.approx(0.722)
    assert 0.5 < by_name["small_telescopes"].limit < 0.722
    assert 0.722 < by_name["combined"].value < 0.73
    # A P stays a P.
    assert by_name["sceptical_p"].value < 0.01


def test_groups_that_do_not_overlap_are_judged_by_the_interval(wang: PublishedStudy) -> None:
    found = _estimate("auc", "fa+md", 1.0, interval=Interval(0.88, 1.0))
    verdict = _only(judge(wang, [found], claims=["auc_combined"]))
    assert verdict.agreement == "disagrees"
    assert "outside the 95% CI" in verdict.reason
    answers = _answers(verdict)
    assert answers["significance"] == "yes"
    assert answers["sceptical_p"] == "not testable"
    assert verdict.found_effect is None


def test_an_auc_without_printed_interval_has_the_error_of_its_group_sizes(made_up: PublishedStudy) -> None:
    found = _estimate("auc", "vastus_lateralis.md", 0.75, interval=Interval(0.64, 0.86))
    verdict = _only(judge(made_up, [found], claims=["auc_of_one"]))
    assert verdict.agreement == "agrees"
    assert "follows from the group sizes" in verdict.reason
    assert verdict.published_effect is not None
    expected = auc_standard_error(0.8, n_poor=20, n_good=40) / (0.8 * 0.2)
    assert verdict.published_effect.standard_error == pytest.approx(expected, rel=1e-12)


# Differences whose means are printed


def _difference(value: float, half_width: float, *, subject: str = "gracilis.md", n: int = 100) -> Estimate:
    t = value / (half_width / float(stats.t.ppf(0.975, n - 2)))
    p = 2 * float(stats.t.sf(abs(t), n - 2))
    interval = Interval(value - half_width, value + half_width)
    return replace(_estimate("difference", subject, value, p=p, interval=interval), n=n)


@pytest.mark.parametrize(
    ("value", "half_width", "agreement", "words"),
    [
        (-0.70e-3, 0.15e-3, "agrees", "Its size fits the printed means."),
        (-0.30e-3, 0.15e-3, "agrees", "But it is smaller than chance would explain."),
        (-1.20e-3, 0.15e-3, "agrees", "But it is larger than chance would explain."),
        (-0.05e-3, 0.15e-3, "disagrees", "as large as the printed one would have shown"),
        (0.05e-3, 0.15e-3, "disagrees", "as large as the printed one would have shown"),
        (-0.50e-3, 0.80e-3, "undecided", "the published way"),
        (0.30e-3, 0.15e-3, "disagrees", "Contrary"),
    ],
)
def test_a_direction_with_printed_means_is_judged_by_size_too(
    wang: PublishedStudy, value: float, half_width: float, agreement: str, words: str
) -> None:
    verdict = _about(judge(wang, [_difference(value, half_width)], claims=["adc_lower"]), "gracilis.md")
    assert verdict.agreement == agreement
    assert words in verdict.reason
    assert verdict.published_value is None
    assert verdict.published_effect is not None
    assert verdict.found_effect is not None
    assert verdict.scale == "difference"
    assert verdict.published_effect.value == pytest.approx(-0.72e-3, rel=1e-9)
    pooled = math.sqrt((30 * 0.34**2 + 68 * 0.41**2) / 98) * 1e-3
    assert verdict.published_effect.standard_error == pytest.approx(pooled * math.sqrt(1 / 31 + 1 / 69), rel=1e-9)
    assert verdict.found_effect.df == 98


def test_a_direction_without_printed_means_has_only_direction(wang: PublishedStudy) -> None:
    found = _difference(-0.05, 0.03, subject="gracilis.fa")
    verdict = _about(judge(wang, [found], claims=["fa_lower"]), "gracilis.fa")
    assert verdict.agreement == "agrees"
    answers = _answers(verdict)
    assert answers.pop("significance") == "yes"
    assert set(answers.values()) == {"not testable"}
    assert all("only a direction" in criterion.reason for criterion in verdict.criteria[1:])
    assert (verdict.published_effect, verdict.found_effect, verdict.scale) == (None, None, "")


def test_means_that_lie_the_other_way_are_not_taken_for_the_claimed_difference(
    made_up_mapping: dict[str, Any],
) -> None:
    made_up_mapping["claims"][0]["direction"] = "higher"
    study = PublishedStudy.from_mapping(made_up_mapping, source="made_up.yaml")
    found = _difference(-1e-4, 0.3e-4, subject="vastus_lateralis.md")
    verdict = _only(judge(study, [found], claims=["stronger_lower"]))
    assert verdict.agreement == "agrees"
    assert verdict.published_effect is None
    assert "do not lie in the direction" in verdict.criteria[1].reason


# Odds ratios with numbers


def _with_odds_ratio(mapping: dict[str, Any], **factor: Any) -> PublishedStudy:
    claim = next(claim for claim in mapping["claims"] if claim["id"] == "factor_of_robustness")
    interval = {"low": "1.20", "high": "2.50", "level_percent": "95"}
    claim["factors"] = [{"feature": "sartorius.fa", "change": "increase", "odds_ratio": "1.73", "interval": interval}]
    claim["factors"][0] |= factor
    return PublishedStudy.from_mapping(mapping, source="made_up.yaml")


@pytest.mark.parametrize(
    ("ratio", "factor", "agreement", "words"),
    [
        # 1.73 for robustness per 0.05 is 1 / 1.73² for poor function per 0.1, the kit's step.
        (0.334, 2.2, "agrees", "size fits"),
        (0.8, 2.0, "undecided", "also allow no effect"),
        (0.9, 1.1, "disagrees", "smaller than chance"),
        (0.05, 2.5, "disagrees", "larger than chance"),
    ],
)
def test_a_printed_odds_ratio_is_compared_for_the_same_step_and_event(
    made_up_mapping: dict[str, Any], ratio: float, factor: float, agreement: str, words: str
) -> None:
    study = _with_odds_ratio(made_up_mapping, per="0.05")
    error = math.log(factor) / stats.norm.ppf(0.975)
    p = 2 * float(stats.norm.sf(abs(math.log(ratio)) / error))
    found = _estimate("odds_ratio", "sartorius.fa", ratio, p=p, interval=Interval(ratio / factor, ratio * factor))
    verdict = _only(judge(study, [found], claims=["factor_of_robustness"]))
    assert verdict.agreement == agreement
    assert words in verdict.reason
    assert verdict.published_value == pytest.approx(1.73**-2)
    assert verdict.published_interval is not None
    assert verdict.published_interval.low == pytest.approx(2.5**-2)
    assert verdict.published_interval.high == pytest.approx(1.2**-2)
    assert verdict.published_effect is not None
    assert verdict.published_effect.value == pytest.approx(-2 * math.log(1.73))
    assert "odds ratio 1.73 (95% CI 1.20–2.50) per 0.05" in verdict.published


@pytest.mark.parametrize("per", [None, "one SD", "0.1 mm²/s", "0"])
def test_an_odds_ratio_of_another_step_is_judged_by_direction(made_up_mapping: dict[str, Any], per: str | None) -> None:
    study = _with_odds_ratio(made_up_mapping, **({"per": per} if per else {}))
    found = _estimate("odds_ratio", "sartorius.fa", 0.5, p=0.01, interval=Interval(0.3, 0.83))
    verdict = _only(judge(study, [found], claims=["factor_of_robustness"]))
    assert (verdict.agreement, verdict.published_value) == ("agrees", None)
    assert (per or "not printed") in verdict.criteria[2].reason


# What every verdict has


def test_every_verdict_with_an_estimate_has_every_criterion(wang: PublishedStudy) -> None:
    found = [_difference(-0.7e-3, 0.1e-3), _auc(0.7, 0.1), Estimate("mean", "gracilis.md", "poor", 1e-3, sd=1e-4, n=9)]
    for verdict in judge(wang, found):
        names = [criterion.name for criterion in verdict.criteria]
        assert names == (list(CRITERIA) if verdict.found else [])
        assert all(criterion.reason for criterion in verdict.criteria if criterion.answer == "not testable")


@pytest.mark.parametrize("p", [0.0, 1e-300])
def test_a_p_of_zero_is_a_p(wang: PublishedStudy, p: float) -> None:
    found = replace(_difference(-0.72e-3, 1e-9), p=p)
    verdict = _about(judge(wang, [found], claims=["adc_lower"]), "gracilis.md")
    assert verdict.agreement == "agrees"
    assert {criterion.answer for criterion in verdict.criteria} == {"yes"}


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


def test_a_parameter_that_is_not_analysed_is_not_said_to_be_unmeasured(made_up_mapping: dict[str, Any]) -> None:
    claim = made_up_mapping["claims"][0]
    claim["features"], claim["p"] = ["vastus_lateralis.rd"], "0.03"
    study = PublishedStudy.from_mapping(made_up_mapping, source="made_up.yaml")
    found = [_estimate("difference", "vastus_lateralis.md", 1e-4)]
    (verdict,) = judge(study, found, claims=["stronger_lower"])
    assert verdict.reason == "The analysis of the new data is not about RD."
    assert verdict.published.endswith(", P = 0.03")


def test_a_comparison_with_a_single_feature_is_missing_as_a_comparison(made_up_mapping: dict[str, Any]) -> None:
    made_up_mapping["claims"][6] |= {"higher": "fa+md", "features": ["vastus_lateralis.md", "vastus_lateralis.fa"]}
    study = PublishedStudy.from_mapping(made_up_mapping, source="made_up.yaml")
    found = [_estimate("difference", "vastus_lateralis.md", 1e-4)]
    (verdict,) = judge(study, found, claims=["one_beats_other"])
    assert verdict.reason == "The new data give no comparison of ROC curves for it."
