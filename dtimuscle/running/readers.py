"""A second reader's labels: measured on the same tensors, and held against the first reader's."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from dtimuscle.errors import DtiMuscleError
from dtimuscle.imaging.overlap import COLUMNS, compare_labels
from dtimuscle.issues import Issue
from dtimuscle.muscles import MuscleRegistry
from dtimuscle.running.cohort import simulate_second_reader
from dtimuscle.running.labels import read_muscles
from dtimuscle.running.participants import Processing, process
from dtimuscle.running.pool import Progress
from dtimuscle.settings import Study
from dtimuscle.statistics.reliability import Reliability, measure_all_features
from dtimuscle.statistics.repeated import between_readers
from dtimuscle.store.bids import Dataset, Scan, read_by
from dtimuscle.store.derivatives import derivatives_by
from dtimuscle.store.images import read_grid

# What the two are called, in tables and in the column `reader`.
READERS = ("reader 1", "reader 2")


@dataclass(frozen=True, eq=False)
class ReadTwice:
    """The scans that two readers have labelled.

    Parameters
    ----------
    table : DataFrame
        Columns of `dtimuscle.roi_table` behind `reader`: the values of both readers of the scans that both have.
    overlap : DataFrame
        `participant_id`, `session` and the columns of `dtimuscle.imaging.overlap.compare_labels`.
    reliability : tuple of Reliability
        One for each feature.
    n_scans : int
        Scans of the dataset that the first reader has labelled.
    issues : tuple of Issue
        What degrades the comparison.
    """

    table: pd.DataFrame
    overlap: pd.DataFrame
    reliability: tuple[Reliability, ...]
    n_scans: int
    issues: tuple[Issue, ...]


def second_labels(dataset: Dataset, study: Study) -> Path | None:
    """Find the second reader's labels; those of the simulated cohort are drawn when they are missing.

    Parameters
    ----------
    dataset : Dataset
        The scans.
    study : Study
        Its sections `data` and `simulation` count.

    Returns
    -------
    Path or None
        BIDS derivative; None when there is one reader.
    """
    if study.data.second_labels:
        return Path(study.data.second_labels)
    if not study.data.dataset and study.simulation.second_reader_mm:
        return simulate_second_reader(dataset, study.simulation)
    return None


def read_second(first: Processing, study: Study, *, progress: Progress | None = None) -> Processing | None:
    """Measure the muscles as a second reader has drawn them, on the tensors that are there.

    Parameters
    ----------
    first : Processing
        The participants, measured with the first reader's labels.
    study : Study
        Settings of the steps, and the second reader's labels.
    progress : Progress, optional
        Who is told.

    Returns
    -------
    Processing or None
        Of the scans that both readers have labelled; None when there is one reader.

    Raises
    ------
    DatasetError
        If the labels' folder is missing, or no scan is labelled by both.
    """
    labels = second_labels(first.dataset, study)
    if labels is None:
        return None
    dataset = read_by(first.dataset, labels)
    # A scan without a tensor has been told of already.
    measured = {scan.name for scan in first.scans}
    dataset = replace(dataset, scans=tuple(scan for scan in dataset.scans if scan.name in measured))
    return process(dataset, study, progress=progress, place=derivatives_by(first.derivatives, labels))


def compare_readers(first: Processing, second: Processing, study: Study, registry: MuscleRegistry) -> ReadTwice:
    """Hold the values and the labels of two readers against each other.

    Parameters
    ----------
    first, second : Processing
        From `process` and `read_second`.
    study : Study
        Its sections `roi` and `analysis` count.
    registry : MuscleRegistry
        The names that are known.

    Returns
    -------
    ReadTwice
        Of the scans that both have read.
    """
    tables = [processing.roi_table() for processing in (first, second)]
    keys = ["participant_id", "session"]
    both = tables[1][keys].drop_duplicates()
    tables[0] = tables[0].merge(both, on=keys)
    named = pd.concat([table.assign(reader=name) for name, table in zip(READERS, tables, strict=True)])
    chosen = study.analysis
    reliability: tuple[Reliability, ...] = ()
    issues = list(second_issues(first, second))
    if len(both):
        by_reader = dict(zip(READERS, tables, strict=True))
        repeated = between_readers(by_reader, route=chosen.route, statistic=chosen.statistic, side=chosen.side)
        reliability = measure_all_features(repeated, level=chosen.level)
        issues += [*repeated.issues, *(issue for item in reliability for issue in item.issues)]
    own = {scan.name: scan for scan in first.scans}
    overlaps = [_overlap(own[scan.name], scan, study, registry) for scan in second.scans]
    return ReadTwice(
        table=named[["reader", *tables[1].columns]].reset_index(drop=True),
        overlap=pd.concat(overlaps, ignore_index=True) if overlaps else pd.DataFrame(columns=[*keys, *COLUMNS]),
        reliability=reliability,
        n_scans=sum(scan.labels is not None and not scan.atlases for scan in first.scans),
        issues=tuple(dict.fromkeys(issues)),
    )


def second_issues(first: Processing, second: Processing) -> tuple[Issue, ...]:
    """Return what degrades the second reader's values and not the first's.

    Parameters
    ----------
    first, second : Processing
        From `process` and `read_second`.
    """
    return _by_second(issue for issue in second.issues if issue not in first.issues)


def second_failures(second: Processing) -> tuple[Issue, ...]:
    """Return why some of the second reader's labels could not be measured.

    Parameters
    ----------
    second : Processing
        From `read_second`.
    """
    return _by_second(second.failures)


def _by_second(issues: Iterable[Issue]) -> tuple[Issue, ...]:
    return tuple(replace(issue, where=f"{issue.where}, {READERS[1]}") for issue in issues)


def _overlap(first: Scan, second: Scan, study: Study, registry: MuscleRegistry) -> pd.DataFrame:
    if first.labels is None or second.labels is None:
        raise DtiMuscleError(f"{first.name}: two readers' labels are needed. Add the missing ones.")
    shape, affine = read_grid(first.image)
    drawn, again = (
        read_muscles(path, registry, study.roi, shape=shape, affine=affine)[0] for path in (first.labels, second.labels)
    )
    table = compare_labels(drawn, again)
    table.insert(0, "session", first.session)
    table.insert(0, "participant_id", first.participant_id)
    return table
