"""The page that holds the scans of a cohort against each other."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dtimuscle.issues import Issue
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.markup import environment
from dtimuscle.presentation.pages import PageContext
from dtimuscle.presentation.participant_links import from_run_folder, only_to
from dtimuscle.presentation.style import VERDICT_COLOURS, VERDICT_TITLES
from dtimuscle.rating import Verdict

# Exhibits that the page gathers, by their names: the first without a heading of its own, the others below theirs.
FIRST = "odd_scans"
SECTIONS = {
    "Quality of all scans": ("quality_strips",),
    "Values of all scans": ("scans_fa", "scans_md"),
    "What hangs on single patients": ("influence_figure", "influence"),
    "Sizes and sides": ("sizes_and_sides",),
}
COHORT_EXHIBITS = (FIRST, *(name for names in SECTIONS.values() for name in names))


@dataclass(frozen=True)
class _Part:
    title: str
    summary: str
    body: Markup
    page: str


def cohort_page(
    exhibits: Mapping[str, Exhibit],
    context: PageContext,
    *,
    counts: Mapping[Verdict, int],
    left_out: Sequence[str],
    failures: Sequence[Issue] = (),
    pages: Collection[str] = (),
) -> str:
    """Write the page that holds the scans of a cohort against each other.

    Parameters
    ----------
    exhibits : mapping of str to Exhibit
        Exhibits of the run by their names; those that are not there are left out.
    context : PageContext
        What all pages share.
    counts : mapping of Verdict to int
        Scans of each verdict.
    left_out : sequence of str
        Scans that the statistics leave out.
    failures : sequence of Issue, default=()
        Why scans have no result at all.
    pages : collection of str, default=()
        Participants (and sessions) that have a page; to others there is no link.

    Returns
    -------
    str
        The page.
    """

    def part(name: str) -> _Part:
        exhibit = exhibits[name]
        body = only_to(from_run_folder(exhibit.body), pages)
        return _Part(exhibit.title, exhibit.summary, Markup(body), f"pages/{name}.html")  # noqa: S704 - made by this package

    sections = [
        (title, [part(name) for name in names if name in exhibits])
        for title, names in SECTIONS.items()
        if any(name in exhibits for name in names)
    ]
    tally = [(VERDICT_COLOURS[verdict], counts[verdict], VERDICT_TITLES[verdict].lower()) for verdict in Verdict]
    template = environment().get_template("cohort.html.j2")
    return template.render(
        context=context,
        title="All scans",
        first=part(FIRST),
        sections=sections,
        counts=tally,
        left_out=left_out,
        failures=failures,
        has_pages=bool(pages),
    )
