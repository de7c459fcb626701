"""Tables about the patients."""

from collections import Counter
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
from dtimuscle.presentation.tables.cells import median_iqr, summary_cells
from dtimuscle.statistics.characteristics import NORMALITY_ALPHA, Characteristic, Count
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
        Two rows per continuous characteristic (mean, median), one per level of a categorical one. What
        belongs to the whole characteristic stands in its first row.
    """
    rows, seen = [], set()
    for item in characteristics:
        rows += _rows(item, is_first=item.name not in seen)
        seen.add(item.name)
    data = pd.DataFrame([_characteristic_row(item) for item in characteristics])
    n_poor, n_good = _group_sizes(characteristics)
    columns = [
        Column("poor", f"Poor function (n = {n_poor})"),
        Column("good", f"Good function (n = {n_good})"),
        Column("missing", "Missing, poor / good"),
        Column("distance", "Standardised difference"),
        Column("test", "Test", align="left"),
        Column("p", "P"),
    ]
    title = "Characteristics of the patients"
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("name", "Characteristic"))
    return Exhibit(name, "table", title, _summary(characteristics), data, html=html)


def _rows(item: Characteristic, *, is_first: bool) -> list[dict[str, str]]:
    title = COVARIATE_TITLES.get(item.name, item.name.replace("_", " ").capitalize())
    of_the_whole = {
        "missing": f"{item.poor.n_missing} / {item.good.n_missing}",
        "distance": fixed(item.standardised_difference, 2),
        "test": item.test,
        "p": p_value(item.p),
    }
    if isinstance(item.poor, GroupSummary) and isinstance(item.good, GroupSummary):
        groups = {"poor": item.poor, "good": item.good}
        means = {group: mean_sd(summary.mean, summary.sd, 1) for group, summary in groups.items()}
        medians = {group: median_iqr(summary, 1) for group, summary in groups.items()}
        return [
            {"name": f"{title}: mean ± SD", **means, **of_the_whole},
            {"name": f"{title}: median [IQR]", **medians},
        ]
    counts = {group: _share(count) for group, count in (("poor", item.poor), ("good", item.good))}
    return [{"name": f"{title}: {_LEVELS.get(item.level, item.level)}", **counts, **(of_the_whole if is_first else {})}]


def _share(group: GroupSummary | Count) -> str:
    if isinstance(group, Count) and group.n_known:
        return f"{group.n} ({fixed(100 * group.share, 0)}%)"
    return NOTHING


def _summary(characteristics: Sequence[Characteristic]) -> str:
    chosen = Counter({item.name: item.test for item in characteristics}.values())
    tests = ", ".join(f"{test or 'none possible'} ({n})" for test, n in chosen.most_common())
    return (
        "Poor function is a Lovett grade below the threshold, good function the rest. Numbers as mean ± SD and as "
        "median [lower to upper quartile], categories as count (percent of those known). The test follows a rule: "
        "Student's t where Shapiro and Wilk's test speaks against a normal distribution in neither group (P of at "
        f"least {NORMALITY_ALPHA:g} in both), else Mann and Whitney's; for categories chi-squared, or Fisher's exact "
        f"test where an expected count is below 5. Used here: {tests or 'none'}. A small P: such a difference would be "
        "rare by chance alone. The standardised difference says how large it is, in SDs (numbers: poor minus good, "
        "categories: a distance without sign). Beyond 0.1 groups are commonly called unbalanced, but with few patients "
        "chance alone often goes beyond that: its standard error is about √(1/n + 1/n) of the two groups."
    )


def _characteristic_row(item: Characteristic) -> dict[str, object]:
    row: dict[str, object] = {"name": item.name, "kind": item.kind, "level": item.level}
    for group, summary in (("poor", item.poor), ("good", item.good)):
        if isinstance(summary, GroupSummary):
            row |= summary_cells(group, summary)
        else:
            row |= {f"{group}_n": summary.n, f"{group}_share": summary.share, f"{group}_n_missing": summary.n_missing}
    return row | {"test": item.test, "p": item.p, "standardised_difference": item.standardised_difference}


def _group_sizes(characteristics: Sequence[Characteristic]) -> tuple[int, int]:
    if not characteristics:
        return 0, 0
    poor, good = (
        (group.n if isinstance(group, GroupSummary) else group.n_known) + group.n_missing
        for group in (characteristics[0].poor, characteristics[0].good)
    )
    return poor, good
