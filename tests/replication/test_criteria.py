import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from dtimuscle.replication.criteria import (
    CRITERIA,
    Effect,
    bayes_factor,
    combined,
    detectable_noncentrality,
    original_in_interval,
    prediction_interval,
    sceptical_p,
    sceptical_p_value,
    significance,
    small_telescopes,
)
from dtimuscle.statistics.estimates import Interval

OF_EFFECTS = (prediction_interval, small_telescopes, sceptical_p, bayes_factor, combined)


def z_of(p):
    """Normal deviate of a two-sided P."""
    return stats.norm.isf(p / 2)


# Sceptical P


# From the documented examples of the R package ReplicationSuccess 1.3.1 (help page of pSceptical).
@pytest.mark.parametrize(
    ("p_original", "p_replication", "ratio", "recalibration", "expected"),
    [
        (0.01, 0.02, 2, "nominal", 0.05790852),
        (0.01, 0.02, 2, "golden", 0.02273138),
        (0.02, 0.01, 0.5, "golden", 0.008786301),
        (0.01, 0.01, 2, "golden", 0.03496702 / 2),  # printed two-sided
    ],
)
def test_sceptical_p_agrees_with_the_examples_of_replication_success(
    p_original, p_replication, ratio, recalibration, expected
):
    found = sceptical_p_value(z_of(p_original), z_of(p_replication), ratio, recalibration=recalibration)
    assert found == pytest.approx(expected, rel=1e-6)


# From the package's own tests (testthat/test-pSceptical.R; one-sided, nominal, variance ratio 0.05).
@pytest.mark.parametrize(
    ("z_original", "z_replication", "expected"),
    [
        (-4, -4, 0.000149544079762546),
        (-2, -4, 0.0236343314115514),
        (2, -4, 0.976365668588449),
        (-2, -2, 0.0352998069509419),
        (2, -2, 0.964700193049058),
        (0, 4, 0.5),
        (2, 0, 0.5),
    ],
)
def test_sceptical_p_agrees_with_the_tests_of_replication_success(z_original, z_replication, expected):
    found = sceptical_p_value(z_original, z_replication, 0.05, recalibration="nominal")
    assert found == pytest.approx(expected, rel=1e-12)


def test_sceptical_p_agrees_with_the_worked_example_of_held_2020():
    # Squared z values 12.19 and 3.99 at equal size: two-sided 0.083, as the package's tests quote the paper.
    found = 2 * sceptical_p_value(math.sqrt(12.19), math.sqrt(3.99), 1, recalibration="nominal")
    assert round(found, 3) == 0.083


def test_a_just_significant_study_is_golden_only_if_replicated_by_as_large_an_effect():
    original = Effect(z_of(0.05), 1.0)
    for size, answer in ((0.99, "no"), (1.01, "yes")):
        # A very large study, so that only the size of the effect counts.
        found = sceptical_p(original, Effect(size * original.value, 1e-3))
        assert found.answer == answer


def test_without_recalibration_the_sceptical_p_is_below_neither_p():
    for original, replication in ((2.5, 3.0), (4.0, 2.1), (2.0, 9.0)):
        found = sceptical_p(Effect(original, 1.0), Effect(replication, 1.0), recalibration="nominal").value
        assert found > max(stats.norm.sf(original), stats.norm.sf(replication))


def test_a_certain_replication_leaves_the_doubt_to_the_original():
    assert sceptical_p_value(2.0, math.inf, 1.0, recalibration="nominal") == pytest.approx(stats.norm.sf(2.0))
    assert sceptical_p_value(math.inf, math.inf, 1.0) == 0
    assert sceptical_p_value(1e-200, 2.0, 1.0) == 0.5


# Bayes factor


# Table 1 of Pawel & Held 2022 as the tests of the R package BayesRep keep it: estimate and standard error of the
# original and of the replication, and the factor for no effect against the published one, the inverse of ours.
SSRP = {
    "Hauser 2014": (1.14417264341251, 0.164398987305357, 1.19476271568933, 0.229415733870562, 0.00000161275109902623),
    "Derex 2013": (0.582737811761101, 0.144337567297406, 0.37746393971232, 0.127000127000191, 0.0323155569085302),
    "Janssen 2010": (0.743741868967827, 0.129099444873581, 0.358414852842928, 0.160128153805087, 0.606604189711098),
    "Balafoutas 2012": (0.285393193419145, 0.120385853085769, 0.147477389849293, 0.0645497224367903, 0.259071929155332),
    "Ackerman 2010": (0.27657049025531, 0.140028008402801, 0.0627861994145097, 0.040961596025952, 3.21906462367827),
    "Kidd 2013": (0.275860006439804, 0.10976425998969, -0.0272611982545971, 0.0375029300308675, 72.2003426853402),
    "Ramirez 2011": (1.07988209588739, 0.242535625036333, -0.0985013285629837, 0.114707866935281, 24995.5941001993),
}


@pytest.mark.parametrize("study", SSRP)
def test_bayes_factors_agree_with_those_printed_for_the_social_sciences_replication_project(study):
    original, original_se, replication, replication_se, for_none = SSRP[study]
    found = bayes_factor(Effect(original, original_se), Effect(replication, replication_se))
    assert found.value == pytest.approx(1 / for_none, rel=1e-8)


def test_bayes_factors_decide_beyond_three():
    answers = {study: bayes_factor(Effect(*row[:2]), Effect(*row[2:4])).answer for study, row in SSRP.items()}
    assert answers["Janssen 2010"] == "unclear"
    assert answers["Balafoutas 2012"] == "yes"
    assert answers["Ackerman 2010"] == "no"


# t, sizes of the groups, both again for the replication, and the factor for none from the exact likelihood of t
# (Pawel & Held 2022, as kept by the tests of BayesRep).
@pytest.mark.parametrize(
    ("t", "sizes", "new_t", "new_sizes", "for_none"),
    [
        (2.02, (26, 28), 1.5351, (296, 303), 3.2425436178894),
        (2.45, (175, 168), 1.01, (1058, 1078), 9.72328315095483),
    ],
)
def test_the_normal_bayes_factor_is_near_that_of_t_tests(t, sizes, new_t, new_sizes, for_none):
    error, new_error = (math.sqrt(sum(1 / n for n in both)) for both in (sizes, new_sizes))
    found = bayes_factor(Effect(t * error, error), Effect(new_t * new_error, new_error))
    assert found.value == pytest.approx(1 / for_none, rel=0.05)


def test_a_factor_above_three_on_the_other_side_is_no_success():
    found = bayes_factor(Effect(-0.2, 0.11), Effect(0.3, 0.07))
    assert found.value > 3
    assert (found.answer, "the other way" in found.meaning) == ("unclear", True)


def test_bayes_factors_too_large_for_a_number_are_infinite():
    assert bayes_factor(Effect(100.0, 1.0), Effect(100.0, 1.0)) == replace(
        bayes_factor(Effect(100.0, 1.0), Effect(100.0, 1.0)), answer="yes", value=math.inf
    )
    assert bayes_factor(Effect(1000.0, 1.0), Effect(0.0, 1.0)).value == 0


# Prediction interval


def test_prediction_intervals_agree_with_the_tests_of_replication_success():
    # testthat/test-predictionInterval.R: originals of standard error 1, designPrior = "predictive", tau = 0.
    for replication_se, lower, upper in ((0.5, -0.191306351441454, 4.19130635144145), (2, -2.38261270288291, 6.38261)):
        found = prediction_interval(Effect(2.0, 1.0), Effect(0.0, replication_se)).interval
        assert found.low == pytest.approx(lower, rel=1e-9)
        assert found.high == pytest.approx(upper, rel=1e-5)


def test_prediction_intervals_of_small_studies_cover_as_they_say():
    # Two studies of the same normal values, five in each group of the first and eight in each of the second. The
    # share outside would be 0.066 with normal quantiles; with Student's it is close to 0.05.
    draws = np.random.default_rng(3).standard_normal((10_000, 26))
    outside = 0
    for row in draws:
        effects = []
        for first, second in ((row[:5], row[5:10]), (row[10:18], row[18:26])):
            n = first.size
            error = math.sqrt((first.var(ddof=1) + second.var(ddof=1)) / n)
            effects.append(Effect(float(first.mean() - second.mean()), error, 2 * n - 2))
        outside += prediction_interval(*effects).answer == "no"
    assert outside / len(draws) == pytest.approx(0.05, abs=0.007)


@pytest.mark.parametrize(("new", "answer"), [(0.5, "yes"), (-2.19, "no"), (6.2, "no"), (-0.19, "yes")])
def test_the_prediction_interval_answers_by_both_of_its_ends(new, answer):
    assert prediction_interval(Effect(2.0, 1.0), Effect(new, 0.5)).answer == answer


# Small telescopes


def test_twenty_in_each_group_could_see_half_a_standard_deviation():
    # Simonsohn 2015: with n = 20 per cell, power is 33% for d = 0.5 (to the printed digit).
    root = math.sqrt(1 / 20 + 1 / 20)
    assert round(detectable_noncentrality(38) * root, 1) == 0.5
    assert small_telescopes(Effect(0.9, root, 38), Effect(0.6, 0.1, 90)).limit == pytest.approx(0.4959, abs=1e-4)


def test_two_and_a_half_times_the_patients_reject_the_small_effect_with_four_fifths_power():
    # Simonsohn's (2015) rule, for no effect at all: 80% of such studies say no.
    original = Effect(0.9, math.sqrt(2 / 50), 98)
    error, df = math.sqrt(2 / 125), 248
    t = np.random.default_rng(5).standard_t(df, size=4000)
    said_no = np.mean(
        [small_telescopes(original, Effect(float(value) * error, error, df)).answer == "no" for value in t]
    )
    assert said_no == pytest.approx(0.80, abs=0.025)


@pytest.mark.parametrize(
    ("new", "new_se", "answer"),
    [(0.6, 0.1, "yes"), (0.05, 0.1, "no"), (0.2, 0.05, "no"), (0.3, 0.4, "unclear"), (-0.6, 0.1, "no")],
)
def test_telescopes_tell_a_small_effect_from_a_small_study(new, new_se, answer):
    original = Effect(0.9, 0.32)
    assert small_telescopes(original, Effect(new, new_se)).answer == answer
    turned = small_telescopes(Effect(-0.9, 0.32), Effect(-new, new_se))
    assert turned.answer == answer
    assert turned.limit == -small_telescopes(original, Effect(new, new_se)).limit


def test_power_at_the_detectable_effect_is_a_third():
    for df in (1, 4, 38, 98):
        noncentrality = detectable_noncentrality(df)
        critical = stats.t.ppf(0.975, df)
        power = stats.nct.sf(critical, df, noncentrality) + stats.nct.cdf(-critical, df, noncentrality)
        assert power == pytest.approx(1 / 3, rel=1e-7)


# Combined


def test_heterogeneity_agrees_with_the_example_of_replication_success():
    # Help page of Qtest: thetao = 2, thetar = 0.5, seo = 1, ser = 0.5.
    assert combined(Effect(2.0, 1.0), Effect(0.5, 0.5)).p_heterogeneity == pytest.approx(0.1797125, rel=1e-6)


@pytest.mark.parametrize(("original", "new", "answer"), [(1.0, 0.8, "yes"), (1.0, -0.8, "no"), (1.0, -2.0, "no")])
def test_both_studies_together_must_show_the_published_direction(original, new, answer):
    assert combined(Effect(original, 0.3), Effect(new, 0.25)).answer == answer
    assert combined(Effect(-original, 0.3), Effect(-new, 0.25)).answer == answer


def test_a_large_study_outweighs_a_small_one():
    found = combined(Effect(2.0, 1.0), Effect(1.0, 1e-6))
    assert found.value == pytest.approx(1.0, abs=1e-9)
    assert found.interval.high - found.interval.low == pytest.approx(2 * 1.959964e-6, rel=1e-4)


# Significance, and the published value in the new interval


@pytest.mark.parametrize(
    ("distance", "p", "sign", "answer"),
    [(0.2, 0.01, 1, "yes"), (0.2, 0.05, 1, "no"), (-0.2, 0.01, 1, "no"), (-0.2, 0.0, -1, "yes"), (0.0, 0.01, 1, "no")],
)
def test_significance_needs_direction_and_p(distance, p, sign, answer):
    found = significance(distance, p, sign=sign)
    assert (found.answer, found.value) == (answer, p)


@pytest.mark.parametrize(("distance", "p", "sign"), [(0.2, math.nan, 1), (math.nan, 0.01, 1), (0.2, 0.01, 0)])
def test_significance_without_p_or_direction_cannot_be_asked(distance, p, sign):
    found = significance(distance, p, sign=sign)
    assert found.answer == "not testable"
    assert found.meaning.endswith(".")


def test_the_new_interval_contains_its_ends():
    interval = Interval(0.2, 0.4)
    answers = [original_in_interval(value, interval).answer for value in (0.1999, 0.2, 0.4, 0.4001)]
    assert answers == ["no", "yes", "yes", "no"]
    for missing in (None, Interval(math.nan, math.nan), Interval(0.2, math.inf)):
        assert original_in_interval(0.3, missing).answer == "not testable"


# What cannot be asked


@pytest.mark.parametrize("criterion", OF_EFFECTS)
@pytest.mark.parametrize(
    "bad",
    [
        Effect(1.0, math.nan),
        Effect(1.0, math.inf),
        Effect(1.0, 0.0),
        Effect(math.nan, 1.0),
        Effect(math.inf, 1.0),
        Effect(1.0, 1.0, math.nan),
    ],
)
def test_effects_without_a_standard_error_cannot_be_compared(criterion, bad):
    for pair in ((bad, Effect(1.0, 1.0)), (Effect(1.0, 1.0), bad)):
        found = criterion(*pair)
        assert found.answer == "not testable"
        assert math.isnan(found.value)
        assert found.reason


def test_means_of_one_group_have_no_effect_to_show():
    mean = Effect(1.0, 0.1, 30, has_neutral=False)
    answers = [criterion(mean, mean).answer for criterion in OF_EFFECTS]
    assert answers == ["yes", *["not testable"] * 4]
    assert combined(mean, mean).value == pytest.approx(1.0)


def test_a_published_value_of_no_effect_has_no_direction():
    nothing, something = Effect(0.0, 0.1), Effect(0.3, 0.1)
    answers = [criterion(nothing, something).answer for criterion in OF_EFFECTS]
    assert answers == ["no", *["not testable"] * 4]


@pytest.mark.parametrize("criterion", OF_EFFECTS)
def test_criteria_do_not_depend_on_the_unit(criterion):
    original, replication = Effect(0.72, 0.084, 98), Effect(0.5, 0.05, 60)
    small = [replace(e, value=e.value * 1e-6, standard_error=e.standard_error * 1e-6) for e in (original, replication)]
    found, scaled = criterion(original, replication), criterion(*small)
    is_estimate = CRITERIA[found.name].value_kind == "estimate"
    assert scaled.answer == found.answer
    assert scaled.value == pytest.approx(found.value * (1e-6 if is_estimate else 1), rel=1e-9)


@pytest.mark.parametrize("criterion", OF_EFFECTS)
@pytest.mark.parametrize("df", [1, 2, 98, math.inf])
def test_extreme_effects_have_answers_and_no_warnings(criterion, df):
    for original, replication in ((1e9, 1e9), (1e9, -1e9), (1e-12, 1e9), (1e9, 1e-12), (30.0, 0.0)):
        found = criterion(Effect(original, 1.0, df), Effect(replication, 1.0, df))
        assert not math.isnan(found.value)
        assert found.answer in {"yes", "no", "unclear"}


# Words


def test_every_criterion_is_explained_in_words():
    for words in CRITERIA.values():
        assert words.question.endswith("?")
        assert all(sentence.endswith(".") for sentence in (words.yes, words.no))
        assert words.source


def test_an_answer_means_what_its_criterion_says():
    words = CRITERIA["small_telescopes"]
    for new, new_se, meaning in ((0.6, 0.1, words.yes), (0.05, 0.1, words.no), (0.3, 0.4, words.unclear)):
        assert small_telescopes(Effect(0.9, 0.32), Effect(new, new_se)).meaning == meaning
