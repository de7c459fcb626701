"""What a BIDS dataset offers to a study, and what it lacks, before any of it is processed."""

from dataclasses import dataclass, replace

from dtimuscle.dwi import DwiSeries, find_shells, select_shells
from dtimuscle.errors import DtiMuscleError
from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import MuscleRegistry
from dtimuscle.participants import n_by_function
from dtimuscle.running.labels import read_muscles
from dtimuscle.running.workspace import read_fat
from dtimuscle.settings import Study
from dtimuscle.store.bids import Dataset, Scan
from dtimuscle.store.files import naming
from dtimuscle.store.images import placement_issues, read_dwi

# Shells are named one by one up to this number.
MAX_NAMED_SHELLS = 4


@dataclass(frozen=True)
class ScanReport:
    """What one scan offers.

    Parameters
    ----------
    name : str
        Participant and session.
    grid : str
        Voxels and their size.
    gradients : str
        b-values, volumes and directions.
    muscles : int
        Muscles that are labelled, each side counted.
    """

    name: str
    grid: str
    gradients: str
    muscles: int


@dataclass(frozen=True)
class Validation:
    """What a dataset offers and lacks.

    Parameters
    ----------
    dataset : Dataset
        The dataset.
    scans : tuple of ScanReport
        Scans that can be processed.
    issues : tuple of Issue
        What is missing or wrong.
    """

    dataset: Dataset
    scans: tuple[ScanReport, ...]
    issues: tuple[Issue, ...]

    @property
    def n_failed(self) -> int:
        """How many scans cannot be processed."""
        return len(self._failed)

    @property
    def n_scans(self) -> int:
        """How many scans there are, those that lack a file among them."""
        return len(self._failed | {scan.name for scan in self.dataset.scans})

    @property
    def _failed(self) -> set[str]:
        return {issue.where for issue in self.issues if issue.severity is Severity.ERROR}

    def groups(self, poor_below_grade: int) -> str:
        """Say how many participants have which muscle function.

        Parameters
        ----------
        poor_below_grade : int
            Lovett grades below this one are poor muscle function.
        """
        n_poor, n_good, n_unknown = n_by_function(self.dataset.participants, poor_below_grade=poor_below_grade)
        return f"{n_poor} poor, {n_good} good muscle function, {n_unknown} without a grade"


def validate_dataset(dataset: Dataset, registry: MuscleRegistry, study: Study) -> Validation:
    """Read every scan and its labels, and collect what is there and what is wrong.

    Parameters
    ----------
    dataset : Dataset
        As `read_dataset` found it.
    registry : MuscleRegistry
        The names that are known.
    study : Study
        Its settings `b0_threshold` and `highest_b` count.

    Returns
    -------
    Validation
        Reports and issues.
    """
    reports, issues = [], list(dataset.issues)
    for scan in dataset.scans:
        try:
            report, more = _examine(scan, registry, study)
        except DtiMuscleError as error:
            issues.append(Issue(Severity.ERROR, scan.name, str(error)))
        else:
            reports.append(report)
            issues += more
    return Validation(dataset, tuple(reports), tuple(issues))


def _examine(scan: Scan, registry: MuscleRegistry, study: Study) -> tuple[ScanReport, list[Issue]]:
    series = read_dwi(scan.image, scan.bval, scan.bvec, b0_threshold=study.preprocessing.b0_threshold)
    with naming(scan.bval):
        series.gradients.require_tensor()
    grid = (
        " × ".join(map(str, series.shape)) + " of " + " × ".join(f"{size:.2g}" for size in series.voxel_sizes) + " mm"
    )
    before = [replace(issue, where=scan.name) for issue in placement_issues(scan.image)]
    selection = select_shells(series.gradients, highest_b=study.tensor.highest_b)
    if selection.left_out or selection.reason:
        before.append(Issue(Severity.NOTE, scan.name, selection.words, "To use others, set highest_b."))
    if scan.fat_fraction is not None:
        read_fat(scan.fat_fraction, series)
    if scan.labels is None:
        return ScanReport(scan.name, grid, _gradients(series), 0), before
    labels, issues = read_muscles(scan.labels, registry, study.roi, shape=series.shape, affine=series.affine)
    found = [*before, *issues]
    if labels.unknown:
        what = f"label values without a muscle: {', '.join(map(str, labels.unknown))}."
        found.append(
            Issue(Severity.WARNING, scan.name, what, "Name them in a look-up table …_dseg.tsv beside the labels.")
        )
    if not labels.present:
        found.append(Issue(Severity.ERROR, scan.name, f"{scan.labels} holds no label of a known muscle."))
    return ScanReport(scan.name, grid, _gradients(series), len(labels.present)), found


def _gradients(series: DwiSeries) -> str:
    gradients = series.gradients
    weighted = [shell.nominal for shell in find_shells(gradients) if shell.b > 0]
    b_values = ", ".join(weighted) if len(weighted) <= MAX_NAMED_SHELLS else f"{weighted[0]} to {weighted[-1]}"
    n_b0, n_weighted = int(gradients.is_b0.sum()), int((~gradients.is_b0).sum())
    return f"{n_b0} × b = 0, {n_weighted} × b ≈ {b_values} s/mm² in {gradients.n_directions} directions"
