"""Studies without any error: patients are drawn, everything is computed from them, and then printed as papers print.

The audit must not speak against them, whatever they print. Nothing of the kit is used to compute them, so that a
mistake of its own can show. The same studies with one thing made wrong tell what the audit finds.
"""

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import statsmodels.api as sm
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Mapping = dict[str, Any]

MUSCLES = ("gracilis", "adductor_magnus", "adductor_longus", "rectus_femoris", "vastus_lateralis", "sartorius")
UNITS = {"mm²/s": (1.0, 5), "10⁻³ mm²/s": (1e3, 2), "µm²/ms": (1e3, 2), "10⁻⁶ mm²/s": (1e6, 0)}
LEVEL_Z = stats.norm.ppf(0.975)


@dataclass(frozen=True)
class Patients:
    """Everything that a study measured.

    Parameters
    ----------
    values : dict of str to ndarray
        By feature; FA without unit, MD in mm²/s.
    poor : ndarray of bool
        Who has poor muscle function.
    grade : ndarray of int
        0 to 3 with poor, 4 or 5 with good function.
    """

    values: dict[str, Floats]
    poor: NDArray[np.bool_]
    grade: NDArray[np.int64]

    @property
    def n(self) -> dict[str, int]:
        """Number of patients by group."""
        return {"poor": int(self.poor.sum()), "good": int((~self.poor).sum())}

    def of(self, feature: str, group: str) -> Floats:
        """Values of a feature in a group."""
        return self.values[feature][self.poor if group == "poor" else ~self.poor]


def draw_patients(rng: Generator, *, skewed: bool = False) -> Patients:
    """Draw 15 to 200 patients for each group, FA and MD of one to six muscles, and differences of 0 to 1.5 SD.

    Parameters
    ----------
    rng : Generator
        Source of chance.
    skewed : bool, default=False
        Whether values are log-normal within groups (skewness about 0.95) instead of normal.
    """
    n_poor, n_good = (int(n) for n in np.exp(rng.uniform(math.log(15), math.log(200), 2)).round())
    poor = np.arange(n_poor + n_good) < n_poor
    muscles = rng.permutation(MUSCLES)[: rng.integers(1, 7)]
    features = [f"{muscle}.{parameter}" for muscle in muscles for parameter in ("fa", "md")]
    loadings = rng.normal(0, rng.uniform(0, 1.5), (len(features), 3))
    loadings = np.column_stack([loadings, np.ones(len(features))]) / np.sqrt(1 + (loadings**2).sum(axis=1))[:, None]
    scores = loadings[:, :3] @ rng.normal(size=(3, poor.size)) + loadings[:, 3:] * rng.normal(
        size=(len(features), poor.size)
    )
    if skewed:
        scores = (np.exp(0.3 * scores) - math.exp(0.045)) / math.sqrt(math.exp(0.18) - math.exp(0.09))
    signs = dict(zip(("fa", "md"), rng.choice([-1, 1], 2), strict=True))
    effects = np.array([signs[name[-2:]] * rng.choice([0.0, rng.uniform(0, 1.5)], p=[0.2, 0.8]) for name in features])
    spread_of_poor = rng.choice([1.0, rng.uniform(0.8, 1.25)])
    values = {}
    for feature, score, effect in zip(features, scores, effects, strict=True):
        mean, cv = (rng.uniform(0.22, 0.34), rng.uniform(0.08, 0.15))
        if feature.endswith("md"):
            mean, cv = (rng.uniform(1.2e-3, 1.6e-3), rng.uniform(0.05, 0.15))
        values[feature] = mean * (1 + cv * np.where(poor, spread_of_poor * score + effect, score))
    return Patients(values, poor, _grades(rng, poor, scores, effects, loadings))


def _grades(
    rng: Generator, poor: NDArray[np.bool_], scores: Floats, effects: Floats, loadings: Floats
) -> NDArray[np.int64]:
    """Draw grades that go with the features within the groups as the groups do.

    Along Σ⁻¹δ, the direction that tells the groups apart best, strength covaries with each feature in proportion to
    its difference δ, so that no correlation turns the other way than the groups.
    """
    correlation = loadings[:, :3] @ loadings[:, :3].T + np.diag(loadings[:, 3] ** 2)
    strength = -(np.linalg.solve(correlation, effects) @ scores)
    strength = rng.uniform(0, 1) * strength / (strength.std() or 1.0) + rng.normal(size=poor.size)
    return np.where(poor, np.clip(2 + strength, 0, 3.99), 4 + (strength > 0)).astype(np.int64)


def print_p(p: float, style: str) -> str:
    """Print P as papers do: to three or two digits, or as a bound."""
    if p < 0.001:
        return "< 0.001"
    if style == "exact":
        return f"= {p:.3f}"
    if style == "short" and p >= 0.01:
        return f"= {p:.2f}"
    return "< 0.01" if p < 0.01 else "< 0.05" if p < 0.05 else "> 0.05"


def two_sample_p(patients: Patients, test: str) -> dict[str, float]:
    """Compute P of the difference between the groups, feature by feature."""
    values = np.array(list(patients.values.values()))
    first, second = values[:, patients.poor], values[:, ~patients.poor]
    if test == "mann_whitney":
        result = stats.mannwhitneyu(first, second, method="asymptotic", axis=1)
    else:
        result = stats.ttest_ind(first, second, equal_var=test == "student", axis=1)
    return dict(zip(patients.values, result.pvalue.tolist(), strict=True))


def placements(score: Floats, poor: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Compute for each event the share of controls below it, and for each control that of events above it."""
    above = np.sign(score[poor][:, None] - score[~poor][None, :]) / 2 + 0.5
    return above.mean(axis=1), above.mean(axis=0)


def delong(scores: list[Floats], poor: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Compute the AUCs of scores and their covariance (DeLong, DeLong & Clarke-Pearson 1988)."""
    events, controls = (np.array(parts) for parts in zip(*(placements(score, poor) for score in scores), strict=True))
    covariance = np.cov(events).reshape(len(scores), -1) / events.shape[1]
    return events.mean(axis=1), covariance + np.cov(controls).reshape(len(scores), -1) / controls.shape[1]


@dataclass(frozen=True)
class Model:
    """A logistic regression of poor function on features.

    Parameters
    ----------
    features : list of str
        What is in it.
    intercept : float
        Of the linear predictor.
    coefficients, errors : ndarray
        For an increase of one SD, and their standard errors.
    centre, scale : ndarray
        Mean and SD of the features.
    """

    features: list[str]
    intercept: float
    coefficients: Floats
    errors: Floats
    centre: Floats
    scale: Floats

    def predict(self, values: Floats) -> Floats:
        """Compute the linear predictor of patients (rows)."""
        return self.intercept + (values - self.centre) / self.scale @ self.coefficients


def columns_of(patients: Patients, features: list[str]) -> Floats:
    """Put values of features beside each other."""
    return np.column_stack([patients.values[feature] for feature in features])


def fit_logistic(values: Floats, poor: NDArray[np.bool_], features: list[str]) -> Model | None:
    """Fit a logistic regression by maximum likelihood; None where the groups are separated."""
    centre, scale = values.mean(axis=0), values.std(axis=0, ddof=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            design = sm.add_constant((values - centre) / scale, has_constant="add")
            fit = sm.Logit(poor.astype(float), design).fit(disp=0, maxiter=60)
        except (Warning, np.linalg.LinAlgError):
            return None
    if np.abs(fit.params).max() > 20:
        return None
    return Model(features, float(fit.params[0]), fit.params[1:], fit.bse[1:], centre, scale)


def cross_validated(patients: Patients, features: list[str], rng: Generator) -> Floats | None:
    """Predict each patient by the model of the others, in five folds; None where a model cannot be fitted."""
    values, fold = columns_of(patients, features), rng.permutation(patients.poor.size) % 5
    predictor = np.empty(patients.poor.size)
    for left_out in range(5):
        kept = fold != left_out
        model = fit_logistic(values[kept], patients.poor[kept], features)
        if model is None:
            return None
        predictor[~kept] = model.predict(values[~kept])
    return predictor


@dataclass
class Writer:
    """Prints claims about patients, each style drawn by chance, and truthfully.

    Parameters
    ----------
    patients : Patients
        Whom it is about.
    rng : Generator
        Source of chance.
    unsaid_ranks : bool, default=False
        Whether P come from the Mann–Whitney test and the study does not say so.
    """

    patients: Patients
    rng: Generator
    unsaid_ranks: bool = False

    def __post_init__(self) -> None:
        """Choose the styles of the paper."""
        self.claims: list[Mapping] = []
        self.features = list(self.patients.values)
        self.decimals = int(self.rng.integers(2, 4))
        self.p_style = str(self.rng.choice(["exact", "short", "bound"], p=[0.5, 0.1, 0.4]))
        self.test = "mann_whitney" if self.unsaid_ranks else str(self.rng.choice(["student", "welch"]))
        self.p = two_sample_p(self.patients, self.test)
        self.says_test = bool(self.rng.integers(2)) and not self.unsaid_ranks

    def chance(self, probability: float) -> bool:
        """Throw a coin."""
        return bool(self.rng.random() < probability)

    def add(self, kind: str, claim_id: str, **fields: Any) -> None:
        """Add a claim."""
        self.claims.append({"id": claim_id, "kind": kind, "place": "Table", "statement": "As computed.", **fields})

    def tested(self) -> Mapping:
        """Say which test was used, or not."""
        return {"test": self.test} if self.says_test else {}

    def means(self) -> None:
        """Print means and SDs (or standard errors) of all features, with or without P."""
        spread = "se" if self.chance(0.15) else "sd"
        says_p = self.chance(0.7)
        for parameter in ("fa", "md"):
            unit = "1" if parameter == "fa" else str(self.rng.choice(list(UNITS)))
            factor, decimals = (1.0, 2) if unit == "1" else UNITS[unit]
            decimals += self.decimals - 2 + (spread == "se")
            if parameter == "md" and decimals > 0 and self.chance(0.15):
                decimals -= 1
            rows = []
            for feature in (name for name in self.features if name.endswith(parameter)):
                for group in ("poor", "good"):
                    values = self.patients.of(feature, group) * factor
                    sd = values.std(ddof=1) / (math.sqrt(values.size) if spread == "se" else 1)
                    row = {"feature": feature, "group": group}
                    row |= {"mean": f"{values.mean():.{decimals}f}", "sd": f"{sd:.{decimals}f}"}
                    if says_p and group == "poor":
                        row |= {"versus": "good", "p": print_p(self.p[feature], self.p_style)}
                    rows.append(row)
            if all(float(row["sd"]) > 0 for row in rows) and self.chance(0.9):
                said = self.tested() if says_p else {}
                self.add("group_means", f"means_{parameter}", unit=unit, spread=spread, means=rows, **said)

    def differences(self) -> None:
        """Print which features differ with P below 0.05, and which way."""
        found: dict[str, list[str]] = {"lower": [], "higher": []}
        for feature in self.features:
            if self.p[feature] < 0.05:
                difference = self.patients.of(feature, "poor").mean() - self.patients.of(feature, "good").mean()
                if self.test == "mann_whitney":
                    difference = placements(self.patients.values[feature], self.patients.poor)[0].mean() - 0.5
                found["higher" if difference > 0 else "lower"].append(feature)
        for direction, features in found.items():
            if features and self.chance(0.9):
                fields = {"features": features, "group": "poor", "versus": "good", "direction": direction}
                self.add("group_difference", direction, p="< 0.05", **fields, **self.tested())

    def correlations(self) -> None:
        """Print correlations of a few features with the grade, in any of the four wordings."""
        for index, feature in enumerate(self.rng.permutation(self.features)[: self.rng.integers(0, 4)]):
            method = str(self.rng.choice(["pearson", "spearman"], p=[0.8, 0.2]))
            compute = stats.pearsonr if method == "pearson" else stats.spearmanr
            r, p = compute(self.patients.values[feature], self.patients.grade)
            outcome, change = (
                str(self.rng.choice(pair)) for pair in (("weakening", "strength"), ("decrease", "increase"))
            )
            r *= 1 if (outcome == "weakening") == (change == "decrease") else -1
            if float(text := f"{r:.{self.decimals}f}") == 0:
                continue
            fields: Mapping = {"outcome": outcome, "change": change, "sign": "positive" if r > 0 else "negative"}
            fields |= {"coefficient": text, "features": [str(feature)], "p": print_p(p, self.p_style)}
            if method == "pearson" and self.chance(0.5):
                ends = np.tanh(np.arctanh(r) + np.array([-1, 1]) * LEVEL_Z / math.sqrt(self.patients.poor.size - 3))
                fields["interval"] = self.interval(*ends)
            if method == "spearman" or self.chance(0.5):
                fields["method"] = method
            self.add("correlation", f"correlation_{index}", **fields)

    def interval(self, low: float, high: float) -> Mapping:
        """Print a 95% interval."""
        low_text, high_text = (f"{end:.{self.decimals}f}" for end in (low, high))
        return {"low": low_text, "high": high_text, "level_percent": "95"}

    def auc(self, claim_id: str, predictor: str, score: Floats, **fields: Any) -> None:
        """Print an AUC with or without its interval, DeLong's or that of the logit."""
        values, covariance = delong([score], self.patients.poor)
        value, se = float(values[0]), math.sqrt(float(covariance[0, 0]))
        if se > 0 and value < 1 and self.chance(0.8):
            ends = np.clip(value + np.array([-1, 1]) * LEVEL_Z * se, 0, 1)
            if self.chance(0.3):
                half = LEVEL_Z * se / (value * (1 - value))
                ends = 1 / (1 + np.exp(-(math.log(value / (1 - value)) + np.array([-half, half]))))
            fields["interval"] = self.interval(*ends)
            if self.chance(0.3):
                fields["p"] = print_p(float(2 * stats.norm.sf(abs(value - 0.5) / se)), self.p_style)
        self.add("auc", claim_id, predictor=predictor, auc=f"{value:.{self.decimals}f}", **fields)

    def oriented(self, feature: str) -> Floats:
        """Turn a feature so that its AUC is at least 0.5."""
        score = self.patients.values[feature]
        return score if placements(score, self.patients.poor)[0].mean() >= 0.5 else -score

    def single_aucs(self) -> None:
        """Print AUCs of a few single features, and that one is above another where P is below 0.05."""
        chosen = [str(name) for name in self.rng.permutation(self.features)[: self.rng.integers(0, 4)]]
        for index, feature in enumerate(chosen):
            self.auc(f"auc_{index}", feature, self.oriented(feature))
        if len(chosen) > 1:
            self.compare(chosen[0], {name: self.oriented(name) for name in chosen[:2]}, [], "single_beats")

    def compare(self, higher: str, scores: dict[str, Floats], features: list[str], claim_id: str) -> None:
        """Print that an AUC is above others if DeLong's P of each comparison is below 0.05."""
        lower = [name for name in scores if name != higher]
        values, covariance = delong([scores[higher], *(scores[name] for name in lower)], self.patients.poor)
        contrasts = np.column_stack([np.ones(len(lower)), -np.eye(len(lower))])
        variances = np.diag(contrasts @ covariance @ contrasts.T)
        if lower and np.all(variances > 1e-12) and np.all(contrasts @ values / np.sqrt(variances) > LEVEL_Z):
            fields = {"features": features} if features else {}
            self.add("auc_comparison", claim_id, higher=higher, lower=lower, p="< 0.05", **fields)

    def models(self) -> None:
        """Print AUCs of combinations, their comparison, and the independent factors."""
        muscles = sorted({name.split(".")[0] for name in self.features})
        kept = [str(name) for name in self.rng.permutation(muscles)[: self.rng.integers(1, len(muscles) + 1)]]
        features = [name for name in self.features if name.split(".")[0] in kept]
        models = {}
        for predictor in ("fa+md", "fa", "md"):
            members = [name for name in features if name.split(".")[1] in predictor.split("+")]
            model = fit_logistic(columns_of(self.patients, members), self.patients.poor, members)
            if model is not None:
                models[predictor] = model
        if "fa+md" not in models:
            return
        self.factors(models["fa+md"])
        if self.chance(0.2):
            score = cross_validated(self.patients, features, self.rng)
            if score is not None:
                self.auc("auc_combined", "fa+md", score, features=features, validation="cross_validated")
            return
        self.apparent_aucs(models, features)

    def apparent_aucs(self, models: dict[str, Model], features: list[str]) -> None:
        """Print AUCs of models in the patients that they were fitted to, and their comparison."""
        says = {"validation": "apparent"} if self.chance(0.5) else {}
        scores = {
            predictor: model.predict(columns_of(self.patients, model.features)) for predictor, model in models.items()
        }
        for predictor, score in scores.items():
            if self.chance(0.8 if predictor == "fa+md" else 0.4):
                name = f"auc_{predictor.replace('+', '_')}"
                self.auc(name, predictor, score, features=models[predictor].features, **says)
        if self.chance(0.7):
            self.compare("fa+md", scores, features, "combined_beats")

    def factors(self, model: Model) -> None:
        """Print the factors whose P is below 0.05 in a model, with or without odds ratios."""
        says_odds, rows = self.chance(0.5), []
        for feature, coefficient, se in zip(model.features, model.coefficients, model.errors, strict=True):
            p = float(2 * stats.norm.sf(abs(coefficient) / se))
            if p >= 0.05:
                continue
            row: Mapping = {"feature": feature, "change": "increase" if coefficient > 0 else "decrease"}
            odds_ratio = f"{math.exp(coefficient):.{self.decimals}f}"
            if says_odds and float(odds_ratio) > 0:
                ends = np.exp(coefficient + np.array([-1, 1]) * LEVEL_Z * se)
                row |= {"odds_ratio": odds_ratio, "per": "one SD", "p": print_p(p, self.p_style)}
                row["interval"] = self.interval(*ends)
            rows.append(row)
        if rows and self.chance(0.8):
            self.add("independent_factors", "factors", event="poor", factors=rows, p="< 0.05")

    def study(self, name: str) -> Mapping:
        """Put all claims together."""
        for part in (self.means, self.differences, self.correlations, self.single_aucs, self.models):
            part()
        return _study(name, self.patients, self.claims)


def _study(name: str, patients: Patients, claims: list[Mapping]) -> Mapping:
    n = patients.n
    words = ("question", "kind", "centre", "period", "patients", "predictors")
    return {
        "id": name,
        "citation": "Nobody et al.",
        "title": "A study that was computed",
        "source": "full text",
        "design": dict.fromkeys(words, "made up") | {"n": sum(n.values()), "analyses": ["all of them"]},
        "outcome": {"name": "strength", "lowest": 0, "highest": 5},
        "groups": [
            {
                "id": "poor",
                "title": "poor function",
                "stands_for": "poor",
                "grades": {"lowest": 0, "highest": 3},
                "n": n["poor"],
            },
            {
                "id": "good",
                "title": "good function",
                "stands_for": "good",
                "grades": {"lowest": 4, "highest": 5},
                "n": n["good"],
            },
        ],
        "claims": claims,
    }


def consistent_study(seed: int, *, skewed: bool = False, unsaid_ranks: bool = False) -> Mapping:
    """Make a study without any error.

    Parameters
    ----------
    seed : int
        Decides everything.
    skewed : bool, default=False
        Whether values are mildly skewed within groups.
    unsaid_ranks : bool, default=False
        Whether P come from the Mann–Whitney test although the study does not say so.

    Returns
    -------
    dict
        For `PublishedStudy.from_mapping`; it has one claim at least.
    """
    rng = np.random.default_rng([seed, skewed, unsaid_ranks])
    while True:
        study = Writer(draw_patients(rng, skewed=skewed), rng, unsaid_ranks).study(f"study_{seed}")
        if study["claims"]:
            return study


def _claims(study: Mapping, kind: str) -> list[Mapping]:
    return [claim for claim in study["claims"] if claim["kind"] == kind]


def _as_printed(like: str, value: float) -> str:
    return f"{value:.{len(like.partition('.')[2])}f}"


def sd_printed_as_se(study: Mapping) -> bool:
    """Print standard errors of MD after ± and call them standard deviations."""
    n = {group["id"]: group["n"] for group in study["groups"]}
    for claim in _claims(study, "group_means"):
        if claim["id"] == "means_md" and claim["spread"] == "sd":
            for row in claim["means"]:
                row["sd"] = f"{float(row['sd']) / math.sqrt(n[row['group']]):.{len(row['sd'].partition('.')[2]) + 1}f}"
            return all(float(row["sd"]) > 0 for row in claim["means"])
    return False


def unit_is_wrong(study: Mapping) -> bool:
    """Print mm²/s where 10⁻³ mm²/s is meant."""
    for claim in _claims(study, "group_means"):
        if claim["unit"] in ("10⁻³ mm²/s", "µm²/ms"):
            claim["unit"] = "mm²/s"
            return True
    return False


def direction_is_flipped(study: Mapping) -> bool:
    """Turn the direction of a difference whose means are printed."""
    printed = {row["feature"] for claim in _claims(study, "group_means") for row in claim["means"]}
    for claim in _claims(study, "group_difference"):
        if set(claim["features"]) <= printed:
            claim["direction"] = {"lower": "higher", "higher": "lower"}[claim["direction"]]
            return True
    return False


def p_is_altered(study: Mapping) -> bool:
    """Print a third of a P beside means where it stands to three digits above 0.03."""
    for claim in _claims(study, "group_means"):
        for row in claim["means"]:
            if row.get("p", "").startswith("= ") and float(row["p"][2:]) > 0.03:
                row["p"] = f"= {float(row['p'][2:]) / 3:.3f}"
                return True
    return False


def n_are_swapped(study: Mapping) -> bool:
    """Exchange the numbers of patients of the groups where one is at least twice the other."""
    first, second = study["groups"]
    first["n"], second["n"] = second["n"], first["n"]
    return max(first["n"], second["n"]) >= 2 * min(first["n"], second["n"])


def _lower_combined_auc(study: Mapping, by: float) -> bool:
    n_event, n_other = (group["n"] for group in study["groups"])
    for claim in _claims(study, "auc"):
        auc = float(claim["auc"]) - by
        if claim["predictor"] == "fa+md" and claim.get("validation") != "cross_validated" and auc > 0.5:
            if "interval" in claim:
                # Of the length that Hanley & McNeil 1982 give the lower area, so that the two fit each other.
                pairs = (n_event - 1) * (auc / (2 - auc) - auc**2) + (n_other - 1) * (2 * auc**2 / (1 + auc) - auc**2)
                margin = LEVEL_Z * math.sqrt((auc * (1 - auc) + pairs) / (n_event * n_other))
                ends = {"low": max(auc - margin, 0.0), "high": min(auc + margin, 1.0)}
                claim["interval"] |= {name: _as_printed(claim["auc"], end) for name, end in ends.items()}
            claim["auc"] = _as_printed(claim["auc"], auc)
            claim.pop("p", None)
            return True
    return False


def combined_auc_is_lowered_a_little(study: Mapping) -> bool:
    """Print an AUC of the combination that is 0.1 too low."""
    return _lower_combined_auc(study, 0.1)


def combined_auc_is_lowered_a_lot(study: Mapping) -> bool:
    """Print an AUC of the combination that is 0.2 too low."""
    return _lower_combined_auc(study, 0.2)


def auc_interval_is_halved(study: Mapping) -> bool:
    """Print an interval of an AUC that is half as long as it should be."""
    for claim in _claims(study, "auc"):
        if "interval" in claim:
            for end in ("low", "high"):
                value = (float(claim["interval"][end]) + float(claim["auc"])) / 2
                claim["interval"][end] = _as_printed(claim["auc"], value)
            claim.pop("p", None)
            return True
    return False


def correlation_is_altered(study: Mapping) -> bool:
    """Add 0.2 to the size of a correlation whose P stands to three digits."""
    for claim in _claims(study, "correlation"):
        r = float(claim["coefficient"])
        if claim["p"].startswith("= ") and abs(r) < 0.7:
            claim["coefficient"] = _as_printed(claim["coefficient"], math.copysign(abs(r) + 0.2, r))
            claim.pop("interval", None)
            return True
    return False


MISTAKES: dict[str, Callable[[Mapping], bool]] = {
    "standard errors of MD printed as SDs": sd_printed_as_se,
    "mm²/s printed for 10⁻³ mm²/s": unit_is_wrong,
    "direction of a difference turned": direction_is_flipped,
    "P beside means divided by three": p_is_altered,
    "numbers of patients exchanged (1 : 2 or more)": n_are_swapped,
    "AUC of the combination 0.1 too low": combined_auc_is_lowered_a_little,
    "AUC of the combination 0.2 too low": combined_auc_is_lowered_a_lot,
    "interval of an AUC halved": auc_interval_is_halved,
    "correlation 0.2 too strong for its P": correlation_is_altered,
}


def with_mistake(study: Mapping, mistake: str) -> Mapping | None:
    """Make one thing of a study wrong.

    Parameters
    ----------
    study : dict
        A study without error; stays as it is.
    mistake : str
        One of `MISTAKES`.

    Returns
    -------
    dict or None
        None where the study prints nothing that could be wrong in this way.
    """
    wrong = copy.deepcopy(study)
    return wrong if MISTAKES[mistake](wrong) else None
