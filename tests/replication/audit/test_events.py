import math

import numpy as np
import pytest

from dtimuscle.replication.audit.events import EVENTS, candidates, expected_shrinkage, model_chi_square
from dtimuscle.replication.audit.findings import Severity
from dtimuscle.replication.published import PublishedStudy


def model(*features, event="weak"):
    rows = [{"feature": feature, "change": "decrease"} for feature in features]
    return {"id": "model", "kind": "independent_factors", "event": event, "factors": rows}


def test_the_shipped_study_has_few_events(wang, shipped_reference):
    (finding,) = EVENTS.run(wang, shipped_reference).findings
    assert finding.severity is Severity.NOTE
    numbers = {quantity.name: quantity.value for quantity in finding.sentence.quantities}
    assert (numbers["events"], numbers["per_factor"], numbers["per_candidate"]) == (31, 7.75, 3.875)
    remains = {quantity.name: quantity.value for quantity in finding.steps[1].quantities}
    assert 0 < remains["remains_candidates"] < remains["remains"] < 1


@pytest.mark.parametrize(("n", "n_findings"), [((10, 90), 0), ((9, 90), 1), ((90, 9), 1), ((20, 80), 0)])
def test_the_smaller_group_counts(study_of, reference, n, n_findings):
    study = study_of(model("sartorius.md"), n=n)
    assert len(EVENTS.run(study, reference).findings) == n_findings


def test_other_groups_belong_to_those_without_the_event(made_up, reference):
    assert EVENTS.run(made_up, reference).findings == ()
    assert EVENTS.run(made_up, reference).examined == ("Model of robustness",)


def test_candidates_are_those_that_the_source_counts_or_names(wang_mapping):
    assert candidates(PublishedStudy.from_mapping(wang_mapping, source="s"))[0] == 8
    wang_mapping["design"]["n_tests"] = 28
    assert candidates(PublishedStudy.from_mapping(wang_mapping, source="s"))[0] == 28
    wang_mapping["design"]["n_tests"] = 3
    assert candidates(PublishedStudy.from_mapping(wang_mapping, source="s"))[0] == 8


def test_the_chi_square_is_that_of_a_fitted_model():
    rng = np.random.default_rng(7)
    distance = 1.2
    values = np.r_[rng.normal(distance, 1, 3100), rng.normal(0, 1, 6900)]
    outcome = np.arange(10_000) < 3100
    log_odds = math.log(0.31 / 0.69) + distance * values - distance**2 / 2
    gain = np.where(
        outcome, -np.log1p(np.exp(-log_odds)) - math.log(0.31), -np.log1p(np.exp(log_odds)) - math.log(0.69)
    )
    auc = 0.5 * math.erfc(-distance / 2)
    assert model_chi_square(auc, n_event=31, n_other=69) == pytest.approx(2 * gain.sum() / 100, rel=0.05)


def test_a_model_that_tells_nothing_keeps_nothing():
    assert model_chi_square(0.5, n_event=31, n_other=69) == pytest.approx(0, abs=1e-9)
    assert expected_shrinkage(0.0, 4) == expected_shrinkage(3.0, 4) == 0
    assert expected_shrinkage(40.0, 4) == 0.9


@pytest.mark.parametrize("auc", [1e-9, 0.999, 1 - 1e-12])
def test_nearly_perfect_models_have_the_entropy_of_the_outcome_at_most(auc):
    entropy = -(0.31 * math.log(0.31) + 0.69 * math.log(0.69))
    assert 0.9 * 200 * entropy < model_chi_square(auc, n_event=31, n_other=69) <= 200 * entropy * (1 + 1e-9)
