"""Tables of how well muscle values repeat between sessions or readers."""

from collections.abc import Sequence
from math import isnan

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
    mean_sd,
    p_value,
)
from dtimuscle.presentation.tables.cells import estimate_with_interval, named_bounds
from dtimuscle.statistics.bland_altman import BlandAltman
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.reliability import Reliability


def reliability_table(
    results: Sequence[Reliability],
    registry: MuscleRegistry,
    *,
    title: str = "How well the values repeat",
    name: str = "reliability",
) -> Exhibit:
    """List intraclass correlations, errors within participants and smallest detectable changes.

    Parameters
    ----------
    results : sequence of Reliability
        One for each feature.
    registry : MuscleRegistry
        Printed names of muscles.
    title : str, default="How well the values repeat"
        Heading.
    name : str, default="reliability"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per feature, grouped by parameter.
    """
    rows, data = [], []
    for item in results:
        digits, scale, group = _printed(item.feature)
        rows.append(
            {
                "group": group,
                "feature": registry.title(split_feature(item.feature)[0]),
                "n": count(item.n),
                "n_missing": count(item.n_missing),
                "agreement": estimate_with_interval(item.agreement.value, item.agreement.interval, 3),
                "grade": item.agreement.grade or NOTHING,
                "consistency": estimate_with_interval(item.consistency.value, item.consistency.interval, 3),
                "within_sd": fixed(item.within_sd * scale, digits),
                "within_cv": fixed(100 * item.within_cv, 1),
                "repeatability": fixed(item.repeatability * scale, digits),
                "sem": fixed(item.sem * scale, digits),
                "sdc": fixed(item.sdc * scale, digits),
            }
        )
        data.append(_reliability_row(item))
    level = f"{100 * results[0].agreement.interval.level:g}% CI" if results else "95% CI"
    columns = [Column("n", "n")]
    if any(item.n_missing for item in results):
        columns.append(Column("n_missing", "Left out"))
    columns += [
        Column("agreement", f"ICC(2,1) ({level})", spanner="A shift between occasions counts as error"),
        Column("grade", "In words", align="left", spanner="A shift between occasions counts as error"),
        Column("within_sd", "SD", spanner="A shift between occasions counts as error"),
        Column("within_cv", "CV, %", spanner="A shift between occasions counts as error"),
        Column("repeatability", "RC", spanner="A shift between occasions counts as error"),
        Column("consistency", f"ICC(3,1) ({level})", spanner="A shift does not count"),
        Column("sem", "SEM", spanner="A shift does not count"),
        Column("sdc", "SDC", spanner="A shift does not count"),
    ]
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("feature", "Muscle"), group="group")
    return Exhibit(name, "table", title, _summary(results, registry), pd.DataFrame(data), html=html)


def bland_altman_table(
    comparisons: Sequence[BlandAltman],
    registry: MuscleRegistry,
    *,
    title: str = "Differences between the occasions",
    name: str = "agreement",
) -> Exhibit:
    """List bias and limits of agreement.

    Parameters
    ----------
    comparisons : sequence of BlandAltman
        Of two occasions each.
    registry : MuscleRegistry
        Printed names of muscles.
    title : str, default="Differences between the occasions"
        Heading.
    name : str, default="agreement"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per feature and pair of occasions, grouped by parameter.
    """
    rows, data = [], []
    for item in comparisons:
        digits, scale, group = _printed(item.feature)
        bounds = {
            "bias": (item.bias, item.bias_interval),
            "lower": (item.lower, item.lower_interval),
            "upper": (item.upper, item.upper_interval),
        }
        rows.append(
            {
                "group": group,
                "feature": registry.title(split_feature(item.feature)[0]),
                "pair": difference_words(item),
                "n": count(item.n),
                "p": p_value(item.p),
                "slope_p": p_value(item.slope_p),
                "spread_p": p_value(item.spread_p),
                "outside": ", ".join(item.outside),
                **{key: fixed(value * scale, digits) for key, (value, _) in bounds.items()},
                **{f"{key}_ci": interval(ends, digits, scale=scale) for key, (_, ends) in bounds.items()},
            }
        )
        data.append(_difference_row(item))
    pairs = list(dict.fromkeys(difference_words(item) for item in comparisons))
    level = f"{100 * comparisons[0].bias_interval.level:g}% CI" if comparisons else "95% CI"
    columns = [Column("pair", "Difference", align="left")] if len(pairs) > 1 else []
    columns += [Column("n", "n"), Column("bias", "Mean", spanner="Bias"), Column("bias_ci", level, spanner="Bias")]
    columns += [Column("p", "P", spanner="Bias")]
    for key, words in (("lower", "Lower limit of agreement"), ("upper", "Upper limit of agreement")):
        columns += [Column(key, "Limit", spanner=words), Column(f"{key}_ci", level, spanner=words)]
    columns += [Column("slope_p", "Of the bias", spanner="P that it goes with the value")]
    columns += [Column("spread_p", "Of the spread", spanner="P that it goes with the value")]
    if any(item.outside for item in comparisons):
        columns.append(Column("outside", "Outside the limits", align="left"))
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("feature", "Muscle"), group="group")
    differences = f"Differences are {pairs[0]}. " if len(pairs) == 1 else ""
    n_shifted = sum(item.p < 1 - item.bias_interval.level for item in comparisons)
    summary = (
        f"{differences}Bias is their mean, its P that of the paired t test ({n_shifted} of {len(comparisons)} below "
        f"{_alpha(comparisons):g}). The limits of agreement, bias ± 1.96 SD, hold about 95% of differences, if these "
        "are normal; their intervals are exact. The last two P say whether large values differ otherwise than small "
        "ones (bias) and repeat worse or better (spread), so that one pair of limits does not fit all; limits as "
        "ratios stand in the table's data."
    )
    return Exhibit(name, "table", title, summary, pd.DataFrame(data), html=html)


def overlap_table(
    overlap: pd.DataFrame,
    registry: MuscleRegistry,
    *,
    n_scans: int,
    side: str = "both",
    title: str = "How much the readers' labels share",
    name: str = "overlap",
) -> Exhibit:
    """List how far two readers' labels of each muscle agree.

    Parameters
    ----------
    overlap : DataFrame
        One row per scan, muscle and side: `participant_id`, `session`, `muscle`, `side`, `dice`, `volume_first_ml` and
        `volume_second_ml`; no Dice where one reader has not drawn the muscle.
    registry : MuscleRegistry
        Printed names of muscles.
    n_scans : int
        Scans that the first reader has labelled.
    side : {"both", "left", "right"}, default="both"
        Side that is shown.
    title : str, default="How much the readers' labels share"
        Heading.
    name : str, default="overlap"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle; the data are the rows of all scans and sides.
    """
    rows = []
    for muscle, found in overlap[overlap["side"] == side].groupby("muscle", sort=False):
        both = found.dropna(subset="dice")
        percent = 200 * (both["volume_second_ml"] - both["volume_first_ml"])
        percent /= both["volume_second_ml"] + both["volume_first_ml"]
        lowest = both.sort_values("dice", kind="stable").head(1)
        rows.append(
            {
                "muscle": registry.title(str(muscle)),
                "n": count(len(both)),
                "n_once": count(len(found) - len(both)),
                "dice": mean_sd(both["dice"].mean(), both["dice"].std(), 3),
                "lowest": fixed(both["dice"].min(), 3),
                "who": ", ".join(_scan_names(lowest)) or NOTHING,
                "volume": mean_sd(percent.mean(), percent.std(), 1),
            }
        )
    columns = [Column("n", "n")]
    if overlap["dice"].isna().any():
        columns.append(Column("n_once", "Drawn by one only"))
    columns += [
        Column("dice", "Mean ± SD", spanner="Dice"),
        Column("lowest", "Lowest", spanner="Dice"),
        Column("who", "Scan", align="left", spanner="Dice"),
        Column("volume", "Volume, reader 2 − reader 1, %"),
    ]
    n_read = len(overlap[["participant_id", "session"]].drop_duplicates())
    which = {"both": "left and right together", "left": "left side", "right": "right side"}[side]
    summary = (
        f"{n_read} of {n_scans} labelled scans were drawn by both readers; whole labels, rim included, {which}. Dice "
        "is twice the volume that both labels share over the sum of the two: 1 for the same label, 0 for labels that "
        "do not touch. Small and thin muscles have lower values, since more of them is rim. A mean difference of the "
        "volumes far from zero says that one reader draws wider than the other."
    )
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("muscle", "Muscle"))
    return Exhibit(name, "table", title, summary, overlap, html=html)


def _scan_names(rows: pd.DataFrame) -> list[str]:
    scans = zip(rows["participant_id"], rows["session"], strict=True)
    return [f"{who}_{session}" if session else str(who) for who, session in scans]


def difference_words(item: BlandAltman) -> str:
    """Say which occasion was subtracted from which: "ses-02 − ses-01".

    Parameters
    ----------
    item : BlandAltman
        Of two occasions.
    """
    return f"{item.second or '(no name)'} − {item.first or '(no name)'}"


def _printed(feature: str) -> tuple[int, float, str]:
    """Decimals and scale of a difference of values, and the heading of its group."""
    parameter = split_feature(feature)[1]
    if not parameter:
        return 3, 1.0, "Others"
    printed = PARAMETERS[parameter]
    return printed.digits + 1, printed.scale, printed.label


def _summary(results: Sequence[Reliability], registry: MuscleRegistry) -> str:
    if not results:
        return "No feature was measured twice."
    n = sorted({item.n for item in results})
    sizes = str(n[0]) if len(n) == 1 else f"{n[0]} to {n[-1]}"
    occasions = results[0].occasions
    words = [
        f"{sizes} participants, each with a value on all of {len(occasions)} occasions "
        f"({', '.join(name or '(no name)' for name in occasions)})."
    ]
    known = [item for item in results if not isnan(item.agreement.value)]
    if known:
        worst = min(known, key=lambda item: item.agreement.value)
        worst_words = f"{feature_title(worst.feature, registry)} ({fixed(worst.agreement.value, 3)})"
        words.append(f"Least reliable: {worst_words}.")
    words.append(
        "An ICC is the share of the variance that lies between participants: it falls where they are alike, even if "
        "the measurement is good. In words after Koo and Li (2016), from the lower to the upper end of the interval: "
        "poor below 0.5, moderate below 0.75, good below 0.9. SD and CV are those within a participant (root mean "
        "square), SEM the standard error of measurement. A change of one patient must exceed the smallest detectable "
        "change (SDC, 1.96 √2 SEM), or the repeatability coefficient (RC, 1.96 √2 SD) if a shift between occasions "
        "cannot be ruled out, to be more than error."
    )
    return " ".join(words)


def _alpha(comparisons: Sequence[BlandAltman]) -> float:
    return round(1 - comparisons[0].bias_interval.level, 6) if comparisons else 0.05


def _reliability_row(item: Reliability) -> dict[str, object]:
    squares = item.mean_squares
    missing = {f"n_missing_{name}": n for name, n in zip(item.occasions, item.missing, strict=True)}
    return {
        "feature": item.feature,
        "occasions": ", ".join(item.occasions),
        "n": item.n,
        "n_missing": item.n_missing,
        **missing,
        "mean": item.mean,
        "icc_agreement": item.agreement.value,
        **named_bounds("icc_agreement", item.agreement.interval),
        "icc_consistency": item.consistency.value,
        **named_bounds("icc_consistency", item.consistency.interval),
        "level": item.agreement.interval.level,
        "grade": item.agreement.grade,
        "p": item.p,
        "within_sd": item.within_sd,
        **named_bounds("within_sd", item.within_sd_interval),
        "within_cv": item.within_cv,
        "repeatability": item.repeatability,
        "sem": item.sem,
        **named_bounds("sem", item.sem_interval),
        "sdc": item.sdc,
        **named_bounds("sdc", item.sdc_interval),
        "ms_participants": squares.participants,
        "ms_occasions": squares.occasions,
        "ms_error": squares.error,
        "ms_within": squares.within,
    }


def _difference_row(item: BlandAltman) -> dict[str, object]:
    return {
        "feature": item.feature,
        "first": item.first,
        "second": item.second,
        "n": item.n,
        "bias": item.bias,
        **named_bounds("bias", item.bias_interval),
        "p": item.p,
        "sd": item.sd,
        "lower": item.lower,
        **named_bounds("lower", item.lower_interval),
        "upper": item.upper,
        **named_bounds("upper", item.upper_interval),
        "level": item.bias_interval.level,
        "slope": item.slope,
        "slope_p": item.slope_p,
        "spread_p": item.spread_p,
        "ratio": item.ratio,
        "ratio_lower": item.ratio_lower,
        "ratio_upper": item.ratio_upper,
        "outside": ", ".join(item.outside),
    }
