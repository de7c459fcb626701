"""Tables of what models keep of their performance in new patients, and of whether their probabilities hold."""

from collections.abc import Mapping, Sequence
from math import isfinite

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import count, feature_title, fixed, p_value
from dtimuscle.presentation.tables.cells import NO_ESTIMATE, bounds_of, estimate_cell, estimate_with_interval
from dtimuscle.statistics.calibration import Calibration
from dtimuscle.statistics.validation import ModelValidation, Performance

_PARTS = ("apparent", "optimism", "corrected", "cross_validated")


def validation_table(
    validations: Sequence[ModelValidation],
    registry: MuscleRegistry,
    *,
    published: Mapping[str, str] | None = None,
    title: str = "What the models are worth in new patients",
    name: str = "validation",
) -> Exhibit:
    """List apparent, optimism-corrected and cross-validated performance side by side.

    Parameters
    ----------
    validations : sequence of ModelValidation
        Models, validated on the same resamples.
    registry : MuscleRegistry
        Printed names of muscles.
    published : mapping of str to str, optional
        Published AUC as printed, by the name of the model.
    title : str, default="What the models are worth in new patients"
        Heading.
    name : str, default="validation"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per model.
    """
    published = published or {}
    rows, beside = [], []
    for model in validations:
        words = feature_title(model.name, registry)
        rows.append(
            {
                "name": words,
                "features": str(len(model.columns)),
                "events": fixed(model.events_per_variable, 1),
                "published": published.get(model.name, ""),
                "apparent": estimate_cell(model.apparent.auc, 3),
                "corrected": estimate_cell(model.corrected.auc, 3),
                "cross_validated": _with_sd(model),
                "slope": estimate_cell(model.corrected.slope, 2),
                "brier_apparent": estimate_cell(model.apparent.brier, 3),
                "brier_corrected": estimate_cell(model.corrected.brier, 3),
            }
        )
        if model.name in published:
            beside.append(Beside(f"AUC of {words}", published[model.name], _found(model)))
    columns = [Column("features", "Features"), Column("events", "Events per feature")]
    if beside:
        columns.append(Column("published", "Published", spanner="AUC"))
    columns += [
        Column("apparent", "Apparent", spanner="AUC"),
        Column("corrected", "Optimism-corrected", spanner="AUC"),
        Column("cross_validated", "Cross-validated ± SD", spanner="AUC"),
        Column("slope", "Corrected", spanner="Calibration slope"),
        Column("brier_apparent", "Apparent", spanner="Brier score"),
        Column("brier_corrected", "Corrected", spanner="Brier score"),
    ]
    data = pd.DataFrame([_validation_row(model, published.get(model.name, "")) for model in validations])
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("name", "Model"))
    summary = " ".join([_how_validated(validations), _what_was_lost(validations, registry)]).strip()
    return Exhibit(name, "table", title, summary, data, html=html, beside=tuple(beside))


def calibration_table(
    calibrations: Sequence[Calibration], registry: MuscleRegistry, *, name: str = "calibration"
) -> Exhibit:
    """List how well the probabilities of models come true.

    Parameters
    ----------
    calibrations : sequence of Calibration
        Models; apparent and out-of-fold predictions of one model may stand side by side.
    registry : MuscleRegistry
        Printed names of muscles.
    name : str, default="calibration"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per model and kind of prediction.
    """
    rows = [
        {
            "group": _kind_of(item),
            "name": feature_title(item.name, registry),
            "n": f"{item.n_events} / {item.n}",
            "slope": estimate_with_interval(item.slope.value, item.slope.interval, 2),
            "intercept": estimate_with_interval(item.intercept.value, item.intercept.interval, 2),
            "large": estimate_with_interval(item.in_the_large.value, item.in_the_large.interval, 2),
            "brier": fixed(item.brier, 3),
            "brier_scaled": estimate_cell(100 * item.brier_scaled, 0),
            "chi2": NO_ESTIMATE if not isfinite(item.hosmer_lemeshow.p) else _chi2(item),
            "hl_p": p_value(item.hosmer_lemeshow.p),
        }
        for item in calibrations
    ]
    columns = [
        Column("n", "Events / n"),
        Column("slope", "Slope", spanner="Recalibration"),
        Column("intercept", "Intercept", spanner="Recalibration"),
        Column("large", "In the large", spanner="Recalibration"),
        Column("brier", "Score", spanner="Brier"),
        Column("brier_scaled", "Scaled, %", spanner="Brier"),
        Column("chi2", "χ² (df)", spanner="Hosmer–Lemeshow"),
        Column("hl_p", "P", spanner="Hosmer–Lemeshow"),
    ]
    title = "Whether predicted probabilities come true"
    html = table_html(name, pd.DataFrame(rows), columns, title=title, row_label=("name", "Model"), group="group")
    data = pd.DataFrame([_calibration_row(item) for item in calibrations])
    return Exhibit(name, "table", title, _how_calibrated(calibrations), data, html=html)


def _with_sd(model: ModelValidation) -> str:
    auc = estimate_cell(model.cross_validated.auc, 3)
    return f"{auc} ± {fixed(model.cross_validated_sd, 3)}" if isfinite(model.cross_validated_sd) else auc


def _found(model: ModelValidation) -> str:
    return f"{estimate_cell(model.apparent.auc, 3)} apparent, {estimate_cell(model.corrected.auc, 3)} corrected"


def _validation_row(model: ModelValidation, published: str) -> dict[str, object]:
    return {
        "name": model.name,
        "columns": ", ".join(model.columns),
        "n_features": len(model.columns),
        "n": model.n,
        "n_events": model.n_events,
        "n_missing": model.n_missing,
        "events_per_variable": model.events_per_variable,
        **{f"{part}_{key}": value for part in _PARTS for key, value in _numbers(getattr(model, part)).items()},
        "cross_validated_sd": model.cross_validated_sd,
        "n_resamples": model.n_resamples,
        "n_folds": model.n_folds,
        "n_repeats": model.n_repeats,
        "n_failed": model.n_failed,
        "seed": model.seed,
        "published": published,
    }


def _numbers(found: Performance) -> dict[str, float]:
    return {"auc": found.auc, "slope": found.slope, "brier": found.brier}


def _how_validated(validations: Sequence[ModelValidation]) -> str:
    if not validations:
        return "No model was validated."
    model = validations[0]
    folds = f"{model.n_folds}-fold cross-validation, {model.n_repeats} times"
    return (
        f"{model.n} patients, {model.n_events} with poor function: those in whom all features of all models are known, "
        "so that models compare in pairs (on other pages a model may have more). Apparent: each model tried on the "
        f"patients it was fitted to. Optimism-corrected: fitted again in {count(model.n_resamples)} bootstrap "
        "samples, and what it scores there beyond its score in the original patients taken off (Harrell). "
        f"Cross-validated: the mean of patients left out, {folds if model.n_folds else 'not possible here'}; SD over "
        "the repeats. The choice of features by P, where there is one, was made anew in each resample. A slope below "
        f"1 says that predictions are too extreme; a smaller Brier score is better. Seed {model.seed}."
    )


def _what_was_lost(validations: Sequence[ModelValidation], registry: MuscleRegistry) -> str:
    known = [model for model in validations if isfinite(model.optimism.auc)]
    if not known:
        return ""
    worst = max(known, key=lambda model: model.optimism.auc)
    words = (
        f"The apparent AUC flatters: by the bootstrap {feature_title(worst.name, registry)} loses most, "
        f"{fixed(worst.optimism.auc, 3)} of {fixed(worst.apparent.auc, 3)}"
    )
    tried = [model for model in known if isfinite(model.cross_validated.auc)]
    if tried:
        worst = max(tried, key=lambda model: model.apparent.auc - model.cross_validated.auc)
        lost = worst.apparent.auc - worst.cross_validated.auc
        words += (
            f"; by cross-validation {feature_title(worst.name, registry)}, {fixed(lost, 3)} of "
            f"{fixed(worst.apparent.auc, 3)}"
        )
    return (
        f"{words}. Where corrected and cross-validated values differ, as after a choice among many features, the lower "
        "one is the safer guess for new patients."
    )


def _chi2(item: Calibration) -> str:
    return f"{fixed(item.hosmer_lemeshow.statistic, 1)} ({item.hosmer_lemeshow.df})"


def _kind_of(item: Calibration) -> str:
    return "Apparent: fitted to these patients" if item.is_apparent else "Predicted by models without the patient"


def _calibration_row(item: Calibration) -> dict[str, object]:
    terms = {"slope": item.slope, "intercept": item.intercept, "in_the_large": item.in_the_large}
    row: dict[str, object] = {"name": item.name, "is_apparent": item.is_apparent}
    row |= {"n": item.n, "n_events": item.n_events, "n_missing": item.n_missing}
    for name, term in terms.items():
        row |= {name: term.value, f"{name}_se": term.se, f"{name}_p": term.p}
        row |= {f"{name}_{key}": value for key, value in bounds_of(term.interval).items()}
    return row | {
        "recalibration_p": item.recalibration_p,
        "observed_expected": item.observed_expected,
        "brier": item.brier,
        "brier_scaled": item.brier_scaled,
        "spiegelhalter_z": item.spiegelhalter_z,
        "spiegelhalter_p": item.spiegelhalter_p,
        "ici": item.ici,
        "hosmer_lemeshow": item.hosmer_lemeshow.statistic,
        "hosmer_lemeshow_df": item.hosmer_lemeshow.df,
        "hosmer_lemeshow_p": item.hosmer_lemeshow.p,
    }


def _how_calibrated(calibrations: Sequence[Calibration]) -> str:
    if not calibrations:
        return "No model was calibrated."
    level = calibrations[0].slope.interval.level
    words = (
        "Logistic regression of the outcome on the predicted log odds: ideal are slope 1 and intercept 0; a slope "
        "below 1 says that high probabilities are too high and low ones too low. In the large: above 0, poor function "
        f"is more frequent than predicted. In parentheses {100 * level:g}% Wald intervals. The scaled Brier score is "
        "what the model gains over giving everybody the prevalence. Hosmer and Lemeshow's test compares observed and "
        "expected counts in groups of similar probability; its P is rough where fewer than "
        "about 5 are expected, and a large one is no proof. Out of fold, calibration in the large is near 0 by "
        "construction and says nothing about another clinic."
    )
    if any(item.is_apparent for item in calibrations):
        words += (
            " In the patients that a model was fitted to by maximum likelihood the slope is 1 and the intercept 0 by "
            "construction, and say nothing about new patients."
        )
    return words
