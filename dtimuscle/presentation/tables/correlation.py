"""Tables of correlations."""

from collections.abc import Sequence

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import (
    PARAMETERS,
    count,
    fixed,
    interval,
    p_value,
)
from dtimuscle.presentation.tables.cells import bounds_of, level_label
from dtimuscle.statistics.correlation import Correlation
from dtimuscle.statistics.features import split_feature


def correlation_table(
    correlations: Sequence[Correlation], registry: MuscleRegistry, *, name: str = "correlation"
) -> Exhibit:
    """List the correlation of each muscle value with the Lovett grade.

    Parameters
    ----------
    correlations : sequence of Correlation
        One for each muscle and parameter.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="correlation"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle, grouped by parameter.
    """
    rows = [
        {
            "group": PARAMETERS[split_feature(item.feature)[1]].title,
            "muscle": registry.title(split_feature(item.feature)[0]),
            "n": count(item.n),
            "r": fixed(item.r, 2),
            "interval": interval(item.interval, 2),
            "p": p_value(item.p),
        }
        for item in correlations
    ]
    data = pd.DataFrame(
        [
            {"feature": c.feature, "method": c.method, "n": c.n, "r": c.r, **bounds_of(c.interval), "p": c.p}
            for c in correlations
        ]
    )
    method = correlations[0].method if correlations else "Pearson"
    columns = [Column("n", "n"), Column("r", "r"), Column("interval", level_label(correlations)), Column("p", "P")]
    title = "Correlation of muscle values with the Lovett grade"
    summary = (
        f"{method}'s r between each value and the grade (0 no contraction, 5 normal strength). A positive r says "
        "that the "
        "value is lower where the muscles are weaker; the study reports positive ones for FA and ADC."
    )
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("muscle", "Muscle"), group="group")
    return Exhibit(name, "table", title, summary, data, html=html)
