"""Tables of a cohort's scans: who is odd and why, who is left out, and what leaving out changes."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.markup import environment
from dtimuscle.presentation.style import (
    AGREEMENT_COLOURS,
    MUTED,
    NOTHING,
    PARAMETERS,
    VERDICT_COLOURS,
    VERDICT_MARKS,
    VERDICT_TITLES,
    count,
    feature_title,
    fixed,
    interval,
    mean_sd,
    p_value,
    step_words,
    term_title,
)
from dtimuscle.presentation.tables.cells import NO_ESTIMATE, bounds_of, ratio, ratio_interval
from dtimuscle.rating import QUANTITY, Rating, Verdict, count_verdicts
from dtimuscle.statistics.estimates import Estimate
from dtimuscle.statistics.exclusion import Change, Sensitivity
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.terms import step_of

# More people than this make no list that anybody reads.
_MOST_LISTED = 40

# Odd muscles that are named of one person and parameter.
_MOST_MUSCLES = 3


@dataclass(frozen=True)
class _Person:
    """One entry of the list."""

    name: str
    href: str
    verdict: Verdict
    reasons: tuple[str, ...]
    oddities: tuple[str, ...]

    @property
    def colour(self) -> str:
        return VERDICT_COLOURS[self.verdict]

    @property
    def mark(self) -> str:
        return VERDICT_MARKS[self.verdict]

    @property
    def words(self) -> str:
        return VERDICT_TITLES[self.verdict]


def odd_scans_list(
    ratings: Sequence[Rating],
    odd: pd.DataFrame,
    odd_values: pd.DataFrame,
    registry: MuscleRegistry,
    *,
    page_of: Mapping[str, str] | None = None,
    name: str = "odd_scans",
) -> Exhibit:
    """List the scans that are beyond a limit or far from all others, the gravest first.

    Parameters
    ----------
    ratings : sequence of Rating
        The verdict on each scan.
    odd : DataFrame
        Numbers far from those of the others, as `dtimuscle.rating.odd_numbers` finds them.
    odd_values : DataFrame
        Muscle values far from those of the same group, as `dtimuscle.rating.odd_muscles` finds them.
    registry : MuscleRegistry
        Printed names of muscles.
    page_of : mapping of str to str, optional
        Address of the page of each scan, by its name.
    name : str, default="odd_scans"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One entry per scan; the data have one row per reason.
    """
    numbers = {who: rows.to_dict("records") for who, rows in odd.groupby("name", sort=False)}
    muscles = {who: rows.to_dict("records") for who, rows in odd_values.groupby("name", sort=False)}
    people = []
    for rating in ratings:
        beyond = {ground.rule for ground in rating.grounds}
        oddities = [_odd_number(row) for row in numbers.get(rating.name, []) if row["quantity"] not in beyond]
        oddities += _odd_muscles(muscles.get(rating.name, []), registry)
        if rating.grounds or oddities:
            people.append(_person(rating, page_of, tuple(oddities)))
    order = list(Verdict)
    people.sort(key=lambda person: (-order.index(person.verdict), -len(person.reasons) - len(person.oddities)))
    counts = count_verdicts(ratings)
    told = ", ".join(f"{VERDICT_TITLES[verdict].lower()} {counts[verdict]}" for verdict in Verdict)
    summary = (
        f"{count(len(ratings))} scans: {told}. In black the limits of the settings that a scan is beyond, in grey "
        "numbers and muscle values that lie far from those of the others (robust z from the median and the median "
        "absolute deviation beyond 3.5, Iglewicz and Hoaglin 1993; muscle values are held against the median of their "
        "group). Far from the others is a reason to look, not to leave out."
    )
    nobody = "No scan is beyond a limit or far from the others."
    return _list(people, name, "Who is odd, and why", summary, nobody=nobody)


def left_out_list(
    left_out: Sequence[Rating], *, page_of: Mapping[str, str] | None = None, name: str = "left_out"
) -> Exhibit:
    """List the scans that the statistics leave out, with the rule.

    Parameters
    ----------
    left_out : sequence of Rating
        Scans that are left out.
    page_of : mapping of str to str, optional
        Address of the page of each scan, by its name.
    name : str, default="left_out"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One entry per scan.
    """
    people = [_person(rating, page_of) for rating in left_out]
    summary = (
        f"{count(len(people))} scan{'' if len(people) == 1 else 's'} left out of all that follows, each with the limit "
        "of the settings that it is beyond. Their values stay in roi.tsv; what leaving them out changes stands at the "
        "end."
    )
    return _list(people, name, "Left out of the statistics", summary, nobody="Nobody is left out.")


def _person(rating: Rating, page_of: Mapping[str, str] | None, oddities: tuple[str, ...] = ()) -> _Person:
    return _Person(rating.name, (page_of or {}).get(rating.name, ""), rating.verdict, rating.reasons, oddities)


def _list(people: Sequence[_Person], name: str, title: str, summary: str, *, nobody: str) -> Exhibit:
    html = (
        environment()
        .get_template("people.html.j2")
        .render(
            people=[person for person in people[:_MOST_LISTED] if person.verdict is not Verdict.USE],
            mild=[person for person in people[:_MOST_LISTED] if person.verdict is Verdict.USE],
            n_mild=sum(person.verdict is Verdict.USE for person in people),
            n_more=max(len(people) - _MOST_LISTED, 0),
            title=title,
            nobody=nobody,
        )
    )
    rows = [
        (person.name, str(person.verdict), kind, words)
        for person in people
        for kind, said in (("limit", person.reasons), ("far from the others", person.oddities))
        for words in said
    ]
    data = pd.DataFrame(rows, columns=["name", "verdict", "kind", "reason"])
    return Exhibit(name, "table", title, summary, data, html=html)


def _odd_number(row: Mapping[Hashable, Any]) -> str:
    quantity = QUANTITY[row["quantity"]]
    value, median = (quantity.printed(row[key]) for key in ("value", "median"))
    return f"{quantity.words}: {value} (median {median})"


def _odd_muscles(rows: Sequence[Mapping[Hashable, Any]], registry: MuscleRegistry) -> list[str]:
    """Say of each parameter in which muscles it is odd, the farthest first."""
    said = []
    for parameter, style in PARAMETERS.items():
        odd = [row for row in rows if row["parameter"] == parameter]
        odd.sort(key=lambda row: -abs(row["z"]))
        listed = [
            f"{registry.title(row['muscle']).lower()} {fixed(row['value'] * style.scale, style.digits)} "
            f"(median {fixed(row['median'] * style.scale, style.digits)})"
            for row in odd[:_MOST_MUSCLES]
        ]
        if odd:
            more = f" and {len(odd) - _MOST_MUSCLES} more muscles" if len(odd) > _MOST_MUSCLES else ""
            said.append(f"{style.label}: {', '.join(listed)}{more}")
    return said


def sides_table(
    sizes: pd.DataFrame, sides: pd.DataFrame, registry: MuscleRegistry, *, name: str = "sizes_and_sides"
) -> Exhibit:
    """Describe the size of each muscle over all scans, and how its left side differs from the right.

    Parameters
    ----------
    sizes : DataFrame
        `muscle`, `side`, `volume_ml` and `cross_section_cm2` of each scan.
    sides : DataFrame
        As `dtimuscle.roi_table.left_right_differences` computes it.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="sizes_and_sides"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per muscle.
    """
    both = sizes[sizes["side"] == "both"]
    rows = []
    for muscle, found in both.groupby("muscle", sort=False):
        row = {
            "muscle": registry.title(str(muscle)),
            "n": count(found["volume_ml"].notna().sum()),
            "volume": _mean_sd(found["volume_ml"], 0),
            "area": _mean_sd(found["cross_section_cm2"], 1),
        }
        for parameter in ("fa", "md"):
            style = PARAMETERS[parameter]
            of = sides[(sides["muscle"] == muscle) & (sides["parameter"] == parameter)]
            row[parameter] = _mean_sd(of["difference"] * style.scale, style.digits)
            row[f"{parameter}_percent"] = fixed(of["percent"].abs().median(), 1)
            row["n_sides"] = count(of["difference"].notna().sum())
        rows.append(row)
    columns = [
        Column("n", "n", spanner="Both sides together"),
        Column("volume", "Volume, ml", spanner="Both sides together"),
        Column("area", "Cross-section, cm²", spanner="Both sides together"),
        Column("n_sides", "n", spanner="Left − right"),
    ]
    for parameter in ("fa", "md"):
        columns += [
            Column(parameter, PARAMETERS[parameter].label, spanner="Left − right"),
            Column(f"{parameter}_percent", "Median size, %", spanner="Left − right"),
        ]
    title = "Size and sides of each muscle"
    summary = (
        "Mean ± SD over the scans. Volume and mean cross-section are those of the whole label within the scan, rim "
        "included. Left − right is the difference of the sides within a scan; its median size, whatever its sign, is "
        "given in percent of the mean of the two. A mean difference far from zero speaks of the coil, the labels or a "
        "mixed-up side rather than of the patients."
    )
    by_muscle = both.groupby("muscle", sort=False)
    data = pd.DataFrame({"n": by_muscle["volume_ml"].count()})
    for column in ("volume_ml", "cross_section_cm2"):
        data[f"{column}_mean"], data[f"{column}_sd"] = by_muscle[column].mean(), by_muscle[column].std()
    for parameter in ("fa", "md"):
        pairs = sides[sides["parameter"] == parameter]
        differences = pairs.groupby("muscle", sort=False)["difference"]
        data[f"{parameter}_difference_mean"], data[f"{parameter}_difference_sd"] = differences.mean(), differences.std()
        data[f"{parameter}_percent_median"] = pairs["percent"].abs().groupby(pairs["muscle"]).median()
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("muscle", "Muscle"))
    return Exhibit(name, "table", title, summary, data.reset_index(), html=html)


def _mean_sd(values: pd.Series, digits: int) -> str:
    return mean_sd(float(values.mean()), float(values.std()), digits)


_KINDS = {
    "difference": "Difference of means, poor − good",
    "auc": "AUC",
    "auc_difference": "Difference of AUCs",
    "odds_ratio": "Odds ratio, model chosen beforehand",
}


def exclusion_table(sensitivity: Sensitivity, registry: MuscleRegistry, *, name: str = "exclusion") -> Exhibit:
    """Set the main results with and without those who are left out side by side.

    Parameters
    ----------
    sensitivity : Sensitivity
        Both.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="exclusion"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per result, grouped by what was estimated.
    """
    title = "What leaving out changes"
    rows = [_change_row(change, registry) for change in sensitivity.changes]
    levels = [change.kept.interval.level for change in sensitivity.changes if change.kept.interval]
    ci = f"{100 * (levels[0] if levels else 0.95):g}% CI"
    columns = [
        *(Column(f"kept_{key}", heading, spanner="As used") for key, heading in _estimate_columns(ci)),
        *(Column(f"all_{key}", heading, spanner="Nobody left out") for key, heading in _estimate_columns(ci)),
        Column("change", "Change"),
        Column("turns", "Conclusion", align="left"),
    ]
    colours = [AGREEMENT_COLOURS["undecided"] if change.turns else MUTED for change in sensitivity.changes]
    html = table_html(
        name,
        pd.DataFrame(rows),
        columns,
        title=title,
        row_label=("subject", "Subject"),
        group="group",
        colours=("turns", colours),
    )
    turned = sensitivity.n_turned
    said = (
        f"{turned} of {len(rows)} conclusions depend on it: only one of the two intervals leaves out what no effect "
        "would be (0, an odds ratio of 1, an AUC of 0.5)."
        if turned
        else "No conclusion depends on it: wherever one interval leaves out what no effect would be (0, an odds ratio "
        "of 1, an AUC of 0.5), so does the other."
    )
    summary = (
        f"The main results of the {count(sensitivity.n_kept)} participants with a grade that are used, and of all "
        f"{count(sensitivity.n_everybody)}. Change is the first less the second; of an odds ratio it is the factor "
        f"between them. AUCs have DeLong's interval; those of models are apparent. {said}"
    )
    data = pd.DataFrame([_change_data(change) for change in sensitivity.changes])
    return Exhibit(name, "table", title, summary, data, html=html)


def _estimate_columns(ci: str) -> tuple[tuple[str, str], ...]:
    return (("n", "n"), ("value", "Estimate"), ("interval", ci), ("p", "P"))


def _change_row(change: Change, registry: MuscleRegistry) -> dict[str, str]:
    kept = change.kept
    row = {
        "group": _group(kept),
        "subject": _subject(kept, registry),
        "change": _printed_change(change),
        "turns": "depends on it" if change.turns else "the same" if change.is_comparable else NOTHING,
    }
    for prefix, estimate in (("kept", kept), ("all", change.everybody)):
        row |= {f"{prefix}_{key}": cell for key, cell in _cells(estimate).items()}
    return row


def _group(estimate: Estimate) -> str:
    parameter = split_feature(estimate.subject)[1]
    words = _KINDS[estimate.kind]
    if not parameter:
        return words
    style = PARAMETERS[parameter]
    if estimate.kind == "odds_ratio":
        return f"{words}: {style.title}, {step_words(estimate.subject, step_of(estimate.subject))}"
    return f"{words}: {style.label if estimate.kind == 'difference' else style.title}"


def _subject(estimate: Estimate, registry: MuscleRegistry) -> str:
    muscle, parameter = split_feature(estimate.subject)
    if parameter:
        return registry.title(muscle)
    if estimate.kind == "odds_ratio":
        return term_title(estimate.subject, registry)
    return " − ".join(feature_title(part, registry) for part in estimate.subject.split(" - "))


def _printing(estimate: Estimate) -> tuple[float, int]:
    parameter = split_feature(estimate.subject)[1]
    if estimate.kind == "difference" and parameter:
        return PARAMETERS[parameter].scale, PARAMETERS[parameter].digits
    return 1.0, 3


def _cells(estimate: Estimate) -> dict[str, str]:
    if estimate.kind == "odds_ratio":
        value = ratio(estimate.value)
        bounds = ratio_interval(estimate.interval) if estimate.interval else NOTHING
    else:
        scale, digits = _printing(estimate)
        value = fixed(estimate.value * scale, digits) if isfinite(estimate.value) else NO_ESTIMATE
        bounds = interval(estimate.interval, digits, scale=scale)
    return {"n": count(estimate.n), "value": value, "interval": bounds, "p": p_value(estimate.p)}


def _printed_change(change: Change) -> str:
    if not isfinite(change.change):
        return NOTHING
    if change.kept.kind == "odds_ratio":
        return f"× {ratio(change.change)}"
    scale, digits = _printing(change.kept)
    printed = fixed(change.change * scale, digits)
    return printed if printed[0] == "−" or not float(printed) else f"+{printed}"


def _change_data(change: Change) -> dict[str, object]:
    row: dict[str, object] = {"kind": change.kept.kind, "subject": change.kept.subject}
    for prefix, estimate in (("kept", change.kept), ("everybody", change.everybody)):
        row |= {f"{prefix}_n": estimate.n, f"{prefix}_value": estimate.value, f"{prefix}_p": estimate.p}
        if estimate.interval:
            row |= {f"{prefix}_{key}": value for key, value in bounds_of(estimate.interval).items()}
    return row | {"change": change.change, "turns": change.turns}
