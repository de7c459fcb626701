"""The stratified bootstrap of ROC curves: intervals, bands and tests without a formula for the variance."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.auc import STRATIFIED_BOOTSTRAP, Auc, both_groups
from dtimuscle.statistics.complete_cases import complete_cases
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.partial_auc import check_min_specificity, partial_area, standardise_partial_area
from dtimuscle.statistics.resampling import Progress, generator_for

# Specificities at which a band is drawn.
BAND = tuple(k / 100 for k in range(101))

# Drawn participants that are held at once; a few arrays of this many numbers are all the memory that it takes.
_BLOCK = 500_000

# Resamples that differ by less than this differ by rounding.
_ROUNDING = 1e-12

_Counts = NDArray[np.integer]
_Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class SensitivityBand:
    """Pointwise bounds of the sensitivity at given specificities.

    Parameters
    ----------
    specificity : ndarray of shape (g,)
        Where.
    low, high : ndarray of shape (g,)
        Percentiles of the resampled curves, each of which is piecewise linear.
    level : float
        Coverage at each specificity by itself; of the whole curve it is less.
    """

    specificity: _Floats
    low: _Floats
    high: _Floats
    level: float


@dataclass(frozen=True, eq=False)
class CurveBootstrap:
    """What the bootstrap says about one curve.

    Parameters
    ----------
    auc : Auc
        With its percentile interval.
    partial : Interval
        Of the partial area; NaN where none was asked for.
    standardised : Interval
        Of the standardised partial area.
    band : SensitivityBand or None
        None where none was asked for, or the resamples do not differ.
    n_bootstrap : int
        Number of resamples.
    seed : int
        Where they come from.
    issues : tuple of Issue
        Why something is NaN.
    """

    auc: Auc
    partial: Interval
    standardised: Interval
    band: SensitivityBand | None
    n_bootstrap: int
    seed: int
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True)
class BootstrapTest:
    """A test of one AUC against another by the bootstrap.

    Parameters
    ----------
    difference : float
        AUC of the first minus AUC of the second.
    interval : Interval
        Percentile interval of the difference.
    z, p : float
        Difference over the standard deviation of the resampled differences, and its two-sided P from the normal
        distribution (as `roc.test(method = "bootstrap")` of R's pROC).
    n_bootstrap : int
        Number of resamples.
    seed : int
        Where they come from.
    issues : tuple of Issue
        Why something is NaN.
    """

    difference: float
    interval: Interval
    z: float
    p: float
    n_bootstrap: int
    seed: int
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, eq=False)
class BootstrappedAucs:
    """The AUCs of several scores in the same resamples of the participants.

    Parameters
    ----------
    names : tuple of str
        The scores.
    observed : ndarray of shape (k,)
        Their AUCs.
    replicates : ndarray of shape (n_bootstrap, k)
        Their AUCs in each resample.
    partial_replicates : ndarray of shape (n_bootstrap, k)
        Their partial areas in each resample; NaN where none was asked for.
    min_specificity : float
        Where the partial area ends; NaN where none was asked for.
    bands : tuple of SensitivityBand
        One for each score, or none.
    n_events, n_controls : int
        Participants with poor and good muscle function.
    n_missing : int
        Participants with a group that were left out because a score is missing.
    level : float
        Coverage of the intervals.
    seed : int
        Where the resamples come from.
    """

    names: tuple[str, ...]
    observed: _Floats
    replicates: _Floats
    partial_replicates: _Floats
    min_specificity: float
    bands: tuple[SensitivityBand, ...]
    n_events: int
    n_controls: int
    n_missing: int
    level: float
    seed: int

    @property
    def n_bootstrap(self) -> int:
        """Number of resamples."""
        return len(self.replicates)

    @property
    def has_single(self) -> bool:
        """Whether a group is a single participant, whom every resample repeats."""
        return min(self.n_events, self.n_controls) < 2

    def of(self, name: str) -> CurveBootstrap:
        """Return what the resamples say about one score.

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        CurveBootstrap
            Intervals are NaN, with an issue, where a group is a single participant or all resamples agree (an AUC of 0
            or 1, a constant score): the bootstrap would call it certain.
        """
        place = self.names.index(name)
        values = self.replicates[:, place]
        value, sizes = float(self.observed[place]), (self.n_events, self.n_controls)
        if self.has_single or np.ptp(values) < _ROUNDING:
            unknown = Interval(math.nan, math.nan, self.level)
            auc = Auc(value, unknown, STRATIFIED_BOOTSTRAP, *sizes)
            return CurveBootstrap(auc, unknown, unknown, None, self.n_bootstrap, self.seed, (self._no_spread(name),))
        auc = Auc(value, percentile_interval(values, level=self.level), STRATIFIED_BOOTSTRAP, *sizes)
        partial = percentile_interval(self.partial_replicates[:, place], level=self.level)
        low, high = (standardise_partial_area(end, self.min_specificity) for end in (partial.low, partial.high))
        standardised = Interval(low, high, self.level)
        band = self.bands[place] if self.bands else None
        return CurveBootstrap(auc, partial, standardised, band, self.n_bootstrap, self.seed)

    def compare(self, first: str, second: str) -> BootstrapTest:
        """Test the AUC of one score against that of another.

        Parameters
        ----------
        first, second : str
            Two of `names`.

        Returns
        -------
        BootstrapTest
            Of the same resamples for both.
        """
        places = self.names.index(first), self.names.index(second)
        observed, values = (array[..., places[0]] - array[..., places[1]] for array in (self.observed, self.replicates))
        return _test(
            float(observed),
            np.full(self.n_bootstrap, np.nan) if self.has_single else values,
            name=f"{first} - {second}",
            level=self.level,
            seed=self.seed,
        )

    def _no_spread(self, name: str) -> Issue:
        if self.has_single:
            what = "a group is a single participant, whom every resample repeats; no bootstrap interval."
        else:
            what = "every resample has the same AUC, which says nothing about its certainty; no bootstrap interval."
        return Issue(Severity.WARNING, name, what, "Do not read the AUC as certain.")


def bootstrap_aucs(
    scores: pd.DataFrame,
    poor: pd.Series,
    *,
    higher_is_poor: bool | Mapping[str, bool] = True,
    n_bootstrap: int = 10_000,
    seed: int = 1,
    level: float = 0.95,
    min_specificity: float | None = None,
    specificities: Sequence[float] = (),
    stream: str = "",
    progress: Progress | None = None,
) -> BootstrappedAucs:
    """Resample participants within their groups, and measure the AUC of every score each time.

    As many participants with poor function are drawn as there are, and as many with good function, with replacement.
    All scores share the resamples, so that the differences of their AUCs are paired. A score keeps its values: a model
    is not fitted again, so that its optimism is not in the interval. Resamples depend on the seed and the sizes of the
    groups alone, and the first ones are the same however many are made.

    Parameters
    ----------
    scores : DataFrame
        One column for each score, indexed by participant; NaN and infinite values count as missing, and only
        participants with every score take part.
    poor : Series of boolean
        Group, indexed by participant; participants without one are left out.
    higher_is_poor : bool or mapping of str to bool, default=True
        Whether a higher score stands for poor muscle function, for all scores or for each.
    n_bootstrap : int, default=10_000
        Number of resamples.
    seed : int, default=1
        Where the resamples come from.
    level : float, default=0.95
        Coverage of the intervals.
    min_specificity : float, optional
        Measure the partial area down to this specificity as well.
    specificities : sequence of float, default=()
        Draw a band for the sensitivity at these specificities as well.
    stream : str, default=""
        Another name gives other resamples from the same seed.
    progress : callable, optional
        Told how many resamples are done.

    Returns
    -------
    BootstrappedAucs
        From which intervals and tests follow.

    Raises
    ------
    StatisticsError
        If no complete participant has poor, or none has good muscle function, or a setting is out of range.
    """
    if n_bootstrap < 2:
        raise StatisticsError(f"n_bootstrap {n_bootstrap} found, at least 2 resamples needed.")
    if min_specificity is not None:
        check_min_specificity(min_specificity)
    names = tuple(str(name) for name in scores.columns)
    complete, outcome, n_missing = complete_cases(scores, poor)
    is_event = both_groups(outcome, ", ".join(names))
    turned = [higher_is_poor if isinstance(higher_is_poor, bool) else higher_is_poor[name] for name in names]
    signed = complete.to_numpy() * np.where(turned, 1.0, -1.0)
    groups = [_TieGroups.of(score, is_event) for score in signed.T]
    n_events, n_controls = int(is_event.sum()), int((~is_event).sum())
    # A band or a part of the area starts at specificity 1; counts of controls are exact where shares are not.
    limit = None if min_specificity is None else _controls_at(np.array([min_specificity]), n_controls)[0]
    positions = _controls_at(np.array(specificities), n_controls)

    areas, partial = np.empty((n_bootstrap, len(names))), np.full((n_bootstrap, len(names)), np.nan)
    sensitivities = np.empty((len(names), n_bootstrap, len(specificities)))
    for block, events, controls in _draws(n_events, n_controls, n_bootstrap, seed=seed, stream=stream):
        for place, group in enumerate(groups):
            hits, false_alarms = group.curves(events, controls)
            areas[block, place] = _areas(hits, false_alarms)
            if limit is not None:
                partial[block, place] = partial_area(false_alarms, hits, limit=limit) / (n_events * n_controls)
            if len(specificities):
                curves = zip(false_alarms.astype(float), hits.astype(float), strict=True)
                sensitivities[place, block] = [np.interp(positions, x, y) for x, y in curves]
        if progress:
            progress(block.stop, n_bootstrap)
    everybody = np.arange(n_events)[None], np.arange(n_controls)[None]
    observed = np.array([_areas(*group.curves(*everybody))[0] for group in groups])
    bands = tuple(_band(np.array(specificities), values / n_events, level) for values in sensitivities)
    return BootstrappedAucs(
        names=names,
        observed=observed,
        replicates=areas,
        partial_replicates=partial,
        min_specificity=math.nan if min_specificity is None else min_specificity,
        bands=bands if len(specificities) else (),
        n_events=n_events,
        n_controls=n_controls,
        n_missing=n_missing,
        level=level,
        seed=seed,
    )


def compare_independent(first: BootstrappedAucs, second: BootstrappedAucs) -> BootstrapTest:
    """Test the AUC of one sample against that of another by their own resamples.

    Parameters
    ----------
    first, second : BootstrappedAucs
        One score each, of different participants and from different streams, and of one length.

    Returns
    -------
    BootstrapTest
        Of the first minus the second.
    """
    single = first.has_single or second.has_single
    values = first.replicates[:, 0] - second.replicates[:, 0]
    return _test(
        float(first.observed[0] - second.observed[0]),
        np.full(len(values), np.nan) if single else values,
        name=f"{first.names[0]} - {second.names[0]}",
        level=first.level,
        seed=first.seed,
    )


def percentile_interval(values: _Floats, *, level: float = 0.95) -> Interval:
    """Return the interval between two percentiles of resampled values.

    Percentiles between two values are interpolated linearly (type 7 of Hyndman & Fan 1996: the default of numpy and of
    R's `quantile`, and so of pROC).

    Parameters
    ----------
    values : ndarray of shape (n_bootstrap,)
        One for each resample.
    level : float, default=0.95
        Coverage.

    Returns
    -------
    Interval
        NaN if a value is.
    """
    low, high = np.quantile(values, ((1 - level) / 2, (1 + level) / 2))
    return Interval(float(low), float(high), level)


@dataclass(frozen=True, eq=False)
class _TieGroups:
    """Where each participant stands on a score: 0 is the group of equal scores that points to poor function most."""

    events: _Counts
    controls: _Counts
    n_groups: int

    @classmethod
    def of(cls, score: _Floats, is_event: NDArray[np.bool_]) -> "_TieGroups":
        values, places = np.unique(-score, return_inverse=True)
        return cls(places[is_event], places[~is_event], values.size)

    def curves(self, events: _Counts, controls: _Counts) -> tuple[_Counts, _Counts]:
        """Count the events and the controls called poor in each resample, at every threshold from the strictest on."""
        return _cumulated(self.events[events], self.n_groups), _cumulated(self.controls[controls], self.n_groups)


def _cumulated(places: _Counts, n_groups: int) -> _Counts:
    n = len(places)
    flat = (places + n_groups * np.arange(n)[:, None]).ravel()
    counts = np.bincount(flat, minlength=n * n_groups).reshape(n, n_groups)
    cumulated = np.zeros((n, n_groups + 1), dtype=counts.dtype)
    np.cumsum(counts, axis=1, out=cumulated[:, 1:])
    return cumulated


def _areas(hits: _Counts, false_alarms: _Counts) -> _Floats:
    """Area by trapezoids, in whole numbers up to the last division."""
    heights = hits[:, 1:] + hits[:, :-1]
    doubled = np.einsum("ij,ij->i", heights, np.diff(false_alarms, axis=1))
    return doubled / (2.0 * hits[0, -1] * false_alarms[0, -1])


def _controls_at(specificities: _Floats, n_controls: int) -> _Floats:
    """Count the controls called poor at a specificity: a whole number where it is one but for rounding."""
    counts = (1 - specificities) * n_controls
    whole = np.rint(counts)
    return np.where(np.abs(counts - whole) < 1e-9 * n_controls, whole, counts)


def _draws(
    n_events: int, n_controls: int, n_bootstrap: int, *, seed: int, stream: str
) -> Iterator[tuple[slice, _Counts, _Counts]]:
    """Draw participants of both groups, block by block; the size of a block does not change what is drawn."""
    rngs = [generator_for(seed, f"stratified bootstrap {stream}{group}") for group in ("events", "controls")]
    step = max(1, _BLOCK // (n_events + n_controls))
    for start in range(0, n_bootstrap, step):
        block = slice(start, min(start + step, n_bootstrap))
        n = block.stop - block.start
        yield block, rngs[0].integers(n_events, size=(n, n_events)), rngs[1].integers(n_controls, size=(n, n_controls))


def _band(specificities: _Floats, sensitivities: _Floats, level: float) -> SensitivityBand:
    low, high = np.quantile(sensitivities, ((1 - level) / 2, (1 + level) / 2), axis=0)
    return SensitivityBand(specificities, low, high, level)


def _test(difference: float, values: _Floats, *, name: str, level: float, seed: int) -> BootstrapTest:
    n_bootstrap = len(values)
    sd = float(values.std(ddof=1))
    if sd < _ROUNDING and abs(difference) < _ROUNDING:
        return BootstrapTest(0.0, Interval(0.0, 0.0, level), 0.0, 1.0, n_bootstrap, seed)
    if not sd >= _ROUNDING:
        nan = math.nan
        what = "resamples do not differ, or a group is a single participant; no bootstrap test of the difference."
        issue = Issue(Severity.WARNING, name, what)
        return BootstrapTest(difference, Interval(nan, nan, level), nan, nan, n_bootstrap, seed, (issue,))
    z = difference / sd
    p = float(2 * ndtr(-abs(z)))
    return BootstrapTest(difference, percentile_interval(values, level=level), z, p, n_bootstrap, seed)
