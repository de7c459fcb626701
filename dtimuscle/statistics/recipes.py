"""Ways of building a logistic model, each as one recipe that can be repeated in every resample."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats
from scipy.special import expit

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.complete_cases import is_constant
from dtimuscle.statistics.likelihood import log_odds_of, maximise_likelihood
from dtimuscle.statistics.validation import Predictor, Recipe

# A feature whose part outside the features before it is smaller than this fraction adds nothing to them.
COLLINEAR = 1e-7

# Firth's iterations end when no log odds move by more than this.
LAST_STEP = 1e-9
MAX_ITERATIONS = 50

# No log odds move further in one step of Firth's iterations.
LONGEST_STEP = 5.0

# At a maximum the score is smaller than this.
LARGEST_SCORE = 1e-4


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
        standardised, centre, scale = _standardise(features)
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
        standardised, centre, scale = _standardise(features)
        entered = np.flatnonzero(_univariate_p(standardised, is_event) < entry_p)
        return LinearPredictor(centre, scale, *_joint_fit(standardised, is_event, entered))

    return Recipe(name, tuple(columns), fit)


def firth_recipe(name: str, columns: tuple[str, ...]) -> Recipe:
    """Return the recipe of a logistic model with Firth's penalty, which stays finite under separation.

    The score is X'(y - p + h (½ - p)) with h the diagonal of the hat matrix (Firth 1993; Heinze & Schemper
    2002). Its predictions lean towards ½.

    Parameters
    ----------
    name : str
        The model.
    columns : tuple of str
        Its features.
    """

    def fit(features: NDArray[np.floating], is_event: NDArray[np.bool_]) -> Predictor:
        standardised, centre, scale = _standardise(features)
        kept = _independent(standardised)
        # The penalty knows no coordinates; in orthogonal ones nearly equal features do no harm.
        basis, triangle = np.linalg.qr(np.column_stack([np.ones(is_event.size), standardised[:, kept]]))
        root = np.sqrt(is_event.size)
        try:
            terms = np.linalg.solve(triangle / root, _firth_terms(basis * root, is_event, name))
        except np.linalg.LinAlgError as error:
            raise StatisticsError(f"{name}: Firth's fit met a singular matrix. Use fewer features.") from error
        slopes = np.zeros(len(columns))
        slopes[kept] = terms[1:]
        return LinearPredictor(centre, scale, float(terms[0]), slopes)

    return Recipe(name, tuple(columns), fit)


def _standardise(
    features: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    centre, scale = features.mean(axis=0), features.std(axis=0)
    constant = np.array([is_constant(column) for column in features.T], dtype=bool)
    scale = np.where(constant, 1.0, scale)
    return np.where(constant, 0.0, (features - centre) / scale), centre, scale


def _joint_fit(
    standardised: NDArray[np.floating], is_event: NDArray[np.bool_], entered: NDArray[np.intp]
) -> tuple[float, NDArray[np.floating]]:
    kept = entered[_independent(standardised[:, entered])]
    design = np.vstack([np.ones(is_event.size), standardised[:, kept].T])
    terms = maximise_likelihood(design[None], is_event).terms[0]
    slopes = np.zeros(standardised.shape[1])
    slopes[kept] = terms[1:]
    return float(terms[0]), slopes


def _independent(standardised: NDArray[np.floating]) -> NDArray[np.intp]:
    """Find the columns that add something to those before them (|r_jj| is what is left of column j)."""
    n, k = standardised.shape
    left = np.zeros(k)
    if n > 1:
        triangle = np.linalg.qr(np.column_stack([np.ones(n), standardised]), mode="r")
        diagonal = np.abs(np.diagonal(triangle))[1:]
        left[: diagonal.size] = diagonal
    return np.flatnonzero(left > COLLINEAR * np.sqrt(n))


def _univariate_p(standardised: NDArray[np.floating], is_event: NDArray[np.bool_]) -> NDArray[np.floating]:
    columns = standardised.T
    fits = maximise_likelihood(np.stack([np.ones_like(columns), columns], axis=1), is_event)
    z = fits.terms[:, 1] / np.sqrt(fits.covariance[:, 1, 1])
    return np.where(fits.is_finite & columns.any(axis=1), 2 * stats.norm.sf(np.abs(z)), 1.0)


def _firth_terms(design: NDArray[np.floating], is_event: NDArray[np.bool_], name: str) -> NDArray[np.floating]:
    terms = np.zeros(design.shape[1])
    for _ in range(MAX_ITERATIONS):
        score, covariance = _firth_score(design, is_event, terms)
        step = covariance @ score
        longest = float(np.abs(design @ step).max())
        if longest < LAST_STEP:
            return terms + step
        terms = terms + step * min(1.0, LONGEST_STEP / longest)

    # Fisher's steps overshoot for ever where there are nearly as many terms as participants.
    def loss(found: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score, _ = _firth_score(design, is_event, found)
        return -_penalised_log_likelihood(design, is_event, found), -score

    optimum = optimize.minimize(loss, np.zeros(design.shape[1]), jac=True, method="BFGS", tol=LARGEST_SCORE / 100)
    if not np.abs(optimum.jac).max() < LARGEST_SCORE:
        raise StatisticsError(f"{name}: Firth's fit did not converge. Use fewer features.")
    return optimum.x


def _firth_score(
    design: NDArray[np.floating], is_event: NDArray[np.bool_], terms: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    p = expit(design @ terms)
    weighted = design * np.sqrt(p * (1 - p))[:, None]
    covariance = np.linalg.inv(weighted.T @ weighted)
    leverage = ((weighted @ covariance) * weighted).sum(axis=1)
    return design.T @ (is_event - p + leverage * (0.5 - p)), covariance


def _penalised_log_likelihood(
    design: NDArray[np.floating], is_event: NDArray[np.bool_], terms: NDArray[np.floating]
) -> float:
    log_odds = design @ terms
    weights = expit(log_odds) * expit(-log_odds)
    log_determinant = np.linalg.slogdet((design * weights[:, None]).T @ design).logabsdet
    return float(0.5 * log_determinant - np.logaddexp(0.0, np.where(is_event, -log_odds, log_odds)).sum())
