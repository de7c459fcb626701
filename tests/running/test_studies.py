import os
import re

import pytest

from dtimuscle.errors import DtiMuscleError, PublishedError, SimulationError
from dtimuscle.replication.published import PublishedStudy
from dtimuscle.running.studies import read_protocol, read_published, read_scenario
from dtimuscle.store import places
from dtimuscle.store.files import read_yaml_with_lines
from dtimuscle.store.registry import read_registry


def read_without_the_kit_around(name):
    values, lines = read_yaml_with_lines(name)
    return PublishedStudy.from_mapping(values, source=str(name), lines=lines, registry=read_registry())


READERS = [lambda path: read_published(str(path)), read_without_the_kit_around]


@pytest.fixture(scope="module")
def wang_text():
    return (places.published_folder() / "wang_thigh_osteoporosis.yaml").read_text(encoding="utf-8")


# What is replaced in the study that the kit ships, by what, what the line that is named contains, and what is said.
WRONG = [
    # The form of a field.
    (
        'mean: "1.02", sd: "0.34"',
        'mean: "1.02", sd: "0"',
        'sd: "0"',
        "claims.adc_means.means.1.sd: found '0'; allowed: a number above 0 as printed, such as 0.34.",
    ),
    (
        'mean: "1.76"',
        "mean: 1.76",
        "mean: 1.76",
        "claims.adc_means.means.4.mean: found 1.76; allowed: text, so put it in quotes, digit for digit as it is",
    ),
    (
        "period: January 2021 to January 2024",
        "period: 2021-01-01",
        "period:",
        "design.period: found 2021-01-01; allowed: text, so put it in quotes, digit for digit as it is printed.",
    ),
    ('auc: "0.722"', "auc:", "auc:", "claims.auc_combined.auc: found nothing; allowed: text."),
    ("n: 100", 'n: "100"', 'n: "100"', "design.n: found '100'; allowed: a whole number, without quotes."),
    ("kind: retrospective", 'kind: ""', 'kind: ""', "design.kind: found ''; allowed: text that is not empty."),
    (
        "direction: lower\n    p",
        "direction: less\n    p",
        "direction: less",
        "claims.fa_lower.direction: found 'less'; allowed: 'lower' or 'higher'.",
    ),
    (
        "unit: mm²/s",
        "unit: mm2/s",
        "unit: mm2/s",
        "claims.adc_means.unit: found 'mm2/s'; allowed: '1', 'mm²/s', '10⁻³ mm²/s', 'µm²/ms' or '10⁻⁶ mm²/s'.",
    ),
    (
        "gluteus_maximus.fa, gracilis.fa",
        "gluteus_maximus.fa, gracilis fa",
        "features: [gluteus_maximus.fa",
        "claims.fa_lower.features.2: found 'gracilis fa'; allowed: muscle.parameter, such as adductor_longus.md (fa,",
    ),
    ("outcome:\n  name", "outcome: grade\nfields:\n  name", "fields:", "fields: found 'fields'; allowed: id, citation"),
    ("factors:\n", "factors: []\n    others:\n", "others:", "claims.independent_factors.others: found 'others'"),
    (
        "lower: [fa, md]",
        "lower: []",
        "lower: []",
        "claims.combined_beats_alone.lower: found []; allowed: at least one entry.",
    ),
    ("lower: [fa, md]", "lower: fa", "lower: fa", "claims.combined_beats_alone.lower: found 'fa'; allowed: a list."),
    (
        "assumed: true\n    parameter: md",
        "assumed: false\n    parameter: md",
        "assumed: false",
        "readings.4.assumed: found false; allowed: True.",
    ),
    # Fields that are unknown or missing.
    (
        "    direction: lower\n    p",
        "    directoin: lower\n    p",
        "directoin",
        "claims.fa_lower.directoin: found 'directoin'; allowed: id, place, statement, remark, kind, features, group, "
        "versus, direction, p, test. Did you mean 'direction'?",
    ),
    ("title: MR", "titel: MR", "titel:", "titel: found 'titel'; allowed: id, citation, title"),
    ("    unit: mm²/s\n", "", "id: adc_means", "claims.adc_means.unit: found nothing; allowed: this field is needed."),
    (
        'feature: gracilis.md, group: poor, mean: "1.02", ',
        "feature: gracilis.md, group: poor, ",
        "gracilis.md, group: poor",
        "claims.adc_means.means.1.mean: found nothing; allowed: this field is needed.",
    ),
    ("citation: Wang et al.\n", "", "id: wang_thigh", "citation: found nothing; allowed: this field is needed."),
    # Kinds.
    (
        "    kind: auc\n",
        "    kind: acu\n",
        "kind: acu",
        "claims.auc_combined.kind: found 'acu'; allowed: group_difference",
    ),
    (
        "    kind: auc\n",
        "",
        "id: auc_combined",
        "claims.auc_combined.kind: found nothing; allowed: this field is needed.",
    ),
    # Parts that contradict each other.
    ("n: 31", "n: 30", "groups:", "groups: found 30 + 69; allowed: groups that add up to design.n, 100."),
    (
        "id: adc_lower",
        "id: fa_lower",
        "id: fa_lower\n    kind: group_difference\n    place: abstract\n    statement: ADC",
        "claims.fa_lower.id: found 'fa_lower' twice; allowed: each once.",
    ),
    (
        "stands_for: good",
        "stands_for: poor",
        "stands_for: poor\n    grades: {lowest: 4",
        "groups.good.stands_for: found 'poor' twice",
    ),
    (
        "grades: {lowest: 4, highest: 5}",
        "grades: {lowest: 4, highest: 6}",
        "highest: 6",
        "groups.good.grades: found 4 to 6; allowed: grades of the outcome, 0 to 5.",
    ),
    (
        '    versus: good\n    direction: lower\n    p: "< 0.05"\n\n  - id: adc_means',
        '    versus: goof\n    direction: lower\n    p: "< 0.05"\n\n  - id: adc_means',
        "goof",
        "claims.adc_lower.versus: found 'goof'; allowed: poor, good. Did you mean 'good'?",
    ),
    ("event: poor", "event: bad", "event: bad", "claims.independent_factors.event: found 'bad'; allowed: poor, good."),
    (
        'group: good, mean: "1.74"',
        'group: poor, mean: "1.74"',
        'mean: "1.74"',
        "claims.adc_means.means.2: found gracilis.md (poor) twice; allowed: one entry for each feature and group.",
    ),
    (
        'low: "0.6239"',
        'low: "0.7239"',
        "interval: {low",
        "claims.auc_combined.interval: found '0.722 (0.7239 to 0.821)'; allowed: an interval within 0 to 1 that",
    ),
    (
        "    claims: [weakening_correlates]",
        "    claims: [weakening_correlate]",
        "    claims: [weakening_correlate]",
        "readings.5.claims.1: found 'weakening_correlate'; allowed: fa_lower, adc_lower,",
    ),
    (
        "    claims: [auc_combined, combined_beats_alone]",
        "    claims:\n      - auc_combined\n      - combined_beats_alone\n      - auc_alone",
        "- auc_alone",
        "readings.6.claims.3: found 'auc_alone'; allowed: fa_lower, adc_lower, adc_means",
    ),
    (
        "predictor: fa+md",
        "predictor: fa+md\n    n_event: 32",
        "n_event: 32",
        "claims.auc_combined.n_event: found 32; allowed: at most 31 patients.",
    ),
    # Muscles that the registry lacks.
    (
        "factors:\n      - {feature: adductor_magnus.fa",
        "factors:\n      - {feature: aductor_magnus.fa",
        "aductor_magnus.fa",
        "claims.independent_factors.factors.1.feature: found 'aductor_magnus'; allowed: a muscle of the registry: glu",
    ),
    (
        "read_as: adductor_longus",
        "read_as: adductor",
        "read_as: adductor\n",
        "readings.3.read_as: found 'adductor'; all",
    ),
    # Not YAML, or not what a study is.
    (
        "citation: Wang et al.",
        "citation: Wang: et al.",
        "citation:",
        "not valid YAML (mapping values are not allowed here).",
    ),
    ("n: 100", "n: 100\n  n: 31", "n: 31\n  predictors", "design.n: found twice; allowed: once (line 18 has it)."),
]


def line_with(text, needle):
    """Number of the line that the needle begins in."""
    return text[: text.index(needle)].count("\n") + 1


@pytest.mark.parametrize("read", READERS, ids=["by name", "by itself"])
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong[-1].partition(";")[0])
def test_a_wrong_study_is_answered_with_file_line_field_found_and_allowed(tmp_path, wang_text, read, wrong):
    old, new, needle, message = wrong
    assert old in wang_text
    text = wang_text.replace(old, new, 1)
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DtiMuscleError) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}, line {line_with(text, needle)}: {message}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("read", READERS, ids=["by name", "by itself"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r": found an empty file; allowed: a mapping with id, citation, title, source, design"),
        ("# only a comment\n", r": found an empty file; allowed: a mapping with id"),
        ("# a list\n- 1\n- 2\n", r", line 2: holds a list, not names and values \(`name: value`\)\."),
        ("nothing but text\n", r", line 1: holds a str, not names and values"),
        ("id: [a\n", r", line 2: not valid YAML \(.*\)\."),
    ],
)
def test_a_file_that_is_no_study_at_all_is_said_to_be_so(tmp_path, read, text, message):
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DtiMuscleError, match=f"^{re.escape(str(path))}{message}"):
        read(path)


@pytest.mark.parametrize(
    ("read", "file", "old", "new", "message"),
    [
        (
            read_scenario,
            places.scenarios_folder() / "null.yaml",
            "sd: 0.04",
            "sd: 0.4",
            "muscles.gluteus_maximus.fa.poor: found mean 0.24 and SD 0.4; allowed: what fits between the bounds",
        ),
        (
            read_scenario,
            places.scenarios_folder() / "null.yaml",
            "gracilis:",
            "gracillis:",
            "muscles.gracillis: found 'gracillis'; allowed:",
        ),
        (
            read_protocol,
            places.protocols_folder() / "thigh_3t.yaml",
            "n_directions: {value: 12",
            "n_directions: {value: 5",
            "n_directions.value: found 5; allowed: at least 6, which a tensor needs.",
        ),
    ],
)
def test_scenarios_and_protocols_are_answered_alike(tmp_path, read, file, *, old, new, message):
    text = file.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "wrong.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SimulationError) as raised:
        read(str(path))
    assert str(raised.value).startswith(f"{path}, line {line_with(text, old)}: {message}")


def test_the_kind_of_error_tells_what_kind_of_file_is_wrong(tmp_path):
    (tmp_path / "a.yaml").write_text("id: A\n")
    with pytest.raises(PublishedError):
        read_published(os.fspath(tmp_path / "a.yaml"))
    with pytest.raises(SimulationError):
        read_scenario(os.fspath(tmp_path / "a.yaml"))
