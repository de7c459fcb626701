"""A small made-up study, analysed once."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from dtimuscle.dwi import TensorMaps
from dtimuscle.muscles import Muscle, MuscleLabels, MuscleRegistry, Side
from dtimuscle.replication.verdict import Verdict
from dtimuscle.statistics.characteristics import Characteristic, describe_groups
from dtimuscle.statistics.combination import CombinationRoc, combination_curves
from dtimuscle.statistics.correlation import Correlation, correlate_all_features
from dtimuscle.statistics.estimates import Interval
from dtimuscle.statistics.features import FeatureFrame
from dtimuscle.statistics.groups import GroupComparison, compare_all_features
from dtimuscle.statistics.logistic import EntryModel, enter_by_p


@dataclass(frozen=True)
class Results:
    features: FeatureFrame
    characteristics: tuple[Characteristic, ...]
    comparisons: tuple[GroupComparison, ...]
    correlations: tuple[Correlation, ...]
    model: EntryModel
    roc: CombinationRoc
    verdicts: tuple[Verdict, ...]


@pytest.fixture(scope="session")
def registry() -> MuscleRegistry:
    return MuscleRegistry((Muscle("gracilis", "Gracilis", 1, 2), Muscle("adductor_longus", "Adductor longus", 3, 4)))


@pytest.fixture(scope="session")
def results() -> Results:
    rng = np.random.default_rng(5)
    n = 40
    poor = np.arange(n) < 16
    index = pd.Index([f"{i:03d}" for i in range(n)], name="participant_id")
    values = pd.DataFrame(
        {
            "gracilis.fa": 0.26 - 0.04 * poor + 0.04 * rng.normal(size=n),
            "gracilis.md": 1e-3 * (1.7 - 0.3 * poor + 0.3 * rng.normal(size=n)),
            "adductor_longus.fa": 0.25 + 0.04 * rng.normal(size=n),
            "adductor_longus.md": 1e-3 * (1.6 - 0.3 * poor + 0.3 * rng.normal(size=n)),
        },
        index=index,
    )
    values.iloc[3, 0] = np.nan
    grade = pd.Series(np.where(poor, np.arange(n) % 4, 4 + np.arange(n) % 2), index, dtype="Int64")
    covariates = pd.DataFrame(
        {"age": rng.normal(68, 6, n), "sex": np.where(np.arange(n) % 3 == 0, "M", "F")}, index=index
    )
    features = FeatureFrame(values, grade, pd.Series(poor, index, dtype="boolean"), covariates)
    roc = combination_curves(features, muscles=("gracilis",))
    comparisons = compare_all_features(features)
    mean = comparisons[1].estimates()[0]
    area = roc.curves["fa+md"].estimates()[0]
    verdicts = (
        Verdict("adc", "gracilis.md", "ADC is lower.", "1.02 ± 0.34 mm²/s", 1.02e-3, None, mean, "agrees", "x", "poor"),
        Verdict("roc", "fa+md", "AUC.", "0.722", 0.722, Interval(0.6239, 0.821), area, "disagrees", "x"),
        Verdict("none", "gracilis.fa", "FA.", "lower", None, None, None, "not testable", "<no> & nothing"),
    )
    return Results(
        features,
        describe_groups(covariates, features.poor),
        comparisons,
        correlate_all_features(features),
        enter_by_p(features),
        roc,
        verdicts,
    )


@pytest.fixture(scope="session")
def bias() -> pd.DataFrame:
    rows = [("gracilis", "fa", 9, 0.25, 0.2601, 0.0101, 0.02), ("gracilis", "md", 9, 1.5e-3, 1.49e-3, -1e-5, 2e-5)]
    return pd.DataFrame(rows, columns=["muscle", "parameter", "n", "truth_mean", "found_mean", "bias", "rmse"])


@pytest.fixture(scope="session")
def maps() -> TensorMaps:
    fa = np.full((6, 5, 4), np.nan)
    fa[1:5, 1:4] = 0.25
    direction = np.zeros((6, 5, 4, 3))
    direction[..., 2] = 1.0
    inside = np.isfinite(fa)
    return TensorMaps(
        fa=fa,
        md=fa * 6e-3,
        ad=fa * 8e-3,
        rd=fa * 5e-3,
        direction=direction,
        s0=fa * 1000,
        mask=inside,
        is_positive=inside,
        affine=np.diag([2.5, 2.5, 5.0, 1.0]),
        estimator="iwls",
    )


@pytest.fixture(scope="session")
def labels(maps: TensorMaps) -> MuscleLabels:
    values = np.zeros(maps.fa.shape, dtype=np.int16)
    values[2:4, 2, :] = 1
    return MuscleLabels(values, maps.affine, {1: ("gracilis", Side.LEFT)})
