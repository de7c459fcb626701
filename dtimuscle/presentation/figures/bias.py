"""Figures of how far simulated values are from the truth."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import draw_rows, figure_exhibit, range_of
from dtimuscle.presentation.style import (
    INK,
    MUTED,
    NARROW,
    PAPER,
    PARAMETERS,
    drawing,
    fixed,
)


def bias_figure(bias: pd.DataFrame, registry: MuscleRegistry, *, name: str = "bias_by_muscle") -> Exhibit:
    """Draw the true and the found value of each muscle side by side.

    Parameters
    ----------
    bias : DataFrame
        Columns `muscle`, `parameter`, `n`, `truth_mean`, `found_mean`, `bias`, `rmse`, in stored units.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="bias_by_muscle"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle, one panel per parameter.
    """
    parameters = [p for p in PARAMETERS if p in set(bias["parameter"])]
    muscles = list(dict.fromkeys(bias["muscle"]))
    with drawing():
        figure = Figure(figsize=(NARROW, 1.0 + 0.27 * len(muscles)), layout="constrained")
        axes = np.atleast_1d(figure.subplots(1, len(parameters), sharey=True))
        for ax, parameter in zip(axes, parameters, strict=True):
            style = PARAMETERS[parameter]
            rows = bias[bias["parameter"] == parameter].set_index("muscle").reindex(muscles)
            truth, found = rows["truth_mean"] * style.scale, rows["found_mean"] * style.scale
            y = np.arange(len(muscles))
            ax.hlines(y, truth, found, color=style.colour, linewidth=1.4)
            ax.plot(truth, y, "o", color=PAPER, markeredgecolor=INK, markersize=5)
            ax.plot(found, y, "o", color=style.colour, markersize=4)
            ax.set_xlabel(style.label)
            ax.set_title(f"n = {range_of(rows['n'])}", fontweight="normal", color=MUTED)
            ax.xaxis.set_major_locator(MaxNLocator(4))
        draw_rows(axes[0], [registry.title(muscle) for muscle in muscles])
        handles = [
            Line2D([], [], marker="o", linestyle="", color=PAPER, markeredgecolor=INK, markersize=5, label="truth"),
            Line2D([], [], marker="o", linestyle="", color=MUTED, markersize=4, label="found"),
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=2, handletextpad=0.1)
        worst = [
            f"{PARAMETERS[p].title} "
            f"{fixed(float(rows['bias'].abs().max()) * PARAMETERS[p].scale, PARAMETERS[p].digits + 1)}"
            f" {PARAMETERS[p].unit}".strip()
            for p in parameters
            for rows in [bias[bias["parameter"] == p]]
        ]
        alt = f"True and found mean of {len(muscles)} muscles. Largest bias: {', '.join(worst)}."
        summary = (
            "Mean over the simulated participants: open circles are the truth, filled ones what was found. "
            "Largest bias: "
            f"{', '.join(worst)}."
        )
        return figure_exhibit(figure, name, "True and found values by muscle", summary, bias, alt=alt)
