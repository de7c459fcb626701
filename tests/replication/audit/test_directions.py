import pytest

from dtimuscle.replication.audit.directions import DIRECTIONS, opposed, signs
from dtimuscle.replication.audit.findings import Severity
from dtimuscle.replication.published import PublishedStudy


def difference(direction, *, name="difference", p="< 0.05", group="weak", features=("sartorius.md",)):
    versus = "strong" if group == "weak" else "weak"
    return {
        "id": name, "kind": "group_difference", "features": list(features), "group": group, "versus": versus,
        "direction": direction, "p": p,
    }  # fmt: skip


def correlation(sign, *, outcome="strength", change="increase", **more):
    claim = {"id": "correlation", "kind": "correlation", "features": ["sartorius.md"], "outcome": outcome}
    return claim | {"change": change, "sign": sign} | more


def model(changes, event="weak"):
    return {"id": "model", "kind": "independent_factors", "event": event,
            "factors": [{"feature": feature, "change": change} for feature, change in changes.items()]}  # fmt: skip


def findings(study):
    return DIRECTIONS.run(study, None).findings


def way(finding, words):
    return next(way for way in finding.ways_out if words in way.assumption)


def test_the_shipped_study_says_both_of_adc_and_one_thing_of_fa(wang):
    (finding,) = findings(wang)
    assert finding.severity is Severity.UNLIKELY
    assert finding.features == ("adductor_magnus.md", "adductor_longus.md")
    assert set(finding.claims) == {"adc_lower", "adc_means", "weakening_correlates", "independent_factors"}
    assert [quantity.value for quantity in finding.sentence.quantities] == [3, 1]


def test_the_ways_out_of_the_shipped_study_are_counted(wang):
    (finding,) = findings(wang)
    coding = way(finding, "coded the other way")
    assert coding.resolves == "no"
    assert "FA" in coding.sentence.template
    assert way(finding, "exchanged").resolves == "no"
    assert way(finding, "suppression").resolves == "in part"
    single = way(finding, "single claim")
    assert single.resolves == "yes"
    assert [quantity.value for quantity in single.sentence.quantities] == [4, 1]
    assert "ADC increase" in single.sentence.template


def test_a_model_of_the_other_group_resolves_what_all_factors_turn(wang_mapping):
    claim = next(claim for claim in wang_mapping["claims"] if claim["id"] == "independent_factors")
    for factor in claim["factors"]:
        factor["change"] = "increase"
    study = PublishedStudy.from_mapping(wang_mapping, source="turned.yaml")
    assert {finding.features[0].split(".")[1] for finding in findings(study)} == {"fa", "md"}
    assert all(way(finding, "coded the other way").resolves == "yes" for finding in findings(study))


def test_agreeing_claims_are_no_finding(wang_mapping, made_up):
    claim = next(claim for claim in wang_mapping["claims"] if claim["id"] == "independent_factors")
    for factor in claim["factors"]:
        factor["change"] = "decrease"
    assert findings(PublishedStudy.from_mapping(wang_mapping, source="agreeing.yaml")) == ()
    assert findings(made_up) == ()


@pytest.mark.parametrize(
    ("claim", "sign"),
    [
        (difference("lower"), -1),
        (difference("higher"), 1),
        (difference("lower", group="strong"), 1),
        (correlation("positive"), -1),
        (correlation("positive", outcome="weakening"), 1),
        (correlation("positive", outcome="weakening", change="decrease"), -1),
        (correlation("negative", change="decrease"), -1),
        (model({"sartorius.md": "increase"}), 1),
        (model({"sartorius.md": "increase"}, event="strong"), -1),
        (model({"sartorius.md": "decrease"}), -1),
    ],
)
def test_every_wording_has_its_sign(study_of, claim, sign):
    (statement,) = signs(study_of(claim))
    assert statement.sign == sign


def test_printed_means_have_a_sign_only_beyond_their_rounding(study_of, means_of):
    def of(poor, good):
        return [item.sign for item in signs(study_of(means_of(features={"sartorius.md": (poor, good)})))]

    assert of("1.4 ± 0.2", "1.6 ± 0.2") == [-1]
    assert of("1.7 ± 0.2", "1.6 ± 0.2") == []
    assert of("1.75 ± 0.2", "1.65 ± 0.2") == [1]


def test_unadjusted_claims_against_each_other_are_inconsistent(study_of):
    (finding,) = findings(study_of(difference("lower"), correlation("negative", p="< 0.01")))
    assert finding.severity is Severity.INCONSISTENT


@pytest.mark.parametrize("more", [{"p": "= 0.4"}, {"coefficient": "-0.05"}])
def test_what_chance_alone_gives_any_sign_is_no_conflict(study_of, more):
    study = study_of(difference("lower"), correlation("negative", **more))
    assert findings(study) == ()
    assert [item.is_shown for item in signs(study)] == [True, False]


def test_small_differences_that_a_model_turns_are_only_a_note(study_of, means_of):
    factors = model({"sartorius.md": "increase", "sartorius.fa": "decrease"})
    small = means_of(features={"sartorius.md": ("1.40 ± 0.20", "1.52 ± 0.20")})
    large = means_of(features={"sartorius.md": ("1.20 ± 0.20", "1.60 ± 0.20")})
    assert [finding.severity for finding in findings(study_of(small, factors))] == [Severity.NOTE]
    assert [finding.severity for finding in findings(study_of(large, factors))] == [Severity.UNLIKELY]


def test_a_single_factor_is_not_adjusted(study_of):
    statements = signs(study_of(difference("lower"), model({"sartorius.md": "increase"})))
    assert opposed(statements, is_adjusted=False) == ("sartorius.md",)
    assert opposed(statements, is_adjusted=True) == ()


def test_groups_on_neither_side_have_no_direction(made_up_mapping):
    made_up_mapping["claims"] = [
        {"id": "a", "kind": "group_difference", "place": "p", "statement": "s", "features": ["sartorius.md"],
         "group": "between", "versus": "robust", "direction": "lower"}
    ]  # fmt: skip
    assert signs(PublishedStudy.from_mapping(made_up_mapping, source="study.yaml")) == ()
