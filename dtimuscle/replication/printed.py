"""Printed numbers as the values that they may have been rounded from, and the groups that they compare."""

from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

from dtimuscle.replication.published import (
    UNITS,
    AnyClaim,
    Group,
    GroupMeans,
    IndependentFactors,
    PublishedStudy,
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
    value = Decimal(text.replace("−", "-"))
    half = Decimal(1).scaleb(-len(text.partition(".")[2])) / 2
    return RoundedNumber(text, *(float(number * scale) for number in (value, value - half, value + half)))


@dataclass(frozen=True)
class PrintedMean:
    """Mean and standard deviation of a feature in a group.

    Parameters
    ----------
    group : Group
        In whom.
    mean, sd : RoundedNumber
        Diffusivities in mm²/s as they are read (see `UnitReading`); FA without unit.
    """

    group: Group
    mean: RoundedNumber
    sd: RoundedNumber

    @property
    def n(self) -> int:
        """Number of patients in the group."""
        return self.group.n


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
            return PrintedMean(study.group(group_id), mean, sd)
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
        muscle function against the one that stands for good; None where the study has no such groups.
    """
    if isinstance(claim, IndependentFactors):
        event = study.group(claim.event)
        return Contrast(event, event.n, sum(group.n for group in study.groups) - event.n)
    roles = {group.stands_for: group for group in study.groups if group.stands_for}
    if set(roles) != {"poor", "good"}:
        return None
    return Contrast(roles["poor"], roles["poor"].n, roles["good"].n)
