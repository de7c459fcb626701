"""How often the kit's tests call chance an effect.

    python benchmarks/type_one_error.py [--cohorts 2000] [--seed 1]

Draws cohorts of 31 patients with poor and 69 with good muscle function in whom no feature has anything to do
with the grade, tests them, and writes the shares of P below 0.05 to benchmarks/type_one_error.md. A test that
keeps its word stays near 5 %.
"""

import argparse
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from scipy import stats

from dtimuscle.statistics.correlation import correlate_all_features
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.groups import compare_all_features
from dtimuscle.statistics.logistic import enter_by_p
from dtimuscle.statistics.roc import compare_aucs, delong_components

N_POOR, N_GOOD = 31, 69
FEATURES = ("adductor_longus.fa", "adductor_longus.md")
MEAN, SD = np.array([0.30, 1.7e-3]), np.array([0.03, 0.35e-3])
COVARIANCE = np.array([[1.0, 0.4], [0.4, 1.0]])  # of the standardised features; DeLong's test has to allow for it
N_DELONG = 5000
DELONG_SIZES = ((31, 69), (124, 276))
ALPHA = 0.05


def draw_null_cohort(rng: np.random.Generator) -> FeatureFrame:
    """Draw 31 + 69 patients whose features and grades are independent."""
    grade = np.concatenate([rng.integers(0, 4, N_POOR), rng.integers(4, 6, N_GOOD)])
    noise = rng.multivariate_normal([0, 0], COVARIANCE, size=grade.size)
    index = pd.Index([f"sub-{i:03d}" for i in range(grade.size)], name="participant_id")
    values = pd.DataFrame(MEAN + SD * noise, index=index, columns=list(FEATURES))
    grades = pd.Series(grade, index=index, dtype="Int64")
    return FeatureFrame(values, grades, (grades < 4).astype("boolean"), values[[]])


def p_values(features: FeatureFrame) -> dict[str, float]:
    """Test one cohort in every way."""
    first = compare_all_features(features)
    entry = enter_by_p(features, entry_p=ALPHA)
    fa, md = (features.values[name] for name in FEATURES)
    return {
        "Student t, one feature": first[0].p,
        "Welch t, one feature": first[0].p_welch,
        "Student t, Holm, any of two features": min(comparison.p_holm for comparison in first),
        "Pearson correlation with the grade": correlate_all_features(features)[0].p,
        "univariate logistic regression (Wald)": entry.univariate[0].coefficients[0].p,
        "DeLong's paired test of two AUCs": compare_aucs(fa, md, features.poor, names=("fa", "md")).p,
    }


def delong_share(rng: np.random.Generator, *, n_events: int, n_controls: int) -> float:
    """Share of cohorts of one size in which DeLong's paired test is significant."""
    is_event = np.arange(n_events + n_controls) < n_events
    significant = 0
    for _ in range(N_DELONG):
        scores = rng.multivariate_normal([0, 0], COVARIANCE, size=is_event.size).T
        components = delong_components(scores, is_event)
        difference = components.auc[0] - components.auc[1]
        z = difference / np.sqrt(components.variance_of(np.array([1.0, -1.0])))
        significant += 2 * stats.norm.sf(abs(z)) < ALPHA
    return significant / N_DELONG


def report(shares: pd.Series, delong: dict[str, float], *, n_cohorts: int, seed: int) -> str:
    """Write the result as a page of Markdown."""
    half_width = 1.96 * np.sqrt(ALPHA * (1 - ALPHA) / n_cohorts)
    sizes = ", ".join(f"{share:.1%} with {size}" for size, share in delong.items())
    rows = "\n".join(f"| {name} | {share:.2%} |" for name, share in shares.items())
    return f"""# Type I error

`python benchmarks/type_one_error.py --cohorts {n_cohorts} --seed {seed}`

{n_cohorts} cohorts of {N_POOR} + {N_GOOD} patients with normally distributed features that have nothing to do with
the grade. A test that keeps its word calls {ALPHA:.0%} of them significant; sampling alone moves that share by
± {half_width:.1%}.

| test | P < {ALPHA} |
|---|---|
{rows}

DeLong's test rests on large samples. Alone, over {N_DELONG} cohorts each: {sizes}.
"""


def main() -> None:
    """Draw, test, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    start = perf_counter()
    streams = np.random.default_rng(options.seed).spawn(options.cohorts)
    found = pd.DataFrame([p_values(draw_null_cohort(stream)) for stream in streams])
    rng = np.random.default_rng(options.seed)
    delong = {f"{m} + {n}": delong_share(rng, n_events=m, n_controls=n) for m, n in DELONG_SIZES}
    text = report((found < ALPHA).mean(), delong, n_cohorts=options.cohorts, seed=options.seed)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    sys.stdout.write(f"{text}\n{perf_counter() - start:.0f} s\n")


if __name__ == "__main__":
    main()
