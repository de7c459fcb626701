"""What leaving participants out does to the main results: a sensitivity analysis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dtimuscle.issues import Issue
from dtimuscle.statistics.combination import combination_curves
from dtimuscle.statistics.estimates import Estimate, EstimateKind
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.groups import compare_all_features
from dtimuscle.statistics.logistic import prespecified_model
from dtimuscle.statistics.roc import feature_curves

# What each kind of estimate is where there is nothing to be found; means have no such value.
NULL_VALUES: dict[EstimateKind, float] = {"difference": 0.0, "odds_ratio": 1.0, "auc": 0.5, "auc_difference": 0.0}


class _Result(Protocol):
    @property
    def issues(self) -> tuple[Issue, ...]: ...

    def estimates(self) -> tuple[Estimate, ...]: ...


@dataclass(frozen=True)
class Change:
    """One result with and without those who are left out.

    Parameters
    ----------
    kept : Estimate
        Without those who are left out: the result of the study.
    everybody : Estimate
        With all participants.
    """

    kept: Estimate
    everybody: Estimate

    @property
    def change(self) -> float:
        """What leaving out adds to the result of everybody; of an odds ratio the factor."""
        if self.kept.kind == "odds_ratio":
            return self.kept.value / self.everybody.value if self.everybody.value else math.nan
        return self.kept.value - self.everybody.value

    @property
    def is_comparable(self) -> bool:
        """Whether both have an interval."""
        return self.kept.interval is not None and self.everybody.interval is not None

    @property
    def turns(self) -> bool:
        """Whether only one of the two intervals leaves out what no effect would be."""
        return self.is_comparable and _is_shown(self.kept) != _is_shown(self.everybody)


@dataclass(frozen=True)
class Sensitivity:
    """The main results with and without those who are left out.

    Parameters
    ----------
    changes : tuple of Change
        In the order of the analysis.
    n_kept, n_everybody : int
        Participants with a grade.
    issues : tuple of Issue
        What makes the results of everybody doubtful.
    """

    changes: tuple[Change, ...]
    n_kept: int
    n_everybody: int
    issues: tuple[Issue, ...] = ()

    @property
    def n_turned(self) -> int:
        """Results whose conclusion depends on who is left out."""
        return sum(change.turns for change in self.changes)


def compare_exclusion(
    kept: FeatureFrame, everybody: FeatureFrame, *, muscles: Sequence[str], model: Sequence[str], level: float = 0.95
) -> Sensitivity:
    """Compute the main results with and without those who are left out, by the same functions.

    These are the differences of the groups (Student), the AUC of each feature of the given muscles and of the
    combined models (DeLong's intervals; apparent), the differences of these AUCs, and the odds ratios of the model
    chosen beforehand.

    Parameters
    ----------
    kept : FeatureFrame
        Those whom the study uses.
    everybody : FeatureFrame
        All participants.
    muscles : sequence of str
        Canonical names of the muscles whose FA and MD have ROC curves.
    model : sequence of str
        Features and covariates of the model chosen beforehand.
    level : float, default=0.95
        Coverage of the intervals.

    Returns
    -------
    Sensitivity
        Results that both have, side by side.

    Raises
    ------
    StatisticsError
        If a group is empty, or a name is not there.
    """
    results, _ = _main_results(kept, muscles, model, level)
    others, issues = _main_results(everybody, muscles, model, level)
    beside = {(item.kind, item.subject): item for item in others}
    changes = [Change(item, beside[key]) for item in results if (key := (item.kind, item.subject)) in beside]
    n_kept, n_everybody = (features.n_poor + features.n_good for features in (kept, everybody))
    return Sensitivity(tuple(changes), n_kept, n_everybody, issues)


def _main_results(
    features: FeatureFrame, muscles: Sequence[str], model: Sequence[str], level: float
) -> tuple[list[Estimate], tuple[Issue, ...]]:
    comparisons = compare_all_features(features, level=level)
    curves = feature_curves(features, muscles=muscles, level=level)
    combination = combination_curves(features, muscles=muscles, level=level)
    beforehand = prespecified_model(features, model, level=level)
    results: tuple[_Result, ...] = (*comparisons, *curves, combination, beforehand)
    issues = dict.fromkeys(issue for result in results for issue in result.issues)
    estimates = [item for result in results for item in result.estimates() if item.kind in NULL_VALUES]
    return estimates, tuple(issues)


def _is_shown(estimate: Estimate) -> bool:
    if estimate.interval is None:
        return False
    null = NULL_VALUES[estimate.kind]
    return bool(estimate.interval.low > null or estimate.interval.high < null)
