"""Tables of which claims come out together in worlds whose truth is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.grid import Column, notes_html, table_html
from dtimuscle.presentation.style import count, feature_title, fixed, interval
from dtimuscle.replication.worlds import Share, WorldAnswer

_TITLES = {
    "published_means": "Printed means true",
    "published_auc": "Printed AUC true",
    "null": "No difference",
    "degeneration": "Degeneration",
}
_ABBREVIATIONS = {"fa", "md", "ad", "rd", "adc", "auc"}
_NOT_TESTABLE = "not testable"
_WHOLE, _ALL = "whole claim", "All of these claims at once"


_IN_PARENTHESES = "In parentheses: 95% interval of the share, for so many cohorts."
_WHEN = (
    "A claim comes out in a cohort when everything that it says does: a direction with P < 0.05, a printed mean or AUC "
    "within the cohort's own 95% interval (an AUC only if that interval does not also contain 0.5, pure chance)."
)


_OPPOSED, _PAIRS, _EVERYTHING = _GROUPS = (
    "Opposite statements about the same value, both significant", "Two whole claims at once", "All claims",
)  # fmt: skip


@dataclass(frozen=True)
class _AtOnce:
    """What comes out at once in a world: a cell of a table, and a row of the data behind it."""

    place: int
    group: str
    words: str
    share: Share | None
    first: str = ""
    second: str = ""
    feature: str = ""

    def record(self, world: str) -> dict[str, object]:
        about = {"world": world, "group": self.group, "first": self.first, "second": self.second}
        return about | {"feature": self.feature} | _numbers(self.share)


def worlds_table(answers: Sequence[WorldAnswer], *, name: str = "worlds") -> Exhibit:
    """Show in what share of cohorts each claim comes out in each world.

    Parameters
    ----------
    answers : sequence of WorldAnswer
        One for each world, all about the same study.
    name : str, default="worlds"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per claim and one for all of them, one column per world; the data hold the parts of the claims too.
    """
    rows: dict[str, dict[str, str]] = {}
    for place, answer in enumerate(answers):
        for claim in answer.claims:
            row = rows.setdefault(claim.claim_id, {"claim": claim.statement})
            row[_key(place)] = share_in_words(claim.whole)
        rows.setdefault("", {"claim": _ALL})[_key(place)] = share_in_words(answer.all_claims)
    title = "Which claims come out in which world"
    summary = (
        f"{cohorts_in_words(answers)} Each cohort is analysed as the study did it. A claim that hardly ever comes out "
        "in a world is hard to reconcile with it; one that is true there can still be missed in many cohorts, for "
        "want of patients. Below the table: what is true in each world, and when a claim comes out."
    )
    html = table_html(
        name, pd.DataFrame(rows.values()), _columns(answers), title=title, row_label=("claim", "Claim of the study")
    )
    notes = [
        *(f"<strong>{escape(world_title(answer.name))}:</strong> {escape(answer.statement)}" for answer in answers),
        escape(_WHEN + _separated_in_words(answers)),
        _IN_PARENTHESES,
    ]
    html += notes_html(notes)
    return Exhibit(name, "table", title, summary, _claims_data(answers), html=html, rests_on="simulation")


def worlds_together_table(
    answers: Sequence[WorldAnswer], registry: MuscleRegistry, *, name: str = "worlds_together"
) -> Exhibit:
    """Show in what share of cohorts claims come out together.

    Parameters
    ----------
    answers : sequence of WorldAnswer
        One for each world, all about the same study.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="worlds_together"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        Claims that say the opposite of the same value first, then every two claims, then all; one column per world.
    """
    found = [item for place, answer in enumerate(answers) for item in _together(place, answer, registry)]
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for item in found:
        row = rows.setdefault((item.group, item.words), {"group": item.group, "together": item.words})
        row[_key(item.place)] = share_in_words(item.share)
    cells = sorted(rows.values(), key=lambda row: _GROUPS.index(row["group"]))
    title = "Which claims come out together"
    summary = " ".join(
        [
            cohorts_in_words(answers),
            *opposed_in_words(answers, registry),
            f"All claims that can be tested come out at once {_everywhere(answers, _all_claims(answers))}.",
            _IN_PARENTHESES,
        ]
    )
    html = table_html(
        name, pd.DataFrame(cells), _columns(answers), title=title, row_label=("together", "At once"), group="group"
    )
    data = pd.DataFrame([item.record(answers[item.place].name) for item in found])
    return Exhibit(name, "table", title, summary, data, html=html, rests_on="simulation")


def world_title(name: str) -> str:
    """Name a world in a few words.

    Parameters
    ----------
    name : str
        Name of the scenario.
    """
    return _TITLES.get(name) or _in_words(name)


def share_in_words(share: Share | None) -> str:
    """Print a share of cohorts with its interval, in percent.

    Parameters
    ----------
    share : Share or None
        None for what cannot be tested.

    Returns
    -------
    str
        "84.8% (81.3 to 87.8)", or "not testable".
    """
    if share is None:
        return _NOT_TESTABLE
    return f"{fixed(100 * share.value, 1)}% ({interval(share.interval, 1, scale=100)})"


def cohorts_in_words(answers: Sequence[WorldAnswer]) -> str:
    """Say how many cohorts of which size were simulated.

    Parameters
    ----------
    answers : sequence of WorldAnswer
        One for each world.
    """
    sizes = " or ".join(
        dict.fromkeys(f"{count(a.n_cohorts)} of {a.n_poor} + {a.n_good} patients in each world" for a in answers)
    )
    return (
        f"Simulated cohorts, not patients: {sizes or 'none'}, with poor and good muscle function. Muscle values were "
        "drawn directly, without images."
    )


def opposed_in_words(answers: Sequence[WorldAnswer], registry: MuscleRegistry) -> list[str]:
    """Say in sentences how often claims that say the opposite of the same value are both right.

    Parameters
    ----------
    answers : sequence of WorldAnswer
        One for each world.
    registry : MuscleRegistry
        Printed names of muscles.

    Returns
    -------
    list of str
        One entry for all such claims about the same values that are right together as often.
    """
    found: dict[tuple[str, str], list[tuple[WorldAnswer, Share]]] = {}
    features: dict[tuple[str, str], dict[str, None]] = {}
    for answer in answers:
        for opposed in answer.oppositions:
            pair = (opposed.first, opposed.second)
            found.setdefault(pair, []).append((answer, opposed.any_feature))
            features.setdefault(pair, {}).update(dict.fromkeys(opposed.features))
    alike: dict[tuple[str, str], list[str]] = {}
    for (first, second), shares in found.items():
        named = "; ".join(feature_title(name, registry) for name in features[first, second])
        how_often = _everywhere([a for a, _ in shares], [share for _, share in shares])
        alike.setdefault((named, how_often), []).append(f'"{_in_words(first)}" and "{_in_words(second)}"')
    return [
        f"Claims about the same values ({named}) point opposite ways: {'; '.join(pairs)}. Two such claims come out "
        f"together for at least one of these values {how_often}."
        for (named, how_often), pairs in alike.items()
    ]


def _together(place: int, answer: WorldAnswer, registry: MuscleRegistry) -> list[_AtOnce]:
    opposed = [
        _AtOnce(
            place,
            _OPPOSED,
            f"{feature_title(feature, registry)}: {_pair(both.first, both.second)}",
            share,
            first=both.first,
            second=both.second,
            feature=feature,
        )
        for both in answer.oppositions
        for feature, share in zip(both.features, both.shares, strict=True)
    ]
    pairs = [
        _AtOnce(place, _PAIRS, _pair(both.first, both.second), both.share, first=both.first, second=both.second)
        for both in answer.together
    ]
    return [*opposed, *pairs, _AtOnce(place, _EVERYTHING, _ALL, answer.all_claims)]


def _pair(first: str, second: str) -> str:
    return f"{_in_words(first)} + {_in_words(second)}"


def _all_claims(answers: Sequence[WorldAnswer]) -> list[Share | None]:
    return [answer.all_claims for answer in answers]


def _everywhere(answers: Sequence[WorldAnswer], shares: Sequence[Share | None]) -> str:
    """Say in a clause in what share of the cohorts of each world something is so."""
    known = [(answer, share) for answer, share in zip(answers, shares, strict=True) if share is not None]
    if not known:
        return "nowhere, since none can be tested"
    if all(share.n_yes == 0 for _, share in known):
        highest = max(share.interval.high for _, share in known)
        return f"in none of the cohorts of any world (95% interval of the share: up to {fixed(100 * highest, 1)}%)"
    listed = ", ".join(f"{share_in_words(share)} ({world_title(answer.name)})" for answer, share in known)
    return f"in this share of the cohorts: {listed}"


def _columns(answers: Sequence[WorldAnswer]) -> list[Column]:
    return [
        Column(_key(place), world_title(answer.name), spanner="Share of the simulated cohorts")
        for place, answer in enumerate(answers)
    ]


def _key(place: int) -> str:
    return f"world_{place}"


def _separated_in_words(answers: Sequence[WorldAnswer]) -> str:
    """Say in how many cohorts there are no odds ratios; nothing where they always exist."""
    counts = [
        f"{claim.n_separated} ({world_title(answer.name)})"
        for answer in answers
        for claim in answer.claims
        if claim.n_separated
    ]
    if not counts:
        return ""
    return (
        " In some cohorts the factors tell the groups apart completely, so that no odds ratios exist: "
        f"{', '.join(counts)}. There a claim about such factors does not come out."
    )


def _in_words(name: str) -> str:
    words = [word.upper() if word in _ABBREVIATIONS else word for word in name.split("_")]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def _claims_data(answers: Sequence[WorldAnswer]) -> pd.DataFrame:
    return pd.DataFrame([row for answer in answers for row in _claim_rows(answer)])


def _claim_rows(answer: WorldAnswer) -> list[dict[str, object]]:
    rows = []
    for claim in answer.claims:
        about = {"world": answer.name, "claim_id": claim.claim_id, "kind": claim.kind}
        separated = {"n_separated": claim.n_separated}
        whole = {"subject": _WHOLE, "group": ""} | _numbers(claim.whole) | separated | {"reason": claim.reason}
        parts = [
            {"subject": part.subject, "group": part.group} | _numbers(part.share) | separated | {"reason": part.reason}
            for part in claim.parts
        ]
        rows += [about | row for row in (whole, *parts)]
    everything = {"world": answer.name, "claim_id": "", "kind": "", "subject": _ALL, "group": ""}
    return [*rows, everything | _numbers(answer.all_claims) | {"n_separated": None, "reason": ""}]


def _numbers(share: Share | None) -> dict[str, object]:
    if share is None:
        return {"n_yes": None, "n_cohorts": None, "share": None, "low": None, "high": None}
    return {
        "n_yes": share.n_yes, "n_cohorts": share.n, "share": share.value, "low": share.interval.low,
        "high": share.interval.high,
    }  # fmt: skip
