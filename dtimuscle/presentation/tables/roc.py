"""Tables of ROC curves."""

from collections.abc import Mapping, Sequence
from math import isnan, nan

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import (
    PARAMETERS,
    count,
    feature_title,
    fixed,
    interval,
    p_value,
)
from dtimuscle.presentation.tables.cells import (
    NO_ESTIMATE,
    bounds_of,
    estimate_cell,
    estimate_with_interval,
    level_label,
    named_bounds,
)
from dtimuscle.statistics.auc import EXACT_PAIRS
from dtimuscle.statistics.cut_offs import CLOSEST, FIXED_SENSITIVITY, FIXED_SPECIFICITY, YOUDEN, CutOff
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.roc import AucComparison, RocCurve

_SHARES = {"sensitivity": "Sensitivity, %", "specificity": "Specificity, %", "ppv": "PPV, %", "npv": "NPV, %"}
_RATIOS = {"lr_positive": "LR+", "lr_negative": "LR−"}
_RULES = {
    YOUDEN: "Youden",
    CLOSEST: "Closest to the corner",
    FIXED_SENSITIVITY: "Sensitivity at least {:g}%",
    FIXED_SPECIFICITY: "Specificity at least {:g}%",
}
_APPARENT = "Models were fitted to the same patients that they are tried on, which flatters them."


def auc_table(
    curves: Sequence[RocCurve],
    registry: MuscleRegistry,
    *,
    published: Mapping[str, str] | None = None,
    title: str = "How well the values tell poor from good function",
    name: str = "auc",
) -> Exhibit:
    """List areas under ROC curves with their intervals by three methods.

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
        auc, words = curve.auc, feature_title(curve.name, registry)
        rows.append(
            {
                "name": words,
                "n": f"{auc.n_events} / {auc.n_controls}",
                "auc": fixed(auc.value, 3),
                "published": published.get(curve.name, ""),
                "delong": _bounds(auc.interval, 3),
                "logit": _bounds(curve.auc_logit.interval, 3) + _mark(curve),
                "bootstrap": _bounds(curve.bootstrap.auc.interval, 3) if curve.bootstrap else "",
            }
        )
        data.append(_auc_row(curve) | {"published": published.get(curve.name, "")})
        if curve.name in published:
            found = f"{fixed(auc.value, 3)} ({interval(auc.interval, 3)})"
            beside.append(Beside(f"AUC of {words}", published[curve.name], found))
    level = level_label([curve.auc for curve in curves])
    columns = [Column("n", "n, poor / good"), Column("auc", "AUC")]
    if published:
        columns.append(Column("published", "Published"))
    columns += [Column("delong", "DeLong", spanner=level), Column("logit", "Logit DeLong", spanner=level)]
    if any(curve.bootstrap for curve in curves):
        columns.append(Column("bootstrap", "Bootstrap", spanner=level))
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("name", "Predictor"))
    summary = _auc_summary(curves, registry, level)
    return Exhibit(name, "table", title, summary, pd.DataFrame(data), html=html, beside=tuple(beside))


def auc_comparison_table(
    comparisons: Sequence[AucComparison],
    registry: MuscleRegistry,
    *,
    published: Mapping[str, str] | None = None,
    title: str = "Areas under the curves against each other",
    name: str = "auc_comparison",
) -> Exhibit:
    """List the tests of one AUC against another.

    Parameters
    ----------
    comparisons : sequence of AucComparison
        Pairs of features or models.
    registry : MuscleRegistry
        Printed names of muscles.
    published : mapping of str to str, optional
        What was published about a difference, as printed, by the name of the comparison (`fa+md - fa`).
    title : str, default="Areas under the curves against each other"
        Heading.
    name : str, default="auc_comparison"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per pair.
    """
    published = published or {}
    rows, data, beside = [], [], []
    for item in comparisons:
        pair = f"{feature_title(item.first, registry)} − {feature_title(item.second, registry)}"
        boot = item.bootstrap
        rows.append(
            {
                "pair": pair,
                "n": count(item.n),
                "difference": fixed(item.difference, 3),
                "published": published.get(item.name, ""),
                "interval": _bounds(item.interval, 3),
                "statistic": _statistic(item),
                "p": NO_ESTIMATE if isnan(item.p) else p_value(item.p),
                "boot_interval": _bounds(boot.interval, 3) if boot else "",
                "boot_p": "" if boot is None else NO_ESTIMATE if isnan(boot.p) else p_value(boot.p),
            }
        )
        data.append(_comparison_row(item) | {"published": published.get(item.name, "")})
        if item.name in published:
            found = f"{fixed(item.difference, 3)}, P {p_value(item.p)}"
            beside.append(Beside(f"AUC, {pair}", published[item.name], found))
    level = level_label(comparisons)
    is_paired = all(item.is_paired for item in comparisons)
    columns = [Column("n", "n"), Column("difference", "Difference")]
    if published:
        columns.append(Column("published", "Published"))
    columns += [
        Column("interval", level, spanner="DeLong"),
        Column("statistic", "z" if is_paired else "z, or t (df)", spanner="DeLong"),
        Column("p", "P", spanner="DeLong"),
    ]
    if any(item.bootstrap for item in comparisons):
        columns += [Column("boot_interval", level, spanner="Bootstrap"), Column("boot_p", "P", spanner="Bootstrap")]
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("pair", "Pair"))
    summary = _comparison_summary(comparisons, is_paired=is_paired)
    return Exhibit(name, "table", title, summary, pd.DataFrame(data), html=html, beside=tuple(beside))


def cut_off_table(
    curves: Sequence[RocCurve],
    registry: MuscleRegistry,
    *,
    title: str = "Cut-offs, and what a test with them would be worth",
    name: str = "cut_offs",
) -> Exhibit:
    """List the cut-offs of ROC curves with everything that describes a test.

    Parameters
    ----------
    curves : sequence of RocCurve
        Features or models.
    registry : MuscleRegistry
        Printed names of muscles.
    title : str, default="Cut-offs, and what a test with them would be worth"
        Heading.
    name : str, default="cut_offs"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per rule, grouped by predictor.
    """
    rows, data = [], []
    for curve in curves:
        for cut in curve.cut_offs:
            rule = _RULES[cut.rule].format(100 * cut.target)
            shares = {
                key: estimate_with_interval(100 * getattr(cut, key), getattr(cut, f"{key}_interval"), 0, scale=100)
                for key in _SHARES
            }
            ratios = {
                key: estimate_with_interval(getattr(cut, key), getattr(cut, f"{key}_interval"), 2) for key in _RATIOS
            }
            counts = f"{cut.true_positives} / {cut.false_negatives} / {cut.false_positives} / {cut.true_negatives}"
            rows.append(
                {
                    "group": _heading(curve, registry),
                    "rule": rule,
                    "cut_off": _threshold(curve, cut),
                    "counts": counts if cut.is_defined else NO_ESTIMATE,
                    **shares,
                    **ratios,
                }
            )
            data.append(_cut_off_row(curve, cut))
    columns = [Column("cut_off", "Poor if"), *(Column(key, label) for key, label in (_SHARES | _RATIOS).items())]
    columns.append(Column("counts", "TP / FN / FP / TN"))
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("rule", "Rule"), group="group")
    return Exhibit(name, "table", title, _cut_off_summary(curves), pd.DataFrame(data), html=html)


def partial_auc_table(
    curves: Sequence[RocCurve],
    registry: MuscleRegistry,
    *,
    title: str = "Area at high specificity, and the smooth curve",
    name: str = "partial_auc",
) -> Exhibit:
    """List partial areas and binormal curves.

    Parameters
    ----------
    curves : sequence of RocCurve
        Features or models.
    registry : MuscleRegistry
        Printed names of muscles.
    title : str, default="Area at high specificity, and the smooth curve"
        Heading.
    name : str, default="partial_auc"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per curve.
    """
    rows, data = [], []
    for curve in curves:
        part, smooth, boot = curve.partial, curve.binormal, curve.bootstrap
        has_standard = boot is not None and not isnan(part.standardised)
        rows.append(
            {
                "name": feature_title(curve.name, registry),
                "partial": fixed(part.value, 3),
                "partial_interval": _bounds(boot.partial, 3) if boot else "",
                "standardised": estimate_cell(part.standardised, 3),
                "standardised_interval": _bounds(boot.standardised, 3) if boot and has_standard else "",
                "a": estimate_cell(smooth.a, 2),
                "b": estimate_cell(smooth.b, 2),
                "smooth_auc": estimate_cell(smooth.auc, 3),
            }
        )
        data.append(_partial_row(curve, has_standard=has_standard))
    level = level_label([curve.auc for curve in curves])
    has_bootstrap = any(curve.bootstrap for curve in curves)
    columns = []
    for key, spanner in (("partial", "Partial area"), ("standardised", "Standardised")):
        columns.append(Column(key, "Found", spanner=spanner))
        if has_bootstrap:
            columns.append(Column(f"{key}_interval", level, spanner=spanner))
    columns += [Column(key, key, spanner="Binormal curve") for key in ("a", "b")]
    columns.append(Column("smooth_auc", "AUC", spanner="Binormal curve"))
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("name", "Predictor"))
    return Exhibit(name, "table", title, _partial_summary(curves), pd.DataFrame(data), html=html)


# ---- words ----


def _auc_summary(curves: Sequence[RocCurve], registry: MuscleRegistry, level: str) -> str:
    resampled = _resampled(
        curves, ", and from {n} bootstrap samples drawn within the groups (seed {seed}; percentiles)", ""
    )
    words = [
        _groups_of(curves),
        "The AUC is the chance that of two patients the one with poor function has the worse value; 0.5 is guessing, "
        f"1 is perfect. {level} after DeLong (the one that is held against published intervals), on the logit scale, "
        f"which keeps its promise better near 1{resampled}.",
    ]
    if any(curve.auc_logit.method == EXACT_PAIRS for curve in curves):
        words.append(
            "An AUC of 0 or 1 leaves DeLong and the bootstrap without any spread to judge by; the interval marked "
            "“pairs” is exact and rests on independent pairs of patients."
        )
    if any(not curve.higher_is_poor for curve in curves):
        words.append("A lower value stands for poor function, as published.")
    words.append(below_chance_in_words(curves, registry))
    if any(curve.is_apparent for curve in curves):
        words.append(f"{_APPARENT} No interval here allows for that.")
    return " ".join(filter(None, words))


def below_chance_in_words(curves: Sequence[RocCurve], registry: MuscleRegistry) -> str:
    """Explain areas below 0.5; empty where there are none.

    Parameters
    ----------
    curves : sequence of RocCurve
        Features or models.
    registry : MuscleRegistry
        Printed names of muscles.
    """
    names = [feature_title(curve.name, registry) for curve in curves if curve.auc.value < 0.5]
    if not names:
        return ""
    listed, verb = "; ".join(names), "lies" if len(names) == 1 else "each lies"
    return (
        f"The AUC of {listed} {verb} below 0.5: in these patients the value points the other way than assumed. The "
        "direction was not turned round, since one that is chosen by the result makes any value look better than "
        "chance."
    )


def _comparison_summary(comparisons: Sequence[AucComparison], *, is_paired: bool) -> str:
    where = "in the same patients, tested after DeLong (paired)"
    if not is_paired:
        where = "of separate patients, tested after DeLong with Welch's degrees of freedom"
    words = [
        f"Difference of two AUCs {where}. A positive difference says that the first of the pair tells the groups apart "
        "better; an interval that holds 0 leaves it open which does."
    ]
    boots = [item.bootstrap for item in comparisons if item.bootstrap]
    if boots:
        words.append(
            f"Beside it the same from {count(boots[0].n_bootstrap)} bootstrap samples (seed {boots[0].seed}): "
            "percentiles, and the difference over its standard deviation."
        )
    n_missing = sum(item.n_missing for item in comparisons)
    if n_missing:
        words.append("Patients who lack one of the two values are left out of the pair.")
    if len(comparisons) > 1:
        words.append(f"P values are not corrected for the {len(comparisons)} comparisons.")
    if any(set(item.second.split("+")) < set(item.first.split("+")) for item in comparisons):
        words.append(
            "A model that contains the other and was fitted to these patients hardly ever has the lower AUC, and "
            "neither P allows for that (Demler 2012): read the cross-validated AUCs, and the likelihood-ratio tests "
            "of the models."
        )
    return " ".join(words)


def _cut_off_summary(curves: Sequence[RocCurve]) -> str:
    level = level_label([curve.auc for curve in curves])
    words = [
        _groups_of(curves),
        "Youden's cut-off has the highest sum of sensitivity and specificity; the second one lies closest to the "
        "corner where both are 100%; the others give the highest specificity for a sensitivity that must be reached, "
        f"and the other way round. In brackets the {level}: exact (Clopper–Pearson) for percentages, on the log scale "
        "for likelihood ratios. Predictive values (PPV, NPV) hold where poor function is as frequent as here. LR+ and "
        "LR− say by what the odds of poor function are multiplied in those called poor and in those called good. "
        "TP, FN, FP and TN count the patients: true and false, called poor (P) or good (N). A cut-off that was chosen "
        "in the patients in whom it is tried looks better than it is.",
    ]
    if any(isnan(cut.lr_positive) or not cut.lr_positive for curve in curves for cut in curve.cut_offs):
        words.append(f"“{NO_ESTIMATE}”: no such cut-off, or a ratio that would divide by nobody.")
    if any(curve.is_apparent for curve in curves):
        words.append(_APPARENT)
    return " ".join(words)


def _partial_summary(curves: Sequence[RocCurve]) -> str:
    shares = sorted({curve.partial.min_specificity for curve in curves})
    low = shares[0] if shares else 0.8
    words = [
        _groups_of(curves),
        f"The partial area counts only the part of the curve with a specificity of {100 * low:g}% and more, where a "
        f"test must work if few are to be called poor wrongly; at most {fixed(1 - low, 2)}. Standardised (McClish), "
        "0.5 is chance and 1 perfect." + _resampled(curves, " Intervals from {n} bootstrap samples (seed {seed}).", ""),
        "The binormal curve is a straight line through the points on the normal scale, as R's pROC draws it: a is the "
        "distance of the groups in SDs of the one with poor function, b the SD of good over that of poor function, "
        "after a transformation that makes both normal.",
    ]
    if any(isnan(curve.partial.standardised) for curve in curves):
        words.append("An area below that of chance is not standardised.")
    if any(curve.is_apparent for curve in curves):
        words.append(_APPARENT)
    return " ".join(words)


def _resampled(curves: Sequence[RocCurve], words: str, otherwise: str) -> str:
    boots = [curve.bootstrap for curve in curves if curve.bootstrap]
    return words.format(n=count(boots[0].n_bootstrap), seed=boots[0].seed) if boots else otherwise


def _groups_of(curves: Sequence[RocCurve]) -> str:
    sizes = {(curve.auc.n_events, curve.auc.n_controls) for curve in curves}
    if len(sizes) != 1:
        return "Each predictor in the patients who have it."
    n_events, n_controls = next(iter(sizes))
    return f"{n_events} patients with poor function against {n_controls} with good function."


# ---- cells ----


def _bounds(bounds: Interval, digits: int, *, scale: float = 1.0) -> str:
    return interval(bounds, digits, scale=scale) if bounds.is_defined else NO_ESTIMATE


def _mark(curve: RocCurve) -> str:
    return " (pairs)" if curve.auc_logit.method == EXACT_PAIRS else ""


def _statistic(item: AucComparison) -> str:
    if isnan(item.z):
        return NO_ESTIMATE
    return fixed(item.z, 2) if item.is_paired else f"{fixed(item.z, 2)} ({fixed(item.df, 1)})"


def _heading(curve: RocCurve, registry: MuscleRegistry) -> str:
    parameter = split_feature(curve.name)[1]
    unit = PARAMETERS[parameter].unit if parameter else ""
    return feature_title(curve.name, registry) + (f", {unit}" if unit else "")


def _threshold(curve: RocCurve, cut: CutOff) -> str:
    if not cut.is_defined:
        return NO_ESTIMATE
    sign = "≥" if curve.higher_is_poor else "≤"
    parameter = split_feature(curve.name)[1]
    if not parameter:
        return f"{sign} {fixed(cut.threshold, 2)}"
    printed = PARAMETERS[parameter]
    return f"{sign} {fixed(cut.threshold * printed.scale, printed.digits)}"


# ---- data ----


def _auc_row(curve: RocCurve) -> dict[str, object]:
    boot = curve.bootstrap
    resampled = named_bounds("bootstrap", boot.auc.interval) if boot else {}
    return {
        "name": curve.name,
        "auc": curve.auc.value,
        **bounds_of(curve.auc.interval),
        "method": curve.auc.method,
        **named_bounds("logit", curve.auc_logit.interval),
        "logit_method": curve.auc_logit.method,
        **resampled,
        **({"n_bootstrap": boot.n_bootstrap, "seed": boot.seed} if boot else {}),
        "n_poor": curve.auc.n_events,
        "n_good": curve.auc.n_controls,
        "n_missing": curve.n_missing,
        "higher_is_poor": curve.higher_is_poor,
        "is_apparent": curve.is_apparent,
    }


def _comparison_row(item: AucComparison) -> dict[str, object]:
    boot = item.bootstrap
    resampled = {"bootstrap_z": boot.z, "bootstrap_p": boot.p, "n_bootstrap": boot.n_bootstrap} if boot else {}
    return {
        "first": item.first,
        "second": item.second,
        "auc_first": item.aucs[0],
        "auc_second": item.aucs[1],
        "difference": item.difference,
        **bounds_of(item.interval),
        "z": item.z,
        "df": nan if item.is_paired else item.df,
        "p": item.p,
        "method": item.method,
        "n": item.n,
        "n_missing": item.n_missing,
        **(named_bounds("bootstrap", boot.interval) if boot else {}),
        **resampled,
    }


def _cut_off_row(curve: RocCurve, cut: CutOff) -> dict[str, object]:
    measures: dict[str, object] = {}
    for key in (*_SHARES, *_RATIOS):
        measures |= {key: getattr(cut, key), **named_bounds(key, getattr(cut, f"{key}_interval"))}
    return {
        "name": curve.name,
        "rule": cut.rule,
        "target": cut.target,
        "higher_is_poor": curve.higher_is_poor,
        "threshold": cut.threshold,
        "true_positives": cut.true_positives,
        "false_negatives": cut.false_negatives,
        "false_positives": cut.false_positives,
        "true_negatives": cut.true_negatives,
        **measures,
        "level": cut.sensitivity_interval.level,
    }


def _partial_row(curve: RocCurve, *, has_standard: bool) -> dict[str, object]:
    boot, smooth = curve.bootstrap, curve.binormal
    unknown = Interval(nan, nan, curve.auc.interval.level)
    return {
        "name": curve.name,
        "min_specificity": curve.partial.min_specificity,
        "partial_auc": curve.partial.value,
        **named_bounds("partial_auc", boot.partial if boot else unknown),
        "standardised": curve.partial.standardised,
        **named_bounds("standardised", boot.standardised if boot and has_standard else unknown),
        "binormal_a": smooth.a,
        "binormal_b": smooth.b,
        "binormal_auc": smooth.auc,
        "n_points": smooth.n_points,
    }
