"""The command line: `dtimuscle run`, `validate`, `fit` and `audit`."""

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from dtimuscle.errors import DtiMuscleError
from dtimuscle.issues import Issue, Severity, in_short

if TYPE_CHECKING:
    from rich.progress import Progress

    from dtimuscle.running.audit import AuditOutcome
    from dtimuscle.settings import Study

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Replicate a muscle diffusion tensor MRI study, from scans to the published claim.",
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)
complaints = Console(stderr=True, highlight=False)

# What a shell is told: the input was wrong; or something failed on the way and the rest was done.
WRONG_INPUT, INCOMPLETE = 2, 1

Debug = Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a setting of the study; may be repeated."),
]


def main() -> None:
    """Run the command line."""
    app(prog_name="dtimuscle")


def _version(asked: bool) -> None:
    if asked:
        from dtimuscle import __version__

        console.print(f"dtimuscle {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    study: Annotated[
        Path | None, typer.Argument(help="Settings of the study; the clone's study.yaml by default.")
    ] = None,
    dataset: Annotated[Path | None, typer.Option(help="BIDS dataset with your scans.")] = None,
    labels: Annotated[Path | None, typer.Option(help="BIDS derivative with the muscle labels.")] = None,
    second_labels: Annotated[
        Path | None, typer.Option(help="BIDS derivative with a second reader's labels, of all scans or of some.")
    ] = None,
    fat_fraction: Annotated[Path | None, typer.Option(help="BIDS derivative with fat-fraction maps.")] = None,
    roi_table: Annotated[Path | None, typer.Option(help="Your table of muscle values, instead of scans.")] = None,
    settings: Settings = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Participants at a time; 0: one for each core.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; reports/ and the study's name by default.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what would be computed and why, and compute nothing.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Carry out a study and write its pages to reports/."""
    with _plainly(debug):
        from dtimuscle.settings import parse_assignment
        from dtimuscle.store import places
        from dtimuscle.store.registry import read_study, with_absolute_paths

        chosen = read_study(study or places.study_file())
        given = dict(parse_assignment(text, chosen) for text in settings or [])
        paths = {
            "dataset": dataset,
            "labels": labels,
            "second_labels": second_labels,
            "fat_fraction": fat_fraction,
            "roi_table": roi_table,
        }
        given |= {name: str(path) for name, path in paths.items() if path is not None}
        if workers is not None:
            given["workers"] = workers
        chosen = with_absolute_paths(chosen.with_values(source="command line", **given), Path.cwd())
        if explain:
            _explain(chosen, out)
            return
        from dtimuscle.running.study import run_study

        outcome = run_study(chosen, progress=Terminal(), folder=out, command=_command())
        if debug:
            for participant in outcome.outcomes:
                if participant.traceback:
                    complaints.print(participant.traceback, markup=False)
    _show_issues(outcome.issues)
    console.print(f"Pages: {outcome.run.folder / 'index.html'}", soft_wrap=True)
    if outcome.failures:
        raise typer.Exit(INCOMPLETE)


def _explain(study: "Study", folder: Path | None) -> None:
    """Print what a run would compute as a table."""
    from rich.table import Table

    from dtimuscle.running.explain import explain_study

    plans = explain_study(study, folder=folder)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Step", no_wrap=True)
    table.add_column("Found", justify="right")
    table.add_column("To do", justify="right")
    table.add_column("Why")
    for plan in plans:
        colour = "yellow" if plan.n_pending else "green"
        why = "\n".join(_escaped(str(reason)) for reason in plan.reasons)
        table.add_row(plan.title, f"{plan.n_found}", f"[{colour}]{plan.n_pending}[/]", why)
    console.print(table)
    if not any(plan.n_pending for plan in plans):
        console.print("Everything is there; a run would only write its pages again.")


@app.command()
def validate(
    dataset: Annotated[Path, typer.Argument(help="BIDS dataset.")],
    labels: Annotated[Path | None, typer.Option(help="BIDS derivative with the muscle labels.")] = None,
    settings: Settings = None,
    debug: Debug = False,
) -> None:
    """Say what a BIDS dataset offers and what it lacks."""
    from rich.table import Table

    with _plainly(debug):
        from dtimuscle.running.validation import validate_dataset
        from dtimuscle.settings import parse_assignment
        from dtimuscle.store.bids import read_dataset
        from dtimuscle.store.places import study_file
        from dtimuscle.store.registry import read_registry, read_study

        study = read_study(study_file())
        study = study.with_values(**dict(parse_assignment(text, study) for text in settings or []))
        found = read_dataset(dataset, labels)
        report = validate_dataset(found, read_registry(), study)
    console.print(f"[bold]{found.name}[/bold]" + (" (simulated data, not patients)" if found.is_simulated else ""))
    console.print(f"{len(found.participants)} participants: {report.groups(study.analysis.poor_below_grade)}")
    table = Table("Scan", "Voxels", "Gradients", "Muscle labels", box=None, pad_edge=False, header_style="bold")
    for scan in report.scans:
        table.add_row(scan.name, scan.grid, scan.gradients, str(scan.muscles) if scan.muscles else "none")
    console.print(table)
    _show_issues(report.issues)
    if report.n_failed:
        console.print(f"{report.n_failed} of {report.n_scans} scans cannot be processed as they are.")
        raise typer.Exit(WRONG_INPUT)
    console.print("Every scan can be processed.")


@app.command()
def fit(
    image: Annotated[Path, typer.Argument(metavar="DWI", help="Diffusion series, .nii or .nii.gz.")],
    bval: Annotated[Path | None, typer.Option(help="b-values; beside the image by default.")] = None,
    bvec: Annotated[Path | None, typer.Option(help="b-vectors; beside the image by default.")] = None,
    mask: Annotated[Path | None, typer.Option(help="Where to fit; found in the image by default.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Muscle labels; adds the ROI table.")] = None,
    fat_fraction: Annotated[Path | None, typer.Option(help="Map of fat (0 to 1), on any grid.")] = None,
    estimator: Annotated[
        Literal["ols", "wls", "iwls", "nlls", "restore", "robust"], typer.Option(help="How the tensor is fitted.")
    ] = "iwls",
    preprocess: Annotated[
        bool, typer.Option("--preprocess", help="Denoise, unring and align the series first.")
    ] = False,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results; named after the series by default.")] = None,
    debug: Debug = False,
) -> None:
    """Fit the tensor to one series outside BIDS."""
    with _plainly(debug):
        from dtimuscle.running.single import SeriesFiles, default_folder, fit_series
        from dtimuscle.settings import parse_assignment
        from dtimuscle.store.places import study_file
        from dtimuscle.store.registry import read_study

        study = read_study(study_file())
        study = study.with_values(**dict(parse_assignment(text, study) for text in settings or []))
        files = SeriesFiles.beside(image, bval=bval, bvec=bvec, mask=mask, labels=labels, fat_fraction=fat_fraction)
        folder = out or default_folder(files)
        written, issues = fit_series(files, folder, estimator=estimator, preprocess=preprocess, study=study)
    _show_issues(issues)
    for path in written:
        console.print(f"Written: {path}", soft_wrap=True)


@app.command()
def audit(
    published: Annotated[
        str | None,
        typer.Argument(help="File with the printed claims, or its name in data/published/; that of study.yaml."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for page and JSON; reports/audit/ and the study's name by default.")
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of such files instead, and do nothing else.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Hold the printed numbers of a study against each other."""
    with _plainly(debug):
        if schema:
            _print_schema()
            return
        from dtimuscle.running.audit import audit_study
        from dtimuscle.store.places import study_file
        from dtimuscle.store.registry import read_study

        name = published or read_study(study_file()).replication.published
        outcome = audit_study(name, folder=out, command=_command())
        _show_audit(outcome)
    console.print(f"Page: {outcome.folder.page}", soft_wrap=True)


@app.command("compile-kernels", hidden=True)
def compile_kernels(debug: Debug = False) -> None:
    """Compile what the first run would have to compile; `make` calls it at set-up."""
    with _plainly(debug):
        from dtimuscle.running.compilation import compile_missing

        compile_missing(Terminal())


def _print_schema() -> None:
    import json

    from dtimuscle.replication.published import json_schema

    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def _show_audit(outcome: "AuditOutcome") -> None:
    """Print the findings as a table, and what found nothing in a line each."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from dtimuscle.presentation.tables.audit import audit_in_words, check_answer
    from dtimuscle.presentation.tables.quantities import SEVERITY_COLOURS, SEVERITY_MARKS, in_words

    study, found = outcome.study, outcome.audit
    console.print(f"[bold]{_escaped(study.title)}[/bold] ({_escaped(study.citation)})")
    console.print(_escaped(audit_in_words(found, study)))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("Severity", no_wrap=True)
    table.add_column("What does not fit, and the claims it rests on")
    for finding in found.findings:
        colour = SEVERITY_COLOURS[finding.severity]
        words = f"[bold]{_escaped(finding.title)}[/bold]\n{_escaped(in_words(finding.sentence))}"
        words += f"\n[dim]{', '.join(finding.claims)}[/dim]"
        label = f"[bold {colour}]{SEVERITY_MARKS[finding.severity]} {finding.severity}[/]"
        table.add_row(label, words, end_section=True)
    if found.findings:
        console.print()
        console.print(table)
    silent = Table.grid(padding=(0, 1))
    for check, result in found.results:
        if not result.findings:
            silent.add_row("·", f"{_escaped(check.question)} [dim]– {_escaped(check_answer(check, result))}[/dim]")
    if silent.row_count:
        console.print("\n[bold]Without findings[/bold]")
        console.print(silent)


@contextmanager
def _plainly(debug: bool) -> Iterator[None]:
    """Tell errors in one line; whoever asks gets the traceback."""
    try:
        yield
    except DtiMuscleError as error:
        if debug:
            raise
        complaints.print(f"[red]error:[/red] {_escaped(' '.join(str(error).split()))}", soft_wrap=True)
        raise typer.Exit(WRONG_INPUT) from error


def _show_issues(issues: tuple[Issue, ...]) -> None:
    colours = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}
    for issue in in_short(issues):
        complaints.print(f"[{colours[issue.severity]}]{issue.severity}:[/] {_escaped(str(issue))}", soft_wrap=True)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


def _command() -> str:
    return shlex.join(["dtimuscle", *sys.argv[1:]])


class Terminal:
    """Progress on a terminal: a bar with the time left, or a line now and then when nobody watches."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._what, self._total, self._done, self._begun = "", 0, 0, 0.0

    def start(self, what: str, total: int) -> None:
        """Begin a bar of `total` steps."""
        self._what, self._total, self._done, self._begun = what, total, 0, time.monotonic()
        if console.is_terminal and total:
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console)
            self._bar.add_task(what, total=total)
            self._bar.start()

    def advance(self, name: str) -> None:
        """Count one step; `name` is shown beside the bar."""
        self._done += 1
        if self._bar:
            self._bar.update(self._bar.task_ids[0], advance=1, description=f"{self._what} {name}")
        elif self._done % max(1, self._total // 10) == 0:
            from dtimuscle.running.pool import left_in_words

            left = (time.monotonic() - self._begun) / self._done * (self._total - self._done)
            console.print(f"{self._what}: {self._done} of {self._total}, {left_in_words(left)}")

    def note(self, line: str) -> None:
        """Tell of a problem above the bar."""
        (self._bar.console if self._bar else complaints).print(f"[red]error:[/red] {_escaped(line)}", soft_wrap=True)

    def say(self, line: str) -> None:
        """Say something in a line of its own."""
        console.print(_escaped(line), soft_wrap=True)

    def finish(self) -> None:
        """Take the bar away and say how long it took."""
        if self._bar:
            self._bar.stop()
            self._bar = None
        console.print(f"{self._what}: {self._done} of {self._total} in {time.monotonic() - self._begun:.0f} s")
