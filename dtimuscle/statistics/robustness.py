"""What is left of a finding: after correction for many tests, adjustment, joint models and shrinkage."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dtimuscle.statistics.correlation import Correlation
from dtimuscle.statistics.groups import GroupComparison
from dtimuscle.statistics.logistic import PrespecifiedModel
from dtimuscle.statistics.penalised import PenalisedFit


@dataclass(frozen=True)
class Robustness:
    """One feature in every analysis that could have shown it.

    Parameters
    ----------
    feature : str
        Name of the feature.
    difference : float
        Mean of the poor minus mean of the good group: the direction of the feature by itself.
    p, p_holm, p_bh : float
        Student's P, and corrected for all features (Holm; Benjamini–Hochberg).
    p_adjusted : float
        Of the correlation with the grade, adjusted for covariates; NaN where it was not computed.
    p_joint : float
        Likelihood-ratio P in the prespecified model; NaN for a feature that is not in it.
    p_firth : float
        The same by Firth's penalised likelihood.
    selected : float
        Share of cross-validation folds in which the penalised model of all features uses it.
    turned : tuple of str
        Analyses in which the feature points the other way than by itself: `adjusted`, `joint`, `firth`, `penalised`.
    """

    feature: str
    difference: float
    p: float
    p_holm: float
    p_bh: float
    p_adjusted: float
    p_joint: float
    p_firth: float
    selected: float
    turned: tuple[str, ...]

    def holds(self, alpha: float = 0.05) -> bool:
        """Tell whether every analysis that looked at the feature shows it, in one direction.

        Parameters
        ----------
        alpha : float, default=0.05
            P values below this one count.
        """
        looked = [p for p in (self.p, self.p_holm, self.p_adjusted, self.p_joint, self.p_firth) if not math.isnan(p)]
        return bool(looked) and all(p < alpha for p in looked) and not self.turned


def what_survives(
    comparisons: Sequence[GroupComparison],
    *,
    adjusted: Sequence[Correlation] = (),
    joint: PrespecifiedModel | None = None,
    penalised: PenalisedFit | None = None,
) -> tuple[Robustness, ...]:
    """Gather what each analysis says about each feature.

    Nothing is computed anew: the P values are those of the analyses, and directions are compared by sign. A lower
    value with poor function is a positive correlation with the grade and a negative log odds ratio.

    Parameters
    ----------
    comparisons : sequence of GroupComparison
        Of all features; their order is kept.
    adjusted : sequence of Correlation, default=()
        Correlations with the grade, adjusted for covariates.
    joint : PrespecifiedModel or None, default=None
        The prespecified model.
    penalised : PenalisedFit or None, default=None
        The penalised model of all features.

    Returns
    -------
    tuple of Robustness
        One for each comparison.
    """
    nan = math.nan
    correlations = {item.feature: item for item in adjusted}
    likelihood = {term.name: term for term in joint.multivariable.coefficients} if joint else {}
    firth = {term.name: term for term in joint.firth.coefficients} if joint else {}
    shrunk = {term.name: term for term in penalised.terms} if penalised else {}
    rows = []
    for item in comparisons:
        name = item.feature
        # Each as "higher with poor function": positive, like the difference.
        directions = {
            "adjusted": -_of(correlations, name, "r"),
            "joint": _of(likelihood, name, "estimate"),
            "firth": _of(firth, name, "estimate"),
            "penalised": _of(shrunk, name, "estimate"),
        }
        rows.append(
            Robustness(
                feature=name,
                difference=item.difference,
                p=item.p,
                p_holm=item.p_holm,
                p_bh=item.p_bh,
                p_adjusted=_of(correlations, name, "p"),
                p_joint=_of(likelihood, name, "p_lr"),
                p_firth=_of(firth, name, "p"),
                selected=shrunk[name].selected if name in shrunk else nan,
                turned=tuple(what for what, value in directions.items() if value * item.difference < 0),
            )
        )
    return tuple(rows)


def _of(results: Mapping[str, object], feature: str, field: str) -> float:
    return float(getattr(results[feature], field)) if feature in results else math.nan
