"""Tables of what a study can show, and of how large it must be."""

from collections.abc import Mapping
from dataclasses import asdict

import pandas as pd

from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import count, fixed
from dtimuscle.presentation.tables.cells import NO_ESTIMATE
from dtimuscle.statistics.power import Detectable, SampleSize, StudyPower

_QUANTITIES = {
    "d": "Difference of two means, in standard deviations (Student's t test)",
    "auc": "AUC, against 0.5",
    "auc_difference": "Difference of two AUCs of the same patients",
}
_DIGITS = {"d": 2, "auc": 3, "auc_difference": 3}


def detectable_table(study: StudyPower, *, name: str = "detectable_effects") -> Exhibit:
    """List the smallest effects that groups of these sizes show.

    Parameters
    ----------
    study : StudyPower
        What the groups can show.
    name : str, default="detectable_effects"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per test, one column per power.
    """
    powers = list(dict.fromkeys(item.power for item in study.detectable))
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for item in study.detectable:
        label = _label(item)
        row = rows.setdefault((item.quantity, label), {"group": _QUANTITIES[item.quantity], "test": label})
        found = fixed(item.value, _DIGITS[item.quantity])
        row[f"power_{item.power:g}"] = NO_ESTIMATE if pd.isna(item.value) else found
    columns = [Column(f"power_{power:g}", f"Power {_percent(power)}") for power in powers]
    title = f"What {study.n_poor} + {study.n_good} patients can show"
    html = table_html(
        name, pd.DataFrame(rows.values()), columns, title=title, row_label=("test", "Test"), group="group"
    )
    data = pd.DataFrame([asdict(item) for item in study.detectable])
    corrected = (
        f" With {study.n_tests} tests, the smallest P must pass α / {study.n_tests} first (Holm): that takes larger "
        "effects."
        if study.n_tests > 1
        else ""
    )
    summary = (
        f"The smallest true effect that a study with {study.n_poor} patients with poor and {study.n_good} with good "
        f"function finds significant (two-sided P < {study.alpha:g}) with the given probability. Smaller effects may "
        f'be there and are often missed: "not significant" does not mean "no effect".{corrected} For the '
        "difference: noncentral t distribution; for an AUC: Obuchowski's formula for normal values, as in pROC; for "
        "two AUCs: Hanley and McNeil. Power is a matter of planning: computed for the effect that was found, it only "
        "repeats the P value."
    )
    return Exhibit(name, "table", title, summary, data, html=html)


def sample_size_table(
    study: StudyPower, *, marked: Mapping[float, str] | None = None, name: str = "sample_sizes"
) -> Exhibit:
    """List how many patients it takes to measure an AUC precisely, and to tell it from 0.5.

    Parameters
    ----------
    study : StudyPower
        What the groups can show.
    marked : mapping of float to str, optional
        Words that stand after an AUC, such as "published".
    name : str, default="sample_sizes"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per AUC.
    """
    marked = marked or {}
    columns = [Column("now", f"Half-width with {study.n_poor} + {study.n_good}")]
    rows = {
        item.auc: {
            "auc": f"{item.auc:g} ({marked[item.auc]})" if item.auc in marked else f"{item.auc:g}",
            "now": f"± {fixed(item.half_width, 3)}",
        }
        for item in study.precision
    }
    for size in study.sample_sizes:
        column = _size_column(size)
        rows[size.auc][column.key] = f"{count(size.n)} ({count(size.n_poor)} + {count(size.n_good)})"
        if column not in columns:
            columns.append(column)
    level = f"{100 * study.precision[0].level:g}%" if study.precision else "95%"
    title = "How many patients an AUC takes"
    html = table_html(name, pd.DataFrame(rows.values()), columns, title=title, row_label=("auc", "True AUC"))
    data = pd.DataFrame([_expected(study, item.auc) for item in study.precision])
    data = pd.concat([data, pd.DataFrame([asdict(size) for size in study.sample_sizes])], ignore_index=True)
    summary = (
        f"For each true AUC the half-width of the {level} confidence interval that is to be expected now, and the "
        "patients in all (poor + good function, in the same ratio as now) that it takes for a narrower interval or to "
        f"tell the AUC from 0.5 (two-sided P < {study.alpha:g}). A high AUC is told from 0.5 by few "
        "patients, a low one takes hundreds; to know either well takes many. Half-widths: Hanley and McNeil (1982), "
        "for normal values somewhat on the safe side (about 5% too "
        "wide at 0.7, 20% at 0.9); power: Obuchowski, as in pROC."
    )
    return Exhibit(name, "table", title, summary, data, html=html)


def _label(item: Detectable) -> str:
    if item.quantity == "auc_difference":
        return f"Above an AUC of {item.reference:.2f}, correlation {item.correlation:g}"
    return f"One of {item.n_tests} tests, α = {item.alpha:.2g}" if item.n_tests > 1 else f"One test, α = {item.alpha:g}"


def _size_column(size: SampleSize) -> Column:
    if pd.isna(size.power):
        return Column(f"width_{size.half_width:g}", f"± {size.half_width:g}", spanner="Patients for a half-width of")
    return Column(f"power_{size.power:g}", _percent(size.power), spanner="Patients to tell it from 0.5 with a power of")


def _expected(study: StudyPower, auc: float) -> dict[str, float]:
    found = next(item for item in study.precision if item.auc == auc)
    return {
        "auc": auc, "n_poor": study.n_poor, "n_good": study.n_good, "half_width": found.half_width,
        "level": found.level,
    }  # fmt: skip


def _percent(share: float) -> str:
    return f"{100 * share:g}%"
