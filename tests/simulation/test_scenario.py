import pytest
import yaml

from dtimuscle.errors import SimulationError
from dtimuscle.replication.published import PublishedStudy
from dtimuscle.simulation.anatomy import MUSCLES
from dtimuscle.simulation.scenario import Scenario
from dtimuscle.store import places

SHIPPED = ["published_means", "published_auc", "null", "degeneration"]


def read(name):
    values = yaml.safe_load((places.scenarios_folder() / f"{name}.yaml").read_text(encoding="utf-8"))
    return Scenario.from_mapping(values, source=name)


def test_the_scenarios_of_the_repository_are_those_that_are_tested():
    assert {file.stem for file in places.scenarios_folder().glob("*.yaml")} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_scenario_loads_and_names_every_muscle(name):
    scenario = read(name)
    assert scenario.name == name
    assert set(scenario.muscles) == set(MUSCLES)


def test_published_means_has_the_printed_values():
    values = yaml.safe_load((places.published_folder() / "wang_thigh_osteoporosis.yaml").read_text(encoding="utf-8"))
    PublishedStudy.from_mapping(values, source="published")
    scenario, text = read("published_means"), str(values)
    for muscle in ("gracilis", "adductor_magnus", "adductor_longus"):
        assert scenario.muscles[muscle].md.source
        for group in ("poor", "good"):
            moments = scenario.moments(muscle, "md", group)
            assert f"'{moments.mean * 1e3:.2f}'" in text
            assert f"'{moments.sd * 1e3:.2f}'" in text
    assert scenario.moments("adductor_longus", "md", "poor").mean == 1.04e-3
    assert scenario.moments("adductor_longus", "md", "good").sd == 0.34e-3


def test_nothing_differs_in_the_null_scenario():
    scenario = read("null")
    for law in scenario.muscles.values():
        assert law.fa.poor == law.fa.good
        assert law.md.poor == law.md.good
    for covariate in (scenario.covariates.age, scenario.covariates.bmi, scenario.covariates.t_score):
        assert covariate.poor == covariate.good
    assert scenario.share_female.poor == scenario.share_female.good
    assert scenario.grade.correlation_within_groups == 0


def test_degeneration_goes_the_way_of_the_regression():
    for law in read("degeneration").muscles.values():
        assert law.fa.poor.mean < law.fa.good.mean
        assert law.md.poor.mean > law.md.good.mean


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("mucsles",), {}, r"s\.yaml: mucsles: found 'mucsles'; allowed: .* Did you mean 'muscles'\?"),
        (("muscles", "gracilus"), {}, r"muscles\.gracilus\.fa: found nothing"),
        (("muscles", "gracilis", "fa", "poor", "sd"), 0, r"gracilis\.fa\.poor\.sd: found 0; allowed: .*greater"),
        (("muscles", "gracilis", "fa", "poor", "sd"), 0.5, r"muscles\.gracilis\.fa\.poor: .*SD 0\.5; .*0\.03 and 0\.7"),
        (("muscles", "gracilis", "md", "good", "mean"), 1.74, r"gracilis\.md\.good: found mean 1\.74 and SD"),
        (("muscles", "gracilis", "md", "source"), "", r"gracilis\.md: found neither; allowed: either a source"),
        (("bounds", "md", "high"), 3.5e-3, r"bounds\.md: found .*below 0\.003"),
        (("bounds", "fa", "low"), 0, r"bounds\.fa: found 0 to 0\.7 .*above 0"),
        (("bounds", "fa", "high"), 0.01, r"bounds\.fa: found low 0\.03 and high 0\.01; allowed: low below high"),
        (("bounds", "ad"), {}, r"bounds\.ad: found 'ad'; allowed: .*fa, md"),
        (("side_asymmetry", "value"), 0.3, r"side_asymmetry\.value: found 0\.3"),
        (("grade", "shares", "poor"), {0: 0.5, 4: 0.5}, r"grade\.shares\.poor: found .*; allowed: grades 0 to 3"),
        (("grade", "shares", "good"), {4: 0.5, 5: 0.4}, r"grade\.shares\.good: found .*add up to 1"),
        (("grade", "muscles"), ["gracillis"], r"grade\.muscles\.1: found 'gracillis'; .*Did you mean 'gracilis'\?"),
        (("grade", "muscles"), [], r"grade\.muscles: found \[\]"),
        (("covariates", "age", "poor", "mean"), 200, r"covariates\.age\.poor: found mean 200 .*50 and 95"),
        (("covariates", "heigth"), {}, r"covariates\.heigth: found 'heigth'; allowed: age, bmi"),
        (("share_female", "poor"), 80, r"share_female\.poor: found 80"),
        (("name",), None, r"name: found nothing; allowed: text\."),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(scenario_values, place, value, message):
    *path, name = place
    part = scenario_values
    for step in path:
        part = part[step]
    part[name] = value
    with pytest.raises(SimulationError, match=message) as caught:
        Scenario.from_mapping(scenario_values, source="s.yaml")
    assert "\n" not in str(caught.value)


def test_a_scenario_without_a_muscle_of_the_phantom_is_refused(scenario_values):
    del scenario_values["muscles"]["gracilis"]
    with pytest.raises(SimulationError, match=r"s\.yaml: muscles: found no gracilis; allowed: all of rectus_femoris"):
        Scenario.from_mapping(scenario_values, source="s.yaml")


def test_a_muscle_that_the_phantom_lacks_is_refused(scenario_values):
    scenario_values["muscles"]["gracillis"] = scenario_values["muscles"].pop("gracilis")
    with pytest.raises(
        SimulationError, match=r"muscles\.gracillis: found 'gracillis'; allowed: .*Did you mean 'gracilis'\?"
    ):
        Scenario.from_mapping(scenario_values, source="s.yaml")


@pytest.mark.parametrize("values", [None, ["muscles"], "null"])
def test_what_is_no_mapping_is_refused(values):
    with pytest.raises(SimulationError, match=r"s\.yaml: found .*; allowed: a mapping with name, statement"):
        Scenario.from_mapping(values, source="s.yaml")
