"""Tables about the patients."""

from collections.abc import Sequence

import pandas as pd

from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import (
    COVARIATE_TITLES,
    NOTHING,
    fixed,
    mean_sd,
    p_value,
)
from dtimuscle.presentation.tables.cells import summary_cells
from dtimuscle.statistics.characteristics import Characteristic, Count
from dtimuscle.statistics.groups import GroupSummary

_LEVELS = {"F": "female", "M": "male"}


def characteristics_table(characteristics: Sequence[Characteristic], *, name: str = "characteristics") -> Exhibit:
    """Describe the patients of the two groups.

    Parameters
    ----------
    characteristics : sequence of Characteristic
        Continuous ones once each, categorical ones once per level.
    name : str, default="characteristics"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per characteristic or level.
    """
    cells = pd.DataFrame(
        [
            {
                "name": _characteristic_title(item),
                "poor": _described(item.poor),
                "good": _described(item.good),
                "missing": f"{item.poor.n_missing} / {item.good.n_missing}",
                "test": item.test,
                "p": p_value(item.p),
            }
            for item in characteristics
        ]
    )
    data = pd.DataFrame([_characteristic_row(item) for item in characteristics])
    n_poor, n_good = _group_sizes(characteristics)
    columns = [
        Column("poor", f"Poor function (n = {n_poor})"),
        Column("good", f"Good function (n = {n_good})"),
        Column("missing", "Missing, poor / good"),
        Column("test", "Test", align="left"),
        Column("p", "P"),
    ]
    title = "Characteristics of the patients"
    summary = (
        "Poor function is a Lovett grade below the threshold, good function the rest. Mean ± SD, or count (percent "
        "of the "
        "group). A small P says that the groups differ in this characteristic by more than chance would explain."
    )
    html = table_html(name, cells, columns, title=title, row_label=("name", "Characteristic"))
    return Exhibit(name, "table", title, summary, data, html=html)


def _characteristic_title(item: Characteristic) -> str:
    title = COVARIATE_TITLES.get(item.name, item.name.replace("_", " ").capitalize())
    return f"{title}: {_LEVELS.get(item.level, item.level)}" if item.kind == "categorical" else title


def _described(group: GroupSummary | Count) -> str:
    if isinstance(group, GroupSummary):
        return mean_sd(group.mean, group.sd, 1)
    return f"{group.n} ({fixed(100 * group.share, 0)}%)" if group.n_known else NOTHING


def _characteristic_row(item: Characteristic) -> dict[str, object]:
    row: dict[str, object] = {"name": item.name, "kind": item.kind, "level": item.level}
    for group, summary in (("poor", item.poor), ("good", item.good)):
        if isinstance(summary, GroupSummary):
            row |= summary_cells(group, summary)
        else:
            row |= {f"{group}_n": summary.n, f"{group}_share": summary.share, f"{group}_n_missing": summary.n_missing}
    return row | {"test": item.test, "p": item.p}


def _group_sizes(characteristics: Sequence[Characteristic]) -> tuple[int, int]:
    if not characteristics:
        return 0, 0
    poor, good = (
        (group.n if isinstance(group, GroupSummary) else group.n_known) + group.n_missing
        for group in (characteristics[0].poor, characteristics[0].good)
    )
    return poor, good
