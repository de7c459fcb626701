"""Tables of ROC curves."""

from collections.abc import Mapping, Sequence

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import (
    PARAMETERS,
    feature_title,
    fixed,
    interval,
    p_value,
)
from dtimuscle.presentation.tables.cells import bounds_of, level_label
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.roc import AucComparison, RocCurve


def auc_table(
    curves: Sequence[RocCurve],
    registry: MuscleRegistry,
    *,
    published: Mapping[str, str] | None = None,
    title: str = "How well the values tell poor from good function",
    name: str = "auc",
) -> Exhibit:
    """List areas under ROC curves and cut-offs.

    Parameters
    ----------
    curves : sequence of RocCurve
        Features or models.
    registry : MuscleRegistry
        Printed names of muscles.
    published : mapping of str to str, optional
        Published "AUC (interval)" as printed, by the name of the curve.
    title : str, default="How well the values tell poor from good function"
        Heading.
    name : str, default="auc"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per curve.
    """
    published = published or {}
    rows, data, beside = [], [], []
    for curve in curves:
        auc, cut = curve.auc, curve.cut_off
        found = f"{fixed(auc.value, 3)} ({interval(auc.interval, 3)})"
        rows.append(
            {
                "name": feature_title(curve.name, registry),
                "auc": fixed(auc.value, 3),
                "interval": interval(auc.interval, 3),
                "published": published.get(curve.name, ""),
                "cut_off": _threshold(curve),
                "sensitivity": fixed(100 * cut.sensitivity, 0),
                "sensitivity_interval": interval(cut.sensitivity_interval, 0, scale=100),
                "specificity": fixed(100 * cut.specificity, 0),
                "specificity_interval": interval(cut.specificity_interval, 0, scale=100),
            }
        )
        data.append(_curve_row(curve) | {"published": published.get(curve.name, "")})
        if curve.name in published:
            beside.append(Beside(f"AUC of {feature_title(curve.name, registry)}", published[curve.name], found))
    columns = [
        Column("auc", "Found", spanner="AUC"),
        Column("interval", level_label([curve.auc for curve in curves]), spanner="AUC"),
    ]
    if published:
        columns.append(Column("published", "Published", spanner="AUC"))
    columns += [
        Column("cut_off", "Value", spanner="Cut-off"),
        Column("sensitivity", "%", spanner="Sensitivity"),
        Column("sensitivity_interval", level_label([curve.auc for curve in curves]), spanner="Sensitivity"),
        Column("specificity", "%", spanner="Specificity"),
        Column("specificity_interval", level_label([curve.auc for curve in curves]), spanner="Specificity"),
    ]
    words = [_groups_of(curves), "An AUC of 0.5 is chance, 1 is perfect."]
    if curves:
        words.append(f"Intervals of the AUC after {curves[0].auc.method}; cut-off by {curves[0].cut_off.rule}'s rule.")
    if any(not curve.higher_is_poor for curve in curves):
        words.append("A lower value stands for poor function, as published; an AUC below 0.5 says the opposite.")
    if any(curve.is_apparent for curve in curves):
        words.append("Models were fitted to the same patients that they are tried on, which flatters them.")
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("name", "Predictor"))
    return Exhibit(name, "table", title, " ".join(words), pd.DataFrame(data), html=html, beside=tuple(beside))


def auc_comparison_table(
    comparisons: Sequence[AucComparison], registry: MuscleRegistry, *, name: str = "auc_comparison"
) -> Exhibit:
    """List the tests of one AUC against another in the same patients.

    Parameters
    ----------
    comparisons : sequence of AucComparison
        Pairs of features or models.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="auc_comparison"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per pair.
    """
    rows = [
        {
            "pair": f"{feature_title(item.first, registry)} − {feature_title(item.second, registry)}",
            "difference": fixed(item.difference, 3),
            "interval": interval(item.interval, 3),
            "z": fixed(item.z, 2),
            "p": p_value(item.p),
        }
        for item in comparisons
    ]
    data = pd.DataFrame(
        [
            {
                "first": c.first,
                "second": c.second,
                "difference": c.difference,
                **bounds_of(c.interval),
                "z": c.z,
                "p": c.p,
                "method": c.method,
            }
            for c in comparisons
        ]
    )
    columns = [
        Column("difference", "Difference"),
        Column("interval", level_label(comparisons)),
        Column("z", "z"),
        Column("p", "P"),
    ]
    method = comparisons[0].method if comparisons else "DeLong"
    title = "Areas under the curves against each other"
    summary = (
        f"Difference of two AUCs in the same patients, tested after {method}. A positive difference says that the "
        "first of the "
        "pair tells the groups apart better."
    )
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("pair", "Pair"))
    return Exhibit(name, "table", title, summary, data, html=html)


def _curve_row(curve: RocCurve) -> dict[str, object]:
    cut = curve.cut_off
    return {
        "name": curve.name,
        "auc": curve.auc.value,
        **bounds_of(curve.auc.interval),
        "method": curve.auc.method,
        "n_poor": curve.auc.n_events,
        "n_good": curve.auc.n_controls,
        "higher_is_poor": curve.higher_is_poor,
        "is_apparent": curve.is_apparent,
        "rule": cut.rule,
        "threshold": cut.threshold,
        "sensitivity": cut.sensitivity,
        **{f"sensitivity_{key}": value for key, value in bounds_of(cut.sensitivity_interval).items()},
        "specificity": cut.specificity,
        **{f"specificity_{key}": value for key, value in bounds_of(cut.specificity_interval).items()},
        "ppv": cut.ppv,
        "npv": cut.npv,
    }


def _threshold(curve: RocCurve) -> str:
    sign = "≥" if curve.higher_is_poor else "≤"
    parameter = split_feature(curve.name)[1]
    if not parameter:
        return f"{sign} {fixed(curve.cut_off.threshold, 2)}"
    printed = PARAMETERS[parameter]
    return f"{sign} {fixed(curve.cut_off.threshold * printed.scale, printed.digits)}"


def _groups_of(curves: Sequence[RocCurve]) -> str:
    sizes = {(curve.auc.n_events, curve.auc.n_controls) for curve in curves}
    if len(sizes) != 1:
        return "Each predictor in the patients who have it."
    n_events, n_controls = next(iter(sizes))
    return f"{n_events} patients with poor function against {n_controls} with good function."
