"""The page of one participant: its verdict, its pictures and its words."""

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dtimuscle.dwi import TensorMaps
from dtimuscle.issues import Issue, Severity
from dtimuscle.muscles import Muscle, MuscleLabels, MuscleRegistry, Side
from dtimuscle.presentation.figures import participant as views
from dtimuscle.presentation.pages import PageContext
from dtimuscle.presentation.participant_page import (
    PageSection,
    issues_list,
    key_numbers,
    methods_text,
    participant_page,
    summary_board,
    values_table,
)
from dtimuscle.presentation.style import PAPER
from dtimuscle.rating import Ground, Rating, ScanNumbers, Verdict

AFFINE = np.diag([2.5, 2.5, 5.0, 1.0])
REGISTRY = MuscleRegistry((Muscle("gracilis", "Gracilis", 1, 2), Muscle("sartorius", "Sartorius", 3, 4)))

SERIES = {
    "n_volumes": 14,
    "b_values": [0.0, 500.0],
    "n_directions": 12,
    "voxel_sizes": [2.5, 2.5, 5.0],
    "n_slices": 8,
    "snr": 60.0,
    "mean_displacement_mm": 1.0,
    "max_displacement_mm": 2.0,
    "max_rotation_deg": 1.5,
    "n_lost_slices": 0,
}
FIT = {"estimator": "iwls", "n_voxels": 1200, "orientation": "as given", "shells": "The tensor uses b = 0 and 500."}
NUMBERS = ScanNumbers(
    "sub-01", snr=60.0, mean_framewise_mm=1.0, max_framewise_mm=2.0, lost_slices=0.0, residual=0.01, impossible=0.0
)


def pixels_of(html: str) -> list[np.ndarray]:
    """Unpack the pictures of a page."""
    packed = re.findall(r'href="data:image/webp;base64,([^"]+)"', html)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")) for text in packed]


def values(missing: str = "") -> pd.DataFrame:
    """ROI rows of two muscles, each left, right and both."""
    return pd.DataFrame(
        {
            "muscle": muscle,
            "side": side,
            "parameter": parameter,
            "route": route,
            "mean": np.nan if muscle == missing and side == "left" else 0.25 if parameter == "fa" else 1.5e-3,
            "sd": 0.02 if parameter == "fa" else 1e-4,
            "n_kept": 40,
            "n_label": 100,
        }
        for muscle in ("gracilis", "sartorius")
        for side in ("left", "right", "both")
        for parameter in ("fa", "md", "ad", "rd")
        for route in ("voxelwise", "mean_signal")
    )


def muscles(grade: str = "green") -> pd.DataFrame:
    return pd.DataFrame(
        {"muscle": muscle, "side": side, "snr": 60.0, "grade": grade}
        for muscle in ("gracilis", "sartorius")
        for side in ("left", "right", "both")
    )


def numbers_of(rating: Rating | None = None, numbers: ScanNumbers = NUMBERS, **changed):
    facts = {"series": SERIES, "fit": FIT, "muscles": muscles(), "values": values(), "issues": ()} | changed
    found = key_numbers(numbers, rating or Rating("sub-01"), registry=REGISTRY, **facts)
    return {number.title: number for number in found}


# Key numbers


def test_a_good_scan_is_green_throughout():
    assert {number.grade for number in numbers_of().values()} == {"good"}


@pytest.mark.parametrize(
    ("rule", "title"),
    [
        ("snr", "Signal (SNR)"),
        ("mean_framewise_mm", "Motion"),
        ("max_framewise_mm", "Motion"),
        ("lost_slices", "Lost slices"),
        ("without_values", "Muscles"),
        ("residual", "Unexplained signal"),
        ("impossible", "Unexplained signal"),
    ],
)
@pytest.mark.parametrize(("verdict", "grade"), [(Verdict.LOOK, "look"), (Verdict.LEAVE_OUT, "poor")])
def test_a_number_beyond_a_limit_of_the_study_is_told_by_its_tile_alone(rule, title, verdict, grade):
    rating = Rating("sub-01", grounds=(Ground(rule, verdict, 1.0, 2.0),))
    grades = {name: number.grade for name, number in numbers_of(rating).items()}
    assert grades.pop(title) == grade
    assert set(grades.values()) == {"good"}


def test_flipped_axes_are_told_by_the_directions():
    rating = Rating("sub-01", grounds=(Ground("axes", Verdict.LOOK),))
    number = numbers_of(rating, fit=FIT | {"orientation": "flipped"})["Directions"]
    assert (number.grade, number.word) == ("look", "an axis is flipped")


def test_a_fair_signal_is_said_though_no_limit_is_broken():
    number = numbers_of(numbers=ScanNumbers("sub-01", snr=30.0))["Signal (SNR)"]
    assert (number.value, number.grade, number.word) == ("30", "look", "fair")


def test_muscles_without_values_are_named():
    rating = Rating("sub-01", grounds=(Ground("without_values", Verdict.LOOK, 0.25, 0.0),))
    number = numbers_of(rating, values=values(missing="sartorius"))["Muscles"]
    assert (number.value, number.grade) == ("3 of 4", "look")
    assert number.note == "without values: Sartorius left"


def test_what_was_not_looked_for_is_not_judged():
    series = SERIES | {"n_lost_slices": None, "max_rotation_deg": None}
    found = numbers_of(
        numbers=ScanNumbers("sub-01"),
        series=series,
        fit=FIT | {"orientation": ""},
        values=pd.DataFrame(),
        muscles=pd.DataFrame(),
    )
    assert {title: number.grade for title, number in found.items()} == {
        "Signal (SNR)": "unknown",
        "Motion": "unknown",
        "Lost slices": "unknown",
        "Muscles": "unknown",
        "Unexplained signal": "unknown",
        "Directions": "unknown",
        "Issues": "good",
    }


def test_the_verdict_stands_first_with_its_reasons():
    rating = Rating("sub-01", grounds=(Ground("lost_slices", Verdict.LEAVE_OUT, 0.25, 0.2),))
    issue = Issue(Severity.WARNING, "slices", "28 of 112 lost <signal>")
    board = summary_board(list(numbers_of(rating).values()), rating, [issue])
    assert "✗ Leave out" in board.html
    assert board.html.index("Leave out") < board.html.index("Lost slices: 25.0 % (at most 20.0 %)")
    assert "28 of 112 lost &lt;signal&gt;" in board.html
    assert set(board.data["verdict"]) == {"Leave out"}


def test_notes_wait_for_the_list_of_issues():
    note = Issue(Severity.NOTE, "b-values", "a note")
    assert "a note" not in summary_board([], Rating("sub-01"), [note]).html
    assert "a note" in issues_list([note]).html


# Pictures


def test_every_slice_of_a_map_is_shown_as_radiologists_look_at_it():
    volume = np.full((6, 4, 3), np.nan)
    # In the patient's right front corner of the second slice.
    volume[0, 3, 1] = 0.5
    volume[5, 0, :] = 0.0
    shown = views.map_slices("fa", volume, AFFINE)
    pictures = pixels_of(shown.html)
    assert [picture.shape for picture in pictures] == [(4, 6, 3)] * 3
    # The front on top; the low end of x is the patient's left in RAS, on the right of the picture.
    bright = np.argwhere(pictures[1].sum(axis=2) == pictures[1].sum(axis=2).max())
    assert bright.tolist() == [[0, 5]]
    assert "slice 1" in shown.html
    assert shown.data["n_voxels"].tolist() == [1, 2, 1]


def test_slices_are_numbered_as_stored_when_the_image_runs_downward():
    volume = np.full((5, 5, 3), 0.1)
    volume[:, :, 0] = 0.4
    up = pixels_of(views.map_slices("fa", volume, AFFINE).html)
    down = pixels_of(views.map_slices("fa", volume, np.diag([2.5, 2.5, -5.0, 1.0])).html)
    np.testing.assert_array_equal(up[0], down[0])


def test_outlines_run_between_the_labels():
    labels = np.zeros((6, 4, 1), dtype=int)
    labels[1:3, 1:3] = 7
    meaning = {7: ("gracilis", Side.LEFT)}
    html = views.map_slices("fa", np.full((6, 4, 1), 0.2), AFFINE, labels=MuscleLabels(labels, AFFINE, meaning)).html
    (path,) = re.findall(r'class="outline"[^>]* d="([^"]+)"', html)
    # A square of 2 × 2 voxels has four sides of length 2.
    assert sorted(re.findall(r"[hv]\d+", path)) == ["h2", "h2", "v2", "v2"]


def test_values_without_a_meaning_are_not_outlined():
    labels = np.zeros((6, 4, 1), dtype=int)
    labels[1:3, 1:3] = 9
    shown = views.map_slices("fa", np.full((6, 4, 1), 0.2), AFFINE, labels=MuscleLabels(labels, AFFINE, {}))
    assert "outline" not in shown.html


def test_weak_signal_is_dimmed():
    volume, s0 = np.full((4, 4, 1), 0.4), np.full((4, 4, 1), 100.0)
    s0[0, 0, 0] = 5.0
    (plain,), (dimmed,) = (pixels_of(views.map_slices("fa", volume, AFFINE, s0=s).html) for s in (None, s0))
    is_darker = dimmed.sum(axis=2) < plain.sum(axis=2)
    assert np.argwhere(is_darker).tolist() == [[3, 3]]


def test_directions_are_coloured_by_their_axis():
    direction = np.zeros((4, 4, 1, 3))
    direction[..., 2] = 1.0
    flat = np.full((4, 4, 1), 0.4)
    is_there = np.ones((4, 4, 1), dtype=bool)
    maps = TensorMaps(flat, flat, flat, flat, direction, 100 * flat, is_there, is_there, AFFINE, "iwls")
    red, green, blue = pixels_of(views.direction_slices(maps).html)[0].reshape(-1, 3).astype(int).T
    assert (blue > 240).all()
    assert (red < 20).all()
    assert (green < 20).all()


def steps() -> tuple[np.ndarray, dict]:
    rng = np.random.default_rng(1)
    about = {
        "steps": [{"step": "scanned"}, {"step": "denoised"}, {"step": "aligned"}],
        "low": {"volume": 0, "b": 0.0},
        "high": {"volume": 4, "b": 500.0},
    }
    return rng.uniform(50, 100, (12, 8, 1, 6)), about


def test_each_step_can_be_chosen_by_keyboard_and_none_needs_a_script():
    pictures, about = steps()
    shown = views.steps_viewer(pictures, AFFINE, about)
    titles = re.findall(r'<input type="radio" name="steps-step"[^>]*> ([^<]+)</label>', shown.html)
    assert titles == ["As scanned", "Denoised", "Aligned"]
    assert "<script" not in shown.html
    # Three steps and two changes, without and with weighting.
    assert len(pixels_of(shown.html)) == 10
    assert "b = 500 s/mm², volume 4" in shown.html
    assert list(shown.data["step"]) == titles * 2


def test_flicker_stops_for_those_who_bear_no_motion_and_paper_shows_all():
    style = views.steps_viewer(*steps()[:1], AFFINE, steps()[1]).html
    assert "@media (prefers-reduced-motion:reduce){.flip .stack figure{animation:none!important}" in style
    hidden = style[style.index("visibility:hidden") - 200 : style.index("visibility:hidden")]
    assert "@media screen" in hidden


def volumes(turned: float = 0.0) -> pd.DataFrame:
    angle = np.radians(turned)
    directions = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    table = pd.DataFrame(directions, columns=list("xyz")).assign(b=[0.0, 500, 500, 500], is_b0=[True, *[False] * 3])
    table[["turned_x", "turned_y", "turned_z"]] = directions @ turn.T
    return table.assign(displacement_mm=[0, 1, 2, 3.0], framewise_mm=[0, 1, 1, 1.0], rotation_deg=[0, 1, 1, turned])


def test_the_sphere_says_how_far_directions_were_turned():
    assert "by up to 10.0°" in views.direction_sphere(volumes(10)).summary
    assert "not turned" in views.direction_sphere(volumes(0)).summary


def test_each_direction_is_a_dot_on_both_hemispheres_open_where_it_points_away():
    seen = volumes(10)
    seen.loc[3, ["x", "y", "z", "turned_x", "turned_y", "turned_z"]] *= -1
    svg = views.direction_sphere(seen).html
    dots = re.findall(r'<circle cx="[^"]+" cy="[^"]+" r="2.35" fill="([^"]+)"', svg)
    # From above the last points down, from behind the front one points away.
    assert [fill == PAPER for fill in dots] == [False, False, True, False, True, False]
    (x, y) = re.findall(r'<circle cx="([^"]+)" cy="([^"]+)" r="2.35"', svg)[0]
    assert (float(x), float(y)) == pytest.approx((82.9 + 67, 101), abs=0.01)  # to the patient's right, on the edge
    assert [words in svg for words in ("b = 500 s/mm²", "antipode", "turned</text>", "From behind")] == [True] * 4
    assert "turned</text>" not in views.direction_sphere(volumes(0)).html


def test_a_key_of_many_b_values_takes_several_lines():
    many = pd.concat([volumes()] * 5, ignore_index=True)
    many.loc[~many["is_b0"], "b"] = np.repeat([200.0, 400, 600, 800, 1000], 3)
    svg = views.direction_sphere(many).html
    lines = re.findall(r'<g transform="translate\([\d.]+ ([\d.]+)\)"><g transform="translate\(0 -3\)">', svg)
    assert sorted(lines) == ["178.1"] * 4 + ["190"] * 2


def test_motion_that_is_not_known_is_said():
    unknown = volumes().assign(displacement_mm=np.nan, framewise_mm=np.nan, rotation_deg=np.nan)
    assert "not corrected" in views.motion_figure(unknown).summary
    assert "mean 1.50 mm, largest 3.00 mm" in views.motion_figure(volumes()).summary


def test_the_carpet_frames_lost_slices_and_says_when_nobody_looked():
    grid = pd.DataFrame({"slice": np.repeat([0, 1], 4), "volume": [0, 1, 2, 3] * 2, "loss": 0.0, "is_outlier": False})
    grid.loc[6, ["loss", "is_outlier"]] = 0.8, True
    assert "1 of 8 slices" in views.carpet_figure(grid, volumes()).summary
    assert "not looked for" in views.carpet_figure(grid.iloc[:0], volumes()).summary


def test_pictures_say_that_they_are_simulated_when_they_leave_the_page():
    stamped = views.motion_figure(volumes()).stamped("Simulated data, not patients")
    assert "Simulated data, not patients" in stamped.body
    assert stamped.alt.endswith("Simulated data, not patients.")


# Values


def test_both_routes_and_all_sides_stand_side_by_side():
    html = values_table(values(), muscles("amber"), REGISTRY).html
    rows = re.findall(r"<th[^>]*gt_stub[^>]*>([^<]*)</th>", html)
    assert [row.strip() for row in rows] == ["Gracilis", "left", "right", "Sartorius", "left", "right"]
    assert html.count("0.250 ± 0.020") == 6
    assert html.count(">0.250<") == 6
    assert html.count("1.50 ± 0.10") == 6
    assert html.count("40 of 100") == 6
    assert html.count(">fair<") == 6


def test_without_labels_the_table_says_so():
    shown = values_table(pd.DataFrame(), pd.DataFrame(), REGISTRY)
    assert shown.summary == "No values, since there are no muscle labels."


# Methods

SETTINGS = {"find_outliers": True, "erosion_mm": 2.5, "max_fat_fraction": 0.5, "min_voxels": 20}
VERSIONS = {"dtimuscle": "1.0", "numpy": "2.0"}
DENOISED = {"step": "denoised", "engine": "kit", "patch": [5, 5, 5], "noise_sd": 33.1}


def methods(*taken: dict, series: dict = SERIES, settings: dict = SETTINGS, fit: dict = FIT) -> str:
    about = {"steps": [{"step": "scanned"}, *taken]}
    shown = methods_text(series, fit, about, settings, VERSIONS, has_values=True, is_simulated=False)
    return " ".join(shown.data["sentence"])


def test_methods_say_what_happened_with_its_numbers():
    text = methods(DENOISED, {"step": "unringed", "engine": "dipy"}, {"step": "aligned", "engine": "kit"})
    assert (
        "MP-PCA in patches of 5 × 5 × 5 voxels (Veraart 2016, Cordero-Grande 2019); the median noise SD is 33.1" in text
    )
    assert "sub-voxel shifts with DIPY (Kellner 2016)" in text
    assert "1.0 mm away on average, at most 2.0 mm, and turned by up to 1.5°" in text
    assert "eroded by 2.5 mm" in text
    assert "none of 112 was lost" in text
    assert "Made with dtimuscle 1.0 (numpy 2.0)." in text
    assert "Not done" not in text


def test_methods_say_what_was_left_undone():
    text = methods(series=SERIES | {"n_lost_slices": None}, settings=SETTINGS | {"find_outliers": False})
    assert "Not done: denoising, removal of ringing, motion correction and the search for lost slices." in text
    assert "MP-PCA" not in text


def test_only_sources_that_the_text_names_are_listed():
    about = {"steps": [{"step": "scanned"}, DENOISED]}
    shown = methods_text(SERIES, FIT, about, SETTINGS, VERSIONS, has_values=True, is_simulated=False)
    assert "NeuroImage 2016; 142: 394" in shown.html
    assert "Kellner" not in shown.html


def test_simulated_scans_are_called_simulated():
    about = {"steps": [{"step": "scanned"}]}
    shown = methods_text(SERIES, FIT, about, SETTINGS, VERSIONS, has_values=False, is_simulated=True)
    assert shown.data["sentence"].iloc[0] == "The scan is simulated; nothing was measured in a person."


# The page


def page(*, is_simulated: bool = True) -> str:
    context = PageContext("Study", "run", is_simulated=is_simulated, version="1.0", created="now", root="../")
    labels = np.zeros((6, 4, 1), dtype=int)
    labels[1:3, 1:3] = 7
    known = MuscleLabels(labels, AFFINE, {7: ("gracilis", Side.LEFT)})
    maps = [views.map_slices(kind, np.full((6, 4, 1), 0.2), AFFINE, labels=known) for kind in ("fa", "residual")]
    board = summary_board(list(numbers_of().values()), Rating("sub-01"))
    section = PageSection("The muscles", ("<p>Why <script>alert(1)</script>.</p>", *maps))
    return participant_page("sub-01", board, [section], context)


def test_the_page_begins_with_the_verdict_and_carries_no_script():
    html = page()
    assert html.index("✓ Use") < html.index("The muscles")
    assert "<script" not in html
    assert "Simulated data, not patients" in html
    assert "Simulated data" not in page(is_simulated=False)


def test_outlines_that_repeat_are_kept_once():
    html = page()
    assert len(re.findall(r'<path id="outline-\d+"', html)) == 1
    assert html.count('<use class="outline" href="#outline-0"/>') == 2
