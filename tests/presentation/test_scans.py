import re

import numpy as np
import pandas as pd
import pytest

from dtimuscle.dwi import GradientTable
from dtimuscle.imaging.tensor import ESTIMATORS
from dtimuscle.presentation import scans


def _text(html: str) -> str:
    without_style = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without_style))


@pytest.fixture(scope="module")
def gradients() -> GradientTable:
    directions = np.array([[0, 0, 0], [1, 0, 0], [0, -0.6, 0.8]], dtype=float)
    return GradientTable(np.array([0.0, 500.0, 500.0]), directions)


@pytest.fixture(scope="module")
def comparison() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "estimator": list(scans.ESTIMATOR_TITLES),
            "n_voxels": 12345,
            "fa": [0.25011, 0.25021, 0.25031, 0.25041, np.nan, 0.25061],
            "md": 1.51234e-3,
            "fraction_non_positive": 0.0123,
        }
    )


def test_volumes_are_listed_with_weighting_and_direction(gradients):
    exhibit = scans.gradient_table(gradients, what="sub-07")
    assert "2 500 0.00 −0.60 0.80" in _text(exhibit.html)
    assert exhibit.summary.startswith("sub-07: 3 volumes, 1 of them without diffusion weighting (b up to 20 s/mm²)")
    assert exhibit.data["b"].tolist() == gradients.bvals.tolist()


def test_a_summary_without_participant_begins_with_its_first_word(gradients, comparison):
    assert scans.gradient_table(gradients).summary.startswith("3 volumes")
    assert scans.estimator_table(comparison).summary.startswith("all 12")


def test_estimators_are_named_and_keep_their_unrounded_medians(comparison):
    exhibit = scans.estimator_table(comparison)
    text = _text(exhibit.html)
    assert "OLS: ordinary least squares 0.2501 1.512 1.2" in text
    assert "RESTORE: outliers left out – 1.512" in text
    assert "ADC (MD), 10⁻³ mm²/s" in text
    assert exhibit.data["md"].tolist() == comparison["md"].tolist()


def test_each_estimator_of_the_kit_has_words():
    assert set(scans.ESTIMATOR_TITLES) == set(ESTIMATORS)


def test_muscles_are_described_over_participants(registry):
    muscles = pd.DataFrame(
        [
            ("gracilis", 19, 1, 210.0, 88.5, 0.2512, 0.0312, 1.5123e-3, 0.1512e-3),
            ("adductor_longus", 0, 20, 30.0, 0.0, np.nan, np.nan, np.nan, np.nan),
        ],
        columns=["muscle", "n", "n_missing", "n_label", "n_kept", "fa_mean", "fa_sd", "md_mean", "md_sd"],
    )
    exhibit = scans.muscle_table(muscles, registry)
    text = _text(exhibit.html)
    assert "Gracilis 19 1 210 88 0.251 ± 0.031 1.51 ± 0.15" in text
    assert "Adductor longus 0 20 30 0 – –" in text
    assert exhibit.data is muscles


def test_short_names_of_rows_stay_in_sight(comparison):
    assert "position: sticky" in scans.estimator_table(comparison).html
