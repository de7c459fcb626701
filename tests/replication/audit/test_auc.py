import math

import numpy as np
import pytest

from dtimuscle.replication.audit.auc import INTERVALS, error_bounds, implied_error, normal_auc_error, scaled_sizes
from dtimuscle.replication.audit.findings import Severity
from dtimuscle.replication.printed import rounded_number
from dtimuscle.replication.published import PublishedStudy
from dtimuscle.statistics.auc import delong_components, delong_interval, logit_delong_interval
from dtimuscle.statistics.power import auc_standard_error


def study_with(mapping, **auc):
    mapping["claims"] = [claim for claim in mapping["claims"] if claim["kind"] != "auc"] + [
        {"id": "area", "kind": "auc", "place": "Figure", "statement": "It tells.", "predictor": "sartorius.fa"} | auc
    ]
    return PublishedStudy.from_mapping(mapping, source="study.yaml")


def interval(low, high, level="95"):
    return {"low": low, "high": high, "level_percent": level}


def scores(rng, index):
    """Small samples, smooth and tied, separated and reversed."""
    n_event, n_other = (int(n) for n in rng.integers(2, 12, 2))
    highest = 3 + index % 5 if index % 2 else 10**6
    values = rng.integers(0, highest, n_event + n_other).astype(float)
    if index % 3 == 0:
        values[:n_event] += rng.integers(0, highest)
    if index % 7 == 0:
        values[:n_event] = rng.choice([0.0, float(highest)], n_event)
    return values, n_event, n_other


def test_no_sample_has_a_standard_error_outside_the_bounds():
    rng = np.random.default_rng(5)
    n_seen = 0
    for index in range(300):
        values, n_event, n_other = scores(rng, index)
        components = delong_components(values[None], np.arange(values.size) < n_event)
        auc = float(components.auc[0])
        if not 0 < auc < 1:
            continue
        bounds = error_bounds(auc, n_event=n_event, n_other=n_other)
        delong = math.sqrt(components.variance_of(np.ones(1)))
        plug_in = math.sqrt(components.events.var() / n_event + components.controls.var() / n_other)
        is_tied = bool(set(values[:n_event]) & set(values[n_event:]))
        assert plug_in >= (bounds.lowest if is_tied else bounds.lowest_without_ties) - 1e-9
        assert delong <= bounds.highest + 1e-9
        n_seen += 1
    assert n_seen > 200


def test_the_bounds_are_reached():
    # All events between the same controls: the largest variance. Evenly interleaved halves: nearly the smallest.
    apart = delong_components(np.array([[1.0] * 4 + [0.0] * 40 + [2.0] * 40]), np.arange(84) < 4)
    bounds = error_bounds(float(apart.auc[0]), n_event=80, n_other=80)
    assert apart.controls.var() == pytest.approx(0.25)
    assert bounds.highest == pytest.approx(math.sqrt(0.25 / 79), rel=0.04)
    n = 400
    even = delong_components(np.r_[np.arange(n) + 0.5, np.arange(n)][None], np.arange(2 * n) < n)
    smallest = error_bounds(float(even.auc[0]), n_event=n, n_other=n).lowest_without_ties
    plug_in = math.sqrt(even.events.var() / n + even.controls.var() / n)
    assert smallest <= plug_in <= smallest * 1.01


def test_the_exact_standard_error_is_that_of_simulated_samples():
    rng = np.random.default_rng(2)
    n_studies = 4000
    events, others = rng.normal(1.0, 0.5, (n_studies, 12)), rng.normal(0.0, 1.2, (n_studies, 20))
    areas = (events[:, :, None] > others[:, None, :]).mean(axis=(1, 2))
    assert normal_auc_error(1.0, (0.5, 1.2), (12, 20)) == pytest.approx(areas.std(), rel=0.04)


def test_hanley_mcneil_are_undone_by_the_size_that_gives_an_error():
    error = auc_standard_error(0.8, n_poor=62, n_good=138)
    assert scaled_sizes(0.8, error, n_event=31, n_other=69) == pytest.approx(2, rel=1e-9)


@pytest.mark.parametrize(("make", "scale"), [(delong_interval, "linear"), (logit_delong_interval, "logit")])
def test_the_scale_and_error_of_an_interval_are_found_again(make, scale):
    made = make(0.812, 0.05**2)
    numbers = [rounded_number(f"{value:.4f}") for value in (0.812, made.low, made.high)]
    implied = implied_error(*numbers, level=0.95)
    found = implied.linear if scale == "linear" else implied.logit
    assert implied.scale == scale
    assert found.value == pytest.approx(0.05, abs=2e-4)
    assert found.rounding.low <= 0.05 <= found.rounding.high


def test_an_interval_that_is_cut_off_at_one_is_read_from_its_other_half():
    numbers = [rounded_number(text) for text in ("0.95", "0.87", "1.00")]
    implied = implied_error(*numbers, level=0.95)
    assert implied.scale == "unknown"
    assert implied.linear.value == pytest.approx(0.08 / 1.959964, rel=1e-5)


def test_the_shipped_study_has_a_possible_interval(wang):
    result = INTERVALS.run(wang, None)
    assert result.examined == ("Interval of the AUC of FA + ADC (MD)",)
    assert result.findings == ()


@pytest.mark.parametrize(
    ("auc", "ends", "severity", "words"),
    [
        ("0.72", ("0.71", "0.73"), Severity.INCONSISTENT, "narrower"),
        ("0.720", ("0.580", "0.860"), None, ""),
        ("0.72", ("0.65", "0.79"), Severity.UNLIKELY, "without equal values"),
        ("0.72", ("0.05", "1.00"), Severity.INCONSISTENT, "wider"),
        ("0.72", ("0.50", "0.78"), Severity.NOTE, "no usual scale"),
        ("0.720", ("0.720", "0.720"), Severity.INCONSISTENT, "narrower"),
    ],
)
def test_intervals_are_judged(made_up_mapping, auc, ends, severity, words):
    study = study_with(made_up_mapping, auc=auc, interval=interval(*ends))
    findings = INTERVALS.run(study, None).findings
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    assert all(words in finding.title for finding in findings)


def test_an_interval_without_width_allows_no_negative_error(made_up_mapping):
    study = study_with(made_up_mapping, auc="0.720", interval=interval("0.720", "0.720"))
    (finding,) = INTERVALS.run(study, None).findings
    errors = [item for step in finding.steps for item in step.quantities if item.kind == "standard_error"]
    assert all(item.rounding is None or item.rounding.low >= 0 for item in errors)


@pytest.mark.parametrize(("p", "n"), [("< 0.001", 0), ("= 0.0003", 0), ("= 0.8", 1), ("> 0.05", 1)])
def test_a_p_of_an_auc_must_be_possible(made_up_mapping, p, n):
    study = study_with(made_up_mapping, auc="0.78", p=p)
    assert len(INTERVALS.run(study, None).findings) == n


@pytest.mark.parametrize("auc", ["0.5", "1.00", "0", "0.3"])
def test_extreme_areas_give_no_conflict(made_up_mapping, auc):
    value = float(auc)
    study = study_with(
        made_up_mapping,
        auc=auc,
        interval=interval(f"{max(value - 0.15, 0):.2f}", f"{min(value + 0.15, 1):.2f}"),
        p="= 0.9",
    )
    assert not any(
        "Interval" in finding.title for finding in INTERVALS.run(study, None).findings if finding.is_conflict
    )
