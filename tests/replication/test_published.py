import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dtimuscle.errors import PublishedError
from dtimuscle.muscles import Muscle, MuscleRegistry
from dtimuscle.replication.published import (
    AucClaim,
    AucComparison,
    CorrelationClaim,
    GroupDifference,
    IndependentFactors,
    PublishedStudy,
    json_schema,
    read_coefficient,
)
from dtimuscle.statistics.estimates import Interval

DATA = Path(__file__).parents[2] / "data"

# As the study's abstract prints them: mean and SD of ADC with poor and with good muscle function.
PRINTED_ADC = {
    "gracilis.md": ("1.02 ± 0.34 mm²/s", "1.74 ± 0.41 mm²/s"),
    "adductor_magnus.md": ("1.07 ± 0.33 mm²/s", "1.76 ± 0.38 mm²/s"),
    "adductor_longus.md": ("1.04 ± 0.34 mm²/s", "1.68 ± 0.34 mm²/s"),
}


def test_groups_are_those_of_the_study(wang: PublishedStudy) -> None:
    assert {group.id: (group.n, group.grades.lowest, group.grades.highest) for group in wang.groups} == {
        "poor": (31, 0, 3),
        "good": (69, 4, 5),
    }
    assert wang.design.n == 100
    assert (wang.outcome.lowest, wang.outcome.highest) == (0, 5)


@pytest.mark.parametrize("feature", PRINTED_ADC)
def test_adc_means_are_those_of_the_study_in_units_of_a_thousandth(wang: PublishedStudy, feature: str) -> None:
    for group, text in zip(("poor", "good"), PRINTED_ADC[feature], strict=True):
        printed = wang.printed_means.get((feature, group))
        assert printed is not None
        assert printed.text == text
        mean, sd = text.removesuffix(" mm²/s").split(" ± ")
        assert printed.value == pytest.approx(float(mean) / 1000, rel=1e-12)
        assert printed.sd == pytest.approx(float(sd) / 1000, rel=1e-12)
        assert printed.step == pytest.approx(0.01e-3, rel=1e-12)
        assert printed.is_unit_assumed
        assert printed.unit == "10⁻³ mm²/s"


def test_nothing_is_printed_for_fa_and_for_other_muscles(wang: PublishedStudy) -> None:
    assert wang.printed_means.get(("gracilis.fa", "poor")) is None
    assert wang.printed_means.get(("sartorius.md", "poor")) is None
    assert set(wang.printed_means) == {(feature, group) for feature in PRINTED_ADC for group in ("poor", "good")}
    assert len(wang.claim("adc_means").means) == len(wang.printed_means)


def test_directions_are_those_of_the_study(wang: PublishedStudy) -> None:
    fa, adc = wang.claim("fa_lower"), wang.claim("adc_lower")
    assert isinstance(fa, GroupDifference)
    assert isinstance(adc, GroupDifference)
    muscles = ("gluteus_maximus", "gracilis", "rectus_femoris", "adductor_magnus", "adductor_longus")
    assert fa.features == tuple(f"{muscle}.fa" for muscle in muscles)
    assert set(adc.features) == set(PRINTED_ADC)
    assert {(claim.group, claim.direction, claim.p) for claim in (fa, adc)} == {("poor", "lower", "< 0.05")}


def test_independent_factors_are_those_of_the_study(wang: PublishedStudy) -> None:
    claim = wang.claim("independent_factors")
    assert isinstance(claim, IndependentFactors)
    assert {factor.feature: factor.change for factor in claim.factors} == {
        "adductor_magnus.fa": "decrease",
        "adductor_magnus.md": "increase",
        "adductor_longus.fa": "decrease",
        "adductor_longus.md": "increase",
    }
    assert claim.p == "< 0.05"


def test_weakening_and_decrease_together_mean_a_positive_correlation_with_the_grade(wang: PublishedStudy) -> None:
    claim = wang.claim("weakening_correlates")
    assert isinstance(claim, CorrelationClaim)
    assert claim.sign_with_grade == 1
    assert read_coefficient(claim) == (None, None)


@pytest.mark.parametrize(
    ("outcome", "change", "sign", "expected"),
    [
        ("weakening", "decrease", "positive", 1),
        ("weakening", "increase", "positive", -1),
        ("strength", "decrease", "positive", -1),
        ("strength", "increase", "positive", 1),
        ("weakening", "decrease", "negative", -1),
    ],
)
def test_each_turned_word_turns_the_sign_of_a_correlation(
    made_up: PublishedStudy, outcome: str, change: str, sign: str, expected: int
) -> None:
    claim = made_up.claim("correlates")
    assert isinstance(claim, CorrelationClaim)
    assert claim.model_copy(update={"outcome": outcome, "change": change, "sign": sign}).sign_with_grade == expected


def test_auc_is_that_of_the_study_with_its_printed_digits(wang: PublishedStudy) -> None:
    auc = wang.printed_aucs.get("fa+md")
    assert auc is not None
    assert auc.value == 0.722
    assert auc.interval == Interval(0.6239, 0.821, 0.95)
    assert auc.step == pytest.approx(0.001)
    assert auc.text == "0.722 (95% CI 0.6239–0.821)"
    assert wang.printed_aucs_as_text == {"fa+md": auc.text}
    assert [claim.id for claim in wang.claims if isinstance(claim, AucClaim)] == ["auc_combined"]
    assert wang.printed_aucs.get("fa") is None


def test_combined_auc_is_compared_with_either_alone(wang: PublishedStudy) -> None:
    claim = wang.claim("combined_beats_alone")
    assert isinstance(claim, AucComparison)
    assert (claim.higher, claim.lower, claim.p) == ("fa+md", ("fa", "md"), "< 0.05")


def test_what_is_not_published_is_marked_as_assumed_with_a_reason(wang: PublishedStudy) -> None:
    assert len(wang.readings) == 6
    assert all(reading.assumed and reading.reason for reading in wang.readings)
    assumed = {claim.id for claim in wang.claims if wang.features_reading(claim.id)}
    assert assumed == {"weakening_correlates", "auc_combined", "combined_beats_alone"}


def test_every_muscle_of_the_study_is_named(wang: PublishedStudy) -> None:
    assert set(wang.muscles) == {
        "gluteus_maximus",
        "gracilis",
        "rectus_femoris",
        "adductor_magnus",
        "adductor_longus",
    }


def test_another_study_keeps_its_own_groups_units_and_digits(made_up: PublishedStudy) -> None:
    frail = made_up.printed_means.get(("vastus_lateralis.md", "poor"))
    assert frail is not None
    assert (frail.value, frail.sd, frail.n) == (1.7e-3, 1e-4, 20)
    assert frail.step == pytest.approx(1e-5)
    assert frail.text == "1.70 ± 0.1 µm²/ms"
    assert not frail.is_unit_assumed
    fa = made_up.printed_means.get(("sartorius.fa", "poor"))
    assert fa is not None
    assert (fa.value, fa.text) == (0.21, "0.210 ± 0.02")
    assert made_up.features_of("one_beats_other") == ("vastus_lateralis.md", "sartorius.fa")
    auc = made_up.printed_aucs.get("vastus_lateralis.md")
    assert auc is not None
    assert (auc.interval, auc.text) == (None, "0.80")


def test_means_are_listed_by_the_groups_of_new_data(made_up: PublishedStudy) -> None:
    assert made_up.printed_means_as_text == {
        ("vastus_lateralis.md", "poor"): "1.70 ± 0.1",
        ("vastus_lateralis.md", "good"): "1.5 ± 0.1",
        ("sartorius.fa", "poor"): "0.210 ± 0.02",
    }
    assert made_up.printed_units_in_words == "The published MD is printed in µm²/ms."
    assert made_up.printed_mean_values == {
        ("vastus_lateralis.md", "poor"): 1.7e-3,
        ("vastus_lateralis.md", "good"): 1.5e-3,
        ("sartorius.fa", "poor"): 0.21,
    }


def test_a_printed_correlation_is_turned_to_the_grade(made_up: PublishedStudy) -> None:
    claim = made_up.claim("correlates")
    assert isinstance(claim, CorrelationClaim)
    assert read_coefficient(claim) == (-0.45, Interval(-0.6, -0.27, 0.9))


def test_printed_directions_of_the_study_follow_its_claims(wang: PublishedStudy) -> None:
    fa, adc = wang.features_of("fa_lower"), wang.features_of("adc_lower")
    assert wang.printed_directions("difference") == dict.fromkeys((*fa, *adc), "lower, P < 0.05")
    read = wang.features_of("weakening_correlates")
    assert len(read) == 8
    assert wang.printed_directions("correlation") == dict.fromkeys(read, "positive, P < 0.05")
    assert wang.printed_directions("odds_ratio") == {
        "adductor_magnus.fa": "independent factor (lower FA), P < 0.05",
        "adductor_magnus.md": "independent factor (higher ADC), P < 0.05",
        "adductor_longus.fa": "independent factor (lower FA), P < 0.05",
        "adductor_longus.md": "independent factor (higher ADC), P < 0.05",
    }


def test_printed_directions_are_turned_to_poor_function_and_to_the_grade(made_up: PublishedStudy) -> None:
    # Lower in the robust is higher with poor function; weakening with a rise is a fall with the grade.
    assert made_up.printed_directions("difference") == {"vastus_lateralis.md": "higher, P < 0.001"}
    assert made_up.printed_directions("correlation") == {
        "vastus_lateralis.md": "negative, r = −0.45 (90% CI −0.60 to −0.27), P = 0.002"
    }
    assert made_up.printed_directions("odds_ratio") == {"sartorius.fa": "independent factor (lower FA)"}


def test_a_correlation_printed_with_strength_keeps_its_sign_and_digits(made_up_mapping: dict[str, Any]) -> None:
    made_up_mapping["claims"][4] |= {"outcome": "strength", "sign": "negative", "coefficient": "−0.45"}
    made_up_mapping["claims"][4]["interval"] = {"low": "-0.60", "high": "0.10", "level_percent": "90"}
    study = PublishedStudy.from_mapping(made_up_mapping, source="made_up.yaml")
    words = "negative, r = −0.45 (90% CI −0.60 to 0.10), P = 0.002"
    assert study.printed_directions("correlation") == {"vastus_lateralis.md": words}


def test_groups_that_stand_for_none_of_new_data_have_no_direction(made_up_mapping: dict[str, Any]) -> None:
    made_up_mapping["claims"][0]["versus"] = "between"
    made_up_mapping["claims"][3]["event"] = "between"
    study = PublishedStudy.from_mapping(made_up_mapping, source="made_up.yaml")
    assert study.printed_directions("difference") == {}
    assert study.printed_directions("odds_ratio") == {}


def test_an_unknown_kind_of_direction_is_answered_with_the_known_ones(made_up: PublishedStudy) -> None:
    with pytest.raises(PublishedError, match=r"found 'diference'; .* Did you mean 'difference'\?"):
        made_up.printed_directions("diference")  # type: ignore[arg-type]


def test_odds_ratios_are_printed_with_their_step(second: PublishedStudy) -> None:
    assert second.printed_directions("odds_ratio") == {
        "sartorius.fa": "independent factor (lower FA), odds ratio 0.75 (95% CI 0.64–0.88) per 0.01, P < 0.001",
        "vastus_lateralis.md": (
            "independent factor (higher MD), odds ratio 1.64 (95% CI 1.07–2.49) per 0.1 µm²/ms, P = 0.022"
        ),
    }


def test_an_odds_ratio_of_another_group_says_whose_it_is(made_up_mapping: dict[str, Any]) -> None:
    made_up_mapping["claims"][3]["factors"][0] |= {"odds_ratio": "1.4"}
    study = PublishedStudy.from_mapping(made_up_mapping, source="made_up.yaml")
    words = "independent factor (lower FA), odds ratio of robustness 1.4"
    assert study.printed_directions("odds_ratio") == {"sartorius.fa": words}


def test_names_are_written_as_a_sentence_can_name_them(wang: PublishedStudy, made_up: PublishedStudy) -> None:
    assert wang.in_words("adductor_longus.md") == "ADC (MD) of adductor longus"
    assert wang.in_words("fa+md") == "FA + ADC (MD)"
    assert wang.in_words("adductor_longus") == "adductor longus"
    assert made_up.in_words("vastus_lateralis.md") == "MD of vastus lateralis"


def _change(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    *parents, last = path.split("/")

    def change(mapping: Any) -> None:
        for part in parents:
            mapping = mapping[int(part)] if part.isdigit() else mapping[part]
        mapping[int(last) if last.isdigit() else last] = value

    return change


def _drop(path: str) -> Callable[[dict[str, Any]], None]:
    *parents, last = path.split("/")

    def drop(mapping: Any) -> None:
        for part in parents:
            mapping = mapping[int(part)] if part.isdigit() else mapping[part]
        del mapping[last]

    return drop


_ROW = {"feature": "vastus_lateralis.md", "group": "frail", "mean": "1.70", "sd": "0.1"}
_FACTOR = {"feature": "sartorius.fa", "change": "increase", "odds_ratio": "1.4", "per": "0.01"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            _change("claims/0/directoin", "lower"),
            r"^made_up.yaml: claims.stronger_lower.directoin: found 'directoin'; allowed: id, place, statement, "
            r"remark, kind, features, group, versus, direction, p, test\. Did you mean 'direction'\?$",
        ),
        (_change("titel", "x"), r"made_up.yaml: titel: found 'titel'; allowed: .* Did you mean 'title'\?"),
        (
            _drop("claims/0/place"),
            "made_up.yaml: claims.stronger_lower.place: found nothing; allowed: this field is needed.",
        ),
        (
            _change("claims/0/direction", "smaller"),
            "claims.stronger_lower.direction: found 'smaller'; allowed: 'lower' or 'higher'.",
        ),
        (
            _change("claims/1/means/0/mean", 1.7),
            "claims.means.means.1.mean: found 1.7; allowed: text, so put it in quotes, digit for digit as it is",
        ),
        (_change("claims/1/means/0/mean", "1,70"), "mean: found '1,70'; allowed: a number as printed, such as 1.02."),
        (_change("claims/1/means/0/sd", "0.0"), "sd: found '0.0'; allowed: a number above 0"),
        (_change("claims/1/unit", "mm2/s"), "claims.means.unit: found 'mm2/s'; allowed: '1', 'mm²/s'"),
        (
            _change("claims/1/unit", "1"),
            "claims.means.unit: found '1' for vastus_lateralis.md; allowed: a unit of diffus",
        ),
        (_change("claims/2/unit", "mm²/s"), "claims.fa_means.unit: found 'mm²/s' for sartorius.fa"),
        (_change("claims/1/means/1/group", "frail"), r"vastus_lateralis.md \(frail\) twice"),
        (_change("claims/0/features", ["vastus lateralis"]), "found 'vastus lateralis'; allowed: muscle.parameter"),
        (_change("claims/0/features", []), "claims.stronger_lower.features: found"),
        (
            _change("claims/0/kind", "group_diference"),
            r"kind: found 'group_diference'; .* Did you mean 'group_difference'\?",
        ),
        (_drop("claims/0/kind"), "claims.stronger_lower.kind: found nothing"),
        (
            _change("claims/0/group", "robusd"),
            r"group: found 'robusd'; allowed: frail, between, robust. Did you mean 'robust'\?",
        ),
        (
            _change("claims/3/event", "nobody"),
            "claims.factor_of_robustness.event: found 'nobody'; allowed: frail, between, ro",
        ),
        (_change("claims/0/p", "0,05"), "p: found '0,05'; allowed: P as printed, such as < 0.05."),
        (_change("claims/4/coefficient", "-0.45"), "coefficient: found '-0.45'; allowed: a positive number"),
        (
            _change("claims/4/interval/high", "0.40"),
            r"interval: found '0.45 \(0.27 to 0.40\)'; allowed: an interval within -1 to",
        ),
        (_drop("claims/4/coefficient"), "interval: found an interval alone"),
        (_drop("claims/4/features"), "claims.correlates.features: found no features"),
        (_change("claims/5/auc", "80"), "claims.auc_of_one.auc: found '80'; allowed: an area within 0 to 1."),
        (
            _change("claims/5/interval", {"low": "0.81", "high": "0.9", "level_percent": "95"}),
            r"interval: found '0.80 \(0.81 to 0.9\)'",
        ),
        (
            _change("claims/5/predictor", "fa-md"),
            "predictor: found 'fa-md'; allowed: muscle.parameter, or parameters such",
        ),
        (_change("claims/5/predictor", "fa+md"), "claims.auc_of_one.features: found no features"),
        (_change("claims/1/id", "fa_means"), "claims.fa_means.id: found 'fa_means' twice; allowed: each once."),
        (_change("groups/1/id", "frail"), "groups.frail.id: found 'frail' twice"),
        (_change("groups/1/stands_for", "poor"), "groups.between.stands_for: found 'poor' twice"),
        (_change("groups/0/n", 21), r"groups: found 21 \+ 30 \+ 40; allowed: groups that add up to design.n, 90."),
        (_change("groups/0/n", "20"), "groups.frail.n: found '20'; allowed: a whole number, without quotes."),
        (_change("claims", []), r"claims: found \[\]; allowed: at least one entry."),
        (_change("design", "walking"), "design: found 'walking'; allowed: fields, as in `name: value`."),
        (_change("design/analyses", "t test"), "design.analyses: found 't test'; allowed: a list."),
        (_change("design/n_tests", 0), "design.n_tests: found 0; allowed: input should be greater than 0."),
        (_change("design/correction", "holms"), "design.correction: found 'holms'; allowed: 'none stated', 'bonf"),
        (_drop("outcome"), "groups.frail.grades: found grades; allowed: grades only together with the outcome"),
        (_drop("groups/1/grades"), "groups.between.grades: found no grades; allowed: grades of the outcome for every"),
        (_change("groups/1/grades/highest", 6), "groups.between.grades: found 3 to 6; allowed: grades of the outcome"),
        (_change("groups/1/grades/lowest", 4), "groups.between.grades.lowest: found 4 to 3; allowed: lowest first"),
        (_change("claims/0/versus", "robust"), "versus: found 'robust'; allowed: another group than robust."),
        (_change("claims/0/p", "1.2"), "p: found '1.2'; allowed: P as printed"),
        (_change("claims/0/test", "anova"), "test: found 'anova'; allowed: 'student', 'welch', 'mann_whitney' or"),
        (_change("claims/1/means/0/p", "= 0.03"), "means.1.p: found p without versus; allowed: both or neither."),
        (_change("claims/1/means/0/versus", "robust"), "means.1.versus: found versus without p"),
        (
            _change("claims/1/means/0", {**_ROW, "versus": "frail", "p": "= 0.03"}),
            "means.1.versus: found 'frail'; allowed: another group than frail.",
        ),
        (
            _change("claims/1/means/0", {**_ROW, "versus": "frial", "p": "= 0.03"}),
            r"means.1.versus: found 'frial'; .* Did you mean 'frail'\?",
        ),
        (_change("claims/1/means/0/n", 21), "claims.means.means.1.n: found 21; allowed: at most 20 patients."),
        (_change("claims/1/spread", "sem"), "spread: found 'sem'; allowed: 'sd' or 'se'."),
        (
            _change("claims/3/factors/0/odds_ratio", "0.8"),
            "odds_ratio: found '0.8'; allowed: a number above 1, since an odds ratio is for an increase and",
        ),
        (_change("claims/3/factors/0/per", "0.01"), "per: found per alone; allowed: per together with its odds_ratio."),
        (
            _change("claims/3/factors/0", _FACTOR | {"interval": {"low": "1.5", "high": "2", "level_percent": "95"}}),
            r"interval: found '1.4 \(1.5 to 2\)'; allowed: an interval of at least 0 that contains the estimate.",
        ),
        (_change("claims/4/n", 91), "claims.correlates.n: found 91; allowed: at most 90 patients."),
        (_change("claims/5/n_event", 21), "claims.auc_of_one.n_event: found 21; allowed: at most 20 patients."),
        (_change("claims/5/n_other", 71), "claims.auc_of_one.n_other: found 71; allowed: at most 70 patients."),
        (_change("claims/4/interval/level_percent", "100"), "level_percent: found '100'; allowed: percent from 50 to"),
        (_change("claims/4/interval/level_percent", "0.95"), "level_percent: found '0.95'; allowed: percent from"),
        (_change("claims/4/interval/level_percent", "150"), "level_percent: found '150'; allowed: percent from"),
        (_change("claims/5/validation", "internal"), "validation: found 'internal'; allowed: 'apparent'"),
    ],
)
def test_a_wrong_file_says_where_what_was_found_and_what_is_allowed(
    made_up_mapping: dict[str, Any], damage: Callable[[dict[str, Any]], None], message: str
) -> None:
    damage(made_up_mapping)
    with pytest.raises(PublishedError, match=message) as raised:
        PublishedStudy.from_mapping(made_up_mapping, source="made_up.yaml")
    assert str(raised.value).startswith("made_up.yaml: ")
    assert "\n" not in str(raised.value)


def _features(claims: list[str], **values: object) -> dict[str, Any]:
    return {
        "kind": "features",
        "assumed": True,
        "reason": "not printed",
        "claims": claims,
        "features": ["sartorius.fa"],
    } | values


@pytest.mark.parametrize(
    ("readings", "message"),
    [
        ([_features(["correlate"])], r"found 'correlate'; allowed: .* Did you mean 'correlates'\?"),
        ([_features(["correlates"])], "claims.correlates.features: found features in more than one place"),
        ([_features(["correlates"], assumed=False)], "readings.1.assumed: found false; allowed: True."),
        ([_features(["correlates"], reason="")], "readings.1.reason: found ''; allowed: text that is not empty."),
        (
            [{"kind": "unit", "assumed": True, "reason": "x", "parameter": "md", "printed": "1", "read_as": "mm²/s"}]
            * 2,
            "readings.2.printed: found '1 for md' twice",
        ),
    ],
)
def test_a_wrong_reading_is_refused(made_up_mapping: dict[str, Any], readings: list[Any], message: str) -> None:
    with pytest.raises(PublishedError, match=message):
        PublishedStudy.from_mapping(made_up_mapping | {"readings": readings}, source="made_up.yaml")


def test_a_reading_that_misnames_its_claim_is_where_the_error_lies(made_up_mapping: dict[str, Any]) -> None:
    del made_up_mapping["claims"][4]["features"]
    made_up_mapping["readings"] = [_features(["corelates"])]
    with pytest.raises(PublishedError, match=r"readings\.1\.claims\.1: found 'corelates'; .* mean 'correlates'\?"):
        PublishedStudy.from_mapping(made_up_mapping, source="made_up.yaml")


@pytest.mark.parametrize("values", [None, {}, "text", [1]])
def test_a_file_that_is_no_mapping_or_empty_is_refused(values: object) -> None:
    with pytest.raises(PublishedError, match=r"^empty.yaml: found .* allowed: a mapping with id, citation"):
        PublishedStudy.from_mapping(values, source="empty.yaml")


def test_a_bare_date_is_refused(made_up_mapping: dict[str, Any]) -> None:
    made_up_mapping["design"]["period"] = date(2021, 1, 1)
    with pytest.raises(PublishedError, match=r"design\.period: found 2021-01-01; allowed: text, so put it in quotes"):
        PublishedStudy.from_mapping(made_up_mapping, source="made_up.yaml")


def test_muscles_are_held_against_the_registry(made_up_mapping: dict[str, Any]) -> None:
    registry = MuscleRegistry(
        (Muscle("vastus_lateralis", "Vastus lateralis", 1, 2), Muscle("sartorius", "Sartorius", 3, 4))
    )
    assert PublishedStudy.from_mapping(made_up_mapping, source="made_up.yaml", registry=registry).id == "made_up"
    made_up_mapping["claims"][5]["predictor"] = "vastus_lateralus.md"
    with pytest.raises(PublishedError, match=r"found 'vastus_lateralus'; .* Did you mean 'vastus_lateralis'\?"):
        PublishedStudy.from_mapping(made_up_mapping, source="made_up.yaml", registry=registry)


def test_an_unknown_claim_or_group_is_answered_with_the_known_ones(made_up: PublishedStudy) -> None:
    with pytest.raises(PublishedError, match=r"found 'fa_mean'; .* Did you mean 'fa_means'\?"):
        made_up.claim("fa_mean")
    with pytest.raises(PublishedError, match="found 'poor'; allowed: frail, between, robust"):
        made_up.group("poor")


def test_the_schema_that_editors_read_is_that_of_the_code() -> None:
    kept = (DATA / "published" / "schema.json").read_text(encoding="utf-8")
    now = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    assert kept == now, "Renew it: dtimuscle audit --schema > data/published/schema.json"


def test_the_schema_accepts_both_studies(wang_mapping: dict[str, Any], second_mapping: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    for mapping in (wang_mapping, second_mapping):
        jsonschema.validate(mapping, json_schema(), jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "damage",
    [
        _change("titel", "x"),
        _drop("citation"),
        _drop("claims/0/place"),
        _change("claims/0/directoin", "lower"),
        _change("claims/0/direction", "smaller"),
        _change("claims/0/features", []),
        _change("claims/0/features/0", "vastus lateralis"),
        _change("claims/0/kind", "group_diference"),
        _change("claims/0/p", "0,05"),
        _change("claims/0/id", "Lower"),
        _change("claims/1/means/0/mean", 1.7),
        _change("claims/1/means/0/mean", "1,70"),
        _change("claims/1/means/0/sd", "0.0"),
        _change("claims/1/unit", "mm2/s"),
        _change("groups/0/n", "20"),
        _change("groups/0/n", 1),
        _change("design/n_tests", 0),
        _change("readings", [{"kind": "unit", "assumed": False}]),
    ],
)
def test_the_schema_refuses_what_it_can_see(
    made_up_mapping: dict[str, Any], damage: Callable[[dict[str, Any]], None]
) -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    assert validator.is_valid(made_up_mapping)
    damage(made_up_mapping)
    assert not validator.is_valid(made_up_mapping)


def test_every_field_of_the_schema_is_described() -> None:
    schema = json_schema()
    parts = [schema, *schema["$defs"].values()]
    assert len(parts) == 18
    for part in parts:
        assert part["description"]
        assert part["additionalProperties"] is False
        assert all("description" in field for field in part["properties"].values())


def test_shipped_studies_name_the_schema_for_editors() -> None:
    for path in (DATA / "published").glob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=schema.json\n")


def test_groups_need_not_be_made_from_a_grade(made_up_mapping):
    del made_up_mapping["outcome"]
    for group in made_up_mapping["groups"]:
        del group["grades"]
    study = PublishedStudy.from_mapping(made_up_mapping, source="x.yaml")
    assert study.outcome is None
    assert [group.n for group in study.groups] == [20, 30, 40]
