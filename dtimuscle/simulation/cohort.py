"""Patients drawn from a scenario: who they are, how strong they are, and the FA and MD of their muscles."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from dtimuscle.errors import SimulationError
from dtimuscle.muscles import Side
from dtimuscle.simulation.physics import highest_fa
from dtimuscle.simulation.scenario import LARGEST_TILT, Group, Moments, Parameter, Scenario

if TYPE_CHECKING:
    from scipy.stats._distn_infrastructure import rv_continuous_frozen

Floats = NDArray[np.floating]

GROUPS: tuple[Group, Group] = ("poor", "good")
PARAMETERS: tuple[Parameter, Parameter] = ("fa", "md")
SIDES = (Side.LEFT.value, Side.RIGHT.value)

# Where the marginals are tabulated when many cohorts are drawn: normal values up to ± 5 in steps of 1 / 40, between
# which a cubic spline is off by less than 1e-9 SD. One value in two million lies beyond; it is computed exactly.
KNOTS = np.linspace(-5.0, 5.0, 401)

# Cohorts that are drawn at a time: progress is told after each block, and memory stays small.
BLOCK = 250


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


@dataclass(frozen=True, eq=False)
class DrawnFeatures:
    """Muscle values and grades of many simulated cohorts, for statistics that need no scans.

    Parameters
    ----------
    features : tuple of str
        Such as `adductor_longus.md`.
    values : ndarray of shape (cohorts, patients, features)
        Mean of both sides; FA without unit, MD in mm²/s.
    grades : ndarray of int, shape (cohorts, patients)
        Lovett grades.
    is_poor : ndarray of bool, shape (patients,)
        Who has poor function; in every cohort they come first.
    """

    features: tuple[str, ...]
    values: Floats
    grades: NDArray[np.integer]
    is_poor: NDArray[np.bool_]


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
    names = [_name(number, len(groups)) for number in range(1, len(groups) + 1)]
    latent = _correlate(scenario, _draw_normal(scenario, len(groups), rng))
    values = _to_marginals(scenario, latent, groups)
    grades = _grade(scenario, latent, groups, rng.standard_normal(len(groups)))
    participants = pd.DataFrame(
        {"participant_id": names, "lovett_grade": grades} | _draw_covariates(scenario, groups, rng)
    )
    parameters, n_limited = _both_sides(scenario, values, names, seed)
    return Cohort(participants, parameters, n_limited)


def draw_features(
    scenario: Scenario,
    features: Sequence[str],
    *,
    n_poor: int,
    n_good: int,
    seeds: Sequence[int],
    progress: Callable[[int, int], None] | None = None,
) -> DrawnFeatures:
    """Draw the muscle values and grades of many cohorts, tens of times faster than one by one.

    Each cohort is the one that `draw_cohort` draws with the same seed, less what is not asked for. The beta
    distributions are tabulated instead of computed for each value, which changes a value by less than 1e-9 SD.

    Parameters
    ----------
    scenario : Scenario
        What is true of the patients.
    features : sequence of str
        FA and MD of muscles of the scenario, such as `adductor_longus.md`.
    n_poor, n_good : int
        Patients with poor and with good muscle function in each cohort.
    seeds : sequence of int
        One for each cohort.
    progress : callable, optional
        Called with how many cohorts are drawn and how many there are.

    Returns
    -------
    DrawnFeatures
        The cohorts in the order of the seeds; in each, patients with poor function come first, otherwise in the order
        of their identifiers.

    Raises
    ------
    SimulationError
        If the scenario has no such feature.
    """
    places = [_place(scenario, feature) for feature in features]
    is_poor = np.arange(n_poor + n_good) < n_poor
    blocks = []
    for begin in range(0, len(seeds), BLOCK):
        blocks.append(_draw_block(scenario, places, is_poor, seeds[begin : begin + BLOCK]))
        if progress is not None:
            progress(min(begin + BLOCK, len(seeds)), len(seeds))
    values = [np.empty((0, is_poor.size, len(places))), *(block[0] for block in blocks)]
    grades = [np.empty((0, is_poor.size), dtype=int), *(block[1] for block in blocks)]
    return DrawnFeatures(tuple(features), np.concatenate(values), np.concatenate(grades), is_poor)


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


def marginal(moments: Moments, low: float, high: float) -> "rv_continuous_frozen":
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
    from scipy.stats import beta  # takes most of a second, which a cohort that is there already does not need

    mean = (moments.mean - low) / (high - low)
    variance = (moments.sd / (high - low)) ** 2
    concentration = mean * (1 - mean) / variance - 1
    return beta(mean * concentration, (1 - mean) * concentration, loc=low, scale=high - low)


def _draw_normal(scenario: Scenario, n: int, rng: Generator) -> Floats:
    """Draw independent standard normal values, shape (n, muscles, 2)."""
    return rng.standard_normal((n, len(scenario.muscles), 2))


def _correlate(scenario: Scenario, draws: Floats) -> Floats:
    """Make independent values correlated between muscles and between FA and MD."""
    between, within = _correlations(scenario, len(scenario.muscles))
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
    quantiles = ndtr(latent)
    for group in GROUPS:
        rows = groups == group
        for index, muscle in enumerate(scenario.muscles):
            for column, parameter in enumerate(PARAMETERS):
                bounds = scenario.bounds_of(parameter)
                law = marginal(scenario.moments(muscle, parameter, group), bounds.low, bounds.high)
                values[rows, index, column] = law.ppf(quantiles[rows, index, column])
    return values


def _grade(scenario: Scenario, latent: Floats, groups: NDArray, noise: Floats) -> NDArray:
    """Grade within each group by rank of a strength that leans on the muscles' values."""
    chosen = [list(scenario.muscles).index(muscle) for muscle in scenario.grade.muscles]
    # A higher grade goes with what is the case in the good group, so only values that differ between groups count.
    signs = np.array([[_direction(scenario, muscle, name) for name in PARAMETERS] for muscle in scenario.grade.muscles])
    between, within = _correlations(scenario, len(chosen))
    spread = np.sqrt(signs.ravel() @ np.kron(between, within) @ signs.ravel())
    weight = scenario.grade.correlation_within_groups if spread else 0.0
    leaning = np.einsum("nij,ij->n", latent[:, chosen], signs) / (spread or 1.0)
    strength = weight * leaning + np.sqrt(1 - weight**2) * noise
    grades = np.empty(len(groups), dtype=int)
    for group in GROUPS:
        levels = scenario.grade.shares.poor if group == "poor" else scenario.grade.shares.good
        edges = ndtri(np.cumsum(list(levels.values()))[:-1])
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
    tilt = np.array([_draw_tilt(scenario, seed, name) for name in names]).reshape(values.shape)
    bound = _highest_fa_of_both_sides(values[..., 1], tilt)
    kept = np.stack([np.minimum(values[..., 0], bound), values[..., 1]], axis=-1)
    sides = np.stack([kept * (1 + tilt), kept * (1 - tilt)], axis=2).reshape(-1, 2)
    table = pd.MultiIndex.from_product([names, muscles, SIDES], names=["participant_id", "muscle", "side"]).to_frame(
        index=False
    )
    return table.assign(fa=sides[:, 0], md=sides[:, 1]), int((values[..., 0] > bound).sum())


def _draw_tilt(scenario: Scenario, seed: int, name: str) -> Floats:
    """Draw by which share the left side of a participant differs from the mean of both, shape (muscles, 2)."""
    draws = participant_rng(seed, f"{name} sides").standard_normal((len(scenario.muscles), 2))
    return scenario.side_asymmetry.value * np.clip(draws, -LARGEST_TILT, LARGEST_TILT)


def _highest_fa_of_both_sides(md: Floats, tilt: Floats) -> Floats:
    """Find the highest mean FA with which neither side leaves what water allows."""
    larger = 1 + np.abs(tilt)
    return highest_fa(md * larger[..., 1]) / larger[..., 0]


def _name(number: int, n: int) -> str:
    return f"sub-{number:0{max(3, len(str(n)))}d}"


def _place(scenario: Scenario, feature: str) -> tuple[int, int]:
    """Find a feature among the scenario's muscles and parameters."""
    muscle, _, parameter = feature.partition(".")
    if muscle not in scenario.muscles or parameter not in PARAMETERS:
        raise SimulationError(
            f"scenario {scenario.name}: found no '{feature}'; allowed: FA and MD (muscle.fa, muscle.md) of "
            f"{', '.join(scenario.muscles)}."
        )
    return list(scenario.muscles).index(muscle), [str(name) for name in PARAMETERS].index(parameter)


def _draw_block(
    scenario: Scenario, places: Sequence[tuple[int, int]], is_poor: NDArray[np.bool_], seeds: Sequence[int]
) -> tuple[Floats, NDArray]:
    """Draw some cohorts as if they were one, whose patients are put in the order of the groups."""
    n, n_poor = is_poor.size, int(is_poor.sum())
    draws, noise = np.empty((len(seeds), n, len(scenario.muscles), 2)), np.empty((len(seeds), n))
    order = np.empty((len(seeds), n), dtype=int)
    for cohort, seed in enumerate(seeds):
        # In the order of `draw_cohort`, so that they are the same.
        rng = default_rng(SeedSequence(seed))
        groups = rng.permutation(np.repeat(GROUPS, [n_poor, n - n_poor]))
        order[cohort] = np.argsort(groups != GROUPS[0], kind="stable")
        draws[cohort] = _draw_normal(scenario, n, rng)[order[cohort]]
        noise[cohort] = rng.standard_normal(n)[order[cohort]]
    latent = _correlate(scenario, draws.reshape(-1, *draws.shape[2:]))
    groups = np.tile(np.where(is_poor, *GROUPS), len(seeds))
    grades = _grade(scenario, latent, groups, noise.ravel()).reshape(order.shape)
    latent = latent.reshape(draws.shape)
    values = np.empty((*order.shape, len(places)))

    @cache
    def draw_tilt(cohort: int, patient: int) -> Floats:
        return _draw_tilt(scenario, seeds[cohort], _name(order[cohort, patient] + 1, n))

    for column, (muscle, parameter) in enumerate(places):
        values[..., column] = _tabulated(scenario, muscle, parameter, latent, is_poor)
        if PARAMETERS[parameter] == "fa":
            md = _tabulated(scenario, muscle, PARAMETERS.index("md"), latent, is_poor)
            _keep_possible(scenario, values[..., column], md, muscle, draw_tilt)
    return values, grades


def _tabulated(scenario: Scenario, muscle: int, parameter: int, latent: Floats, is_poor: NDArray[np.bool_]) -> Floats:
    """Turn normal values, shape (cohorts, patients, muscles, 2), into those of one feature."""
    from scipy.interpolate import CubicSpline

    name, which = list(scenario.muscles)[muscle], PARAMETERS[parameter]
    bounds = scenario.bounds_of(which)
    normal = latent[..., muscle, parameter]
    values = np.empty_like(normal)
    for group, rows in zip(GROUPS, (is_poor, ~is_poor), strict=True):
        law = marginal(scenario.moments(name, which, group), bounds.low, bounds.high)
        asked = normal[:, rows]
        found = CubicSpline(KNOTS, law.ppf(ndtr(KNOTS)))(asked)
        is_beyond = np.abs(asked) > KNOTS[-1]
        found[is_beyond] = law.ppf(ndtr(asked[is_beyond]))
        values[:, rows] = found
    return values


def _keep_possible(
    scenario: Scenario, fa: Floats, md: Floats, muscle: int, draw_tilt: Callable[[int, int], Floats]
) -> None:
    """Lower FA in place where water sets a bound to it, which depends on how much the sides of the patient differ."""
    largest = np.full(2, LARGEST_TILT * scenario.side_asymmetry.value)
    # Whoever stays below the bound with sides that differ as much as they can needs no draw.
    is_near = fa > _highest_fa_of_both_sides(md, largest)
    if is_near.any():
        tilt = np.array([draw_tilt(*patient)[muscle] for patient in np.argwhere(is_near).tolist()])
        fa[is_near] = np.minimum(fa[is_near], _highest_fa_of_both_sides(md[is_near], tilt))
