"""An exhibit: one table or figure with the data behind it and the words that go with it."""

from dataclasses import asdict, dataclass, field, replace
from html import escape
from typing import Any, Literal, Self

import pandas as pd

from dtimuscle.presentation.style import Slide, stamp_svg

Kind = Literal["table", "figure"]

# What an exhibit shows: the data of its run, what a source prints (which is never simulated), or cohorts that were
# simulated for it, whatever the run's own data are.
RestsOn = Literal["data", "print", "simulation"]


@dataclass(frozen=True)
class Beside:
    """A published value beside the one that was found.

    Parameters
    ----------
    label : str
        What is compared, in words.
    published : str
        The published value as printed.
    found : str
        The value that was found, rounded for reading.
    agreement : str
        "agrees", "disagrees", "undecided" or "not testable"; empty where nothing was judged.
    claim : str, default=""
        The claim that it belongs to; rows of one claim stand together.
    """

    label: str
    published: str
    found: str
    agreement: str = ""
    claim: str = ""


@dataclass(frozen=True)
class ExhibitCard:
    """What a list of exhibits needs to know of one; plain text, ready for JSON.

    Parameters
    ----------
    name : str
        Identifier, also used in file names.
    kind : {"table", "figure"}
        What it is.
    title, summary, alt : str
        Its words, as in `Exhibit`.
    beside : tuple of Beside
        Published values beside the found ones.
    notebook : str
        Name of the notebook that made it.
    page, csv, svg, png : str
        Where its files lie, relative to the run's folder; empty where there is none.
    rests_on : {"data", "print", "simulation"}, default="data"
        As in `Exhibit`.
    """

    name: str
    kind: Kind
    title: str
    summary: str
    alt: str
    beside: tuple[Beside, ...]
    notebook: str
    page: str
    csv: str
    svg: str = ""
    png: str = ""
    rests_on: RestsOn = "data"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"beside": [asdict(pair) for pair in self.beside]}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Self:
        """Rebuild a card from `to_dict`.

        Parameters
        ----------
        record : dict
            As `to_dict` made it.

        Returns
        -------
        ExhibitCard
            Equal to the one that was written.
        """
        return cls(**record | {"beside": tuple(Beside(**pair) for pair in record["beside"])})


@dataclass(frozen=True)
class Exhibit:
    """One table or figure.

    Parameters
    ----------
    name : str
        Identifier, also used in file names.
    kind : {"table", "figure"}
        What it is.
    title : str
        Heading.
    summary : str
        What was done, and how to read it.
    data : DataFrame
        What is shown, unrounded and in stored units.
    html : str, default=""
        A table's markup.
    svg : str, default=""
        A figure's markup.
    slide : Slide, optional
        The figure for slides.
    alt : str, default=""
        What the figure shows, in words.
    beside : tuple of Beside, default=()
        Published values beside the found ones.
    rests_on : {"data", "print", "simulation"}, default="data"
        The data of the run; what a source prints; or cohorts that were simulated for this exhibit.
    """

    name: str
    kind: Kind
    title: str
    summary: str
    data: pd.DataFrame = field(repr=False)
    html: str = field(default="", repr=False)
    svg: str = field(default="", repr=False)
    slide: Slide | None = field(default=None, repr=False)
    alt: str = field(default="", repr=False)
    beside: tuple[Beside, ...] = ()
    rests_on: RestsOn = "data"

    @property
    def body(self) -> str:
        """The table or figure itself as HTML; what is wider than the page scrolls within its own frame."""
        if self.kind == "table":
            return self.html
        return f'<div class="figure-scroll" style="overflow-x:auto" tabindex="0">{self.svg}</div>'

    @property
    def png(self) -> bytes:
        """The figure for slides, drawn now; empty where there is none."""
        return self.slide.to_png() if self.slide else b""

    def _repr_html_(self) -> str:
        caption = (
            '<figcaption style="max-width:44rem;margin:.5rem 0 0;font-size:.9em;line-height:1.5;color:#4a5560">'
            f"{escape(self.summary)}</figcaption>"
        )
        title = ""
        if self.kind == "figure":
            title = f'<p class="exhibit-title" style="font-weight:600;margin:0 0 .4rem">{escape(self.title)}</p>'
        return f'<figure class="exhibit" style="margin:1rem 0">{title}{self.body}{caption}</figure>'

    def stamped(self, words: str) -> "Exhibit":
        """Write words below a figure, for when it leaves its page.

        Parameters
        ----------
        words : str
            Such as "Simulated data, not patients".

        Returns
        -------
        Exhibit
            A figure with the words in its drawings and its alt text; a table as it was.
        """
        if self.kind == "table":
            return self
        slide = self.slide and replace(self.slide, stamp=words)
        return replace(self, alt=f"{self.alt} {words}.", svg=stamp_svg(self.svg, words), slide=slide)

    def card(self, *, notebook: str, page: str, csv: str, svg: str = "", png: str = "") -> ExhibitCard:
        """Make the entry that stands for this exhibit in lists.

        Parameters
        ----------
        notebook : str
            Name of the notebook that made it.
        page, csv : str
            Where its page and data lie, relative to the run's folder.
        svg, png : str, default=""
            Where its drawings lie, relative to the run's folder.

        Returns
        -------
        ExhibitCard
            The words of this exhibit and the places of its files.
        """
        return ExhibitCard(
            name=self.name,
            kind=self.kind,
            title=self.title,
            summary=self.summary,
            alt=self.alt,
            beside=self.beside,
            notebook=notebook,
            page=page,
            csv=csv,
            svg=svg,
            png=png,
            rests_on=self.rests_on,
        )


def shows_simulation(rests_on: RestsOn, *, in_run: bool) -> bool:
    """Say whether an exhibit shows simulated data.

    Parameters
    ----------
    rests_on : {"data", "print", "simulation"}
        What it shows.
    in_run : bool
        Whether the data of the run are simulated.
    """
    return rests_on == "simulation" or (in_run and rests_on == "data")
