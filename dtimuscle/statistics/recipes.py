"""Ways of building a logistic model, each as one recipe that can be repeated in every resample."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.likelihood import log_odds_of, maximise_likelihood
from dtimuscle.statistics.log_odds import LogOdds
from dtimuscle.statistics.terms import independent_columns, standardise
from dtimuscle.statistics.validation import Predictor, Recipe


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

    def fit(features: NDArray[np.floating], is_event: NDArray[np.bool_]) -> Predictor:
        standardised, centre, scale = _scaled(features)
        return LinearPredictor(centre, scale, *_joint_fit(standardised, is_event, np.arange(len(columns))))

    return Recipe(name, tuple(columns), fit)


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

    def fit(features: NDArray[np.floating], is_event: NDArray[np.bool_]) -> Predictor:
        standardised, centre, scale = _scaled(features)
        entered = np.flatnonzero(_univariate_p(standardised, is_event) < entry_p)
        return LinearPredictor(centre, scale, *_joint_fit(standardised, is_event, entered))

    return Recipe(name, tuple(columns), fit)


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

    def fit(features: NDArray[np.floating], is_event: NDArray[np.bool_]) -> Predictor:
        standardised, centre, scale = _scaled(features)
        kept = list(independent_columns(standardised))
        # The penalty knows no coordinates; in orthogonal ones nearly equal features do no harm.
        basis, triangle = np.linalg.qr(np.column_stack([np.ones(is_event.size), standardised[:, kept]]))
        root = np.sqrt(is_event.size)
        maximum = LogOdds(basis * root, is_event, is_penalised=True).maximise()
        if not maximum.is_reached:
            raise StatisticsError(f"{name}: Firth's fit did not converge. Use fewer features.")
        terms = np.linalg.solve(triangle / root, maximum.terms)
        slopes = np.zeros(len(columns))
        slopes[kept] = terms[1:]
        return LinearPredictor(centre, scale, float(terms[0]), slopes)

    return Recipe(name, tuple(columns), fit)


def _scaled(
    features: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Standardise features; a constant, or too little to have an SD, is divided by 1."""
    standardised, centre, sd = standardise(features)
    return standardised, centre, np.where(sd > 0, sd, 1.0)


def _joint_fit(
    standardised: NDArray[np.floating], is_event: NDArray[np.bool_], entered: NDArray[np.intp]
) -> tuple[float, NDArray[np.floating]]:
    kept = entered[list(independent_columns(standardised[:, entered]))]
    design = np.vstack([np.ones(is_event.size), standardised[:, kept].T])
    terms = maximise_likelihood(design[None], is_event).terms[0]
    slopes = np.zeros(standardised.shape[1])
    slopes[kept] = terms[1:]
    return float(terms[0]), slopes


def _univariate_p(standardised: NDArray[np.floating], is_event: NDArray[np.bool_]) -> NDArray[np.floating]:
    columns = standardised.T
    fits = maximise_likelihood(np.stack([np.ones_like(columns), columns], axis=1), is_event)
    z = fits.terms[:, 1] / np.sqrt(fits.covariance[:, 1, 1])
    return np.where(fits.is_finite & columns.any(axis=1), 2 * stats.norm.sf(np.abs(z)), 1.0)
