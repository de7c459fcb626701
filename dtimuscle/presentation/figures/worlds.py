"""Figures of what worlds whose truth is known make of the published numbers."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import figure_exhibit
from dtimuscle.presentation.style import FAINT, INK, MUTED, NARROW, PUBLISHED, count, drawing, feature_title, fixed
from dtimuscle.presentation.tables.worlds import cohorts_in_words, share_in_words, world_title
from dtimuscle.replication.worlds import AucInWorld, WorldAnswer

# Width of a bar, in AUC.
_BIN = 0.01

_AT_MOST, _ABOVE = INK, "#9fb4c4"


def worlds_auc_figure(
    answers: Sequence[WorldAnswer], registry: MuscleRegistry, *, claim_id: str = "", name: str = "worlds_auc"
) -> Exhibit:
    """Draw which AUCs the cohorts of each world have, beside the printed one.

    Parameters
    ----------
    answers : sequence of WorldAnswer
        One for each world, all about the same study.
    registry : MuscleRegistry
        Printed names of muscles.
    claim_id : str, default=""
        The claim that prints the AUC; the first one that can be tested by default.
    name : str, default="worlds_auc"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One panel per world; the data hold the AUC of every cohort.
    """
    shown = [(answer, area) for answer in answers if (area := _area(answer, claim_id)) is not None]
    data = pd.DataFrame(
        [
            {"world": answer.name, "claim_id": area.claim_id, "predictor": area.predictor, "cohort": cohort, "auc": auc}
            for answer, area in shown
            for cohort, auc in enumerate(area.values)
        ],
        columns=["world", "claim_id", "predictor", "cohort", "auc"],
    )
    with drawing():
        figure = Figure(figsize=(NARROW, 0.95 + 1.05 * max(len(shown), 1)), layout="constrained")
        axes = figure.subplots(max(len(shown), 1), 1, sharex=True, squeeze=False).ravel()
        lowest = float(data["auc"].min()) if shown else 0.5
        for ax, (answer, area) in zip(axes, shown, strict=False):
            _panel(ax, answer, area)
        if shown:
            _name_published(axes[0], shown[0][1])
        axes[-1].set(xlim=(min(lowest, 0.5) - 0.02, 1.0), xlabel=_label(shown, registry))
        title = "The AUC in worlds whose truth is known"
        listed = "; ".join(f"{world_title(answer.name)}: {share_in_words(area.at_most)}" for answer, area in shown)
        alt = f"AUC of simulated cohorts, one panel per world. Share at most the published AUC: {listed or 'no AUC'}."
        return figure_exhibit(
            figure, name, title, _summary(answers, shown, registry), data, alt=alt, rests_on="simulation"
        )


def _area(answer: WorldAnswer, claim_id: str) -> AucInWorld | None:
    return next((area for area in answer.aucs if claim_id in ("", area.claim_id)), None)


def _panel(ax: Axes, answer: WorldAnswer, area: AucInWorld) -> None:
    # An edge of the bars lies where the printed value is rounded up, so that no bar stands on both sides.
    edge = area.printed.value + area.printed.step / 2
    edges = edge + _BIN * np.arange(np.floor((0.0 - edge) / _BIN), np.ceil((1.0 - edge) / _BIN) + 1)
    heights = np.histogram(area.values, edges)[0] / area.values.size
    colours = [_AT_MOST if upper <= edge + _BIN / 2 else _ABOVE for upper in edges[1:]]
    if area.printed.interval is not None:
        ax.axvspan(area.printed.interval.low, area.printed.interval.high, color=FAINT, alpha=0.55, linewidth=0)
    ax.bar(edges[:-1], heights, width=_BIN, align="edge", color=colours, linewidth=0)
    ax.axvline(area.printed.value, color=PUBLISHED, linewidth=0.9, linestyle=":")
    ax.set_title(world_title(answer.name))
    ax.set_title(
        f"≤ {_as_printed(area)}: {share_in_words(area.at_most)}", loc="right", fontweight="normal", fontsize=8.5,
        color=INK,
    )  # fmt: skip
    ax.spines["left"].set_visible(False)
    ax.set_yticks([])
    ax.set_ylim(0, 1.15 * max(float(heights.max()), _BIN))


def _as_printed(area: AucInWorld) -> str:
    """Print the published AUC with as many decimals as it was printed with."""
    return fixed(area.printed.value, max(0, round(-np.log10(area.printed.step))))


def _name_published(ax: Axes, area: AucInWorld) -> None:
    ax.annotate(
        "published", (area.printed.value, 1), xycoords=("data", "axes fraction"), xytext=(-3, -2),
        textcoords="offset points", ha="right", va="top", fontsize=8, color=MUTED,
    )  # fmt: skip


def _label(shown: Sequence[tuple[WorldAnswer, AucInWorld]], registry: MuscleRegistry) -> str:
    if not shown:
        return "AUC"
    sizes = " or ".join(
        dict.fromkeys(f"{count(answer.n_cohorts)} cohorts of {answer.n_poor} + {answer.n_good}" for answer, _ in shown)
    )
    return f"AUC of {feature_title(shown[0][1].predictor, registry)} in {sizes}, simulated"


def _summary(
    answers: Sequence[WorldAnswer], shown: Sequence[tuple[WorldAnswer, AucInWorld]], registry: MuscleRegistry
) -> str:
    if not shown:
        return f"{cohorts_in_words(answers)} No published AUC can be tested in them."
    area = shown[0][1]
    printed = _as_printed(area)
    muscles = "; ".join(feature_title(feature, registry) for feature in area.features)
    band = " The grey band is the published confidence interval." if area.printed.interval else ""
    inside = [(answer, item.within) for answer, item in shown if item.within is not None]
    within = ""
    if inside:
        shares = ", ".join(f"{fixed(100 * share.value, 1)}% ({world_title(answer.name)})" for answer, share in inside)
        within = f" Within it lie {shares}."
    return (
        f"{cohorts_in_words(answers)} How often is the AUC of {feature_title(area.predictor, registry)} at most the "
        f"published {printed} (dotted line)? Dark bars are these cohorts; their share stands above each panel, with "
        f"its 95% interval.{band}{within} The AUC is that of a logistic model ({muscles}) in the patients that it was "
        "fitted to, which flatters it: where nothing differs it still lies above 0.5."
    )
