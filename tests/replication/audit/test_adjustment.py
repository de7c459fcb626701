import math

import numpy as np
import pytest

from dtimuscle.replication.audit.adjustment import ADJUSTMENT, turning_region
from dtimuscle.replication.audit.findings import Severity
from dtimuscle.replication.published import PublishedStudy


def adjusted_weight(d_adjusted: float, d_adjusting: float, correlation: float) -> float:
    """Weight of a feature in the linear discriminant of two, in its own SDs."""
    return (d_adjusted - correlation * d_adjusting) / (1 - correlation**2)


def joint_auc(d_adjusted: float, d_adjusting: float, correlation: float) -> float:
    """AUC of two normal features together, from their Mahalanobis distance."""
    square = d_adjusted**2 + d_adjusting**2 - 2 * correlation * d_adjusted * d_adjusting
    return 0.5 * math.erfc(-math.sqrt(square / (1 - correlation**2)) / 2)


def findings(study):
    return ADJUSTMENT.run(study, None).findings


def model(*features):
    rows = [{"feature": feature, "change": change} for feature, change in features]
    return {"id": "model", "kind": "independent_factors", "event": "weak", "factors": rows}


def test_the_sign_turns_at_the_curve_and_not_before():
    region = turning_region(1.2, np.linspace(0.05, 4.05, 41))
    assert min(region.d_adjusting) > 1.2
    for d, r, auc in zip(region.d_adjusting, region.correlation, region.auc, strict=True):
        assert adjusted_weight(1.2, d, r - 1e-6) > 0 > adjusted_weight(1.2, d, r + 1e-6)
        assert joint_auc(1.2, d, r) == pytest.approx(auc)
        assert auc > 0.5 * math.erfc(-1.2 / 2)
    assert list(region.correlation) == sorted(region.correlation, reverse=True)


def test_two_features_never_turn_each_other():
    for d1, d2, r in np.random.default_rng(1).uniform([0.1, 0.1, -0.99], [3, 3, 0.99], (2000, 3)):
        assert max(adjusted_weight(d1, d2, r), adjusted_weight(d2, d1, r)) > 0


def test_the_weight_is_that_of_a_logistic_regression_of_normal_values():
    rng = np.random.default_rng(6)
    n, d1, d2, r = 40_000, 1.5, 0.5, 0.6
    values = rng.multivariate_normal([0, 0], [[1, r], [r, 1]], 2 * n)
    values[:n] += (d1, d2)
    outcome = np.r_[np.ones(n), np.zeros(n)]
    design = np.column_stack([np.ones(2 * n), values])
    beta = np.zeros(3)
    for _ in range(12):
        p = 1 / (1 + np.exp(-design @ beta))
        beta += np.linalg.solve((design * (p * (1 - p))[:, None]).T @ design, design.T @ (outcome - p))
    assert beta[2] == pytest.approx(adjusted_weight(d2, d1, r), abs=0.04)
    assert beta[2] < 0


def test_the_shipped_study_would_need_a_model_above_its_printed_auc(wang):
    (finding,) = findings(wang)
    assert finding.severity is Severity.UNLIKELY
    assert finding.claims == ("independent_factors", "adc_means", "auc_combined")
    numbers = {quantity.name: quantity.value for quantity in finding.sentence.quantities}
    assert numbers["auc_least"] == pytest.approx(0.907, abs=1e-3)
    assert numbers["auc_printed"] == 0.722
    assert len(finding.steps) == 3
    assert {way.resolves for way in finding.ways_out} == {"in part"}


def test_without_a_printed_auc_it_is_a_note(wang_mapping):
    wang_mapping["claims"] = [
        claim for claim in wang_mapping["claims"] if claim["kind"] not in ("auc", "auc_comparison")
    ]
    wang_mapping["readings"] = [
        reading for reading in wang_mapping["readings"] if "auc_combined" not in reading.get("claims", [])
    ]
    (finding,) = findings(PublishedStudy.from_mapping(wang_mapping, source="study.yaml"))
    assert finding.severity is Severity.NOTE
    assert {way.resolves for way in finding.ways_out} == {"yes"}


def test_a_feature_that_keeps_its_sign_is_examined_without_finding(study_of, means_of):
    means = means_of(features={"sartorius.md": ("1.20 ± 0.20", "1.60 ± 0.20")})
    study = study_of(means, model(("sartorius.md", "decrease"), ("sartorius.fa", "decrease")))
    assert ADJUSTMENT.run(study, None).examined == ("MD of sartorius, alone and in a model",)
    assert findings(study) == ()


def test_a_model_of_one_feature_adjusts_nothing(study_of, means_of):
    means = means_of(features={"sartorius.md": ("1.20 ± 0.20", "1.60 ± 0.20")})
    assert ADJUSTMENT.run(study_of(means, model(("sartorius.md", "increase"))), None).examined == ()
