"""Tables of proportional-odds models."""

from collections.abc import Mapping, Sequence

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import (
    PARAMETERS,
    feature_title,
    fixed,
    p_equals,
    p_value,
    row_label,
    step_words,
)
from dtimuscle.presentation.tables.cells import (
    NO_ESTIMATE,
    bounds_of,
    level_label,
    published_column,
    ratio,
    ratio_interval,
)
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.ordinal import ChiSquared, OrdinalFit, OrdinalTerm


def ordinal_table(
    fits: Sequence[OrdinalFit],
    registry: MuscleRegistry,
    *,
    title: str = "Proportional-odds regression of the Lovett grade",
    name: str = "ordinal",
    published: Mapping[str, str] | None = None,
) -> Exhibit:
    """List the odds ratios of a higher grade.

    Parameters
    ----------
    fits : sequence of OrdinalFit
        One joint model, or one model for each feature alone.
    registry : MuscleRegistry
        Printed names of muscles.
    title : str, default="Proportional-odds regression of the Lovett grade"
        Heading.
    name : str, default="ordinal"
        Identifier of the exhibit.
    published : mapping of str to str, optional
        Published results as printed, by feature.

    Returns
    -------
    Exhibit
        One row per feature, grouped by the step of the odds ratio.
    """
    published = published or {}
    pairs = [(fit, term) for fit in fits for term in fit.terms]
    rows = [
        {
            "group": step_label(term.name, term.step),
            "feature": row_label(term.name, registry),
            "n": str(fit.n),
            **_term_cells(term),
            "published": published.get(term.name, ""),
        }
        for fit, term in pairs
    ]
    columns = [
        Column("n", "n"),
        Column("odds_ratio", "Odds ratio"),
        Column("profile", level_label([term for _, term in pairs])),
        Column("p", "P"),
        Column("per_sd", "Odds ratio", spanner="per SD"),
        Column("per_sd_interval", level_label([term for _, term in pairs]), spanner="per SD"),
        *published_column(published),
    ]
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("feature", "Feature"), group="group")
    beside = tuple(
        Beside(feature_title(term.name, registry), published[term.name], _term_cells(term)["odds_ratio"])
        for _, term in pairs
        if term.name in published
    )
    data = pd.DataFrame([_term_data(fit, term) for fit, term in pairs])
    return Exhibit(name, "table", title, _summary(fits), data, html=html, beside=beside)


def proportional_odds_table(fit: OrdinalFit, registry: MuscleRegistry, *, name: str = "proportional_odds") -> Exhibit:
    """Set the odds ratio of each cut beside the one that stands for all, with the tests of that assumption.

    Parameters
    ----------
    fit : OrdinalFit
        The model.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="proportional_odds"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per feature, and one for all together.
    """
    brant, score = dict(fit.brant.features), dict(fit.score.features)
    at_cut = {term.name: {} for term in fit.terms}  # type: dict[str, dict[str, str]]
    for cut in fit.cuts:
        for term in cut.terms:
            words = NO_ESTIMATE if cut.is_separated else ratio(term.odds_ratio)
            at_cut[term.name][f"cut_{cut.at_least}"] = words
    rows = [
        {
            "feature": feature_title(term.name, registry),
            "odds_ratio": ratio(term.odds_ratio),
            **at_cut[term.name],
            "brant": _test_cell(brant.get(term.name)),
            "score": _test_cell(score.get(term.name)),
        }
        for term in fit.terms
    ]
    every = {"brant": _test_cell(fit.brant.omnibus), "score": _test_cell(fit.score.omnibus)}
    rows.append({"feature": "All features together", **every})
    columns = [
        Column("odds_ratio", "All cuts"),
        *(
            Column(f"cut_{c.at_least}", f"≥ {c.at_least} ({c.n_above} / {c.n_below})", spanner="Grade (above / below)")
            for c in fit.cuts
        ),
        Column("score", "Score P"),
        Column("brant", "Brant P"),
    ]
    title = "Is one odds ratio enough? The cuts of the Lovett grade one by one"
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("feature", "Feature"))
    return Exhibit(name, "table", title, _assumption_words(fit), _cut_data(fit), html=html)


def step_label(feature: str, step: float) -> str:
    """Head the rows whose odds ratios are about one step.

    Parameters
    ----------
    feature : str
        Any of them.
    step : float
        The step, in the stored unit.
    """
    parameter = split_feature(feature)[1]
    if not parameter:
        return f"Covariates, odds ratio per {step:g}"
    return f"{PARAMETERS[parameter].title}, odds ratio {step_words(feature, step)}"


def _term_cells(term: OrdinalTerm) -> dict[str, str]:
    if term.odds_ratio != term.odds_ratio:
        return dict.fromkeys(("odds_ratio", "profile", "p", "per_sd", "per_sd_interval"), NO_ESTIMATE)
    return {
        "odds_ratio": ratio(term.odds_ratio),
        "profile": ratio_interval(term.profile),
        "p": p_value(term.lr_p),
        "per_sd": ratio(term.odds_ratio_per_sd),
        "per_sd_interval": ratio_interval(term.profile_per_sd),
    }


def _term_data(fit: OrdinalFit, term: OrdinalTerm) -> dict[str, object]:
    return {
        "feature": term.name,
        "n": fit.n,
        "n_missing": fit.n_missing,
        "estimate": term.estimate,
        "se": term.se,
        "z": term.z,
        "p_wald": term.p,
        "lr": term.lr,
        "p_lr": term.lr_p,
        "step": term.step,
        "odds_ratio": term.odds_ratio,
        "wald_low": term.wald.low,
        "wald_high": term.wald.high,
        **bounds_of(term.profile),
        "sd": term.sd,
        "odds_ratio_per_sd": term.odds_ratio_per_sd,
        "log_likelihood": fit.log_likelihood,
        "aic": fit.aic,
        "brant_p": fit.brant.omnibus.p,
        "score_p": fit.score.omnibus.p,
        "is_separated": fit.is_separated,
    }


def _cut_data(fit: OrdinalFit) -> pd.DataFrame:
    brant, score = dict(fit.brant.features), dict(fit.score.features)
    tests = {
        term.name: {"brant": brant[term.name].statistic, "brant_p": brant[term.name].p, "score_p": score[term.name].p}
        for term in fit.terms
        if term.name in brant
    }
    together = [
        {"feature": t.name, "at_least": 0, "odds_ratio": t.odds_ratio, **bounds_of(t.profile), "step": t.step,
         "n_below": fit.n, "n_above": fit.n, **tests.get(t.name, {})}
        for t in fit.terms
    ]  # fmt: skip
    alone = [
        {"feature": t.name, "at_least": cut.at_least, "odds_ratio": t.odds_ratio, **bounds_of(t.wald),
         "step": together[0]["step"], "n_below": cut.n_below, "n_above": cut.n_above}
        for cut in fit.cuts
        for t in cut.terms
    ]  # fmt: skip
    return pd.DataFrame(together + alone)


def _test_words(test: ChiSquared) -> str:
    if test.p != test.p:
        return NO_ESTIMATE
    return f"χ² = {fixed(test.statistic, 1)} on {test.df} degrees of freedom, P {p_equals(test.p)}"


def _test_cell(test: ChiSquared | None) -> str:
    return NO_ESTIMATE if test is None or test.p != test.p else p_value(test.p)


def _summary(fits: Sequence[OrdinalFit]) -> str:
    words = (
        "Each odds ratio says by how much the odds of a higher grade, wherever the scale is cut, change when the "
        "feature rises by one step; above 1, higher values go with stronger muscles (odds ratios of poor function "
        "point the other way). Interval and P by profile likelihood and likelihood ratio."
    )
    if len(fits) == 1 and len(fits[0].terms) > 1:
        fit = fits[0]
        words += (
            f" All {len(fit.terms)} features in one model, each adjusted for the others; n = {fit.n}, grades "
            f"{_grades(fit)}, likelihood ratio χ² = {fixed(fit.lr.statistic, 1)} on {fit.lr.df} degrees of freedom, "
            f"P {p_equals(fit.lr.p)}."
        )
    elif len(fits) > 1:
        words += " One model for each feature."
    n_separated = sum(fit.is_separated for fit in fits)
    if n_separated:
        words += f" In {n_separated} of {len(fits)} models the features order patients perfectly: no finite estimate."
    return words


def _grades(fit: OrdinalFit) -> str:
    return ", ".join(f"{grade} (n = {count})" for grade, count in fit.counts)


def _assumption_words(fit: OrdinalFit) -> str:
    words = (
        "The proportional-odds model gives one odds ratio for all cuts of the grade. Here each cut has its own "
        "logistic model: the odds ratios of a row should be alike up to chance. A small P says that they are not. "
        "The score test needs only the proportional model. Brant's test compares the models of the cuts; with few "
        "patients at a cut it rejects too often (see methods), so look at the score test first. A large P is no proof: "
        "with few patients at a cut both tests see little. "
    )
    words += f"Score test: {_test_words(fit.score.omnibus)}; Brant's test: {_test_words(fit.brant.omnibus)}."
    few = [cut for cut in fit.cuts if min(cut.n_above, cut.n_below) < 10]
    if few:
        cuts = ", ".join(f"≥ {cut.at_least}" for cut in few)
        words += f" Fewer than 10 patients are on one side of the cut {cuts}: read its odds ratios and P with care."
    return words
