"""Templates: where the markup of pages and of larger tables comes from."""

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from dtimuscle.presentation.style import AGREEMENT_COLOURS, AGREEMENT_MARKS, FONT_STACK, SEVERITY_COLOURS

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """Return the templates, with what all of them share.

    Returns
    -------
    Environment
        It escapes whatever is put into a template, and refuses names that it is not given.
    """
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html", "j2"], default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["without_places"] = _without_places
    templates.globals.update(
        agreement_colours=AGREEMENT_COLOURS,
        agreement_marks=AGREEMENT_MARKS,
        severity_colours={str(key): value for key, value in SEVERITY_COLOURS.items()},
        font_stack=Markup(FONT_STACK),  # noqa: S704 - a constant
    )
    return templates


def _without_places(command: str) -> str:
    """Shorten the absolute paths within a command to their last part."""
    return re.sub(r"(?<![\w.~-])(?:[A-Za-z]:|~)?(?:[/\\][\w.~+-]+)+[/\\]([\w.~+-]+)", r"…/\1", command)
