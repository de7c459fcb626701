import json

import numpy as np
import pandas as pd
import pytest

from dtimuscle.errors import DatasetError, SettingsError
from dtimuscle.issues import Issue, Severity
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.rating import Ground, Rating, Verdict
from dtimuscle.running.cohort_page import (
    LEFT_OUT,
    exclude_by_hand,
    left_out_issues,
    rate_scans,
    require_known,
    review_cohort,
    rules_of,
    without,
)
from dtimuscle.running.own_table import Cohort
from dtimuscle.running.participants import process
from dtimuscle.running.report import show_exhibit, write_pages
from dtimuscle.running.session import open_session
from dtimuscle.settings import QualitySettings, Study
from dtimuscle.store.bids import read_dataset

PLAIN = {
    "denoise": False, "unring": False, "correct_motion": False, "find_outliers": False, "estimator": "ols",
    "erosion_mm": 0.0, "min_voxels": 1, "workers": 1,
}  # fmt: skip
# The signals of the small datasets rise along the image, which no tensor explains.
PLAIN |= {"look_above_impossible_percent": 100.0, "leave_out_above_impossible_percent": 100.0}
GRADES = {"sub-01": 3, "sub-02": 5, "sub-03": 2}
POOR = (Ground("snr", Verdict.LEAVE_OUT, 5.0, 10.0), Ground("lost_slices", Verdict.LOOK, 0.06, 0.05))


@pytest.fixture
def processing(make_dataset):
    dataset = read_dataset(make_dataset(tuple(GRADES), grades=GRADES))
    return process(dataset, Study().with_values(**PLAIN))


# Rules and ratings


def test_the_rules_are_those_of_the_settings_in_stored_units():
    rules = {rule.quantity.name: (rule.look, rule.leave_out) for rule in rules_of(QualitySettings())}
    assert rules == {
        "snr": (25, 10), "mean_framewise_mm": (5, 10), "max_framewise_mm": (10, 30), "lost_slices": (0.05, 0.2),
        "impossible": (0.1, 0.3), "residual": (0.05, 0.15), "without_values": (0.01, 0.5),
    }  # fmt: skip


def test_every_scan_is_rated_by_its_records(processing):
    study = Study().with_values(**PLAIN, exclude=["02"])
    numbers, ratings = rate_scans(processing, study)
    assert [item.name for item in numbers] == [rating.name for rating in ratings] == list(GRADES)
    assert {item.n_voxels for item in numbers} == {11.0}  # the first has no signal
    assert {item.without_values for item in numbers} == {0.0}
    assert all(np.isnan(item.snr) and np.isnan(item.lost_slices) for item in numbers)
    assert [rating.is_by_hand for rating in ratings] == [False, True, False]


def test_muscles_without_values_are_judged_by_the_settings(processing):
    study = Study().with_values(**PLAIN | {"min_voxels": 10})
    _, ratings = rate_scans(processing, study)
    # Left and right have six voxels each, one of them without signal.
    assert [ground.value for rating in ratings for ground in rating.grounds] == pytest.approx([2 / 3] * 3)
    assert {rating.verdict for rating in ratings} == {Verdict.LEAVE_OUT}


def test_the_review_holds_values_and_sides_against_each_other(processing):
    study = Study().with_values(**PLAIN)
    cohort = Cohort(processing.roi_table(), processing.dataset.participants)
    review = review_cohort(processing, cohort, study, *rate_scans(processing, study))
    assert review.values["group"].tolist() == ["poor", "poor", "good", "good", "poor", "poor"]
    assert set(review.values["parameter"]) == {"fa", "md"}
    assert review.odd.empty
    assert len(review.sides) == 3 * 4
    # Twelve voxels of 2.5 × 2.5 × 5 mm, three times two on a side.
    assert review.sizes.loc[review.sizes["side"] == "both", "volume_ml"].to_numpy() == pytest.approx(12 * 0.03125)


# By hand


def test_whom_the_settings_name_is_left_out_by_hand_in_each_session():
    ratings = tuple(
        Rating(who, session) for who, session in (("sub-1", "ses-1"), ("sub-1", "ses-2"), ("sub-2", "ses-1"))
    )

    def left_out(*names):
        return [rating.is_by_hand for rating in exclude_by_hand(ratings, names)]

    assert left_out("1") == left_out("sub-1") == [True, True, False]
    assert left_out("sub-1_ses-2") == [False, True, False]
    assert left_out() == [False, False, False]


def test_leaving_out_somebody_who_is_not_there_is_refused():
    require_known(["01", "sub-02"], ["sub-01", "sub-02"])
    with pytest.raises(SettingsError, match=r"exclude: '0013' is not among the participants\. Did you mean '0012'\?"):
        require_known(["0012", "0013"], ["sub-0012", "sub-0020"])


# Leaving out


def cohort_of(rows, grades):
    table = pd.DataFrame([{"participant_id": who, "session": session} for who, session in rows])
    people = pd.DataFrame({"participant_id": list(grades), "lovett_grade": list(grades.values())})
    return Cohort(table, people.astype({"lovett_grade": "Int64"}))


def test_rows_and_people_that_are_left_out_are_gone_and_nobody_else():
    whole = cohort_of([("sub-01", ""), ("sub-02", ""), ("sub-03", "")], GRADES | {"sub-04": None})
    kept = without(whole, [Rating("sub-01")], poor_below_grade=4)
    assert kept.roi_table["participant_id"].tolist() == ["sub-02", "sub-03"]
    assert kept.participants["participant_id"].tolist() == ["sub-02", "sub-03", "sub-04"]
    nobody = without(whole, [], poor_below_grade=4)
    pd.testing.assert_frame_equal(nobody.roi_table, whole.roi_table)
    pd.testing.assert_frame_equal(nobody.participants, whole.participants)


def test_a_participant_with_another_session_stays():
    whole = cohort_of([("sub-01", "ses-1"), ("sub-01", "ses-2"), ("sub-02", "ses-1")], {"sub-01": 3, "sub-02": 5})
    kept = without(whole, [Rating("sub-01", "ses-1")], poor_below_grade=4)
    assert kept.roi_table["session"].tolist() == ["ses-2", "ses-1"]
    assert len(kept.participants) == 2


def test_a_group_that_is_left_out_whole_is_an_error_that_says_what_to_do():
    whole = cohort_of([("sub-01", ""), ("sub-02", "")], {"sub-01": 3, "sub-02": 5})
    with pytest.raises(
        DatasetError, match=r"with 1 of 2 participants left out .* nobody has good .* leave_out to false"
    ):
        without(whole, [Rating("sub-02")], poor_below_grade=4)


def test_each_scan_that_is_left_out_is_named_with_the_rule():
    (issue,) = left_out_issues([Rating("sub-01", "ses-1", POOR)])
    assert (issue.severity, issue.where) == (Severity.WARNING, LEFT_OUT)
    assert issue.what == "sub-01_ses-1. SNR of the muscles: 5.0 (at least 10.0)."


# The session of a notebook


@pytest.fixture
def measured(make_dataset, tmp_path):
    """Return a function that opens notebook 4 after three participants were measured and rated in notebook 3."""
    root = make_dataset(tuple(GRADES), grades=GRADES)
    folder = str(tmp_path / "run")
    third = open_session("03_roi_statistics", run_folder=folder, dataset=str(root), **PLAIN)
    third.review(third.measured())
    return lambda **settings: open_session("04_modelling", run_folder=folder, **settings)


def test_when_nobody_is_beyond_a_limit_everybody_is_analysed(measured):
    session = measured()
    assert session.left_out == ()
    assert len(session.cohort().participants) == 3
    assert session.run.read_ratings()[0]["verdict"] == "use"


def test_who_is_left_out_is_missing_from_the_cohort_but_not_from_the_file(measured):
    session = measured()
    records = session.run.read_ratings()
    records[0]["grounds"] = [{"rule": "snr", "verdict": "leave out", "value": 5.0, "limit": 10.0}]
    session.run.write_ratings(records)
    assert [rating.name for rating in session.left_out] == ["sub-01"]
    assert set(session.cohort().roi_table["participant_id"]) == {"sub-02", "sub-03"}
    assert set(session.whole_cohort().roi_table["participant_id"]) == set(GRADES)
    assert set(session.run.read_roi_table()["participant_id"]) == set(GRADES)
    kept = measured(leave_out=False)
    assert kept.left_out == ()
    assert len(kept.cohort().participants) == 3


def test_who_is_left_out_by_hand_stands_on_the_front_page(measured):
    session = measured(exclude=["01"])
    assert set(session.cohort().participants["participant_id"]) == {"sub-02", "sub-03"}
    session.close()
    index = (session.run.folder / "index.html").read_text(encoding="utf-8")
    assert "1 scan is left out of the statistics" in index
    assert "sub-01. Left out by hand." in index
    with pytest.raises(SettingsError, match="exclude: '9' is not among the participants"):
        measured(exclude=["9"]).cohort()


def test_of_ones_own_table_participants_are_left_out_by_hand(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("participant_id,lovett_grade,gracilis_fa\na,3,0.2\nb,5,0.3\nc,5,0.4\n", encoding="utf-8")
    session = open_session("04_modelling", run_folder=str(tmp_path / "run"), roi_table=str(path), exclude=["b"])
    assert session.cohort().roi_table["mean"].tolist() == [0.2, 0.4]
    assert session.whole_cohort().roi_table["mean"].tolist() == [0.2, 0.3, 0.4]
    assert session.page_of == {}


def test_the_ratings_are_a_file_that_anybody_can_read(measured):
    path = measured().run.folder / "ratings.json"
    assert [record["participant_id"] for record in json.loads(path.read_text(encoding="utf-8"))] == list(GRADES)


# The pages of the run


def test_the_pages_link_to_the_participants_that_have_a_page_from_every_folder(measured, tmp_path):
    session = measured()
    run, study = session.run, session.study
    html = "".join(f'<a href="{run.participant_page(who)}">{who}</a>' for who in ("sub-01", "sub-02"))
    listed = Exhibit(
        "odd_scans", "table", "Who is odd", "How to read it.", pd.DataFrame({"name": ["sub-01"]}), html=html
    )
    show_exhibit(run, study, listed, notebook="03_roi_statistics", position=1)
    run.write_page(run.participant_page("sub-01"), "<p>page</p>")
    write_pages(run, study, is_simulated=True)
    cohort, alone, index = (
        (run.folder / name).read_text(encoding="utf-8")
        for name in ("cohort.html", "pages/odd_scans.html", "index.html")
    )
    assert 'href="participants/sub-01.html"' in cohort
    assert 'href="../participants/sub-01.html"' in alone
    assert "sub-02.html" not in cohort + alone
    assert "Simulated data, not patients" in cohort
    assert '<a href="cohort.html">All scans</a>: use 3, look before use 0, leave out 0.' in index


def test_a_scan_without_result_stands_on_the_page_of_all_scans(measured):
    session = measured()
    session.show(
        Exhibit("odd_scans", "table", "Who is odd", "Words.", pd.DataFrame({"name": ["a"]}), html="<p>list</p>")
    )
    session.note(
        Issue(Severity.ERROR, "sub-09", "the image is damaged."),
        Issue(Severity.ERROR, "sub-01, gracilis", "too small."),
    )
    session.close()
    page = (session.run.folder / "cohort.html").read_text(encoding="utf-8")
    assert "the image is damaged." in page
    assert "without result" in page
    assert "too small." not in page
