"""What it takes that holding other features fixed turns the sign of one."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scipy.special import ndtr

from dtimuscle.replication.audit.auc import PrintedRoc, printed_rocs
from dtimuscle.replication.audit.combination import (
    FALSE_ALARM_RATE,
    SingleFeature,
    deviate_for,
    single_features,
)
from dtimuscle.replication.audit.directions import SignedStatement, opposed, signs
from dtimuscle.replication.audit.effects import ImpliedEffect, implied_effects
from dtimuscle.replication.audit.findings import (
    Check,
    CheckResult,
    Finding,
    Quantity,
    Sentence,
    Severity,
    Step,
    WayOut,
)
from dtimuscle.replication.published import PublishedStudy
from dtimuscle.replication.reference_values import ReferenceValues
from dtimuscle.statistics.estimates import Interval

NAME = "adjustment"

# How many times the adjusting feature differs as much as the adjusted one, for tables.
RATIOS = (1.1, 1.25, 1.5, 2.0)

_REFERENCES = (
    "Cochran, Technometrics 1964; 6: 179-190 (two correlated variables in a discriminant)",
    "Cohen, Cohen, West & Aiken, Applied multiple regression/correlation analysis, 3rd ed. 2003 (suppression)",
)


@dataclass(frozen=True)
class TurningRegion:
    """Where adjusting turns the sign of a feature's coefficient: on and above a curve.

    Parameters
    ----------
    d_adjusted : float
        Difference of the groups in the feature, in SDs, without its sign.
    d_adjusting : tuple of float
        Differences in the feature that is held fixed, all above `d_adjusted`: up to it no correlation turns the sign.
    correlation : tuple of float
        The correlation between the two within a group above which the sign turns, for each.
    auc : tuple of float
        AUC of the two together at that correlation, for each; beyond it the AUC is higher.
    """

    d_adjusted: float
    d_adjusting: tuple[float, ...]
    correlation: tuple[float, ...]
    auc: tuple[float, ...]


def turning_region(d_adjusted: float, d_adjusting: Sequence[float]) -> TurningRegion:
    """Find which correlations turn the sign of a feature when another one is held fixed.

    With differences d₁ (held fixed) and d₂ in SDs and the correlation r within both groups, the linear discriminant,
    and with it the logistic regression of normal values of equal spread, gives the second feature a weight
    ∝ d₂ − r d₁ (Cochran 1964). For differences that point the same way it has the other sign than d₂ if r > d₂/d₁,
    which needs d₁ > d₂. There the two together have the distance
    D² = (d₁² + d₂² − 2 r d₁ d₂)/(1 − r²) = d₁², so that their AUC is Φ(d₁/√2), above that of either. Several features
    that are held fixed act as one: their best linear combination.

    Parameters
    ----------
    d_adjusted : float
        d₂; its sign does not matter.
    d_adjusting : sequence of float
        d₁ in the same direction; those up to |d₂| are left out.

    Returns
    -------
    TurningRegion
        For a figure or a table.
    """
    own = abs(d_adjusted)
    others = tuple(float(d) for d in d_adjusting if d > own)
    return TurningRegion(
        own, others, tuple(own / d for d in others), tuple(float(ndtr(d / math.sqrt(2))) for d in others)
    )


@dataclass(frozen=True)
class _Turned:
    """A feature whose sign is another one in a model than alone."""

    factor: SignedStatement
    effect: ImpliedEffect
    n_others: int
    single: SingleFeature | None
    roc: PrintedRoc | None

    @property
    def g(self) -> float:
        return abs(self.effect.hedges_g.value)

    @property
    def rounding(self) -> Interval | None:
        bounds = self.effect.hedges_g.rounding
        return None if bounds is None else Interval(*sorted((abs(bounds.low), abs(bounds.high))))

    @property
    def contradicts_auc(self) -> bool:
        """Whether the AUC that turning needs at least is above the printed one by more than rounding and chance."""
        if self.single is None or self.roc is None or self.single.limit.rounding is None:
            return False
        return self.single.limit.rounding.low > max(self.roc.auc.high, 1 - self.roc.auc.low)


def _run(study: PublishedStudy, _: ReferenceValues) -> CheckResult:
    """Ask for each feature with another sign in a model than alone what that takes."""
    statements = signs(study)
    names = opposed(statements, is_adjusted=True)
    effects = {
        effect.pair.feature: effect
        for effect in implied_effects(study)
        if (effect.pair.first.group.stands_for, effect.pair.second.group.stands_for) == ("poor", "good")
    }
    n_compared = sum(name in effects for name in names)
    turned = [
        _turned(study, item, statements, effects[item.feature], n_compared)
        for item in statements
        if item.is_adjusted and item.is_shown and item.feature in names and item.feature in effects
        and item.sign * effects[item.feature].hedges_g.value < 0
    ]  # fmt: skip
    adjusted = dict.fromkeys(item.feature for item in statements if item.is_adjusted and item.feature in effects)
    examined = tuple(f"{study.in_words(name)}, alone and in a model" for name in adjusted)
    groups = dict.fromkeys((item.factor.claim_id, _parameter(item)) for item in turned)
    findings = [
        _finding(study, [item for item in turned if (item.factor.claim_id, _parameter(item)) == group])
        for group in groups
    ]
    return CheckResult(examined, tuple(findings))


ADJUSTMENT = Check(
    name=NAME,
    question="Where a feature changes its sign in a model, can the other features of the model have turned it?",
    needs="a model of several features, and mean and SD of one of them in both groups",
    false_alarm_rate=FALSE_ALARM_RATE,
    run=_run,
)


def _parameter(item: _Turned) -> str:
    return item.factor.feature.partition(".")[2]


def _turned(
    study: PublishedStudy,
    factor: SignedStatement,
    statements: tuple[SignedStatement, ...],
    effect: ImpliedEffect,
    n_compared: int,
) -> _Turned:
    n_others = len({item.feature for item in statements if item.claim_id == factor.claim_id}) - 1
    rocs = [
        roc
        for roc in printed_rocs(study)
        if factor.feature in study.features_of(roc.claim.id)
        and len(study.features_of(roc.claim.id)) > 1
        and roc.claim.validation in (None, "apparent")
    ]
    roc = rocs[0] if rocs else None
    event = effect.pair.first.group.id
    singles = single_features(study, (factor.feature,), event=event, z=deviate_for(n_compared))
    return _Turned(factor, effect, n_others, singles[0] if singles else None, roc)


def _finding(study: PublishedStudy, turned: list[_Turned]) -> Finding:
    smallest = min(turned, key=lambda item: item.g)
    title = study.parameter_title(_parameter(smallest))
    least = [
        Quantity(f"g_{index}", f"Difference in {study.in_words(item.factor.feature)}, SDs (Hedges g, without sign)",
                 "effect", item.g)
        for index, item in enumerate(turned, start=1)
    ]  # fmt: skip
    auc = Quantity("auc_least", "AUC of the model at least", "auc", float(ndtr(smallest.g / math.sqrt(2))))
    words = (
        f"Holding other features fixed can turn the sign of {title} only if these, taken together, differ between the "
        f"groups by more than {title} does (more than {{{_name_of(smallest, turned)}}} standard deviations) and are "
        "closely related to it. Such a model would have an AUC above {auc_least}."
    )
    quantities = [*least, auc]
    conflicts = [item for item in turned if item.contradicts_auc]
    if conflicts and conflicts[0].roc is not None:
        words += " The printed one is {auc_printed}."
        quantities.append(conflicts[0].roc.as_quantity)
    rocs = [item.roc.claim.id for item in conflicts if item.roc is not None]
    return Finding(
        check=NAME,
        severity=Severity.UNLIKELY if conflicts else Severity.NOTE,
        title=f"The model {'could hardly' if conflicts else 'may'} have turned the sign of {title}",
        sentence=Sentence(words, tuple(quantities)),
        claims=tuple(
            dict.fromkeys(
                [*(item.factor.claim_id for item in turned), *(item.effect.pair.claim_id for item in turned), *rocs]
            )
        ),
        features=tuple(item.factor.feature for item in turned),
        steps=tuple(_steps(study, turned)),
        ways_out=tuple(_ways_out(turned)),
        references=_REFERENCES,
    )


def _name_of(item: _Turned, turned: list[_Turned]) -> str:
    return f"g_{turned.index(item) + 1}"


def _steps(study: PublishedStudy, turned: list[_Turned]) -> Iterator[Step]:
    for item in turned:
        region = turning_region(item.g, [item.g * ratio for ratio in RATIOS])
        table = [
            quantity
            for index, (d, r, auc) in enumerate(
                zip(region.d_adjusting, region.correlation, region.auc, strict=True), start=1
            )
            for quantity in (
                Quantity(f"d_{index}", "If the others together differ by, SDs", "effect", d),
                Quantity(f"r_{index}", "… the correlation must exceed", "correlation", r),
                Quantity(f"auc_{index}", "… and the AUC of the model", "auc", auc),
            )
        ]
        yield Step(
            f"When adjusting turns {study.in_words(item.factor.feature)}",
            "weight ∝ d₂ − r d₁: turned if r > d₂/d₁; AUC > Φ(d₁/√2)",
            (Quantity("g", "Its own difference d₂, SDs", "effect", item.g, item.rounding), *table),
        )
    if len(turned) > 1:
        yield Step(
            "Can these turn each other?",
            "r > d₂/d₁ and r > d₁/d₂ cannot hold at once, since one of the two is at least 1",
            tuple(
                Quantity(f"g_{index}", f"Difference in {study.in_words(item.factor.feature)}, SDs", "effect", item.g)
                for index, item in enumerate(turned, start=1)
            ),
        )


def _ways_out(turned: list[_Turned]) -> Iterator[WayOut]:
    smallest = min(turned, key=lambda item: item.g)
    region = turning_region(smallest.g, [smallest.g * ratio for ratio in RATIOS])
    others = Quantity("n_others", "Other factors of the model", "count", smallest.n_others)
    contradicted = any(item.contradicts_auc for item in turned)
    clash = ", against the printed AUC of the model" if contradicted else ""
    yield WayOut(
        "The other factors together differ much more between the groups",
        "in part" if contradicted else "yes",
        Sentence(
            "At a difference of {d} SDs the correlation must exceed {r}; the AUC of the model would exceed {auc}"
            + clash
            + ".",
            (
                Quantity("d", "Difference of the others, SDs", "effect", region.d_adjusting[-1]),
                Quantity("r", "Correlation that turns the sign", "correlation", region.correlation[-1]),
                Quantity("auc", "AUC of the model", "auc", region.auc[-1]),
            ),
        ),
    )
    yield WayOut(
        "None of the others differs so much, but several add up",
        "in part" if contradicted else "yes",
        Sentence(
            "{n_others} factors that are unrelated to each other would each have to differ by more than {d_each} SDs; "
            "the AUC of the model is the same then.",
            (
                others,
                Quantity("d_each", "Difference of each, SDs", "effect", smallest.g / math.sqrt(smallest.n_others)),
            ),
        ),
    )
