"""Printed numbers as the values that they may have been rounded from, and the groups that they compare."""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import combinations
from typing import Literal, Self, cast

from dtimuscle.replication.claims import as_decimal
from dtimuscle.replication.published import (
    UNITS,
    AnyClaim,
    AucClaim,
    Group,
    GroupDifference,
    GroupMeans,
    IndependentFactors,
    PublishedStudy,
    Test,
)
from dtimuscle.statistics.estimates import Interval


@dataclass(frozen=True)
class RoundedNumber:
    """A printed number.

    Parameters
    ----------
    text : str
        As printed.
    value : float
        The same as a number, in the kit's unit.
    low, high : float
        Lowest and highest value that are printed so: half of one unit of the last digit away.
    """

    text: str
    value: float
    low: float
    high: float

    @property
    def rounding(self) -> Interval:
        """The lowest and the highest value as an interval; its level means nothing."""
        return Interval(self.low, self.high)

    def times(self, factor: float) -> Self:
        """Return the number in another unit; its text stays as printed.

        Parameters
        ----------
        factor : float
            Above 0.
        """
        return replace(self, value=self.value * factor, low=self.low * factor, high=self.high * factor)


def rounded_number(text: str, *, scale: Decimal = Decimal(1)) -> RoundedNumber:
    """Read a printed number.

    Parameters
    ----------
    text : str
        As printed, with a hyphen or a minus sign where it is negative.
    scale : Decimal, default=1
        What one of the printed unit is in the kit's.

    Returns
    -------
    RoundedNumber
        In the kit's unit.
    """
    value = as_decimal(text)
    half = Decimal(1).scaleb(-len(text.partition(".")[2])) / 2
    return RoundedNumber(text, *(float(number * scale) for number in (value, value - half, value + half)))


Relation = Literal["<", "<=", "=", ">=", ">"]


@dataclass(frozen=True)
class PrintedP:
    """A printed P.

    Parameters
    ----------
    relation : {"<", "<=", "=", ">=", ">"}
        How P relates to the number.
    number : RoundedNumber
        After "=" it is known to its rounding; a bound is meant exactly as printed.
    """

    relation: Relation
    number: RoundedNumber

    def allows(self, low: float, high: float) -> bool:
        """Say whether some P could have been printed so.

        Parameters
        ----------
        low, high : float
            Lowest and highest P that are possible.

        Returns
        -------
        bool
            After "=" whether the interval touches what rounds to the number (either end included, since sources
            round halves both ways); otherwise whether some of it lies on the printed side of the bound.
        """
        match self.relation:
            case "<":
                return low < self.number.value
            case "<=":
                return low <= self.number.value
            case ">":
                return high > self.number.value
            case ">=":
                return high >= self.number.value
        return low <= self.number.high and high >= self.number.low


def printed_p(text: str) -> PrintedP:
    """Read a printed P.

    Parameters
    ----------
    text : str
        Such as "< 0.05", "≤ .01", "= 0.012" or "0.012"; a number alone is meant as "=".

    Returns
    -------
    PrintedP
        The relation and the number.
    """
    sign, number = cast(re.Match[str], re.fullmatch(r"([<=≤>≥]*) ?(.+)", text)).groups()
    relation = {"": "=", "≤": "<=", "≥": ">="}.get(sign, sign)
    return PrintedP(cast(Relation, relation), rounded_number(number))


@dataclass(frozen=True)
class PrintedMean:
    """Mean and standard deviation of a feature in a group.

    Parameters
    ----------
    group : Group
        In whom.
    mean, sd : RoundedNumber
        Diffusivities in mm²/s as they are read (see `UnitReading`); FA without unit. An SD that was printed as a
        standard error is that times √n, its rounding alike; its text stays as printed.
    n : int
        Number of patients with a value.
    """

    group: Group
    mean: RoundedNumber
    sd: RoundedNumber
    n: int


@dataclass(frozen=True)
class PrintedPair:
    """The same feature in two groups.

    Parameters
    ----------
    claim_id : str
        The claim that prints it.
    feature : str
        Such as `adductor_longus.md`.
    first, second : PrintedMean
        The group that stands for poor muscle function is the first; where none does, the one that is printed first.
    """

    claim_id: str
    feature: str
    first: PrintedMean
    second: PrintedMean


@dataclass(frozen=True)
class PrintedTest:
    """What is printed about the difference of a feature between two groups.

    Parameters
    ----------
    claim_id : str
        The claim that prints it.
    feature : str
        Such as `adductor_longus.md`.
    group, versus : str
        Identifiers of the groups.
    direction : {"lower", "higher"} or None
        What the first group is said to be; None where only P is printed.
    p : PrintedP or None
        P, where one is printed.
    test : {"student", "welch", "mann_whitney", "other"} or None
        What P comes from, where the source says it.
    """

    claim_id: str
    feature: str
    group: str
    versus: str
    direction: Literal["lower", "higher"] | None
    p: PrintedP | None
    test: Test | None

    def is_of(self, feature: str, groups: Collection[str]) -> bool:
        """Say whether it is about a feature in two groups, whichever is named first.

        Parameters
        ----------
        feature : str
            The feature.
        groups : collection of str
            Identifiers of the two groups.
        """
        return self.feature == feature and {self.group, self.versus} == set(groups)


@dataclass(frozen=True)
class Contrast:
    """The groups that a model or a ROC curve tells apart.

    Parameters
    ----------
    event : Group
        Who has the event: poor muscle function.
    n_event, n_other : int
        Patients with the event, and those they are told from.
    """

    event: Group
    n_event: int
    n_other: int


def printed_mean(study: PublishedStudy, claim: GroupMeans, feature: str, group_id: str) -> PrintedMean | None:
    """Read the mean and SD of a feature in a group.

    Parameters
    ----------
    study : PublishedStudy
        The study.
    claim : GroupMeans
        One of its claims.
    feature, group_id : str
        Which.

    Returns
    -------
    PrintedMean or None
        None where the claim does not print it.
    """
    for row in claim.means:
        if (row.feature, row.group) == (feature, group_id):
            reading = study.unit_reading(feature.split(".")[1], claim.unit)
            scale = UNITS[reading.read_as if reading else claim.unit]
            mean, sd = (rounded_number(text, scale=scale) for text in (row.mean, row.sd))
            group = study.group(group_id)
            n = row.n or group.n
            return PrintedMean(group, mean, sd.times(math.sqrt(n)) if claim.spread == "se" else sd, n)
    return None


def printed_pairs(study: PublishedStudy) -> tuple[PrintedPair, ...]:
    """List every feature whose mean is printed in two groups, for every two groups.

    Parameters
    ----------
    study : PublishedStudy
        The study.

    Returns
    -------
    tuple of PrintedPair
        In the order of the claims and of their features.
    """
    pairs = []
    for claim in study.claims:
        if not isinstance(claim, GroupMeans):
            continue
        for feature in study.features_of(claim.id):
            found = [printed_mean(study, claim, feature, group.id) for group in study.groups]
            known = sorted(
                (mean for mean in found if mean is not None), key=lambda mean: mean.group.stands_for != "poor"
            )
            pairs += [PrintedPair(claim.id, feature, *two) for two in combinations(known, 2)]
    return tuple(pairs)


def printed_tests(study: PublishedStudy) -> tuple[PrintedTest, ...]:
    """List what is printed about differences between two groups, feature by feature.

    Parameters
    ----------
    study : PublishedStudy
        The study.

    Returns
    -------
    tuple of PrintedTest
        From claims about differences and from P beside means, in the order of the source.
    """
    tests = []
    for claim in study.claims:
        if isinstance(claim, GroupDifference):
            p = printed_p(claim.p) if claim.p else None
            tests += [
                PrintedTest(claim.id, feature, claim.group, claim.versus, claim.direction, p, claim.test)
                for feature in claim.features
            ]
        elif isinstance(claim, GroupMeans):
            tests += [
                PrintedTest(claim.id, row.feature, row.group, row.versus, None, printed_p(row.p), claim.test)
                for row in claim.means
                if row.p is not None and row.versus is not None
            ]
    return tuple(tests)


def contrast_of(study: PublishedStudy, claim: AnyClaim) -> Contrast | None:
    """Say which groups a claim about a model or a ROC curve tells apart.

    Parameters
    ----------
    study : PublishedStudy
        The study.
    claim : Claim
        One of its claims.

    Returns
    -------
    Contrast or None
        Of a logistic regression: its event against everybody else. Of anything else: the group that stands for poor
        muscle function against the one that stands for good, unless the claim prints numbers of its own; None where
        the study has no such groups.
    """
    if isinstance(claim, IndependentFactors):
        event = study.group(claim.event)
        return Contrast(event, event.n, sum(group.n for group in study.groups) - event.n)
    roles = {group.stands_for: group for group in study.groups if group.stands_for}
    if set(roles) != {"poor", "good"}:
        return None
    n_event, n_other = roles["poor"].n, roles["good"].n
    if isinstance(claim, AucClaim):
        n_event, n_other = claim.n_event or n_event, claim.n_other or n_other
    return Contrast(roles["poor"], n_event, n_other)
