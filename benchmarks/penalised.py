"""How long the fits of nested cross-validation take, beside scikit-learn's, and whether they end at the same place.

Run from the clone's root: python benchmarks/penalised.py [--repeats 2]

100 participants, 31 of them events, 28 features; the training sets and penalties are those of
`dtimuscle.statistics.penalised` with so many repeats (each outer training set and the training sets within it).
"""

import argparse
import platform
from pathlib import Path
from time import perf_counter

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from dtimuscle.statistics.elastic_net import fit_path

N, N_EVENTS, N_FEATURES = 100, 31, 28
FOLDS = 5
N_PENALTIES = 20
TOLERANCE = 1e-5
RATIOS = (0.0, 0.5, 1.0)


def draw() -> tuple[np.ndarray, np.ndarray]:
    """Draw correlated features, three of which tell the groups apart."""
    rng = np.random.default_rng(1)
    is_event = np.arange(N) < N_EVENTS
    x = rng.normal(size=(N, N_FEATURES)) + 0.7 * rng.normal(size=(N, 1))
    x[:, :3] += 0.8 * is_event[:, None]
    return (x - x.mean(axis=0)) / x.std(axis=0), is_event


def training_sets(is_event: np.ndarray, repeats: int) -> np.ndarray:
    """Give the weights (0 or 1) of all training sets of a nested cross-validation, one column each."""
    columns = []
    for repeat in range(repeats):
        for outer, _ in StratifiedKFold(FOLDS, shuffle=True, random_state=repeat).split(is_event, is_event):
            inside = [outer[train] for train, _ in StratifiedKFold(FOLDS).split(outer, is_event[outer])]
            columns += [np.isin(np.arange(N), rows) for rows in (outer, *inside)]
    return np.array(columns, dtype=float).T


def by_scikit_learn(
    x: np.ndarray, is_event: np.ndarray, weights: np.ndarray, way: list[tuple[float, float]]
) -> np.ndarray:
    """Fit the same penalties in the same order, each starting where the last one ended."""
    found = np.empty((len(way), N_FEATURES + 1, weights.shape[1]))
    for column, chosen in enumerate(weights.T > 0):
        centre, scale = x[chosen].mean(axis=0), x[chosen].std(axis=0)
        solver, tolerance = ("newton-cholesky", 1e-8) if way[0][0] == 0 else ("saga", 1e-4)
        model = LogisticRegression(solver=solver, tol=tolerance, max_iter=10_000, warm_start=True, random_state=1)
        for place, (ratio, penalty) in enumerate(way):
            model.set_params(l1_ratio=ratio, C=1 / (chosen.sum() * penalty))
            model.fit((x[chosen] - centre) / scale, is_event[chosen])
            slopes = model.coef_[0] / scale
            found[place, :, column] = [model.intercept_[0] - slopes @ centre, *slopes]
    return found


def objectives(
    x: np.ndarray, is_event: np.ndarray, weights: np.ndarray, way: list[tuple[float, float]], terms: np.ndarray
) -> np.ndarray:
    """Compute what both minimise: mean log loss and penalty, for each penalty and training set."""
    log_odds = terms[:, :1, :] + np.einsum("nk,pkb->pnb", x, terms[:, 1:, :])
    losses = np.logaddexp(0, np.where(is_event[:, None], -log_odds, log_odds))
    loss = (losses * weights).sum(axis=1) / weights.sum(axis=0)
    scale = np.array([x[chosen].std(axis=0) for chosen in weights.T > 0]).T
    per_sd = terms[:, 1:, :] * scale
    ratio, penalty = np.array(way).T[:, :, None]
    return loss + penalty * (ratio * np.abs(per_sd).sum(axis=1) + (1 - ratio) / 2 * (per_sd**2).sum(axis=1))


def main() -> None:
    """Time both, and write the table beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    x, is_event = draw()
    weights = training_sets(is_event, options.repeats)
    rows = []
    with threadpool_limits(1):
        for ratio in RATIOS:
            strongest = 1 / ratio if ratio else 100.0
            way = [(ratio, penalty) for penalty in np.geomspace(strongest, 0.001, N_PENALTIES)]
            start = perf_counter()
            ours = fit_path(x, is_event, weights, way, tolerance=TOLERANCE)
            middle = perf_counter()
            theirs = by_scikit_learn(x, is_event, weights, way)
            end = perf_counter()
            n_fits = len(way) * weights.shape[1]
            excess = objectives(x, is_event, weights, way, theirs) - objectives(x, is_event, weights, way, ours)
            rows.append(
                f"| {ratio:g} | {n_fits:,} | {1e3 * (middle - start) / n_fits:.2f} | "
                f"{1e3 * (end - middle) / n_fits:.2f} | {excess.min():.1e} | {excess.max():.1e} |"
            )
    lines = [
        "# Penalised logistic regression beside scikit-learn",
        "",
        f"`python benchmarks/penalised.py --repeats {options.repeats}`",
        "",
        f"{N} participants ({N_EVENTS} events), {N_FEATURES} features, {N_PENALTIES} penalties, the training sets of a",
        f"nested cross-validation of {FOLDS} × {FOLDS} folds; one thread. scikit-learn: newton-cholesky for ridge",
        "(tolerance 1e-8), saga otherwise (its default, 1e-4), each penalty starting from the last. The excess is what",
        "both minimise, at scikit-learn's solution minus at ours; above zero, ours lies lower.",
        "",
        "| ρ | fits | dtimuscle, ms a fit | scikit-learn, ms a fit | smallest excess | largest excess |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        f"Python {platform.python_version()}, numpy {np.__version__}, scikit-learn {sklearn.__version__}.",
    ]
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
