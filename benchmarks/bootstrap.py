"""How long the stratified bootstrap of an AUC and of a paired difference takes.

Run from the clone's root: python benchmarks/bootstrap.py [--resamples 10000] [--runs 5]

The scores are normally distributed draws; nothing but their number matters for the time.
"""

import argparse
import platform
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import pandas as pd
import scipy

from dtimuscle.statistics.bootstrap import BAND, bootstrap_aucs

SIZES = ((31, 69), (310, 690), (1550, 3450))


def draw_scores(n_poor: int, n_good: int, *, n_scores: int) -> tuple[pd.DataFrame, pd.Series]:
    """Draw scores of two overlapping groups."""
    poor = np.arange(n_poor + n_good) < n_poor
    noise = np.random.default_rng(1).normal(size=(poor.size, n_scores))
    return pd.DataFrame(noise + 0.7 * poor[:, None], columns=list("abc")[:n_scores]), pd.Series(poor, dtype="boolean")


def seconds(n_poor: int, n_good: int, *, n_resamples: int, n_runs: int, what: str) -> float:
    """Time one kind of bootstrap, median of some runs."""
    scores, poor = draw_scores(n_poor, n_good, n_scores={"one": 1, "pair": 2, "all": 3}[what])
    more = {"min_specificity": 0.8, "specificities": BAND} if what == "all" else {}
    times = []
    for seed in range(n_runs):
        start = perf_counter()
        found = bootstrap_aucs(scores, poor, n_bootstrap=n_resamples, seed=seed, **more)
        for name in found.names:
            found.of(name)
        if what != "one":
            found.compare("a", "b")
        times.append(perf_counter() - start)
    return median(times)


def main() -> None:
    """Time every size, and write the table beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    rows = []
    for n_poor, n_good in SIZES:
        n_runs = options.runs if n_poor + n_good < 2000 else 1
        times = [
            seconds(n_poor, n_good, n_resamples=options.resamples, n_runs=n_runs, what=what)
            for what in ("one", "pair", "all")
        ]
        rows.append(f"| {n_poor} + {n_good} | " + " | ".join(f"{time:.2f}" for time in times) + " |")
    lines = [
        "# The stratified bootstrap",
        "",
        f"`python benchmarks/bootstrap.py --resamples {options.resamples} --runs {options.runs}`",
        "",
        f"Seconds for {options.resamples} resamples in one process, median of {options.runs} runs (of the largest size",
        "one). Two scores share their resamples and are tested against each other; with the bands, three scores also",
        "have their partial areas and the sensitivity at 101 specificities.",
        "",
        f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, two shared cores.",
        "",
        "| participants | one AUC | two AUCs and their difference | three AUCs, partial areas, bands |",
        "|---|---|---|---|",
        *rows,
    ]
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
