"""Whether a scan can be used: the numbers that say so, the rules they are held against, and the verdict."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Literal

import numpy as np
import pandas as pd

from dtimuscle.roi_table import PROPAGATED
from dtimuscle.statistics.outlying import OUTLYING_Z, robust_z

BY_HAND = "by hand"
AXES = "axes"
LABELS = "labels"


class Verdict(StrEnum):
    """What to do with a scan."""

    USE = "use"
    LOOK = "look"
    LEAVE_OUT = "leave out"


@dataclass(frozen=True)
class Quantity:
    """A number that tells of the quality of a scan.

    Parameters
    ----------
    name : str
        Field of `ScanNumbers`.
    words : str
        What it is called.
    worse : {"low", "high", "either"}
        Which end is the bad one; `either` where a value can only be odd.
    unit : str, default=""
        Printed unit.
    scale : float, default=1.0
        Factor from the stored to the printed unit.
    digits : int, default=0
        Decimals that tell scans apart.
    notable : float
        What a scan must differ by from the median of all to be odd, in the stored unit: where all are nearly equal,
        statistics alone would find a trifle odd (assumed).
    """

    name: str
    words: str
    worse: Literal["low", "high", "either"]
    notable: float
    unit: str = ""
    scale: float = 1.0
    digits: int = 0

    def printed(self, value: float, *, more_digits: int = 0) -> str:
        """Say a value with its unit.

        Parameters
        ----------
        value : float
            In the stored unit.
        more_digits : int, default=0
            Decimals beyond the usual ones.
        """
        number = f"{value * self.scale:.{self.digits + more_digits}f}".replace("-", "−")
        return f"{number} {self.unit}" if self.unit else number


QUANTITIES = (
    Quantity("snr", "SNR of the muscles", "low", 2.0, digits=1),
    Quantity("mean_framewise_mm", "Motion from volume to volume, mean", "high", 0.5, "mm", digits=1),
    Quantity("max_framewise_mm", "Motion from volume to volume, largest", "high", 2.0, "mm", digits=1),
    Quantity("lost_slices", "Lost slices", "high", 0.02, "%", 100, 1),
    Quantity("impossible", "Impossible voxels in muscle", "high", 0.02, "%", 100, 1),
    Quantity("residual", "Signal that the tensor leaves unexplained", "high", 0.005, "%", 100, 1),
    Quantity("without_values", "Muscles and sides without values", "high", 0.0, "%", 100, 0),
    Quantity("n_voxels", "Voxels kept in all muscles", "low", 0.0),
    Quantity("fat", "Fat in the muscles", "either", 0.05, "%", 100, 1),
    Quantity("n_issues", "Warnings and errors", "high", 3.0),
)
QUANTITY = {quantity.name: quantity for quantity in QUANTITIES}


@dataclass(frozen=True)
class ScanNumbers:
    """The numbers that one scan is judged by; NaN where one is not known.

    Parameters
    ----------
    participant_id, session : str
        Whose scan it is; the session is empty when there is one only.
    snr : float
        Median over the muscles of their SNR at b = 0; that of the foreground without labels.
    mean_framewise_mm, max_framewise_mm : float
        How far the patient moved from one volume to the next.
    lost_slices : float
        Part of all slices of all volumes that lost their signal (0 to 1).
    impossible : float
        Part of the muscles' voxels with a signal that is not above zero or an eigenvalue that is not (0 to 1).
    residual : float
        Median over the muscles of what the tensor leaves unexplained, as part of the signal at b = 0.
    without_values : float
        Part of the muscles and sides with too few voxels for values, or that are not there at all (0 to 1).
    n_voxels : float
        Voxels kept in all muscles.
    fat : float
        Fat fraction over the voxels kept (0 to 1).
    n_issues : float
        Warnings and errors.
    orientation : str
        What the fibres say of the b-vectors: `as given`, `flipped`, `undecidable` or nothing.
    labels : str
        Where its labels come from: `drawn` on this scan, `propagated` from others, or nothing.
    """

    participant_id: str
    session: str = ""
    snr: float = np.nan
    mean_framewise_mm: float = np.nan
    max_framewise_mm: float = np.nan
    lost_slices: float = np.nan
    impossible: float = np.nan
    residual: float = np.nan
    without_values: float = np.nan
    n_voxels: float = np.nan
    fat: float = np.nan
    n_issues: float = np.nan
    orientation: str = ""
    labels: str = ""

    @property
    def name(self) -> str:
        """Participant and session as in file names."""
        return scan_name(self.participant_id, self.session)


def scan_name(participant_id: str, session: str) -> str:
    """Return participant and session as in file names.

    Parameters
    ----------
    participant_id, session : str
        With their prefixes; the session may be empty.
    """
    return f"{participant_id}_{session}" if session else participant_id


def scan_numbers(
    participant_id: str,
    session: str,
    *,
    series: Mapping[str, Any],
    fit: Mapping[str, Any],
    muscles: Sequence[Mapping[str, Any]],
    expected: Collection[tuple[str, str]],
    min_voxels: int,
    n_issues: int,
    labels: str = "",
) -> ScanNumbers:
    """Gather the numbers of one scan from the records of its quality.

    Parameters
    ----------
    participant_id, session : str
        Whose scan it is.
    series, fit : mapping
        Fields of `SeriesQuality` and `FitQuality`.
    muscles : sequence of mapping
        Fields of `MuscleQuality`, one for each muscle and side; empty without labels.
    expected : collection of (str, str)
        Muscles and sides that the study measures.
    min_voxels : int
        With fewer voxels a muscle has no values.
    n_issues : int
        Warnings and errors of all steps.
    labels : {"", "drawn", "propagated"}, default=""
        Where the labels come from.

    Returns
    -------
    ScanNumbers
        NaN where a record does not say.
    """
    pooled = pd.DataFrame([dict(muscle) for muscle in muscles if muscle["side"] == "both"])
    n_slices = series["n_volumes"] * series["n_slices"]
    n_lost = series["n_lost_slices"]
    numbers = ScanNumbers(
        participant_id,
        session,
        snr=_known(series["snr"]),
        mean_framewise_mm=_known(series["mean_framewise_mm"]),
        max_framewise_mm=_known(series["max_framewise_mm"]),
        lost_slices=n_lost / n_slices if n_lost is not None and n_slices else np.nan,
        n_issues=float(n_issues),
        orientation=str(fit["orientation"]),
        labels=labels,
    )
    if pooled.empty:
        return numbers
    kept, impossible = pooled["n_kept"], pooled["n_impossible"]
    has_values = {(muscle["muscle"], muscle["side"]) for muscle in muscles if muscle["n_kept"] >= min_voxels}
    snr = pooled["snr"].astype(float).median()
    fat = pooled["fat_fraction"].astype(float)
    with_fat = fat.notna() & (kept > 0)
    return replace(
        numbers,
        snr=numbers.snr if np.isnan(snr) else float(snr),
        impossible=_part(impossible.sum() + pooled["n_non_positive"].sum(), impossible.sum() + kept.sum()),
        residual=float(pooled["residual"].astype(float).median()),
        without_values=_part(len(set(expected) - has_values), len(set(expected))),
        n_voxels=float(kept.sum()),
        fat=float(np.average(fat[with_fat], weights=kept[with_fat])) if with_fat.any() else np.nan,
    )


def numbers_to_frame(numbers: Iterable[ScanNumbers]) -> pd.DataFrame:
    """Lay the numbers of scans out as a table, one row each.

    Parameters
    ----------
    numbers : iterable of ScanNumbers
        In the order of the rows.

    Returns
    -------
    DataFrame
        Columns as the fields of `ScanNumbers`.
    """
    return pd.DataFrame([asdict(item) for item in numbers], columns=[field.name for field in fields(ScanNumbers)])


@dataclass(frozen=True)
class Rule:
    """Two limits of one quantity: beyond the first a scan should be looked at, beyond the second left out.

    Parameters
    ----------
    quantity : Quantity
        What is judged; its bad end says which side of a limit is beyond.
    look, leave_out : float
        The limits, in the stored unit.
    """

    quantity: Quantity
    look: float
    leave_out: float

    def ground(self, value: float) -> "Ground | None":
        """Hold a value against the limits.

        Parameters
        ----------
        value : float
            In the stored unit; NaN is not judged.

        Returns
        -------
        Ground or None
            The graver limit that it is beyond; None when it is beyond neither.
        """
        for verdict, limit in ((Verdict.LEAVE_OUT, self.leave_out), (Verdict.LOOK, self.look)):
            if value < limit if self.quantity.worse == "low" else value > limit:
                return Ground(self.quantity.name, verdict, value, limit)
        return None


@dataclass(frozen=True)
class Ground:
    """Why a scan should be looked at or left out.

    Parameters
    ----------
    rule : str
        Name of the quantity, `axes`, `labels` or `by hand`.
    verdict : Verdict
        What follows from it.
    value : float, default=nan
        What was found, in the stored unit.
    limit : float, default=nan
        What was allowed, in the stored unit.
    """

    rule: str
    verdict: Verdict
    value: float = np.nan
    limit: float = np.nan

    def __str__(self) -> str:
        """Say it in words, with the value and the limit."""
        if self.rule == BY_HAND:
            return "Left out by hand"
        if self.rule == AXES:
            return "The b-vectors have an axis flipped or swapped"
        if self.rule == LABELS:
            return "The labels were propagated, not drawn"
        quantity = QUANTITY[self.rule]
        bound = "at least" if quantity.worse == "low" else "at most"
        # A value just beyond the limit must not be printed as the limit.
        for more in range(4):
            value, limit = (quantity.printed(number, more_digits=more) for number in (self.value, self.limit))
            if value != limit:
                break
        return f"{quantity.words}: {value} ({bound} {quantity.printed(self.limit)})"


@dataclass(frozen=True)
class Rating:
    """The verdict on one scan, and why.

    Parameters
    ----------
    participant_id, session : str
        Whose scan it is.
    grounds : tuple of Ground
        Limits that the scan is beyond, the gravest first.
    not_judged : tuple of str
        Quantities that have a rule but are not known of the scan.
    """

    participant_id: str
    session: str = ""
    grounds: tuple[Ground, ...] = ()
    not_judged: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Participant and session as in file names."""
        return scan_name(self.participant_id, self.session)

    @property
    def verdict(self) -> Verdict:
        """The gravest of the grounds; `use` without any."""
        return max((ground.verdict for ground in self.grounds), key=list(Verdict).index, default=Verdict.USE)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The grounds in words."""
        return tuple(map(str, self.grounds))

    @property
    def is_by_hand(self) -> bool:
        """Whether somebody asked for it to be left out."""
        return any(ground.rule == BY_HAND for ground in self.grounds)

    def by_hand(self, is_excluded: bool) -> "Rating":
        """Leave the scan out by hand, or leave the verdict to the rules.

        Parameters
        ----------
        is_excluded : bool
            Whether somebody asked for it to be left out.

        Returns
        -------
        Rating
            The other grounds as they were.
        """
        others = tuple(ground for ground in self.grounds if ground.rule != BY_HAND)
        hand = (Ground(BY_HAND, Verdict.LEAVE_OUT),) if is_excluded else ()
        return replace(self, grounds=hand + others)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        grounds = [asdict(ground) | {"words": str(ground)} for ground in self.grounds]
        return asdict(self) | {"verdict": str(self.verdict), "grounds": grounds}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Rating":
        """Rebuild a rating from `to_dict`.

        Parameters
        ----------
        record : mapping
            Plain values; a number that JSON could not hold is None.

        Returns
        -------
        Rating
            Equal to the one that was written.
        """
        grounds = (
            Ground(item["rule"], Verdict(item["verdict"]), _known(item["value"]), _known(item["limit"]))
            for item in record["grounds"]
        )
        not_judged = tuple(record.get("not_judged", ()))
        return cls(record["participant_id"], record["session"], tuple(grounds), not_judged)


def rate(
    numbers: ScanNumbers,
    rules: Iterable[Rule],
    *,
    flipped_axes: Verdict = Verdict.LOOK,
    propagated_labels: Verdict = Verdict.LOOK,
) -> Rating:
    """Hold the numbers of a scan against the rules.

    What is not known is not judged, and the rating says so.

    Parameters
    ----------
    numbers : ScanNumbers
        What is known of the scan.
    rules : iterable of Rule
        The limits.
    flipped_axes : {"use", "look", "leave out"}, default="look"
        What follows from b-vectors with an axis flipped or swapped. FA and MD stay as they are, since a mirrored
        tensor has the same eigenvalues; directions are wrong.
    propagated_labels : {"use", "look", "leave out"}, default="look"
        What follows from labels that were carried over from other scans.

    Returns
    -------
    Rating
        With every limit that the scan is beyond.
    """
    values = [(rule, getattr(numbers, rule.quantity.name)) for rule in rules]
    grounds = [ground for rule, value in values if (ground := rule.ground(value)) is not None]
    if numbers.orientation == "flipped" and flipped_axes is not Verdict.USE:
        grounds.append(Ground(AXES, flipped_axes))
    if numbers.labels == PROPAGATED and propagated_labels is not Verdict.USE:
        grounds.append(Ground(LABELS, propagated_labels))
    grounds.sort(key=lambda ground: -list(Verdict).index(ground.verdict))
    not_judged = tuple(rule.quantity.name for rule, value in values if np.isnan(value))
    return Rating(numbers.participant_id, numbers.session, tuple(grounds), not_judged)


def count_verdicts(ratings: Iterable[Rating]) -> dict[Verdict, int]:
    """Count the scans of each verdict.

    Parameters
    ----------
    ratings : iterable of Rating
        One for each scan.

    Returns
    -------
    dict of Verdict to int
        All three verdicts.
    """
    found = [rating.verdict for rating in ratings]
    return {verdict: found.count(verdict) for verdict in Verdict}


def odd_numbers(numbers: pd.DataFrame) -> pd.DataFrame:
    """Find the numbers of single scans that lie far from those of all others, at the bad end.

    Parameters
    ----------
    numbers : DataFrame
        From `numbers_to_frame`.

    Returns
    -------
    DataFrame
        One row per number with a robust z beyond 3.5 that differs notably from the median: `name` (participant and
        session), `quantity`, `value`, `median` of all scans and `z`.
    """
    rows = []
    for quantity in QUANTITIES:
        values = numbers[quantity.name].to_numpy(dtype=float)
        z, median = robust_z(values), float(pd.Series(values).median())
        badness = {"low": -z, "high": z, "either": np.abs(z)}[quantity.worse]
        rows += [
            (
                scan_name(numbers["participant_id"].iloc[place], numbers["session"].iloc[place]),
                quantity.name,
                float(values[place]),
                median,
                float(z[place]),
            )
            for place in np.flatnonzero((badness > OUTLYING_Z) & (np.abs(values - median) >= quantity.notable))
        ]
    return pd.DataFrame(rows, columns=["name", "quantity", "value", "median", "z"])


def odd_muscles(values: pd.DataFrame) -> pd.DataFrame:
    """Find muscle values of single scans that lie far from those of the same group.

    The distance from the median of the group is held against such distances in all groups, since a group alone is
    often too small to tell how far its values spread.

    Parameters
    ----------
    values : DataFrame
        One row per scan, muscle and parameter: `name`, `muscle`, `parameter`, `group` and `value`.

    Returns
    -------
    DataFrame
        The rows with a robust z beyond 3.5, with the `median` of the group and `z`.
    """
    medians = values.groupby(["muscle", "parameter", "group"], sort=False)["value"].transform("median")
    by = (values["value"] - medians).groupby([values["muscle"], values["parameter"]], sort=False)
    judged = values.assign(median=medians, z=by.transform(lambda found: robust_z(found.to_numpy(dtype=float))))
    return judged[judged["z"].abs() > OUTLYING_Z].reset_index(drop=True)


def _known(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _part(n: float, of: float) -> float:
    return float(n / of) if of else float("nan")
