"""Tables of logistic models."""

from collections.abc import Sequence

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import (
    PARAMETERS,
    feature_title,
    fixed,
    interval,
    p_value,
)
from dtimuscle.presentation.tables.cells import NO_ESTIMATE, bounds_of, level_label
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.logistic import Coefficient, EntryModel, LogisticFit


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
                **bounds_of(c.interval),
                "is_separated": fit.is_separated,
            }
            for fit, c in pairs
        ]
    )
    columns = [
        Column("n", "Events / n"),
        Column("odds_ratio", "Odds ratio"),
        Column("interval", level_label([c for _, c in pairs])),
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
