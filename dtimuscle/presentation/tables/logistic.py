"""Tables of logistic models."""

from collections.abc import Mapping, Sequence
from math import isnan, nan

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import (
    MODEL_TITLES,
    NOTHING,
    PARAMETERS,
    feature_title,
    fixed,
    p_equals,
    p_value,
    row_label,
    step_words,
    term_title,
)
from dtimuscle.presentation.tables.cells import (
    NO_ESTIMATE,
    level_label,
    named_bounds,
    published_column,
    ratio,
    ratio_interval,
)
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.firth import FirthCoefficient, FirthFit
from dtimuscle.statistics.logistic import Coefficient, ColumnTest, EntryModel, LogisticFit, PrespecifiedModel


def univariate_table(
    fits: Sequence[LogisticFit],
    registry: MuscleRegistry,
    *,
    published: Mapping[str, str] | None = None,
    covariates_enter: bool = False,
    name: str = "univariate",
) -> Exhibit:
    """List the logistic regressions with one feature or covariate each.

    Parameters
    ----------
    fits : sequence of LogisticFit
        One for each feature and covariate.
    registry : MuscleRegistry
        Printed names of muscles.
    published : mapping of str to str, optional
        What is printed about a feature, by its name.
    covariates_enter : bool, default=False
        Whether covariates are candidates of the common model too; the summary says where they aren't.
    name : str, default="univariate"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per feature, grouped by parameter; a category with several levels has one for each, below
        one for the whole.
    """
    published = published or {}
    rows = [row for fit in fits for row in _univariate_rows(fit, registry, published)]
    level = level_label([c for fit in fits for c in fit.coefficients])
    columns = [
        Column("n", "Events / n"),
        Column("coefficient", "Coefficient (SE)", spanner="Per step"),
        Column("odds_ratio", "Odds ratio", spanner="Per step"),
        Column("wald", f"{level}, Wald", spanner="Per step"),
        Column("profile", f"{level}, profile", spanner="Per step"),
        Column("per_sd", "Odds ratio", spanner="Per SD"),
        Column("profile_per_sd", f"{level}, profile", spanner="Per SD"),
        Column("p", "Wald", spanner="P"),
        Column("p_lr", "LR", spanner="P"),
        *published_column(published),
    ]
    title = "Logistic regression, one feature at a time"
    summary = (
        "Each row is a model of its own, fitted by maximum likelihood. The odds ratio says by how much the odds of "
        "poor function change when the value rises by one step (named above its rows) or by one standard deviation, or "
        f"for a level against the reference; below 1, higher values go with good function. The profile {level} holds "
        "what a likelihood-ratio test does not reject, Wald's is exp(coefficient ± normal quantile × standard error, "
        "SE); P after Wald and by the likelihood-ratio (LR) test. P values are not corrected for the "
        "number of models."
    )
    if not covariates_enter and any(_group(c) == _COVARIATES for fit in fits for c in fit.coefficients):
        summary += " Covariates are no candidates of the common model."
    n_separated = sum(fit.is_separated for fit in fits)
    if n_separated:
        summary += (
            f" {n_separated} separate the groups perfectly, wholly or in part: no finite odds ratio exists, "
            "the LR test remains."
        )
    frame = pd.DataFrame(rows)
    html = table_html(name, frame, columns, title=title, row_label=("feature", "Feature"), group="group")
    data = pd.DataFrame([_data_row(fit, c, None) for fit in fits for c in fit.coefficients])
    beside = _beside([c for fit in fits for c in fit.coefficients], published, registry)
    return Exhibit(name, "table", title, summary, data, html=html, beside=beside)


def multivariable_table(
    model: EntryModel | PrespecifiedModel,
    registry: MuscleRegistry,
    *,
    published: Mapping[str, str] | None = None,
    name: str = "multivariable",
) -> Exhibit:
    """List the terms of a joint model, by maximum likelihood and by Firth's penalised likelihood.

    Parameters
    ----------
    model : EntryModel or PrespecifiedModel
        With the features that entered by their P value, or with those chosen beforehand.
    registry : MuscleRegistry
        Printed names of muscles.
    published : mapping of str to str, optional
        What is printed about a feature, by its name.
    name : str, default="multivariable"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per term; without rows where no feature entered.
    """
    published = published or {}
    fit, firth = model.multivariable, model.firth
    title = "Multivariable logistic regression"
    title += ", features entered by P" if isinstance(model, EntryModel) else ", prespecified features"
    if fit is None or firth is None:
        entry_p = model.entry_p if isinstance(model, EntryModel) else float("nan")
        words = f"No feature had a univariate P below {entry_p:g}, so that there is no multivariable model."
        return Exhibit(name, "table", title, words, _no_rows(), html=_joint_html(name, title, [], "95% CI", {}))
    pairs = list(zip(fit.coefficients, firth.coefficients, strict=True))
    rows = [_joint_row(fit, c, f, registry, published) for c, f in pairs]
    html = _joint_html(name, title, rows, level_label(fit.coefficients), published)
    data = pd.DataFrame([_data_row(fit, c, f) for c, f in pairs])
    n_candidates = len(model.univariate) if isinstance(model, EntryModel) else 0
    summary = f"{_how_chosen(model)} {_reading(fit, firth, n_candidates)}"
    return Exhibit(
        name, "table", title, summary, data, html=html, beside=_beside(fit.coefficients, published, registry)
    )


def model_fit_table(models: Mapping[str, LogisticFit | EntryModel], *, name: str = "model_fit") -> Exhibit:
    """Say how well logistic models fit.

    Parameters
    ----------
    models : mapping of str to LogisticFit or EntryModel
        By name; those of `style.MODEL_TITLES` are printed in words. Of an EntryModel the joint model is shown, with
        the number of candidates that were looked at; it is left out where none entered.
    name : str, default="model_fit"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per model.
    """
    candidates = {model: len(item.univariate) for model, item in models.items() if isinstance(item, EntryModel)}
    joint = {model: item.multivariable if isinstance(item, EntryModel) else item for model, item in models.items()}
    fits = {model: fit for model, fit in joint.items() if fit is not None}
    shares = {model: _smaller_group(fit) / candidates.get(model, nan) for model, fit in fits.items()}
    rows = [
        {
            "model": MODEL_TITLES.get(model, model),
            "n": f"{fit.n_events} / {fit.n}",
            "per_variable": fixed(fit.events_per_variable, 1),
            "per_candidate": f"{fixed(shares[model], 1)} ({candidates[model]})" if model in candidates else NOTHING,
            "chi2": f"{fixed(fit.chi2, 2)} ({fit.df})",
            "p": p_value(fit.p),
            "deviance": f"{fixed(fit.deviance, 2)} / {fixed(fit.null_deviance, 2)}",
            "aic": fixed(fit.aic, 2),
            "mcfadden": fixed(fit.mcfadden, 3),
            "cox_snell": fixed(fit.cox_snell, 3),
            "nagelkerke": fixed(fit.nagelkerke, 3),
            "separation": fit.separation,
        }
        for model, fit in fits.items()
    ]
    columns = [
        Column("n", "Events / n"),
        Column("per_variable", "variable", spanner="Events per"),
        *([Column("per_candidate", "candidate (looked at)", spanner="Events per")] if candidates else []),
        Column("chi2", "LR χ² (df)"),
        Column("p", "P"),
        Column("deviance", "Deviance / null"),
        Column("aic", "AIC"),
        Column("mcfadden", "McFadden", spanner="R²"),
        Column("cox_snell", "Cox–Snell", spanner="R²"),
        Column("nagelkerke", "Nagelkerke", spanner="R²"),
        Column("separation", "Separation", align="left"),
    ]
    data = pd.DataFrame(
        [
            {"model": model, "n": fit.n, "n_events": fit.n_events, "n_missing": fit.n_missing, "df": fit.df}
            | {key: getattr(fit, key) for key in _FIT_KEYS}
            | {"n_candidates": candidates.get(model, nan), "events_per_candidate": shares[model]}
            for model, fit in fits.items()
        ]
    )
    title = "Fit of the logistic models"
    summary = (
        "LR χ² tests a whole model against none of its features; AIC compares models of the same patients, the smaller "
        "the better. All three R² are measured in the patients that the model was fitted to, and so are too high for "
        "others. Events per variable count the smaller group for each estimated term: below about 10 overfitting is "
        "likely; 10 is no guarantee."
    )
    for model, number in candidates.items():
        if model in fits:
            summary += (
                f" {MODEL_TITLES.get(model, model)}: counting all {number} candidates that were looked at, "
                f"{fixed(shares[model], 1)} events for each."
            )
    if candidates or "as_published" in fits:
        summary += " For the model built as the study did, P, AIC and R² ignore the choice of features."
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("model", "Model"))
    return Exhibit(name, "table", title, summary, data, html=html)


_FIT_KEYS = (
    "events_per_variable", "chi2", "p", "deviance", "null_deviance", "log_likelihood", "aic", "mcfadden", "cox_snell",
    "nagelkerke", "separation",
)  # fmt: skip


def _univariate_rows(fit: LogisticFit, registry: MuscleRegistry, published: Mapping[str, str]) -> list[dict[str, str]]:
    counts = f"{fit.n_events} / {fit.n}"
    rows = [_whole_row(test, counts, registry, published) for test in fit.tests if test.df > 1]
    for c in fit.coefficients:
        is_level = any(test.df > 1 for test in fit.tests)
        rows.append(
            {
                "group": _group(c),
                "feature": row_label(c.name, registry),
                "n": counts,
                **_likelihood_cells(c, estimable=not fit.is_separated),
                # A level has no standard deviation that anybody would count in.
                **(dict.fromkeys(("per_sd", "profile_per_sd"), NOTHING) if ": " in c.name else {}),
                "p_lr": p_value(c.p_lr),
                "published": "" if is_level else published.get(c.name.partition(": ")[0], ""),
            }
        )
    return rows


def _likelihood_cells(c: Coefficient, *, estimable: bool) -> dict[str, str]:
    found = {
        "coefficient": f"{fixed(c.estimate * c.step, 2)} ({fixed(c.se * c.step, 2)})",
        "odds_ratio": ratio(c.odds_ratio),
        "wald": ratio_interval(c.interval),
        "profile": ratio_interval(c.profile),
        "per_sd": ratio(c.odds_ratio_per_sd),
        "profile_per_sd": ratio_interval(c.profile_per_sd),
        "p": p_value(c.p),
    }
    return found if estimable and not isnan(c.estimate) else dict.fromkeys(found, NO_ESTIMATE)


def _whole_row(test: ColumnTest, counts: str, registry: MuscleRegistry, published: Mapping[str, str]) -> dict[str, str]:
    return {
        "group": _COVARIATES,
        "feature": f"{feature_title(test.name, registry)} ({test.df + 1} levels)",
        "n": counts,
        "p_lr": p_value(test.p),
        "published": published.get(test.name, ""),
    }


def _joint_row(
    fit: LogisticFit,
    c: Coefficient,
    f: FirthCoefficient,
    registry: MuscleRegistry,
    published: Mapping[str, str],
) -> dict[str, str]:
    return {
        "group": _group(c),
        "feature": row_label(c.name, registry),
        **_likelihood_cells(c, estimable=not fit.is_separated),
        "p_lr": p_value(c.p_lr),
        "vif": fixed(c.vif, 2),
        "firth": ratio(f.odds_ratio),
        "firth_profile": ratio_interval(f.profile),
        "firth_p": p_value(f.p),
        "published": published.get(c.name, ""),
    }


def _joint_html(name: str, title: str, rows: list[dict[str, str]], level: str, published: Mapping[str, str]) -> str:
    likelihood, penalised = "Maximum likelihood", "Firth's penalised likelihood"
    columns = [
        Column("coefficient", "Coefficient (SE)", spanner=likelihood),
        Column("odds_ratio", "Odds ratio", spanner=likelihood),
        Column("wald", f"{level}, Wald", spanner=likelihood),
        Column("profile", f"{level}, profile", spanner=likelihood),
        Column("per_sd", "Per SD", spanner=likelihood),
        Column("p_lr", "P (LR)", spanner=likelihood),
        Column("vif", "VIF"),
        Column("firth", "Odds ratio", spanner=penalised),
        Column("firth_profile", f"{level}, profile", spanner=penalised),
        Column("firth_p", "P (LR)", spanner=penalised),
        *published_column(published),
    ]
    frame = pd.DataFrame(rows, columns=["group", "feature", *(column.key for column in columns)])
    return table_html(name, frame, columns, title=title, row_label=("feature", "Feature"), group="group")


def _how_chosen(model: EntryModel | PrespecifiedModel) -> str:
    if isinstance(model, PrespecifiedModel):
        return f"One model of {_counted(len(model.columns), 'feature')} chosen before the data were seen."
    return (
        f"One model of the {_counted(len(model.entered), 'candidate')} of {len(model.univariate)} with a univariate P "
        f"below {model.entry_p:g}, as the study built it. It is a poor habit: the same patients choose the features "
        "and then test them, so odds ratios come out too extreme, P too small and intervals too narrow."
    )


def _smaller_group(fit: LogisticFit) -> int:
    return min(fit.n_events, fit.n - fit.n_events)


def _reading(fit: LogisticFit, firth: FirthFit, n_candidates: int) -> str:
    per_candidate = ""
    if n_candidates:
        share = fixed(_smaller_group(fit) / n_candidates, 1)
        per_candidate = f", counting all {n_candidates} candidates that were looked at: {share}"
    words = (
        f"Each odds ratio is adjusted for the other features; it is per step (named above its rows), or per standard "
        f"deviation (SD). n = {fit.n} with {fit.n_events} events, {fixed(fit.events_per_variable, 1)} of the smaller "
        f"group for each of {_counted(fit.df, 'term')}{per_candidate} (below about 10 overfitting is likely; 10 is no "
        "guarantee)"
    )
    if fit.n_missing:
        words += f"; {fit.n_missing} left out because a value is missing"
    words += (
        f". Whole model: LR χ² = {fixed(fit.chi2, 2)} with {fit.df} df, P {p_equals(fit.p)}; "
        f"AIC {fixed(fit.aic, 1)}, R² after McFadden {fixed(fit.mcfadden, 3)} and Nagelkerke "
        f"{fixed(fit.nagelkerke, 3)}. VIF: how much the other features inflate a coefficient's variance (above 10 is "
        "much). Firth's penalty takes the small-sample bias off the estimates and keeps them finite; "
        f"its whole model has χ² = {fixed(firth.chi2, 2)}, P {p_equals(firth.p)}."
    )
    if fit.is_separated:
        words += (
            f" There is {fit.separation} separation: the features predict "
            f"{'all' if fit.separation == 'complete' else 'some'} outcomes perfectly, so that maximum likelihood has "
            "no finite odds ratios; read Firth's."
        )
    return words


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


_COVARIATES = "Covariates, odds ratio per unit or against the reference"


def _group(c: Coefficient) -> str:
    parameter = split_feature(c.name)[1]
    if not parameter:
        return _COVARIATES
    return f"{PARAMETERS[parameter].title}, odds ratio {step_words(c.name, c.step)}"


def _beside(
    coefficients: Sequence[Coefficient], published: Mapping[str, str], registry: MuscleRegistry
) -> tuple[Beside, ...]:
    return tuple(
        Beside(term_title(c.name, registry), published[c.name], _found(c)) for c in coefficients if c.name in published
    )


def _found(c: Coefficient) -> str:
    if isnan(c.odds_ratio):
        return NO_ESTIMATE
    found = f"odds ratio {ratio(c.odds_ratio)}"
    return f"{found} ({ratio_interval(c.profile)})" if c.profile.is_defined else found


def _no_rows() -> pd.DataFrame:
    return pd.DataFrame(columns=["feature", "n", "n_events", "odds_ratio"])


def _data_row(fit: LogisticFit, c: Coefficient, f: FirthCoefficient | None) -> dict[str, object]:
    row: dict[str, object] = {"feature": c.name, "n": fit.n, "n_events": fit.n_events, "n_missing": fit.n_missing}
    row |= {key: getattr(c, key) for key in ("estimate", "se", "z", "p", "chi2", "p_lr", "step", "odds_ratio")}
    row |= named_bounds("wald", c.interval) | named_bounds("profile", c.profile)
    row |= {"level": c.interval.level, "sd": c.sd, "odds_ratio_per_sd": c.odds_ratio_per_sd}
    row |= named_bounds("wald_per_sd", c.interval_per_sd) | named_bounds("profile_per_sd", c.profile_per_sd)
    row |= {"vif": c.vif, "separation": fit.separation}
    if f is not None:
        row |= {f"firth_{key}": getattr(f, key) for key in ("estimate", "se", "chi2", "p", "odds_ratio")}
        row |= named_bounds("firth_profile", f.profile) | {"firth_odds_ratio_per_sd": f.odds_ratio_per_sd}
        row |= named_bounds("firth_profile_per_sd", f.profile_per_sd)
    return row
