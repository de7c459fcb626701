"""Which claims of a study come out together, in many cohorts of a world whose truth is known.

A claim comes out in a cohort if the cohort shows it: the published direction with P < 0.05, as the verdict on new data
has it, or an interval that contains the published number. What came out in each cohort is counted over cohorts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dtimuscle.issues import Issue, Severity
from dtimuscle.replication.criteria import LEVEL, SIGNIFICANCE
from dtimuscle.replication.many_cohorts import (
    JointModels,
    area_differences,
    area_intervals,
    areas,
    correlations,
    differences,
    joint_models,
    mean_intervals,
)
from dtimuscle.replication.printed import rounded_number
from dtimuscle.replication.published import (
    AnyClaim,
    AucClaim,
    AucComparison,
    CorrelationClaim,
    GroupDifference,
    GroupMeans,
    IndependentFactors,
    PrintedAuc,
    PublishedStudy,
    read_auc,
)
from dtimuscle.statistics.auc import DeLongComponents
from dtimuscle.statistics.cut_offs import clopper_pearson
from dtimuscle.statistics.estimates import Interval

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]

# AUC of a model that tells nothing.
CHANCE = 0.5


class Cohorts(Protocol):
    """Features and grades of many cohorts of the same size."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, such as `adductor_longus.md`."""

    @property
    def values(self) -> Floats:
        """Shape (cohorts, patients, features), without missing values; diffusivities in mm²/s."""

    @property
    def grades(self) -> NDArray[np.integer]:
        """Grades, shape (cohorts, patients)."""

    @property
    def is_poor(self) -> Flags:
        """Who has poor function, the same in every cohort."""


@dataclass(frozen=True)
class Share:
    """A share of the cohorts.

    Parameters
    ----------
    n_yes : int
        Cohorts that count.
    n : int
        All cohorts.
    interval : Interval
        Of the share, by Clopper and Pearson: how well so many cohorts tell it.
    """

    n_yes: int
    n: int
    interval: Interval

    @property
    def value(self) -> float:
        """The share, from 0 to 1."""
        return self.n_yes / self.n


@dataclass(frozen=True)
class ClaimPart:
    """One thing that a claim says, and in how many cohorts it comes out.

    Parameters
    ----------
    subject : str
        Feature (`adductor_longus.md`), model (`fa+md`) or difference of models (`fa+md - fa`).
    share : Share or None
        None where it is not testable.
    group : str, default=""
        Group that a mean belongs to.
    direction : int, default=0
        1 where the claim says that higher values go with poor function, -1 where lower ones do; 0 for what has no
        such direction.
    reason : str, default=""
        Why it is not testable.
    """

    subject: str
    share: Share | None
    group: str = ""
    direction: int = 0
    reason: str = ""


@dataclass(frozen=True)
class ClaimInWorld:
    """In how many cohorts a claim comes out.

    Parameters
    ----------
    claim_id, kind, statement : str
        The claim.
    parts : tuple of ClaimPart
        What it says, one by one.
    whole : Share or None
        Cohorts in which all parts come out at once; None where a part is not testable.
    reason : str, default=""
        Why it is not testable.
    n_separated : int, default=0
        Cohorts in which the features tell the groups apart completely, so that no odds ratios exist; there the claim
        does not come out.
    """

    claim_id: str
    kind: str
    statement: str
    parts: tuple[ClaimPart, ...]
    whole: Share | None
    reason: str = ""
    n_separated: int = 0


@dataclass(frozen=True)
class Together:
    """Two claims, and in how many cohorts both come out.

    Parameters
    ----------
    first, second : str
        Identifiers of the claims, in the study's order.
    share : Share
        Cohorts in which all parts of both come out.
    """

    first: str
    second: str
    share: Share


@dataclass(frozen=True)
class Opposition:
    """Two claims that say the opposite of the same features, and in how many cohorts both are right nevertheless.

    Parameters
    ----------
    first, second : str
        Identifiers of the claims, in the study's order.
    features : tuple of str
        Those about which they say the opposite.
    shares : tuple of Share
        For each feature, the cohorts in which what both say of it comes out.
    any_feature : Share
        Cohorts in which that is so for at least one of the features.
    """

    first: str
    second: str
    features: tuple[str, ...]
    shares: tuple[Share, ...]
    any_feature: Share


@dataclass(frozen=True, eq=False)
class AucInWorld:
    """The areas of a model in many cohorts beside the printed one.

    Parameters
    ----------
    claim_id, predictor : str
        The claim, and the feature or model that it is about.
    features : tuple of str
        What the model contains.
    printed : PrintedAuc
        The printed area with its interval.
    values : ndarray of shape (cohorts,)
        Area in each cohort, in the patients that the model was fitted to, as the study has it.
    at_most, at_least : Share
        Cohorts whose area is at most, or at least, the printed one, once rounded like it.
    within : Share or None
        Cohorts whose area lies within the printed interval; None where none is printed.
    """

    claim_id: str
    predictor: str
    features: tuple[str, ...]
    printed: PrintedAuc
    values: Floats = field(repr=False)
    at_most: Share
    at_least: Share
    within: Share | None


@dataclass(frozen=True, eq=False)
class WorldAnswer:
    """What many cohorts of a world say to the claims of a study.

    Parameters
    ----------
    name, statement : str
        The world, and what is true in it.
    n_cohorts, n_poor, n_good : int
        Cohorts, and patients of each group in every one of them.
    claims : tuple of ClaimInWorld
        In the study's order.
    together : tuple of Together
        Every two testable claims.
    all_claims : Share or None
        Cohorts in which all testable claims come out at once; None where there is none.
    oppositions : tuple of Opposition
        Claims that say the opposite of the same features.
    aucs : tuple of AucInWorld
        One for each claim about an AUC that is testable.
    issues : tuple of Issue
        What is not testable, and where odds ratios do not exist.
    """

    name: str
    statement: str
    n_cohorts: int
    n_poor: int
    n_good: int
    claims: tuple[ClaimInWorld, ...]
    together: tuple[Together, ...]
    all_claims: Share | None
    oppositions: tuple[Opposition, ...]
    aucs: tuple[AucInWorld, ...]
    issues: tuple[Issue, ...] = ()


def ask(published: PublishedStudy, cohorts: Cohorts, *, name: str, statement: str) -> WorldAnswer:
    """Count in how many cohorts of a world each claim comes out, alone and together with others.

    A difference between the groups comes out with Student's t test, a correlation with Pearson's coefficient of value
    and grade, independent factors in one logistic model of all that the claim names (Wald's test), a comparison of
    AUCs with DeLong's paired test: each with the published direction and P < 0.05. A printed mean comes out if it lies
    in the 95% interval of the new mean (Student's), a printed AUC if it lies in the 95% interval of the new AUC
    (DeLong's) and 0.5 does not. AUCs are those of logistic models in the patients that they were fitted to.
    The whole claim comes out if all that it says does.

    Parameters
    ----------
    published : PublishedStudy
        The study.
    cohorts : Cohorts
        At least one cohort, with at least two patients in each group.
    name, statement : str
        The world, and what is true in it.

    Returns
    -------
    WorldAnswer
        Shares of the cohorts, each with the interval that says how well so many cohorts tell it.
    """
    lane = _Lane(published, cohorts)
    found = [_judge(lane, claim) for claim in published.claims]
    whole = {claim.claim.id: holds for claim in found if (holds := claim.holds) is not None}
    n_poor = int(cohorts.is_poor.sum())
    return WorldAnswer(
        name=name,
        statement=statement,
        n_cohorts=len(cohorts.values),
        n_poor=n_poor,
        n_good=cohorts.is_poor.size - n_poor,
        claims=tuple(_counted(claim) for claim in found),
        together=tuple(
            Together(first, second, _share(whole[first] & whole[second])) for first, second in combinations(whole, 2)
        ),
        all_claims=_share(np.logical_and.reduce(list(whole.values()))) if whole else None,
        oppositions=_oppositions(found),
        aucs=tuple(
            _auc_in_world(lane, claim)
            for claim in published.claims
            if isinstance(claim, AucClaim) and not lane.obstacle(lane.model_of(claim, claim.predictor))
        ),
        issues=tuple(issue for claim in found for issue in _issues(claim, len(cohorts.values))),
    )


@dataclass(eq=False)
class _Lane:
    """The cohorts, with what several claims need of them."""

    published: PublishedStudy
    cohorts: Cohorts
    _models: dict[tuple[str, ...], JointModels] = field(default_factory=dict)

    def values(self, feature: str) -> Floats:
        return self.cohorts.values[..., self.cohorts.features.index(feature)]

    def model(self, features: tuple[str, ...]) -> JointModels:
        if features not in self._models:
            columns = [self.cohorts.features.index(feature) for feature in features]
            self._models[features] = joint_models(self.cohorts.values[..., columns], self.cohorts.is_poor)
        return self._models[features]

    def area(self, features: tuple[str, ...]) -> DeLongComponents:
        return areas(self.model(features).scores, self.cohorts.is_poor)

    def model_of(self, claim: AucClaim | AucComparison, predictor: str) -> tuple[str, ...]:
        """List the features that a predictor consists of; none where the study names none for it."""
        if "." in predictor:
            return (predictor,)
        return tuple(
            feature for feature in self.published.features_of(claim.id) if feature.split(".")[1] in predictor.split("+")
        )

    def obstacle(self, features: Sequence[str]) -> str:
        """Say why features cannot be looked at; nothing where they can."""
        if not features:
            return "It is not said which muscles are meant."
        absent = [self.published.in_words(name) for name in features if name not in self.cohorts.features]
        if not absent:
            return ""
        return f"This world says nothing about {', '.join(absent)}."


@dataclass(frozen=True, eq=False)
class _Part:
    """One thing that a claim says, and in which cohorts it comes out; None where it cannot be tested."""

    subject: str
    holds: Flags | None
    group: str = ""
    direction: int = 0
    reason: str = ""


@dataclass(frozen=True, eq=False)
class _Judged:
    claim: AnyClaim
    parts: tuple[_Part, ...]
    n_separated: int = 0

    @property
    def holds(self) -> Flags | None:
        parts = [part.holds for part in self.parts if part.holds is not None]
        return np.logical_and.reduce(parts) if parts and len(parts) == len(self.parts) else None

    @property
    def reason(self) -> str:
        return next((part.reason for part in self.parts if part.reason), "")


def _judge(lane: _Lane, claim: AnyClaim) -> _Judged:
    match claim:
        case GroupDifference():
            return _Judged(claim, _judge_differences(lane, claim))
        case GroupMeans():
            return _Judged(claim, _judge_means(lane, claim))
        case IndependentFactors():
            return _judge_factors(lane, claim)
        case CorrelationClaim():
            return _Judged(claim, _judge_correlations(lane, claim))
        case AucClaim():
            return _Judged(claim, (_judge_auc(lane, claim),))
        case AucComparison():
            return _Judged(claim, tuple(_judge_comparison(lane, claim, lower) for lower in claim.lower))


def _judge_differences(lane: _Lane, claim: GroupDifference) -> tuple[_Part, ...]:
    group, versus = (lane.published.group(name) for name in (claim.group, claim.versus))
    direction = (1 if claim.direction == "higher" else -1) * (1 if group.stands_for == "poor" else -1)
    nobody = "" if {group.stands_for, versus.stands_for} == {"poor", "good"} else _nobody_stands_for()
    parts = []
    for feature in claim.features:
        reason = nobody or lane.obstacle([feature])
        if reason:
            parts.append(_Part(feature, None, direction=0 if nobody else direction, reason=reason))
            continue
        found = differences(lane.values(feature), lane.cohorts.is_poor)
        parts.append(_Part(feature, found.shows(direction, below=SIGNIFICANCE), direction=direction))
    return tuple(parts)


def _judge_means(lane: _Lane, claim: GroupMeans) -> tuple[_Part, ...]:
    parts = []
    for row in claim.means:
        role = lane.published.group(row.group).stands_for
        reason = lane.obstacle([row.feature]) if role else _nobody_stands_for()
        if reason:
            parts.append(_Part(row.feature, None, group=row.group, reason=reason))
            continue
        members = lane.cohorts.is_poor if role == "poor" else ~lane.cohorts.is_poor
        printed = lane.published.read_mean(claim, row).value
        low, high = mean_intervals(lane.values(row.feature)[:, members], level=LEVEL)
        parts.append(_Part(row.feature, (low <= printed) & (printed <= high), group=row.group))
    return tuple(parts)


def _judge_factors(lane: _Lane, claim: IndependentFactors) -> _Judged:
    role = lane.published.group(claim.event).stands_for
    features = tuple(dict.fromkeys(factor.feature for factor in claim.factors))
    # All of them stand in one model, so that one which is missing keeps all from being tested.
    reason = lane.obstacle(features) if role else _nobody_stands_for()
    directions = [
        (1 if factor.change == "increase" else -1) * {"poor": 1, "good": -1, None: 0}[role] for factor in claim.factors
    ]
    if reason:
        return _Judged(
            claim,
            tuple(
                _Part(factor.feature, None, direction=direction, reason=reason)
                for factor, direction in zip(claim.factors, directions, strict=True)
            ),
        )
    model = lane.model(features)
    # The log odds are those of poor function, and so is the direction.
    parts = tuple(
        _Part(factor.feature, _column_shows(model, features.index(factor.feature), direction), direction=direction)
        for factor, direction in zip(claim.factors, directions, strict=True)
    )
    return _Judged(claim, parts, int((~model.is_estimable).sum()))


def _column_shows(model: JointModels, column: int, direction: int) -> Flags:
    return model.terms.shows(direction, below=SIGNIFICANCE)[:, column]


def _judge_correlations(lane: _Lane, claim: CorrelationClaim) -> tuple[_Part, ...]:
    parts = []
    # Poor function is a low grade.
    direction = -claim.sign_with_grade
    for feature in lane.published.features_of(claim.id):
        if reason := lane.obstacle([feature]):
            parts.append(_Part(feature, None, direction=direction, reason=reason))
            continue
        found = correlations(lane.values(feature), lane.cohorts.grades)
        parts.append(_Part(feature, found.shows(claim.sign_with_grade, below=SIGNIFICANCE), direction=direction))
    return tuple(parts)


def _judge_auc(lane: _Lane, claim: AucClaim) -> _Part:
    features = lane.model_of(claim, claim.predictor)
    if reason := lane.obstacle(features):
        return _Part(claim.predictor, None, reason=reason)
    low, high = area_intervals(lane.area(features), level=LEVEL)
    printed = read_auc(claim).value
    is_inside = (low <= printed) & (printed <= high)
    return _Part(claim.predictor, is_inside & ~((low <= CHANCE) & (high >= CHANCE)))


def _judge_comparison(lane: _Lane, claim: AucComparison, lower: str) -> _Part:
    subject = f"{claim.higher} - {lower}"
    models = [lane.model_of(claim, predictor) for predictor in (claim.higher, lower)]
    for features in models:
        if reason := lane.obstacle(features):
            return _Part(subject, None, reason=reason)
    found = area_differences(*(lane.area(features) for features in models))
    return _Part(subject, found.shows(1, below=SIGNIFICANCE))


def _nobody_stands_for() -> str:
    return "This world has no group that stands for the published one."


def _share(holds: Flags) -> Share:
    n_yes = int(holds.sum())
    return Share(n_yes, holds.size, clopper_pearson(n_yes, holds.size, level=LEVEL))


def _counted(judged: _Judged) -> ClaimInWorld:
    whole = judged.holds
    return ClaimInWorld(
        claim_id=judged.claim.id,
        kind=judged.claim.kind,
        statement=judged.claim.statement,
        parts=tuple(
            ClaimPart(
                part.subject,
                None if part.holds is None else _share(part.holds),
                part.group,
                part.direction,
                part.reason,
            )
            for part in judged.parts
        ),
        whole=None if whole is None else _share(whole),
        reason=judged.reason,
        n_separated=judged.n_separated,
    )


def _oppositions(found: Sequence[_Judged]) -> tuple[Opposition, ...]:
    opposed = []
    for first, second in combinations(found, 2):
        both = {
            one.subject: one.holds & other.holds
            for one in first.parts
            for other in second.parts
            if one.subject == other.subject
            and one.direction * other.direction < 0
            and one.holds is not None
            and other.holds is not None
        }
        if both:
            shares = tuple(_share(holds) for holds in both.values())
            any_feature = _share(np.logical_or.reduce(list(both.values())))
            opposed.append(Opposition(first.claim.id, second.claim.id, tuple(both), shares, any_feature))
    return tuple(opposed)


def _auc_in_world(lane: _Lane, claim: AucClaim) -> AucInWorld:
    features, printed = lane.model_of(claim, claim.predictor), read_auc(claim)
    rounded, values = rounded_number(claim.auc), lane.area(lane.model_of(claim, claim.predictor)).auc
    within = None
    if printed.interval is not None:
        within = _share((printed.interval.low <= values) & (values <= printed.interval.high))
    return AucInWorld(
        claim_id=claim.id,
        predictor=claim.predictor,
        features=features,
        printed=printed,
        values=values,
        at_most=_share(values <= rounded.high),
        at_least=_share(values >= rounded.low),
        within=within,
    )


def _issues(judged: _Judged, n_cohorts: int) -> list[Issue]:
    issues = []
    if judged.holds is None:
        issues.append(Issue(Severity.NOTE, judged.claim.id, f"not testable. {judged.reason}"))
    if judged.n_separated:
        what = (
            f"in {judged.n_separated} of {n_cohorts} cohorts the features tell the groups apart completely, so that no "
            "odds ratios exist; there the claim does not come out."
        )
        issues.append(Issue(Severity.NOTE, judged.claim.id, what))
    return issues
