"""ROC curves: how well a score tells poor from good muscle function, and which of two scores does better."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.auc import (
    DELONG,
    EXACT_PAIRS,
    LOGIT_DELONG,
    Auc,
    DeLongComponents,
    both_groups,
    delong_components,
    delong_interval,
    exact_pairs_interval,
    logit_delong_interval,
)
from dtimuscle.statistics.binormal import BinormalCurve, fit_binormal
from dtimuscle.statistics.bootstrap import (
    BAND,
    BootstrappedAucs,
    BootstrapTest,
    CurveBootstrap,
    bootstrap_aucs,
    compare_independent,
)
from dtimuscle.statistics.complete_cases import align, complete_cases
from dtimuscle.statistics.cut_offs import CutOff, choose_cut_offs, cut_off_issues
from dtimuscle.statistics.estimates import Estimate, Interval, interval_or_none
from dtimuscle.statistics.features import FeatureFrame, feature_name, require_both_groups
from dtimuscle.statistics.partial_auc import PartialAuc, partial_auc
from dtimuscle.statistics.resampling import Progress, part_of

DELONG_UNPAIRED = "DeLong, two samples"

# Below this many participants in a group the normal distribution describes an AUC badly (Obuchowski & Lieber 1998).
SMALL_GROUP = 10


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
        Area under the curve, with DeLong's interval.
    auc_logit : Auc
        The same with the logit form of DeLong's interval; of an AUC of 0 or 1, which has neither, with the exact
        interval from independent pairs.
    cut_offs : tuple of CutOff
        Youden's, the one closest to the corner, and those at a fixed sensitivity and at a fixed specificity.
    partial : PartialAuc
        Area of the part with high specificity.
    binormal : BinormalCurve
        Smooth curve.
    higher_is_poor : bool
        Whether scores above the threshold are called poor, or those below.
    is_apparent : bool
        Whether the score was fitted to the same participants, so that the curve flatters it.
    n_missing : int, default=0
        Participants with a group that were left out because the score is missing.
    bootstrap : CurveBootstrap or None, default=None
        Intervals from resampling, where they were asked for.
    issues : tuple of Issue
        What makes the curve doubtful.
    """

    name: str
    thresholds: NDArray[np.floating]
    sensitivity: NDArray[np.floating]
    specificity: NDArray[np.floating]
    auc: Auc
    auc_logit: Auc
    cut_offs: tuple[CutOff, ...]
    partial: PartialAuc
    binormal: BinormalCurve
    higher_is_poor: bool
    is_apparent: bool
    n_missing: int = 0
    bootstrap: CurveBootstrap | None = None
    issues: tuple[Issue, ...] = ()

    @property
    def n(self) -> int:
        """Participants that the curve rests on."""
        return self.auc.n_events + self.auc.n_controls

    @property
    def cut_off(self) -> CutOff:
        """Youden's cut-off."""
        return self.cut_offs[0]

    def with_bootstrap(self, resamples: BootstrappedAucs) -> "RocCurve":
        """Return the curve with what resampling says about it.

        Parameters
        ----------
        resamples : BootstrappedAucs
            Of the same participants; has a score of this name.

        Returns
        -------
        RocCurve
            Otherwise unchanged.
        """
        found = resamples.of(self.name)
        return replace(self, bootstrap=found, issues=(*self.issues, *found.issues))

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the AUC with DeLong's interval, the one that published intervals are compared with."""
        return (Estimate("auc", self.name, "", self.auc.value, interval=interval_or_none(self.auc.interval), n=self.n),)


@dataclass(frozen=True)
class AucComparison:
    """Two AUCs, of the same participants or of two samples.

    Parameters
    ----------
    first, second : str
        Names of the scores.
    difference : float
        AUC of the first minus AUC of the second.
    interval : Interval
        Confidence interval of the difference.
    z, p : float
        DeLong's test, two-sided; the statistic of two samples follows Student's t.
    n : int
        Participants with both scores; of two samples, all of them.
    method : str, default="DeLong"
        The test.
    issues : tuple of Issue
        Why something is NaN.
    aucs : tuple of two float
        AUC of the first and of the second.
    df : float, default=inf
        Degrees of freedom of the statistic; infinite for the normal distribution of the paired test.
    n_missing : int, default=0
        Participants with a group that were left out because a score is missing.
    bootstrap : BootstrapTest or None, default=None
        The same by resampling, where it was asked for.
    """

    first: str
    second: str
    difference: float
    interval: Interval
    z: float
    p: float
    n: int
    method: str = DELONG
    issues: tuple[Issue, ...] = ()
    aucs: tuple[float, float] = (math.nan, math.nan)
    df: float = math.inf
    n_missing: int = 0
    bootstrap: BootstrapTest | None = None

    @property
    def name(self) -> str:
        """The two names with a minus between them."""
        return f"{self.first} - {self.second}"

    @property
    def is_paired(self) -> bool:
        """Whether both scores are of the same participants."""
        return math.isinf(self.df)

    def with_bootstrap(self, test: BootstrapTest) -> "AucComparison":
        """Return the comparison with the bootstrap's test beside.

        Parameters
        ----------
        test : BootstrapTest
            Of the same scores.

        Returns
        -------
        AucComparison
            Otherwise unchanged.
        """
        issues = [replace(issue, where=self.name) for issue in test.issues]
        return replace(self, bootstrap=test, issues=(*self.issues, *issues))

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the difference with its interval and P."""
        interval = interval_or_none(self.interval)
        return (Estimate("auc_difference", self.name, "", self.difference, interval=interval, p=self.p, n=self.n),)


def roc_curve(
    score: pd.Series,
    poor: pd.Series,
    *,
    name: str,
    higher_is_poor: bool,
    level: float = 0.95,
    is_apparent: bool = False,
    fixed_sensitivity: float = 0.9,
    fixed_specificity: float = 0.9,
    min_specificity: float = 0.8,
    n_bootstrap: int = 0,
    seed: int = 1,
    progress: Progress | None = None,
) -> RocCurve:
    """Draw the empirical ROC curve of a score, with its area, cut-offs, partial area and smooth curve.

    Tied scores are one point of the curve. Where the curve leaves DeLong's variance at zero (an AUC of 0 or 1, a
    constant score) or undefined (a single participant in a group), the interval is NaN and an issue says so; an AUC
    of 0 or 1 still has an exact interval, in `auc_logit`. An AUC below 0.5 is kept as it is, with an issue: the
    direction is never turned round. Issues also name the cut-offs that do not exist, a partial area below that of
    chance, which is not standardised, and a curve with too few points for a smooth one.

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
    fixed_sensitivity, fixed_specificity : float, default=0.9
        Sensitivity and specificity that two of the cut-offs must reach.
    min_specificity : float, default=0.8
        Where the partial area ends.
    n_bootstrap : int, default=0
        Number of resamples for bootstrap intervals; 0 leaves them out.
    seed : int, default=1
        Where the resamples come from.
    progress : callable, optional
        Told how many resamples are done.

    Returns
    -------
    RocCurve
        Of the complete participants.

    Raises
    ------
    StatisticsError
        If no complete participant has poor, or none has good muscle function, or a setting is out of range.
    """
    complete, outcome, n_missing = complete_cases(score.to_frame(name), poor)
    is_event = both_groups(outcome, name)
    signed = complete[name].to_numpy() * (1.0 if higher_is_poor else -1.0)
    steps, hits, rejections = _points(signed, is_event)
    thresholds = steps if higher_is_poor else -steps
    auc, auc_logit, issues = _delong_aucs(signed, is_event, name, level)
    n_events, n_controls = auc.n_events, auc.n_controls
    cut_offs = choose_cut_offs(
        thresholds,
        hits,
        rejections,
        n_events=n_events,
        n_controls=n_controls,
        fixed_sensitivity=fixed_sensitivity,
        fixed_specificity=fixed_specificity,
        level=level,
    )
    sensitivity, specificity = hits / n_events, rejections / n_controls
    partial = partial_auc(specificity, sensitivity, min_specificity=min_specificity)
    binormal = fit_binormal(specificity, sensitivity)
    issues = (*issues, *cut_off_issues(cut_offs, name=name), *_shape_issues(partial, binormal, name))
    issues += _small_group((n_events, n_controls), name)
    curve = RocCurve(
        name=name,
        thresholds=thresholds,
        sensitivity=sensitivity,
        specificity=specificity,
        auc=auc,
        auc_logit=auc_logit,
        cut_offs=cut_offs,
        partial=partial,
        binormal=binormal,
        higher_is_poor=higher_is_poor,
        is_apparent=is_apparent,
        n_missing=n_missing,
        issues=issues,
    )
    if not n_bootstrap:
        return curve
    resamples = bootstrap_aucs(
        complete,
        outcome,
        higher_is_poor=higher_is_poor,
        n_bootstrap=n_bootstrap,
        seed=seed,
        level=level,
        min_specificity=min_specificity,
        specificities=BAND,
        progress=progress,
    )
    return curve.with_bootstrap(resamples)


def compare_aucs(
    score_a: pd.Series,
    score_b: pd.Series,
    poor: pd.Series,
    *,
    names: tuple[str, str],
    higher_is_poor: tuple[bool, bool] = (True, True),
    level: float = 0.95,
    n_bootstrap: int = 0,
    seed: int = 1,
    progress: Progress | None = None,
) -> AucComparison:
    """Compare the AUCs of two scores of the same participants (DeLong's paired test).

    Scores that rank everybody alike have difference 0 and P 1. With a single participant in a group, or
    a variance of zero otherwise, the test is undefined: NaN, and an issue says so. An AUC of 0 or 1 counts as
    certain in this test, so that its P is too small; an issue says that too.

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
    n_bootstrap : int, default=0
        Number of resamples for the bootstrap test beside; 0 leaves it out.
    seed : int, default=1
        Where the resamples come from.
    progress : callable, optional
        Told how many resamples are done.

    Returns
    -------
    AucComparison
        Of the participants with both scores; those who lack one are counted.

    Raises
    ------
    StatisticsError
        If no complete participant has poor, or none has good muscle function.
    """
    title = f"{names[0]} - {names[1]}"
    pair = pd.DataFrame({"a": score_a, "b": align(score_b, score_a)})
    complete, outcome, n_missing = complete_cases(pair, poor)
    is_event = both_groups(outcome, title)
    components = delong_components(np.where(higher_is_poor, 1.0, -1.0)[:, None] * complete.to_numpy().T, is_event)
    found = _paired_test(components, names, is_event.size, level)
    issues = (*found.issues, *_small_group((int(is_event.sum()), int((~is_event).sum())), title))
    found = replace(found, n_missing=n_missing, issues=issues)
    if not n_bootstrap:
        return found
    resamples = bootstrap_aucs(
        complete,
        outcome,
        higher_is_poor=dict(zip("ab", higher_is_poor, strict=True)),
        n_bootstrap=n_bootstrap,
        seed=seed,
        level=level,
        progress=progress,
    )
    return found.with_bootstrap(resamples.compare("a", "b"))


def compare_independent_aucs(
    score_a: pd.Series,
    poor_a: pd.Series,
    score_b: pd.Series,
    poor_b: pd.Series,
    *,
    names: tuple[str, str],
    higher_is_poor: tuple[bool, bool] = (True, True),
    level: float = 0.95,
    n_bootstrap: int = 0,
    seed: int = 1,
    progress: Progress | None = None,
) -> AucComparison:
    """Compare the AUCs of two samples that share nobody (DeLong's unpaired test).

    The difference over its standard error follows Student's t with Welch and Satterthwaite's degrees of freedom, each
    sample counting with its participants less one, as `roc.test(paired = FALSE)` of R's pROC has it. With a single
    participant in a group, or if both variances are zero, the test is undefined: NaN, and an issue says so.

    Parameters
    ----------
    score_a : Series
        Score in the first sample, indexed by participant; NaN and infinite values count as missing.
    poor_a : Series of boolean
        Group in the first sample; participants without one are left out.
    score_b : Series
        Score in the second sample.
    poor_b : Series of boolean
        Group in the second sample.
    names : tuple of two str
        Names of the samples or scores.
    higher_is_poor : tuple of two bool, default=(True, True)
        Whether a higher score stands for poor muscle function.
    level : float, default=0.95
        Coverage of the interval.
    n_bootstrap : int, default=0
        Number of resamples for the bootstrap test beside; 0 leaves it out.
    seed : int, default=1
        Where the resamples come from; each sample has its own.
    progress : callable, optional
        Told how many resamples are done.

    Returns
    -------
    AucComparison
        Of the complete participants of both samples.

    Raises
    ------
    StatisticsError
        If a sample has no complete participant with poor, or none with good muscle function.
    """
    samples, parts = [], []
    for score, poor, name, turned in zip((score_a, score_b), (poor_a, poor_b), names, higher_is_poor, strict=True):
        complete, outcome, n_missing = complete_cases(score.to_frame(name), poor)
        is_event = both_groups(outcome, name)
        samples.append((complete, outcome, n_missing))
        sign = 1.0 if turned else -1.0
        parts.append(delong_components(sign * complete.to_numpy().T, is_event))
    found = _unpaired_test((parts[0], parts[1]), names, level)
    sizes = [group.shape[1] for part in parts for group in (part.events, part.controls)]
    issues = (*found.issues, *_small_group(sizes, found.name))
    found = replace(found, n_missing=sum(n_missing for _, _, n_missing in samples), issues=issues)
    if not n_bootstrap:
        return found
    resamples = [
        bootstrap_aucs(
            complete,
            outcome,
            higher_is_poor=turned,
            n_bootstrap=n_bootstrap,
            seed=seed,
            level=level,
            stream=f"sample {part} ",
            progress=part_of(progress, part=part, n_parts=2),
        )
        for part, ((complete, outcome, _), turned) in enumerate(zip(samples, higher_is_poor, strict=True))
    ]
    return found.with_bootstrap(compare_independent(*resamples))


def feature_curves(
    features: FeatureFrame,
    *,
    muscles: Sequence[str],
    level: float = 0.95,
    fixed_sensitivity: float = 0.9,
    fixed_specificity: float = 0.9,
    min_specificity: float = 0.8,
    n_bootstrap: int = 0,
    seed: int = 1,
    progress: Progress | None = None,
) -> tuple[RocCurve, ...]:
    """Draw the ROC curve of FA and of ADC (MD) of each of some muscles.

    The direction is the study's: a lower value stands for poor muscle function. Each feature is tried in the
    participants who have it.

    Parameters
    ----------
    features : FeatureFrame
        Features and groups.
    muscles : sequence of str
        Canonical names.
    level : float, default=0.95
        Coverage of the intervals.
    fixed_sensitivity, fixed_specificity : float, default=0.9
        Sensitivity and specificity that two of the cut-offs must reach.
    min_specificity : float, default=0.8
        Where the partial area ends.
    n_bootstrap : int, default=0
        Number of resamples for bootstrap intervals; 0 leaves them out.
    seed : int, default=1
        Where the resamples come from.
    progress : callable, optional
        Told how many resamples are done, over all features.

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
    require_features(features, names)
    return tuple(
        roc_curve(
            features.values[name],
            features.poor,
            name=name,
            higher_is_poor=False,
            level=level,
            fixed_sensitivity=fixed_sensitivity,
            fixed_specificity=fixed_specificity,
            min_specificity=min_specificity,
            n_bootstrap=n_bootstrap,
            seed=seed,
            progress=part_of(progress, part=part, n_parts=len(names)),
        )
        for part, name in enumerate(names)
    )


def require_features(features: FeatureFrame, names: Sequence[str]) -> None:
    """Make sure that the features of a ROC curve are there.

    Parameters
    ----------
    features : FeatureFrame
        What there is.
    names : sequence of str
        What is needed.

    Raises
    ------
    StatisticsError
        If none is needed, or one is not there.
    """
    absent = [name for name in names if name not in features.values.columns]
    if absent or not names:
        raise StatisticsError(
            f"ROC curves of FA and ADC: {', '.join(absent) or 'a muscle'} is not among the features. "
            f"Choose roc_muscles from {', '.join(features.muscles)}."
        )


def _points(
    signed: NDArray[np.floating], is_event: NDArray[np.bool_]
) -> tuple[NDArray[np.floating], NDArray[np.integer], NDArray[np.integer]]:
    """Count true positives and true negatives at each threshold on a score of which more is poor."""
    values, places = np.unique(signed, return_inverse=True)
    counts = [np.bincount(places[group], minlength=values.size)[::-1] for group in (is_event, ~is_event)]
    hits, false_alarms = (np.concatenate([[0], np.cumsum(count)]) for count in counts)
    # Halved before they are added, so that no sum of two scores overflows.
    between = values[1:] / 2 + values[:-1] / 2
    return np.concatenate([[np.inf], between[::-1], [-np.inf]]), hits, false_alarms[-1] - false_alarms


def _delong_aucs(
    signed: NDArray[np.floating], is_event: NDArray[np.bool_], name: str, level: float
) -> tuple[Auc, Auc, tuple[Issue, ...]]:
    components = delong_components(signed[None, :], is_event)
    value, variance = float(components.auc[0]), components.variance_of(np.ones(1))
    n_events, n_controls = int(is_event.sum()), int((~is_event).sum())
    interval, method = logit_delong_interval(value, variance, level=level), LOGIT_DELONG
    issues: list[Issue] = []
    if not variance > 0:
        what = f"AUC {value:g} of {n_events} and {n_controls} participants: DeLong's interval does not exist."
        if value in (0, 1):
            interval = exact_pairs_interval(value, n_events=n_events, n_controls=n_controls, level=level)
            method = EXACT_PAIRS
            what += (
                f" From {min(n_events, n_controls)} independent pairs it lies between {interval.low:.3f} and "
                f"{interval.high:.3f}."
            )
        issues.append(Issue(Severity.WARNING, name, what, "Do not read the AUC as certain."))
    if value < 0.5:
        what = f"AUC {value:.3f}, below 0.5: the score points the other way than assumed. It was not turned round."
        issues.append(Issue(Severity.NOTE, name, what))
    delong = Auc(value, delong_interval(value, variance, level=level), DELONG, n_events, n_controls)
    return delong, Auc(value, interval, method, n_events, n_controls), tuple(issues)


def _shape_issues(partial: PartialAuc, binormal: BinormalCurve, name: str) -> tuple[Issue, ...]:
    issues = []
    if math.isnan(partial.standardised):
        what = f"the area above a specificity of {partial.min_specificity:g} is below that of chance: not standardised."
        issues.append(Issue(Severity.NOTE, name, what))
    if not binormal.is_defined:
        what = f"no smooth (binormal) curve: {binormal.n_points} point(s) away from the edges do not make a line."
        issues.append(Issue(Severity.NOTE, name, what))
    return tuple(issues)


def _small_group(sizes: Sequence[int], name: str) -> tuple[Issue, ...]:
    if min(sizes) >= SMALL_GROUP:
        return ()
    what = f"only {min(sizes)} participant(s) in a group: intervals and P of an AUC are made for larger groups."
    return (Issue(Severity.WARNING, name, what, "Read them as rough."),)


def _paired_test(components: DeLongComponents, names: tuple[str, str], n: int, level: float) -> AucComparison:
    aucs = float(components.auc[0]), float(components.auc[1])
    difference, variance = aucs[0] - aucs[1], components.variance_of(np.array([1.0, -1.0]))
    if variance == 0 and difference == 0:
        return AucComparison(*names, 0.0, Interval(0.0, 0.0, level), 0.0, 1.0, n, aucs=aucs)
    return _test(names, aucs, variance, n=n, df=math.inf, level=level)


def _unpaired_test(
    parts: tuple[DeLongComponents, DeLongComponents], names: tuple[str, str], level: float
) -> AucComparison:
    aucs = float(parts[0].auc[0]), float(parts[1].auc[0])
    variances = [part.variance_of(np.ones(1)) for part in parts]
    sizes = [part.events.shape[1] + part.controls.shape[1] for part in parts]
    variance = sum(variances)
    df = math.nan
    if variance > 0:
        df = variance**2 / sum(v**2 / (size - 1) for v, size in zip(variances, sizes, strict=True))
    return _test(names, aucs, variance, n=sum(sizes), df=df, level=level)


def _test(
    names: tuple[str, str], aucs: tuple[float, float], variance: float, *, n: int, df: float, level: float
) -> AucComparison:
    difference, title = aucs[0] - aucs[1], f"{names[0]} - {names[1]}"
    method = DELONG if math.isinf(df) else DELONG_UNPAIRED
    issues: tuple[Issue, ...] = ()
    if not variance > 0:
        nan = math.nan
        what = "DeLong's variance of the difference is zero or undefined, so there is no test."
        issues = (Issue(Severity.WARNING, title, what),)
        unknown = Interval(nan, nan, level)
        return AucComparison(*names, difference, unknown, nan, nan, n, method, issues, aucs, df)
    if {0.0, 1.0} & set(aucs):
        what = "an AUC of 0 or 1 counts as certain in DeLong's test; the interval is too short and P too small."
        issues = (Issue(Severity.WARNING, title, what),)
    se = math.sqrt(variance)
    z, upper = difference / se, (1 + level) / 2
    if math.isinf(df):
        margin, p = float(ndtri(upper)) * se, float(2 * ndtr(-abs(z)))
    else:
        margin, p = float(stdtrit(df, upper)) * se, float(2 * stdtr(df, -abs(z)))
    interval = Interval(difference - margin, difference + margin, level)
    return AucComparison(*names, difference, interval, z, p, n, method, issues, aucs, df)
