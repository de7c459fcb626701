import math

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dtimuscle.presentation import style
from dtimuscle.presentation.style import (
    AGREEMENT_COLOURS,
    GROUP_COLOURS,
    MUTED,
    PAPER,
    PARAMETERS,
    SEVERITY_COLOURS,
    Slide,
    drawing,
    feature_title,
    fixed,
    interval,
    mean_sd,
    p_value,
    tally,
    to_svg,
)
from dtimuscle.statistics.estimates import Interval


@pytest.mark.parametrize(
    ("p", "printed"),
    [
        (0.0000001, "< 0.001"),
        (0.00099, "< 0.001"),
        (0.001, "0.001"),
        (0.0123, "0.012"),
        (0.05, "0.050"),
        (0.9994, "> 0.999"),
        (1.0, "> 0.999"),
        (math.nan, "–"),
        (None, "–"),
    ],
)
def test_p_is_printed_to_three_digits(p, printed):
    assert p_value(p) == printed


def test_minus_is_a_minus_sign_and_zero_has_none():
    assert fixed(-1.256, 2) == "−1.26"
    assert fixed(-0.001, 2) == "0.00"


def test_missing_and_infinite_numbers_are_printed_as_such():
    assert [fixed(value, 2) for value in (None, math.nan, math.inf, -math.inf)] == ["–", "–", "∞", "−∞"]


def test_diffusivities_are_printed_in_thousandths():
    md = PARAMETERS["md"]
    assert mean_sd(1.024e-3, 0.337e-3, md.digits, scale=md.scale) == "1.02 ± 0.34"
    assert md.label == "ADC (MD), 10⁻³ mm²/s"


def test_intervals_are_printed_with_to():
    assert interval(Interval(0.6239, 0.821), 2) == "0.62 to 0.82"
    assert interval(Interval(math.nan, math.nan), 2) == "–"
    assert interval(None, 2) == "–"


@pytest.mark.parametrize(
    ("low", "high", "printed"),
    [
        (-0.0002, 0.034, "−0.0002 to 0.0340"),
        (0.0012, 0.21, "0.001 to 0.210"),
        (-0.3, -0.0004, "−0.3000 to −0.0004"),
        (0.0, 0.2, "0.00 to 0.20"),
        (-1e-17, 0.2, "0.00 to 0.20"),
        (-0.2, 0.005001, "−0.20 to 0.01"),
    ],
)
def test_an_interval_shows_on_which_side_of_zero_it_ends(low, high, printed):
    assert interval(Interval(low, high), 2) == printed


def test_an_end_too_close_to_zero_for_two_more_decimals_keeps_its_minus():
    assert interval(Interval(-0.00001, 0.2), 2) == "−0.00 to 0.20"
    assert interval(Interval(0.00001, 0.2), 2) == "0.00 to 0.20"
    assert interval(Interval(-2.5e-7, 0.1e-3), 2, scale=1e3) == "−0.0003 to 0.1000"


def test_models_of_any_parameters_have_words(registry):
    names = [feature_title(name, registry) for name in ("ad+rd", "rd", "fa+md+rd")]
    assert names == [
        f"{PARAMETERS['ad'].title} + {PARAMETERS['rd'].title}",
        PARAMETERS["rd"].title,
        f"{PARAMETERS['fa'].title} + {PARAMETERS['md'].title} + {PARAMETERS['rd'].title}",
    ]


def test_features_models_and_covariates_have_names(registry):
    names = [feature_title(name, registry) for name in ("adductor_longus.md", "fa+md", "age", "soleus.fa")]
    assert names == ["Adductor longus, ADC (MD)", "FA + ADC", "Age, years", "Soleus, FA"]


def test_verdicts_are_counted_with_their_grammar():
    assert tally(["agrees", "disagrees", "agrees", ""]) == (("agrees", 2, "agree"), ("disagrees", 1, "disagrees"))


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    before = dict(mpl.rcParams)
    with drawing():
        assert mpl.rcParams["axes.spines.top"] is False
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    "colour", [MUTED, *GROUP_COLOURS.values(), *AGREEMENT_COLOURS.values(), *SEVERITY_COLOURS.values()]
)
def test_text_colours_have_enough_contrast_on_paper(colour):
    lighter, darker = _luminance(PAPER), _luminance(colour)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def _luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.1."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_figure_that_is_laid_out_once_is_the_one_that_matplotlib_draws(monkeypatch):
    def draw():
        with drawing():
            figure = Figure(figsize=(4, 3), layout="constrained")
            axes = figure.subplots(2, 2)
            for number, ax in enumerate(axes.flat):
                ax.plot([0, 1, 2], [3, 10 ** (2 * number), 1])
                ax.set(title=f"Panel {number}", xlabel="Volume", ylabel="Distance, mm")
            figure.colorbar(axes[0, 0].imshow([[0, 1], [2, 3]]), ax=axes[0, 1])
            figure.legend(handles=[Line2D([], [], label="mean")], loc="outside upper left")
            svg = to_svg(figure, name="some", alt="Some.")
            figure.set_layout_engine("none")
            return svg, Slide(figure).to_png()

    ours = draw()
    monkeypatch.setattr(style, "_lay_out", lambda figure: None)
    assert draw() == ours
