"""The scans of a cohort against each other: their numbers, their ratings, and who is left out of the statistics."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import pandas as pd

from dtimuscle.errors import DatasetError, SettingsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.rating import (
    QUANTITY,
    Rating,
    Rule,
    ScanNumbers,
    Verdict,
    numbers_to_frame,
    odd_muscles,
    odd_numbers,
    rate,
    scan_name,
    scan_numbers,
)
from dtimuscle.roi_table import left_right_differences, select_values
from dtimuscle.running.own_table import Cohort
from dtimuscle.running.participants import Processing
from dtimuscle.settings import QualitySettings, Study
from dtimuscle.store.derivatives import read_quality

# What the sentences on the front page are about.
LEFT_OUT = "left out of the statistics"

# Quantity of each rule, and how its limits are called in the settings.
_LIMITS = {
    "snr": ("below_snr", 1.0),
    "mean_framewise_mm": ("above_framewise_mm", 1.0),
    "max_framewise_mm": ("above_jump_mm", 1.0),
    "lost_slices": ("above_lost_percent", 100.0),
    "impossible": ("above_impossible_percent", 100.0),
    "residual": ("above_residual_percent", 100.0),
    "without_values": ("above_missing_percent", 100.0),
}


@dataclass(frozen=True)
class CohortReview:
    """The scans of a cohort against each other.

    Parameters
    ----------
    numbers : DataFrame
        One row per scan, as `numbers_to_frame` lays them out.
    ratings : tuple of Rating
        One for each scan, in the same order.
    rules : tuple of Rule
        What they were rated by.
    odd : DataFrame
        Numbers far from those of the others, as `odd_numbers` finds them.
    values : DataFrame
        FA and MD of each muscle of each scan: `participant_id`, `session`, `name`, `muscle`, `parameter`, `group`
        (`poor`, `good` or nothing) and `value`.
    odd_values : DataFrame
        Rows of `values` far from those of the same group, as `odd_muscles` finds them.
    sides : DataFrame
        Left against right, as `left_right_differences` computes it.
    sizes : DataFrame
        Volume (ml) and mean cross-section (cm²) of each muscle and side of each scan.
    """

    numbers: pd.DataFrame
    ratings: tuple[Rating, ...]
    rules: tuple[Rule, ...]
    odd: pd.DataFrame
    values: pd.DataFrame
    odd_values: pd.DataFrame
    sides: pd.DataFrame
    sizes: pd.DataFrame


def rules_of(settings: QualitySettings) -> tuple[Rule, ...]:
    """Return the rules that scans are rated by.

    Parameters
    ----------
    settings : QualitySettings
        The limits.
    """
    limits = settings.model_dump()
    return tuple(
        Rule(QUANTITY[name], limits[f"look_{words}"] / scale, limits[f"leave_out_{words}"] / scale)
        for name, (words, scale) in _LIMITS.items()
    )


def rate_scans(processing: Processing, study: Study) -> tuple[tuple[ScanNumbers, ...], tuple[Rating, ...]]:
    """Rate every scan that was measured.

    Parameters
    ----------
    processing : Processing
        What became of each participant, up to the muscles.
    study : Study
        Its sections `quality` and `roi` count.

    Returns
    -------
    numbers : tuple of ScanNumbers
        One for each scan that has results.
    ratings : tuple of Rating
        By the rules and by hand, in the same order.
    """
    records = {
        scan.name: {
            step: read_quality(processing.derivatives, step, scan)
            for step in ("preprocessed", "tensor", "muscles")
            if step != "muscles" or scan.labels
        }
        for scan in processing.scans
    }
    muscles = {name: steps["muscles"]["muscles"] if "muscles" in steps else [] for name, steps in records.items()}
    expected = {(muscle["muscle"], muscle["side"]) for found in muscles.values() for muscle in found}
    numbers = tuple(
        scan_numbers(
            scan.participant_id,
            scan.session,
            series=records[scan.name]["preprocessed"],
            fit=records[scan.name]["tensor"],
            muscles=muscles[scan.name],
            expected=expected,
            min_voxels=study.roi.min_voxels,
            n_issues=_n_issues(records[scan.name].values()),
            labels=records[scan.name].get("muscles", {}).get("labels", ""),
        )
        for scan in processing.scans
    )
    rules, flipped = rules_of(study.quality), Verdict(study.quality.flipped_axes)
    propagated = Verdict(study.quality.propagated_labels)
    ratings = tuple(rate(item, rules, flipped_axes=flipped, propagated_labels=propagated) for item in numbers)
    return numbers, exclude_by_hand(ratings, study.quality.exclude)


def _n_issues(records: Iterable[Mapping[str, list[dict[str, str]]]]) -> int:
    issues = {Issue.from_dict(issue) for record in records for issue in record["issues"]}
    return sum(issue.severity is not Severity.NOTE for issue in issues)


def exclude_by_hand(ratings: Sequence[Rating], excluded: Sequence[str]) -> tuple[Rating, ...]:
    """Leave out those whom the settings name, whatever their numbers say, and nobody else by hand.

    Parameters
    ----------
    ratings : sequence of Rating
        By the rules, perhaps with others left out by hand before.
    excluded : sequence of str
        Participants or scans, with or without `sub-`.

    Returns
    -------
    tuple of Rating
        In the same order.
    """
    wanted = {_bare(name) for name in excluded}
    return tuple(
        rating.by_hand(bool(wanted & {_bare(rating.participant_id), _bare(rating.name)})) for rating in ratings
    )


def require_known(excluded: Sequence[str], names: Iterable[str]) -> None:
    """Make sure that those whom the settings leave out by hand are there.

    Parameters
    ----------
    excluded : sequence of str
        Participants or scans, with or without `sub-`.
    names : iterable of str
        Participants, and their scans where they have sessions.

    Raises
    ------
    SettingsError
        If somebody is not there.
    """
    known = {_bare(name) for name in names}
    for name in excluded:
        if _bare(name) not in known:
            near = get_close_matches(_bare(name), known, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise SettingsError(f"exclude: '{name}' is not among the participants.{hint}")


def _bare(name: str) -> str:
    """Return a name without its prefix, which people may leave out and their own tables need not have."""
    return name.removeprefix("sub-")


def review_cohort(
    processing: Processing, cohort: Cohort, study: Study, numbers: Sequence[ScanNumbers], ratings: Sequence[Rating]
) -> CohortReview:
    """Hold the scans of a cohort against each other.

    Parameters
    ----------
    processing : Processing
        What became of each participant, up to the muscles.
    cohort : Cohort
        The muscle values of all of them, and their grades.
    study : Study
        Its sections `analysis` and `quality` count.
    numbers : sequence of ScanNumbers
        From `rate_scans`.
    ratings : sequence of Rating
        From `rate_scans`.

    Returns
    -------
    CohortReview
        Everything that the cohort page shows.
    """
    analysis = study.analysis
    frame = numbers_to_frame(numbers)
    rows = select_values(cohort.roi_table, route=analysis.route, statistic=analysis.statistic, side=analysis.side)
    rows = rows[rows["parameter"].isin(["fa", "md"])]
    grades = cohort.participants.set_index("participant_id")["lovett_grade"]
    groups = (grades < analysis.poor_below_grade).map({True: "poor", False: "good"})
    values = rows[["participant_id", "session", "muscle", "parameter", "value"]].assign(
        name=[scan_name(who, session) for who, session in zip(rows["participant_id"], rows["session"], strict=True)],
        group=rows["participant_id"].map(groups).fillna("").astype(str),
    )
    values = values.reset_index(drop=True)
    quality = processing.muscle_quality()
    columns = ["participant_id", "session", "muscle", "side", "volume_ml", "cross_section_cm2"]
    return CohortReview(
        numbers=frame,
        ratings=tuple(ratings),
        rules=rules_of(study.quality),
        odd=odd_numbers(frame),
        values=values,
        odd_values=odd_muscles(values),
        sides=left_right_differences(cohort.roi_table, route=analysis.route, statistic=analysis.statistic),
        sizes=quality[columns] if len(quality) else pd.DataFrame(columns=columns),
    )


def without(cohort: Cohort, left_out: Iterable[Rating], *, poor_below_grade: int) -> Cohort:
    """Leave scans out of a cohort, and participants of whom nothing is left.

    Parameters
    ----------
    cohort : Cohort
        Everybody.
    left_out : iterable of Rating
        Scans that are left out; without a session all of the participant.
    poor_below_grade : int
        Lovett grades below this one are poor muscle function.

    Returns
    -------
    Cohort
        The others. A participant of whom another session is left is analysed by that.

    Raises
    ------
    DatasetError
        If a group that was there is empty without them.
    """
    table, participants = cohort.roi_table, cohort.participants
    gone = {(rating.participant_id, rating.session) for rating in left_out}
    pairs = list(zip(table["participant_id"], table["session"], strict=True))
    is_gone = pd.Series([pair in gone or (pair[0], "") in gone for pair in pairs], index=table.index, dtype=bool)
    kept = table[~is_gone].reset_index(drop=True)
    nothing_left = {who for who, _ in gone} - set(kept["participant_id"])
    others = participants[~participants["participant_id"].isin(nothing_left)].reset_index(drop=True)
    before, after = (set(people["lovett_grade"].dropna() < poor_below_grade) for people in (participants, others))
    if before - after:
        group = "poor" if True in before - after else "good"
        raise DatasetError(
            f"with {len(nothing_left)} of {len(participants)} participants left out for the quality of their scans, "
            f"nobody has {group} muscle function. Change the limits of the section quality, or set leave_out to false."
        )
    return Cohort(kept, others)


def left_out_issues(left_out: Iterable[Rating]) -> tuple[Issue, ...]:
    """Say of each scan that is left out why.

    Parameters
    ----------
    left_out : iterable of Rating
        Scans that are left out.
    """
    remedy = "The run without exclusions stands at the end of notebook 04; leave_out: false keeps everybody."
    return tuple(
        Issue(Severity.WARNING, LEFT_OUT, f"{rating.name}. {'; '.join(_grave(rating))}.", remedy) for rating in left_out
    )


def _grave(rating: Rating) -> list[str]:
    return [str(ground) for ground in rating.grounds if ground.verdict is Verdict.LEAVE_OUT]
