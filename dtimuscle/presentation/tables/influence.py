"""Tables of what single patients do to AUCs and odds ratios."""

from collections.abc import Mapping, Sequence
from html import escape
from math import isfinite, sqrt

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import (
    AGREEMENT_COLOURS,
    NOTHING,
    count,
    feature_title,
    fixed,
    interval,
    p_value,
    step_words,
    term_title,
)
from dtimuscle.presentation.tables.cells import NO_ESTIMATE, bounds_of, ratio, ratio_interval
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.influence import Influence, Quantity
from dtimuscle.statistics.terms import step_of


def influence_table(
    influence: Influence,
    registry: MuscleRegistry,
    *,
    links: Mapping[str, str] | None = None,
    n_patients: int = 10,
    title: str = "The patients that move the results most",
    name: str = "influence",
) -> Exhibit:
    """List the patients without whom an AUC or odds ratio changes most.

    Parameters
    ----------
    influence : Influence
        What changes without each patient.
    registry : MuscleRegistry
        Printed names of muscles.
    links : mapping of str to str, optional
        Address of each participant's page; those without one are not linked.
    n_patients : int, default=10
        How many are listed.
    title : str, default="The patients that move the results most"
        Heading.
    name : str, default="influence"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per patient; the data are all changes of all patients.
    """
    everybody = influence.by_patient()
    known = everybody[everybody["change_in_se"].notna()]
    rows = [
        {
            "participant": _linked(str(row["participant_id"]), links),
            "quantity": quantity_title(row["kind"], row["model"], row["subject"], registry),
            "with": _value(row["kind"], row["value"]),
            "without": _value(row["kind"], row["value_without"]),
            "change": _signed(row["change_in_se"]),
            "n_turned": count(row["n_turned"]),
        }
        for row in known.head(n_patients).to_dict("records")
    ]
    columns = [
        Column("participant", "Participant", align="left", is_markup=True),
        Column("with", "All patients"),
        Column("without", "Without"),
        Column("change", "Change, SE"),
        Column("n_turned", "Conclusions turned"),
    ]
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("quantity", "What changes"))
    n_turning = int((everybody["n_turned"] > 0).sum())
    largest = max((quantity.n for quantity in influence.quantities), default=0)
    summary = (
        f"Each of {len(everybody)} patients was left out in turn and every one of {len(influence.quantities)} AUCs and "
        "odds ratios computed again. The change is given in standard errors of the value of all patients; beyond "
        f"2/√n ({fixed(2 / sqrt(largest), 2) if largest else NOTHING}) it deserves a look at the scan. Without "
        f"{_people(n_turning)} at least one conclusion would be another: an interval would no longer leave out chance "
        f"(an AUC of 0.5, an odds ratio of 1), or begin to. {_remarks(influence)}"
    )
    return Exhibit(name, "table", title, summary, influence.effects, html=html)


def conclusions_table(
    influence: Influence,
    registry: MuscleRegistry,
    *,
    links: Mapping[str, str] | None = None,
    title: str = "Conclusions that hang on one patient",
    name: str = "leave_one_out",
) -> Exhibit:
    """Say of each AUC and odds ratio whether its conclusion hangs on a single patient.

    Parameters
    ----------
    influence : Influence
        What changes without each patient.
    registry : MuscleRegistry
        Printed names of muscles.
    links : mapping of str to str, optional
        Address of each participant's page; those without one are not linked.
    title : str, default="Conclusions that hang on one patient"
        Heading.
    name : str, default="leave_one_out"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per quantity, grouped by its kind.
    """
    quantities = influence.quantities
    rows = [
        {
            "group": group_title(item, registry),
            "subject": row_title(item, registry),
            "hangs": _verdict(item),
            "turned": _names(item.turned_by, links),
            "n": count(item.n),
            "value": _value(item.kind, item.value),
            "interval": _bounds(item),
            "p": p_value(item.p),
            "patient": _linked(item.most_influential, links),
            "without": _value(item.kind, item.value_without) if item.most_influential else NOTHING,
            "change": _signed(item.change_in_se),
        }
        for item in quantities
    ]
    columns = [
        Column("hangs", "Hangs on one patient", align="left"),
        Column("turned", "Who", align="left", is_markup=True),
        Column("n", "n", spanner="All patients"),
        Column("value", "Value", spanner="All patients"),
        Column("interval", f"{100 * influence.level:g}% CI", spanner="All patients"),
        Column("p", "P", spanner="All patients"),
        Column("patient", "Participant", align="left", spanner="Largest change", is_markup=True),
        Column("without", "Without", spanner="Largest change"),
        Column("change", "In SE", spanner="Largest change"),
    ]
    colours = [AGREEMENT_COLOURS["undecided" if item.hangs_on_one else "not testable"] for item in quantities]
    html = table_html(
        name,
        pd.DataFrame(rows),
        columns,
        title=title,
        row_label=("subject", "Predictor"),
        group="group",
        colours=("hangs", colours),
    )
    hanging = sum(item.hangs_on_one for item in quantities)
    shown = sum(item.is_shown for item in quantities)
    lost = sum(item.hangs_on_one for item in quantities if item.is_shown)
    summary = (
        f"{shown} of {len(quantities)} intervals leave out chance (an AUC of 0.5, an odds ratio of 1); {lost} of them "
        f"would no longer do so if one patient had not come, and {hanging - lost} of the others would begin to. "
        "Intervals of AUCs are DeLong's, those of odds ratios Wald's; each model was fitted again without the patient. "
        "AUCs of models are apparent. "
        f"{_remarks(influence)}"
    )
    data = pd.DataFrame(
        [
            {
                "kind": item.kind,
                "model": item.model,
                "subject": item.subject,
                "n": item.n,
                "value": item.value,
                **bounds_of(item.interval),
                "p": item.p,
                "most_influential": item.most_influential,
                "value_without": item.value_without,
                "change_in_se": item.change_in_se,
                "turned_by": ", ".join(item.turned_by),
                "undefined_without": ", ".join(item.undefined_without),
            }
            for item in quantities
        ]
    )
    return Exhibit(name, "table", title, summary, data, html=html)


def quantity_title(kind: str, model: str, subject: str, registry: MuscleRegistry) -> str:
    """Name an AUC or odds ratio in words.

    Parameters
    ----------
    kind, model, subject : str
        As in `Quantity`.
    registry : MuscleRegistry
        Printed names of muscles.

    Returns
    -------
    str
        "AUC, Gracilis, FA", "Odds ratio, Gracilis, FA (model: FA + ADC)" …
    """
    words = "AUC" if kind == "auc" else "Odds ratio"
    if kind == "auc":
        return f"{words}, {feature_title(subject, registry)}"
    inside = f" (model: {feature_title(model, registry)})" if model else ""
    return f"{words}, {term_title(subject, registry)}{inside}"


def row_title(item: Quantity, registry: MuscleRegistry) -> str:
    """Name the row of an AUC or odds ratio below the title of its group.

    Parameters
    ----------
    item : Quantity
        The AUC or odds ratio.
    registry : MuscleRegistry
        Printed names of muscles.
    """
    return feature_title(item.subject, registry) if item.kind == "auc" else term_title(item.subject, registry)


def group_title(item: Quantity, registry: MuscleRegistry) -> str:
    """Say what an AUC or odds ratio has in common with those around it.

    Parameters
    ----------
    item : Quantity
        The AUC or odds ratio.
    registry : MuscleRegistry
        Printed names of muscles.

    Returns
    -------
    str
        "AUC", "AUC of models, apparent", "Odds ratio" or "Odds ratio, model: FA + ADC".
    """
    if item.kind == "auc":
        return "AUC of models, apparent" if item.model else "AUC"
    return f"Odds ratio, model: {feature_title(item.model, registry)}" if item.model else "Odds ratio"


def _verdict(item: Quantity) -> str:
    if not isfinite(item.value):
        return NO_ESTIMATE
    if not item.hangs_on_one:
        return "no"
    return "yes: it would fall" if item.is_shown else "yes: it would appear"


def _names(names: Sequence[str], links: Mapping[str, str] | None) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return _linked(names[0], links) + more if names else ""


def _linked(who: str, links: Mapping[str, str] | None) -> str:
    if not who:
        return NOTHING
    address = (links or {}).get(who)
    return f'<a href="{escape(address)}">{escape(who)}</a>' if address else escape(who)


def _value(kind: str, value: float) -> str:
    if kind != "auc":
        return ratio(value)
    return fixed(value, 3) if isfinite(value) else NO_ESTIMATE


def _bounds(item: Quantity) -> str:
    if item.kind != "auc":
        return ratio_interval(item.interval)
    return interval(item.interval, 3) if item.interval.is_defined else NO_ESTIMATE


def _signed(value: float) -> str:
    printed = fixed(value, 2)
    return f"+{printed}" if value > 0 and float(printed) > 0 else printed


def _people(n: int) -> str:
    return "none of them" if n == 0 else "one of them" if n == 1 else f"any one of {n} of them"


def _remarks(influence: Influence) -> str:
    steps = [f"{step_words(f'x.{key}', step_of(f'x.{key}'))} of {name}" for key, name in (("fa", "FA"), ("md", "ADC"))]
    words = f"Odds ratios are {' and '.join(steps)}"
    if any(not split_feature(item.subject)[1] for item in influence.quantities if item.kind != "auc"):
        words += ", those of covariates per unit or against a level"
    return f"An interval that ends close to chance hangs on many patients; that is no fault of theirs. {words}."
