"""Tables for reading: typed results in, exhibits out, with the unrounded numbers behind every cell.

Cells are printed here with a fixed number of decimals and set flush right in figures of equal width, so that
a column stands aligned on its decimal point.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import Protocol

import pandas as pd

from dtimuscle.issues import Issue
from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import (
    AGREEMENT_COLOURS,
    AGREEMENT_MARKS,
    COVARIATE_TITLES,
    NOTHING,
    PARAMETERS,
    SEVERITY_COLOURS,
    count,
    feature_title,
    fixed,
    interval,
    mean_sd,
    p_value,
    tally,
)
from dtimuscle.replication.verdict import Verdict
from dtimuscle.statistics.characteristics import Characteristic, Count
from dtimuscle.statistics.correlation import Correlation
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.groups import GroupComparison, GroupSummary
from dtimuscle.statistics.logistic import Coefficient, EntryModel, LogisticFit
from dtimuscle.statistics.roc import AucComparison, RocCurve


class _HasInterval(Protocol):
    @property
    def interval(self) -> Interval: ...


NO_ESTIMATE = "not estimable"

# Decimals by kind of estimate, where the parameter does not say.
_DIGITS = {"auc": 3, "auc_difference": 3, "correlation": 2}
_LEVELS = {"F": "female", "M": "male"}

# Column, header, decimals, factor from the stored to the printed unit.
_QUALITY = (
    ("snr", "SNR", 1, 1),
    ("n_directions", "Directions", 0, 1),
    ("mean_displacement_mm", "Mean, mm", 2, 1),
    ("max_displacement_mm", "Largest, mm", 2, 1),
    ("max_rotation_deg", "Rotation, °", 2, 1),
    ("fraction_unusable", "Unusable, %", 1, 100),
    ("fraction_non_positive", "Non-positive, %", 1, 100),
    ("n_issues", "Issues", 0, 1),
)
_QUALITY_SPANNERS = dict.fromkeys(("mean_displacement_mm", "max_displacement_mm", "max_rotation_deg"), "Motion") | {
    "fraction_unusable": "Voxels of the fit",
    "fraction_non_positive": "Voxels of the fit",
}


def quality_table(quality: pd.DataFrame, *, title: str = "Quality of the scans", name: str = "quality") -> Exhibit:
    """List the quality of each participant's scan.

    Parameters
    ----------
    quality : DataFrame
        One row per participant: `participant_id` and any of `snr`, `n_directions`, `mean_displacement_mm`,
        `max_displacement_mm`, `max_rotation_deg`, `fraction_unusable`, `fraction_non_positive`, `n_issues`.
        Those without any value, as after a step that was switched off, are left out.
    title : str, default="Quality of the scans"
        Heading.
    name : str, default="quality"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per participant.
    """
    known = [entry for entry in _QUALITY if entry[0] in quality.columns and quality[entry[0]].notna().any()]
    keys = {key for key, _, _, _ in known}
    cells = pd.DataFrame({"participant_id": quality["participant_id"].astype(str)})
    for key, _, digits, scale in known:
        cells[key] = [fixed(value * scale, digits) for value in quality[key].astype(float)]
    columns = [Column(key, label, spanner=_QUALITY_SPANNERS.get(key, "")) for key, label, _, _ in known]
    n = len(quality)
    words = [f"{n} scan{'' if n == 1 else 's'}, one a row."]
    if "snr" in keys:
        snr = quality["snr"].astype(float)
        words.append(
            f"SNR is that of the muscles without diffusion weighting: median {fixed(snr.median(), 1)}, "
            f"from {fixed(snr.min(), 1)} to {fixed(snr.max(), 1)}."
        )
    if keys & {"mean_displacement_mm", "max_displacement_mm"}:
        words.append("Motion is how far the volumes lay from the first, averaged over the foreground.")
    if "fraction_non_positive" in keys:
        words.append("Non-positive voxels have an eigenvalue at or below zero, the work of noise; most lie in fat.")
    html = table_html(name, cells, columns, title=title, row_label=("participant_id", "Participant"))
    return Exhibit(name, "table", title, " ".join(words), quality, html=html)


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
    title = "Muscle values with poor and good function"
    summary = (
        "Each muscle's value in patients with poor and with good function; the difference is poor minus good, with its "
        f"{_level_label(comparisons)}. P is Student's t test, as in the study; P (Holm) is the same corrected for "
        f"the {len(rows)} tests of this table. Hedges g is the difference in standard deviations: 0.2 is small, "
        "0.8 large."
    )
    if published and published_note:
        summary += f" {published_note}"
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("muscle", "Muscle"), group="group")
    return Exhibit(name, "table", title, summary, pd.DataFrame(data), html=html, beside=tuple(beside))


def bias_table(bias: pd.DataFrame, registry: MuscleRegistry, *, name: str = "bias") -> Exhibit:
    """Hold the values found in simulated scans against the truth that they were made from.

    Parameters
    ----------
    bias : DataFrame
        Columns `muscle`, `parameter`, `n`, `truth_mean`, `found_mean`, `bias`, `rmse`, in stored units.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="bias"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle, grouped by parameter.
    """
    rows = []
    for row in bias.to_dict("records"):
        printed = PARAMETERS[str(row["parameter"])]
        digits = printed.digits + 1
        rows.append(
            {
                "group": printed.label,
                "muscle": registry.title(str(row["muscle"])),
                "n": count(row["n"]),
                **{
                    key: fixed(row[key] * printed.scale, digits) for key in ("truth_mean", "found_mean", "bias", "rmse")
                },
                "percent": fixed(100 * row["bias"] / row["truth_mean"], 1) if row["truth_mean"] else "",
            }
        )
    columns = [
        Column("n", "n"),
        Column("truth_mean", "Truth", spanner="Mean"),
        Column("found_mean", "Found", spanner="Mean"),
        Column("bias", "Bias", spanner="Found − truth"),
        Column("percent", "Bias, %", spanner="Found − truth"),
        Column("rmse", "RMSE", spanner="Found − truth"),
    ]
    title = "Error of the measurement, by muscle"
    summary = (
        "Simulated scans come with their truth. Bias is the mean of found minus true value over the n "
        "participants, RMSE the "
        "root of the mean squared difference. A bias far below the differences between the groups cannot explain them."
    )
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("muscle", "Muscle"), group="group")
    return Exhibit(name, "table", title, summary, bias, html=html)


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
            {"feature": c.feature, "method": c.method, "n": c.n, "r": c.r, **_bounds(c.interval), "p": c.p}
            for c in correlations
        ]
    )
    method = correlations[0].method if correlations else "Pearson"
    columns = [Column("n", "n"), Column("r", "r"), Column("interval", _level_label(correlations)), Column("p", "P")]
    title = "Correlation of muscle values with the Lovett grade"
    summary = (
        f"{method}'s r between each value and the grade (0 no contraction, 5 normal strength). A positive r says "
        "that the "
        "value is lower where the muscles are weaker; the study reports positive ones for FA and ADC."
    )
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("muscle", "Muscle"), group="group")
    return Exhibit(name, "table", title, summary, data, html=html)


def univariate_table(fits: Sequence[LogisticFit], registry: MuscleRegistry, *, name: str = "univariate") -> Exhibit:
    """List the logistic regressions with one feature each.

    Parameters
    ----------
    fits : sequence of LogisticFit
        One for each feature.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="univariate"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per feature, grouped by parameter.
    """
    title = "Logistic regression, one feature at a time"
    summary = (
        "The odds ratio says by how much the odds of poor function change when the feature rises by one step; "
        "below 1, higher "
        "values go with good function. Interval and P after Wald."
    )
    return _odds_ratio_table(name, fits, registry, title=title, summary=summary)


def multivariable_table(model: EntryModel, registry: MuscleRegistry, *, name: str = "multivariable") -> Exhibit:
    """List the features of the multivariable logistic regression.

    Parameters
    ----------
    model : EntryModel
        Univariate fits, the features that entered, and their common fit.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="multivariable"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per feature that entered; without rows where none did.
    """
    title = "Multivariable logistic regression"
    fit = model.multivariable
    if fit is None:
        words = f"No feature had a univariate P below {model.entry_p:g}, so that there is no multivariable model."
        return _odds_ratio_table(name, (), registry, title=title, summary=words)
    per_variable = fit.n_events / max(len(fit.coefficients), 1)
    words = (
        f"The {len(fit.coefficients)} features with a univariate P below {model.entry_p:g} together: each odds "
        "ratio is "
        f"adjusted for the others. n = {fit.n} with {fit.n_events} events, {fixed(per_variable, 1)} for each "
        "feature; fewer "
        "than about 10 make a model that fits this sample better than the next."
    )
    if fit.is_separated:
        words += " The features separate the groups completely, so that the odds ratios have no finite estimate."
    return _odds_ratio_table(name, (fit,), registry, title=title, summary=words)


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
        Column("interval", _level_label([curve.auc for curve in curves]), spanner="AUC"),
    ]
    if published:
        columns.append(Column("published", "Published", spanner="AUC"))
    columns += [
        Column("cut_off", "Value", spanner="Cut-off"),
        Column("sensitivity", "%", spanner="Sensitivity"),
        Column("sensitivity_interval", _level_label([curve.auc for curve in curves]), spanner="Sensitivity"),
        Column("specificity", "%", spanner="Specificity"),
        Column("specificity_interval", _level_label([curve.auc for curve in curves]), spanner="Specificity"),
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
                **_bounds(c.interval),
                "z": c.z,
                "p": c.p,
                "method": c.method,
            }
            for c in comparisons
        ]
    )
    columns = [
        Column("difference", "Difference"),
        Column("interval", _level_label(comparisons)),
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


def verdict_table(verdicts: Sequence[Verdict], registry: MuscleRegistry, *, name: str = "verdicts") -> Exhibit:
    """Hold each published claim against what was found.

    Parameters
    ----------
    verdicts : sequence of Verdict
        One for each claim and subject.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="verdicts"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per verdict, grouped by claim.
    """
    beside = verdict_pairs(verdicts, registry)
    rows = [
        {
            "statement": verdict.statement,
            "subject": pair.label,
            "published": pair.published.replace("P < ", "P\u00a0<\u00a0"),
            "found": pair.found,
            "agreement": f"{AGREEMENT_MARKS[verdict.agreement]} {verdict.agreement}".replace(" ", "\u00a0"),
            "reason": verdict.reason,
        }
        for verdict, pair in zip(verdicts, beside, strict=True)
    ]
    columns = [
        Column("published", "Published", align="left"),
        Column("found", "Found", align="left"),
        Column("agreement", "Verdict", align="left"),
        Column("reason", "Why", align="left"),
    ]
    data = pd.DataFrame(
        [
            {
                "claim_id": v.claim_id,
                "subject": v.subject,
                "group": v.group,
                "statement": v.statement,
                "published": v.published,
                "found": v.found.value if v.found else None,
                "p": v.found.p if v.found else None,
                "agreement": v.agreement,
                "reason": v.reason,
            }
            for v in verdicts
        ]
    )
    title = "The published claims under test"
    counts = ", ".join(f"{n} {words}" for _, n, words in tally(verdict.agreement for verdict in verdicts))
    summary = (
        f"Each claim of the study as it was printed, beside what these data show: {counts or 'no claim was tested'}."
    )
    html = table_html(
        name,
        pd.DataFrame(rows),
        columns,
        title=title,
        row_label=("subject", "Claim about"),
        group="statement",
        colours=("agreement", [AGREEMENT_COLOURS[v.agreement] for v in verdicts]),
    )
    return Exhibit(name, "table", title, summary, data, html=html, beside=beside)


def verdict_pairs(verdicts: Sequence[Verdict], registry: MuscleRegistry) -> tuple[Beside, ...]:
    """Print each verdict as a published value beside the found one.

    Parameters
    ----------
    verdicts : sequence of Verdict
        One for each claim and subject.
    registry : MuscleRegistry
        Printed names of muscles.

    Returns
    -------
    tuple of Beside
        In the same order.
    """
    return tuple(
        Beside(verdict_subject(v, registry), v.published, _estimate(v), v.agreement, v.statement) for v in verdicts
    )


def verdict_subject(verdict: Verdict, registry: MuscleRegistry) -> str:
    """Name what a verdict is about: a feature, a model or a pair of models, and its group.

    Parameters
    ----------
    verdict : Verdict
        One verdict.
    registry : MuscleRegistry
        Printed names of muscles.

    Returns
    -------
    str
        "Gracilis, ADC (MD), poor", "FA + ADC − FA" …
    """
    title = " − ".join(feature_title(part, registry) for part in verdict.subject.split(" - "))
    return f"{title}, {verdict.group}" if verdict.group else title


def issues_table(issues: Sequence[Issue], *, name: str = "issues") -> Exhibit:
    """List what degrades the results.

    Parameters
    ----------
    issues : sequence of Issue
        In the order in which they are to stand.
    name : str, default="issues"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per issue.
    """
    data = pd.DataFrame([i.to_dict() for i in issues], columns=["severity", "where", "what", "remedy"])
    columns = [
        Column("severity", "Severity", align="left"),
        Column("what", "What was found", align="left"),
        Column("remedy", "What to do", align="left"),
    ]
    title = "What degrades these results"
    summary = (
        f"{len(issues)} issue{'' if len(issues) == 1 else 's'}. An error means that a result is missing, a warning "
        "that it is "
        "doubtful."
        if issues
        else "Nothing was found that degrades the results."
    )
    html = table_html(
        name,
        data.astype(str),
        columns,
        title=title,
        row_label=("where", "Where"),
        colours=("severity", [SEVERITY_COLOURS[issue.severity] for issue in issues]),
    )
    return Exhibit(name, "table", title, summary, data, html=html)


def _odds_ratio_table(
    name: str, fits: Sequence[LogisticFit], registry: MuscleRegistry, *, title: str, summary: str
) -> Exhibit:
    pairs = [(fit, coefficient) for fit in fits for coefficient in fit.coefficients]
    rows = [
        {
            "group": _step_label(coefficient),
            "feature": registry.title(split_feature(coefficient.name)[0])
            if split_feature(coefficient.name)[1]
            else feature_title(coefficient.name, registry),
            "n": f"{fit.n_events} / {fit.n}",
            "odds_ratio": NO_ESTIMATE if fit.is_separated else fixed(coefficient.odds_ratio, 2),
            "interval": NO_ESTIMATE if fit.is_separated else interval(coefficient.interval, 2),
            "p": NO_ESTIMATE if fit.is_separated else p_value(coefficient.p),
        }
        for fit, coefficient in pairs
    ]
    data = pd.DataFrame(
        [
            {
                "feature": c.name,
                "n": fit.n,
                "n_events": fit.n_events,
                "n_missing": fit.n_missing,
                "estimate": c.estimate,
                "se": c.se,
                "z": c.z,
                "p": c.p,
                "step": c.step,
                "odds_ratio": c.odds_ratio,
                **_bounds(c.interval),
                "is_separated": fit.is_separated,
            }
            for fit, c in pairs
        ]
    )
    columns = [
        Column("n", "Events / n"),
        Column("odds_ratio", "Odds ratio"),
        Column("interval", _level_label([c for _, c in pairs])),
        Column("p", "P"),
    ]
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("feature", "Feature"), group="group")
    return Exhibit(name, "table", title, summary, data, html=html)


def _step_label(coefficient: Coefficient) -> str:
    parameter = split_feature(coefficient.name)[1]
    if not parameter:
        return f"Covariates, odds ratio per {coefficient.step:g}"
    printed = PARAMETERS[parameter]
    return (
        f"{printed.title}, odds ratio per {coefficient.step * printed.scale:g}{printed.unit and ' × ' + printed.unit}"
    )


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
        Column("interval", _level_label(comparisons), spanner="Difference"),
        Column("g", "Hedges g", spanner="Difference"),
        Column("p", "P"),
        Column("p_holm", "P (Holm)"),
    ]


def _summary_row(prefix: str, summary: GroupSummary) -> dict[str, float]:
    keys = ("n", "n_missing", "mean", "sd", "median", "q25", "q75")
    return {f"{prefix}_{key}": getattr(summary, key) for key in keys}


def _comparison_row(item: GroupComparison) -> dict[str, object]:
    return {
        "feature": item.feature,
        **_summary_row("poor", item.poor),
        **_summary_row("good", item.good),
        "difference": item.difference,
        **_bounds(item.interval),
        "t": item.t,
        "df": item.df,
        "p": item.p,
        "p_welch": item.p_welch,
        "p_holm": item.p_holm,
        "hedges_g": item.hedges_g,
    }


def _curve_row(curve: RocCurve) -> dict[str, object]:
    cut = curve.cut_off
    return {
        "name": curve.name,
        "auc": curve.auc.value,
        **_bounds(curve.auc.interval),
        "method": curve.auc.method,
        "n_poor": curve.auc.n_events,
        "n_good": curve.auc.n_controls,
        "higher_is_poor": curve.higher_is_poor,
        "is_apparent": curve.is_apparent,
        "rule": cut.rule,
        "threshold": cut.threshold,
        "sensitivity": cut.sensitivity,
        **{f"sensitivity_{key}": value for key, value in _bounds(cut.sensitivity_interval).items()},
        "specificity": cut.specificity,
        **{f"specificity_{key}": value for key, value in _bounds(cut.specificity_interval).items()},
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


def _estimate(verdict: Verdict) -> str:
    found = verdict.found
    if found is None:
        return NOTHING
    printed = PARAMETERS.get(split_feature(found.subject)[1]) if found.kind in ("mean", "difference") else None
    scale, digits = (printed.scale, printed.digits) if printed else (1.0, _DIGITS.get(found.kind, 2))
    value = mean_sd(found.value, found.sd, digits, scale=scale)
    bounds = f" ({interval(found.interval, digits, scale=scale)})" if found.interval and found.kind != "mean" else ""
    unit = f" × {printed.unit}".replace(" ", "\u00a0") if printed and printed.unit else ""
    sign = "" if p_value(found.p)[0] in "<>" else "= "
    p = (
        ""
        if isnan(found.p)
        else f", P {sign}{p_value(found.p)}".replace("P ", "P\u00a0").replace("< ", "<\u00a0").replace("= ", "=\u00a0")
    )
    return f"{value}{bounds}{unit}{p}"


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
            row |= _summary_row(group, summary)
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


def _bounds(bounds: Interval) -> dict[str, float]:
    return {"low": bounds.low, "high": bounds.high, "level": bounds.level}


def _level_label(results: Sequence[_HasInterval]) -> str:
    level = results[0].interval.level if results else 0.95
    return f"{100 * level:g}% CI"
