"""Pages: strings of HTML that need nothing but themselves.

Every page carries its own style, runs no script and asks no network for anything; a content security policy
within the page holds the browser to that. Links between pages are relative, so that a run's folder can be
moved, zipped or read from a disk.
"""

import ast
import json
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from markupsafe import Markup

from dtimuscle.issues import Issue, Severity
from dtimuscle.presentation.exhibit import Beside, Exhibit, ExhibitCard
from dtimuscle.presentation.markup import TEMPLATES, environment
from dtimuscle.presentation.style import tally

if TYPE_CHECKING:
    from nbconvert import HTMLExporter
    from nbformat import NotebookNode

# Elements that run code or fetch something; they never get from a notebook's output into a page.
_ACTIVE = frozenset({"script", "iframe", "object", "embed", "applet", "link", "meta", "base", "form", "frame"})
_VOID = frozenset({"link", "meta", "base", "embed"})
_FETCHING = frozenset({"src", "srcset", "poster", "background", "data", "action", "formaction", "xlink:href"})


@dataclass(frozen=True)
class Link:
    """A link with its words.

    Parameters
    ----------
    label : str
        What the link says.
    href : str
        Where it goes, relative to the run's folder.
    note : str, default=""
        A sentence beside it.
    """

    label: str
    href: str
    note: str = ""


@dataclass(frozen=True)
class PageContext:
    """What all pages of a run have in common.

    Parameters
    ----------
    study : str
        Title of the study.
    run : str
        Name of the run.
    is_simulated : bool
        Whether the data were simulated; every page says so then.
    version : str
        Version of the kit.
    created : str
        When the run was made, as text.
    command : str, default=""
        The command that makes this run again.
    seed : int, optional
        Seed of the simulation.
    settings : tuple of (str, str), default=()
        The settings that matter to a reader, in words.
    nav : tuple of Link, default=()
        Links at the top of each page.
    root : str, default=""
        Way from the page to the run's folder: "" or "../".
    """

    study: str
    run: str
    is_simulated: bool
    version: str
    created: str
    command: str = ""
    seed: int | None = None
    settings: tuple[tuple[str, str], ...] = ()
    nav: tuple[Link, ...] = ()
    root: str = ""


def index_page(
    cards: Sequence[ExhibitCard],
    context: PageContext,
    *,
    question: str,
    key_results: Sequence[Beside] = (),
    issues: Sequence[Issue] = (),
    notebooks: Sequence[Link] = (),
    downloads: Sequence[Link] = (),
    cohort: Link | None = None,
    left_out: Sequence[Issue] = (),
) -> str:
    """Write the first page of a run.

    Parameters
    ----------
    cards : sequence of ExhibitCard
        All tables and figures; they are listed under their notebook.
    context : PageContext
        What all pages share.
    question : str
        What the study asked, in a sentence or two.
    key_results : sequence of Beside, default=()
        The published claims beside what was found.
    issues : sequence of Issue, default=()
        What degrades the results, participants that failed among them.
    notebooks : sequence of Link, default=()
        The notebooks in order; the label of each is its title, and `ExhibitCard.notebook` is the stem of its file.
    downloads : sequence of Link, default=()
        Data files of the run.
    cohort : Link, optional
        The page that holds the scans against each other; its note counts the verdicts.
    left_out : sequence of Issue, default=()
        Who is left out of the statistics, and why.

    Returns
    -------
    str
        The page.
    """
    sections = [(link, [card for card in cards if card.notebook == Path(link.href).stem]) for link in notebooks]
    listed = {card.name for _, members in sections for card in members}
    ordered = sorted(issues, key=lambda issue: -list(Severity).index(issue.severity))
    return _render(
        "index.html.j2",
        context,
        title=context.study,
        question=question,
        claims=_by_claim(key_results),
        n_verdicts=len(key_results),
        tally=tally(pair.agreement for pair in key_results),
        issues=ordered,
        sections=sections,
        others=[card for card in cards if card.name not in listed],
        downloads=downloads,
        cohort=cohort,
        left_out=left_out,
    )


def exhibit_page(
    exhibit: Exhibit,
    card: ExhibitCard,
    context: PageContext,
    *,
    previous: Link | None = None,
    following: Link | None = None,
    notebook: Link | None = None,
) -> str:
    """Write the page of one table or figure.

    Parameters
    ----------
    exhibit : Exhibit
        The table or figure.
    card : ExhibitCard
        Where its files lie.
    context : PageContext
        What all pages share.
    previous, following : Link, optional
        The exhibits before and after it.
    notebook : Link, optional
        The notebook that made it.

    Returns
    -------
    str
        The page.
    """
    return _render(
        "exhibit.html.j2",
        context,
        title=exhibit.title,
        exhibit=exhibit,
        body=Markup(exhibit.body),  # noqa: S704 - made by this package, cells escaped
        card=card,
        previous=previous,
        following=following,
        notebook=notebook,
    )


def notebook_page(
    notebook: "NotebookNode",
    context: PageContext,
    *,
    title: str,
    previous: Link | None = None,
    following: Link | None = None,
) -> str:
    """Write the page of an executed notebook.

    Code is folded away; what the reader came for are the words and the results. The parameters stand once, with the
    values of the run; of a path among them only the last part is shown, wherever it occurs, since pages are passed
    on. Scripts, widgets and whatever would load from elsewhere are left out.

    Parameters
    ----------
    notebook : NotebookNode
        The executed notebook.
    context : PageContext
        What all pages share.
    title : str
        Title for the browser; the heading stands in the notebook itself.
    previous, following : Link, optional
        The notebooks before and after it.

    Returns
    -------
    str
        The page.
    """
    merged, values = _with_parameters_of_run(notebook)
    body = _convert(merged)
    for path in filter(_is_path, sorted(values, key=len, reverse=True)):
        body = body.replace(path, _last_part(path))
    return _render(
        "notebook.html.j2",
        context,
        title=title,
        body=Markup(body),  # noqa: S704 - passed through `without_active_content`
        previous=previous,
        following=following,
    )


def without_active_content(html: str) -> str:
    """Take out of a piece of HTML whatever would run code or load from elsewhere.

    Parameters
    ----------
    html : str
        Output of a notebook cell, or Markdown turned into HTML.

    Returns
    -------
    str
        The same without scripts, frames, forms, event handlers and remote sources.
    """
    cleaner = _Cleaner()
    cleaner.feed(html)
    cleaner.close()
    return "".join(cleaner.kept)


class _Cleaner(HTMLParser):
    """Pass HTML on as it is written, except for what is active."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.kept: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _ACTIVE:
            if tag not in _VOID:
                self.inside.append(tag)
            return
        if self.inside:
            return
        harmless = [(key, value) for key, value in attrs if not _is_active(key, value or "")]
        if tag == "img" and not any(key == "src" for key, _ in harmless):
            return
        if len(harmless) == len(attrs):
            self.kept.append(self.get_starttag_text() or "")
            return
        words = "".join(f' {key}="{Markup.escape(value or "")}"' for key, value in harmless)
        self.kept.append(f"<{tag}{words}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _ACTIVE:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self.inside:
            if tag == self.inside[-1]:
                self.inside.pop()
            return
        if tag not in _ACTIVE:
            self.kept.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self._keep(data)

    def handle_entityref(self, name: str) -> None:
        self._keep(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._keep(f"&#{name};")

    def _keep(self, text: str) -> None:
        if not self.inside:
            self.kept.append(text)


@dataclass(frozen=True)
class _Claim:
    """What was found about one published claim."""

    statement: str
    tally: tuple[tuple[str, int, str], ...]
    pairs: tuple[Beside, ...]


def _by_claim(pairs: Sequence[Beside]) -> list[_Claim]:
    statements = dict.fromkeys(pair.claim for pair in pairs)
    members = {statement: tuple(pair for pair in pairs if pair.claim == statement) for statement in statements}
    return [
        _Claim(statement, tally(pair.agreement for pair in members[statement]), members[statement])
        for statement in statements
    ]


def _with_parameters_of_run(notebook: "NotebookNode") -> "tuple[NotebookNode, list[str]]":
    """Put the values that papermill injected into the cell that explains them; also return those that are text."""
    given = {tag: cell for cell in notebook.cells for tag in cell.metadata.get("tags", [])}
    if not {"parameters", "injected-parameters"} <= given.keys():
        return notebook, []
    explained, injected = given["parameters"].source, given["injected-parameters"].source
    try:
        values = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in ast.parse(injected).body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        source = _with_values(explained, {name: _shown_value(value) for name, value in values.items()})
    except (SyntaxError, ValueError):  # not the literals that papermill writes: shown as they are
        return notebook, []
    merged = deepcopy(notebook)
    merged.cells = [cell for cell in merged.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    next(cell for cell in merged.cells if "parameters" in cell.metadata.get("tags", [])).source = source
    return merged, [value for value in values.values() if isinstance(value, str)]


def _with_values(source: str, values: dict[str, str]) -> str:
    """Replace the literal of each assignment, keeping annotation and comment; unknown names go below."""
    lines, rest = source.splitlines(), dict(values)
    for node in ast.parse(source).body:
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        literal = node.value if isinstance(node, ast.AnnAssign | ast.Assign) else None
        if (
            not isinstance(target, ast.Name)
            or literal is None
            or literal.lineno != literal.end_lineno
            or target.id not in rest
        ):
            continue
        # Offsets count bytes, not characters.
        line = lines[literal.lineno - 1].encode()
        before, after = line[: literal.col_offset], line[literal.end_col_offset :]
        lines[literal.lineno - 1] = before.decode() + rest.pop(target.id) + after.decode()
    return "\n".join([*lines, *(f"{name} = {value}" for name, value in rest.items())])


def _shown_value(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(_last_part(value) if _is_path(value) else value, ensure_ascii=False)
    return "[" + ", ".join(map(_shown_value, value)) + "]" if isinstance(value, list) else repr(value)


def _is_path(value: str) -> bool:
    return bool(re.match(r"(/|~[/\\]|[A-Za-z]:[/\\])[^/\\]", value))


def _last_part(path: str) -> str:
    return PurePath(path.replace("\\", "/")).name


def _is_active(key: str, value: str) -> bool:
    target = "".join(value.split()).lower()
    if key.startswith("on") or target.startswith(("javascript:", "vbscript:", "data:text/html")):
        return True
    if key == "href" and target.startswith("file:"):
        return True
    is_remote = target.startswith(("http:", "https:", "//", "ftp:", "file:"))
    return (key in _FETCHING and is_remote) or (key == "style" and ("url(" in target or "@import" in target))


def _render(template: str, context: PageContext, **values: object) -> str:
    return environment().get_template(template).render(context=context, **values)


def _convert(notebook: "NotebookNode") -> str:
    """Turn a notebook into HTML, with outputs and Markdown put aside: nbconvert would parse them all once more."""
    aside: list[str] = []

    def put_aside(html: str) -> str:
        aside.append(without_active_content(html))
        return f"<!--{len(aside) - 1}-->"

    exporter = _notebook_exporter()
    exporter.register_filter("without_active_content", put_aside)
    body, _ = exporter.from_notebook_node(notebook)
    # No other comments are left: they are no content, active or not.
    return re.sub(r"<!--(\d+)-->", lambda found: aside[int(found[1])], body)


@cache
def _notebook_exporter() -> "HTMLExporter":
    from nbconvert import HTMLExporter  # takes seconds, and only the pages of notebooks need it

    return HTMLExporter(
        template_name="dtimuscle",
        extra_template_basedirs=[str(TEMPLATES / "nbconvert")],
        exclude_anchor_links=True,
    )
