"""The page of one participant: whether the scan can be used, what was measured, and how.

A notebook shows the exhibits and says why; the page is made of the two.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import numpy as np
import pandas as pd
from markupsafe import Markup

from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.markup import environment
from dtimuscle.presentation.pages import Link, PageContext, without_active_content
from dtimuscle.presentation.style import (
    AGREEMENT_COLOURS,
    INK,
    MUTED,
    NOTHING,
    PARAMETERS,
    SEVERITY_COLOURS,
    count,
    fixed,
    mean_sd,
)
from dtimuscle.rating import AXES, QUANTITY, Rating, ScanNumbers, Verdict
from dtimuscle.roi_table import PROPAGATED

Grade = Literal["good", "look", "poor", "unknown"]

# A traffic light that is told by mark and word as well.
GRADE_MARKS: dict[str, str] = {"good": "✓", "look": "≈", "poor": "✗", "unknown": "·"}
GRADE_COLOURS: dict[str, str] = {
    "good": AGREEMENT_COLOURS["agrees"],
    "look": AGREEMENT_COLOURS["undecided"],
    "poor": AGREEMENT_COLOURS["disagrees"],
    "unknown": MUTED,
}
# Limits of the grades of SNR, as `dtimuscle.imaging.noise` gives them (Damon 2008).
GREEN_SNR, AMBER_SNR = 50.0, 25.0

_SNR_GRADES: dict[str, Grade] = {"green": "good", "amber": "look", "red": "poor"}
_SNR_WORDS = {"green": "good", "amber": "fair", "red": "low", "unknown": NOTHING}

# How a verdict is shown; any other word is shown as it is.
_VERDICTS: dict[str, tuple[str, Grade]] = {
    "use": ("Use", "good"),
    "look": ("Look before use", "look"),
    "leave out": ("Leave out", "poor"),
}


@dataclass(frozen=True)
class KeyNumber:
    """One number by which a scan is judged.

    Parameters
    ----------
    title : str
        What it is.
    value : str
        The number as printed, with its unit.
    grade : {"good", "look", "poor", "unknown"}
        What it means for the use of the scan.
    word : str
        The grade in a word.
    note : str
        What the number is held against, or what else is to be known.
    """

    title: str
    value: str
    grade: Grade
    word: str
    note: str = ""


@dataclass(frozen=True)
class PageSection:
    """Part of a participant's page.

    Parameters
    ----------
    title : str
        Heading.
    parts : tuple of (str or Exhibit)
        Words (HTML made of Markdown) and exhibits, in reading order.
    """

    title: str
    parts: tuple[str | Exhibit, ...]


def key_numbers(
    numbers: ScanNumbers,
    rating: Rating,
    *,
    series: Mapping[str, Any],
    fit: Mapping[str, Any],
    muscles: pd.DataFrame,
    values: pd.DataFrame,
    issues: Sequence[Issue],
    registry: MuscleRegistry,
) -> tuple[KeyNumber, ...]:
    """Choose the numbers that tell whether a scan can be used.

    Parameters
    ----------
    numbers : ScanNumbers
        What the scan is rated by.
    rating : Rating
        Limits that it is beyond.
    series : mapping
        Fields of `SeriesQuality`.
    fit : mapping
        Fields of `FitQuality`.
    muscles : DataFrame
        Fields of `MuscleQuality`, one row per muscle and side; no rows without labels.
    values : DataFrame
        The participant's ROI rows; no rows without labels.
    issues : sequence of Issue
        What degrades the results.
    registry : MuscleRegistry
        Printed names of muscles.

    Returns
    -------
    tuple of KeyNumber
        Signal, motion, lost slices, muscles, fit, directions, issues.
    """
    return (
        _signal_number(numbers, rating, muscles, registry),
        _motion_number(numbers, rating, series),
        _slices_number(numbers, rating, series),
        _muscles_number(rating, values, registry),
        _fit_number(numbers, rating),
        _directions_number(rating, series, fit),
        _issues_number(issues),
    )


def _graded(rating: Rating, *rules: str) -> Grade:
    """Say what the rules make of a number: the gravest of those that it is beyond."""
    verdicts = {ground.verdict for ground in rating.grounds if ground.rule in rules}
    return "poor" if Verdict.LEAVE_OUT in verdicts else "look" if Verdict.LOOK in verdicts else "good"


def _signal_number(numbers: ScanNumbers, rating: Rating, muscles: pd.DataFrame, registry: MuscleRegistry) -> KeyNumber:
    title = "Signal (SNR)"
    if np.isnan(numbers.snr):
        return KeyNumber(title, NOTHING, "unknown", "not known", "The scan was not denoised.")
    grade = _graded(rating, "snr")
    weak = [] if muscles.empty else muscles[muscles["side"].eq("both") & muscles["grade"].eq("red")]["muscle"].tolist()
    note = f"below {AMBER_SNR:.0f}: {_listed([registry.title(name) for name in weak], most=3)}" if weak else ""
    if numbers.snr < GREEN_SNR and grade == "good":
        return KeyNumber(title, fixed(numbers.snr, 0), "look", "fair", note or f"good from {GREEN_SNR:.0f}")
    word = {"good": "good", "look": "low", "poor": "far too low"}[grade]
    return KeyNumber(title, fixed(numbers.snr, 0), grade, word, note)


def _motion_number(numbers: ScanNumbers, rating: Rating, series: Mapping[str, Any]) -> KeyNumber:
    title = "Motion"
    if np.isnan(numbers.mean_framewise_mm):
        return KeyNumber(title, NOTHING, "unknown", "not known", "Not corrected, or not seen.")
    grade = _graded(rating, "mean_framewise_mm", "max_framewise_mm")
    word = {"good": "little", "look": "much", "poor": "far too much"}[grade]
    largest, turned = fixed(numbers.max_framewise_mm, 1), fixed(series["max_rotation_deg"], 1)
    note = f"between volumes; at most {largest} mm, turned by up to {turned}°"
    return KeyNumber(title, f"{fixed(numbers.mean_framewise_mm, 1)} mm", grade, word, note)


def _slices_number(numbers: ScanNumbers, rating: Rating, series: Mapping[str, Any]) -> KeyNumber:
    title, n_lost = "Lost slices", series["n_lost_slices"]
    if n_lost is None:
        return KeyNumber(title, NOTHING, "unknown", "not known", "Not looked for, or not judged.")
    grade = _graded(rating, "lost_slices")
    word = {"good": "few" if n_lost else "none", "look": "many", "poor": "far too many"}[grade]
    note = f"{fixed(100 * numbers.lost_slices, 1)} % of {count(series['n_volumes'] * series['n_slices'])}"
    return KeyNumber(title, count(n_lost), grade, word, f"{note}{', left out of the fit' if n_lost else ''}")


def _muscles_number(rating: Rating, values: pd.DataFrame, registry: MuscleRegistry) -> KeyNumber:
    title = "Muscles"
    if values.empty:
        return KeyNumber(title, NOTHING, "unknown", "no labels", "Nothing was measured.")
    fa = values[values["route"].eq("voxelwise") & values["parameter"].eq("fa")]
    sides = fa[fa["side"].ne("both")] if fa["side"].ne("both").any() else fa
    absent = sides[sides["mean"].isna()].to_dict("records")
    grade = _graded(rating, "without_values")
    names = [f"{registry.title(str(row['muscle']))} {row['side']}" for row in absent]
    word = "all measured" if grade == "good" and not names else "missing"
    note = f"without values: {_listed(names, most=3)}" if names else "left and right counted"
    if grade != "good" and not names:
        note = "others of the cohort have more"
    return KeyNumber(title, f"{len(sides) - len(names)} of {len(sides)}", grade, word, note)


def _fit_number(numbers: ScanNumbers, rating: Rating) -> KeyNumber:
    title = "Unexplained signal"
    if np.isnan(numbers.residual):
        return KeyNumber(title, NOTHING, "unknown", "not known", "No muscle was measured.")
    grade = _graded(rating, "residual", "impossible")
    word = {"good": "the tensor fits", "look": "fits badly", "poor": "does not fit"}[grade]
    note = f"impossible voxels in muscle: {fixed(100 * numbers.impossible, 1)} %"
    return KeyNumber(title, f"{fixed(100 * numbers.residual, 1)} %", grade, word, note)


def _directions_number(rating: Rating, series: Mapping[str, Any], fit: Mapping[str, Any]) -> KeyNumber:
    words: dict[str, tuple[Grade, str]] = {
        "as given": ("good", "fit the fibres"),
        "undecidable": ("unknown", "cannot be checked"),
        "flipped": (_graded(rating, AXES), "an axis is flipped"),
    }
    grade, word = words.get(str(fit["orientation"]), ("unknown", "not checked"))
    b = " and ".join(fixed(b, 0) for b in series["b_values"] if b)
    return KeyNumber("Directions", count(series["n_directions"]), grade, word, f"b = {b} s/mm²")


def _issues_number(issues: Sequence[Issue]) -> KeyNumber:
    n_errors = sum(issue.severity is Severity.ERROR for issue in issues)
    n_warnings = sum(issue.severity is Severity.WARNING for issue in issues)
    grade: Grade = "poor" if n_errors else "look" if n_warnings else "good"
    parts = [(n_errors, "error"), (n_warnings, "warning"), (len(issues) - n_errors - n_warnings, "note")]
    note = ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in parts if n) or "nothing was noted"
    word = "none" if not issues else "notes only" if grade == "good" else "read them"
    return KeyNumber("Issues", count(len(issues)), grade, word, note)


def summary_board(
    numbers: Sequence[KeyNumber], rating: Rating, issues: Sequence[Issue] = (), *, what: str = ""
) -> Exhibit:
    """Say at one glance whether a scan can be used, and why not.

    Parameters
    ----------
    numbers : sequence of KeyNumber
        The numbers by which it is judged.
    rating : Rating
        The verdict by the study's rules.
    issues : sequence of Issue, default=()
        Errors and warnings among them are named below the numbers.
    what : str, default=""
        Participant, for the summary.

    Returns
    -------
    Exhibit
        The verdict, and one tile for each number.
    """
    heading, grade = _VERDICTS[rating.verdict]
    reasons = "; ".join(rating.reasons)
    tiles = "".join(
        f'<li style="border-top-color:{GRADE_COLOURS[number.grade]}"><span class="what">{escape(number.title)}</span>'
        f'<span class="number">{escape(number.value)}</span><span class="word" style="color:'
        f'{GRADE_COLOURS[number.grade]}">{GRADE_MARKS[number.grade]} {escape(number.word)}</span>'
        f'<span class="note">{escape(number.note)}</span></li>'
        for number in numbers
    )
    why = f'<span class="why">{escape(reasons)}</span>' if reasons else ""
    if rating.not_judged:
        unknown = "; ".join(QUANTITY[name].words for name in rating.not_judged)
        why += f'<span class="why open">Not known, so not judged: {escape(unknown)}</span>'
    weighty = [issue for issue in issues if issue.severity is not Severity.NOTE]
    html = (
        f'<div class="board"><style>{_BOARD_STYLE}</style><p class="verdict" style="border-color:'
        f'{GRADE_COLOURS[grade]}"><b style="color:{GRADE_COLOURS[grade]}">{GRADE_MARKS[grade]} {escape(heading)}</b>'
        f'{why}</p><ul class="numbers">{tiles}</ul>{_issue_list(weighty)}</div>'
    )
    data = pd.DataFrame([vars(number) for number in numbers])
    data = data.assign(verdict=heading, verdict_grade=grade, reasons=reasons)
    summary = f"{what + ': ' if what else ''}{heading}. {reasons}".strip()
    return Exhibit("summary", "table", "Can this scan be used?", summary, data, html=html)


_BOARD_STYLE = (
    ".board .verdict{border-left:5px solid;padding:.35rem 0 .35rem 1rem;margin:0 0 1.3rem;font-size:1.3rem;"
    "line-height:1.35}.board .why{display:block;font-size:1rem;color:" + INK + "}"
    ".board .open{font-size:.93rem;color:" + MUTED + "}"
    ".board .numbers{list-style:none;margin:0 0 1.2rem;padding:0;display:grid;gap:1rem 1.1rem;"
    "grid-template-columns:repeat(auto-fill,minmax(7.2rem,1fr))}"
    ".board .numbers li{border-top:3px solid;padding-top:.45rem;display:flex;flex-direction:column;min-width:0}"
    ".board .what{font-size:.84rem;color:" + MUTED + "}.board .number{font-size:1.55rem;font-weight:600;"
    "line-height:1.25;font-variant-numeric:tabular-nums lining-nums}.board .word{font-size:.93rem;font-weight:600}"
    ".board .listed li{display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:3;overflow:hidden}"
    ".board .note{font-size:.8rem;line-height:1.4;color:" + MUTED + "}"
    ".listed{list-style:none;margin:0;padding:0;font-size:.93rem;max-width:50rem}.listed li{margin:0 0 .5rem}"
    ".listed b{margin-right:.35rem}.listed span{color:" + MUTED + "}"
)


def issues_list(issues: Sequence[Issue], *, what: str = "") -> Exhibit:
    """List everything that degrades a participant's results, gravest first.

    Parameters
    ----------
    issues : sequence of Issue
        Of all steps.
    what : str, default=""
        Participant, for the summary.

    Returns
    -------
    Exhibit
        A list with what to do about each.
    """
    n = len(issues)
    words = f"{n} issue{'' if n == 1 else 's'}." if n else "No step noted anything."
    start = f"{what}: " if what else ""
    data = pd.DataFrame([issue.to_dict() for issue in issues], columns=["severity", "where", "what", "remedy"])
    html = f"<div><style>{_BOARD_STYLE}</style>{_issue_list(issues) or _NONE}</div>"
    return Exhibit("issues", "table", "Issues", f"{start}{words}", data, html=html)


_NONE = f'<p style="margin:0;color:{MUTED}">None.</p>'


def _issue_list(issues: Sequence[Issue]) -> str:
    ordered = sorted(issues, key=lambda issue: -list(Severity).index(issue.severity))
    rows = "".join(
        f'<li><b style="color:{SEVERITY_COLOURS[issue.severity]}">{str(issue.severity).capitalize()}</b>'
        f"{escape(issue.where)}: {escape(issue.what)}"
        f"{f' <span>{escape(issue.remedy)}</span>' if issue.remedy else ''}</li>"
        for issue in ordered
    )
    return f'<ul class="listed">{rows}</ul>' if rows else ""


def values_table(
    values: pd.DataFrame, muscles: pd.DataFrame, registry: MuscleRegistry, *, what: str = "", name: str = "values"
) -> Exhibit:
    """List the values of a participant's muscles, on both routes and sides, with what they rest on.

    Parameters
    ----------
    values : DataFrame
        The participant's ROI rows; no rows without labels.
    muscles : DataFrame
        Fields of `MuscleQuality`, one row per muscle and side.
    registry : MuscleRegistry
        Printed names of muscles.
    what : str, default=""
        Participant, for the summary.
    name : str, default="values"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle and side.
    """
    title = "Muscle values"
    start = f"{what}: " if what else ""
    if values.empty:
        words = f"{start}no values, since there are no muscle labels."
        return Exhibit(name, "table", title, words[0].upper() + words[1:], values, html=_NONE)
    found = {
        (row["muscle"], row["side"], row["parameter"], row["route"]): (row["mean"], row["sd"])
        for row in values.to_dict("records")
    }
    known = {(str(row["muscle"]), str(row["side"])): row for row in muscles.to_dict("records")}
    first = values.drop_duplicates(["muscle", "side"])
    fa, md = PARAMETERS["fa"], PARAMETERS["md"]
    rows, colours = [], []
    for row in first.to_dict("records"):
        muscle, side = str(row["muscle"]), str(row["side"])
        quality = known.get((muscle, side), {})
        (fa_voxels, fa_signal), (md_voxels, md_signal) = (
            [found[muscle, side, parameter, route] for route in ("voxelwise", "mean_signal")]
            for parameter in ("fa", "md")
        )
        grade = str(quality.get("grade", "unknown"))
        colours.append(GRADE_COLOURS[_SNR_GRADES.get(grade, "unknown")])
        rows.append(
            {
                "row": registry.title(muscle) if side == "both" else f"\u2003{side}",
                "voxels": f"{count(row['n_kept'])} of {count(row['n_label'])}",
                "snr": fixed(quality.get("snr"), 0),
                "grade": _SNR_WORDS.get(grade, grade),
                "fa": mean_sd(*fa_voxels, fa.digits),
                "fa_signal": fixed(fa_signal[0], fa.digits),
                "md": mean_sd(*md_voxels, md.digits, scale=md.scale),
                "md_signal": fixed(md_signal[0] * md.scale, md.digits),
            }
        )
    columns = [
        Column("voxels", "Voxels kept"),
        Column("snr", "SNR"),
        Column("grade", "Signal", align="left"),
        Column("fa", "Voxels, mean ± SD", spanner=fa.label),
        Column("fa_signal", "Mean signal", spanner=fa.label),
        Column("md", "Voxels, mean ± SD", spanner=md.label),
        Column("md_signal", "Mean signal", spanner=md.label),
    ]
    summary = (
        f"{start}{'each' if start else 'Each'} muscle, then its sides. Values over voxels are means of the maps within "
        "the eroded label; those of the mean signal are one tensor for the whole muscle, which noise biases far less. "
        "Where the two differ, noise or fat is at work."
    )
    if "labels" in values and (values["labels"] == PROPAGATED).any():
        summary += " The labels were propagated from other participants, not drawn on this scan."
    order = sorted(range(len(rows)), key=lambda k: _place(first, k))
    html = table_html(
        name,
        pd.DataFrame(rows).iloc[order],
        columns,
        title=title,
        row_label=("row", "Muscle"),
        colours=("grade", [colours[k] for k in order]),
    )
    return Exhibit(name, "table", title, summary, values, html=html)


def _place(rows: pd.DataFrame, number: int) -> tuple[int, int]:
    """Put the pooled muscle before its sides, muscles in the order of the table."""
    muscles = list(dict.fromkeys(rows["muscle"]))
    row = rows.iloc[number]
    return muscles.index(row["muscle"]), ("both", "left", "right").index(str(row["side"]))


# Methods

_SOURCES = {
    "Veraart 2016": "Veraart et al., NeuroImage 2016; 142: 394–406",
    "Cordero-Grande 2019": "Cordero-Grande et al., NeuroImage 2019; 200: 391–404",
    "Koay 2006": "Koay and Basser, J Magn Reson 2006; 179: 317–322",
    "Kellner 2016": "Kellner et al., Magn Reson Med 2016; 76: 1574–1581",
    "Andersson 2016": "Andersson and Sotiropoulos, NeuroImage 2016; 125: 1063–1078",
    "Leemans 2009": "Leemans and Jones, Magn Reson Med 2009; 61: 1336–1349",
    "Basser 1994": "Basser et al., J Magn Reson B 1994; 103: 247–254",
    "Chung 2006": "Chung et al., NeuroImage 2006; 33: 531–541",
    "Salvador 2005": "Salvador et al., Hum Brain Mapp 2005; 24: 144–155",
    "Veraart 2013": "Veraart et al., NeuroImage 2013; 81: 335–346",
    "Chang 2005": "Chang et al., Magn Reson Med 2005; 53: 1088–1095",
    "Collier 2015": "Collier et al., Magn Reson Med 2015; 73: 2174–2184",
    "Steidle 2011": "Steidle et al., Magn Reson Med 2011, doi 10.1002/mrm.22699",
    "Le Bihan 1988": "Le Bihan et al., Radiology 1988; 168: 497–505",
    "Damon 2008": "Damon, Magn Reson Med 2008; 60: 934–944",
}

_ESTIMATORS = {
    "ols": "ordinary least squares on the logarithm of the signal (Basser 1994)",
    "wls": "least squares on the logarithm of the signal, weighted by the predicted signal squared (Chung 2006)",
    "iwls": "iteratively weighted least squares on the logarithm of the signal (Salvador 2005, Veraart 2013)",
    "nlls": "non-linear least squares on the signal",
    "restore": "non-linear least squares on the signal without outliers (RESTORE, Chang 2005)",
    "robust": "iteratively reweighted least squares without outliers (Collier 2015)",
}


def methods_text(
    series: Mapping[str, Any],
    fit: Mapping[str, Any],
    about: Mapping[str, Any],
    settings: Mapping[str, Any],
    versions: Mapping[str, str],
    *,
    has_values: bool,
    is_simulated: bool,
) -> Exhibit:
    """Write what was done to a scan, from what the steps say of themselves.

    Parameters
    ----------
    series : mapping
        Fields of `SeriesQuality`.
    fit : mapping
        Fields of `FitQuality`.
    about : mapping
        `steps`: each step of preprocessing that was taken, with what it did.
    settings : mapping
        Settings of preprocessing, tensor and ROI by their own names.
    versions : mapping of str to str
        Programs and their versions, the kit first.
    has_values : bool
        Whether muscles were measured.
    is_simulated : bool
        Whether the scan is simulated.

    Returns
    -------
    Exhibit
        A paragraph ready to be quoted, with its sources; the data are its sentences.
    """
    taken = {str(step["step"]): step for step in about["steps"]}
    sentences = [
        *_scan_sentences(series, is_simulated=is_simulated),
        *_step_sentences(series, taken, settings),
        *_fit_sentences(series, fit, settings),
        *(_muscle_sentences(settings) if has_values else ["No muscles were labelled, so none was measured."]),
        _version_sentence(versions),
    ]
    text = " ".join(sentences)
    used = [source for key, source in _SOURCES.items() if key in text]
    html = (
        f'<div style="max-width:46rem"><p>{escape(text)}</p><p style="font-size:.84rem;color:{MUTED};margin:0">'
        f"{escape('. '.join(used))}.</p></div>"
    )
    summary = "Written from the settings and from what each step of this scan has reported; ready to be quoted."
    return Exhibit("methods", "table", "Methods", summary, pd.DataFrame({"sentence": sentences}), html=html)


def _scan_sentences(series: Mapping[str, Any], *, is_simulated: bool) -> Iterable[str]:
    if is_simulated:
        yield "The scan is simulated; nothing was measured in a person."
    b = " and ".join(fixed(b, 0) for b in series["b_values"] if b)
    yield (
        f"The series has {series['n_volumes']} volumes with {series['n_directions']} independent directions at b = {b} "
        f"s/mm² and voxels of {_size(series)} mm."
    )


def _step_sentences(
    series: Mapping[str, Any], taken: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Any]
) -> Iterable[str]:
    if series["n_lost_slices"] is not None:
        n, n_all = series["n_lost_slices"], series["n_slices"] * series["n_volumes"]
        found = f"{n} of {n_all} {'was' if n == 1 else 'were'} lost" if n else f"none of {n_all} was lost"
        left_out = " and left out of the fit, followed through alignment" if n else ""
        yield f"Slices that had lost signal were looked for in the series as scanned; {found}{left_out}."
    if step := taken.get("denoised"):
        patch = f" in patches of {' × '.join(map(str, step['patch']))} voxels" if step.get("patch") else ""
        who = " with DIPY" if step["engine"] == "dipy" else ""
        source = "Veraart 2016" if step["engine"] == "dipy" else "Veraart 2016, Cordero-Grande 2019"
        noise = f"; the median noise SD is {fixed(step['noise_sd'], 1)}" if step.get("noise_sd") is not None else ""
        yield f"Noise was removed by MP-PCA{who}{patch} ({source}){noise}."
    if step := taken.get("rician"):
        coils = step["n_coils"]
        yield (
            "What the noise floor adds to the magnitude was taken out by inverting its mean "
            f"({coils} coil{'' if coils == 1 else 's'}; Koay 2006)."
        )
    if step := taken.get("unringed"):
        who = " with DIPY" if step["engine"] == "dipy" else ""
        yield f"Gibbs ringing was removed by sub-voxel shifts{who} (Kellner 2016)."
    if step := taken.get("aligned"):
        yield from _motion_sentences(series, step)
    if "averaged" in taken:
        yield (
            "Once aligned, each voxel was averaged with neighbours that differ from it by no more than the noise left "
            "(Buades 2005, Becker 2012)."
        )
    absent = [word for name, word in _SWITCHED.items() if name not in taken]
    if not settings.get("find_outliers", True):
        absent.append("the search for lost slices")
    if absent:
        yield f"Not done: {_listed(absent, most=len(absent))}."


_SWITCHED = {"denoised": "denoising", "unringed": "removal of ringing", "aligned": "motion correction"}


def _motion_sentences(series: Mapping[str, Any], step: Mapping[str, Any]) -> Iterable[str]:
    how = (
        "by DIPY's affine registration with mutual information"
        if step["engine"] == "dipy"
        else "rigidly and for the scaling and shears of eddy currents along phase encoding (Andersson 2016)"
    )
    yield f"Volumes were aligned with the first volume at b = 0 {how}, with one interpolation."
    if series["mean_displacement_mm"] is None:
        yield "No motion was found."
        return
    yield (
        f"They had lain {fixed(series['mean_displacement_mm'], 1)} mm away on average, at most "
        f"{fixed(series['max_displacement_mm'], 1)} mm, and turned by up to {fixed(series['max_rotation_deg'], 1)}°; "
        "b-vectors were turned with them (Leemans 2009)."
    )


def _fit_sentences(series: Mapping[str, Any], fit: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterable[str]:
    estimator = str(fit["estimator"])
    yield f"The tensor was fitted by {_ESTIMATORS.get(estimator, estimator)} in {count(fit['n_voxels'])} voxels."
    if fit["shells"]:
        yield str(fit["shells"])
    fat = settings.get("fat_model", "none")
    if fat == "map":
        yield "Fat was subtracted from the signal by its map and diffusivity (Steidle 2011)."
    elif fat == "diffusion":
        yield "The share of fat was found in each muscle's mean signal by its slow diffusion (Steidle 2011)."
    if settings.get("separate_blood"):
        yield f"Volumes below b = {settings['tissue_b']:g} s/mm², in which blood counts, were left out (Le Bihan 1988)."
    if fit["orientation"]:
        words = _ORIENTATIONS[fit["orientation"]]
        yield f"Held against the course of the fibres, the axes of the b-vectors are {words}."
    if series["snr"] is not None:
        yield f"The signal-to-noise ratio of muscle at b = 0 is {fixed(series['snr'], 0)} (limits: Damon 2008)."


_ORIENTATIONS = {"as given": "right as given", "flipped": "flipped or swapped", "undecidable": "undecidable"}


def _muscle_sentences(settings: Mapping[str, Any]) -> Iterable[str]:
    yield (
        f"Muscle labels were eroded by {settings['erosion_mm']:g} mm; voxels without a usable fit or with more than "
        f"{fixed(100 * settings['max_fat_fraction'], 0)} % fat, where that was mapped, were left out, and muscles with "
        f"fewer than {settings['min_voxels']} voxels have no value. Each was measured twice: as the mean over its "
        "voxels, and as the tensor of its mean signal."
    )


def _version_sentence(versions: Mapping[str, str]) -> str:
    (kit, number), *others = versions.items()
    return f"Made with {kit} {number} ({', '.join(f'{name} {version}' for name, version in others)})."


def _size(series: Mapping[str, Any]) -> str:
    return " × ".join(f"{size:.3g}" for size in series["voxel_sizes"])


def _listed(words: Sequence[str], *, most: int) -> str:
    shown = list(words[:most])
    if len(words) > most:
        shown.append(f"{len(words) - most} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def participant_page(
    title: str,
    board: Exhibit | None,
    sections: Sequence[PageSection],
    context: PageContext,
    *,
    previous: Link | None = None,
    following: Link | None = None,
) -> str:
    """Write the page of a participant.

    Parameters
    ----------
    title : str
        Participant and session.
    board : Exhibit or None
        The verdict and the key numbers, which stand on top.
    sections : sequence of PageSection
        What follows.
    context : PageContext
        What all pages of the run share.
    previous, following : Link, optional
        The participants before and after.

    Returns
    -------
    str
        The page.
    """
    shown = [
        (f"part-{number}", section.title, [_part(part) for part in section.parts])
        for number, section in enumerate(sections, start=1)
    ]
    page = (
        environment()
        .get_template("participant.html.j2")
        .render(
            context=context,
            title=title,
            board=None if board is None else Markup(board.body),  # noqa: S704 - made by this package, text escaped
            sections=shown,
            previous=previous,
            following=following,
        )
    )
    return _with_outlines_once(page)


_OUTLINE = re.compile(r'<path class="outline"[^>]*/>')


def _with_outlines_once(page: str) -> str:
    """Keep each outline once and refer to it: those of one slice are drawn over several maps."""
    places = {path: f"outline-{k}" for k, path in enumerate(dict.fromkeys(_OUTLINE.findall(page)))}
    kept = "".join(path.replace('class="outline"', f'id="{place}"', 1) for path, place in places.items())
    page = _OUTLINE.sub(lambda path: f'<use class="outline" href="#{places[path[0]]}"/>', page)
    definitions = f'<svg width="0" height="0" aria-hidden="true" style="position:absolute"><defs>{kept}</defs></svg>'
    return page.replace("</main>", f"{definitions}\n</main>", 1) if places else page


def _part(part: str | Exhibit) -> dict[str, Any]:
    if isinstance(part, str):
        return {"words": Markup(without_active_content(part)), "exhibit": None}  # noqa: S704 - cleaned just now
    return {"words": "", "exhibit": part, "body": Markup(part.body)}  # noqa: S704 - made by this package


def participants_page(boards: Sequence[tuple[Link, Exhibit]], context: PageContext) -> str:
    """List the participants with their verdicts and key numbers.

    Parameters
    ----------
    boards : sequence of (Link, Exhibit)
        Where each participant's page lies, and its `summary_board`.
    context : PageContext
        What all pages of the run share.

    Returns
    -------
    str
        The page.
    """
    rows = [(link, board.data.to_dict("records")) for link, board in boards if len(board.data)]
    found = [records[0]["verdict_grade"] for _, records in rows]
    return (
        environment()
        .get_template("participants.html.j2")
        .render(
            context=context,
            title="Participants",
            headings=[record["title"] for record in rows[0][1]] if rows else [],
            rows=rows,
            counts=[(grade, found.count(grade)) for grade in ("good", "look", "poor") if grade in found],
            words={"poor": "to leave out", "look": "to look at", "good": "to use"},
            marks=GRADE_MARKS,
            colours=GRADE_COLOURS,
        )
    )
