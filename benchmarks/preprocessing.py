"""Time and accuracy of the kit's preprocessing beside DIPY's and, where installed, MRtrix3's.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/preprocessing.py

Writes `benchmarks/preprocessing.md`. Takes a few minutes, most of them in DIPY.
"""

import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.spatial.transform import Rotation

from dtimuscle.dwi import DwiSeries, Floats, GradientTable
from dtimuscle.imaging.denoise import denoise
from dtimuscle.imaging.motion import correct_motion
from dtimuscle.imaging.unring import unring

SHAPE = (160, 80, 8)
VOXEL_MM = np.array([2.5, 2.5, 5.0])
AFFINE = np.diag([*VOXEL_MM, 1.0])
AFFINE[:3, 3] = -VOXEL_MM * (np.array(SHAPE) - 1) / 2
N_B0, N_WEIGHTED = 2, 12
SNR = 30.0
RUNS = 3
REPORT = Path(__file__).with_suffix(".md")

N_MUSCLES = 11
AIR, FAT, MARROW, BONE, FIRST_MUSCLE = range(5)


def anatomy(points: Floats) -> np.ndarray:
    """Tissue of two thighs that taper and whose muscles wander along the limb, at points in mm."""
    x, y, z = np.moveaxis(points, -1, 0)
    tissue = np.zeros(x.shape, dtype=np.int16)
    rng = np.random.default_rng(5)
    angles = np.arange(N_MUSCLES) * 2 * np.pi / N_MUSCLES + rng.uniform(-0.2, 0.2, N_MUSCLES)
    radii = rng.uniform(28, 52, N_MUSCLES)
    drifts = rng.uniform(-0.25, 0.25, (N_MUSCLES, 2))
    for side, sign in enumerate((-1, 1)):
        taper = 1 + 0.0035 * z
        u, v = sign * (x - sign * (88 + 0.08 * z)) / taper, 1.08 * (y - 0.04 * z) / taper
        distances = np.stack(
            [
                np.hypot(u - r * np.cos(a) - d[0] * z, v - r * np.sin(a) - d[1] * z)
                for r, a, d in zip(radii, angles, drifts, strict=True)
            ]
        )
        nearest = np.sort(distances, axis=0)[:2]
        inside = distances.argmin(axis=0) + FIRST_MUSCLE + side * N_MUSCLES
        inside = np.where(nearest[1] - nearest[0] < 1.2, FAT, inside)
        shaft = np.hypot(u - 3, v + 4)
        inside = np.where(shaft < 14, np.where(shaft < 10, MARROW, BONE), inside)
        radius, wall = np.hypot(u, v), 66 + 4 * np.cos(2 * np.arctan2(v, u))
        tissue = np.where(radius < wall, inside, np.where(radius < wall + 9, FAT, tissue))
    return tissue


def texture(points: Floats) -> Floats:
    """Slow variation of the signal in all three directions, mean 1."""
    rng = np.random.default_rng(9)
    total = np.ones(points.shape[:-1])
    for _ in range(16):
        wave = rng.normal(size=3)
        wave *= 2 * np.pi / (np.linalg.norm(wave) * rng.uniform(12, 40))
        total += 0.06 * np.cos(points @ wave + rng.uniform(0, 2 * np.pi))
    return total


def gradients() -> GradientTable:
    """Two b = 0 volumes and twelve directions spread over a half sphere at b = 500 s/mm²."""
    k = np.arange(N_WEIGHTED) + 0.5
    z, angle = 1 - k / N_WEIGHTED, np.pi * (1 + 5**0.5) * k
    spread = np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], axis=1)
    bvals = np.r_[np.zeros(N_B0), np.full(N_WEIGHTED, 500.0)]
    return GradientTable(bvals, np.vstack([np.zeros((N_B0, 3)), spread]))


def tissue_signals(table: GradientTable) -> Floats:
    """Signal of each tissue in each volume: axially symmetric tensors, fibres within 30° of the limb's axis."""
    rng = np.random.default_rng(1)
    n = 2 * N_MUSCLES
    density = np.r_[0, 55, 50, 8, rng.uniform(150, 230, n)]
    md = np.r_[0, 0.15, 0.2, 0.8, rng.uniform(1.3, 1.7, n)] * 1e-3
    fa = np.r_[0, 0, 0, 0, rng.uniform(0.2, 0.4, n)]
    fibres = rng.normal([0, 0, 1], 0.35, (n + 4, 3))
    fibres /= np.linalg.norm(fibres, axis=1, keepdims=True)
    share = fa / np.sqrt(3 - 2 * fa**2)
    along = (fibres @ table.directions.T) ** 2
    adc = md[:, None] * (1 - share[:, None] + 3 * share[:, None] * along)
    return density[:, None] * np.exp(-table.bvals * adc)


def sampled_points(fineness: tuple[int, int, int]) -> Floats:
    """Points in mm that divide each voxel evenly."""
    axes = [
        ((np.arange(n * f) + 0.5) / f - 0.5) * size + start
        for n, f, size, start in zip(SHAPE, fineness, VOXEL_MM, AFFINE[:3, 3], strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def voxel_means(fine: Floats, fineness: tuple[int, int, int]) -> Floats:
    """Average over each voxel."""
    (nx, ny, nz), (fx, fy, fz) = SHAPE, fineness
    return fine.reshape(nx, fx, ny, fy, nz, fz).mean(axis=(1, 3, 5))


def truncated(fine: Floats, fineness: tuple[int, int, int]) -> Floats:
    """Scan with as many k-space lines as there are voxels, which rings."""
    fx, fy, _ = fineness
    spectrum = np.fft.fft2(np.roll(fine, (-(fx // 2), -(fy // 2)), axis=(0, 1)), axes=(0, 1))
    kept = [np.fft.fftfreq(n, 1 / n).astype(int) for n in SHAPE[:2]]
    return np.abs(np.fft.ifft2(spectrum[kept[0][:, None], kept[1]], axes=(0, 1))) / (fx * fy)


def scans(transforms: Floats | None = None, *, is_ringing: bool = False) -> Floats:
    """Noise-free volumes, each scanned after its transform."""
    fineness = (3, 3, 1) if is_ringing else (2, 2, 2)
    points = sampled_points(fineness)
    signals = tissue_signals(gradients())
    poses = np.tile(np.eye(4), (N_B0 + N_WEIGHTED, 1, 1)) if transforms is None else transforms
    volumes = []
    for volume, pose in enumerate(poses):
        if transforms is not None or volume == 0:
            back = np.linalg.inv(pose)
            before = points @ back[:3, :3].T + back[:3, 3]
            tissue, shade = anatomy(before), texture(before)
        fine = signals[tissue, volume] * shade
        volumes.append(truncated(fine, fineness) if is_ringing else voxel_means(fine, fineness))
    return np.stack(volumes, axis=-1)


def with_noise(clean: Floats, *, seed: int) -> DwiSeries:
    """Add Rician noise."""
    rng = np.random.default_rng(seed)
    sd = clean[muscle(), 0].mean() / SNR
    noisy = np.hypot(clean + rng.normal(0, sd, clean.shape), rng.normal(0, sd, clean.shape))
    return DwiSeries(noisy.astype(np.float32), AFFINE, gradients())


def muscle() -> np.ndarray:
    """Voxels whose centre lies in muscle."""
    return anatomy(sampled_points((1, 1, 1))) >= FIRST_MUSCLE


def body() -> np.ndarray:
    """Voxels whose centre lies in the thighs."""
    return anatomy(sampled_points((1, 1, 1))) > AIR


def motion(*, seed: int) -> Floats:
    """Rigid motion (SD 1 mm, 0.5°) and, in weighted volumes, 1 % stretch and shears along y."""
    rng = np.random.default_rng(seed)
    transforms = np.tile(np.eye(4), (N_B0 + N_WEIGHTED, 1, 1))
    for volume in range(1, len(transforms)):
        rigid, eddy = np.eye(4), np.eye(4)
        rigid[:3, :3] = Rotation.from_rotvec(np.radians(rng.normal(0, 0.5, 3))).as_matrix()
        rigid[:3, 3] = rng.normal(0, 1.0, 3)
        if volume >= N_B0:
            eddy[1] += np.append(rng.normal(0, 0.01, 3), rng.normal(0, 0.5))
        transforms[volume] = eddy @ rigid
    return transforms


def displacement_errors(found: Floats, true: Floats) -> tuple[float, float]:
    """Mean error in mm within and across slices, over the moved volumes."""
    points = np.argwhere(body()) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    apart = (found - true)[1:]
    errors = points @ apart[:, :3, :3].transpose(0, 2, 1) + apart[:, None, :3, 3]
    return float(np.linalg.norm(errors[..., :2], axis=2).mean()), float(np.abs(errors[..., 2]).mean())


def timed(work: Callable[[], object], *, runs: int = RUNS) -> tuple[float, object]:
    """Median seconds, and what came out."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def mrtrix(command: list[str], series: DwiSeries) -> Floats:
    """Run an MRtrix3 command on one thread, by way of uncompressed files."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.nii"), Path(folder, "out.nii")
        nib.save(nib.Nifti1Image(series.signal, series.affine), source)
        subprocess.run([*command, "-quiet", "-nthreads", "0", source, target], check=True)
        return nib.load(target).get_fdata(dtype=np.float32)


def rmse(signal: Floats, truth: Floats, where: np.ndarray) -> float:
    """Root mean squared error over some voxels."""
    return float(np.sqrt(np.mean((signal - truth)[where] ** 2)))


def denoising() -> list[str]:
    """Compare MP-PCA; error in muscle."""
    truth, mask, where = scans(), body(), muscle()
    series = with_noise(truth, seed=0)
    rows = [f"| none | | {rmse(series.signal, truth, where):.2f} | |"]
    sd = truth[where, 0].mean() / SNR
    for engine, runs in (("kit", RUNS), ("dipy", RUNS)):
        seconds, result = timed(lambda engine=engine: denoise(series, mask, engine=engine), runs=runs)
        bias = 100 * (np.nanmedian(result.noise_sd[where]) / sd - 1)
        rows.append(f"| {engine} | {seconds:.2f} | {rmse(result.series.signal, truth, where):.2f} | {bias:+.1f} % |")
    if shutil.which("dwidenoise"):
        seconds, signal = timed(lambda: mrtrix(["dwidenoise"], series))
        rows.append(f"| dwidenoise (no mask) | {seconds:.2f} | {rmse(signal, truth, where):.2f} | |")
    return ["| engine | seconds | RMSE | noise level |", "|---|---|---|---|", *rows]


def unringing() -> list[str]:
    """Compare sub-voxel shifts; error over the thighs."""
    truth, where = scans(), body()
    clean = DwiSeries(scans(is_ringing=True).astype(np.float32), AFFINE, gradients())
    rows = [f"| none | | {rmse(clean.signal, truth, where):.2f} |"]
    for engine, runs in (("kit", RUNS), ("dipy", 1)):
        seconds, result = timed(lambda engine=engine: unring(clean, engine=engine), runs=runs)
        rows.append(f"| {engine} | {seconds:.2f} | {rmse(result.signal, truth, where):.2f} |")
    if shutil.which("mrdegibbs"):
        seconds, signal = timed(lambda: mrtrix(["mrdegibbs", "-axes", "0,1"], clean))
        rows.append(f"| mrdegibbs | {seconds:.2f} | {rmse(signal, truth, where):.2f} |")
    return ["| engine | seconds | RMSE |", "|---|---|---|", *rows]


def aligning() -> list[str]:
    """Compare motion and eddy-current correction; DIPY once, for it takes minutes."""
    rows = []
    cases = [(seed, motion(seed=seed)) for seed in range(RUNS)]
    series = [with_noise(scans(transforms), seed=seed) for seed, transforms in cases]
    still = np.tile(np.eye(4), (N_B0 + N_WEIGHTED, 1, 1))
    for name, engine, n in (("none", None, RUNS), ("kit", "kit", RUNS), ("dipy", "dipy", 1)):
        seconds, within, across = [], [], []
        for (_, transforms), scanned in list(zip(cases, series, strict=True))[:n]:
            start = time.perf_counter()
            found = correct_motion(scanned, body(), engine=engine).transforms if engine else still
            seconds.append(time.perf_counter() - start)
            errors = displacement_errors(found, transforms)
            within.append(errors[0])
            across.append(errors[1])
        spent = f"{statistics.median(seconds):.2f}" if engine else ""
        rows.append(f"| {name} | {spent} | {statistics.median(within):.2f} | {statistics.median(across):.2f} |")
    return ["| engine | seconds | error within slices, mm | across, mm |", "|---|---|---|---|", *rows]


def main() -> None:
    """Run everything and write the report."""
    lines = [
        "# Preprocessing: the kit's kernels beside DIPY and MRtrix3",
        "",
        f"Two thighs that change along the limb, {' × '.join(map(str, SHAPE))} voxels of 2.5 × 2.5 × 5 mm, "
        f"{N_B0} volumes at b = 0 and {N_WEIGHTED} at b = 500 s/mm², SNR {SNR:.0f} at b = 0. One thread on two shared "
        f"cores; medians of {RUNS} runs (DIPY's unringing and alignment once). "
        "MRtrix3's seconds include reading and writing uncompressed files.",
        "",
        "```",
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/preprocessing.py",
        "```",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; Python {platform.python_version()}, numpy {version('numpy')}, "
        f"scipy {version('scipy')}, DIPY {version('dipy')}.",
    ]
    for title, compare in (
        ("Denoising (signal error in muscle)", denoising),
        ("Unringing (signal error over the thighs, no noise)", unringing),
        ("Motion and eddy currents (SD 1 mm, 0.5°, 1 %)", aligning),
    ):
        print(title, file=sys.stderr)
        lines += ["", f"## {title}", "", *compare()]
    REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
