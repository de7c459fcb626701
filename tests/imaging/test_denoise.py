from pathlib import Path

import numpy as np
import pytest

from dtimuscle import threads
from dtimuscle.dwi import DwiSeries, GradientTable
from dtimuscle.errors import GridMismatchError, ImageError
from dtimuscle.imaging.averaging import average_alike
from dtimuscle.imaging.denoise import denoise, patch_shape
from dtimuscle.imaging.tensor import fit_tensor

NOISE_SD = 5.0


def phantom(shape=(24, 20, 6), n_volumes=14, seed=0):
    """Three tissues, each with its own signal curve, and their clean signal far above the noise."""
    rng = np.random.default_rng(seed)
    tissue = (np.arange(shape[0])[:, None, None] * 3 // shape[0]) * np.ones(shape, dtype=int)
    curves = 100 + 60 * rng.random((3, n_volumes))
    clean = curves[tissue]
    noisy = np.abs(clean + rng.normal(0, NOISE_SD, clean.shape)).astype(np.float32)
    bvals = np.r_[0.0, np.full(n_volumes - 1, 500.0)]
    directions = rng.normal(size=(n_volumes, 3))
    directions[0] = 0
    directions[1:] /= np.linalg.norm(directions[1:], axis=1, keepdims=True)
    return DwiSeries(noisy, np.diag([2.5, 2.5, 5.0, 1.0]), GradientTable(bvals, directions)), clean


def rmse(signal, clean):
    return float(np.sqrt(np.mean((signal - clean) ** 2)))


@pytest.mark.parametrize("engine", ["kit", "dipy"])
def test_denoising_brings_the_signal_nearer_to_the_truth(engine):
    series, clean = phantom()
    denoised = denoise(series, np.ones(series.shape, dtype=bool), engine=engine).series.signal
    assert rmse(denoised, clean) < 0.45 * rmse(series.signal, clean)


@pytest.mark.parametrize("engine", ["kit", "dipy"])
def test_the_noise_level_is_found_within_8_percent(engine):
    series, _ = phantom()
    noise_sd = denoise(series, np.ones(series.shape, dtype=bool), engine=engine).noise_sd
    assert np.nanmedian(noise_sd) == pytest.approx(NOISE_SD, rel=0.08)


def test_the_kit_is_as_near_to_the_truth_as_dipy():
    series, clean = phantom()
    mask = np.ones(series.shape, dtype=bool)
    kit = rmse(denoise(series, mask, engine="kit").series.signal, clean)
    dipy = rmse(denoise(series, mask, engine="dipy").series.signal, clean)
    assert kit < 1.1 * dipy


def test_no_more_components_are_kept_than_the_phantom_has():
    series, _ = phantom()
    result = denoise(series, np.ones(series.shape, dtype=bool), engine="kit")
    # Three tissues are at most two components once the mean is taken out.
    assert np.nanmean(result.n_components) < 2.1
    assert np.nanmax(result.n_components) > 0.5


@pytest.mark.parametrize("engine", ["kit", "dipy"])
def test_voxels_outside_the_mask_keep_their_value(engine):
    series, _ = phantom()
    mask = np.zeros(series.shape, dtype=bool)
    mask[:9, 5:, :] = True
    result = denoise(series, mask, engine=engine)
    np.testing.assert_array_equal(result.series.signal[~mask], series.signal[~mask])
    assert np.isnan(result.noise_sd[~mask]).all()
    assert not np.array_equal(result.series.signal[mask], series.signal[mask])


def test_the_border_of_the_image_is_denoised_like_the_inside():
    series, clean = phantom()
    border = np.ones(series.shape, dtype=bool)
    border[3:-3, 3:-3, 1:-1] = False
    denoised = denoise(series, border, engine="kit").series.signal
    assert rmse(denoised[border], clean[border]) < 0.5 * NOISE_SD


@pytest.mark.parametrize("engine", ["kit", "dipy"])
@pytest.mark.parametrize("n_slices", [1, 2, 4])
def test_few_slices_are_denoised(engine, n_slices):
    series, clean = phantom(shape=(24, 20, n_slices))
    result = denoise(series, np.ones(series.shape, dtype=bool), engine=engine)
    assert rmse(result.series.signal, clean) < 0.6 * NOISE_SD


def test_a_grid_with_fewer_voxels_than_volumes_still_comes_back_finite():
    series, _ = phantom(shape=(3, 3, 1), n_volumes=20)
    result = denoise(series, np.ones(series.shape, dtype=bool), engine="kit")
    assert np.isfinite(result.series.signal).all()
    assert np.isfinite(result.noise_sd).all()


def test_data_without_noise_come_back_unchanged():
    series, clean = phantom()
    exact = series.with_signal(clean.astype(np.float32))
    result = denoise(exact, np.ones(series.shape, dtype=bool), engine="kit")
    np.testing.assert_allclose(result.series.signal, clean, rtol=1e-4)


def test_an_image_of_zeros_stays_zero():
    series, _ = phantom()
    result = denoise(series.with_signal(np.zeros_like(series.signal)), np.ones(series.shape, dtype=bool), engine="kit")
    assert not result.series.signal.any()
    assert not result.noise_sd.any()


@pytest.mark.parametrize(
    ("shape", "n_volumes", "expected"),
    [
        ((60, 60, 8), 14, (5, 5, 5)),
        ((60, 60, 1), 31, (6, 6, 1)),
        ((60, 60, 8), 130, (6, 6, 6)),
        ((4, 4, 2), 99, (4, 4, 2)),
    ],
)
def test_a_patch_holds_more_voxels_than_volumes_where_the_grid_allows(shape, n_volumes, expected):
    assert patch_shape(shape, n_volumes) == expected


def test_a_mask_of_another_shape_is_refused():
    series, _ = phantom()
    with pytest.raises(GridMismatchError, match="mask"):
        denoise(series, np.ones((3, 3, 3), dtype=bool), engine="kit")


def test_a_single_volume_is_refused():
    series, _ = phantom()
    single = DwiSeries(series.signal[..., :1], series.affine, series.gradients.subset(np.array([0])))
    with pytest.raises(ImageError, match="too small"):
        denoise(single, np.ones(series.shape, dtype=bool), engine="kit")


def thigh_like(n_volumes, snr, *, seed=0, shape=(30, 30, 6)):
    """A disc of tissue of three contrasts in air, with complex noise; the disc, and the noise SD."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in shape[:2]], indexing="ij")
    radius = np.hypot(x, y)[:, :, None] + np.zeros(shape)
    part = (np.arctan2(y, x)[:, :, None] // 2.1 + 2 + np.zeros(shape)).astype(int)
    decay = np.exp(-np.r_[0.0, rng.uniform(0.6, 1.0, n_volumes - 1)] * rng.uniform(0.8, 1.2, (4, 1)))
    disc = radius < 12
    clean = np.where(disc[..., None], 1000 * decay[part], 0.0)
    sd = 1000 / snr
    noisy = np.abs(clean + sd * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape)))
    directions = rng.normal(size=(n_volumes, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    gradients = GradientTable(
        np.r_[0.0, np.full(n_volumes - 1, 500.0)], directions * (np.arange(n_volumes) > 0)[:, None]
    )
    return DwiSeries(noisy.astype(np.float32), np.diag([2.5, 2.5, 5.0, 1.0]), gradients), clean, disc, sd


@pytest.mark.parametrize(("n_volumes", "snr"), [(14, 15), (14, 25), (14, 60), (31, 15), (31, 60), (64, 25)])
def test_noise_level_and_error_in_tissue_amid_air(n_volumes, snr):
    series, clean, disc, sd = thigh_like(n_volumes, snr)
    result = denoise(series, disc)
    assert np.nanmedian(result.noise_sd[disc]) == pytest.approx(sd, rel=0.05)
    assert rmse(result.series.signal[disc], clean[disc]) < 0.6 * rmse(series.signal[disc], clean[disc])


def test_the_outermost_voxels_have_nearly_the_noise_of_the_inside():
    # Air's magnitude varies less; patches that reach into it made the rim's noise 12 % too low.
    series, _, disc, sd = thigh_like(14, 25)
    inner = disc & np.roll(disc, 1, 0) & np.roll(disc, -1, 0) & np.roll(disc, 1, 1) & np.roll(disc, -1, 1)
    noise_sd = denoise(series, disc).noise_sd
    assert np.nanmedian(noise_sd[disc & ~inner]) == pytest.approx(sd, rel=0.08)


def test_air_that_was_set_to_zero_does_not_lower_the_noise():
    series, clean, disc, sd = thigh_like(14, 25)
    cut = series.with_signal(series.signal * disc[..., None])
    inner = disc & np.roll(disc, 1, 0) & np.roll(disc, -1, 0) & np.roll(disc, 1, 1) & np.roll(disc, -1, 1)
    result = denoise(cut, disc)
    assert np.nanmedian(result.noise_sd[disc & ~inner]) == pytest.approx(sd, rel=0.05)
    assert rmse(result.series.signal[disc], clean[disc]) < 0.5 * sd


def test_voxels_without_signal_in_the_mask_stay_zero_and_have_no_noise():
    series, _, disc, _ = thigh_like(14, 25)
    cut = series.with_signal(series.signal * disc[..., None])
    result = denoise(cut, np.ones(series.shape, dtype=bool))
    assert not result.series.signal[~disc].any()
    assert not result.noise_sd[~disc].any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_stays_in_its_voxel(value):
    series, clean, disc, sd = thigh_like(14, 25)
    signal = series.signal.copy()
    signal[15, 15, 3, 4] = value
    signal[16, 15, 3, 5] = -value
    result = denoise(series.with_signal(signal), disc)
    broken = ~np.isfinite(signal).all(axis=3)
    np.testing.assert_array_equal(np.isnan(result.noise_sd), ~disc | broken)
    np.testing.assert_array_equal(np.isfinite(result.series.signal).all(axis=3), ~broken)
    assert rmse(result.series.signal[disc & ~broken], clean[disc & ~broken]) < 0.5 * sd


@pytest.mark.parametrize("n_voxels", [1, 2, 9])
def test_a_few_voxels_alone_in_nothing_come_back_finite(n_voxels):
    series, _, _, _ = thigh_like(14, 25)
    alone = np.zeros(series.shape, dtype=bool)
    alone.reshape(-1)[2700 : 2700 + n_voxels] = True
    result = denoise(series.with_signal(series.signal * alone[..., None]), alone)
    assert np.isfinite(result.series.signal).all()
    assert np.isfinite(result.noise_sd[alone]).all()


@pytest.mark.parametrize("n_voxels", [1, 30])
def test_a_small_mask_gets_the_noise_of_its_surroundings(n_voxels):
    series, _, _, sd = thigh_like(14, 25)
    small = np.zeros(series.shape, dtype=bool)
    small[14, 14 : 14 + max(n_voxels // 6, 1), : min(n_voxels, 6)] = True
    assert np.nanmedian(denoise(series, small).noise_sd[small]) == pytest.approx(sd, rel=0.08)


def spread(n):
    """Directions on a golden spiral over the half sphere."""
    k = np.arange(n) + 0.5
    z, angle = 1 - k / n, np.pi * (1 + 5**0.5) * k
    return np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], axis=1)


def muscles_in_nothing(n_directions, snr, *, voxel_mm, n_b0=1, shape=(40, 30, 6), seed=0):
    """Four muscles and nothing around them, not even noise; their tensors, where they are, and the noise SD."""
    rng = np.random.default_rng(seed)
    x, y, _ = np.indices(shape)
    inside = (x >= 4) & (x < 36) & (y >= 3) & (y < 27)
    muscle = np.where(inside, (x // 20) + 2 * (y // 15), 0)
    md, share = np.array([1.4e-3, 1.5e-3, 1.6e-3, 1.7e-3]), np.array([0.14, 0.18, 0.12, 0.16])
    fibres = rng.normal([0, 0, 1], 0.3, (4, 3))
    fibres /= np.linalg.norm(fibres, axis=1, keepdims=True)
    directions = np.vstack([np.zeros((n_b0, 3)), spread(n_directions)])
    gradients = GradientTable(np.r_[np.zeros(n_b0), np.full(n_directions, 500.0)], directions)
    adc = md[:, None] * (1 + share[:, None] * (3 * (fibres @ directions.T) ** 2 - 1))
    clean = np.where(inside[..., None], 500 * np.exp(-gradients.bvals * adc)[muscle], 0)
    sd = 500 / snr
    noisy = np.abs(clean + sd * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape)))
    series = DwiSeries(
        (noisy * inside[..., None]).astype(np.float32), np.diag([*voxel_mm, 1.0]).astype(float), gradients
    )
    fa = 3 * share / np.sqrt(3 + 6 * share**2)
    return series, {"fa": fa[muscle], "md": md[muscle], "direction": fibres[muscle]}, inside, sd


def tensor_errors(series, truth, where):
    maps = fit_tensor(series, where)
    cosine = np.abs(np.sum(maps.direction * truth["direction"], axis=3))[where]
    fa, md = (maps.fa - truth["fa"])[where], (maps.md / truth["md"] - 1)[where]
    angle = np.degrees(np.median(np.arccos(np.clip(cosine, 0, 1))))
    return rmse(fa, 0), abs(fa.mean()), abs(md.mean()), angle


@pytest.mark.parametrize(
    ("n_directions", "n_b0", "snr", "voxel_mm"),
    [
        (6, 1, 39, (3.0, 3.0, 3.0)),
        (12, 1, 24, (3.0, 3.0, 3.0)),
        (12, 5, 24, (1.5, 1.5, 6.0)),
        (32, 2, 39, (1.5, 1.5, 6.0)),
        (64, 6, 24, (3.0, 3.0, 3.0)),
    ],
)
def test_tensors_come_back_from_scans_without_air_and_texture(n_directions, n_b0, snr, voxel_mm):
    series, truth, inside, sd = muscles_in_nothing(n_directions, snr, n_b0=n_b0, voxel_mm=voxel_mm)
    mask = np.ones(series.shape, dtype=bool)
    cleaned = denoise(series, mask)
    averaged = average_alike(cleaned.series, mask, cleaned.remaining_sd)
    assert np.nanmedian(cleaned.noise_sd[inside]) == pytest.approx(sd, rel=0.08)
    fa_rmse, fa_bias, md_bias, angle = tensor_errors(averaged, truth, inside)
    assert fa_rmse < 0.3 * tensor_errors(series, truth, inside)[0]
    assert fa_rmse < 0.015
    assert fa_bias < 0.005
    # What the noise floor takes off at SNR 24 is 0.4 %; denoising does not touch it.
    assert md_bias < 0.01
    assert angle < 2.5
    assert not averaged.signal[~inside].any()


def two_tissues(*, contrast, noise=0.1, n_volumes=13, seed=0, shape=(24, 16, 5)):
    """Two halves that differ by `contrast` in every other volume, and noise as denoising leaves it."""
    rng = np.random.default_rng(seed)
    clean = np.ones((*shape, n_volumes))
    clean[12:, :, :, 1::2] += contrast
    directions = np.vstack([np.zeros(3), spread(n_volumes - 1)])
    gradients = GradientTable(np.r_[0.0, np.full(n_volumes - 1, 500.0)], directions)
    noisy = clean + rng.normal(0, noise, clean.shape)
    series = DwiSeries(noisy.astype(np.float32), np.diag([2.5, 2.5, 5.0, 1.0]), gradients)
    return series, clean, np.full(shape, noise)


def test_like_neighbours_share_their_noise_and_a_border_stays_sharp():
    series, clean, remaining_sd = two_tissues(contrast=0.5)
    averaged = average_alike(series, np.ones(series.shape, dtype=bool), remaining_sd).signal
    border = np.zeros(series.shape, dtype=bool)
    border[11:13] = True
    assert rmse(averaged, clean) < 0.6 * rmse(series.signal, clean)
    assert rmse(averaged[border], clean[border]) < 0.7 * rmse(series.signal[border], clean[border])


def test_nothing_is_averaged_where_no_noise_is_left():
    series, _, remaining_sd = two_tissues(contrast=0.5)
    everywhere = np.ones(series.shape, dtype=bool)
    remaining_sd[:10] = 0.0
    remaining_sd[20:] = np.nan
    averaged = average_alike(series, everywhere, remaining_sd).signal
    np.testing.assert_array_equal(averaged[:10], series.signal[:10])
    np.testing.assert_array_equal(averaged[20:], series.signal[20:])
    assert not np.array_equal(averaged[10:20], series.signal[10:20])
    np.testing.assert_array_equal(average_alike(series, everywhere, 0 * remaining_sd).signal, series.signal)


def test_voxels_outside_the_mask_neither_change_nor_count():
    series, _, remaining_sd = two_tissues(contrast=0.0)
    mask = np.zeros(series.shape, dtype=bool)
    mask[:, :8] = True
    spoilt = series.signal.copy()
    spoilt[:, 8:] += 0.05
    averaged = average_alike(series, mask, remaining_sd).signal
    np.testing.assert_array_equal(averaged[~mask], series.signal[~mask])
    np.testing.assert_array_equal(
        average_alike(series.with_signal(spoilt), mask, remaining_sd).signal[mask], averaged[mask]
    )


def test_a_lost_slice_neither_counts_nor_changes():
    series, clean, remaining_sd = two_tissues(contrast=0.5)
    weights = np.ones(series.signal.shape, dtype=bool)
    weights[:, :, 2, 5] = False
    lost = series.signal.copy()
    lost[:, :, 2, 5] *= 0.1
    averaged = average_alike(series.with_signal(lost), weights[..., 0], remaining_sd, weights=weights).signal
    np.testing.assert_array_equal(averaged[~weights], lost[~weights])
    whole = average_alike(series, weights[..., 0], remaining_sd, weights=weights).signal
    np.testing.assert_allclose(averaged[weights], whole[weights], rtol=1e-5)
    assert rmse(averaged[weights], clean[weights]) < 0.6 * rmse(lost[weights], clean[weights])


def test_a_value_that_is_not_finite_does_not_spread_by_averaging():
    series, _, remaining_sd = two_tissues(contrast=0.5)
    signal = series.signal.copy()
    signal[5, 5, 2, 3] = np.nan
    averaged = average_alike(series.with_signal(signal), np.ones(series.shape, dtype=bool), remaining_sd).signal
    assert np.isnan(averaged).sum() == 1


def test_averaging_keeps_the_texture_that_denoising_has_kept():
    # MD that rises and falls by 10 % over 40 mm, at SNR 25.
    rng = np.random.default_rng(0)
    x, y, _ = np.indices((48, 40, 6))
    wave = np.sin(2 * np.pi * 2.5 * x / 40) * np.cos(2 * np.pi * 2.5 * y / 40)
    directions = np.vstack([np.zeros((2, 3)), spread(12)])
    gradients = GradientTable(np.r_[0.0, 0.0, np.full(12, 500.0)], directions)
    clean = np.exp(-gradients.bvals * 1.5e-3 * (1 + 0.1 * wave[..., None]))
    noisy = np.abs(clean + 0.04 * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape)))
    series = DwiSeries(noisy.astype(np.float32), np.diag([2.5, 2.5, 5.0, 1.0]), gradients)
    mask = np.ones(series.shape, dtype=bool)
    cleaned = denoise(series, mask)
    averaged = average_alike(cleaned.series, mask, cleaned.remaining_sd)

    def height(of):
        return np.polyfit(0.1 * wave.ravel(), fit_tensor(of, mask).md.ravel() / 1.5e-3, 1)[0]

    assert height(averaged) > 0.9 * height(cleaned.series) > 0.75


def test_a_mask_of_another_shape_is_refused_by_averaging():
    series, _, remaining_sd = two_tissues(contrast=0.5)
    with pytest.raises(GridMismatchError, match="mask"):
        average_alike(series, np.ones((3, 3, 3), dtype=bool), remaining_sd)


# The published form


def as_series(signal):
    n = signal.shape[3]
    directions = np.tile([0.0, 0.0, 1.0], (n, 1))
    bvals = np.r_[0.0, np.full(n - 1, 500.0)]
    return DwiSeries(signal, np.diag([2.5, 2.5, 5.0, 1.0]), GradientTable(bvals, directions * (bvals > 0)[:, None]))


REFERENCE = Path(__file__).parents[1] / "reference" / "dwidenoise.npz"


def test_centred_patches_give_what_dwidenoise_gives():
    known = np.load(REFERENCE)
    mask = known["mask"]
    found = denoise(as_series(known["signal"]), mask, patches="centred")
    np.testing.assert_allclose(found.series.signal[mask], known["denoised"], rtol=2e-6)
    np.testing.assert_allclose(found.noise_sd[mask], known["noise_sd"], rtol=1e-5)
    np.testing.assert_array_equal(found.series.signal[~mask], known["signal"][~mask])
    assert np.isnan(found.noise_sd[~mask]).all()


@pytest.mark.parametrize("patches", ["overlapping", "centred"])
@pytest.mark.parametrize("shape", [(6, 5, 4), (1, 7, 9), (2, 2, 1), (12, 1, 1)])
def test_both_forms_take_grids_of_any_size_and_any_number_of_threads(monkeypatch, shape, patches):
    rng = np.random.default_rng(4)
    signal = (100 + rng.normal(0, 5, (*shape, 7))).astype(np.float32)
    mask = np.ones(shape, dtype=bool)
    found = []
    for n in (1, 3):
        monkeypatch.setattr(threads, "_limits", {"n": n})
        found.append(denoise(as_series(signal), mask, patches=patches))
    assert np.isfinite(found[0].series.signal).all()
    assert found[0].series.signal.std() < signal.std()
    np.testing.assert_array_equal(found[0].series.signal, found[1].series.signal)
    np.testing.assert_array_equal(found[0].noise_sd, found[1].noise_sd)


@pytest.mark.parametrize("patches", ["overlapping", "centred"])
def test_a_value_that_is_not_finite_stays_alone_in_both_forms(patches):
    rng = np.random.default_rng(4)
    signal = (100 + rng.normal(0, 5, (7, 6, 5, 8))).astype(np.float32)
    signal[3, 3, 2, 1] = np.nan
    found = denoise(as_series(signal), np.ones((7, 6, 5), dtype=bool), patches=patches)
    assert np.isnan(found.series.signal).sum() == 1
    assert np.isnan(found.noise_sd).sum() == 1


def test_averaging_gives_the_same_with_any_number_of_threads(monkeypatch):
    rng = np.random.default_rng(4)
    series = as_series((100 + rng.normal(0, 5, (9, 8, 6, 7))).astype(np.float32))
    mask = rng.random((9, 8, 6)) > 0.2
    found = []
    for n in (1, 3):
        monkeypatch.setattr(threads, "_limits", {"n": n})
        found.append(average_alike(series, mask, np.full(mask.shape, 5.0)).signal)
    np.testing.assert_array_equal(*found)
