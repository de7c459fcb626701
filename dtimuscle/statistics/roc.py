"""ROC curves: how well a score tells poor from good muscle function, and which of two scores does better."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_curve as empirical_curve

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.auc import Auc, delong_components
from dtimuscle.statistics.complete_cases import align, complete_cases
from dtimuscle.statistics.estimates import Estimate, Interval, interval_or_none
from dtimuscle.statistics.features import FeatureFrame, feature_name, require_both_groups
from dtimuscle.statistics.logistic import LogisticFit, fit_logistic

# The study's models and the parameters whose features each is made of.
MODELS = {"fa": ("fa",), "md": ("md",), "fa+md": ("fa", "md")}
CONTRASTS = (("fa+md", "fa"), ("fa+md", "md"), ("fa", "md"))


@dataclass(frozen=True)
class CutOff:
    """One point of a ROC curve, and how it would classify these participants.

    Parameters
    ----------
    rule : str
        How the point was chosen.
    threshold : float
        In the unit of the score, midway between two observed scores.
    sensitivity : float
        Share of the poor group that is found.
    sensitivity_interval : Interval
        Clopper–Pearson interval.
    specificity : float
        Share of the good group that is left alone.
    specificity_interval : Interval
        Clopper–Pearson interval.
    ppv, npv : float
        Share of right answers among those called poor, and among those called good, at the sample's own
        prevalence; NaN when nobody is called so.
    """

    rule: str
    threshold: float
    sensitivity: float
    sensitivity_interval: Interval
    specificity: float
    specificity_interval: Interval
    ppv: float
    npv: float


@dataclass(frozen=True, eq=False)
class RocCurve:
    """An empirical ROC curve.

    Parameters
    ----------
    name : str
        Feature or model.
    thresholds : ndarray of shape (k,)
        From the one that calls nobody poor (infinite) to the one that calls everybody poor; between
        them midway between neighbouring scores.
    sensitivity, specificity : ndarray of shape (k,)
        At each threshold.
    auc : Auc
        Area under the curve.
    cut_off : CutOff
        Youden's; all NaN for a constant score.
    higher_is_poor : bool
        Whether scores above the threshold are called poor, or those below.
    is_apparent : bool
        Whether the score was fitted to the same participants, so that the curve flatters it.
    n_missing : int, default=0
        Participants with a group that were left out because the score is missing.
    issues : tuple of Issue
        What makes the curve doubtful.
    """

    name: str
    thresholds: NDArray[np.floating]
    sensitivity: NDArray[np.floating]
    specificity: NDArray[np.floating]
    auc: Auc
    cut_off: CutOff
    higher_is_poor: bool
    is_apparent: bool
    n_missing: int = 0
    issues: tuple[Issue, ...] = ()

    @property
    def n(self) -> int:
        """Participants that the curve rests on."""
        return self.auc.n_events + self.auc.n_controls

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the AUC with its interval."""
        return (Estimate("auc", self.name, "", self.auc.value, interval=interval_or_none(self.auc.interval), n=self.n),)


@dataclass(frozen=True)
class AucComparison:
    """Two AUCs of the same participants.

    Parameters
    ----------
    first, second : str
        Names of the scores.
    difference : float
        AUC of the first minus AUC of the second.
    interval : Interval
        Confidence interval of the difference.
    z, p : float
        DeLong's paired test, two-sided.
    n : int
        Participants with both scores.
    method : str, default="DeLong"
        The test.
    issues : tuple of Issue
        Why something is NaN.
    """

    first: str
    second: str
    difference: float
    interval: Interval
    z: float
    p: float
    n: int
    method: str = "DeLong"
    issues: tuple[Issue, ...] = ()

    @property
    def name(self) -> str:
        """The two names with a minus between them."""
        return f"{self.first} - {self.second}"

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the difference with its interval and P."""
        interval = interval_or_none(self.interval)
        return (Estimate("auc_difference", self.name, "", self.difference, interval=interval, p=self.p, n=self.n),)


@dataclass(frozen=True, eq=False)
class CombinationRoc:
    """FA, ADC (MD) and both together, each as a logistic model's fitted probabilities.

    Parameters
    ----------
    curves : dict of str to RocCurve
        Of `fa`, `md` and `fa+md`; apparent, since each model was fitted to the participants it is judged by.
    comparisons : tuple of AucComparison
        DeLong's paired tests: `fa+md - fa`, `fa+md - md`, `fa - md`.
    models : dict of str to LogisticFit
        The models themselves.
    issues : tuple of Issue
        What makes the comparison doubtful.
    """

    curves: dict[str, RocCurve]
    comparisons: tuple[AucComparison, ...]
    models: dict[str, LogisticFit]
    issues: tuple[Issue, ...] = ()

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the AUCs, then their differences."""
        curves = [e for curve in self.curves.values() for e in curve.estimates()]
        return (*curves, *(e for comparison in self.comparisons for e in comparison.estimates()))


def roc_curve(
    score: pd.Series,
    poor: pd.Series,
    *,
    name: str,
    higher_is_poor: bool,
    level: float = 0.95,
    is_apparent: bool = False,
) -> RocCurve:
    """Draw the empirical ROC curve of a score, with AUC, DeLong's interval and Youden's cut-off.

    Tied scores are one point of the curve. Of several cut-offs with the same Youden index the most
    specific one is given. Where the curve leaves DeLong's variance at zero (an AUC of 0 or 1, a constant
    score) or undefined (a single participant in a group), the interval is NaN and an issue says so.

    Parameters
    ----------
    score : Series
        Indexed by participant; NaN and infinite values count as missing.
    poor : Series of boolean
        Group, indexed by participant; participants without one are left out.
    name : str
        Feature or model.
    higher_is_poor : bool
        Whether a higher score stands for poor muscle function. It is never guessed from the data.
    level : float, default=0.95
        Coverage of the intervals.
    is_apparent : bool, default=False
        Whether the score was fitted to the same participants.

    Returns
    -------
    RocCurve
        Of the complete participants.

    Raises
    ------
    StatisticsError
        If no complete participant has poor, or none has good muscle function.
    """
    complete, outcome, n_missing = complete_cases(score.to_frame(name), poor)
    is_event = _both_present(outcome, name)
    values = complete[name].to_numpy()
    signed = values if higher_is_poor else -values
    false_positive, sensitivity, steps = empirical_curve(is_event, signed, drop_intermediate=False)
    thresholds = np.concatenate([[np.inf], (steps[1:-1] + steps[2:]) / 2, [-np.inf]])
    if not higher_is_poor:
        thresholds = -thresholds
    auc, issues = _delong_auc(signed, is_event, name, level)
    return RocCurve(
        name=name,
        thresholds=thresholds,
        sensitivity=sensitivity,
        specificity=1 - false_positive,
        auc=auc,
        cut_off=_youden(
            thresholds,
            sensitivity,
            1 - false_positive,
            n_events=auc.n_events,
            n_controls=auc.n_controls,
            level=level,
        ),
        higher_is_poor=higher_is_poor,
        is_apparent=is_apparent,
        n_missing=n_missing,
        issues=issues,
    )


def compare_aucs(
    score_a: pd.Series,
    score_b: pd.Series,
    poor: pd.Series,
    *,
    names: tuple[str, str],
    higher_is_poor: tuple[bool, bool] = (True, True),
    level: float = 0.95,
) -> AucComparison:
    """Compare the AUCs of two scores of the same participants (DeLong's paired test).

    Scores that rank everybody alike have difference 0 and P 1. With a single participant in a group, or
    a variance of zero otherwise, the test is undefined: NaN, and an issue says so.

    Parameters
    ----------
    score_a, score_b : Series
        Indexed by participant; NaN and infinite values count as missing.
    poor : Series of boolean
        Group, indexed by participant; participants without one are left out.
    names : tuple of two str
        Names of the scores.
    higher_is_poor : tuple of two bool, default=(True, True)
        Whether a higher score stands for poor muscle function.
    level : float, default=0.95
        Coverage of the interval.

    Returns
    -------
    AucComparison
        Of the participants with both scores.

    Raises
    ------
    StatisticsError
        If no complete participant has poor, or none has good muscle function.
    """
    title = f"{names[0]} - {names[1]}"
    complete, outcome, _ = complete_cases(pd.DataFrame({"a": score_a, "b": align(score_b, score_a)}), poor)
    is_event = _both_present(outcome, title)
    signs = np.where(higher_is_poor, 1.0, -1.0)
    components = delong_components(signs[:, None] * complete.to_numpy().T, is_event)
    difference = float(components.auc[0] - components.auc[1])
    variance = components.variance_of(np.array([1.0, -1.0]))
    if variance == 0 and difference == 0:
        return AucComparison(*names, 0.0, Interval(0.0, 0.0, level), 0.0, 1.0, is_event.size)
    if not variance > 0:
        nan = math.nan
        what = "DeLong's variance of the difference is zero or undefined, so there is no test."
        issue = Issue(Severity.WARNING, title, what)
        return AucComparison(*names, difference, Interval(nan, nan, level), nan, nan, is_event.size, issues=(issue,))
    se = math.sqrt(variance)
    margin = float(stats.norm.ppf((1 + level) / 2)) * se
    p = float(2 * stats.norm.sf(abs(difference) / se))
    interval = Interval(difference - margin, difference + margin, level)
    return AucComparison(*names, difference, interval, difference / se, p, is_event.size)


def feature_curves(features: FeatureFrame, *, muscles: Sequence[str], level: float = 0.95) -> tuple[RocCurve, ...]:
    """Draw the ROC curve of FA and of ADC (MD) of each of some muscles.

    The direction is the study's: a lower value stands for poor muscle function.

    Parameters
    ----------
    features : FeatureFrame
        Features and groups.
    muscles : sequence of str
        Canonical names.
    level : float, default=0.95
        Coverage of the intervals.

    Returns
    -------
    tuple of RocCurve
        FA and MD of each muscle, in the muscles' order.

    Raises
    ------
    StatisticsError
        If a group is empty, or a feature is not there.
    """
    require_both_groups(features)
    names = [feature_name(muscle, parameter) for muscle in muscles for parameter in ("fa", "md")]
    _require_features(features, names)
    return tuple(
        roc_curve(features.values[name], features.poor, name=name, higher_is_poor=False, level=level) for name in names
    )


def _require_features(features: FeatureFrame, names: Sequence[str]) -> None:
    absent = [name for name in names if name not in features.values.columns]
    if absent or not names:
        raise StatisticsError(
            f"ROC curves of FA and ADC: {', '.join(absent) or 'a muscle'} is not among the features. "
            f"Choose roc_muscles from {', '.join(features.muscles)}."
        )


def combination_curves(features: FeatureFrame, *, muscles: Sequence[str], level: float = 0.95) -> CombinationRoc:
    """Draw the ROC curves of FA, of ADC (MD) and of both, and compare them.

    Each model is a logistic regression on the features of all the muscles given; its score is the fitted
    probability. All three use the participants in whom every feature is known. The curves are apparent:
    the models are judged by the participants they were fitted to, which favours the larger one.

    Parameters
    ----------
    features : FeatureFrame
        Features and groups.
    muscles : sequence of str
        Canonical names of the muscles whose FA and MD are used.
    level : float, default=0.95
        Coverage of the intervals.

    Returns
    -------
    CombinationRoc
        Curves, tests and models.

    Raises
    ------
    StatisticsError
        If a group is empty, no muscle is given, or the FA or MD of a muscle is not among the features.
    """
    require_both_groups(features)
    columns = {
        model: [feature_name(muscle, parameter) for muscle in muscles for parameter in parameters]
        for model, parameters in MODELS.items()
    }
    _require_features(features, columns["fa+md"])
    complete, outcome, n_missing = complete_cases(features.values[columns["fa+md"]], features.poor)
    _both_present(outcome, "ROC curves of FA and ADC")
    issues = []
    if n_missing:
        what = f"{n_missing} participant(s) left out, since a value of {', '.join(muscles)} is missing."
        issues.append(Issue(Severity.WARNING, "ROC curves of FA and ADC", what, "Check their labels."))
    models = {model: fit_logistic(complete[names], outcome, level=level) for model, names in columns.items()}
    scores = {model: fit.probabilities for model, fit in models.items()}
    curves = {
        model: roc_curve(score, outcome, name=model, higher_is_poor=True, level=level, is_apparent=True)
        for model, score in scores.items()
    }
    comparisons = tuple(
        compare_aucs(scores[first], scores[second], outcome, names=(first, second), level=level)
        for first, second in CONTRASTS
    )
    return CombinationRoc(curves, comparisons, models, tuple(issues))


def _both_present(outcome: pd.Series, name: str) -> NDArray[np.bool_]:
    is_event = outcome.to_numpy(dtype=bool)
    for group, n in (("poor", is_event.sum()), ("good", (~is_event).sum())):
        if n == 0:
            raise StatisticsError(
                f"{name}: no participant with {group} muscle function has a value, and a ROC curve needs both groups. "
                "Leave it out, or check its values."
            )
    return is_event


def _delong_auc(
    signed: NDArray[np.floating], is_event: NDArray[np.bool_], name: str, level: float
) -> tuple[Auc, tuple[Issue, ...]]:
    components = delong_components(signed[None, :], is_event)
    value = float(components.auc[0])
    n_events = int(is_event.sum())
    variance = components.variance_of(np.ones(1))
    interval = Interval(math.nan, math.nan, level)
    issues: list[Issue] = []
    if variance > 0:
        margin = float(stats.norm.ppf((1 + level) / 2)) * math.sqrt(variance)
        interval = Interval(max(value - margin, 0.0), min(value + margin, 1.0), level)
    else:
        sizes = f"{n_events} and {is_event.size - n_events} participants"
        what = f"AUC {value:g} of {sizes}: DeLong's interval does not exist."
        issues.append(Issue(Severity.WARNING, name, what, "Do not read the AUC as certain."))
    if value < 0.5:
        what = f"AUC {value:.3f}, below 0.5: the score points the other way than assumed. It was not turned round."
        issues.append(Issue(Severity.NOTE, name, what))
    return Auc(value, interval, "DeLong", n_events, is_event.size - n_events), tuple(issues)


def _youden(
    thresholds: NDArray[np.floating],
    sensitivity: NDArray[np.floating],
    specificity: NDArray[np.floating],
    *,
    n_events: int,
    n_controls: int,
    level: float,
) -> CutOff:
    inner = np.flatnonzero(np.isfinite(thresholds))
    if inner.size == 0:
        nan, unknown = math.nan, Interval(math.nan, math.nan, level)
        return CutOff("Youden", nan, nan, unknown, nan, unknown, nan, nan)
    # Counts, not shares: rounding must not decide between cut-offs of the same index.
    hits = np.rint(sensitivity[inner] * n_events).astype(int)
    rejections = np.rint(specificity[inner] * n_controls).astype(int)
    best = int(np.argmax(hits * n_controls + rejections * n_events))
    hit, rejected = int(hits[best]), int(rejections[best])
    called_poor = hit + n_controls - rejected
    called_good = n_events + n_controls - called_poor
    return CutOff(
        rule="Youden",
        threshold=float(thresholds[inner[best]]),
        sensitivity=hit / n_events,
        sensitivity_interval=_clopper_pearson(hit, n_events, level),
        specificity=rejected / n_controls,
        specificity_interval=_clopper_pearson(rejected, n_controls, level),
        ppv=hit / called_poor if called_poor else math.nan,
        npv=rejected / called_good if called_good else math.nan,
    )


def _clopper_pearson(successes: int, n: int, level: float) -> Interval:
    exact = stats.binomtest(successes, n).proportion_ci(level, method="exact")
    return Interval(float(exact.low), float(exact.high), level)
