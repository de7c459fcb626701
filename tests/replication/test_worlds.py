from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from dtimuscle.replication.published import PublishedStudy
from dtimuscle.replication.verdict import judge
from dtimuscle.replication.worlds import ask
from dtimuscle.running.studies import read_scenario
from dtimuscle.simulation.cohort import draw_features
from dtimuscle.statistics.combination import combination_curves
from dtimuscle.statistics.correlation import correlate_all_features
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.groups import compare_all_features
from dtimuscle.statistics.logistic import prespecified_model

MUSCLES = ("adductor_magnus", "adductor_longus")
CHOSEN = tuple(f"{muscle}.{parameter}" for muscle in MUSCLES for parameter in ("fa", "md"))


@dataclass(frozen=True)
class Made:
    """Cohorts made up for a test; those with poor function come first."""

    features: tuple[str, ...]
    values: np.ndarray
    grades: np.ndarray
    is_poor: np.ndarray


def made(values, *, n_poor):
    """Lay out {feature: (cohorts, patients)} as cohorts, with the higher grade for good function."""
    stacked = np.stack([np.atleast_2d(np.asarray(rows, dtype=float)) for rows in values.values()], axis=2)
    is_poor = np.arange(stacked.shape[1]) < n_poor
    grades = np.tile(np.where(is_poor, 2, 5), (len(stacked), 1))
    return Made(tuple(values), stacked, grades, is_poor)


def answer(published, cohorts):
    return ask(published, cohorts, name="made", statement="It is so.")


def only(mapping, *claim_ids):
    """Keep some claims of a study."""
    kept = [claim for claim in mapping["claims"] if claim["id"] in claim_ids]
    return PublishedStudy.from_mapping(mapping | {"claims": kept, "readings": []}, source="a test")


def draw(published, scenario, *, seeds):
    features = list(dict.fromkeys(name for claim in published.claims for name in published.features_of(claim.id)))
    return draw_features(read_scenario(scenario), features, n_poor=31, n_good=69, seeds=seeds)


def as_notebook_04_has_it(cohorts, place):
    index = pd.Index([f"sub-{i:03d}" for i in range(cohorts.is_poor.size)], name="participant_id")
    features = FeatureFrame(
        values=pd.DataFrame(cohorts.values[place], index, list(cohorts.features)),
        grade=pd.Series(cohorts.grades[place], index, dtype="Int64"),
        poor=pd.Series(cohorts.is_poor, index, dtype="boolean"),
        covariates=pd.DataFrame(index=index),
    )
    results = (
        *compare_all_features(features),
        *correlate_all_features(features),
        prespecified_model(features, CHOSEN),
        combination_curves(features, muscles=MUSCLES),
    )
    return [estimate for result in results for estimate in result.estimates()]


def comes_out(verdict):
    """Whether the verdict's estimate bears out a direction, or its interval a number (and more than chance)."""
    if verdict.found is None or verdict.found.kind not in ("mean", "auc"):
        return verdict.agreement == "agrees"
    low, high = verdict.found.interval.low, verdict.found.interval.high
    is_chance = verdict.found.kind == "auc" and low <= 0.5 <= high
    return low <= verdict.published_value <= high and not is_chance


@pytest.mark.parametrize("scenario", ["published_means", "published_auc", "null", "degeneration"])
def test_each_part_of_a_claim_comes_out_as_the_verdict_on_one_cohort_has_it(wang, scenario):
    cohorts = draw(wang, scenario, seeds=[1, 2])
    for place in range(2):
        alone = replace(cohorts, values=cohorts.values[[place]], grades=cohorts.grades[[place]])
        parts = [part for claim in answer(wang, alone).claims for part in claim.parts]
        verdicts = judge(wang, as_notebook_04_has_it(cohorts, place))
        assert [part.subject for part in parts] == [verdict.subject for verdict in verdicts]
        assert [part.share.n_yes == 1 for part in parts] == [comes_out(verdict) for verdict in verdicts]


def test_the_areas_are_those_of_notebook_04(wang):
    cohorts = draw(wang, "published_auc", seeds=[4, 5, 6])
    (area,) = answer(wang, cohorts).aucs
    assert area.features == CHOSEN
    for place in range(3):
        estimates = as_notebook_04_has_it(cohorts, place)
        alone = next(e for e in estimates if (e.kind, e.subject) == ("auc", "fa+md"))
        assert area.values[place] == pytest.approx(alone.value, abs=1e-12)


def test_a_share_carries_the_exact_interval_of_so_many_cohorts(made_up_mapping):
    published = only(made_up_mapping, "stronger_lower")
    # Lower in the robust, as published, in three cohorts of four.
    frail, robust = np.arange(10) + 5.0, np.arange(10) - 5.0
    rows = [np.r_[frail, robust]] * 3 + [np.r_[robust, frail]]
    found = answer(published, made({"vastus_lateralis.md": rows}, n_poor=10))
    share = found.claims[0].whole
    assert (share.n_yes, share.n, share.value) == (3, 4, 0.75)
    # R: binom.test(3, 4)$conf.int
    assert (share.interval.low, share.interval.high) == pytest.approx((0.1941204, 0.9936905), abs=1e-6)
    assert (found.n_cohorts, found.n_poor, found.n_good) == (4, 10, 10)
    assert found.claims[0].parts[0].direction == 1


def test_claims_that_never_come_out_in_one_cohort_are_never_together(made_up_mapping):
    published = only(made_up_mapping, "stronger_lower", "factor_of_robustness")
    low, high = np.arange(20) / 10, np.arange(20) / 10 + 1
    told = np.r_[high, low]
    dull = np.tile(np.arange(20) / 10, 2)
    cohorts = made({"vastus_lateralis.md": [told, dull], "sartorius.fa": [dull, -told]}, n_poor=20)
    found = answer(published, cohorts)
    assert [claim.whole.n_yes for claim in found.claims] == [1, 1]
    (both,) = found.together
    assert (both.first, both.second, both.share.n_yes) == ("stronger_lower", "factor_of_robustness", 0)
    assert found.all_claims.n_yes == 0
    same = answer(published, made({"vastus_lateralis.md": [told, dull], "sartorius.fa": [-told, dull]}, n_poor=20))
    assert same.together[0].share.n_yes == same.all_claims.n_yes == 1


def test_claims_that_say_the_opposite_of_a_value_are_found(wang, made_up):
    found = answer(wang, draw(wang, "null", seeds=[1]))
    assert [(o.first, o.second, o.features) for o in found.oppositions] == [
        ("adc_lower", "independent_factors", ("adductor_magnus.md", "adductor_longus.md")),
        ("independent_factors", "weakening_correlates", ("adductor_magnus.md", "adductor_longus.md")),
    ]
    cohorts = draw(made_up, "null", seeds=[1])
    assert answer(made_up, cohorts).oppositions == ()


def test_opposite_claims_can_both_come_out_when_another_feature_turns_the_sign(wang_mapping):
    published = only(wang_mapping, "adc_lower", "independent_factors")
    rng = np.random.default_rng(3)
    poor = np.arange(200) < 100
    lean = rng.normal(size=200) - 2.0 * poor
    values = {name: rng.normal(size=200) for name in CHOSEN}
    values["gracilis.md"] = rng.normal(size=200)
    # FA and MD share what is lower with poor function; given FA, what is left of MD is higher.
    values["adductor_magnus.fa"] = lean + 0.2 * rng.normal(size=200)
    values["adductor_magnus.md"] = lean + rng.normal(scale=0.5, size=200) + 0.5 * poor
    (opposed,) = answer(published, made(values, n_poor=100)).oppositions
    assert [share.n_yes for share in opposed.shares] == [1, 0]
    assert opposed.any_feature.n_yes == 1


@pytest.mark.parametrize(("pairs", "at_most", "at_least"), [(198, 1, 0), (199, 1, 1), (201, 1, 1), (202, 0, 1)])
def test_an_area_is_held_against_the_printed_one_as_it_was_rounded(made_up_mapping, pairs, at_most, at_least):
    published = only(made_up_mapping, "auc_of_one")
    # 25 good at 0 to 24; a poor value above k of them wins k of the 250 pairs. The AUC is printed as 0.80.
    won = [25] * (pairs // 25) + [pairs % 25] + [0] * (9 - pairs // 25)
    values = np.r_[np.array(won) - 0.5, np.arange(25)]
    (area,) = answer(published, made({"vastus_lateralis.md": [values]}, n_poor=10)).aucs
    assert area.values[0] == pytest.approx(pairs / 250)
    assert (area.at_most.n_yes, area.at_least.n_yes) == (at_most, at_least)
    assert area.within is None


def test_a_printed_interval_is_compared_too(wang):
    (area,) = answer(wang, draw(wang, "published_auc", seeds=range(8))).aucs
    inside = (area.values >= 0.6239) & (area.values <= 0.821)
    assert area.within.n_yes == inside.sum() > 0


def test_separated_cohorts_are_counted_and_do_not_come_out(made_up_mapping):
    published = only(made_up_mapping, "factor_of_robustness")
    apart, mixed = np.r_[np.arange(10), 20 + np.arange(10)], np.r_[np.arange(10), 2 + np.arange(10)]
    found = answer(published, made({"sartorius.fa": [apart, mixed]}, n_poor=10))
    (claim,) = found.claims
    assert (claim.n_separated, claim.whole.n) == (1, 2)
    assert claim.parts[0].share.n_yes <= 1
    assert "in 1 of 2 cohorts the features tell the groups apart completely" in found.issues[0].what


def test_what_a_world_says_nothing_about_is_not_testable(made_up):
    rng = np.random.default_rng(5)
    found = answer(made_up, made({"vastus_lateralis.md": 1e-3 * rng.normal(1.6, 0.1, (3, 30))}, n_poor=10))
    reasons = {claim.claim_id: claim.reason for claim in found.claims}
    assert reasons["factor_of_robustness"] == "This world says nothing about FA of sartorius."
    assert reasons["one_beats_other"] == "This world says nothing about FA of sartorius."
    assert reasons["means"] == "This world has no group that stands for the published one."
    assert {claim.claim_id for claim in found.claims if claim.whole} == {"stronger_lower", "correlates", "auc_of_one"}
    means = next(claim for claim in found.claims if claim.claim_id == "means")
    assert [part.share is None for part in means.parts] == [False, True, False]
    assert len(found.together) == 3
    assert found.all_claims is not None
    assert {issue.where for issue in found.issues} == {claim for claim, reason in reasons.items() if reason}


def test_without_any_feature_nothing_is_testable(wang):
    cohorts = Made((), np.empty((2, 10, 0)), np.zeros((2, 10), dtype=int), np.arange(10) < 5)
    found = answer(wang, cohorts)
    assert all(claim.whole is None for claim in found.claims)
    assert (found.together, found.all_claims, found.aucs, found.oppositions) == ((), None, (), ())


def test_a_study_whose_groups_stand_for_nobody_is_not_testable_where_groups_matter(made_up_mapping):
    for group in made_up_mapping["groups"]:
        group.pop("stands_for", None)
    published = only(made_up_mapping, "stronger_lower", "factor_of_robustness", "means")
    rng = np.random.default_rng(5)
    values = {"vastus_lateralis.md": rng.normal(size=(1, 20)), "sartorius.fa": rng.normal(size=(1, 20))}
    found = answer(published, made(values, n_poor=10))
    assert {claim.reason for claim in found.claims} == {"This world has no group that stands for the published one."}
    assert found.oppositions == ()


def test_the_null_world_shows_each_direction_as_often_as_chance_has_it(wang):
    found = answer(wang, draw(wang, "null", seeds=range(400)))
    parts = [part for claim in found.claims if claim.kind == "group_difference" for part in claim.parts]
    # One side of a two-sided test at 5%: 2.5%, with a standard error of 0.8% over 400 cohorts.
    for part in parts:
        assert abs(part.share.value - 0.025) < 4 * 0.0078
    assert found.all_claims.n_yes == 0
