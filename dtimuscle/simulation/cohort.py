"""Patients drawn from a scenario: who they are, how strong they are, and the FA and MD of their muscles."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray
from scipy import stats

from dtimuscle.muscles import Side
from dtimuscle.simulation.physics import highest_fa
from dtimuscle.simulation.scenario import LARGEST_TILT, Group, Moments, Parameter, Scenario

Floats = NDArray[np.floating]

GROUPS: tuple[Group, Group] = ("poor", "good")
PARAMETERS: tuple[Parameter, Parameter] = ("fa", "md")
SIDES = (Side.LEFT.value, Side.RIGHT.value)


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
    participants = pd.DataFrame(
        {"participant_id": names, "lovett_grade": grades} | _draw_covariates(scenario, groups, rng)
    )
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


def marginal(moments: Moments, low: float, high: float) -> stats.distributions.rv_frozen:
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
    """Draw standard normal values, shape (n, muscles, 2), correlated between muscles and between FA and MD."""
    between, within = _correlations(scenario, len(scenario.muscles))
    draws = rng.standard_normal((n, len(between), 2))
    return np.einsum("ij,njk,lk->nil", np.linalg.cholesky(between), draws, np.linalg.cholesky(within))


def _correlations(scenario: Scenario, n_muscles: int) -> tuple[Floats, Floats]:
    """Make the correlation matrices between muscles, and between FA and MD."""
    between, within = scenario.correlation.between_muscles, scenario.correlation.fa_with_md
    return (1 - between) * np.eye(n_muscles) + between, (1 - within) * np.eye(2) + within


def _direction(scenario: Scenario, muscle: str, parameter: Parameter) -> float:
    """Return 1 where the good group has higher values, -1 where it has lower ones, 0 where there is no difference."""
    good, poor = scenario.moments(muscle, parameter, "good"), scenario.moments(muscle, parameter, "poor")
    return float(np.sign(good.mean - poor.mean))


def _to_marginals(scenario: Scenario, latent: Floats, groups: NDArray) -> Floats:
    values = np.empty_like(latent)
    quantiles = stats.norm.cdf(latent)
    for group in GROUPS:
        rows = groups == group
        for index, muscle in enumerate(scenario.muscles):
            for column, parameter in enumerate(PARAMETERS):
                bounds = scenario.bounds_of(parameter)
                law = marginal(scenario.moments(muscle, parameter, group), bounds.low, bounds.high)
                values[rows, index, column] = law.ppf(quantiles[rows, index, column])
    return values


def _draw_grades(scenario: Scenario, latent: Floats, groups: NDArray, rng: Generator) -> NDArray:
    """Grades within each group by rank of a strength that leans on the muscles' values."""
    chosen = [list(scenario.muscles).index(muscle) for muscle in scenario.grade.muscles]
    # A higher grade goes with what is the case in the good group, so only values that differ between groups count.
    signs = np.array([[_direction(scenario, muscle, name) for name in PARAMETERS] for muscle in scenario.grade.muscles])
    between, within = _correlations(scenario, len(chosen))
    spread = np.sqrt(signs.ravel() @ np.kron(between, within) @ signs.ravel())
    weight = scenario.grade.correlation_within_groups if spread else 0.0
    leaning = np.einsum("nij,ij->n", latent[:, chosen], signs) / (spread or 1.0)
    strength = weight * leaning + np.sqrt(1 - weight**2) * rng.standard_normal(len(groups))
    grades = np.empty(len(groups), dtype=int)
    for group in GROUPS:
        levels = scenario.grade.shares.poor if group == "poor" else scenario.grade.shares.good
        edges = stats.norm.ppf(np.cumsum(list(levels.values()))[:-1])
        rows = groups == group
        grades[rows] = np.array(list(levels))[np.searchsorted(edges, strength[rows])]
    return grades


def _draw_covariates(scenario: Scenario, groups: NDArray, rng: Generator) -> dict[str, NDArray]:
    laws, is_poor = scenario.covariates, groups == "poor"
    columns: dict[str, NDArray] = {}
    for name, law in (
        ("age", laws.age),
        ("bmi", laws.bmi),
        ("t_score", laws.t_score),
        ("disease_duration", laws.disease_duration),
    ):
        values = np.empty(len(groups))
        for rows, moments in ((is_poor, law.poor), (~is_poor, law.good)):
            values[rows] = marginal(moments, law.low, law.high).rvs(rows.sum(), random_state=rng)
        columns[name] = values.round(law.decimals) if law.decimals else values.round().astype(int)
    share = np.where(is_poor, scenario.share_female.poor, scenario.share_female.good)
    columns["sex"] = np.where(rng.random(len(groups)) < share, "F", "M")
    return {name: columns[name] for name in ("age", "sex", "bmi", "t_score", "disease_duration")}


def _both_sides(scenario: Scenario, values: Floats, names: list[str], seed: int) -> tuple[pd.DataFrame, int]:
    """Give each side its value, so that the mean of the two is the one drawn, and keep physics' bound on FA."""
    muscles = list(scenario.muscles)
    tilt = np.empty_like(values)
    for row, name in enumerate(names):
        draws = participant_rng(seed, f"{name} sides").standard_normal((len(muscles), 2))
        tilt[row] = scenario.side_asymmetry.value * np.clip(draws, -LARGEST_TILT, LARGEST_TILT)
    larger = 1 + np.abs(tilt)
    bound = highest_fa(values[..., 1] * larger[..., 1]) / larger[..., 0]
    kept = np.stack([np.minimum(values[..., 0], bound), values[..., 1]], axis=-1)
    sides = np.stack([kept * (1 + tilt), kept * (1 - tilt)], axis=2).reshape(-1, 2)
    table = pd.MultiIndex.from_product([names, muscles, SIDES], names=["participant_id", "muscle", "side"]).to_frame(
        index=False
    )
    return table.assign(fa=sides[:, 0], md=sides[:, 1]), int((values[..., 0] > bound).sum())
