"""Tables of missing values and of what imputing them changes."""

from collections.abc import Sequence
from math import isnan, nan

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import (
    NOTHING,
    PARAMETERS,
    count,
    feature_title,
    fixed,
    interval,
    p_value,
    step_words,
    term_title,
)
from dtimuscle.presentation.tables.cells import NO_ESTIMATE, bounds_of, level_label, ratio, ratio_interval
from dtimuscle.statistics.estimates import Estimate, EstimateKind
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.logistic import LogisticFit
from dtimuscle.statistics.missing import MissingColumn, MissingData
from dtimuscle.statistics.pooling import PooledAnalysis, PooledEstimate, Subject
from dtimuscle.statistics.terms import step_of

_KINDS: dict[EstimateKind, str] = {
    "mean": "Mean",
    "difference": "Difference of means, poor − good",
    "correlation": "Correlation with the Lovett grade",
    "univariate_odds_ratio": "Odds ratio, one feature at a time",
    "odds_ratio": "Odds ratio, features that entered together",
    "auc": "AUC",
    "auc_difference": "Difference of AUCs",
}
_COMPARED = tuple(kind for kind in _KINDS if kind != "mean")
_PRESPECIFIED = "Odds ratio, prespecified model"


def missing_table(missing: MissingData, registry: MuscleRegistry, *, name: str = "missing_values") -> Exhibit:
    """List the features and covariates with missing values, by group.

    Parameters
    ----------
    missing : MissingData
        What is missing.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="missing_values"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per incomplete column; a single row where nothing is missing.
    """
    title = "Missing values"
    incomplete = sorted((column for column in missing.columns if column.n_missing), key=_place)
    rows = [_missing_row(column, registry) for column in incomplete]
    if not rows:
        nothing = MissingColumn("", False, 0, 0, 0, missing.n_poor, missing.n_good, missing.n_ungraded, nan)
        row = _missing_row(nothing, registry)
        rows = [row | {"name": f"All {len(missing.columns)} features and covariates", "group": ""}]
    columns = [
        Column("poor", "Poor function", spanner="Missing / patients"),
        Column("good", "Good function", spanner="Missing / patients"),
        *([Column("ungraded", "No grade", spanner="Missing / patients")] if missing.n_ungraded else []),
        Column("share", "Missing, %"),
        Column("p", "P (Fisher)"),
    ]
    html = table_html(
        name,
        pd.DataFrame(rows),
        columns,
        title=title,
        row_label=("name", "Feature or covariate"),
        group="group" if incomplete else "",
    )
    data = pd.DataFrame(
        [
            {
                "column": column.name,
                "is_covariate": column.is_covariate,
                "poor_missing": column.poor,
                "poor_n": column.n_poor,
                "good_missing": column.good,
                "good_n": column.n_good,
                "ungraded_missing": column.ungraded,
                "ungraded_n": column.n_ungraded,
                "p": column.p,
            }
            for column in missing.columns
        ]
    )
    return Exhibit(name, "table", title, _missing_summary(missing, incomplete), data, html=html)


def complete_cases_table(missing: MissingData, *, name: str = "complete_cases") -> Exhibit:
    """List who is left for each analysis when incomplete patients are left out.

    Parameters
    ----------
    missing : MissingData
        What is missing.
    name : str, default="complete_cases"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per analysis.
    """
    title = "Patients left when incomplete ones are left out"
    rows = [
        {
            "purpose": case.purpose[:1].upper() + case.purpose[1:],
            "columns": count(len(case.columns)),
            "poor": f"{count(case.poor)} / {count(missing.n_poor)}",
            "good": f"{count(case.good)} / {count(missing.n_good)}",
            "left_out": count(case.n_left_out),
        }
        for case in missing.complete
    ]
    columns = [
        Column("columns", "Columns needed"),
        Column("poor", "Poor function"),
        Column("good", "Good function"),
        Column("left_out", "Left out"),
    ]
    data = pd.DataFrame(
        [
            {
                "purpose": case.purpose,
                "columns": ", ".join(case.columns),
                "poor": case.poor,
                "good": case.good,
                "left_out": case.n_left_out,
            }
            for case in missing.complete
        ]
    )
    words = "A patient takes part in an analysis when the grade and every column that it needs are known."
    if missing.complete and not any(case.n_left_out for case in missing.complete):
        words += " Nobody with a grade is left out of any."
    else:
        words += " The more columns an analysis takes together, the more patients it loses."
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("purpose", "Analysis"))
    return Exhibit(name, "table", title, words, data, html=html)


def imputation_table(
    analysis: PooledAnalysis,
    complete: Sequence[Estimate],
    registry: MuscleRegistry,
    *,
    kinds: Sequence[EstimateKind] = _COMPARED,
    prespecified: LogisticFit | None = None,
    name: str = "imputation",
) -> Exhibit:
    """Set pooled estimates beside those of the complete cases.

    Parameters
    ----------
    analysis : PooledAnalysis
        Analyses of the imputed data.
    complete : sequence of Estimate
        The same analyses of the complete cases; those without a counterpart are left out.
    registry : MuscleRegistry
        Printed names of muscles.
    kinds : sequence of str, default=all but means
        Kinds of estimates that are shown.
    prespecified : LogisticFit, optional
        The prespecified model of the complete cases.
    name : str, default="imputation"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per pooled estimate, grouped by what was estimated.
    """
    title = "Complete cases and multiple imputation"
    beside = _by_subject(complete)
    pairs = [(item, beside.get(item.subject), _heading(item)) for item in analysis.pooled if item.subject.kind in kinds]
    if "odds_ratio" in kinds:
        beside = _by_subject(prespecified.estimates() if prespecified else ())
        pairs += [(item, beside.get(item.subject), _heading(item, prespecified=True)) for item in analysis.prespecified]
    rows = [_pair_row(item, other, registry) | {"group": group} for item, other, group in pairs]
    ci = level_label([item for item, _, _ in pairs])
    columns = [
        Column("complete_n", "n", spanner="Complete cases"),
        Column("complete_value", "Estimate", spanner="Complete cases"),
        Column("complete_interval", ci, spanner="Complete cases"),
        Column("complete_p", "P", spanner="Complete cases"),
        Column("n_imputed", "Imputed values", spanner="Multiple imputation"),
        Column("value", "Estimate", spanner="Multiple imputation"),
        Column("interval", ci, spanner="Multiple imputation"),
        Column("p", "P", spanner="Multiple imputation"),
        Column("fmi", "Information lost, %", spanner="Multiple imputation"),
    ]
    data = pd.DataFrame([_pair_data(item, other) for item, other, _ in pairs])
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("name", "Subject"), group="group")
    summary = _imputation_summary(analysis)
    if any(item.subject.kind == "auc" for item, _, _ in pairs):
        summary += (
            " Intervals of AUCs are DeLong's on the left and on the logit scale on the right, so that they differ even "
            "where nothing was imputed."
        )
    return Exhibit(name, "table", title, summary, data, html=html)


def _by_subject(estimates: Sequence[Estimate]) -> dict[Subject, Estimate]:
    return {Subject(item.kind, item.subject, item.group): item for item in estimates}


def _place(column: MissingColumn) -> int:
    return [*PARAMETERS, ""].index(split_feature(column.name)[1])


def _missing_row(column: MissingColumn, registry: MuscleRegistry) -> dict[str, str]:
    muscle, parameter = split_feature(column.name)
    return {
        "group": "Covariates" if not parameter else PARAMETERS[parameter].title,
        "name": registry.title(muscle) if parameter else feature_title(column.name, registry),
        "poor": f"{count(column.poor)} / {count(column.n_poor)}",
        "good": f"{count(column.good)} / {count(column.n_good)}",
        "ungraded": f"{count(column.ungraded)} / {count(column.n_ungraded)}",
        "share": fixed(100 * column.share, 1),
        "p": p_value(column.p),
    }


def _missing_summary(missing: MissingData, incomplete: Sequence[MissingColumn]) -> str:
    patients = f"{count(missing.n)} patients"
    if not incomplete:
        return f"Nothing is missing: all {len(missing.columns)} features and covariates of {patients} are known."
    n_complete = sum(pattern.n for pattern in missing.patterns if not pattern.missing)
    return (
        f"{count(missing.n_values)} values are missing, in {len(incomplete)} of {len(missing.columns)} features and "
        f"covariates; {count(n_complete)} of {patients} have all of them. P is Fisher's exact test of whether a value "
        "is missing more often in one group, each column on its own. It describes these patients: a large P does not "
        "prove that values are missing by chance, nor a small one why they are."
    )


def _heading(item: PooledEstimate, *, prespecified: bool = False) -> str:
    kind = item.subject.kind
    words = _PRESPECIFIED if prespecified else _KINDS[kind]
    parameter = split_feature(item.subject.name)[1]
    if not parameter:
        return f"{words}: covariates, per unit or level" if "odds_ratio" in kind else words
    style = PARAMETERS[parameter]
    if kind in ("mean", "difference"):
        return f"{words}: {style.label}"
    if kind in ("odds_ratio", "univariate_odds_ratio"):
        return f"{words}: {style.title}, {step_words(item.subject.name, step_of(item.subject.name))}"
    return f"{words}: {style.title}"


def _title(item: PooledEstimate, registry: MuscleRegistry) -> str:
    name = item.subject.name
    muscle, parameter = split_feature(name)
    title = registry.title(muscle) if parameter else ""
    if not title:
        title = " − ".join(term_title(part, registry) for part in name.split(" - "))
    return f"{title}, {item.subject.group} function" if item.subject.group else title


def _pair_row(item: PooledEstimate, other: Estimate | None, registry: MuscleRegistry) -> dict[str, str]:
    row = {"name": _title(item, registry), "n_imputed": count(item.n_imputed), "fmi": fixed(100 * item.pooled.fmi, 0)}
    row |= _cells(item.estimate())
    cells = _cells(other) if other else dict.fromkeys(("n", "value", "interval", "p"), "")
    return row | {f"complete_{key}": cell for key, cell in cells.items()}


def _cells(estimate: Estimate) -> dict[str, str]:
    if "odds_ratio" in estimate.kind:
        value = ratio(estimate.value)
        bounds = ratio_interval(estimate.interval) if estimate.interval else NOTHING
    else:
        scale, digits = _printing(estimate)
        value = NO_ESTIMATE if isnan(estimate.value) else fixed(estimate.value * scale, digits)
        bounds = interval(estimate.interval, digits, scale=scale)
    return {"n": count(estimate.n), "value": value, "interval": bounds, "p": p_value(estimate.p)}


def _printing(estimate: Estimate) -> tuple[float, int]:
    """Return the factor to the printed unit, and the decimals."""
    parameter = split_feature(estimate.subject)[1]
    if estimate.kind in ("mean", "difference") and parameter:
        return PARAMETERS[parameter].scale, PARAMETERS[parameter].digits
    return 1.0, 3 if estimate.kind.startswith("auc") else 2


def _pair_data(item: PooledEstimate, other: Estimate | None) -> dict[str, object]:
    kind, subject, group = item.subject
    found = item.pooled
    row: dict[str, object] = {"kind": kind, "subject": subject, "group": group}
    if other is not None:
        row |= {"complete_n": other.n, "complete_value": other.value, "complete_p": other.p}
        row |= {f"complete_{key}": value for key, value in bounds_of(other.interval).items()} if other.interval else {}
    row |= {"n": item.n, "n_imputed": item.n_imputed, "value": item.value, **bounds_of(item.interval), "p": item.p}
    return row | {
        "scale": item.scale,
        "pooled": found.estimate,
        "within": found.within,
        "between": found.between,
        "total": found.total,
        "df": found.df,
        "fmi": found.fmi,
        "relative_efficiency": found.relative_efficiency,
    }


def _imputation_summary(analysis: PooledAnalysis) -> str:
    imputation = analysis.imputation
    if not imputation.n_values:
        return (
            "Nothing was imputed: no value that could be is missing, so both halves rest on the same data, and no "
            "information is lost."
        )
    everything = (*analysis.pooled, *analysis.prespecified)
    lost = [item.pooled.fmi for item in everything if not isnan(item.pooled.fmi)]
    at_most = f", at most {fixed(100 * max(lost), 0)}% here" if lost else ""
    return (
        f"{count(imputation.n_values)} missing values in {len(imputation.n_imputed)} columns of {count(imputation.n)} "
        f"patients were imputed {imputation.n_imputations} times by chained equations with predictive mean matching "
        f"({imputation.burn_in} cycles before the first data set, {imputation.spacing} between data sets, seed "
        f"{imputation.seed}); grade and group were among the predictors. Each data set was analysed like the complete "
        "cases, and the results were pooled by Rubin's rules (degrees of freedom after Barnard and Rubin): odds "
        "ratios as their log, correlations as Fisher's z, AUCs as their logit. Information lost is the share of what "
        f"complete data would tell that the missing values cost{at_most}. Imputation is "
        "right only if what is missing can be predicted from what is known; where the estimates differ, the assumption "
        "matters."
    )
