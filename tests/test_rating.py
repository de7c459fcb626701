import math
from dataclasses import replace

import pandas as pd
import pytest

from dtimuscle.rating import (
    QUANTITIES,
    QUANTITY,
    Ground,
    Rating,
    Rule,
    ScanNumbers,
    Verdict,
    count_verdicts,
    numbers_to_frame,
    odd_muscles,
    odd_numbers,
    rate,
    scan_numbers,
)

RULES = (Rule(QUANTITY["snr"], 25.0, 10.0), Rule(QUANTITY["lost_slices"], 0.05, 0.2))
SOUND = ScanNumbers("sub-01", snr=30.0, lost_slices=0.0)


# Rules


def test_a_scan_within_all_limits_is_used():
    rating = rate(SOUND, RULES)
    assert (rating.verdict, rating.grounds, rating.reasons) == (Verdict.USE, (), ())


@pytest.mark.parametrize(
    ("snr", "lost", "verdict"),
    [
        (25.0, 0.05, Verdict.USE),
        (24.9, 0.0, Verdict.LOOK),
        (30.0, 0.051, Verdict.LOOK),
        (10.0, 0.2, Verdict.LOOK),
        (9.9, 0.0, Verdict.LEAVE_OUT),
        (30.0, 0.201, Verdict.LEAVE_OUT),
        (math.nan, math.nan, Verdict.USE),
    ],
)
def test_only_what_is_beyond_a_limit_counts_and_what_is_not_known_is_not_judged(snr, lost, verdict):
    assert rate(replace(SOUND, snr=snr, lost_slices=lost), RULES).verdict is verdict


def test_a_reason_names_the_rule_the_value_and_the_limit_the_gravest_first():
    rating = rate(replace(SOUND, snr=21.26, lost_slices=0.25), RULES)
    assert rating.grounds == (
        Ground("lost_slices", Verdict.LEAVE_OUT, 0.25, 0.2),
        Ground("snr", Verdict.LOOK, 21.26, 25.0),
    )
    assert rating.reasons == ("Lost slices: 25.0 % (at most 20.0 %)", "SNR of the muscles: 21.3 (at least 25.0)")


def test_a_value_just_beyond_a_limit_is_not_printed_as_the_limit():
    assert rate(replace(SOUND, snr=24.97), RULES).reasons == ("SNR of the muscles: 24.97 (at least 25.0)",)
    assert rate(replace(SOUND, snr=25 - 1e-9), RULES).reasons == ("SNR of the muscles: 25.0000 (at least 25.0)",)


@pytest.mark.parametrize("verdict", Verdict)
def test_flipped_axes_cost_what_the_setting_says(verdict):
    rating = rate(replace(SOUND, orientation="flipped"), RULES, flipped_axes=verdict)
    assert rating.verdict is verdict
    assert rate(replace(SOUND, orientation="undecidable"), RULES, flipped_axes=verdict).verdict is Verdict.USE


@pytest.mark.parametrize("verdict", Verdict)
def test_propagated_labels_cost_what_the_setting_says(verdict):
    rating = rate(replace(SOUND, labels="propagated"), RULES, propagated_labels=verdict)
    assert rating.verdict is verdict
    assert rating.reasons == (() if verdict is Verdict.USE else ("The labels were propagated, not drawn",))
    assert rate(replace(SOUND, labels="drawn"), RULES, propagated_labels=verdict).verdict is Verdict.USE


def test_rules_that_cannot_be_applied_are_named():
    assert rate(SOUND, RULES).not_judged == ()
    rating = rate(replace(SOUND, snr=math.nan, lost_slices=0.3), RULES)
    assert (rating.verdict, rating.not_judged) == (Verdict.LEAVE_OUT, ("snr",))
    assert Rating.from_dict(rating.to_dict()) == rating


def test_leaving_out_by_hand_comes_and_goes_without_touching_the_rules():
    poor = rate(replace(SOUND, snr=20.0), RULES)
    excluded = poor.by_hand(True)
    assert (excluded.verdict, excluded.is_by_hand) == (Verdict.LEAVE_OUT, True)
    assert excluded.reasons == ("Left out by hand", *poor.reasons)
    assert excluded.by_hand(True) == excluded
    assert excluded.by_hand(False) == poor


def test_a_rating_survives_being_written():
    rating = rate(ScanNumbers("sub-01", "ses-2", snr=5.0), RULES).by_hand(True)
    record = rating.to_dict()
    assert (record["verdict"], record["grounds"][1]["words"]) == (
        "leave out",
        "SNR of the muscles: 5.0 (at least 10.0)",
    )
    record["grounds"][0] |= {"value": None, "limit": None}  # as JSON knows no NaN
    del record["not_judged"]  # as earlier runs wrote it
    again = Rating.from_dict(record)
    assert (again.name, again.verdict, again.reasons) == ("sub-01_ses-2", rating.verdict, rating.reasons)


def test_verdicts_are_counted_also_where_there_are_none():
    ratings = [rate(SOUND, RULES), rate(replace(SOUND, snr=1.0), RULES)]
    assert count_verdicts(ratings) == {Verdict.USE: 1, Verdict.LOOK: 0, Verdict.LEAVE_OUT: 1}


# Numbers


SERIES = {
    "n_volumes": 10, "n_slices": 5, "n_lost_slices": 4, "snr": 33.0, "mean_framewise_mm": 1.5, "max_framewise_mm": 4.0,
}  # fmt: skip


def muscle(name, side, **changes):
    return {
        "muscle": name, "side": side, "n_kept": 90, "n_impossible": 0, "n_non_positive": 0, "snr": 30.0,
        "fat_fraction": None, "residual": 0.04,
    } | changes  # fmt: skip


def numbers_of(muscles, expected=None, **series):
    expected = {(m["muscle"], m["side"]) for m in muscles} if expected is None else expected
    return scan_numbers(
        "sub-01", "", series=SERIES | series, fit={"orientation": "as given"}, muscles=muscles, expected=expected,
        min_voxels=20, n_issues=2,
    )  # fmt: skip


def test_the_numbers_of_a_scan_come_from_its_records():
    found = numbers_of(
        [
            muscle("gracilis", "left", n_kept=10),
            muscle("gracilis", "both", n_kept=90, n_impossible=10, n_non_positive=5, snr=20.0, fat_fraction=0.1),
            muscle("sartorius", "both", n_kept=30, snr=40.0, fat_fraction=0.3, residual=0.08),
        ]
    )
    assert found == ScanNumbers(
        "sub-01", snr=30.0, mean_framewise_mm=1.5, max_framewise_mm=4.0, lost_slices=4 / 50,
        impossible=pytest.approx(15 / 130), residual=pytest.approx(0.06), without_values=pytest.approx(1 / 3),
        n_voxels=120.0, fat=pytest.approx(0.15), n_issues=2.0, orientation="as given",
    )  # fmt: skip


def test_without_labels_the_snr_is_that_of_the_foreground_and_muscles_are_not_judged():
    found = numbers_of([], expected={("gracilis", "both")})
    assert found.snr == 33.0
    assert math.isnan(found.without_values)
    assert math.isnan(found.n_voxels)


def test_muscles_that_only_others_have_count_as_without_values():
    expected = {("gracilis", "both"), ("sartorius", "both")}
    assert numbers_of([muscle("gracilis", "both")], expected).without_values == 0.5


def test_steps_that_were_not_done_leave_their_numbers_unknown():
    found = numbers_of(
        [muscle("gracilis", "both", snr=None, residual=None)],
        n_lost_slices=None, snr=None, mean_framewise_mm=None, max_framewise_mm=None,
    )  # fmt: skip
    assert all(
        math.isnan(getattr(found, name))
        for name in ("snr", "mean_framewise_mm", "max_framewise_mm", "lost_slices", "residual", "fat")
    )


def test_every_quantity_is_a_number_of_a_scan():
    assert {quantity.name for quantity in QUANTITIES} < set(numbers_to_frame([SOUND]).columns)


# Odd ones


def cohort(n=20, **changes):
    """Scans whose SNR is 28.0, 28.1, …, and of which the last is changed."""
    scans = [ScanNumbers(f"sub-{i:02d}", snr=28 + 0.1 * i, lost_slices=0.0, fat=0.05) for i in range(n)]
    return numbers_to_frame([*scans[:-1], replace(scans[-1], **changes)])


def test_a_number_far_below_the_others_is_odd_where_low_is_bad():
    odd = odd_numbers(cohort(snr=12.0))
    assert odd[["name", "quantity", "value"]].values.tolist() == [["sub-19", "snr", 12.0]]
    assert odd["z"].item() < -3.5


@pytest.mark.parametrize("changes", [{"snr": 60.0}, {"lost_slices": 0.019}, {"fat": 0.09}, {}])
def test_better_than_the_others_or_a_trifle_is_not_odd(changes):
    assert odd_numbers(cohort(**changes)).empty


def test_where_all_others_are_equal_the_one_that_differs_is_odd():
    assert odd_numbers(cohort(lost_slices=0.02))["quantity"].tolist() == ["lost_slices"]


def test_a_muscle_value_is_odd_within_its_group():
    values = pd.DataFrame(
        [
            {"name": f"sub-{i:02d}", "muscle": "gracilis", "parameter": "fa", "group": group, "value": value}
            for i in range(24)
            for group, value in [("poor", 0.2 + 0.001 * i) if i % 2 else ("good", 0.4 + 0.001 * i)]
        ]
    )
    assert odd_muscles(values).empty
    values.loc[1, "value"] = 0.41  # as the other group is
    odd = odd_muscles(values)
    assert odd["name"].tolist() == ["sub-01"]
    assert odd["median"].item() == pytest.approx(0.214)
