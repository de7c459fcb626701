import re

import numpy as np
import pandas as pd
import pytest

from dtimuscle.presentation import figures, tables


def _text(html: str) -> str:
    without_style = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without_style))


@pytest.fixture
def muscle_quality() -> pd.DataFrame:
    """Two muscles of three participants, both sides together."""
    who = {"session": "", "side": "both", "n_kept": 90, "n_fat": 10, "n_impossible": 0, "n_non_positive": 9}
    rows = [
        {"participant_id": f"sub-{k}", "muscle": muscle, "snr": snr, "grade": grade, "fat_fraction": 0.04, **who}
        for muscle, signals in (("gracilis", (60, 40, 20)), ("sartorius", (55, 52, 51)))
        for k, (snr, grade) in enumerate(
            (snr, "green" if snr >= 50 else "amber" if snr >= 25 else "red") for snr in signals
        )
    ]
    return pd.DataFrame(rows).assign(fraction_at_floor=0.01)


def test_each_muscle_says_how_many_participants_have_which_signal(muscle_quality, registry):
    exhibit = tables.muscle_quality_table(muscle_quality, registry)
    text = _text(exhibit.html)
    assert "Gracilis 40 (20–60) 1 1 1 1.0 10.0 10.0 4.0" in text
    assert "Sartorius 52 (51–55) 3 0 0" in text
    assert "Damon 2008" in exhibit.summary
    assert exhibit.data.equals(muscle_quality)


def test_what_is_not_known_of_a_muscle_has_no_column(muscle_quality, registry):
    unknown = muscle_quality.assign(snr=None, fat_fraction=None, fraction_at_floor=None, grade="unknown")
    exhibit = tables.muscle_quality_table(unknown, registry)
    assert "Gracilis 10.0" in _text(exhibit.html)
    assert "SNR" not in _text(exhibit.html)
    assert "noise is not known" in exhibit.summary


def test_the_sides_of_a_muscle_are_not_counted_twice(muscle_quality, registry):
    sides = [muscle_quality.assign(side=side) for side in ("left", "right")]
    both = tables.muscle_quality_table(muscle_quality, registry)
    assert tables.muscle_quality_table(pd.concat([*sides, muscle_quality]), registry).html == both.html


def test_lost_slices_motion_and_axes_stand_in_the_tables_of_quality():
    quality = pd.DataFrame(
        {
            "participant_id": ["sub-1", "sub-2"],
            "mean_framewise_mm": [0.812, 0.5],
            "n_lost_slices": [3, 0],
            "orientation": ["as given", "flipped"],
            "shells": ["The tensor uses b = 0 (1) and 500 (6) s/mm² (volumes in brackets).", "Another."],
        }
    )
    exhibit = tables.quality_table(quality)
    assert "sub-1 0.81 3 as given" in _text(exhibit.html)
    assert "sub-2 0.50 0 flipped" in _text(exhibit.html)
    assert "Another. (1 of 2 scans)" in exhibit.summary
    assert "Lost slices are much darker" in exhibit.summary
    alike = tables.quality_table(quality.assign(shells="The tensor uses all."))
    assert alike.summary.count("The tensor uses all.") == 1


def test_the_figure_of_slices_frames_those_that_are_lost():
    loss = np.zeros((4, 6))
    loss[2, 3], loss[0, 0] = 0.7, np.nan
    exhibit = figures.slice_figure(loss, loss > 0.5, is_b0=np.arange(6) == 0, what="sub-1")
    assert "1 of 24 slices lost" in exhibit.summary
    assert exhibit.data["is_outlier"].sum() == 1
    lost = exhibit.data[exhibit.data["is_outlier"]].iloc[0]
    assert (lost["volume"], lost["slice"], lost["loss"]) == (3, 2, 0.7)
    assert exhibit.data["is_b0"].sum() == 4
    assert exhibit.png
    on_a_page = figures.slice_figure(loss, loss > 0.5, is_b0=np.arange(6) == 0, what="sub-1", for_slides=False)
    assert (on_a_page.svg, on_a_page.png) == (exhibit.svg, b"")
