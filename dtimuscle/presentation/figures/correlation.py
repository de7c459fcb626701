"""Figures of correlations."""

from collections.abc import Sequence

import pandas as pd
import seaborn
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.figures.drawing import POINTS, figure_exhibit, graded_values, spread
from dtimuscle.presentation.style import (
    INK,
    MUTED,
    NARROW,
    PARAMETERS,
    drawing,
    feature_title,
    fixed,
    interval,
)
from dtimuscle.statistics.correlation import Correlation
from dtimuscle.statistics.features import FeatureFrame, split_feature


def correlation_figure(
    features: FeatureFrame,
    correlations: Sequence[Correlation],
    registry: MuscleRegistry,
    *,
    name: str = "correlation_with_grade",
) -> Exhibit:
    """Show values against the Lovett grade, which is ordinal: points are spread within their grade.

    Parameters
    ----------
    features : FeatureFrame
        The values and grades of the patients.
    correlations : sequence of Correlation
        The features that are shown, in this order.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="correlation_with_grade"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One panel per feature.
    """
    n_rows = max(-(-len(correlations) // 2), 1)
    data = pd.concat(
        [graded_values(features, item.feature) for item in correlations] or [graded_values(features)], ignore_index=True
    )
    with drawing():
        figure = Figure(figsize=(NARROW, 0.3 + 1.95 * n_rows), layout="constrained")
        axes = figure.subplots(n_rows, 2, squeeze=False, sharex=True).ravel()
        for ax, item in zip(axes, correlations, strict=False):
            muscle, parameter = split_feature(item.feature)
            style = PARAMETERS[parameter]
            here = data[data["feature"] == item.feature]
            grades, values = here["lovett_grade"], here["value"] * style.scale
            sideways = 0.28 * here.groupby("lovett_grade")["value"].transform(lambda within: spread(len(within)))
            seaborn.scatterplot(x=grades + sideways, y=values, hue=here["group"], ax=ax, **POINTS)
            seaborn.pointplot(
                x=grades, y=values, errorbar=None, native_scale=True, linestyle="none", ax=ax,
                color=INK, marker="_", markersize=13, markeredgewidth=1.6,
            )  # fmt: skip
            ax.set_title(registry.title(muscle), pad=20)
            words = f"r = {fixed(item.r, 2)} ({interval(item.interval, 2)}), n = {item.n}"
            ax.annotate(
                words,
                (0, 1),
                xycoords="axes fraction",
                xytext=(0, 6),
                textcoords="offset points",
                fontsize=8,
                color=MUTED,
            )
            ax.set(xlabel="", ylabel=style.label, xlim=(-0.6, 5.6))
            ax.xaxis.set_major_locator(FixedLocator(range(6)))
            ax.yaxis.set_major_locator(MaxNLocator(4))
        for ax in axes[max(len(correlations) - 2, 0) : len(correlations)]:
            ax.tick_params(labelbottom=True)
            ax.set_xlabel("Lovett grade")
        for ax in axes[len(correlations) :]:
            ax.set_visible(False)
        listed = "; ".join(f"{feature_title(c.feature, registry)} {fixed(c.r, 2)}" for c in correlations)
        alt = f"Muscle values against the Lovett grade. Correlation: {listed}."
        method = correlations[0].method if correlations else "Pearson"
        summary = (
            "Each point is a patient, spread sideways within the grade; bars are the means of the grades. r is "
            f"{method}'s with its "
            "interval. Rust is poor function, blue good function."
        )
        data = data.drop(columns="group")
        return figure_exhibit(figure, name, "Muscle values and the Lovett grade", summary, data, alt=alt)
