"""Ways of building a logistic model, each as one recipe that can be repeated in every resample."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.likelihood import log_odds_of, maximise_likelihood
from dtimuscle.statistics.log_odds import LogOdds
from dtimuscle.statistics.terms import independent_columns, standardise
from dtimuscle.statistics.validation import Predictor, Recipe, recipe_of_sets

# Values that are worked on together: 16 MB.
LARGEST_BLOCK = 2_000_000


@dataclass(frozen=True, eq=False)
class LinearPredictor:
    """A fitted logistic model, ready to predict.

    Parameters
    ----------
    centre, scale : ndarray of shape (k,)
        What standardises each feature.
    intercept : float
        Log odds of the average participant.
    slopes : ndarray of shape (k,)
        Log odds ratio per SD; 0 for a feature that did not enter or adds nothing.
    """

    centre: NDArray[np.floating]
    scale: NDArray[np.floating]
    intercept: float
    slopes: NDArray[np.floating]

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the probability of poor muscle function for rows of features."""
        return expit(self.intercept + log_odds_of(((features - self.centre) / self.scale).T, self.slopes))


def maximum_likelihood_recipe(name: str, columns: tuple[str, ...]) -> Recipe:
    """Return the recipe of a logistic model with given features, fitted by maximum likelihood.

    Constant features, and those that are combinations of others, take no part. Under separation the
    predictions are close to the limit: 0 or 1 for those who are separated.

    Parameters
    ----------
    name : str
        The model.
    columns : tuple of str
        Its features.
    """
    return recipe_of_sets(name, columns, _fit_sets)


def entry_recipe(name: str, columns: tuple[str, ...], entry_p: float = 0.05) -> Recipe:
    """Return the recipe of the study: features with a univariate Wald P below a limit enter a joint model.

    The selection is part of the recipe, so that validation repeats it in every resample. Where nothing
    enters, everybody is given the share of events. A feature that separates the groups by itself has no
    Wald P and does not enter.

    Parameters
    ----------
    name : str
        The model.
    columns : tuple of str
        Candidate features.
    entry_p : float, default=0.05
        Candidates with a univariate P below this enter.
    """
    return recipe_of_sets(name, columns, partial(_fit_sets, entry_p=entry_p))


def firth_recipe(name: str, columns: tuple[str, ...]) -> Recipe:
    """Return the recipe of a logistic model with Firth's penalty, which stays finite under separation.

    The penalised likelihood is that of `log_odds.LogOdds`. Its predictions lean towards ½.

    Parameters
    ----------
    name : str
        The model.
    columns : tuple of str
        Its features.
    """
    return Recipe(name, tuple(columns), partial(_fit_firth, name=name))


def _fit_firth(features: NDArray[np.floating], is_event: NDArray[np.bool_], *, name: str) -> Predictor:
    standardised, centre, scale = _scaled(features)
    kept = list(independent_columns(standardised))
    # The penalty knows no coordinates; in orthogonal ones nearly equal features do no harm.
    basis, triangle = np.linalg.qr(np.column_stack([np.ones(is_event.size), standardised[:, kept]]))
    root = np.sqrt(is_event.size)
    maximum = LogOdds(basis * root, is_event, is_penalised=True).maximise()
    if not maximum.is_reached:
        raise StatisticsError(f"{name}: Firth's fit did not converge. Use fewer features.")
    terms = np.linalg.solve(triangle / root, maximum.terms)
    slopes = np.zeros(features.shape[1])
    slopes[kept] = terms[1:]
    return LinearPredictor(centre, scale, float(terms[0]), slopes)


def _fit_sets(
    features: NDArray[np.floating],
    is_event: NDArray[np.bool_],
    sets: Sequence[NDArray[np.integer]],
    *,
    entry_p: float | None = None,
) -> list[Predictor | StatisticsError]:
    """Fit a joint model to each set of rows: of all features, or of those that enter by their univariate P."""
    found: dict[int, Predictor | StatisticsError] = {}
    for places in _blocks(sets, features.shape[1]):
        scaled = [_scaled(features[sets[place]]) for place in places]
        rows = np.stack([standardised.T for standardised, _, _ in scaled])
        outcomes = np.stack([is_event[sets[place]] for place in places])
        enters = np.ones(rows.shape[:2], dtype=bool) if entry_p is None else _univariate_p(rows, outcomes) < entry_p
        intercepts, slopes = _joint_fits(rows, outcomes, enters)
        for i, place in enumerate(places):
            found[place] = LinearPredictor(*scaled[i][1:], float(intercepts[i]), slopes[i])
    return [found[place] for place in range(len(sets))]


def _blocks(sets: Sequence[NDArray[np.integer]], n_features: int) -> Iterator[list[int]]:
    """Put sets of one size together, as many as memory holds with ease."""
    by_size: dict[int, list[int]] = {}
    for place, rows in enumerate(sets):
        by_size.setdefault(len(rows), []).append(place)
    for size, places in by_size.items():
        n = max(1, LARGEST_BLOCK // max(1, size * n_features))
        yield from (places[start : start + n] for start in range(0, len(places), n))


def _scaled(
    features: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Standardise features; a constant, or too little to have an SD, is divided by 1."""
    standardised, centre, sd = standardise(features)
    return standardised, centre, np.where(sd > 0, sd, 1.0)


def _joint_fits(
    rows: NDArray[np.floating], outcomes: NDArray[np.bool_], enters: NDArray[np.bool_]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return intercepts of shape (b,) and slopes of shape (b, k) for features in rows, (b, k, n)."""
    # A feature that takes no part is a row of zeros; those that take part in none are not carried along.
    taking = np.zeros_like(enters)
    for i, entered in enumerate(map(np.flatnonzero, enters)):
        taking[i, entered[list(independent_columns(rows[i, entered].T))]] = True
    used = taking.any(axis=0)
    designs = np.where(taking[:, used, None], rows[:, used], 0.0)
    ones = np.ones((len(rows), 1, rows.shape[2]))
    terms = maximise_likelihood(np.concatenate([ones, designs], axis=1), outcomes).terms
    slopes = np.zeros(enters.shape)
    slopes[:, used] = terms[:, 1:]
    return terms[:, 0], slopes


def _univariate_p(rows: NDArray[np.floating], outcomes: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Return P of each feature alone, (b, k), for features in rows, (b, k, n)."""
    b, k, n = rows.shape
    alone = rows.reshape(b * k, n)
    fits = maximise_likelihood(np.stack([np.ones_like(alone), alone], axis=1), np.repeat(outcomes, k, axis=0))
    z = fits.terms[:, 1] / np.sqrt(fits.covariance[:, 1, 1])
    return np.where(fits.is_finite & alone.any(axis=1), 2 * stats.norm.sf(np.abs(z)), 1.0).reshape(b, k)
