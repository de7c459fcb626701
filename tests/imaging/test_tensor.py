import nibabel as nib
import numpy as np
import pytest
from dipy.core.gradients import gradient_table
from dipy.data import get_fnames
from dipy.reconst import dti

from dtimuscle.dwi import DwiSeries, GradientTable, directions_from_fsl, grid_rotation
from dtimuscle.errors import GradientError, GridMismatchError, ImageError, SettingsError
from dtimuscle.imaging.tensor import (
    ESTIMATORS,
    _decompose,
    _design,
    _fit_block,
    _solve,
    carries_tensor,
    count_voxels,
    fit_signals,
    fit_tensor,
)
from dtimuscle.issues import Severity
from dtimuscle.threads import limit_threads

EIGENVALUES = np.array([2.2e-3, 1.6e-3, 1.2e-3])


def spread_directions(n):
    """Directions on a spiral over the half sphere."""
    z = (np.arange(n) + 0.5) / n
    angle = np.pi * (1 + np.sqrt(5)) * np.arange(n)
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


def muscle_gradients(n_directions=12, b=500.0):
    directions = np.vstack([np.zeros((2, 3)), spread_directions(n_directions)])
    return GradientTable(np.r_[0.0, 0.0, np.full(n_directions, b)], directions)


def rotations(n, rng):
    q, _ = np.linalg.qr(rng.normal(size=(n, 3, 3)))
    return q


def tensor_signals(gradients, eigenvalues, axes, s0=100.0):
    tensors = np.einsum("mij,mj,mkj->mik", axes, np.broadcast_to(eigenvalues, (len(axes), 3)), axes)
    exponent = np.einsum("ni,mij,nj->mn", gradients.directions, tensors, gradients.directions)
    return s0 * np.exp(-gradients.bvals * exponent)


def rician(signals, sd, rng):
    return np.hypot(signals + rng.normal(0, sd, signals.shape), rng.normal(0, sd, signals.shape))


def fractional_anisotropy(eigenvalues):
    a, b, c = np.moveaxis(eigenvalues, -1, 0)
    return np.sqrt(0.5 * ((a - b) ** 2 + (b - c) ** 2 + (c - a) ** 2) / (a**2 + b**2 + c**2))


def dipy_eigenvalues(fit, gradients, signals):
    """Eigenvalues of DIPY's fit before it raises those below zero, largest first."""
    table = gradient_table(gradients.bvals, bvecs=gradients.directions, b0_threshold=gradients.b0_threshold)
    unknowns, _ = fit(dti.design_matrix(table), signals, return_lower_triangular=True)
    return np.linalg.eigvalsh(dti.from_lower_triangular(unknowns[:, :6]))[:, ::-1]


def small_64d():
    """Real data that ship with DIPY: a series with an oblique affine and its b-vectors as FSL writes them."""
    image, bval, bvec = get_fnames(name="small_64D")
    volume = nib.load(image)
    bvecs = np.nan_to_num(np.loadtxt(bvec))
    bvecs = bvecs.T if bvecs.shape[0] == 3 else bvecs
    gradients = GradientTable(np.loadtxt(bval), directions_from_fsl(bvecs, volume.affine))
    return DwiSeries(volume.get_fdata(dtype=np.float32), volume.affine, gradients), bvecs


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_exact_signals_give_back_the_tensor(estimator):
    rng = np.random.default_rng(0)
    gradients, axes = muscle_gradients(), rotations(50, rng)
    fit = fit_signals(tensor_signals(gradients, EIGENVALUES, axes), gradients, estimator=estimator)
    np.testing.assert_allclose(fit.eigenvalues, np.tile(EIGENVALUES, (50, 1)), rtol=1e-6)
    np.testing.assert_allclose(fit.s0, 100, rtol=1e-6)
    np.testing.assert_allclose(np.abs(np.sum(fit.direction * axes[:, :, 0], axis=1)), 1, atol=1e-9)
    np.testing.assert_allclose(fit.md, EIGENVALUES.mean(), rtol=1e-6)
    np.testing.assert_allclose(fit.ad, 2.2e-3, rtol=1e-6)
    np.testing.assert_allclose(fit.rd, 1.4e-3, rtol=1e-6)
    np.testing.assert_allclose(fit.fa, fractional_anisotropy(EIGENVALUES), rtol=1e-6)


def test_fa_is_one_for_diffusion_along_a_line_and_zero_without_any():
    gradients = muscle_gradients()
    signals = tensor_signals(gradients, np.array([[2e-3, 0, 0], [0, 0, 0]]), np.stack([np.eye(3)] * 2))
    fit = fit_signals(signals, gradients, estimator="ols")
    np.testing.assert_allclose(fit.fa[0], 1, rtol=1e-9)
    assert np.isfinite(fit.fa[1])


@pytest.mark.parametrize(
    ("estimator", "witness", "tolerance"),
    [("ols", dti.ols_fit_tensor, 1e-9), ("wls", dti.wls_fit_tensor, 1e-9), ("nlls", dti.nlls_fit_tensor, 1e-5)],
)
def test_noisy_fits_agree_with_dipy(estimator, witness, tolerance):
    rng = np.random.default_rng(1)
    gradients = muscle_gradients()
    signals = rician(tensor_signals(gradients, EIGENVALUES, rotations(300, rng)), 5.0, rng)
    ours = fit_signals(signals, gradients, estimator=estimator).eigenvalues
    theirs = dipy_eigenvalues(witness, gradients, signals)
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * 1e-3)


@pytest.mark.parametrize(
    ("estimator", "method", "tolerance"),
    # DIPY's non-linear fit stops early; the next test shows that ours lies lower.
    [("ols", "OLS", 1e-7), ("wls", "WLS", 1e-7), ("nlls", "NLLS", 2e-5)],
)
def test_real_data_on_an_oblique_grid_agree_with_dipy_in_its_own_frame(estimator, method, tolerance):
    series, bvecs = small_64d()
    table = gradient_table(series.gradients.bvals, bvecs=bvecs, b0_threshold=series.gradients.b0_threshold)
    theirs = dti.TensorModel(table, fit_method=method).fit(series.signal.astype(float))
    ours = fit_tensor(series, np.ones(series.shape, dtype=bool), estimator=estimator)
    # DIPY raises eigenvalues below zero and signals of zero, so these voxels are left to other tests.
    same = ours.is_positive & np.all(series.signal > 0, axis=-1)
    assert same.mean() > 0.95
    np.testing.assert_allclose(ours.fa[same], theirs.fa[same], atol=tolerance)
    np.testing.assert_allclose(ours.md[same], theirs.md[same], rtol=tolerance)
    assert np.median(np.abs(ours.fa - theirs.fa)[same]) < 1e-6
    to_world = grid_rotation(series.affine)
    mirror = np.diag([-1.0 if np.linalg.det(series.affine[:3, :3]) > 0 else 1.0, 1.0, 1.0])
    rotated = theirs.evecs[same][:, :, 0] @ (to_world @ mirror).T
    is_unique = theirs.evals[same][:, 0] > 1.05 * theirs.evals[same][:, 1]
    cosine = np.abs(np.sum(rotated * ours.direction[same], axis=1))[is_unique]
    np.testing.assert_allclose(cosine, 1, atol=1e-6)


def test_the_non_linear_fit_is_a_minimum_that_dipy_does_not_undercut():
    series, _ = small_64d()
    signals = series.signal[np.all(series.signal > 0, axis=-1)].astype(float)
    gradients = series.gradients
    table = gradient_table(gradients.bvals, bvecs=gradients.directions, b0_threshold=gradients.b0_threshold)
    design = dti.design_matrix(table)
    theirs, _ = dti.nlls_fit_tensor(design, signals, return_lower_triangular=True)
    ours, _ = _design(gradients)
    unknowns = _fit_block(signals, ours, "nlls")
    their_cost = np.sum((signals - np.exp(theirs @ design.T)) ** 2, axis=1)
    our_cost = np.sum((signals - np.exp(unknowns @ ours.T)) ** 2, axis=1)
    assert np.all(our_cost <= their_cost * (1 + 1e-12))


def test_iterated_weights_are_those_of_the_predicted_signal():
    rng = np.random.default_rng(2)
    gradients = muscle_gradients()
    signals = rician(tensor_signals(gradients, EIGENVALUES, rotations(20, rng)), 5.0, rng)
    fit = fit_signals(signals, gradients, estimator="iwls")
    table = gradient_table(gradients.bvals, bvecs=gradients.directions, b0_threshold=gradients.b0_threshold)
    design = dti.design_matrix(table)
    for signal, eigenvalues in zip(signals, fit.eigenvalues, strict=True):
        weights = signal**2
        for _ in range(3):
            root = np.sqrt(weights)
            unknowns, *_ = np.linalg.lstsq(root[:, None] * design, root * np.log(signal), rcond=None)
            weights = np.exp(2 * design @ unknowns)
        expected = np.linalg.eigvalsh(dti.from_lower_triangular(unknowns[:6]))[::-1]
        np.testing.assert_allclose(eigenvalues, expected, rtol=1e-9)


def test_restore_ignores_a_volume_that_lost_its_signal():
    rng = np.random.default_rng(3)
    gradients = muscle_gradients(n_directions=24)
    signals = rician(tensor_signals(gradients, EIGENVALUES, rotations(200, rng)), 1.0, rng)
    spoilt = signals.copy()
    spoilt[:, 7] *= 0.4
    clean = fit_signals(signals, gradients, estimator="nlls").md
    robust = np.abs(fit_signals(spoilt, gradients, estimator="restore").md - clean)
    plain = np.abs(fit_signals(spoilt, gradients, estimator="nlls").md - clean)
    assert np.median(robust) < 1e-5
    assert np.median(plain) > 4e-5


def test_restore_equals_the_fit_without_the_lost_volume_and_is_as_close_to_the_truth_as_dipys():
    rng = np.random.default_rng(4)
    gradients = muscle_gradients(n_directions=30)
    signals = rician(tensor_signals(gradients, EIGENVALUES, rotations(300, rng)), 3.0, rng)
    signals[:, 5] *= 0.3
    ours = fit_signals(signals, gradients, estimator="restore").eigenvalues
    others = np.arange(len(gradients)) != 5
    without = fit_signals(signals[:, others], gradients.subset(others), estimator="nlls").eigenvalues
    assert np.mean(np.abs(ours - without).max(axis=1) < 1e-8) > 0.85
    table = gradient_table(gradients.bvals, bvecs=gradients.directions, b0_threshold=gradients.b0_threshold)
    theirs, _ = dti.restore_fit_tensor(dti.design_matrix(table), signals)
    assert np.sqrt(np.mean((ours - EIGENVALUES) ** 2)) < 1.02 * np.sqrt(np.mean((theirs[:, :3] - EIGENVALUES) ** 2))


@pytest.mark.parametrize("estimator", ["restore", "robust"])
def test_robust_fits_need_more_volumes_than_unknowns(estimator):
    gradients = GradientTable(np.r_[0.0, np.full(6, 500.0)], np.vstack([np.zeros((1, 3)), spread_directions(6)]))
    signals = tensor_signals(gradients, EIGENVALUES, np.eye(3)[np.newaxis])
    with pytest.raises(GradientError, match="7 volumes leave no room"):
        fit_signals(signals, gradients, estimator=estimator)
    np.testing.assert_allclose(fit_signals(signals, gradients, estimator="nlls").md, EIGENVALUES.mean(), rtol=1e-6)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_an_eigenvalue_below_zero_is_reported_and_kept(estimator):
    gradients = muscle_gradients(n_directions=20)
    impossible = np.array([1.5e-3, 1e-3, -0.3e-3])
    signals = tensor_signals(gradients, impossible, np.eye(3)[np.newaxis])
    fit = fit_signals(signals, gradients, estimator=estimator)
    np.testing.assert_allclose(fit.eigenvalues[0], impossible, rtol=1e-5)
    assert not fit.is_positive[0]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_unusable_signals_are_nan_and_leave_their_neighbours_alone(estimator):
    gradients = muscle_gradients()
    signals = tensor_signals(gradients, EIGENVALUES, np.stack([np.eye(3)] * 4))
    signals[0, 0] = 0
    signals[1, 5] = np.nan
    signals[2, :] = -1
    fit = fit_signals(signals, gradients, estimator=estimator)
    np.testing.assert_array_equal(np.isnan(fit.fa), [True, True, True, False])
    np.testing.assert_array_equal(fit.is_positive, [False, False, False, True])
    np.testing.assert_allclose(fit.md[3], EIGENVALUES.mean(), rtol=1e-6)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_weighted_signal_of_zero_is_no_reason_to_give_a_voxel_up(estimator):
    gradients = muscle_gradients(n_directions=24)
    signals = tensor_signals(gradients, EIGENVALUES, np.eye(3)[np.newaxis])
    signals[0, 4] = 0
    assert np.isfinite(fit_signals(signals, gradients, estimator=estimator).fa[0])


def test_a_voxel_gets_the_same_tensor_whatever_its_scale():
    rng = np.random.default_rng(5)
    gradients = muscle_gradients()
    signals = rician(tensor_signals(gradients, EIGENVALUES, rotations(30, rng)), 8.0, rng)
    for estimator in ESTIMATORS:
        once = fit_signals(signals, gradients, estimator=estimator)
        scaled = fit_signals(1e-4 * signals, gradients, estimator=estimator)
        np.testing.assert_allclose(scaled.eigenvalues, once.eigenvalues, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(scaled.s0, 1e-4 * once.s0, rtol=1e-6)


def test_blocks_do_not_change_the_fit(monkeypatch):
    rng = np.random.default_rng(6)
    gradients = muscle_gradients()
    signals = rician(tensor_signals(gradients, EIGENVALUES, rotations(25, rng)), 5.0, rng)
    whole = fit_signals(signals, gradients, estimator="nlls").eigenvalues
    monkeypatch.setattr("dtimuscle.imaging.tensor.BLOCK_VOXELS", 10)
    np.testing.assert_allclose(fit_signals(signals, gradients, estimator="nlls").eigenvalues, whole, rtol=1e-9)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_neither_threads_nor_the_layout_of_the_signals_change_a_bit_of_the_fit(monkeypatch, estimator):
    rng = np.random.default_rng(16)
    monkeypatch.setattr("dtimuscle.imaging.tensor.BLOCK_VOXELS", 10)
    monkeypatch.setattr("dtimuscle.threads._limits", {})
    gradients = muscle_gradients()
    signals = rician(tensor_signals(gradients, EIGENVALUES, rotations(64, rng)), 5.0, rng).astype(np.float32)
    signals[3, 2], signals[40, 0], signals[50, 5] = np.nan, 0.0, -1.0
    fits = []
    for n_threads in (1, 2):
        limit_threads(n_threads)
        layouts = signals, signals.astype(float), np.asfortranarray(signals), np.repeat(signals, 2, axis=1)[:, ::2]
        fits += [fit_signals(layout, gradients, estimator=estimator) for layout in layouts]
    assert list(np.flatnonzero(np.isnan(fits[0].s0))) == [3, 40]
    for other in fits[1:]:
        for field in ("eigenvalues", "direction", "s0", "residual"):
            np.testing.assert_array_equal(getattr(other, field), getattr(fits[0], field))


def test_the_normal_equations_are_solved_as_lapack_solves_them():
    rng = np.random.default_rng(17)
    design = rng.normal(size=(31, 7))
    weights, targets = rng.uniform(0.01, 1, (9, 31)), rng.normal(size=(9, 31))
    damping = rng.uniform(0, 1, 9)
    for i, solution in enumerate(_solve(design, weights, targets, damping)):
        normal = design.T @ (weights[i][:, None] * design)
        normal += damping[i] * np.diag(np.diag(normal))
        np.testing.assert_allclose(solution, np.linalg.solve(normal, design.T @ targets[i]), rtol=1e-10)


def test_normal_equations_without_a_solution_have_none():
    design = np.random.default_rng(18).normal(size=(31, 7))
    weights = np.ones((3, 31))
    weights[1] = 0.0
    solution = _solve(design, weights, weights)
    assert np.isnan(solution[1]).all()
    assert np.isfinite(solution[[0, 2]]).all()


@pytest.mark.parametrize(
    "eigenvalues",
    [
        (2.2e-3, 1.6e-3, 1.2e-3),
        (2.2e-3, 1.2e-3, 1.2e-3),
        (2.2e-3, 2.2e-3, 1.2e-3),
        (1.5e-3, 1.5e-3, 1.5e-3),
        (1.5e-3, 1.5e-3 - 1e-9, 1.5e-3 - 2e-9),
        (2.2e-3, 1.2e-3 + 1e-12, 1.2e-3),
        (2.2e-3, 2.2e-3 - 1e-7, 1.2e-3),
        (1e-3, -1e-3, -2e-3),
        (-1e-3, -2e-3, -3e-3),
        (0.0, 0.0, 0.0),
        (1e200, 1e-3, -1e200),
        (1e120, 2e119, 1e119),
    ],
)
def test_tensors_are_decomposed_as_lapack_does(eigenvalues):
    axes = rotations(50, np.random.default_rng(19))
    tensors = np.einsum("mij,j,mkj->mik", axes, np.array(eigenvalues), axes)
    found, direction = _decompose(tensors[:, [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]].T)
    size = np.abs(eigenvalues).max()
    np.testing.assert_allclose(found, np.linalg.eigvalsh(tensors)[:, ::-1], rtol=0, atol=1e-12 * size)
    np.testing.assert_allclose(np.linalg.norm(direction, axis=1), 1, rtol=1e-12)
    turned = np.einsum("mij,mj->mi", tensors, direction)
    np.testing.assert_allclose(turned, found[:, :1] * direction, rtol=0, atol=1e-9 * size)


def test_turning_the_patient_turns_the_direction_and_nothing_else():
    rng = np.random.default_rng(7)
    gradients = muscle_gradients()
    signals = rician(tensor_signals(gradients, EIGENVALUES, rotations(10, rng)), 3.0, rng)
    (rotation,) = rotations(1, rng)
    rotation *= np.linalg.det(rotation)
    turned = gradients.rotated(np.broadcast_to(rotation, (len(gradients), 3, 3)))
    before, after = fit_signals(signals, gradients), fit_signals(signals, turned)
    np.testing.assert_allclose(after.eigenvalues, before.eigenvalues, rtol=1e-9)
    np.testing.assert_allclose(np.abs(np.sum(after.direction * (before.direction @ rotation.T), axis=1)), 1, atol=1e-9)


def test_maps_are_nan_outside_the_mask():
    gradients = muscle_gradients()
    signal = tensor_signals(gradients, EIGENVALUES, np.stack([np.eye(3)] * 24)).reshape(2, 3, 4, -1)
    mask = np.zeros((2, 3, 4), dtype=bool)
    mask[1, 2, 3] = mask[0, 1, 0] = True
    maps = fit_tensor(DwiSeries(signal, np.eye(4), gradients), mask, estimator="wls")
    for volume in (*maps.scalars.values(), maps.s0, maps.direction[..., 0]):
        np.testing.assert_array_equal(np.isfinite(volume), mask)
    np.testing.assert_array_equal(maps.is_positive, mask)
    np.testing.assert_allclose(maps.ad[mask], 2.2e-3, rtol=1e-6)
    assert maps.estimator == "wls"


def test_a_series_that_cannot_carry_a_tensor_is_refused():
    signals = np.ones((1, 7))
    no_b0 = GradientTable(np.full(7, 500.0), spread_directions(7))
    with pytest.raises(GradientError, match="no volume has b"):
        fit_signals(signals, no_b0)
    angles = np.linspace(0, np.pi, 6, endpoint=False)
    plane = np.stack([np.cos(angles), np.sin(angles), np.zeros(6)], axis=1)
    with pytest.raises(GradientError, match="undetermined"):
        fit_signals(signals, GradientTable(np.r_[0.0, np.full(6, 500.0)], np.vstack([np.zeros((1, 3)), plane])))


def test_wrong_arguments_are_named():
    gradients = muscle_gradients()
    series = DwiSeries(np.ones((2, 2, 2, len(gradients))), np.eye(4), gradients)
    with pytest.raises(SettingsError, match="unknown estimator 'best'"):
        fit_tensor(series, np.ones((2, 2, 2), dtype=bool), estimator="best")
    with pytest.raises(GridMismatchError, match=r"\(2, 2, 3\)"):
        fit_tensor(series, np.ones((2, 2, 3), dtype=bool))
    with pytest.raises(ImageError, match="mask is empty"):
        fit_tensor(series, np.zeros((2, 2, 2), dtype=bool))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_any_possible_tensor_is_recovered_to_a_millionth(estimator):
    rng = np.random.default_rng(10)
    gradients, axes = muscle_gradients(n_directions=16, b=600.0), rotations(400, rng)
    eigenvalues = np.sort(rng.uniform(0.05e-3, 3e-3, (400, 3)))[:, ::-1]
    eigenvalues[:20] = 1.5e-3
    fit = fit_signals(tensor_signals(gradients, eigenvalues, axes), gradients, estimator=estimator)
    np.testing.assert_allclose(fit.fa, fractional_anisotropy(eigenvalues), atol=1e-6)
    np.testing.assert_allclose(fit.md, eigenvalues.mean(axis=1), rtol=1e-6)
    is_unique = eigenvalues[:, 0] > 1.02 * eigenvalues[:, 1]
    sine = np.linalg.norm(np.cross(fit.direction, axes[:, :, 0]), axis=1)
    assert is_unique.sum() > 300
    assert sine[is_unique].max() < 1e-6


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_volumes_may_come_in_any_order_with_a_single_b0_anywhere(estimator):
    rng = np.random.default_rng(11)
    weighted = spread_directions(12)
    for place in (0, 5, 12):
        gradients = GradientTable(np.insert(np.full(12, 500.0), place, 0), np.insert(weighted, place, 0, axis=0))
        axes = rotations(5, rng)
        fit = fit_signals(tensor_signals(gradients, EIGENVALUES, axes), gradients, estimator=estimator)
        np.testing.assert_allclose(fit.eigenvalues, np.tile(EIGENVALUES, (5, 1)), rtol=1e-6)
    noisy = rician(tensor_signals(gradients, EIGENVALUES, rotations(50, rng)), 4.0, rng)
    order = rng.permutation(13)
    once, again = (
        fit_signals(noisy, gradients, estimator=estimator),
        fit_signals(noisy[:, order], gradients.subset(order), estimator=estimator),
    )
    np.testing.assert_allclose(again.eigenvalues, once.eigenvalues, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("b", [0.5, 15.0])
@pytest.mark.parametrize("has_direction", [True, False])
def test_a_small_b_value_enters_as_its_number_where_it_has_a_direction(b, has_direction):
    directions = np.vstack(
        [np.tile([0.6, 0, 0.8], (2, 1)) if has_direction else np.zeros((2, 3)), spread_directions(9)]
    )
    gradients = GradientTable(np.r_[b, b, np.full(9, 500.0)], directions)
    signals = tensor_signals(gradients, EIGENVALUES, np.eye(3)[np.newaxis])
    fit = fit_signals(signals, gradients)
    np.testing.assert_allclose(fit.eigenvalues[0], EIGENVALUES, rtol=1e-6)
    np.testing.assert_allclose(fit.s0, 100, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8", "<i2", ">u2", "<i4"])
@pytest.mark.parametrize("estimator", ["iwls", "robust"])
def test_every_type_of_number_gives_the_same_tensor(dtype, estimator):
    rng = np.random.default_rng(12)
    gradients = muscle_gradients()
    signals = np.round(rician(tensor_signals(gradients, EIGENVALUES, rotations(20, rng), s0=9000), 300.0, rng))
    expected = fit_signals(signals, gradients, estimator=estimator)
    found = fit_signals(signals.astype(dtype), gradients, estimator=estimator)
    np.testing.assert_allclose(found.eigenvalues, expected.eigenvalues, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-3, 1e6])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_signals_may_be_tiny_or_huge(scale, estimator):
    rng = np.random.default_rng(13)
    gradients = muscle_gradients()
    signals = rician(tensor_signals(gradients, EIGENVALUES, rotations(30, rng), s0=1.0), 0.04, rng)
    once = fit_signals(signals, gradients, estimator=estimator)
    scaled = fit_signals((scale * signals).astype(np.float32), gradients, estimator=estimator)
    np.testing.assert_allclose(scaled.eigenvalues, once.eigenvalues, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(scaled.s0, scale * once.s0, rtol=1e-5)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_sample_of_weight_zero_might_as_well_be_missing(estimator):
    rng = np.random.default_rng(14)
    gradients = muscle_gradients(n_directions=16)
    signals = rician(tensor_signals(gradients, EIGENVALUES, rotations(40, rng)), 4.0, rng)
    kept = np.ones(len(gradients), dtype=bool)
    kept[[0, 6, 11]] = False
    expected = fit_signals(signals[:, kept], gradients.subset(kept), estimator=estimator)
    spoilt = signals.copy()
    spoilt[:, 0], spoilt[:, 6], spoilt[:, 11] = np.nan, -5.0, np.inf
    found = fit_signals(spoilt, gradients, estimator=estimator, weights=kept)
    np.testing.assert_allclose(found.eigenvalues, expected.eigenvalues, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found.s0, expected.s0, rtol=1e-5)


@pytest.mark.parametrize("estimator", ["ols", "wls", "iwls", "nlls"])
def test_a_sample_of_weight_two_counts_like_two_samples(estimator):
    rng = np.random.default_rng(15)
    gradients = muscle_gradients()
    signals = rician(tensor_signals(gradients, EIGENVALUES, rotations(40, rng)), 4.0, rng)
    weights = np.ones(len(gradients))
    weights[[1, 5]] = 2
    twice = np.r_[np.arange(len(gradients)), 1, 5]
    expected = fit_signals(signals[:, twice], gradients.subset(twice), estimator=estimator)
    for scale in (1, 1e-4):
        found = fit_signals(signals, gradients, estimator=estimator, weights=scale * weights)
        np.testing.assert_allclose(found.eigenvalues, expected.eigenvalues, rtol=1e-5, atol=1e-9)


def test_weights_of_slices_and_volumes_reach_their_voxels():
    rng = np.random.default_rng(16)
    gradients = muscle_gradients()
    signal = rician(tensor_signals(gradients, EIGENVALUES, rotations(24, rng)), 3.0, rng).reshape(2, 3, 4, -1)
    series, mask = DwiSeries(signal, np.eye(4), gradients), np.ones((2, 3, 4), dtype=bool)
    weights = np.ones((1, 1, 4, len(gradients)), dtype=bool)
    weights[:, :, 2, 7] = False
    plain, chosen = fit_tensor(series, mask), fit_tensor(series, mask, weights=weights)
    others = [0, 1, 3]
    np.testing.assert_allclose(chosen.md[:, :, others], plain.md[:, :, others], rtol=1e-9)
    kept = weights[0, 0, 2]
    expected = fit_signals(signal[:, :, 2].reshape(6, -1)[:, kept], gradients.subset(kept))
    np.testing.assert_allclose(chosen.md[:, :, 2].ravel(), expected.md, rtol=1e-9)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_voxels_whose_samples_cannot_carry_a_tensor_have_none(estimator):
    gradients = muscle_gradients(n_directions=9)
    signals = tensor_signals(gradients, EIGENVALUES, np.stack([np.eye(3)] * 4))
    weights = np.ones(signals.shape, dtype=bool)
    weights[0, :2] = False
    weights[1, 2:7] = False
    weights[2, [0, 4]] = False
    fit = fit_signals(signals, gradients, estimator=estimator, weights=weights)
    np.testing.assert_array_equal(np.isnan(fit.md), [True, True, False, False])
    np.testing.assert_allclose(fit.md[2:], EIGENVALUES.mean(), rtol=1e-6)
    np.testing.assert_array_equal(carries_tensor(gradients, weights), [False, False, True, True])


def test_directions_left_on_a_cone_carry_no_tensor():
    angles = np.linspace(0, 2 * np.pi, 7, endpoint=False)
    cone = np.stack([np.sin(0.9) * np.cos(angles), np.sin(0.9) * np.sin(angles), np.full(7, np.cos(0.9))], axis=1)
    gradients = GradientTable(
        np.r_[0.0, np.full(11, 500.0)], np.vstack([np.zeros((1, 3)), cone, spread_directions(4) * [1, 1, -1]])
    )
    kept = np.ones((2, 12), dtype=bool)
    kept[1, 8:] = False
    np.testing.assert_array_equal(carries_tensor(gradients, kept), [True, False])
    # Directions a degree off the cone determine a tensor on paper, but with a huge error.
    rng = np.random.default_rng(9)
    near = gradients.directions + np.radians(1) * rng.normal(size=(12, 3)) * ~gradients.is_b0[:, np.newaxis]
    near /= np.maximum(np.linalg.norm(near, axis=1, keepdims=True), 1e-9)
    np.testing.assert_array_equal(carries_tensor(GradientTable(gradients.bvals, near), kept), [True, False])


def test_wrong_weights_are_named():
    gradients = muscle_gradients()
    series = DwiSeries(np.ones((2, 2, 2, len(gradients))), np.eye(4), gradients)
    mask = np.ones((2, 2, 2), dtype=bool)
    with pytest.raises(GridMismatchError, match=r"weights of shape \(3, 14\)"):
        fit_tensor(series, mask, weights=np.ones((3, 14)))
    with pytest.raises(SettingsError, match="negative or not a number"):
        fit_tensor(series, mask, weights=np.full(14, -1.0))
    with pytest.raises(SettingsError, match="negative or not a number"):
        fit_signals(series.signal[mask], gradients, weights=np.full(14, np.nan))


def rms_error(fit):
    return np.sqrt(np.mean((fit.eigenvalues - EIGENVALUES) ** 2))


def test_the_robust_fit_bears_single_lost_samples_and_costs_little_without_them():
    rng = np.random.default_rng(17)
    gradients = muscle_gradients(n_directions=24)
    clean = rician(tensor_signals(gradients, EIGENVALUES, rotations(600, rng)), 3.0, rng)
    spoilt = clean.copy()
    lost = rng.integers(2, len(gradients), 600)
    spoilt[np.arange(600), lost] *= rng.uniform(0.1, 0.6, 600)
    best = rms_error(fit_signals(clean, gradients))
    assert rms_error(fit_signals(clean, gradients, estimator="robust")) < 1.1 * best
    assert rms_error(fit_signals(spoilt, gradients)) > 2 * best
    assert rms_error(fit_signals(spoilt, gradients, estimator="robust")) < 1.5 * best
    assert rms_error(fit_signals(spoilt, gradients, estimator="robust")) < rms_error(
        fit_signals(spoilt, gradients, estimator="restore")
    )


def test_the_robust_fit_equals_iwls_without_the_lost_volume():
    rng = np.random.default_rng(18)
    gradients = muscle_gradients(n_directions=30)
    signals = rician(tensor_signals(gradients, EIGENVALUES, rotations(300, rng)), 3.0, rng)
    signals[:, 5] *= 0.2
    ours = fit_signals(signals, gradients, estimator="robust").eigenvalues
    others = np.arange(len(gradients)) != 5
    without = fit_signals(signals[:, others], gradients.subset(others)).eigenvalues
    # In the other voxels noise has made a second sample stick out.
    assert np.mean(np.abs(ours - without).max(axis=1) < 1e-6) > 0.8


@pytest.mark.parametrize("estimator", ["restore", "robust"])
def test_a_robust_fit_never_leaves_out_what_the_tensor_needs(estimator):
    rng = np.random.default_rng(19)
    gradients = GradientTable(np.r_[0.0, np.full(7, 500.0)], np.vstack([np.zeros((1, 3)), spread_directions(7)]))
    signals = rician(tensor_signals(gradients, EIGENVALUES, rotations(300, rng)), 10.0, rng)
    signals[:, 0] *= 0.3
    assert np.isfinite(fit_signals(signals, gradients, estimator=estimator).md).all()


def test_voxels_are_counted_under_the_reason_for_which_they_have_no_tensor():
    gradients = muscle_gradients(n_directions=12)
    signal = tensor_signals(gradients, EIGENVALUES, np.stack([np.eye(3)] * 8)).reshape(2, 2, 2, -1)
    signal[0, 0, 0, 4] = np.nan
    signal[0, 0, 1, 1] = 0
    signal[0, 1, 0, 6] = 0
    signal[1, 1, 1] = tensor_signals(gradients, np.array([1.5e-3, 1e-3, -0.3e-3]), np.eye(3)[np.newaxis])[0]
    series, mask = DwiSeries(signal, np.eye(4), gradients), np.ones((2, 2, 2), dtype=bool)
    mask[1, 0, 0] = False
    weights = np.ones(signal.shape)
    weights[1, 0, 1, 2:9] = 0
    counts = count_voxels(series, fit_tensor(series, mask, weights=weights), weights=weights)
    assert (counts.n_voxels, counts.n_fitted) == (7, 4)
    assert (counts.n_not_finite, counts.n_no_b0, counts.n_too_few) == (1, 1, 1)
    assert (counts.n_weighted_at_zero, counts.n_non_positive, counts.n_samples_left_out) == (1, 1, 7)
    assert [issue.severity for issue in counts.issues] == [Severity.WARNING, Severity.WARNING]
    assert "1 of 7 voxels hold a diffusion-weighted signal at or below zero" in counts.to_dict()["issues"][0]["what"]


def test_leaving_impossible_samples_out_keeps_their_voxels():
    gradients = muscle_gradients(n_directions=12)
    signal = tensor_signals(gradients, EIGENVALUES, np.stack([np.eye(3)] * 4)).reshape(2, 2, 1, -1)
    signal[0, 0, 0, 4], signal[0, 1, 0, 1], signal[1, 0, 0, 6] = np.nan, 0, -3
    series, mask = DwiSeries(signal, np.eye(4), gradients), np.ones((2, 2, 1), dtype=bool)
    usable = np.isfinite(signal) & (signal > 0)
    assert np.count_nonzero(~usable) == 3
    maps = fit_tensor(series, mask, weights=usable)
    np.testing.assert_allclose(maps.md, EIGENVALUES.mean(), rtol=1e-6)
    counts = count_voxels(series, maps, weights=usable)
    assert (counts.n_fitted, counts.n_samples_left_out, counts.issues) == (4, 3, ())


# What the tensor leaves unexplained


def block_of_one_tensor(n_directions=12):
    gradients = muscle_gradients(n_directions)
    signal = tensor_signals(gradients, EIGENVALUES, np.eye(3)[np.newaxis], s0=1000.0)
    return DwiSeries(np.tile(signal, (6, 6, 6, 1)), np.diag([2.5, 2.5, 5.0, 1.0]), gradients)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_residual_is_the_noise_over_the_signal(estimator):
    exact = block_of_one_tensor(30)
    everywhere = np.ones(exact.shape, dtype=bool)
    assert np.nanmax(fit_tensor(exact, everywhere, estimator=estimator).residual) < 1e-10
    noise = np.random.default_rng(2).normal(0, 20, exact.signal.shape)
    residual = fit_tensor(exact.with_signal(exact.signal + noise), everywhere, estimator=estimator).residual
    assert np.sqrt(np.nanmean(residual**2)) == pytest.approx(20 / 1000, rel=0.03)


def test_samples_that_do_not_count_leave_no_residual():
    series = block_of_one_tensor()
    series.signal[:, :, 1, 7] *= 0.3
    series.signal[:, :, 2, 8] = np.nan
    everywhere, weights = np.ones(series.shape, dtype=bool), np.ones(series.signal.shape, dtype=bool)
    weights[:, :, 1, 7] = weights[:, :, 2, 8] = False
    assert np.nanmax(fit_tensor(series, everywhere, weights=weights).residual) < 1e-10
    found = fit_tensor(series, everywhere).residual
    assert np.nanmin(found[:, :, 1]) > 0.01
    assert np.isnan(found[:, :, 2]).all()


def test_where_there_is_no_tensor_there_is_no_residual():
    series = block_of_one_tensor()
    mask = np.zeros(series.shape, dtype=bool)
    mask[2] = True
    np.testing.assert_array_equal(np.isfinite(fit_tensor(series, mask).residual), mask)


def test_seven_samples_leave_no_degree_of_freedom():
    series = block_of_one_tensor()
    series = DwiSeries(series.signal[..., 1:8], series.affine, muscle_gradients().subset(np.arange(1, 8)))
    assert np.isnan(fit_tensor(series, np.ones(series.shape, dtype=bool), estimator="ols").residual).all()
