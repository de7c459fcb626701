"""Our Firth's penalised logistic regression against the library firthmodels, both judged by the likelihood itself.

Run from the clone's root: python benchmarks/firth.py [--sets 60]

The library is a witness only, which dtimuscle doesn't need: python -m pip install --no-deps firthmodels==0.8.2
"""

import argparse
import importlib.metadata
import importlib.util
import platform
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TypeVar

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import chi2
from threadpoolctl import threadpool_limits

from dtimuscle.statistics.firth import fit_firth

Found = TypeVar("Found")

# Twice the fall of the penalised log likelihood at an end of a 95% interval, and by how much an end may miss it.
TARGET = float(chi2.isf(0.05, 1))
TOLERANCE = 1e-3

# In how many steps a profile is followed from the estimate to an end.
STEPS = 10

# Random places from which its height there is sought besides where the groups are separated.
N_STARTS = 40

KINDS = {
    "small": "8 to 40 participants, overlapping groups",
    "cohort": "31 + 69 participants, overlapping groups",
    "separated": "8 to 40 participants, one feature parts the groups",
}


@dataclass
class Likelihood:
    """The penalised log likelihood, written down once more, and its maximum with a term held."""

    design: np.ndarray
    is_event: np.ndarray
    n_starts: int

    def loss(self, terms: np.ndarray) -> tuple[float, np.ndarray]:
        """Return minus the penalised log likelihood and its gradient."""
        log_odds = self.design @ terms
        p, weights = expit(log_odds), expit(log_odds) * expit(-log_odds)
        information = (self.design * weights[:, None]).T @ self.design
        sign, log_determinant = np.linalg.slogdet(information)
        if sign <= 0 or not np.isfinite(log_determinant):
            return np.inf, np.zeros_like(terms)
        leverage = weights * ((self.design @ np.linalg.inv(information)) * self.design).sum(axis=1)
        value = -np.logaddexp(0, np.where(self.is_event, -log_odds, log_odds)).sum() + log_determinant / 2
        return -float(value), -self.design.T @ (self.is_event - p + leverage * (0.5 - p))

    def fall(self, best: np.ndarray, place: int, end: float) -> float:
        """Return twice the fall from the best terms to the highest ones with a term held at a value.

        Under separation there can be several maxima. The search follows the profile from the best terms to the
        end, and starts again from zero and from many random places; the highest counts.
        """
        free = np.arange(best.size) != place

        def highest(value: float, start: np.ndarray) -> tuple[float, np.ndarray]:
            def held(others: np.ndarray) -> tuple[float, np.ndarray]:
                loss, gradient = self.loss(np.insert(others, place, value))
                return loss, gradient[free]

            found = minimize(held, start, jac=True, method="BFGS", options={"gtol": 1e-7})
            return float(found.fun), found.x

        others = best[free]
        for value in np.linspace(best[place], end, STEPS + 1)[1:]:
            loss, others = highest(value, others)
        random = np.random.default_rng(1)
        starts = random.normal(size=(self.n_starts, others.size)) * 10 ** random.uniform(
            -1, 1.7, size=(self.n_starts, 1)
        )
        lowest = min(loss, *(highest(end, start)[0] for start in (np.zeros(others.size), *starts)))
        return 2 * (lowest - self.loss(best)[0])


@dataclass
class Tally:
    """What one program did with the data sets of one kind."""

    differences: list[float] = field(default_factory=list)
    n_failed: int = 0
    n_ends: int = 0
    n_missing: int = 0
    n_wrong: int = 0
    fit_times: list[float] = field(default_factory=list)
    interval_times: list[float] = field(default_factory=list)

    def judge(self, fall: Callable[[int, float], float], best: np.ndarray, intervals: np.ndarray) -> None:
        """Count ends that are missing, and those where the profile has not fallen as far as it should."""
        for i, bounds in enumerate(intervals):
            for side, end in zip((-1, 1), bounds, strict=True):
                self.n_ends += 1
                if not np.isfinite(end):
                    self.n_missing += 1
                elif side * (end - best[1 + i]) <= 0 or abs(fall(1 + i, round(end, 5)) - TARGET) > TOLERANCE:
                    self.n_wrong += 1


def draw(kind: str, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """Draw standardised features and an outcome of one kind."""
    random = np.random.default_rng([list(KINDS).index(kind), seed])
    while True:
        n = 100 if kind == "cohort" else int(random.integers(8, 41))
        x = random.normal(size=(n, 4 if kind == "cohort" else int(random.integers(1, min(5, n // 4 + 1)))))
        x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
        lean = x[:, 0] + random.logistic(size=n) if kind != "separated" else x[:, 0]
        is_event = lean > (np.sort(lean)[-32] if kind == "cohort" else random.normal(scale=0.5))
        if 2 <= is_event.sum() <= n - 2:
            return pd.DataFrame(x).rename(columns=lambda i: f"x{i}"), pd.Series(is_event, dtype="boolean")


def timed(what: Callable[[], Found], times: list[float]) -> Found:
    """Do something and note how long it took."""
    start = perf_counter()
    found = what()
    times.append(perf_counter() - start)
    return found


def ours(features: pd.DataFrame, poor: pd.Series, tally: Tally) -> tuple[np.ndarray, np.ndarray]:
    """Fit by dtimuscle; terms with the intercept first, and intervals of the others."""
    timed(lambda: fit_firth(features, poor, profile=False), tally.fit_times)
    fit = timed(lambda: fit_firth(features, poor), tally.interval_times)
    terms = np.array([fit.intercept, *(c.estimate for c in fit.coefficients)])
    return terms, np.log([[c.profile.low, c.profile.high] for c in fit.coefficients])


def theirs(
    features: pd.DataFrame, poor: pd.Series, tally: Tally, *, tolerance: float, max_iter: int
) -> tuple[np.ndarray, np.ndarray]:
    """Fit by firthmodels, its own backend of numpy and scipy."""
    from firthmodels import FirthLogisticRegression

    x, y = features.to_numpy(), poor.to_numpy(dtype=int)
    model = FirthLogisticRegression(backend="numpy", gtol=tolerance, xtol=tolerance, max_iter=max_iter)
    timed(lambda: model.fit(x, y), tally.fit_times)
    tally.n_failed += not model.converged_
    intervals = timed(lambda: model.conf_int(method="pl", tol=tolerance, max_iter=max_iter), tally.interval_times)
    return np.array([model.intercept_, *model.coef_]), intervals[:-1]


# Program, tolerance and number of iterations: the library as it comes, then as near to the maximum as it goes.
SETTINGS = {
    "dtimuscle": None,
    "firthmodels, as it comes (1e-4)": (1e-4, 25),
    "firthmodels, 1e-8": (1e-8, 500),
    "firthmodels, 1e-10": (1e-10, 500),
}


def compare(kind: str, n_sets: int) -> dict[str, Tally]:
    """Fit all data sets of one kind by both programs."""
    tallies = {name: Tally() for name in SETTINGS}
    for seed in range(n_sets):
        features, poor = draw(kind, seed)
        likelihood = Likelihood(
            np.column_stack([np.ones(len(features)), features]),
            poor.to_numpy(dtype=bool),
            N_STARTS * (kind == "separated"),
        )
        best, intervals = ours(features, poor, tallies["dtimuscle"])
        tallies["dtimuscle"].differences.append(float(np.abs(likelihood.loss(best)[1]).max()))
        fall = cache(partial(likelihood.fall, best))
        for name, setting in SETTINGS.items():
            tally = tallies[name]
            if setting:
                terms, intervals = theirs(features, poor, tally, tolerance=setting[0], max_iter=setting[1])
                tally.differences.append(float(np.abs(terms - best).max()))
            tally.judge(fall, best, intervals)
    return tallies


def row(kind: str, name: str, tally: Tally) -> str:
    """Write the row of one program and kind."""
    gap = "–" if name == "dtimuscle" else f"{max(tally.differences):.1e}"
    times = f"{1e3 * median(tally.fit_times):.1f} | {1e3 * median(tally.interval_times):.1f}"
    ends = f"{tally.n_wrong} + {tally.n_missing} of {tally.n_ends}"
    return f"| {kind} | {name} | {tally.n_failed} of {len(tally.differences)} | {gap} | {ends} | {times} |"


def report(found: dict[str, dict[str, Tally]], n_sets: int) -> str:
    """Write the page."""
    score = max(max(tallies["dtimuscle"].differences) for tallies in found.values())
    lines = [
        "# Firth's penalised logistic regression against firthmodels",
        "",
        f"`python benchmarks/firth.py --sets {n_sets}`",
        "",
        f"{n_sets} seeded data sets of each kind, 1 to 4 standard normal features:",
        "",
        *(f"- {kind}: {words}" for kind, words in KINDS.items()),
        "",
        "Estimates are compared in log odds per SD. An end of a 95% interval is wrong when it lies on the other side",
        "of the estimate, or when the penalised log likelihood, maximised over the other terms by scipy (BFGS, 2",
        f"starts, under separation {N_STARTS + 2}), has not fallen there by χ²(0.95, 1) / 2 within {TOLERANCE / 2:g};",
        "it is missing when the program gives none. Times are medians, without threads, of a fit without intervals",
        "and of the intervals of all terms (those of dtimuscle with the fit and the tests, those of firthmodels with",
        "the intercept's).",
        "",
        f"The gradient of the penalised log likelihood at our estimates is {score:.0e} at most.",
        "",
        "| data | program | not converged | largest difference | ends wrong + missing | fit, ms | intervals, ms |",
        "|---|---|---|---|---|---|---|",
        *(row(kind, name, tally) for kind, tallies in found.items() for name, tally in tallies.items()),
        "",
        f"Python {platform.python_version()}, numpy {np.__version__}, firthmodels "
        f"{importlib.metadata.version('firthmodels')} (numpy backend).",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Compare, and write the table beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=8)
    options = parser.parse_args()
    if importlib.util.find_spec("firthmodels") is None:
        print("firthmodels is missing: python -m pip install --no-deps firthmodels==0.8.2", file=sys.stderr)
        return 2
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        page = report({kind: compare(kind, options.sets) for kind in KINDS}, options.sets)
    Path(__file__).with_suffix(".md").write_text(page, encoding="utf-8")
    print(page)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
