"""What a BIDS dataset offers to a study, and what it lacks, before any of it is processed."""

from dataclasses import dataclass

from dtimuscle.dwi import DwiSeries, require_one_grid
from dtimuscle.errors import DtiMuscleError
from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import MuscleRegistry
from dtimuscle.participants import n_by_function
from dtimuscle.store.bids import Dataset, Scan
from dtimuscle.store.files import naming
from dtimuscle.store.images import read_dwi, read_labels


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


def validate_dataset(dataset: Dataset, registry: MuscleRegistry, *, b0_threshold: float) -> Validation:
    """Read every scan and its labels, and collect what is there and what is wrong.

    Parameters
    ----------
    dataset : Dataset
        As `read_dataset` found it.
    registry : MuscleRegistry
        The names that are known.
    b0_threshold : float
        Volumes up to this b-value count as b = 0, s/mm².

    Returns
    -------
    Validation
        Reports and issues.
    """
    reports, issues = [], list(dataset.issues)
    for scan in dataset.scans:
        try:
            report, more = _examine(scan, registry, b0_threshold)
        except DtiMuscleError as error:
            issues.append(Issue(Severity.ERROR, scan.name, str(error)))
        else:
            reports.append(report)
            issues += more
    return Validation(dataset, tuple(reports), tuple(issues))


def _examine(scan: Scan, registry: MuscleRegistry, b0_threshold: float) -> tuple[ScanReport, list[Issue]]:
    series = read_dwi(scan.image, scan.bval, scan.bvec, b0_threshold=b0_threshold)
    with naming(scan.bval):
        series.gradients.require_tensor()
    grid = (
        " × ".join(map(str, series.shape)) + " of " + " × ".join(f"{size:.2g}" for size in series.voxel_sizes) + " mm"
    )
    if scan.labels is None:
        return ScanReport(scan.name, grid, _gradients(series), 0), []
    labels, issues = read_labels(scan.labels, registry)
    with naming(scan.labels):
        require_one_grid(
            labels.values.shape, labels.affine, series.shape, series.affine, names="the labels and the diffusion series"
        )
    found = list(issues)
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
    weighted = gradients.bvals[~gradients.is_b0]
    shells = sorted({round(b / 100) * 100 for b in weighted})
    b_values = f"{shells[0]}" if len(shells) == 1 else f"{shells[0]} to {shells[-1]}"
    n_b0, n_directions = int(gradients.is_b0.sum()), gradients.n_directions
    return f"{n_b0} × b = 0, {weighted.size} × b ≈ {b_values} s/mm² in {n_directions} directions"
