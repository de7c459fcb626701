import pytest

from dtimuscle.replication.audit.combination import (
    COMBINATION,
    COMPARISON,
    deviate_for,
    highest_lower_auc,
    share_for_limit,
    single_features,
)
from dtimuscle.replication.audit.findings import Severity
from dtimuscle.replication.published import PublishedStudy


def findings_of(check, mapping):
    return check.run(PublishedStudy.from_mapping(mapping, source="study.yaml"), None).findings


def claim_of(mapping, name):
    return next(claim for claim in mapping["claims"] if claim["id"] == name)


def way(finding, words):
    return next(way for way in finding.ways_out if words in way.assumption)


def quantity(sentence, name):
    return next(item for item in sentence.quantities if item.name == name)


def test_the_shipped_study_prints_less_for_the_model_than_its_means_imply_for_one_feature(wang):
    (finding,) = COMBINATION.run(wang, None).findings
    assert finding.severity is Severity.INCONSISTENT
    assert finding.features == ("adductor_magnus.md", "adductor_longus.md")
    assert set(finding.claims) == {"auc_combined", "adc_means"}
    aucs = [item.value for step in finding.steps for item in step.quantities if item.name == "auc"]
    assert aucs == pytest.approx([0.9148, 0.9084], abs=1e-4)


def test_every_way_out_of_the_shipped_study_has_its_number(wang):
    (finding,) = COMBINATION.run(wang, None).findings
    assert len(finding.ways_out) == 6
    errors = way(finding, "standard errors")
    assert errors.resolves == "in part"
    assert quantity(errors.sentence, "auc_se").value == pytest.approx(0.5749, abs=1e-4)
    assert quantity(errors.sentence, "p_se").value > 0.05
    assert way(finding, "cross-validated").resolves == "no"
    assert quantity(way(finding, "cross-validated").sentence, "auc_new").value == pytest.approx(0.905, abs=1e-3)
    assert way(finding, "several muscles").resolves == "in part"
    assert way(finding, "none of these").resolves == "in part"
    assert way(finding, "normally distributed").resolves == "in part"
    assert quantity(way(finding, "normally distributed").sentence, "least").value == pytest.approx(0.6578, abs=1e-4)
    fewer = way(finding, "fewer patients")
    assert [item.value for item in fewer.sentence.quantities] == [31, 69, 8, 17]


def test_standard_errors_resolve_it_without_a_printed_p(wang_mapping):
    claim_of(wang_mapping, "adc_lower").pop("p")
    (finding,) = findings_of(COMBINATION, wang_mapping)
    assert way(finding, "standard errors").resolves == "yes"


def test_features_that_the_source_names_are_not_open(wang_mapping):
    for name in ("auc_combined", "combined_beats_alone"):
        claim_of(wang_mapping, name)["features"] = ["adductor_magnus.md", "adductor_magnus.fa"]
    wang_mapping["readings"] = [
        reading for reading in wang_mapping["readings"] if "auc_combined" not in reading.get("claims", [])
    ]
    (finding,) = findings_of(COMBINATION, wang_mapping)
    assert way(finding, "none of these").resolves == way(finding, "several muscles").resolves == "no"


@pytest.mark.parametrize(("auc", "n"), [("0.80", 1), ("0.82", 0), ("0.95", 0)])
def test_a_model_within_chance_of_its_best_feature_is_no_conflict(wang_mapping, auc, n):
    claim_of(wang_mapping, "auc_combined").update(auc=auc)
    claim_of(wang_mapping, "auc_combined").pop("interval")
    assert len(findings_of(COMBINATION, wang_mapping)) == n


@pytest.mark.parametrize("validation", ["cross_validated", "external"])
def test_areas_of_other_patients_are_not_held_against_these_means(wang_mapping, validation):
    claim_of(wang_mapping, "auc_combined")["validation"] = validation
    assert findings_of(COMBINATION, wang_mapping) == findings_of(COMPARISON, wang_mapping) == ()


def test_a_single_feature_cannot_fall_below_what_its_means_leave(made_up_mapping):
    for row in claim_of(made_up_mapping, "means")["means"]:
        row.update(sd="0.100", mean={"frail": "1.700", "between": "1.600", "robust": "1.500"}[row["group"]])
    claim_of(made_up_mapping, "auc_of_one")["auc"] = "0.60"
    (finding,) = findings_of(COMBINATION, made_up_mapping)
    assert finding.severity is Severity.IMPOSSIBLE
    assert quantity(finding.sentence, "least").value == pytest.approx(0.04 / (0.04 + 0.01 * (19 / 20 + 39 / 40)))
    claim_of(made_up_mapping, "auc_of_one")["auc"] = "0.40"
    assert len(findings_of(COMBINATION, made_up_mapping)) == 1
    claim_of(made_up_mapping, "auc_of_one")["auc"] = "0.20"  # the same curve, read the other way
    assert findings_of(COMBINATION, made_up_mapping) == ()


def test_the_made_up_study_has_no_conflict(made_up):
    assert COMBINATION.run(made_up, None).examined == ("AUC of MD of vastus lateralis against its means",)
    assert COMBINATION.run(made_up, None).findings == COMPARISON.run(made_up, None).findings == ()


def test_the_feature_said_to_tell_less_tells_more_by_its_means(wang):
    (finding,) = COMPARISON.run(wang, None).findings
    assert finding.severity is Severity.INCONSISTENT
    assert finding.claims == ("combined_beats_alone", "auc_combined", "adc_means")
    lower = [item.value for item in finding.steps[-1].quantities if item.name.startswith("highest_")]
    assert lower == sorted(lower)
    assert max(lower) < 0.722


def test_a_lower_auc_that_is_printed_higher_is_a_conflict(made_up_mapping):
    made_up_mapping["claims"].insert(0, claim_of(made_up_mapping, "auc_of_one") | {
        "id": "auc_of_other", "predictor": "sartorius.fa", "auc": "0.85"})  # fmt: skip
    (finding,) = findings_of(COMPARISON, made_up_mapping)
    assert finding.claims == ("one_beats_other", "auc_of_one", "auc_of_other")
    claim_of(made_up_mapping, "auc_of_other")["auc"] = "0.80"
    assert findings_of(COMPARISON, made_up_mapping) == ()


def test_the_lower_auc_moves_up_with_the_correlation_and_ends_at_chance():
    sizes = {"n_event": 31, "n_other": 69}
    found = [highest_lower_auc(0.8, p=0.05, correlation=r, **sizes) for r in (0.2, 0.5, 0.8)]
    assert found == sorted(found)
    assert highest_lower_auc(0.55, p=0.05, correlation=0, **sizes) is None


def test_more_comparisons_ask_for_more():
    assert deviate_for(0) == deviate_for(1) == pytest.approx(3.0902, abs=1e-4)
    assert deviate_for(10) > deviate_for(1)


def test_groups_that_are_too_small_or_large_enough_give_no_share(wang):
    (single,) = single_features(wang, ("adductor_longus.md",), event="poor", z=3)
    assert share_for_limit(single, 0.95, z=3) is None
    assert share_for_limit(single, 0.01, z=3) is None


@pytest.mark.parametrize(("auc", "n"), [("0.70", 1), ("0.85", 0), ("0.16", 0), ("0.95", 0)])
def test_a_model_hardly_tells_less_than_the_printed_auc_of_its_predictor(second_mapping, auc, n):
    model = next(claim for claim in second_mapping["claims"] if claim.get("predictor") == "fa+md")
    model["auc"] = auc
    model.pop("interval", None)
    found = [finding for finding in findings_of(COMBINATION, second_mapping) if "alone" in finding.title]
    assert len(found) == n


def test_a_mean_of_zero_has_no_relative_spread(wang_mapping):
    claim_of(wang_mapping, "adc_means")["means"][2]["mean"] = "0.00"
    (finding,) = findings_of(COMBINATION, wang_mapping)
    assert "of the mean" not in way(finding, "standard errors").sentence.template


def test_what_is_printed_as_standard_errors_is_not_suspected_of_it(wang_mapping):
    means = claim_of(wang_mapping, "adc_means")
    means["spread"] = "se"
    for row in means["means"]:
        row["sd"] = "0.04"
    (finding,) = findings_of(COMBINATION, wang_mapping)
    assert not any("standard errors" in way.assumption for way in finding.ways_out)


def test_a_single_feature_is_not_said_to_be_one_of_its_features(wang_mapping):
    claim_of(wang_mapping, "combined_beats_alone")["lower"] = ["adductor_magnus.md"]
    (finding,) = findings_of(COMPARISON, wang_mapping)
    assert "one of its features" not in finding.sentence.template
