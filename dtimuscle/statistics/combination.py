"""ROC curves of models against each other: the study asks whether FA and ADC (MD) together do better than either."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from dtimuscle.errors import StatisticsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.statistics.auc import both_groups
from dtimuscle.statistics.bootstrap import BAND, bootstrap_aucs
from dtimuscle.statistics.complete_cases import complete_cases
from dtimuscle.statistics.estimates import Estimate
from dtimuscle.statistics.features import FeatureFrame, feature_name, require_both_groups
from dtimuscle.statistics.logistic import LogisticFit, fit_logistic
from dtimuscle.statistics.resampling import Progress
from dtimuscle.statistics.roc import AucComparison, RocCurve, compare_aucs, require_features, roc_curve

# The study's models and the parameters whose features each is made of.
MODELS = {"fa": ("fa",), "md": ("md",), "fa+md": ("fa", "md")}
CONTRASTS = (("fa+md", "fa"), ("fa+md", "md"), ("fa", "md"))


@dataclass(frozen=True, eq=False)
class CombinationRoc:
    """The ROC curves of several models in the same participants, and the tests between them.

    Parameters
    ----------
    curves : dict of str to RocCurve
        Of `fa`, `md` and `fa+md`, or of whatever was compared.
    comparisons : tuple of AucComparison
        DeLong's paired tests, with the bootstrap's beside: `fa+md - fa`, `fa+md - md`, `fa - md`.
    models : dict of str to LogisticFit
        The models themselves; empty where only their scores were given.
    issues : tuple of Issue
        What makes the comparison doubtful.
    """

    curves: dict[str, RocCurve]
    comparisons: tuple[AucComparison, ...]
    models: dict[str, LogisticFit] = field(default_factory=dict)
    issues: tuple[Issue, ...] = ()

    def estimates(self) -> tuple[Estimate, ...]:
        """Return the AUCs, then their differences."""
        curves = [e for curve in self.curves.values() for e in curve.estimates()]
        return (*curves, *(e for comparison in self.comparisons for e in comparison.estimates()))


def compare_models(
    scores: pd.DataFrame,
    poor: pd.Series,
    *,
    contrasts: Sequence[tuple[str, str]],
    is_apparent: bool,
    level: float = 0.95,
    fixed_sensitivity: float = 0.9,
    fixed_specificity: float = 0.9,
    min_specificity: float = 0.8,
    n_bootstrap: int = 0,
    seed: int = 1,
    progress: Progress | None = None,
) -> CombinationRoc:
    """Draw the ROC curves of several models' scores in the same participants, and compare them.

    Parameters
    ----------
    scores : DataFrame
        One column for each model, indexed by participant; more is poorer, as of a fitted probability. Only
        participants with every score take part.
    poor : Series of boolean
        Group, indexed by participant; participants without one are left out.
    contrasts : sequence of (str, str)
        Pairs of models that are tested against each other.
    is_apparent : bool
        Whether the models were fitted to the same participants.
    level : float, default=0.95
        Coverage of the intervals.
    fixed_sensitivity, fixed_specificity : float, default=0.9
        Sensitivity and specificity that two of the cut-offs must reach.
    min_specificity : float, default=0.8
        Where the partial area ends.
    n_bootstrap : int, default=0
        Number of resamples for bootstrap intervals and tests, shared by all models; 0 leaves them out.
    seed : int, default=1
        Where the resamples come from.
    progress : callable, optional
        Told how many resamples are done.

    Returns
    -------
    CombinationRoc
        Curves and tests.

    Raises
    ------
    StatisticsError
        If no complete participant has poor, or none has good muscle function, a contrast names a model that is not
        there, or a setting is out of range.
    """
    unknown = sorted({name for pair in contrasts for name in pair} - set(scores.columns))
    if unknown:
        raise StatisticsError(
            f"comparison of models: '{unknown[0]}' is not among {', '.join(map(str, scores.columns))}. "
            "Correct the contrasts."
        )
    complete, outcome, n_missing = complete_cases(scores, poor)
    both_groups(outcome, "comparison of models")
    issues: tuple[Issue, ...] = ()
    if n_missing:
        what = f"{n_missing} participant(s) left out, since not every model has a score for them."
        issues = (Issue(Severity.WARNING, "comparison of models", what),)
    curves = {
        str(name): roc_curve(
            complete[name],
            outcome,
            name=str(name),
            higher_is_poor=True,
            level=level,
            is_apparent=is_apparent,
            fixed_sensitivity=fixed_sensitivity,
            fixed_specificity=fixed_specificity,
            min_specificity=min_specificity,
        )
        for name in complete.columns
    }
    comparisons = tuple(
        compare_aucs(complete[first], complete[second], outcome, names=(first, second), level=level)
        for first, second in contrasts
    )
    if n_bootstrap:
        resamples = bootstrap_aucs(
            complete,
            outcome,
            n_bootstrap=n_bootstrap,
            seed=seed,
            level=level,
            min_specificity=min_specificity,
            specificities=BAND,
            progress=progress,
        )
        curves = {name: curve.with_bootstrap(resamples) for name, curve in curves.items()}
        comparisons = tuple(item.with_bootstrap(resamples.compare(item.first, item.second)) for item in comparisons)
    return CombinationRoc(curves, comparisons, issues=issues)


def combination_curves(
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
) -> CombinationRoc:
    """Draw the ROC curves of FA, of ADC (MD) and of both, and compare them.

    Each model is a logistic regression on the features of all the muscles given; its score is the fitted
    probability. All three use the participants in whom every feature is known. The curves are apparent:
    the models are judged by the participants they were fitted to, which favours the larger one. Neither DeLong's
    intervals and tests nor the bootstrap's allow for that: both take the scores as they are.

    Parameters
    ----------
    features : FeatureFrame
        Features and groups.
    muscles : sequence of str
        Canonical names of the muscles whose FA and MD are used.
    level : float, default=0.95
        Coverage of the intervals.
    fixed_sensitivity, fixed_specificity : float, default=0.9
        Sensitivity and specificity that two of the cut-offs must reach.
    min_specificity : float, default=0.8
        Where the partial area ends.
    n_bootstrap : int, default=0
        Number of resamples for bootstrap intervals and tests, shared by all models; 0 leaves them out.
    seed : int, default=1
        Where the resamples come from.
    progress : callable, optional
        Told how many resamples are done.

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
    require_features(features, columns["fa+md"])
    complete, outcome, n_missing = complete_cases(features.values[columns["fa+md"]], features.poor)
    both_groups(outcome, "ROC curves of FA and ADC")
    issues = []
    if n_missing:
        what = f"{n_missing} participant(s) left out, since a value of {', '.join(muscles)} is missing."
        issues.append(Issue(Severity.WARNING, "ROC curves of FA and ADC", what, "Check their labels."))
    models = {model: fit_logistic(complete[names], outcome, level=level) for model, names in columns.items()}
    found = compare_models(
        pd.DataFrame({model: fit.probabilities for model, fit in models.items()}),
        outcome,
        contrasts=CONTRASTS,
        is_apparent=True,
        level=level,
        fixed_sensitivity=fixed_sensitivity,
        fixed_specificity=fixed_specificity,
        min_specificity=min_specificity,
        n_bootstrap=n_bootstrap,
        seed=seed,
        progress=progress,
    )
    return CombinationRoc(found.curves, found.comparisons, models, tuple(issues))
