"""The page of an audit of printed numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.markup import environment
from dtimuscle.presentation.pages import Link, PageContext
from dtimuscle.presentation.tables.audit import audit_in_words
from dtimuscle.presentation.tables.quantities import SEVERITY_COLOURS, SEVERITY_MARKS, severity_counts, severity_word
from dtimuscle.replication.audit import Audit
from dtimuscle.replication.published import PublishedStudy


@dataclass(frozen=True)
class Section:
    """Exhibits that stand together on a page.

    Parameters
    ----------
    title : str
        Heading.
    exhibits : tuple of Exhibit
        In reading order.
    words : str, default=""
        A sentence or two before them.
    """

    title: str
    exhibits: tuple[Exhibit, ...]
    words: str = ""


def audit_page(
    audit: Audit,
    study: PublishedStudy,
    sections: Sequence[Section],
    context: PageContext,
    *,
    source: str,
    digest: str,
    downloads: Sequence[Link] = (),
) -> str:
    """Write the page of an audit of printed numbers.

    Parameters
    ----------
    audit : Audit
        What was found.
    study : PublishedStudy
        The study.
    sections : sequence of Section
        Its tables and figures; that of the findings (`tables.findings_list`) has the places that the list at the top
        leads to.
    context : PageContext
        What all pages share.
    source, digest : str
        Name and SHA-256 of the file with the claims.
    downloads : sequence of Link, default=()
        Data files of the audit.

    Returns
    -------
    str
        The page.
    """
    counts = severity_counts(finding.severity for finding in audit.findings)
    template = environment().get_template("audit.html.j2")
    return template.render(
        context=context,
        title="Audit of printed numbers",
        citation=study.citation,
        verdict=audit_in_words(audit, study),
        findings=audit.findings,
        counts=[(severity, n, severity_word(severity, n)) for severity, n in counts],
        colours=SEVERITY_COLOURS,
        marks=SEVERITY_MARKS,
        sections=sections,
        source=source,
        digest=digest,
        downloads=downloads,
    )
