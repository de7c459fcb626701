"""How often the scenario in which nothing differs yields a P below 0.05.

Run from the clone's root: python benchmarks/null_scenario.py [--cohorts 200]

Values are those of the simulated patients before any scan, so that hundreds of cohorts take minutes.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from dtimuscle.running.studies import read_scenario
from dtimuscle.simulation.cohort import PARAMETERS, DrawnFeatures, draw_features
from dtimuscle.statistics.correlation import correlate_all_features
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.groups import compare_all_features
from dtimuscle.statistics.logistic import fit_logistic

N_POOR, N_GOOD, ALPHA = 31, 69, 0.05


def features_of(cohorts: DrawnFeatures, place: int) -> FeatureFrame:
    """Arrange the values of one cohort as notebook 04 does."""
    index = pd.RangeIndex(cohorts.is_poor.size, name="participant_id")
    return FeatureFrame(
        values=pd.DataFrame(cohorts.values[place], index, list(cohorts.features)),
        grade=pd.Series(cohorts.grades[place], index, dtype="Int64"),
        poor=pd.Series(cohorts.is_poor, index, dtype="boolean", name="poor"),
        covariates=pd.DataFrame(index=index),
    )


def main() -> None:
    """Draw the cohorts, test every feature, and write the shares beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=200)
    n = parser.parse_args().cohorts
    shares = []
    scenario = read_scenario("null")
    names = [f"{muscle}.{parameter}" for muscle in scenario.muscles for parameter in PARAMETERS]
    cohorts = draw_features(scenario, names, n_poor=N_POOR, n_good=N_GOOD, seeds=range(n))
    for place in range(n):
        features = features_of(cohorts, place)
        comparisons = compare_all_features(features)
        p_values = {
            "Student t": [item.p for item in comparisons],
            "Student t, Holm: any feature": [min(item.p_holm for item in comparisons)],
            "Pearson with the grade": [item.p for item in correlate_all_features(features)],
            "Univariate logistic (Wald)": [
                fit_logistic(features.values[[name]], features.poor).coefficients[0].p
                for name in features.values.columns
            ],
        }
        shares.append({test: float(np.mean(np.array(p) < ALPHA)) for test, p in p_values.items()})
    table = pd.DataFrame(shares)
    lines = [
        "# The scenario without any effect",
        "",
        f"`python benchmarks/null_scenario.py --cohorts {n}`",
        "",
        f"{n} cohorts of {N_POOR} + {N_GOOD} patients from `data/scenarios/null.yaml` (seeds 0 to {n - 1}),",
        "FA and MD of every muscle compared. A test that keeps its word calls 5% of them significant; the standard",
        "error is that of the mean over cohorts, whose features are correlated.",
        "",
        "| test | share with P < 0.05 | standard error |",
        "|---|---|---|",
        *(f"| {test} | {table[test].mean():.2%} | {table[test].sem():.2%} |" for test in table),
    ]
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
