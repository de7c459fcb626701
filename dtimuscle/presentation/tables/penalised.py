"""Tables of penalised models."""

from collections.abc import Mapping

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import feature_title, fixed, row_label
from dtimuscle.presentation.tables.cells import NO_ESTIMATE, published_column, ratio
from dtimuscle.presentation.tables.ordinal import step_label
from dtimuscle.statistics.penalised import PenalisedFit, PenalisedTerm

LEFT_OUT = "left out"


def penalised_table(
    fit: PenalisedFit,
    registry: MuscleRegistry,
    *,
    name: str = "penalised",
    published: Mapping[str, str] | None = None,
) -> Exhibit:
    """List what the penalty left of each feature, beside what the feature says alone.

    Parameters
    ----------
    fit : PenalisedFit
        The model of all features.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="penalised"
        Identifier of the exhibit.
    published : mapping of str to str, optional
        Published results as printed, by feature.

    Returns
    -------
    Exhibit
        One row per feature, grouped by the step of the odds ratio; without P values, for a reason that
        the summary gives.
    """
    published = published or {}
    rows = [
        {
            "group": step_label(term.name, term.step),
            "feature": row_label(term.name, registry),
            **_cells(term),
            "published": published.get(term.name, ""),
        }
        for term in fit.terms
    ]
    columns = [
        Column("alone", "Alone: in poor function", align="left"),
        Column("per_sd", "per SD", spanner="Odds ratio, all together"),
        Column("odds_ratio", "per step", spanner="Odds ratio, all together"),
        Column("selected", "in the model", spanner="Of the outer models, %"),
        Column("same", "same direction", spanner="Of the outer models, %"),
        *published_column(published),
    ]
    title = "All features in one penalised logistic regression"
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("feature", "Feature"), group="group")
    beside = tuple(
        Beside(feature_title(term.name, registry), published[term.name], _cells(term)["per_sd"])
        for term in fit.terms
        if term.name in published
    )
    return Exhibit(name, "table", title, _summary(fit), _data(fit), html=html, beside=beside)


def _cells(term: PenalisedTerm) -> dict[str, str]:
    if term.estimate != term.estimate:
        return dict.fromkeys(("alone", "per_sd", "odds_ratio", "selected", "same"), NO_ESTIMATE)
    direction = "higher" if term.difference > 0 else "lower" if term.difference < 0 else "alike"
    return {
        "alone": f"{direction} ({fixed(term.difference, 2)} SD)" + (", turns round" if term.turns_round else ""),
        "per_sd": LEFT_OUT if term.is_zero else ratio(term.odds_ratio_per_sd),
        "odds_ratio": LEFT_OUT if term.is_zero else ratio(term.odds_ratio),
        "selected": fixed(100 * term.selected, 0),
        "same": fixed(100 * term.same_direction, 0),
    }


def _data(fit: PenalisedFit) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "feature": term.name,
                "estimate": term.estimate,
                "sd": term.sd,
                "odds_ratio_per_sd": term.odds_ratio_per_sd,
                "step": term.step,
                "odds_ratio": term.odds_ratio,
                "difference_sd": term.difference,
                "selected": term.selected,
                "same_direction": term.same_direction,
                "l1_ratio": fit.l1_ratio,
                "penalty": fit.penalty,
                "n": fit.n,
                "n_events": fit.n_events,
            }
            for term in fit.terms
        ]
    )


def _summary(fit: PenalisedFit) -> str:
    if not fit.path:
        return "No penalised model: " + " ".join(str(issue) for issue in fit.issues)
    found = fit.performance
    kind = {"ridge": "ridge (shrinks all, leaves none out)", "lasso": "lasso (shrinks, and leaves features out)"}
    is_better = found.log_loss < found.null_log_loss
    verdict = " (no interval: a small gain may be chance)" if is_better else ": no better than that"
    return (
        f"All {len(fit.terms)} features, standardised, in one logistic regression (n = {fit.n}, {fit.n_events} with "
        f"poor function) whose coefficients are pulled towards zero. {_chosen_words(fit)} by cross-validation: "
        f"{kind.get(fit.kind, 'elastic net (shrinks, and leaves features out)')}, λ = {fit.penalty:.3g}; "
        f"{fit.n_zero} left out. Performance in patients who had no part in fitting or choosing (nested "
        f"cross-validation, {fit.folds} folds, {fit.repeats} repeats, {fit.inner_folds} folds inside, seed "
        f"{fit.seed}; AUC averaged over folds): AUC {fixed(found.auc, 3)} (apparent {fixed(fit.apparent_auc, 3)}), "
        f"Brier score {fixed(found.brier, 3)} and log loss {fixed(found.log_loss, 3)}, against "
        f"{fixed(found.null_brier, 3)} and {fixed(found.null_log_loss, 3)} for giving everybody the share of events"
        f"{verdict}. Odds ratios are of poor function. There are no P values "
        "or intervals: a shrunken estimate is biased on purpose, and an interval around it would not cover the truth "
        "as often as it says. How often a feature stays, and keeps its direction, when a fold of patients is left out "
        "says how far to trust it. A feature that turns round points the other way than alone, which often happens "
        "when others carry the same."
    )


def _chosen_words(fit: PenalisedFit) -> str:
    if len(fit.l1_ratios) == 1:
        return "The strength of the pull was chosen"
    kinds = {0.0: "ridge", 1.0: "lasso", 0.5: "half of each"}
    ordered = sorted(fit.l1_ratios, key=lambda share: (share not in (0, 1), share))
    *others, last = (kinds.get(share, f"{100 * share:g}% lasso") for share in ordered)
    return f"The kind of pull ({', '.join(others)}{',' * (len(others) > 1)} or {last}) and its strength were chosen"
