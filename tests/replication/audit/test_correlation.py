import math

import numpy as np
import pytest
from scipy import stats

from dtimuscle.replication.audit.correlation import CORRELATIONS, correlation_p, fisher_interval, patients_for_p
from dtimuscle.replication.audit.findings import Severity
from dtimuscle.replication.printed import printed_p


def correlation(coefficient="0.45", **more):
    claim = {
        "id": "r",
        "kind": "correlation",
        "features": ["sartorius.md"],
        "outcome": "strength",
        "change": "increase",
    }
    return claim | {"sign": "negative" if coefficient[0] in "-−" else "positive", "coefficient": coefficient} | more


def interval(low, high, level="95"):
    return {"low": low, "high": high, "level_percent": level}


def ratio(odds_ratio, low, high, **more):
    factor = {"feature": "sartorius.md", "change": "increase" if float(odds_ratio) > 1 else "decrease"}
    factor |= {"odds_ratio": odds_ratio, "interval": interval(low, high)} | more
    return {"id": "model", "kind": "independent_factors", "event": "weak", "factors": [factor]}


def findings(study):
    return CORRELATIONS.run(study, None).findings


def test_p_is_that_of_pearsons_test():
    values = np.random.default_rng(1).normal(size=(2, 40))
    found = stats.pearsonr(*values)
    assert correlation_p(found.statistic, 40) == pytest.approx(found.pvalue)
    ends = found.confidence_interval(0.9)
    interval = fisher_interval(found.statistic, 40, level=0.9)
    assert (interval.low, interval.high) == pytest.approx((ends.low, ends.high))


@pytest.mark.parametrize(
    ("claim", "n"),
    [
        (correlation(p="< 0.001"), 0),
        (correlation(p="= 0.002"), 1),
        (correlation("−0.20", p="= 0.046"), 0),
        (correlation("0.2", p="= 0.02"), 0),  # 0.15 to 0.25
        (correlation("0.20", p="= 0.02"), 1),
        (correlation("0.05", p="< 0.05"), 1),
        (correlation("0.05", p="> 0.05"), 0),
        (correlation("0.0", p="= 0.9"), 0),
        (correlation("1.00", p="< 0.001"), 0),
        (correlation(p="= 0.002", method="kendall"), 0),
        (correlation("0.45", n=45, p="= 0.002"), 0),
    ],
)
def test_p_must_follow_from_the_coefficient(study_of, claim, n):
    if claim["coefficient"] == "0.0":
        claim["sign"] = "negative"
    found = findings(study_of(claim))
    assert [finding.severity for finding in found] == [Severity.INCONSISTENT] * n


@pytest.mark.parametrize("claim", [correlation("0.45", interval=interval("0.28", "0.59")),
                                   correlation("0.45", interval=interval("0.31", "0.57", "90"))])  # fmt: skip
def test_fishers_interval_is_no_finding(study_of, claim):
    assert findings(study_of(claim)) == ()


def test_another_interval_is_a_note(study_of):
    (finding,) = findings(study_of(correlation("0.45", interval=interval("0.10", "0.70"))))
    assert finding.severity is Severity.NOTE


def test_the_number_of_patients_that_gives_a_p_is_found():
    fewest, most = patients_for_p((0.445, 0.455), printed_p("= 0.002"))
    assert correlation_p(0.455, fewest) <= 0.0025 < correlation_p(0.455, fewest - 1)
    assert correlation_p(0.445, most) >= 0.0015 > correlation_p(0.445, most + 1)
    assert patients_for_p((0.0, 0.0), printed_p("< 0.05")) is None


@pytest.mark.parametrize(
    ("claim", "severity", "words"),
    [
        (ratio("2.50", "1.12", "5.58", p="= 0.025"), None, ""),
        (ratio("2.50", "1.12", "5.58", p="< 0.001"), Severity.INCONSISTENT, "does not follow"),
        (ratio("2.50", "1.12", "5.58", p="= 0.018"), Severity.NOTE, "does not follow"),
        (ratio("2.50", "1.12", "9.90"), Severity.NOTE, "uneven"),
        (ratio("0.4", "0.2", "0.8", p="< 0.05"), None, ""),
        (ratio("1.0", "1.0", "1.0"), None, ""),
    ],
)
def test_odds_ratios_are_held_against_their_interval(study_of, claim, severity, words):
    found = findings(study_of(claim))
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    assert all(words in finding.title for finding in found)


def test_nothing_printed_is_nothing_examined(wang):
    assert CORRELATIONS.run(wang, None).examined == ()
    assert math.isclose(correlation_p(1.0, 5), 0)
