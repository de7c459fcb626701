import numpy as np
import pytest
import yaml

from dtimuscle.errors import DtiMuscleError
from dtimuscle.running.studies import read_published
from dtimuscle.running.worlds import SCENARIOS, ask_worlds
from dtimuscle.store import places


@pytest.fixture(scope="module")
def published():
    return read_published("wang_thigh_osteoporosis")


def test_every_world_is_asked_with_cohorts_as_large_as_the_study(published):
    told = []
    answers = ask_worlds(published, n_cohorts=3, n_poor=5, n_good=5, progress=lambda *call: told.append(call))
    assert tuple(answer.name for answer in answers) == SCENARIOS
    assert {(a.n_cohorts, a.n_poor, a.n_good) for a in answers} == {(3, 31, 69)}
    assert [claim.claim_id for claim in answers[0].claims] == [claim.id for claim in published.claims]
    assert all(claim.whole is not None for answer in answers for claim in answer.claims)
    assert told == [(3, 12), (6, 12), (9, 12), (12, 12)]


def test_the_shipped_scenarios_are_all_asked():
    assert set(SCENARIOS) == {path.stem for path in places.scenarios_folder().glob("*.yaml")}


def test_the_same_seed_gives_the_same_answers_whatever_else_is_asked(published):
    alone = ask_worlds(published, scenarios=("published_auc",), n_cohorts=4, seed=7)[0]
    beside = ask_worlds(published, scenarios=("null", "published_auc"), n_cohorts=4, seed=7)[1]
    assert alone.claims == beside.claims
    np.testing.assert_array_equal(alone.aucs[0].values, beside.aucs[0].values)
    # More cohorts begin with the same ones, and another seed gives others.
    more = ask_worlds(published, scenarios=("published_auc",), n_cohorts=6, seed=7)[0]
    np.testing.assert_array_equal(more.aucs[0].values[:4], alone.aucs[0].values)
    other = ask_worlds(published, scenarios=("published_auc",), n_cohorts=4, seed=8)[0]
    assert not set(other.aucs[0].values) & set(alone.aucs[0].values)


def test_a_world_of_ones_own_is_read_from_its_file(published, tmp_path):
    path = tmp_path / "mine.yaml"
    values = yaml.safe_load((places.scenarios_folder() / "null.yaml").read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(values | {"name": "mine", "statement": "As I say."}), encoding="utf-8")
    (answer,) = ask_worlds(published, scenarios=(str(path),), n_cohorts=2)
    assert (answer.name, answer.statement) == ("mine", "As I say.")


def test_groups_that_stand_for_nobody_leave_the_sizes_to_the_caller(published):
    groups = tuple(group.model_copy(update={"stands_for": None}) for group in published.groups)
    nameless = published.model_copy(update={"groups": groups})
    (answer,) = ask_worlds(nameless, scenarios=("null",), n_cohorts=2, n_poor=8, n_good=9)
    assert (answer.n_poor, answer.n_good) == (8, 9)
    assert {claim.claim_id for claim in answer.claims if claim.whole} >= {"weakening_correlates", "auc_combined"}


def test_an_unknown_world_is_refused(published):
    with pytest.raises(DtiMuscleError, match="nowhere"):
        ask_worlds(published, scenarios=("nowhere",), n_cohorts=2)


def test_printed_means_and_the_printed_auc_are_not_of_one_world(published):
    answers = {answer.name: answer for answer in ask_worlds(published, n_cohorts=60, seed=3)}
    (high,), (printed,) = answers["published_means"].aucs, answers["published_auc"].aucs
    # Φ of the means' distances implies an AUC above 0.9 for a single ADC value; 0.722 is out of reach of 60 cohorts.
    assert high.values.min() > 0.85
    assert high.at_most.n_yes == 0
    assert 0.2 < printed.at_most.value < 0.55
    for answer in answers.values():
        assert answer.all_claims.n_yes == 0
        assert all(opposed.any_feature.value < 0.1 for opposed in answer.oppositions)
