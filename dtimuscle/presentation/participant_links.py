"""Links to the pages of participants: right from every folder of a run, and gone where there is no page.

Exhibits write them as seen from the run's folder, `participants/sub-01.html`.
"""

import re
from collections.abc import Collection

_LINK = re.compile(r' href="(?:\.\./)?participants/([^"/]+)\.html"')


def from_folder_below(markup: str) -> str:
    """Set links for a file one folder below the run's, such as `pages/roc.html`.

    Parameters
    ----------
    markup : str
        HTML or SVG.
    """
    return _LINK.sub(r' href="../participants/\1.html"', markup)


def from_run_folder(markup: str) -> str:
    """Set links for a file in the run's folder, such as `cohort.html`.

    Parameters
    ----------
    markup : str
        HTML or SVG.
    """
    return _LINK.sub(r' href="participants/\1.html"', markup)


def only_to(markup: str, names: Collection[str]) -> str:
    """Take out the links to pages that are not there; their words stay.

    Parameters
    ----------
    markup : str
        HTML or SVG.
    names : collection of str
        Participants (and sessions) that have a page.

    Returns
    -------
    str
        The same markup, otherwise unchanged.
    """
    there = set(names)
    return _LINK.sub(lambda link: link[0] if link[1] in there else "", markup)
