"""What is kept of each step for the participants' pages comes back as it was."""

import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import DatasetError
from dtimuscle.settings import Study
from dtimuscle.store import bids, derivatives

AFFINE = np.diag([2.5, 2.5, 5.0, 1.0])


@pytest.fixture
def dataset(make_dataset):
    return bids.read_dataset(make_dataset(("sub-01",)))


@pytest.fixture
def place(dataset):
    return derivatives.derivatives_of(dataset, Study())


@pytest.fixture
def scan(dataset):
    return dataset.scans[0]


VOLUMES = pd.DataFrame({"volume": [0, 1], "b": [0.0, 500.0], "is_b0": [True, False], "displacement_mm": [0.0, np.nan]})
SLICES = pd.DataFrame({"slice": [0, 0], "volume": [0, 1], "loss": [0.1, np.nan], "is_outlier": [False, True]})
ABOUT = {"steps": [{"step": "scanned"}], "low": {"volume": 0, "b": 0.0}, "high": {"volume": 1, "b": 500.0}}


def write(place, scan, pictures: np.ndarray, slices: pd.DataFrame = SLICES) -> None:
    derivatives.write_course(place, scan, pictures, AFFINE, about=ABOUT, volumes=VOLUMES, slices=slices)


def test_pictures_come_back_to_half_a_thousandth_of_the_brightest(place, scan):
    pictures = np.random.default_rng(1).uniform(-100, 4000, (8, 6, 1, 4))
    write(place, scan, pictures)
    found, affine, about = derivatives.read_pictures(place, scan)
    assert np.abs(found - pictures).max() <= 1.001 * np.abs(pictures).max() / 4000
    np.testing.assert_array_equal(affine, AFFINE)
    assert about == ABOUT


def test_pictures_of_nothing_and_of_what_is_not_finite_are_black(place, scan):
    write(place, scan, np.array([[[[np.nan, np.inf, 0.0]]]]))
    np.testing.assert_array_equal(derivatives.read_pictures(place, scan)[0], np.zeros((1, 1, 1, 3)))


def test_volumes_and_slices_come_back_with_their_types(place, scan):
    write(place, scan, np.ones((2, 2, 1, 2)))
    pd.testing.assert_frame_equal(derivatives.read_volumes(place, scan)[list(VOLUMES)], VOLUMES)
    pd.testing.assert_frame_equal(derivatives.read_slices(place, scan)[list(SLICES)], SLICES)


def test_no_slices_come_back_as_none(place, scan):
    write(place, scan, np.ones((2, 2, 1, 2)), SLICES.iloc[:0])
    assert derivatives.read_slices(place, scan).empty


def test_a_damaged_table_is_named(place, scan):
    write(place, scan, np.ones((2, 2, 1, 2)))
    path = place.file("preprocessed", scan, "desc-volumes.tsv")
    path.write_text(path.read_text(encoding="utf-8").replace("500.0", "many"), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"desc-volumes\.tsv.*not a number"):
        derivatives.read_volumes(place, scan)


def test_the_residual_comes_back(place, scan):
    residual = np.random.default_rng(2).uniform(0, 0.1, (3, 2, 2))
    residual[0, 0, 0] = np.nan
    derivatives.write_residual(place, scan, residual, AFFINE)
    np.testing.assert_allclose(derivatives.read_residual(place, scan), residual, rtol=1e-6)
