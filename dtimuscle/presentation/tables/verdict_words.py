"""What tables and figures of verdicts say: subjects, numbers and sentences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite, isnan

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.style import (
    NOTHING,
    PARAMETERS,
    feature_title,
    fixed,
    interval,
    mean_sd,
    p_equals,
    step_words,
)
from dtimuscle.presentation.tables.cells import ratio, ratio_interval
from dtimuscle.replication.verdict import Verdict
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.terms import step_of

# Decimals by kind of estimate, where the parameter does not say.
_DIGITS = {"auc": 3, "auc_difference": 3, "correlation": 2}

# How an odds ratio came about: a feature's change of it depends on what else is in the model.
_MODELS = {"univariate_odds_ratio": "alone", "odds_ratio": "in the joint model"}


@dataclass(frozen=True)
class NumberStyle:
    """How the numbers of a verdict are printed.

    Parameters
    ----------
    scale : float
        Factor from the stored to the printed unit.
    digits : int
        Decimals.
    unit : str
        Printed unit; empty for a plain number.
    is_ratio : bool
        Whether they are odds ratios, whose digits depend on their size.
    """

    scale: float = 1.0
    digits: int = 2
    unit: str = ""
    is_ratio: bool = False

    def number(self, value: float) -> str:
        """Print a number without its unit.

        Parameters
        ----------
        value : float
            In the stored unit.
        """
        return ratio(value) if self.is_ratio else fixed(value * self.scale, self.digits)

    def bounds(self, bounds: Interval) -> str:
        """Print an interval without its unit.

        Parameters
        ----------
        bounds : Interval
            In the stored unit.
        """
        return ratio_interval(bounds) if self.is_ratio else interval(bounds, self.digits, scale=self.scale)

    @property
    def finer(self) -> "NumberStyle":
        """The same with one decimal more."""
        return replace(self, digits=self.digits + 1)


def number_style(verdict: Verdict) -> NumberStyle:
    """Say how the numbers of a verdict are printed.

    Parameters
    ----------
    verdict : Verdict
        One verdict.
    """
    kind = verdict.found.kind if verdict.found else ""
    printed = PARAMETERS.get(split_feature(verdict.subject)[1]) if kind in ("mean", "difference") else None
    if printed:
        return NumberStyle(printed.scale, printed.digits, printed.unit)
    return NumberStyle(digits=_DIGITS.get(kind, 2), is_ratio=kind in _MODELS)


def verdict_subject(verdict: Verdict, registry: MuscleRegistry) -> str:
    """Name what a verdict is about: a feature, a model or a pair of models, and its group.

    Parameters
    ----------
    verdict : Verdict
        One verdict.
    registry : MuscleRegistry
        Printed names of muscles.

    Returns
    -------
    str
        "Gracilis, ADC (MD), poor", "FA + ADC − FA" …
    """
    title = " − ".join(feature_title(part, registry) for part in verdict.subject.split(" - "))
    return f"{title}, {verdict.group}" if verdict.group else title


def found_in_words(verdict: Verdict) -> str:
    """Print what the new data give: estimate, interval, unit and P.

    Parameters
    ----------
    verdict : Verdict
        One verdict.

    Returns
    -------
    str
        "0.97 ± 0.37 × 10⁻³ mm²/s", "0.34 (0.075 to 1.55) per 0.1, in the joint model, P = 0.163" …; an en dash where
        there is nothing.
    """
    found = verdict.found
    if found is None:
        return NOTHING
    style = number_style(verdict)
    if found.kind == "mean":
        printed = mean_sd(found.value, found.sd, style.digits, scale=style.scale)
        return printed.replace(" ", "\u00a0") + _unit(style)
    bounds = f" ({style.bounds(found.interval)})" if found.interval else ""
    model = f" {_step(verdict)}, {_MODELS[found.kind]}" if found.kind in _MODELS else ""
    p = "" if isnan(found.p) else f", P {p_equals(found.p)}".replace("P ", "P\u00a0")
    for sign in "<=>":
        p = p.replace(f"{sign} ", f"{sign}\u00a0")
    return f"{style.number(found.value)}{bounds}{_unit(style)}{model}{p}"


def plain_verdicts(verdicts: Sequence[Verdict], registry: MuscleRegistry) -> tuple[str, ...]:
    """Say in a plain sentence with its numbers what the new data make of each claim.

    Parameters
    ----------
    verdicts : sequence of Verdict
        One for each claim and subject.
    registry : MuscleRegistry
        Printed names of muscles.

    Returns
    -------
    tuple of str
        In the same order: "FA + ADC: published 0.722 (95% CI 0.6239–0.821); found 0.964 (0.933 to 0.994). The effect
        is there, but larger than chance would explain."
    """
    return tuple(
        f"{verdict_subject(v, registry)}: published {v.published}; found {found_in_words(v)}. {in_words(v)}"
        if v.found
        else f"{verdict_subject(v, registry)}: published {v.published}. {v.reason}"
        for v in verdicts
    )


def in_words(verdict: Verdict) -> str:
    """Say what a verdict means, and by what it was reached.

    Parameters
    ----------
    verdict : Verdict
        One verdict.

    Returns
    -------
    str
        Its reason; where only a direction is claimed, but the printed means give a number, with that number.
    """
    value = next((c.value for c in verdict.criteria if c.name == "original_in_interval"), float("nan"))
    if verdict.published_value is not None or isnan(value):
        return verdict.reason
    style = number_style(verdict)
    return f"{verdict.reason} The printed means differ by {style.number(value)}{_unit(style)}."


def place_in_words(value: float, bounds: Interval, style: NumberStyle, *, is_inside: bool) -> str:
    """Say whether a value lies in an interval.

    Parameters
    ----------
    value : float
        In the stored unit.
    bounds : Interval
        In the stored unit.
    style : NumberStyle
        How both are printed; with up to two more decimals where the value would look like one of the ends.
    is_inside : bool
        Whether it does.

    Returns
    -------
    str
        "1.02 in 0.83 to 1.10", "0.72 not in 0.93 to 0.99".
    """
    finest = replace(style, digits=style.digits + 2)
    while style.digits < finest.digits and style.number(value) in style.bounds(bounds).split(" to "):
        style = style.finer
    return f"{style.number(value)} {'in' if is_inside else 'not in'} {style.bounds(bounds)}"


def odds_in_words(factor: float) -> str:
    """Print a Bayes factor as odds.

    Parameters
    ----------
    factor : float
        Above 1 it speaks for the published effect.

    Returns
    -------
    str
        "12:1 for the published effect", "5:1 for no effect", "> 1000:1 …".
    """
    side = "for the published effect" if factor >= 1 else "for no effect"
    odds = factor if factor >= 1 else 1 / factor if factor > 0 else float("inf")
    if not isfinite(odds) or odds > 1000:
        return f"> 1000:1 {side}"
    return f"{fixed(odds, 1 if odds < 9.95 else 0)}:1 {side}"


def _step(verdict: Verdict) -> str:
    return step_words(verdict.subject, step_of(verdict.subject)).replace(" ", "\u00a0")


def _unit(style: NumberStyle) -> str:
    return f" × {style.unit}".replace(" ", "\u00a0") if style.unit else ""
