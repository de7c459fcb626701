import logging

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from dtimuscle.errors import GridMismatchError, ImageError, LabelError
from dtimuscle.imaging import propagation
from dtimuscle.imaging.propagation import Anatomy, Atlas, dice, fuse_votes, propagate_labels
from dtimuscle.issues import Severity
from dtimuscle.muscles import MuscleLabels, Side
from dtimuscle.store.registry import read_registry

REGISTRY = read_registry()

# Centre (x, y) and half axes of each muscle in mm, and how much further out it lies with each mm upwards.
MUSCLES = {
    "gracilis": (-28.0, 4.0, 8.0, 18.0, 0.10),
    "rectus_femoris": (4.0, 26.0, 20.0, 10.0, 0.05),
    "adductor_magnus": (-4.0, -16.0, 18.0, 14.0, -0.10),
}
MEANING = {REGISTRY[name].left: (name, Side.LEFT) for name in MUSCLES}

GRID = (26, 26, 5), np.array([[4.0, 0, 0, -50], [0, 4, 0, -50], [0, 0, 8, -16], [0, 0, 0, 1.0]])
MIRRORED = (28, 24, 5), np.array([[-3.8, 0, 0, 52], [0, 4.2, 0, -49], [0, 0, 8, -17], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module", autouse=True)
def start_from_one_turn():
    """Five starts of the affine registration take five times as long; these limbs are no cylinders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(propagation, "TURNS", (0.0,))
        yield


def person(name="sub-1", *, grid=GRID, move=None, noise=0.0, meaning=None) -> Atlas:
    """A limb with three muscles; `move` takes its points to those of the limb that stands still."""
    shape, affine = grid
    index = np.indices(shape).reshape(3, -1)
    places = affine[:3, :3] @ index + affine[:3, 3:]
    if move is not None:
        places = move[:3, :3] @ places + move[:3, 3:]
    x, y, z = places.reshape(3, *shape)
    values = np.zeros(shape, dtype=np.int32)
    meaning = meaning or MEANING
    for (muscle, (x0, y0, a, b, lean)), value in zip(MUSCLES.items(), meaning, strict=True):
        assert meaning[value][0] == muscle
        values[((x - x0 - lean * z) / a) ** 2 + ((y - y0) / b) ** 2 < 1] = value
    inside = (x / 46) ** 2 + (y / 42) ** 2 < 1
    signal = np.where(values > 0, 100.0, np.where(inside, 20.0, 1.0))
    signal = signal + noise * np.random.default_rng(3).normal(size=shape)
    return Atlas(name, Anatomy(signal, inside, affine), MuscleLabels(values, affine, meaning))


def moved(degrees=0.0, scale=1.0, shift=(0.0, 0.0, 0.0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", degrees, degrees=True).as_matrix() * scale
    matrix[:3, 3] = shift
    return matrix


def overlaps(found: MuscleLabels, truth: MuscleLabels) -> dict[str, float]:
    return {name: dice(found.where(name, Side.LEFT), truth.where(name, Side.LEFT)) for name in MUSCLES}


@pytest.fixture(scope="module")
def itself(start_from_one_turn):
    return propagate_labels(person().anatomy, [person()], REGISTRY, name="sub-2")


def test_a_scan_gets_its_own_labels_back(itself):
    assert min(overlaps(itself.labels, person().labels).values()) > 0.97


def test_the_same_input_gives_the_same_labels_and_nothing_is_printed(itself, capsys, caplog):
    with caplog.at_level(logging.INFO):
        again = propagate_labels(person().anatomy, [person()], REGISTRY, name="sub-2")
    np.testing.assert_array_equal(again.labels.values, itself.labels.values)
    assert capsys.readouterr() == ("", "")
    assert not caplog.records


def test_one_atlas_cannot_say_how_sure_it_is(itself):
    assert np.isnan(itself.mean_agreement)
    assert all(np.isnan(muscle.agreement) for muscle in itself.muscles)
    (note,) = itself.issues
    assert note.severity is Severity.NOTE
    assert note.where == "sub-2"
    assert "propagated from sub-1, not drawn on this scan (one atlas cannot show how sure they are)" in note.what


def test_atlases_that_lie_elsewhere_on_other_grids_with_other_values_agree_on_the_truth():
    truth = person(grid=MIRRORED, move=moved(12.0, 1.05, (6.0, -4.0, 2.0)), noise=2.0)
    other = person("sub-3", move=moved(-5.0), meaning=dict(zip((7, 5, 9), MEANING.values(), strict=True)))
    found = propagate_labels(truth.anatomy, [person(), other], REGISTRY)
    assert found.labels.affine is MIRRORED[1]
    assert found.labels.meaning == MEANING
    assert min(overlaps(found.labels, truth.labels).values()) > 0.9
    assert found.atlases == ("sub-1", "sub-3")
    assert 0.9 < found.mean_agreement <= 1
    assert "(mean agreement 0.9" in found.issues[0].what


def test_an_atlas_that_cannot_be_laid_on_the_scan_has_no_vote(monkeypatch):
    target = person()
    rng = np.random.default_rng(1)
    noise = Anatomy(rng.random(GRID[0]), target.anatomy.mask, GRID[1])
    found = propagate_labels(target.anatomy, [Atlas("sub-9", noise, target.labels), person()], REGISTRY, name="sub-2")
    assert found.atlases == ("sub-1",)
    assert "the labels of sub-9 are not used: its image could not be laid on this one" in found.issues[1].what
    monkeypatch.setattr(propagation, "LEAST_CORRELATION", 1.1)
    monkeypatch.setattr(propagation, "SYN_STEPS", (1, 1))
    with pytest.raises(LabelError, match="sub-2: no image of a participant with labels could be laid on this one"):
        propagate_labels(target.anatomy, [Atlas("sub-9", noise, target.labels)], REGISTRY, name="sub-2")


def test_what_cannot_work_is_told():
    target = person()
    with pytest.raises(LabelError, match="sub-2: there is nobody to propagate labels from"):
        propagate_labels(target.anatomy, [], REGISTRY, name="sub-2")
    empty = Anatomy(target.anatomy.signal, np.zeros(GRID[0], dtype=bool), GRID[1])
    with pytest.raises(ImageError, match="sub-2: shows no tissue"):
        propagate_labels(empty, [target], REGISTRY, name="sub-2")
    unknown = MuscleLabels(np.ones(GRID[0], dtype=np.int32), GRID[1], {})
    with pytest.raises(LabelError, match="no participant with labels has a known muscle"):
        propagate_labels(target.anatomy, [Atlas("sub-1", target.anatomy, unknown)], REGISTRY)
    elsewhere = MuscleLabels(target.labels.values, GRID[1] + 1.0, MEANING)
    with pytest.raises(GridMismatchError, match="sub-1: the image and the labels"):
        propagate_labels(target.anatomy, [Atlas("sub-1", target.anatomy, elsewhere)], REGISTRY)


def fused(*votes: int) -> tuple[int, float]:
    """What one voxel far from others becomes."""
    labels, agreement = fuse_votes(np.array(votes).reshape(-1, 1, 1, 1))
    return int(labels[0, 0, 0]), float(agreement[0, 0, 0])


@pytest.mark.parametrize(
    ("votes", "label", "agreement"),
    [
        ((5, 5, 6), 5, 2 / 3),  # most votes win
        ((5, 0, 0), 0, 2 / 3),  # no muscle is a vote as well
        ((5, 6, 7), 0, 0.0),  # a winner with less than half of the votes gives way
        ((5, 5, 6, 7, 0), 0, 0.2),
        ((5, 6), 5, 0.5),  # without neighbours the lower value wins a tie
        ((5, 0), 0, 0.5),
        ((-1, 5, -1), 5, 1.0),  # who does not reach a voxel has no vote
        ((-1, -1), 0, 0.0),
    ],
)
def test_votes_are_counted(votes, label, agreement):
    assert fused(*votes) == (label, pytest.approx(agreement))


def test_neighbours_decide_a_tie():
    votes = np.zeros((2, 5, 5, 1), dtype=int)
    votes[:, :2], votes[:, 3:] = 5, 6
    votes[0, 2], votes[1, 2] = 5, 6  # a tie between both, and in one place 6 is all around
    votes[:, 1, 2], votes[1, 2, 2] = 6, 6
    labels, agreement = fuse_votes(votes)
    assert labels[2, 2, 0] == 6
    assert agreement[2, 2, 0] == 0.5


def test_dice_is_the_shared_part_of_both():
    one, other = np.array([1, 1, 1, 0], bool), np.array([0, 1, 1, 1], bool)
    assert dice(one, other) == pytest.approx(2 * 2 / 6)
    assert dice(one, one) == 1.0
    assert dice(one, ~one) == 0.0
    assert np.isnan(dice(np.zeros(3, bool), np.zeros(3, bool)))


def test_there_are_no_labels_outside_the_tissue(itself):
    narrow = person()
    inside = narrow.anatomy.mask & ndimage.shift(narrow.anatomy.mask, (5, 0, 0), order=0)
    target = Anatomy(narrow.anatomy.signal, inside, GRID[1])
    found = propagate_labels(target, [person()], REGISTRY)
    assert found.labels.values[inside].any()
    assert not found.labels.values[~inside].any()
    assert itself.labels.values[~inside].any()
