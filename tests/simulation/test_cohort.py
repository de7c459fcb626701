import numpy as np
import pandas as pd
import pytest
from scipy import stats

import dtimuscle.simulation.cohort as cohort_module
from dtimuscle.errors import SimulationError
from dtimuscle.simulation.anatomy import MUSCLES
from dtimuscle.simulation.cohort import draw_cohort, draw_features, marginal, participant_rng
from dtimuscle.simulation.physics import FREE_WATER, eigenvalues
from dtimuscle.simulation.scenario import Moments, Scenario
from dtimuscle.store import places
from dtimuscle.store.files import read_yaml


def read(name):
    return Scenario.from_mapping(read_yaml(places.scenarios_folder() / f"{name}.yaml"), source=name)


def by_muscle(cohort):
    """FA and MD of each patient, as the mean of both sides, and who has poor function."""
    values = cohort.parameters.pivot_table(index="participant_id", columns="muscle", values=["fa", "md"])
    grade = cohort.participants.set_index("participant_id")["lovett_grade"].reindex(values.index)
    return values, grade < 4


@pytest.mark.parametrize(("mean", "sd"), [(1.02e-3, 0.34e-3), (1.76e-3, 0.38e-3), (2.5e-3, 0.1e-3)])
def test_a_marginal_has_exactly_the_moments_it_was_asked_for(mean, sd):
    law = marginal(Moments(mean=mean, sd=sd), 0.2e-3, 2.8e-3)
    np.testing.assert_allclose([law.mean(), law.std()], [mean, sd], rtol=1e-10)
    np.testing.assert_allclose(law.support(), [0.2e-3, 2.8e-3])


def test_a_large_cohort_has_the_printed_means_and_sds():
    values, is_poor = by_muscle(draw_cohort(read("published_means"), n_poor=1000, n_good=1000, seed=5))
    for group, printed in ((is_poor, (1.07e-3, 0.33e-3)), (~is_poor, (1.76e-3, 0.38e-3))):
        md = values["md"]["adductor_magnus"][group]
        assert abs(md.mean() - printed[0]) < 4 * printed[1] / np.sqrt(1000)
        assert abs(md.std() - printed[1]) < 4 * printed[1] / np.sqrt(2000)


@pytest.mark.parametrize("name", ["published_means", "published_auc", "null", "degeneration"])
def test_every_tensor_is_physically_possible(name):
    parameters = draw_cohort(read(name), n_poor=300, n_good=300, seed=1).parameters
    along, across = eigenvalues(parameters["fa"].to_numpy(), parameters["md"].to_numpy())
    assert across.min() > 0
    assert along.max() <= FREE_WATER * (1 + 1e-12)
    assert len(parameters) == 600 * len(MUSCLES) * 2


def test_lowered_values_are_counted():
    assert draw_cohort(read("published_means"), n_poor=300, n_good=300, seed=1).n_limited > 0


def test_the_same_seed_gives_the_same_cohort(scenario):
    first, again = (draw_cohort(scenario, n_poor=5, n_good=7, seed=9) for _ in range(2))
    pd.testing.assert_frame_equal(first.participants, again.participants)
    pd.testing.assert_frame_equal(first.parameters, again.parameters)
    other = draw_cohort(scenario, n_poor=5, n_good=7, seed=10)
    assert not first.parameters["fa"].equals(other.parameters["fa"])


def test_a_participants_stream_depends_on_seed_and_name_alone():
    draws = {key: participant_rng(*key).random() for key in ((1, "sub-001"), (1, "sub-002"), (2, "sub-001"))}
    assert len(set(draws.values())) == 3
    assert participant_rng(1, "sub-001").random() == draws[1, "sub-001"]


def test_patients_are_as_many_as_asked_for_and_in_mixed_order(scenario):
    participants = draw_cohort(scenario, n_poor=31, n_good=69, seed=2024).participants
    is_poor = participants["lovett_grade"] < 4
    assert is_poor.sum() == 31
    assert len(participants) == 100
    assert participants["participant_id"].is_unique
    assert 0 < is_poor.iloc[:31].sum() < 31
    assert set(participants["sex"]) == {"F", "M"}
    assert participants["t_score"].between(-5.5, -2.5).all()


def test_grades_stay_within_groups_and_follow_their_shares(scenario):
    grades = draw_cohort(scenario, n_poor=1500, n_good=1500, seed=3).participants["lovett_grade"]
    shares = grades.value_counts() / 1500
    for grade, share in {0: 0.06, 1: 0.14, 2: 0.30, 3: 0.50, 4: 0.58, 5: 0.42}.items():
        assert abs(shares[grade] - share) < 4 * np.sqrt(share * (1 - share) / 1500)


def test_a_grade_leans_on_what_differs_between_the_groups():
    cohort = draw_cohort(read("degeneration"), n_poor=1000, n_good=1000, seed=4)
    values, is_poor = by_muscle(cohort)
    for rows in (is_poor, ~is_poor):
        grade = cohort.participants.set_index("participant_id")["lovett_grade"][rows]
        assert np.corrcoef(values["fa"]["gracilis"][rows], grade)[0, 1] > 0.05
        assert np.corrcoef(values["md"]["gracilis"][rows], grade)[0, 1] < -0.05


def test_nothing_tells_the_groups_apart_in_the_null_scenario():
    values, is_poor = by_muscle(draw_cohort(read("null"), n_poor=600, n_good=600, seed=11))
    p = stats.ttest_ind(values[is_poor], values[~is_poor]).pvalue
    assert p.min() > 0.05 / p.size


def test_muscles_of_a_patient_resemble_each_other(scenario):
    values, is_poor = by_muscle(draw_cohort(scenario, n_poor=10, n_good=1500, seed=6))
    fa = values["fa"][~is_poor]
    assert np.corrcoef(fa["sartorius"], fa["vastus_medialis"])[0, 1] == pytest.approx(0.5, abs=0.06)
    assert np.corrcoef(fa["sartorius"], values["md"]["sartorius"][~is_poor])[0, 1] == pytest.approx(0, abs=0.08)


def test_sides_differ_as_much_as_the_scenario_says(scenario):
    parameters = draw_cohort(scenario, n_poor=100, n_good=100, seed=6).parameters
    sides = parameters.pivot_table(index=["participant_id", "muscle"], columns="side", values="md")
    tilt = (sides["left"] - sides["right"]) / (sides["left"] + sides["right"])
    assert tilt.std() == pytest.approx(0.02, rel=0.1)
    assert abs(tilt.mean()) < 4 * 0.02 / np.sqrt(len(tilt))


def test_published_auc_holds_in_a_large_cohort():
    # Fisher's discriminant of normal values has AUC Φ(d / √2), d being the Mahalanobis distance.
    scenario = read("published_auc")
    values, is_poor = by_muscle(draw_cohort(scenario, n_poor=2000, n_good=2000, seed=8))
    muscles = ["adductor_magnus", "adductor_longus"]

    def area(parameters):
        table = np.hstack([values[parameter][muscles] for parameter in parameters])
        poor, good = table[is_poor], table[~is_poor]
        direction = np.linalg.solve(np.cov(poor.T) + np.cov(good.T), good.mean(axis=0) - poor.mean(axis=0))
        return stats.mannwhitneyu(good @ direction, poor @ direction).statistic / 2000**2

    # SE of an AUC near 0.7 with 2000 in each group: 0.008.
    assert area(("fa", "md")) == pytest.approx(0.722, abs=0.025)
    assert area(("fa",)) == pytest.approx(0.662, abs=0.025)
    assert area(("md",)) == pytest.approx(0.662, abs=0.025)


def test_published_auc_holds_in_theory():
    scenario = read("published_auc")
    d = [
        (good.mean - poor.mean) / good.sd
        for muscle in ("adductor_magnus", "adductor_longus")
        for parameter in ("fa", "md")
        for poor, good in [(scenario.moments(muscle, parameter, "poor"), scenario.moments(muscle, parameter, "good"))]
    ]
    within = np.array([[1, scenario.correlation.fa_with_md], [scenario.correlation.fa_with_md, 1]])
    between = np.array([[1, scenario.correlation.between_muscles], [scenario.correlation.between_muscles, 1]])
    distance = np.sqrt(d @ np.linalg.solve(np.kron(between, within), d))
    assert stats.norm.cdf(distance / np.sqrt(2)) == pytest.approx(0.722, abs=0.0005)


def test_a_group_may_be_empty(scenario):
    assert (draw_cohort(scenario, n_poor=0, n_good=3, seed=1).participants["lovett_grade"] > 3).all()


FEATURES = ("gracilis.fa", "gracilis.md", "adductor_longus.md", "gluteus_maximus.fa", "adductor_magnus.fa")


def one_by_one(scenario, seed, *, n_poor=31, n_good=69):
    """Values and grades of one cohort, those with poor function first, and how many values were lowered."""
    cohort = draw_cohort(scenario, n_poor=n_poor, n_good=n_good, seed=seed)
    table = cohort.parameters.pivot_table(index="participant_id", columns="muscle", values=["fa", "md"])
    table.columns = [f"{muscle}.{parameter}" for parameter, muscle in table.columns]
    grades = cohort.participants.set_index("participant_id")["lovett_grade"]
    grades = pd.concat([grades[grades < 4], grades[grades >= 4]])
    return table.loc[grades.index, list(FEATURES)].to_numpy(), grades.to_numpy(), cohort.n_limited


def assert_same(drawn, scenario, seeds):
    sds = np.array([scenario.moments(*name.split("."), "good").sd for name in FEATURES])
    for place, seed in enumerate(seeds):
        values, grades, _ = one_by_one(scenario, seed)
        np.testing.assert_array_less(np.abs(drawn.values[place] - values) / sds, 1e-9)
        np.testing.assert_array_equal(drawn.grades[place], grades)


@pytest.mark.parametrize("name", ["published_means", "null"])
def test_many_cohorts_are_those_that_are_drawn_one_by_one(name):
    scenario, seeds = read(name), [3, 2**40 + 1]
    drawn = draw_features(scenario, FEATURES, n_poor=31, n_good=69, seeds=seeds)
    assert_same(drawn, scenario, seeds)
    assert drawn.features == FEATURES
    assert drawn.is_poor.tolist() == [True] * 31 + [False] * 69
    # Lowered values are among them, so that the bound is kept here too.
    assert name == "null" or one_by_one(scenario, 3)[2] > 0


def test_values_beyond_the_table_are_exact(monkeypatch):
    monkeypatch.setattr(cohort_module, "KNOTS", np.linspace(-1.0, 1.0, 81))
    scenario = read("published_means")
    assert_same(draw_features(scenario, FEATURES, n_poor=31, n_good=69, seeds=[3]), scenario, [3])


def test_many_cohorts_do_not_depend_on_how_many_are_drawn_at_a_time(monkeypatch, scenario):
    whole = draw_features(scenario, FEATURES, n_poor=3, n_good=4, seeds=range(5))
    told = []
    monkeypatch.setattr(cohort_module, "BLOCK", 2)
    parts = draw_features(
        scenario, FEATURES, n_poor=3, n_good=4, seeds=range(5), progress=lambda *call: told.append(call)
    )
    np.testing.assert_array_equal(parts.values, whole.values)
    np.testing.assert_array_equal(parts.grades, whole.grades)
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_no_cohort_at_all_keeps_its_shape(scenario):
    drawn = draw_features(scenario, FEATURES, n_poor=3, n_good=4, seeds=[])
    assert (drawn.values.shape, drawn.grades.shape) == ((0, 7, 5), (0, 7))


@pytest.mark.parametrize("feature", ["gracilis.ad", "heart.fa", "gracilis"])
def test_a_feature_that_no_scenario_has_is_refused(scenario, feature):
    with pytest.raises(SimulationError, match=f"published_means: found no '{feature}'"):
        draw_features(scenario, [feature], n_poor=3, n_good=4, seeds=[1])
