import io
import math

import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.statistics.estimates import (
    Estimate,
    Interval,
    estimates_from_frame,
    estimates_to_frame,
    interval_or_none,
)

ESTIMATES = (
    Estimate("mean", "gracilis.md", "poor", 1.02e-3, sd=0.34e-3, n=31),
    Estimate("difference", "gracilis.md", "", -0.72e-3, interval=Interval(-0.9e-3, -0.5e-3, 0.9), p=1e-9, n=100),
    Estimate("auc", "fa+md", "", math.nan, n=100),
)


def test_estimates_come_back_from_their_frame():
    assert estimates_from_frame(estimates_to_frame(ESTIMATES)) == ESTIMATES


def test_estimates_survive_being_saved_as_text():
    text = estimates_to_frame(ESTIMATES).to_csv(sep="\t", index=False, na_rep="n/a")
    assert estimates_from_frame(pd.read_csv(io.StringIO(text), sep="\t", na_values="n/a")) == ESTIMATES


def test_no_estimates_make_an_empty_frame_with_all_columns():
    assert estimates_to_frame(()).columns.tolist() == [
        "kind", "subject", "group", "value", "sd", "low", "high", "level", "p", "n",
    ]  # fmt: skip


def test_a_missing_column_is_named():
    with pytest.raises(StatisticsError, match="column\\(s\\) p missing"):
        estimates_from_frame(estimates_to_frame(ESTIMATES).drop(columns="p"))


def test_an_unknown_kind_is_named():
    frame = estimates_to_frame(ESTIMATES)
    frame.loc[0, "kind"] = "median"
    with pytest.raises(StatisticsError, match="kind 'median' found"):
        estimates_from_frame(frame)


def test_an_undefined_interval_is_no_interval():
    assert interval_or_none(Interval(math.nan, 1.0)) is None
    assert interval_or_none(Interval(0.0, 1.0)) == Interval(0.0, 1.0)
