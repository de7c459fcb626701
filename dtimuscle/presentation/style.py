"""The one visual language of figures, tables and pages: colours, type, and how a number is printed.

The only place that rounds. Colours were chosen to stay apart for the common forms of colour blindness
(blue against rust, teal against violet) and in print; nothing is told by colour alone.
"""

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from math import isfinite, isnan
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from dtimuscle.issues import Severity
from dtimuscle.muscles import MuscleRegistry
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.features import split_feature

INK = "#1f2933"
MUTED = "#5b6670"
FAINT = "#d5dade"
PAPER = "#ffffff"
POOR = "#b5472b"
GOOD = "#2b6a99"
PUBLISHED = "#1f2933"

GROUP_COLOURS = {"poor": POOR, "good": GOOD}
GROUP_TITLES = {"poor": "Poor function", "good": "Good function"}
MODEL_COLOURS = {"fa": "#0b7a75", "md": "#84489c", "fa+md": INK}
SEVERITY_COLOURS = {Severity.NOTE: "#4f5d69", Severity.WARNING: "#855c00", Severity.ERROR: "#b3261e"}
AGREEMENT_COLOURS = {"agrees": "#256b3d", "disagrees": "#b3261e", "undecided": "#855c00", "not testable": "#5b6670"}
AGREEMENT_WORDS = {"agrees": "agree", "disagrees": "disagree"}
AGREEMENT_MARKS = {"agrees": "✓", "disagrees": "✗", "undecided": "≈", "not testable": "·"}

# Figures up to NARROW fit a phone without scrolling; all are measured in inches.
NARROW = 4.7
WIDE = 7.6

# A page gives a figure between MIN_SCALE and MAX_SCALE CSS pixels for each of its points, so that its
# 9-point text never falls below about 9.5 px; a narrower page lets the figure scroll.
MIN_SCALE = 1.05
MAX_SCALE = 1.6

PNG_DPI = 200
NOTHING = "–"
FONT_STACK = (
    "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', 'Liberation Sans', 'Nimbus Sans', Arial, "
    "system-ui, sans-serif"
)


@dataclass(frozen=True)
class ParameterStyle:
    """How a tensor parameter is printed.

    Parameters
    ----------
    title : str
        Printed name.
    unit : str
        Printed unit; empty for a plain number.
    scale : float
        Factor from the stored to the printed unit.
    digits : int
        Decimals of a mean.
    colour : str
        Its colour in every figure.
    """

    title: str
    unit: str
    scale: float
    digits: int
    colour: str

    @property
    def label(self) -> str:
        """Name with unit, for axes and headers."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


_DIFFUSIVITY = "10⁻³ mm²/s"
PARAMETERS = {
    "fa": ParameterStyle("FA", "", 1.0, 3, MODEL_COLOURS["fa"]),
    "md": ParameterStyle("ADC (MD)", _DIFFUSIVITY, 1e3, 2, MODEL_COLOURS["md"]),
    "ad": ParameterStyle("AD", _DIFFUSIVITY, 1e3, 2, "#7a5c1e"),
    "rd": ParameterStyle("RD", _DIFFUSIVITY, 1e3, 2, "#4f5d69"),
}

COVARIATE_TITLES = {
    "age": "Age, years",
    "sex": "Sex",
    "bmi": "BMI, kg/m²",
    "t_score": "T-score",
    "disease_duration": "Disease duration, years",
    "lovett_grade": "Lovett grade",
}
MODEL_TITLES = {"fa": "FA", "md": "ADC (MD)", "fa+md": "FA + ADC"}


def fixed(value: float | None, digits: int) -> str:
    """Print a number with a fixed count of decimals and a true minus sign.

    Parameters
    ----------
    value : float or None
        The number.
    digits : int
        Decimals.

    Returns
    -------
    str
        The number; an en dash for None and NaN, "∞" for infinity.
    """
    if value is None or isnan(value):
        return NOTHING
    if not isfinite(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def count(value: float | None) -> str:
    """Print a whole number, with a thin space between thousands.

    Parameters
    ----------
    value : float or None
        The number.

    Returns
    -------
    str
        The number; an en dash for None and NaN.
    """
    return NOTHING if value is None or isnan(value) else f"{value:,.0f}".replace(",", "\u2009")


def p_value(p: float | None) -> str:
    """Print a P value to three digits, as journals do.

    Parameters
    ----------
    p : float or None
        The P value.

    Returns
    -------
    str
        "< 0.001", "0.012", "> 0.999", or an en dash.
    """
    if p is None or isnan(p):
        return NOTHING
    if p < 0.001:
        return "< 0.001"
    return "> 0.999" if p > 0.999 else f"{p:.3f}"


def interval(bounds: Interval | None, digits: int, *, scale: float = 1.0) -> str:
    """Print an interval as "0.62 to 0.82".

    Parameters
    ----------
    bounds : Interval or None
        Its ends, in the stored unit.
    digits : int
        Decimals.
    scale : float, default=1.0
        Factor from the stored to the printed unit.

    Returns
    -------
    str
        The interval; an en dash where there is none.
    """
    if bounds is None or not bounds.is_defined:
        return NOTHING
    return f"{fixed(bounds.low * scale, digits)} to {fixed(bounds.high * scale, digits)}"


def mean_sd(mean: float | None, sd: float | None, digits: int, *, scale: float = 1.0) -> str:
    """Print "mean ± SD".

    Parameters
    ----------
    mean, sd : float or None
        In the stored unit.
    digits : int
        Decimals of both.
    scale : float, default=1.0
        Factor from the stored to the printed unit.

    Returns
    -------
    str
        Mean alone where there is no SD; an en dash where there is no mean.
    """
    if mean is None or isnan(mean):
        return NOTHING
    printed = fixed(mean * scale, digits)
    return printed if sd is None or isnan(sd) else f"{printed} ± {fixed(sd * scale, digits)}"


def feature_title(feature: str, registry: MuscleRegistry) -> str:
    """Name a feature, a model or a covariate in words.

    Parameters
    ----------
    feature : str
        `adductor_longus.md`, `fa+md`, `bmi` …
    registry : MuscleRegistry
        Printed names of muscles.

    Returns
    -------
    str
        "Adductor longus, ADC (MD)", "FA + ADC", "BMI" …
    """
    muscle, parameter = split_feature(feature)
    if parameter:
        return f"{registry.title(muscle)}, {PARAMETERS[parameter].title}"
    return MODEL_TITLES.get(feature) or COVARIATE_TITLES.get(feature) or registry.title(feature)


def tally(agreements: Iterable[str]) -> tuple[tuple[str, int, str], ...]:
    """Count verdicts of each kind.

    Parameters
    ----------
    agreements : iterable of str
        "agrees", "disagrees", "undecided" or "not testable"; anything else is left out.

    Returns
    -------
    tuple of (str, int, str)
        Kind, count, and the word that goes with the count ("agree" for more than one); kinds that occur.
    """
    counts = Counter(agreements)
    return tuple(
        (kind, counts[kind], kind if counts[kind] == 1 else AGREEMENT_WORDS.get(kind, kind))
        for kind in AGREEMENT_MARKS
        if counts[kind]
    )


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the kit's style, and leave matplotlib's settings as they were.

    Yields
    ------
    None
        Figures made inside have the style.
    """
    theme: dict[Any, Any] = {
        # DejaVu Sans comes with matplotlib, so that every machine measures text alike.
        "font.family": ["DejaVu Sans"],
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 9,
        "axes.labelsize": 9,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": "#9aa5ae",
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.color": INK,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.major.width": 0.7,
        "ytick.major.width": 0.7,
        "xtick.major.size": 3,
        "ytick.major.size": 3,
        "grid.color": FAINT,
        "grid.linewidth": 0.5,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "lines.solid_capstyle": "round",
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "figure.facecolor": PAPER,
        "savefig.facecolor": PAPER,
        "svg.fonttype": "none",
    }
    with mpl.rc_context(theme):
        yield


def to_svg(figure: Figure, *, name: str, alt: str) -> str:
    """Draw a figure as SVG text that is the same on every call and safe to place within a page.

    Text stays text (it can be searched and read aloud) in the reader's own sans-serif; elements lose
    their numbered ids, so that two figures on one page don't share any.

    Parameters
    ----------
    figure : Figure
        A figure made within `drawing`.
    name : str
        Name of the exhibit; keeps the ids that are needed apart from those of other figures.
    alt : str
        What the figure shows, in words.

    Returns
    -------
    str
        An `<svg>` element without XML declaration.
    """
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<g id=\"[^\"]*\"", "<g", text)
    text = re.sub(r"\s*<!--.*?-->", "", text, flags=re.DOTALL)
    text = text.replace("'DejaVu Sans'", FONT_STACK)
    width = 72 * figure.get_figwidth()
    size = f"width:100%;min-width:{MIN_SCALE * width:.0f}px;max-width:{MAX_SCALE * width:.0f}px;height:auto"
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}" style="{size}"', 1).strip()


def to_png(figure: Figure) -> bytes:
    """Draw a figure as PNG at 200 dpi, the same bytes on every call.

    Parameters
    ----------
    figure : Figure
        A figure made within `drawing`.

    Returns
    -------
    bytes
        The PNG file.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return buffer.getvalue()
