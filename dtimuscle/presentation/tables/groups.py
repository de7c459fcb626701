"""Tables that hold poor against good function."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import (
    PARAMETERS,
    feature_title,
    fixed,
    interval,
    mean_sd,
    p_value,
)
from dtimuscle.presentation.tables.cells import bounds_of, estimate_cell, level_label, median_iqr, summary_cells
from dtimuscle.statistics.auc import EXACT_PAIRS
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.groups import GroupComparison, count_significant
from dtimuscle.statistics.multiplicity import Multiplicity
from dtimuscle.statistics.two_samples import EXACT


def group_comparison_table(
    comparisons: Sequence[GroupComparison],
    registry: MuscleRegistry,
    *,
    published: Mapping[tuple[str, str], str] | None = None,
    published_note: str = "",
    name: str = "group_comparison",
) -> Exhibit:
    """Compare the muscle values of poor and good function.

    Parameters
    ----------
    comparisons : sequence of GroupComparison
        One for each muscle and parameter.
    registry : MuscleRegistry
        Printed names of muscles.
    published : mapping of (str, str) to str, optional
        Published "mean ± SD" as printed, without unit, by feature and group ("poor" or "good").
    published_note : str, default=""
        What the summary says about the published values, such as the unit in which they are printed and read.
    name : str, default="group_comparison"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle, grouped by parameter.
    """
    published = published or {}
    rows, data, beside = [], [], []
    for item in comparisons:
        muscle, parameter = split_feature(item.feature)
        printed = PARAMETERS[parameter]
        found = {
            group: mean_sd(summary.mean, summary.sd, printed.digits, scale=printed.scale)
            for group, summary in (("poor", item.poor), ("good", item.good))
        }
        rows.append(
            {
                "group": f"{printed.label}, mean ± SD",
                "muscle": registry.title(muscle),
                "n": f"{item.poor.n} / {item.good.n}",
                **found,
                **{f"published_{group}": published.get((item.feature, group), "") for group in found},
                "difference": fixed(item.difference * printed.scale, printed.digits),
                "interval": interval(item.interval, printed.digits, scale=printed.scale),
                "g": fixed(item.hedges_g, 2),
                "p": p_value(item.p),
                "p_holm": p_value(item.p_holm),
            }
        )
        data.append(_comparison_row(item) | {f"published_{g}": published.get((item.feature, g), "") for g in found})
        beside += [
            Beside(
                f"{feature_title(item.feature, registry)}, {group} function",
                published[item.feature, group],
                found[group],
            )
            for group in found
            if (item.feature, group) in published
        ]
    columns = _comparison_columns(comparisons, with_published=bool(published))
    counts = count_significant(comparisons)
    title = "Muscle values with poor and good function"
    summary = (
        "Each muscle's value in patients with poor and with good function; the difference is poor minus good, with its "
        f"{level_label(comparisons)}. P is Student's t test, as in the study; P (Holm) is the same corrected for "
        f"the {counts.n_tests} tests of this table. Hedges g is the difference in standard deviations: 0.2 is small, "
        f"0.8 large. {multiplicity_in_words(counts)}"
    )
    if published and published_note:
        summary += f" {published_note}"
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("muscle", "Muscle"), group="group")
    return Exhibit(name, "table", title, summary, pd.DataFrame(data), html=html, beside=tuple(beside))


def group_tests_table(
    comparisons: Sequence[GroupComparison], registry: MuscleRegistry, *, name: str = "group_tests"
) -> Exhibit:
    """Hold Student's t test against other tests, its assumptions and the number of tests.

    Parameters
    ----------
    comparisons : sequence of GroupComparison
        One for each muscle and parameter.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="group_tests"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle, grouped by parameter.
    """
    methods = {item.mann_whitney.method for item in comparisons if item.mann_whitney.method}
    rows = [_tests_cells(item, registry, name_method=len(methods) > 1) for item in comparisons]
    counts = count_significant(comparisons)
    title = "Poor against good function: does the result hang on the test?"
    summary = (
        "Welch's t test does without equal spread, Mann and Whitney's test "
        f"{_methods_in_words(methods)} without a normal distribution; where the three agree, the conclusion does not "
        "hang on the choice. The checks say what the values are like: a small P of Shapiro and Wilk's test speaks "
        "against a normal distribution in that group, one of Brown and Forsythe's against equal spread. "
        f"{multiplicity_in_words(counts)} Holm keeps the chance of any false alarm below {counts.alpha:.0%}, Benjamini "
        "and Hochberg (BH) the expected share of false alarms among the findings."
    )
    ranks = "Mann–Whitney, exact" if methods == {EXACT} else "Mann–Whitney"
    columns = [
        Column("n", "n, poor / good"),
        Column("missing", "Missing, poor / good"),
        Column("student", "Student t", spanner="P of no difference"),
        Column("welch", "Welch t", spanner="P of no difference"),
        Column("mann_whitney", ranks, spanner="P of no difference"),
        Column("holm", "Holm", spanner="Student's P, corrected"),
        Column("bh", "BH", spanner="Student's P, corrected"),
        Column("shapiro_poor", "Shapiro–Wilk, poor", spanner="Checks, P"),
        Column("shapiro_good", "Shapiro–Wilk, good", spanner="Checks, P"),
        Column("brown_forsythe", "Brown–Forsythe", spanner="Checks, P"),
    ]
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("muscle", "Muscle"), group="group")
    data = pd.DataFrame([_comparison_row(item) for item in comparisons])
    return Exhibit(name, "table", title, summary, data, html=html)


def group_effects_table(
    comparisons: Sequence[GroupComparison], registry: MuscleRegistry, *, name: str = "group_effects"
) -> Exhibit:
    """Say how large the differences are, in the values' unit, in SDs and in words.

    Parameters
    ----------
    comparisons : sequence of GroupComparison
        One for each muscle and parameter.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="group_effects"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle, grouped by parameter.
    """
    rows = [_effect_cells(item, registry) for item in comparisons]
    level = level_label(comparisons)
    title = "Poor against good function: how large is the difference?"
    summary = (
        f"Median and quartiles of each group, and two sizes of the difference with their {level}. Hedges g is poor "
        "minus good in standard deviations, corrected for small samples, with the interval of the noncentral t "
        "distribution: 0.2 is small, 0.8 large. AUC is the probability that of two patients, one drawn from each "
        "group, the one with poor function has the lower value, with DeLong's interval: 0.5 is no difference, and "
        "below 0.5 poor function goes with higher values. The intervals are not corrected for the number of muscles."
    )
    if any(item.auc.method == EXACT_PAIRS for item in comparisons):
        summary += " Where the groups do not overlap, the AUC has an exact interval for independent pairs instead."
    columns = [
        Column("n", "n, poor / good"),
        Column("poor", "Poor function", spanner="Median [IQR]"),
        Column("good", "Good function", spanner="Median [IQR]"),
        Column("g", "Hedges g", spanner="In standard deviations"),
        Column("g_interval", level, spanner="In standard deviations"),
        Column("auc", "AUC", spanner="Probability of the lower value"),
        Column("auc_interval", level, spanner="Probability of the lower value"),
    ]
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("muscle", "Muscle"), group="group")
    data = pd.DataFrame([_comparison_row(item) for item in comparisons])
    return Exhibit(name, "table", title, summary, data, html=html)


def multiplicity_in_words(counts: Multiplicity) -> str:
    """Say how many tests are significant, and how many chance would make so.

    Parameters
    ----------
    counts : Multiplicity
        The counts.

    Returns
    -------
    str
        Two sentences; one where there is no test.
    """
    if not counts.n_tests:
        return "There was no test."
    chance = fixed(counts.n_by_chance, 1)
    alpha = f"{counts.alpha:g}"
    return (
        f"{counts.n_raw} of {counts.n_tests} tests {'has' if counts.n_raw == 1 else 'have'} P < {alpha}, where chance "
        f"alone would give {chance} if the groups differed in nothing. After Holm's correction {counts.n_holm} "
        f"{'stays' if counts.n_holm == 1 else 'stay'} below {alpha}, after Benjamini and Hochberg's {counts.n_bh}."
    )


def _methods_in_words(methods: Collection[str]) -> str:
    if len(methods) > 1:
        return "(exact where it says so, else by its normal approximation, corrected for ties and continuity)"
    if EXACT in methods:
        return "(exact)"
    return "(by its normal approximation, corrected for ties and continuity)"


def _row_title(item: GroupComparison, registry: MuscleRegistry) -> dict[str, str]:
    muscle, parameter = split_feature(item.feature)
    n = f"{item.poor.n} / {item.good.n}"
    return {"group": PARAMETERS[parameter].label, "muscle": registry.title(muscle), "n": n}


def _tests_cells(item: GroupComparison, registry: MuscleRegistry, *, name_method: bool) -> dict[str, str]:
    ranks = item.mann_whitney
    exact = " (exact)" if name_method and ranks.method == EXACT else ""
    return {
        **_row_title(item, registry),
        "missing": f"{item.poor.n_missing} / {item.good.n_missing}",
        "student": p_value(item.p),
        "welch": p_value(item.welch.p),
        "mann_whitney": p_value(ranks.p) + exact,
        "holm": p_value(item.p_holm),
        "bh": p_value(item.p_bh),
        "shapiro_poor": p_value(item.shapiro_poor.p),
        "shapiro_good": p_value(item.shapiro_good.p),
        "brown_forsythe": p_value(item.brown_forsythe.p),
    }


def _effect_cells(item: GroupComparison, registry: MuscleRegistry) -> dict[str, str]:
    printed = PARAMETERS[split_feature(item.feature)[1]]
    return {
        **_row_title(item, registry),
        "poor": median_iqr(item.poor, printed.digits, scale=printed.scale),
        "good": median_iqr(item.good, printed.digits, scale=printed.scale),
        "g": estimate_cell(item.hedges_g, 2),
        "g_interval": interval(item.g_interval, 2),
        "auc": estimate_cell(item.auc.value, 2),
        "auc_interval": interval(item.auc.interval, 2),
    }


def _comparison_columns(comparisons: Sequence[GroupComparison], *, with_published: bool) -> list[Column]:
    sizes = {(item.poor.n, item.good.n) for item in comparisons}
    counts = [f" (n = {n})" for n in next(iter(sizes))] if len(sizes) == 1 else ["", ""]
    columns = [] if len(sizes) == 1 else [Column("n", "n, poor / good")]
    for group, title, size in zip(("poor", "good"), ("Poor function", "Good function"), counts, strict=True):
        columns.append(Column(group, "Found" if with_published else f"{title}{size}", spanner=""))
        if with_published:
            columns[-1] = replace(columns[-1], spanner=f"{title}{size}")
            columns.append(Column(f"published_{group}", "Published", spanner=f"{title}{size}"))
    return [
        *columns,
        Column("difference", "Poor − good", spanner="Difference"),
        Column("interval", level_label(comparisons), spanner="Difference"),
        Column("g", "Hedges g", spanner="Difference"),
        Column("p", "P"),
        Column("p_holm", "P (Holm)"),
    ]


def _comparison_row(item: GroupComparison) -> dict[str, object]:
    return {
        "feature": item.feature,
        **summary_cells("poor", item.poor),
        **summary_cells("good", item.good),
        "difference": item.difference,
        **bounds_of(item.interval),
        "t": item.t,
        "df": item.df,
        "p": item.p,
        "p_holm": item.p_holm,
        "p_bh": item.p_bh,
        "t_welch": item.welch.t,
        "df_welch": item.welch.df,
        "p_welch": item.welch.p,
        "low_welch": item.welch.interval.low,
        "high_welch": item.welch.interval.high,
        "u": item.mann_whitney.u,
        "p_mann_whitney": item.mann_whitney.p,
        "mann_whitney_method": item.mann_whitney.method,
        "w_shapiro_poor": item.shapiro_poor.w,
        "p_shapiro_poor": item.shapiro_poor.p,
        "w_shapiro_good": item.shapiro_good.w,
        "p_shapiro_good": item.shapiro_good.p,
        "f_brown_forsythe": item.brown_forsythe.f,
        "p_brown_forsythe": item.brown_forsythe.p,
        "hedges_g": item.hedges_g,
        "low_g": item.g_interval.low,
        "high_g": item.g_interval.high,
        "auc": item.auc.value,
        "auc_method": item.auc.method,
        "low_auc": item.auc.interval.low,
        "high_auc": item.auc.interval.high,
    }
