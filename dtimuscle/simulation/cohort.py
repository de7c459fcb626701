"""Patients drawn from a scenario: who they are, how strong they are, and the FA and MD of their muscles."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray
from scipy import stats

from dtimuscle.simulation.physics import highest_fa
from dtimuscle.simulation.scenario import Moments, Scenario

Floats = NDArray[np.floating]

GROUPS = ("poor", "good")


@dataclass(frozen=True)
class Cohort:
    """A simulated cohort before anybody is scanned.

    Parameters
    ----------
    participants : DataFrame
        `participant_id`, `lovett_grade`, `age`, `sex`, `bmi`, `t_score` and `disease_duration`.
    parameters : DataFrame
        `participant_id`, `muscle`, `side` (left, right), `fa` and `md` (mm²/s): the truth of each muscle.
    n_limited : int
        Values of FA that were lowered because water would have had to move faster than free water.
    """

    participants: pd.DataFrame
    parameters: pd.DataFrame
    n_limited: int


def draw_cohort(scenario: Scenario, *, n_poor: int, n_good: int, seed: int) -> Cohort:
    """Draw patients whose muscles follow a scenario.

    FA and MD of all muscles of a patient come from one Gaussian copula, so that muscles resemble each other; the
    marginals are beta distributions on a physical interval with exactly the scenario's means and SDs.

    Parameters
    ----------
    scenario : Scenario
        What is true of the patients.
    n_poor, n_good : int
        Patients with poor and with good muscle function.
    seed : int
        Where every draw comes from.

    Returns
    -------
    Cohort
        Patients in random order, with identifiers that count up.
    """
    rng = default_rng(SeedSequence(seed))
    groups = rng.permutation(np.repeat(GROUPS, [n_poor, n_good]))
    width = max(3, len(str(len(groups))))
    names = [f"sub-{number:0{width}d}" for number in range(1, len(groups) + 1)]
    latent = _draw_latent(scenario, len(groups), rng)
    values = _to_marginals(scenario, latent, groups)
    grades = _draw_grades(scenario, latent, groups, rng)
    participants = pd.DataFrame({"participant_id": names, "lovett_grade": grades} | _draw_covariates(scenario, groups, rng))
    parameters, n_limited = _both_sides(scenario, values, names, seed)
    return Cohort(participants, parameters, n_limited)


def participant_rng(seed: int, participant_id: str) -> Generator:
    """Make a participant's own stream of random numbers, whoever else is simulated and in whatever order.

    Parameters
    ----------
    seed : int
        Seed of the study.
    participant_id : str
        Identifier.

    Returns
    -------
    Generator
        The same for the same seed and identifier, on every machine.
    """
    digest = hashlib.sha256(participant_id.encode()).digest()
    return default_rng(SeedSequence([seed, *np.frombuffer(digest[:16], dtype="<u4").tolist()]))


def marginal(moments: Moments, low: float, high: float) -> stats.rv_continuous:
    """Return the beta distribution on an interval that has a given mean and SD.

    Parameters
    ----------
    moments : Moments
        Mean and SD.
    low, high : float
        Ends of the interval, in the unit of the moments.

    Returns
    -------
    frozen scipy distribution
        Its mean and SD are exactly those asked for.
    """
    mean = (moments.mean - low) / (high - low)
    variance = (moments.sd / (high - low)) ** 2
    concentration = mean * (1 - mean) / variance - 1
    return stats.beta(mean * concentration, (1 - mean) * concentration, loc=low, scale=high - low)


def _draw_latent(scenario: Scenario, n: int, rng: Generator) -> Floats:
    """Standard normal values, shape (n, muscles, 2), correlated between muscles and between FA and MD."""
    muscles = len(scenario.muscles)
    between = (1 - scenario.correlation.between_muscles) * np.eye(muscles) + scenario.correlation.between_muscles
    within = np.array([[1, scenario.correlation.fa_with_md], [scenario.correlation.fa_with_md, 1]])
    draws = rng.standard_normal((n, muscles, 2))
    return np.einsum("ij,njk,lk->nil", np.linalg.cholesky(between), draws, np.linalg.cholesky(within))


def _to_marginals(scenario: Scenario, latent: Floats, groups: NDArray) -> Floats:
    values = np.empty_like(latent)
    quantiles = stats.norm.cdf(latent)
    for group in GROUPS:
        rows = groups == group
        for index, muscle in enumerate(scenario.muscles):
            for column, parameter in enumerate(("fa", "md")):
                bounds = scenario.bounds[parameter]
                law = marginal(scenario.moments(muscle, parameter, group), bounds.low, bounds.high)
                values[rows, index, column] = law.ppf(quantiles[rows, index, column])
    return values


def _draw_grades(scenario: Scenario, latent: Floats, groups: NDArray, rng: Generator) -> NDArray:
    """Grades within each group by rank of a strength that leans on the muscles' values."""
    muscles = scenario.muscles
    chosen = [list(muscles).index(muscle) for muscle in scenario.grade.muscles]
    mean = latent[:, chosen, :].mean(axis=(1, 2))
    # The variance of that mean follows from the copula's correlations.
    k = len(chosen)
    between = (1 + (k - 1) * scenario.correlation.between_muscles) / k
    within = (1 + scenario.correlation.fa_with_md) / 2
    weight = scenario.grade.correlation_within_groups
    strength = weight * mean / np.sqrt(between * within) + np.sqrt(1 - weight**2) * rng.standard_normal(len(groups))
    grades = np.empty(len(groups), dtype=int)
    for group in GROUPS:
        levels = scenario.grade.shares[group]
        edges = stats.norm.ppf(np.cumsum(list(levels.values()))[:-1])
        rows = groups == group
        grades[rows] = np.array(list(levels))[np.searchsorted(edges, strength[rows])]
    return grades


def _draw_covariates(scenario: Scenario, groups: NDArray, rng: Generator) -> dict[str, NDArray]:
    columns: dict[str, NDArray] = {}
    for name, law in scenario.covariates.items():
        values = np.empty(len(groups))
        for group in GROUPS:
            rows = groups == group
            moments = law[group]
            values[rows] = marginal(moments, law.low, law.high).rvs(rows.sum(), random_state=rng)
        columns[name] = np.round(values, law.decimals)
    share = np.where(groups == "poor", scenario.share_female["poor"], scenario.share_female["good"])
    columns["sex"] = np.where(rng.random(len(groups)) < share, "F", "M")
    return {name: columns[name] for name in ("age", "sex", "bmi", "t_score", "disease_duration")}


def _both_sides(scenario: Scenario, values: Floats, names: list[str], seed: int) -> tuple[pd.DataFrame, int]:
    """Give each side its value, so that the mean of the two is the one drawn, and keep physics' bound on FA."""
    spread = scenario.side_asymmetry
    rows, n_limited = [], 0
    for name, person in zip(names, values, strict=True):
        rng = participant_rng(seed, f"{name} sides")
        tilt = np.clip(rng.normal(0, spread, (len(scenario.muscles), 2)), -3 * spread, 3 * spread)
        for index, muscle in enumerate(scenario.muscles):
            fa, md = person[index]
            bound = highest_fa(md * (1 + abs(tilt[index, 1]))) / (1 + abs(tilt[index, 0]))
            n_limited += int(fa > bound)
            fa = min(fa, bound)
            for side, sign in (("left", 1), ("right", -1)):
                rows.append((name, muscle, side, fa * (1 + sign * tilt[index, 0]), md * (1 + sign * tilt[index, 1])))
    return pd.DataFrame(rows, columns=["participant_id", "muscle", "side", "fa", "md"]), n_limited
