"""The pages of a run, put together from what its notebooks have shown."""

import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from dtimuscle import __version__
from dtimuscle.issues import Issue, Severity, in_short
from dtimuscle.presentation.cohort_page import COHORT_EXHIBITS, cohort_page
from dtimuscle.presentation.exhibit import Exhibit, ExhibitCard, shows_simulation
from dtimuscle.presentation.pages import Link, PageContext, exhibit_page, index_page, notebook_page
from dtimuscle.presentation.participant_links import from_folder_below, only_to
from dtimuscle.presentation.style import VERDICT_TITLES, Slide
from dtimuscle.rating import Rating, Verdict, count_verdicts
from dtimuscle.running.cohort_page import LEFT_OUT
from dtimuscle.running.kept import basis_within, plan_notebook_page
from dtimuscle.running.notebooks import NOTEBOOKS
from dtimuscle.running.studies import read_published
from dtimuscle.settings import Study
from dtimuscle.store.files import plain
from dtimuscle.store.runs import COHORT_PAGE, Run

NOTEBOOK_TITLES = {
    "01_preprocessing": "Preprocessing",
    "02_tensor_fitting": "Tensor fitting",
    "03_roi_statistics": "Muscle values",
    "04_modelling": "Groups and models",
    "05_replication": "Published and found",
}

# The exhibit whose published and found values stand on the front page.
KEY_EXHIBIT = "verdicts"

DOWNLOADS = (
    ("results.json", "every number of these pages, unrounded"),
    ("roi.tsv", "the value of each muscle of each participant"),
    ("roi.json", "what the columns of roi.tsv mean"),
    ("participants.tsv", "who was studied"),
    ("ratings.json", "whether each scan can be used, and why not"),
    ("tables/estimates.csv", "every estimate with its interval"),
    ("run.json", "settings, versions, inputs and timings"),
    ("study.yaml", "the settings, ready to run again"),
)


def show_exhibit(run: Run, study: Study, exhibit: Exhibit, *, notebook: str, position: int) -> None:
    """Write a table or figure into a run; what it needs for slides is left to `draw_slide`.

    Parameters
    ----------
    run : Run
        Folder of the results.
    study : Study
        Settings that it was made with.
    exhibit : Exhibit
        The table or figure.
    notebook : str
        Which notebook shows it.
    position : int
        Its place among the exhibits of that notebook.
    """
    is_figure = exhibit.kind == "figure"
    card = exhibit.card(
        notebook=notebook,
        page=f"pages/{exhibit.name}.html",
        csv=f"tables/{exhibit.name}.csv",
        svg=f"figures/{exhibit.name}.svg" if is_figure else "",
        png=f"figures/{exhibit.name}.png" if is_figure else "",
    )
    made_with = basis_within(notebook, study, run)
    html, svg = from_folder_below(exhibit.html), from_folder_below(exhibit.svg)
    record = {"position": position, "made_with": made_with, "card": card.to_dict(), "html": html}
    run.write_exhibit(exhibit.name, record, exhibit.data, svg=svg)


def draw_slide(run: Run, name: str, slide: Slide) -> None:
    """Draw a figure for slides and write it into a run.

    Parameters
    ----------
    run : Run
        Folder of the results.
    name : str
        The exhibit's name.
    slide : Slide
        The figure.
    """
    run.write_slide(name, slide.to_png())


def _outdated(records: list[dict[str, Any]], study: Study, run: Run) -> list[Issue]:
    """Say which notebooks' tables and figures were made with other settings or estimates than the run now has."""
    made_with = {record["card"]["notebook"]: record["made_with"] for record in records}
    old = sorted(notebook for notebook, made in made_with.items() if made != basis_within(notebook, study, run))
    what = "shows tables and figures that were made with other settings or estimates than the run has now."
    return [Issue(Severity.WARNING, notebook, what, "Run this notebook again.") for notebook in old]


def write_pages(run: Run, study: Study, *, is_simulated: bool, notebook: str = "") -> None:
    """Write the pages of a run: the front page, one for each exhibit and one for each executed notebook.

    Parameters
    ----------
    run : Run
        Folder of the results.
    study : Study
        Its settings.
    is_simulated : bool
        Whether each page must say that the data are simulated.
    notebook : str, default=""
        Write only the front page and what this notebook has shown; empty: everything anew.
    """
    records = sorted(run.read_exhibits(), key=lambda record: (record["card"]["notebook"], record["position"]))
    cards = [ExhibitCard.from_dict(record["card"]) for record in records]
    notebooks = [_notebook_link(notebook) for notebook in NOTEBOOKS if run.notebook_file(notebook).is_file()]
    context = page_context(run, study, is_simulated=is_simulated)
    _write_exhibit_pages(run, records, cards, context, notebooks, only=notebook)
    ratings = tuple(map(Rating.from_dict, run.read_ratings()))
    if run.has_cohort_page:
        pairs = zip(records, cards, strict=True)
        shown = {card.name: _exhibit_of(run, record, card) for record, card in pairs if card.name in COHORT_EXHIBITS}
        _write_cohort_page(run, study, shown, ratings, context)
    if not notebook:
        _write_notebook_pages(run, notebooks, context)
    _write_results(run, records, is_simulated=is_simulated)
    key = next((card.beside for card in cards if card.name == KEY_EXHIBIT), ())
    published = read_published(study.replication.published)
    known = run.read_issues()
    page = index_page(
        cards,
        context,
        question=published.design.question,
        key_results=key,
        issues=in_short((*_outdated(records, study, run), *(issue for issue in known if issue.where != LEFT_OUT))),
        left_out=[issue for issue in known if issue.where == LEFT_OUT],
        notebooks=notebooks,
        downloads=[Link(name, name, note) for name, note in DOWNLOADS if (run.folder / name).is_file()],
        cohort=Link("All scans", COHORT_PAGE, _verdicts_in_words(ratings)) if run.has_cohort_page else None,
    )
    run.write_page("index.html", page)


def _notebook_link(notebook: str) -> Link:
    return Link(NOTEBOOK_TITLES[notebook], f"{notebook}.html")


def page_context(run: Run, study: Study, *, is_simulated: bool) -> PageContext:
    """Gather what all pages of a run have in common.

    Parameters
    ----------
    run : Run
        Folder of the results.
    study : Study
        Its settings.
    is_simulated : bool
        Whether each page must say that the data are simulated.

    Returns
    -------
    PageContext
        With links to the pages that are there.
    """
    record = run.read_record()
    notebooks = [_notebook_link(notebook) for notebook in NOTEBOOKS if run.notebook_file(notebook).is_file()]
    # The cohort page leads to each participant; without labels there is none, and a plain list takes its place.
    scans = [Link("All scans", COHORT_PAGE)] if run.has_cohort_page else []
    participants = [Link("Participants", run.participants_index)] if run.has_participant_pages and not scans else []
    published = read_published(study.replication.published)
    return PageContext(
        study=published.title,
        run=run.name,
        is_simulated=is_simulated,
        version=__version__,
        created=record.get("finished", datetime.now(UTC).isoformat(timespec="minutes")),
        command=record.get("command", ""),
        seed=study.simulation.seed if is_simulated and not study.data.roi_table else None,
        settings=_settings_in_words(study),
        nav=(Link("Overview", "index.html"), *scans, *participants, *notebooks),
    )


def _settings_in_words(study: Study) -> tuple[tuple[str, str], ...]:
    if study.data.roi_table:
        source = [("Muscle values", study.data.roi_table.rpartition("/")[2])]
    elif study.data.dataset:
        source = [("Scans", study.data.dataset.rpartition("/")[2])]
    else:
        simulation = study.simulation
        source = [
            ("Scenario", simulation.scenario),
            ("Patients", f"{simulation.n_poor} poor, {simulation.n_good} good function"),
            ("SNR", f"{simulation.snr:g}" if simulation.snr else "no noise"),
        ]
    if not study.data.roi_table:
        source += [("Tensor", study.tensor.estimator.upper()), ("Rim left out", f"{study.roi.erosion_mm:g} mm")]
    words = {"voxelwise": f"{study.analysis.statistic} over voxels", "mean_signal": "tensor of the mean signal"}
    return (*source, ("Value of a muscle", words[study.analysis.route]))


def _write_exhibit_pages(
    run: Run,
    records: list[dict[str, Any]],
    cards: list[ExhibitCard],
    context: PageContext,
    notebooks: list[Link],
    *,
    only: str,
) -> None:
    links = [Link(card.title, card.page) for card in cards]
    for index, (record, card) in enumerate(zip(records, cards, strict=True)):
        if only and card.notebook != only:
            continue
        exhibit = _exhibit_of(run, record, card)
        is_simulated = shows_simulation(card.rests_on, in_run=context.is_simulated)
        page = exhibit_page(
            exhibit,
            card,
            replace(context, root="../", is_simulated=is_simulated),
            previous=links[index - 1] if index else None,
            following=links[index + 1] if index + 1 < len(links) else None,
            notebook=next((link for link in notebooks if link.href == f"{card.notebook}.html"), None),
        )
        run.write_page(card.page, page)


def _exhibit_of(run: Run, record: dict[str, Any], card: ExhibitCard) -> Exhibit:
    pages = run.participants_with_pages()
    return Exhibit(
        name=card.name,
        kind=card.kind,
        title=card.title,
        summary=card.summary,
        data=run.read_exhibit_data(card.name),
        html=only_to(record["html"], pages),
        svg=only_to(run.read_svg(card.name), pages),
        alt=card.alt,
        beside=card.beside,
        rests_on=card.rests_on,
    )


def _write_cohort_page(
    run: Run,
    study: Study,
    exhibits: dict[str, Exhibit],
    ratings: tuple[Rating, ...],
    context: PageContext,
) -> None:
    rated = {rating.name for rating in ratings}
    failed = [
        issue
        for issue in run.read_issues()
        if issue.severity is Severity.ERROR and issue.where.startswith("sub-") and "," not in issue.where
    ]
    out = [rating.name for rating in ratings if rating.verdict is Verdict.LEAVE_OUT]
    page = cohort_page(
        exhibits,
        context,
        counts=count_verdicts(ratings),
        left_out=out if study.quality.leave_out else (),
        failures=[issue for issue in failed if issue.where not in rated],
        pages=run.participants_with_pages(),
    )
    run.write_page(COHORT_PAGE, page)


def _verdicts_in_words(ratings: Iterable[Rating]) -> str:
    counts = count_verdicts(ratings)
    return ", ".join(f"{VERDICT_TITLES[verdict].lower()} {counts[verdict]}" for verdict in Verdict)


def _write_notebook_pages(run: Run, notebooks: list[Link], context: PageContext) -> None:
    """Write the page of each executed notebook, unless it is there and would only get another date."""
    with_pages = run.participants_with_pages()
    for index, link in enumerate(notebooks):
        name = link.href.removesuffix(".html")
        previous = notebooks[index - 1] if index else None
        following = notebooks[index + 1] if index + 1 < len(notebooks) else None
        part = plan_notebook_page(run, name, [shown_on_all_pages(context), str(previous), str(following), with_pages])
        executed = None if part.is_kept else run.read_notebook(name)
        if executed is None:
            continue
        begun = time.monotonic()
        page = notebook_page(executed, context, title=link.label, previous=previous, following=following)
        run.write_page(link.href, only_to(page, with_pages))
        run.write_receipt(part.name, part.basis, [link.href], seconds=time.monotonic() - begun)


def shown_on_all_pages(context: PageContext) -> dict[str, Any]:
    """Tell what stands on every page of a run, apart from when and by which command it was made.

    Parameters
    ----------
    context : PageContext
        What the pages have in common.

    Returns
    -------
    dict
        As JSON knows it.
    """
    shown: dict[str, Any] = plain(asdict(replace(context, created="", command="")))
    return shown


def _write_results(run: Run, records: list[dict[str, Any]], *, is_simulated: bool) -> None:
    exhibits = {
        record["card"]["name"]: {
            **{key: record["card"][key] for key in ("title", "kind", "notebook", "beside")},
            "rows": run.read_exhibit_data(record["card"]["name"]).to_dict("records"),
        }
        for record in records
    }
    estimates = run.read_estimates().to_dict("records") if run.has_estimates else []
    issues = [issue.to_dict() for issue in run.read_issues()]
    run.write_results(
        {
            "run": run.name,
            "is_simulated": is_simulated,
            "exhibits": exhibits,
            "estimates": estimates,
            "issues": issues,
        }
    )
