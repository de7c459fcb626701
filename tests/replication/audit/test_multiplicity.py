import pytest

from dtimuscle.replication.audit.findings import Severity
from dtimuscle.replication.audit.multiplicity import MULTIPLICITY, count_tests
from dtimuscle.replication.published import PublishedStudy


def run(mapping):
    return MULTIPLICITY.run(PublishedStudy.from_mapping(mapping, source="study.yaml"), None)


def test_the_shipped_study_rests_on_many_tests(wang):
    assert list(count_tests(wang).values()) == [8, 8, 4, 2]
    (finding,) = MULTIPLICITY.run(wang, None).findings
    numbers = {quantity.name: quantity.value for quantity in finding.sentence.quantities}
    assert finding.severity is Severity.NOTE
    assert numbers["expected"] == pytest.approx(1.1)
    assert numbers["any"] == pytest.approx(1 - 0.95**22)
    assert numbers["bound"] == pytest.approx(0.05 / 22)
    assert (numbers["n_surely"], numbers["n_printed"], numbers["n_implied"], numbers["n_means"]) == (0, 22, 3, 3)


def test_a_stated_correction_ends_the_question(wang_mapping):
    wang_mapping["design"]["correction"] = "holm"
    assert run(wang_mapping).findings == ()
    assert run(wang_mapping).examined


def test_a_stated_number_of_tests_counts(made_up_mapping):
    assert run(made_up_mapping).findings == ()
    made_up_mapping["design"]["n_tests"] = 28
    (finding,) = run(made_up_mapping).findings
    assert next(item.value for item in finding.sentence.quantities if item.name == "n_tests") >= 28


def test_a_small_p_surely_survives(wang_mapping):
    next(claim for claim in wang_mapping["claims"] if claim["id"] == "fa_lower")["p"] = "< 0.001"
    (finding,) = run(wang_mapping).findings
    assert next(item.value for item in finding.sentence.quantities if item.name == "n_surely") == 5


def test_features_that_claims_repeat_count_once(wang_mapping):
    claim = next(claim for claim in wang_mapping["claims"] if claim["id"] == "adc_lower")
    wang_mapping["claims"].append(claim | {"id": "again"})
    assert sum(count_tests(PublishedStudy.from_mapping(wang_mapping, source="s")).values()) == 22
