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
from zlib import crc32

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

from dtimuscle.issues import Severity
from dtimuscle.muscles import MuscleRegistry
from dtimuscle.rating import Verdict
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

# The line below a figure that must not be taken for something else; points.
STAMP = "#855c00"
STAMP_HEIGHT = 18.0
STAMP_SIZE = 7.5
NOTHING = "–"

# What is closer to zero, in the printed unit, is zero.
ROUNDING_ERROR = 1e-12

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

# Colour, mark and words of each verdict; those of what agrees, is undecided and disagrees.
VERDICT_COLOURS = {
    Verdict.USE: AGREEMENT_COLOURS["agrees"],
    Verdict.LOOK: AGREEMENT_COLOURS["undecided"],
    Verdict.LEAVE_OUT: AGREEMENT_COLOURS["disagrees"],
}
VERDICT_MARKS = {
    Verdict.USE: AGREEMENT_MARKS["agrees"],
    Verdict.LOOK: AGREEMENT_MARKS["undecided"],
    Verdict.LEAVE_OUT: AGREEMENT_MARKS["disagrees"],
}
VERDICT_TITLES = {Verdict.USE: "Use", Verdict.LOOK: "Look before use", Verdict.LEAVE_OUT: "Leave out"}

COVARIATE_TITLES = {
    "age": "Age, years",
    "sex": "Sex",
    "bmi": "BMI, kg/m²",
    "t_score": "T-score",
    "disease_duration": "Disease duration, years",
    "lovett_grade": "Lovett grade",
}
MODEL_TITLES = {
    "fa": "FA",
    "md": "ADC (MD)",
    "fa+md": "FA + ADC",
    "as_published": "As the study built it",
    "prespecified": "Chosen beforehand",
    "prespecified_firth": "Chosen beforehand, Firth",
    "ridge": "All features, ridge",
}


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


def p_equals(p: float | None) -> str:
    """Print a P value with its sign, to stand behind a "P".

    Parameters
    ----------
    p : float or None
        The P value.

    Returns
    -------
    str
        "= 0.012", "< 0.001" or "> 0.999".
    """
    printed = p_value(p)
    return printed if printed[0] in "<>" else f"= {printed}"


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
        The interval; an en dash where there is none. Where an end that is not zero would be printed as zero, both
        ends get one or two more decimals, so that its side of zero is seen; one that is closer still keeps its minus
        ("−0.00").
    """
    if bounds is None or not bounds.is_defined:
        return NOTHING
    ends = [bounds.low * scale, bounds.high * scale]
    for decimals in (digits, digits + 1, digits + 2):
        if not any(_looks_zero(end, decimals) for end in ends):
            return " to ".join(fixed(end, decimals) for end in ends)
    signs = ["−" if end < 0 and _looks_zero(end, digits) else "" for end in ends]
    return " to ".join(sign + fixed(end, digits) for sign, end in zip(signs, ends, strict=True))


def _looks_zero(value: float, digits: int) -> bool:
    """Say whether a number that is not zero (up to rounding error) is printed as zero."""
    return isfinite(value) and abs(value) > ROUNDING_ERROR and float(f"{value:.{digits}f}") == 0


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
    known = MODEL_TITLES.get(feature) or COVARIATE_TITLES.get(feature)
    parts = feature.split("+")
    if known is None and set(parts) <= set(PARAMETERS):
        return " + ".join(PARAMETERS[part].title for part in parts)
    return known or registry.title(feature)


def term_title(term: str, registry: MuscleRegistry) -> str:
    """Name a term of a model in words.

    Parameters
    ----------
    term : str
        `adductor_longus.md`, `age`, `sex: M against F` …
    registry : MuscleRegistry
        Printed names of muscles.

    Returns
    -------
    str
        "Adductor longus, ADC (MD)", "Age, years", "Sex: M against F" …
    """
    column, colon, contrast = term.partition(": ")
    return feature_title(column, registry) + colon + contrast


def row_label(term: str, registry: MuscleRegistry) -> str:
    """Name the row of a term where the rows of a parameter stand together: its muscle, or the covariate.

    Parameters
    ----------
    term : str
        Feature, covariate or level.
    registry : MuscleRegistry
        Printed names of muscles.
    """
    muscle, parameter = split_feature(term)
    return registry.title(muscle) if parameter else term_title(term, registry)


def step_words(term: str, step: float) -> str:
    """Say what an odds ratio is about: "per 0.1 × 10⁻³ mm²/s", "per unit", or nothing for a level.

    Parameters
    ----------
    term : str
        Term of a model.
    step : float
        Its step, in its unit.
    """
    parameter = split_feature(term)[1]
    if not parameter:
        return "" if ": " in term else "per unit" if step == 1 else f"per {step:g}"
    printed = PARAMETERS[parameter]
    return f"per {step * printed.scale:g}{printed.unit and ' × ' + printed.unit}"


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
        # Given: finding whether ticks are in the way of a title measures all of them.
        "axes.titley": 1.0,
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
        _lay_out(figure)
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = _with_short_ids(_leaner(text[text.index("<svg") :]), name)
    return text.replace("<svg", f"<svg {svg_look(72 * figure.get_figwidth(), alt)}", 1).strip()


def svg_look(width: float, alt: str) -> str:
    """Return what the `<svg>` element of every figure has: its words, its type, and sizes between which it is shown.

    Parameters
    ----------
    width : float
        Width of the figure, points.
    alt : str
        What the figure shows, in words.
    """
    size = f"width:100%;min-width:{MIN_SCALE * width:.0f}px;max-width:{MAX_SCALE * width:.0f}px;height:auto"
    return f'role="img" aria-label="{escape(alt)}" style="{size};font-family:{FONT_STACK}"'


def _lay_out(figure: Figure) -> None:
    """Find the layout once, for SVG and PNG; `savefig` draws a figure that has a layout engine twice."""
    engine, dpi = figure.get_layout_engine(), figure.dpi
    if engine is None:
        return
    FigureCanvasSVG(figure)
    figure.dpi = FigureCanvasSVG.fixed_dpi
    engine.execute(figure)
    figure.dpi = dpi
    figure.set_layout_engine(None)


def stamp_svg(svg: str, words: str) -> str:
    """Write a line of words below a figure.

    Parameters
    ----------
    svg : str
        As `to_svg` made it.
    words : str
        What the line says; it also goes into the text that is read aloud.

    Returns
    -------
    str
        The figure, a little higher.
    """
    frame = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt" viewBox="0 0 [\d.]+ [\d.]+"', svg)
    if frame is None:
        return svg
    width, height = float(frame[1]), float(frame[2])
    higher = height + STAMP_HEIGHT
    line = (
        f'<path d="M0 {height:g}H{width:g}V{higher:g}H0z" fill="{PAPER}"/>'
        f'<text x="{width - 4:g}" y="{higher - 5:g}" text-anchor="end" font-size="{STAMP_SIZE:g}" fill="{STAMP}" '
        f'style="font-size:{STAMP_SIZE:g}px">{escape(words)}</text></svg>'
    )
    taller = f'width="{width:g}pt" height="{higher:g}pt" viewBox="0 0 {width:g} {higher:g}"'
    svg = svg.replace(frame[0], taller, 1).removesuffix("</svg>") + line
    return re.sub(r'aria-label="([^"]*)"', lambda label: f'aria-label="{label[1]} {escape(words)}."', svg, count=1)


def _leaner(svg: str) -> str:
    """Say the same drawing in fewer characters: a page holds dozens of panels with a hundred points each."""
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]+>", lambda tag: _leaner_tag(tag[0]), svg)
    svg = re.sub(r">\s+<", "><", svg)
    # Markers of one look stand in a group that carries the look once.
    run = re.compile(
        r'(?:<use (xlink:href="#[^"]+") x="[^"]+" y="[^"]+" (style="[^"]*")/>)(?:<use \1 x="[^"]+" y="[^"]+" \2/>)+'
    )
    return run.sub(lambda marks: f"<g {marks[2]}>{marks[0].replace(' ' + marks[2], '')}</g>", svg)


def _with_short_ids(svg: str, name: str) -> str:
    """Shorten the ids that are left: a figure's points refer to them thousands of times."""
    prefix = f"f{crc32(name.encode()) & 0xFFFF:x}"
    short = {long: f"{prefix}-{number}" for number, long in enumerate(re.findall(r' id="([^"]+)"', svg))}
    return re.sub(r'( id="|href="#|url\(#)([^")]+)', lambda use: use[1] + short.get(use[2], use[2]), svg)


def _leaner_tag(tag: str) -> str:
    if tag.startswith("<image"):
        return tag
    tag = re.sub(r'<g id="[^"]*"', "<g", tag)
    tag = (
        re.sub(r"\s*\n\s*", " ", tag)
        .replace("font-family: 'DejaVu Sans'; ", "")
        .replace("; font-family: 'DejaVu Sans'", "")
    )
    tag = re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", tag)
    # Hundredths of a point are finer than any screen or printer.
    return re.sub(r"(?<![\w#])-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), tag)


@dataclass(frozen=True, eq=False)
class Slide:
    """A figure for slides, drawn as PNG when it is wanted, in this process or another.

    Parameters
    ----------
    figure : Figure
        Made within `drawing`, and laid out (`to_svg` does).
    stamp : str, default=""
        Words on a line below it.
    """

    figure: Figure
    stamp: str = ""

    def to_png(self) -> bytes:
        """Draw it at 200 dpi, the same bytes on every call.

        Returns
        -------
        bytes
            The PNG file.
        """
        with drawing():
            picture = _picture(self.figure)
            if self.stamp:
                picture = _below(picture, _stamp_line(picture.width, self.stamp))
        buffer = io.BytesIO()
        picture.save(buffer, format="png", dpi=(PNG_DPI, PNG_DPI))
        return buffer.getvalue()


def _picture(figure: Figure) -> Image.Image:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba", dpi=PNG_DPI)
    size = (int(figure.get_figwidth() * PNG_DPI), int(figure.get_figheight() * PNG_DPI))
    return Image.frombytes("RGBA", size, buffer.getvalue()).convert("RGB")


def _stamp_line(width: int, words: str) -> Image.Image:
    """Draw a line of words as wide as the picture above it, in pixels."""
    figure = Figure(figsize=(width / PNG_DPI, STAMP_HEIGHT / 72), facecolor=PAPER)
    right = 1 - 4 / (72 * figure.get_figwidth())
    figure.text(right, 5 / STAMP_HEIGHT, words, ha="right", size=STAMP_SIZE, color=STAMP)
    return _picture(figure)


def _below(picture: Image.Image, line: Image.Image) -> Image.Image:
    both = Image.new("RGB", (picture.width, picture.height + line.height), PAPER)
    both.paste(picture, (0, 0))
    both.paste(line, (0, picture.height))
    return both
