"""One series outside BIDS, held against DIPY's own fit of the same scan in its own convention."""

import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dipy.core.gradients import gradient_table
from dipy.data import get_fnames
from dipy.io.gradients import read_bvals_bvecs
from dipy.reconst.dti import TensorModel

from dtimuscle.dwi import DwiSeries
from dtimuscle.errors import SettingsError
from dtimuscle.running.single import SeriesFiles, default_folder, fit_series
from dtimuscle.settings import Study
from dtimuscle.store.files import read_json
from dtimuscle.store.images import read_dwi, write_gradients, write_image

# DIPY's small brain scan: 10 × 10 × 10 voxels, 64 directions, an affine with swapped and oblique axes.
IMAGE, BVAL, BVEC = (Path(name) for name in get_fnames(name="small_64D"))


def own_files(folder: Path) -> SeriesFiles:
    """Hand over DIPY's scan as FSL's files; DIPY ships its directions with lengths that differ from 1 by rounding."""
    bvals, bvecs = read_bvals_bvecs(str(BVAL), str(BVEC))
    np.savetxt(folder / "small.bval", bvals[None], fmt="%.8g")
    lengths = np.linalg.norm(bvecs, axis=1, keepdims=True)
    np.savetxt(folder / "small.bvec", np.divide(bvecs, lengths, out=np.zeros_like(bvecs), where=lengths > 0.1).T)
    mask = nib.load(IMAGE).get_fdata()[..., 0] > 0
    write_image(folder / "mask.nii.gz", mask, nib.load(IMAGE).affine)
    return SeriesFiles(IMAGE, folder / "small.bval", folder / "small.bvec", mask=folder / "mask.nii.gz")


def fitted(folder: Path, estimator: str) -> dict[str, np.ndarray]:
    written, _ = fit_series(own_files(folder), folder / "out", estimator=estimator, preprocess=False, study=Study())
    return {path.name.split("_param-")[1].split("_")[0]: nib.load(path).get_fdata() for path in written}


def by_dipy(folder: Path, method: str):
    files = own_files(folder)
    bvals, bvecs = read_bvals_bvecs(str(files.bval), str(files.bvec))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = TensorModel(gradient_table(bvals, bvecs=bvecs, b0_threshold=20), fit_method=method)
        return model.fit(nib.load(IMAGE).get_fdata())


def comparable(ours, theirs) -> np.ndarray:
    """Voxels that both treat alike: DIPY lifts signals and eigenvalues at or below zero, the kit does not."""
    has_signal = (nib.load(IMAGE).get_fdata() > 0).all(axis=-1)
    return has_signal & (theirs.evals[..., 2] > 1e-5) & (ours["fa"] > 0)


@pytest.mark.parametrize(("estimator", "method"), [("ols", "OLS"), ("wls", "WLS"), ("nlls", "NLLS")])
def test_maps_agree_with_dipys_fit_of_an_oblique_scan(tmp_path, estimator, method):
    ours, theirs = fitted(tmp_path, estimator), by_dipy(tmp_path, method)
    is_comparable = comparable(ours, theirs)
    assert is_comparable.mean() > 0.8
    np.testing.assert_allclose(ours["fa"][is_comparable], theirs.fa[is_comparable], atol=1e-4)
    np.testing.assert_allclose(ours["md"][is_comparable], theirs.md[is_comparable], atol=1e-8)


def test_iterated_weights_stay_close_to_dipys_weighted_fit(tmp_path):
    ours, theirs = fitted(tmp_path, "iwls"), by_dipy(tmp_path, "WLS")
    is_comparable = comparable(ours, theirs)
    assert np.median(np.abs(ours["fa"] - theirs.fa)[is_comparable]) < 5e-3
    assert np.median(np.abs(ours["md"] - theirs.md)[is_comparable]) < 1e-5


def test_fibres_point_in_the_world_where_dipys_point_in_the_scan(tmp_path):
    ours, theirs = fitted(tmp_path, "ols"), by_dipy(tmp_path, "OLS")
    affine = nib.load(IMAGE).affine
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    # FSL's first axis is mirrored where the affine's determinant is positive; DIPY takes the file as it stands.
    along_voxels = theirs.evecs[..., 0] * [-1 if np.linalg.det(affine[:3, :3]) > 0 else 1, 1, 1]
    in_the_world = along_voxels @ axes.T
    is_clear = comparable(ours, theirs) & (theirs.fa > 0.4)
    assert is_clear.sum() > 50
    cosine = np.abs(np.sum(in_the_world * ours["direction"], axis=-1))[is_clear]
    assert cosine.min() > np.cos(np.deg2rad(0.5))
    assert np.ptp(np.abs(axes), axis=0).min() < 0.9999  # the scan is oblique, or nothing would be shown


def test_preprocessing_leaves_the_cleaned_series_with_its_gradients(tmp_path, series: DwiSeries):
    rng = np.random.default_rng(1)
    shape = (16, 16, 4, len(series.gradients))
    signal = np.zeros(shape, np.float32)
    signal[3:13, 3:13] = 1000 * np.exp(-1.5e-3 * series.gradients.bvals)
    signal = np.abs(signal + rng.normal(0, 10, shape)).astype(np.float32)
    write_image(tmp_path / "scan.nii.gz", signal, series.affine)
    write_gradients(tmp_path / "scan.bval", tmp_path / "scan.bvec", series.gradients, series.affine)
    files = SeriesFiles.beside(tmp_path / "scan.nii.gz", bval=None, bvec=None, mask=None, labels=None)
    written, _ = fit_series(files, tmp_path / "out", estimator="iwls", preprocess=True, study=Study())
    assert written[0] == tmp_path / "out" / "scan_desc-preproc.nii.gz"
    stem = tmp_path / "out" / "scan_desc-preproc"
    cleaned = read_dwi(written[0], Path(f"{stem}.bval"), Path(f"{stem}.bvec"), b0_threshold=20.0)
    assert cleaned.signal.shape == shape
    np.testing.assert_allclose(cleaned.gradients.bvals, series.gradients.bvals)
    md = nib.load(tmp_path / "out" / "scan_param-md_dwimap.nii.gz").get_fdata()
    assert np.median(md[5:11, 5:11]) == pytest.approx(1.5e-3, rel=0.02)


def test_each_map_says_its_unit_and_how_it_was_fitted(tmp_path):
    fitted(tmp_path, "wls")
    name = IMAGE.name.removesuffix(".gz").removesuffix(".nii")
    sidecar = read_json(tmp_path / "out" / f"{name}_param-md_dwimap.json")
    assert sidecar["Units"] == "mm2/s"
    assert sidecar["Model"]["Estimator"] == "wls"


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_gradients_are_looked_for_beside_the_series(name):
    files = SeriesFiles.beside(Path("a") / name, bval=None, bvec=Path("b.bvec"), mask=None, labels=None)
    assert files.stem == "scan"
    assert (files.bval, files.bvec) == (Path("a/scan.bval"), Path("b.bvec"))


def test_a_file_in_the_way_of_the_results_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = SeriesFiles.beside(Path("scan.nii"), bval=None, bvec=None, mask=None, labels=None)
    assert default_folder(files) == tmp_path / "scan_dtimuscle"
    (tmp_path / "scan_dtimuscle").write_text("", encoding="utf-8")
    with pytest.raises(SettingsError, match="Name another folder with --out"):
        default_folder(files)
