import re
from dataclasses import replace
from html import unescape
from math import inf, nan

import numpy as np
import pandas as pd
import pytest

from dtimuscle.muscles import Muscle, MuscleRegistry
from dtimuscle.presentation import figures, tables
from dtimuscle.presentation.style import step_words, term_title
from dtimuscle.presentation.tables.cells import NO_ESTIMATE, ratio, ratio_interval
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.logistic import enter_by_p, prespecified_model, univariate_models

PUBLISHED = {"gracilis.fa": "independent factor (lower FA), P < 0.05", "gluteus.fa": "not here"}


@pytest.fixture(scope="module")
def registry():
    return MuscleRegistry((Muscle("gracilis", "Gracilis", 1, 2), Muscle("adductor_longus", "Adductor longus", 3, 4)))


def study(*, gap=0.05):
    rng = np.random.default_rng(5)
    n = 60
    poor = np.arange(n) < 22
    index = pd.Index([f"{i:03d}" for i in range(n)], name="participant_id")
    values = pd.DataFrame(
        {
            "gracilis.fa": 0.26 - gap * poor + 0.04 * rng.normal(size=n),
            "adductor_longus.md": 1e-3 * (1.6 - 0.3 * poor + 0.3 * rng.normal(size=n)),
        },
        index=index,
    )
    covariates = pd.DataFrame(
        {"age": rng.normal(68, 6, n), "sex": ["F", "F", "M"] * 20, "site": ["a", "b", "c", "a"] * 15}, index=index
    )
    grade = pd.Series(np.where(poor, 2, 5), index, dtype="Int64")
    return FeatureFrame(values, grade, pd.Series(poor, index, dtype="boolean"), covariates)


@pytest.fixture(scope="module")
def features():
    return study()


@pytest.fixture(scope="module")
def entry(features):
    return enter_by_p(features, covariates=("sex",))


@pytest.fixture(scope="module")
def joint(features):
    return prespecified_model(features, ["gracilis.fa", "adductor_longus.md", "age", "sex"])


@pytest.fixture(scope="module")
def separated():
    return prespecified_model(study(gap=2.0), ["gracilis.fa", "adductor_longus.md"])


def text_of(html):
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.partition("</style>")[2])))


def test_odds_ratios_are_printed_with_the_digits_of_their_size():
    found = [ratio(value) for value in (0.00042, 0.0042, 0.0421, 0.421, 4.21, 421.3, 1e4, nan, inf)]
    assert found == ["< 0.001", "0.0042", "0.042", "0.42", "4.21", "421", "> 1000", NO_ESTIMATE, NO_ESTIMATE]
    assert ratio_interval(Interval(0.2, 3.0)) == "0.20 to 3.00"
    assert ratio_interval(Interval(0.02, 28437988394.0)) == "0.020 to > 1000"
    assert ratio_interval(Interval(0.2, nan)) == NO_ESTIMATE


def test_terms_and_steps_are_named(registry):
    assert term_title("gracilis.md", registry) == "Gracilis, ADC (MD)"
    assert term_title("sex: M against F", registry) == "Sex: M against F"
    found = [
        step_words(name, step) for name, step in (("a.fa", 0.1), ("a.md", 1e-4), ("age", 1.0), ("sex: M against F", 1))
    ]
    assert found == ["per 0.1", "per 0.1 × 10⁻³ mm²/s", "per unit", ""]


def test_univariate_models_show_features_and_covariates(features, registry):
    fits = univariate_models(features, covariates=("age", "sex", "site", "bmi"))
    exhibit = tables.univariate_table(fits, registry, published=PUBLISHED)
    text = text_of(exhibit.html)
    for words in ("FA, odds ratio per 0.1", "Sex: M against F", "Site (3 levels)", "Site: c against a", "22 / 60"):
        assert words in text
    assert "BMI, kg/m² 0 / 0 not estimable" in text
    assert PUBLISHED["gracilis.fa"] in text
    assert [(pair.label, pair.published) for pair in exhibit.beside] == [("Gracilis, FA", PUBLISHED["gracilis.fa"])]
    assert exhibit.data["odds_ratio"].iloc[0] == fits[0].coefficients[0].odds_ratio
    assert "Published" not in text_of(tables.univariate_table(fits, registry).html)


def test_univariate_models_show_both_intervals_and_what_one_sd_does(features, registry):
    fits = univariate_models(features, covariates=("sex",))
    exhibit = tables.univariate_table(fits, registry)
    text, first = text_of(exhibit.html), fits[0].coefficients[0]
    for heading in ("Per step", "Per SD", "Coefficient (SE)", "95% CI, Wald", "95% CI, profile"):
        assert heading in text
    for bounds in (first.interval, first.profile, first.profile_per_sd):
        assert ratio_interval(bounds) in text
    assert f"{first.estimate * first.step:.2f} ({first.se * first.step:.2f})".replace("-", "−") in text
    assert "P values are not corrected for the number of models." in exhibit.summary


def test_covariates_are_said_not_to_enter_only_where_that_holds(features, registry):
    words = "Covariates are no candidates of the common model."
    fits = univariate_models(features, covariates=("sex",))
    assert words in tables.univariate_table(fits, registry).summary
    assert words not in tables.univariate_table(fits, registry, covariates_enter=True).summary
    assert words not in tables.univariate_table(univariate_models(features), registry).summary


def test_a_joint_model_shows_both_fits_and_says_how_its_features_were_chosen(entry, joint, registry):
    by_p, chosen = (tables.multivariable_table(model, registry, published=PUBLISHED) for model in (entry, joint))
    assert "2 candidates of 3 with a univariate P below 0.05" in by_p.summary
    assert "poor habit" in by_p.summary
    assert "11.0 of the smaller group for each of 2 terms, counting all 3 candidates that were looked at: 7.3" in (
        by_p.summary
    )
    assert "looked at" not in chosen.summary
    assert "below about 10 overfitting is likely; 10 is no guarantee" in chosen.summary
    assert "4 features chosen before the data were seen" in chosen.summary
    assert "poor habit" not in chosen.summary
    for part in ("22 events, 5.5 of the smaller group", "AIC", "McFadden", "Nagelkerke", "VIF"):
        assert part in chosen.summary
    text = text_of(chosen.html)
    for heading in (
        "Maximum likelihood",
        "Firth's penalised likelihood",
        "95% CI, Wald",
        "95% CI, profile",
        "Per SD",
        "VIF",
    ):
        assert heading in text
    first = joint.multivariable.coefficients[0], joint.firth.coefficients[0]
    row = chosen.data.iloc[0]
    assert [row["odds_ratio"], row["vif"], row["firth_odds_ratio"]] == [
        first[0].odds_ratio,
        first[0].vif,
        first[1].odds_ratio,
    ]
    assert ratio_interval(first[0].profile) in text
    assert ratio_interval(first[1].profile) in text
    assert chosen.beside[0].found == f"odds ratio {ratio(first[0].odds_ratio)} ({ratio_interval(first[0].profile)})"


def test_a_separated_model_prints_firths_odds_ratio_alone(separated, registry):
    exhibit = tables.multivariable_table(separated, registry)
    text = text_of(exhibit.html)
    assert text.count(NO_ESTIMATE) == 2 * 5
    assert "∞" not in text
    assert ratio(separated.firth.coefficients[0].odds_ratio) in text
    assert "complete separation: the features predict all outcomes perfectly" in exhibit.summary
    fits = [separated.multivariable]
    assert NO_ESTIMATE in text_of(tables.univariate_table(fits, registry).html)


def test_without_a_joint_model_the_table_says_why(entry, registry):
    exhibit = tables.multivariable_table(replace(entry, entered=(), multivariable=None, firth=None), registry)
    assert "there is no multivariable model" in exhibit.summary
    assert len(exhibit.data) == 0


def test_the_fit_of_models_stands_in_one_table(entry, joint, separated):
    models = {"as published": entry.multivariable, "prespecified": joint.multivariable, "lost": separated.multivariable}
    exhibit = tables.model_fit_table(models)
    text = text_of(exhibit.html)
    assert f"{joint.multivariable.nagelkerke:.3f}" in text
    assert "Chosen beforehand 22 / 60 5.5" in text
    assert "complete" in text
    assert exhibit.data["aic"].tolist() == [fit.aic for fit in models.values()]


def test_the_fit_of_a_model_that_chose_its_features_counts_all_candidates(entry, joint):
    plain = {"as_published": entry.multivariable, "prespecified": joint.multivariable}
    exhibit = tables.model_fit_table(plain | {"as_published": entry})
    text = text_of(exhibit.html)
    assert "candidate (looked at)" in text
    assert "As the study built it 22 / 60 11.0 7.3 (3)" in text
    assert "Chosen beforehand 22 / 60 5.5 –" in text
    assert "counting all 3 candidates that were looked at, 7.3 events for each" in exhibit.summary
    assert "P, AIC and R² ignore the choice of features" in exhibit.summary
    assert exhibit.data["events_per_candidate"].tolist()[0] == 22 / 3
    without = tables.model_fit_table(plain)
    assert "candidate" not in text_of(without.html)
    assert "ignore the choice" in without.summary
    assert "ignore the choice" not in tables.model_fit_table({"prespecified": joint.multivariable}).summary


def test_the_fit_leaves_out_a_model_that_nothing_entered(entry, joint):
    nobody = replace(entry, entered=(), multivariable=None, firth=None)
    exhibit = tables.model_fit_table({"as_published": nobody, "prespecified": joint.multivariable})
    assert exhibit.data["model"].tolist() == ["prespecified"]


def test_the_figure_says_per_what_step_and_shows_both_fits(joint, registry):
    exhibit = figures.odds_ratio_figure([joint.multivariable], registry, firth=joint.firth, name="joint")
    for words in ("per 0.1", "per 0.1 × 10⁻³ mm²/s", "per unit or level", "Maximum likelihood", "n = 60 (22 events)"):
        assert words in exhibit.svg
    assert "by Firth" in exhibit.alt
    assert exhibit.data["firth_odds_ratio"].notna().all()
    assert exhibit.png.startswith(b"\x89PNG")


def test_under_separation_the_figure_shows_firth_and_no_infinity(separated, registry):
    exhibit = figures.odds_ratio_figure([separated.multivariable], registry, firth=separated.firth, name="lost")
    assert "not estimable" in exhibit.svg
    assert "∞" not in exhibit.svg + exhibit.alt
    assert "2 without a finite estimate by maximum likelihood" in exhibit.summary
    alone = figures.odds_ratio_figure([separated.multivariable], registry, name="nothing")
    assert len(alone.data) == 0
    assert "none could be estimated" in alone.alt
