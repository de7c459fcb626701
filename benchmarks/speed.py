"""Every imaging step and the whole chain beside DIPY and MRtrix3 in one run: time, accuracy and memory.

    python benchmarks/speed.py

Writes `benchmarks/speed.md` and `speed.png`. Takes about half an hour on two cores that do nothing else, two thirds of
it in DIPY, whose runs `--dipy-repeats 1` cuts to one each. `--quick` tries everything once on a small scan and prints
the tables (numbers of no worth). Without MRtrix3 on the machine its rows are left out and what is held against it is
not judged.
"""

import argparse
import inspect
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from scipy import ndimage
from threadpoolctl import threadpool_limits

from dtimuscle.dwi import Bools, DwiSeries, Floats, GradientTable
from dtimuscle.imaging.denoise import denoise
from dtimuscle.imaging.mask import foreground_mask
from dtimuscle.imaging.motion import correct_motion
from dtimuscle.imaging.tensor import fit_tensor
from dtimuscle.imaging.unring import unring
from dtimuscle.store.images import read_dwi, read_image, write_gradients, write_image
from dtimuscle.threads import limit_threads, n_cores, share_out

# A process that runs one chain alone shall load no more than this chain needs.
if TYPE_CHECKING:
    from dtimuscle.simulation.signal import SimulatedScan

REPORT = Path(__file__).with_suffix(".md")

# The case: one b = 0 and 30 directions of b = 500 s/mm²; with muscle at 200, an SNR of 30 is noise of 6.67.
MATRIX, VOXEL_MM, N_DIRECTIONS = (128, 128, 20), (3.0, 3.0, 5.0), 30
MUSCLE_SIGNAL, SNR, SEED = 200.0, 30.0, 7
TEXTURE = 0.05  # SD of what each tissue's signal varies by from place to place, over its mean
MOTION = {"motion_mm": 3.0, "motion_deg": 3.0, "eddy_percent": 2.0, "eddy_shift_mm": 1.5}

# Matrix sizes that unringing is tried with, in a field of view of 384 mm.
SIZES = (96, 112, 128, 160, 192)
FIELD_MM = 384.0

# DIPY registers a volume in seconds: only so many are, and the chain's are reckoned from them.
DIPY_VOLUMES = 3

# Rim of the muscles that is left out when FA and MD are held against the truth.
EROSION_MM = 3.0

KIT, MRTRIX, DIPY = "kit", "MRtrix3", "DIPY"
PUBLISHED = "kit, published form"

# Goals. MP-PCA: what a probe reached on a phantom of the same noise (1.46) over DIPY's error there (1.43), the best.
MOST_OF_MRTRIX, MOST_WITH_MOTION, TIMES_DIPY = 0.4, 0.7, 30.0
MOST_OF_BEST_DENOISER = 1.46 / 1.43
WITHIN_MM, ACROSS_MM, BVEC_DEG, RELATIVE = 0.25, 0.5, 0.3, 1e-5


# --- The case --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A scan without motion and its twins, a scan with motion, and where their muscles are."""

    clean: DwiSeries  # neither noise nor ringing
    ringing: DwiSeries  # no noise
    scanned: DwiSeries
    still: "SimulatedScan"  # labels and tensors of these three
    moved: "SimulatedScan"
    mask: Bools

    @property
    def cores(self) -> Bools:
        """Muscle without its rim."""
        from dtimuscle.imaging.roi import eroded_labels

        return eroded_labels(self.still.labels, erosion_mm=EROSION_MM).values > 0


def make_case(matrix: tuple[int, int, int], voxel_mm: tuple[float, float, float], n_directions: int) -> Case:
    """Simulate the same thighs with and without motion, ringing and noise."""
    from dtimuscle.running.studies import read_protocol
    from dtimuscle.simulation.effects import NO_EFFECTS, ScanEffects
    from dtimuscle.simulation.phantom import scan_phantom
    from dtimuscle.store.registry import read_registry

    protocol = read_protocol("thigh_3t").changed(
        matrix=matrix, voxel_mm=voxel_mm, n_b0=1, n_directions=n_directions, muscle_signal=MUSCLE_SIGNAL
    )
    averaged = replace(NO_EFFECTS, partial_volume=True)
    still = scan_phantom(protocol, read_registry(), averaged, seed=SEED)
    rung = scan_phantom(protocol, read_registry(), replace(averaged, ringing=True), seed=SEED)
    moved = scan_phantom(protocol, read_registry(), ScanEffects(snr=SNR, **MOTION), seed=SEED)
    rng = np.random.default_rng(SEED)
    shade = texture(matrix, voxel_mm, rng)[..., np.newaxis]
    clean, ringing = (scan.series.with_signal(scan.series.signal * shade) for scan in (still, rung))
    real, imaginary = np.float32(MUSCLE_SIGNAL / SNR) * rng.standard_normal((2, *clean.signal.shape), dtype=np.float32)
    scanned = ringing.with_signal(np.hypot(ringing.signal + real, imaginary))
    return Case(clean, ringing, scanned, still, moved, foreground_mask(scanned))


def texture(matrix: Sequence[int], voxel_mm: Sequence[float], rng: np.random.Generator) -> Floats:
    """Waves of 20 to 80 mm in all directions, mean 1: without them a muscle would be one value, which no muscle is."""
    points = np.stack(np.meshgrid(*(np.arange(n) * mm for n, mm in zip(matrix, voxel_mm, strict=True)), indexing="ij"))
    n = 12
    total = np.zeros(tuple(matrix))
    for _ in range(n):
        k = rng.normal(size=3)
        k *= 2 * np.pi / (np.linalg.norm(k) * rng.uniform(20, 80))
        total += np.cos(np.tensordot(k, points, 1) + rng.uniform(0, 2 * np.pi))
    return (1 + TEXTURE * total / np.sqrt(n / 2)).astype(np.float32)


def write_files(case: Case, folder: Path) -> None:
    """Lay out what the programs read: compressed for the kit and DIPY, not compressed for MRtrix3."""
    for name, series in (("scan", case.scanned), ("moved", case.moved.series)):
        write_image(folder / f"{name}.nii.gz", series.signal, series.affine)
        write_gradients(folder / f"{name}.bval", folder / f"{name}.bvec", series.gradients, series.affine)
    for name, series in (("scan", case.scanned), ("ringing", case.ringing)):
        save(folder / f"{name}.nii", series.signal, series.affine)
    save(folder / "mask.nii", case.mask.astype(np.uint8), case.scanned.affine)
    table = case.scanned.gradients
    np.savetxt(folder / "grad.txt", np.column_stack([table.directions, table.bvals]))


def save(path: Path, values: np.ndarray, affine: Floats) -> None:
    """Write with nibabel."""
    nib.save(nib.Nifti1Image(values, affine), path)


def load(path: Path) -> Floats:
    """Read with nibabel."""
    return nib.load(path).get_fdata(dtype=np.float32)


# --- The chains, from file to files ----------------------------------------------------------------------------------


def kit_chain(folder: Path, *, is_moved: bool = False) -> Path:
    """Chain the kit's steps: read, mask, MP-PCA, unringing, motion if asked for, tensor, write."""
    series = read_kit(folder, is_moved=is_moved)
    mask = foreground_mask(series)
    series = unring(denoise(series, mask).series)
    if is_moved:
        series = correct_motion(series, mask).series
    maps = fit_tensor(series, mask)
    return write_kit(folder / ("kit-moved" if is_moved else "kit"), series, maps.fa, maps.md)


def study_chain(folder: Path, *, is_moved: bool = False) -> Path:
    """Do all that a study does with a participant up to the tensor."""
    from dtimuscle.imaging.participant import fit, preprocess, water_signal

    made = preprocess(read_kit(folder, is_moved=is_moved), correct_motion=is_moved)
    maps = fit(water_signal(made.series, made.mask, weights=made.weights)).maps
    return write_kit(folder / ("study-moved" if is_moved else "study"), made.series, maps.fa, maps.md)


def read_kit(folder: Path, *, is_moved: bool) -> DwiSeries:
    """Read a series as the study does."""
    name = "moved" if is_moved else "scan"
    image, bval, bvec = (folder / f"{name}.{ending}" for ending in ("nii.gz", "bval", "bvec"))
    return read_dwi(image, bval, bvec, b0_threshold=20)


def write_kit(target: Path, series: DwiSeries, fa: Floats, md: Floats) -> Path:
    """Write the series and two maps, compressed."""
    target.mkdir(exist_ok=True)
    for name, values in (("dwi", series.signal), ("fa", fa), ("md", md)):
        write_image(target / f"{name}.nii.gz", values.astype(np.float32), series.affine)
    return target


def dipy_chain(folder: Path, *, threads: int) -> Path:
    """Chain DIPY's `mppca`, `gibbs_removal` and weighted tensor; the mask is given."""
    from dipy.denoise.gibbs import gibbs_removal
    from dipy.denoise.localpca import mppca
    from dipy.io.gradients import read_bvals_bvecs

    image = nib.load(folder / "scan.nii.gz")
    bvals, bvecs = read_bvals_bvecs(str(folder / "scan.bval"), str(folder / "scan.bvec"))
    mask = load(folder / "mask.nii") > 0
    signal = mppca(image.get_fdata(dtype=np.float32), mask=mask)
    signal = gibbs_removal(signal, slice_axis=2, num_processes=threads)
    fa, md = dipy_tensor(signal, mask, bvals, bvecs, "WLS")
    target = folder / "dipy"
    target.mkdir(exist_ok=True)
    for name, values in (("dwi", signal), ("fa", fa), ("md", md)):
        save(target / f"{name}.nii.gz", values.astype(np.float32), image.affine)
    return target


def dipy_tensor(signal: Floats, mask: Bools, bvals: Floats, bvecs: Floats, method: str) -> tuple[Floats, Floats]:
    """FA and MD by DIPY."""
    from dipy.core.gradients import gradient_table
    from dipy.reconst.dti import TensorModel

    table = gradient_table(bvals, bvecs=bvecs, b0_threshold=20)
    found = TensorModel(table, fit_method=method).fit(signal, mask=mask)
    return found.fa, found.md


def mrtrix_commands(folder: Path, *, is_masked: bool, threads: int) -> list[list[str]]:
    """List the commands of MRtrix3's chain; the mask is given."""
    mask = ["-mask", str(folder / "mask.nii")] if is_masked else []
    target = folder / ("mrtrix-masked" if is_masked else "mrtrix")
    target.mkdir(exist_ok=True)
    scan, denoised, dwi, tensor, fa, md = (
        str(path) for path in (folder / "scan.nii", *(target / f"{n}.nii" for n in ("dn", "dwi", "dt", "fa", "md")))
    )
    options = ["-quiet", "-force", "-nthreads", str(threads)]
    return [
        ["dwidenoise", *options, *mask, scan, denoised],
        ["mrdegibbs", *options, "-axes", "0,1", denoised, dwi],
        ["dwi2tensor", *options, *mask, "-grad", str(folder / "grad.txt"), dwi, tensor],
        ["tensor2metric", *options, *mask, tensor, "-fa", fa, "-adc", md],
    ]


def mrtrix_chain(folder: Path, *, is_masked: bool, threads: int) -> Path:
    """Run MRtrix3's chain."""
    commands = mrtrix_commands(folder, is_masked=is_masked, threads=threads)
    for command in commands:
        subprocess.run(command, check=True)
    return Path(commands[-1][-1]).parent


def alone(name: str, folder: Path, threads: int) -> list[str]:
    """Name the command that runs one chain in a process of its own."""
    return [sys.executable, __file__, "--alone", name, "--folder", str(folder), "--threads", str(threads)]


def in_own_process(name: str, folder: Path, threads: int) -> Path:
    """Run a chain of the kit in a process of its own."""
    subprocess.run(alone(name, folder, threads), check=True)
    return folder / name


ALONE: dict[str, Callable[[Path, int], Path]] = {
    "kit": lambda folder, _: kit_chain(folder),
    "kit-moved": lambda folder, _: kit_chain(folder, is_moved=True),
    "study": lambda folder, _: study_chain(folder),
    "study-moved": lambda folder, _: study_chain(folder, is_moved=True),
    "dipy": lambda folder, threads: dipy_chain(folder, threads=threads),
}

# A process is born with the peak of the one that starts it, so a small one starts what is measured.
LAUNCHER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_memory(*commands: Sequence[str]) -> float:
    """Run commands one after another; peak memory of the largest process in MB."""
    peaks = []
    for command in commands:
        launched = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
        peaks.append(int(subprocess.run(launched, check=True, capture_output=True, text=True).stdout))
    return max(peaks) * 1024 / 1e6


# --- Timing ----------------------------------------------------------------------------------------------------------


@dataclass
class Way:
    """One way to do a step: whose it is, what does it, and what its result is worth.

    Parameters
    ----------
    step, who : str
        Row of the table.
    act : callable
        Does it.
    judge : callable
        Turns the result into named numbers.
    n : int
        Volumes that it works on, when the time of one is wanted.
    is_slow : bool
        Takes so long that it has a number of repeats of its own and no warm-up.
    """

    step: str
    who: str
    act: Callable[[], Any]
    judge: Callable[[Any], dict[str, float]] = field(default=lambda _: {})
    n: int = 1
    is_slow: bool = False
    seconds: list[float] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)
    memory: float = 0.0

    @property
    def median(self) -> float:
        """Median time."""
        return float(np.median(self.seconds))


def interleave(ways: Sequence[Way], *, repeats: int, slow_repeats: int) -> list[Way]:
    """Time some ways in turns, A B C A B C, after one warm-up of each."""
    print(f"{datetime.now(UTC):%H:%M:%S}  {ways[0].step}", file=sys.stderr)
    for turn in range(1 + max(repeats, slow_repeats)):
        for way in ways:
            if turn > (slow_repeats if way.is_slow else repeats) or (way.is_slow and not turn):
                continue
            begun = time.perf_counter()
            result = way.act()
            if turn:
                way.seconds.append((time.perf_counter() - begun) / way.n)
            if not way.numbers:
                way.numbers = way.judge(result)
    return list(ways)


def ratios(way: Way, other: Way) -> Floats:
    """Time of one over that of another, pair by pair."""
    return np.array([mine / theirs for mine, theirs in zip(way.seconds, other.seconds, strict=False)])


# --- The steps -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bench:
    """What is measured, where, and how often."""

    case: Case
    folder: Path
    threads: int
    repeats: int
    slow_repeats: int
    has_mrtrix: bool

    def timed(self, ways: Sequence[Way]) -> list[Way]:
        """Time those that this machine has, in turns."""
        there = [way for way in ways if way.who.split(",")[0] != MRTRIX or self.has_mrtrix]
        return interleave(there, repeats=self.repeats, slow_repeats=self.slow_repeats)

    def mrtrix(self, *command: str | Path) -> Path:
        """Run a command whose last argument is the file that it writes."""
        options = ("-quiet", "-force", "-nthreads", self.threads)
        subprocess.run([*map(str, (command[0], *options, *command[1:]))], check=True)
        return Path(command[-1])


def rms(values: Floats) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def rmse(truth: DwiSeries, mask: Bools, found: Any) -> dict[str, float]:
    """Error of the signal in the mask."""
    values = found if isinstance(found, np.ndarray) else load(found) if isinstance(found, Path) else found.signal
    return {"RMSE": rms(values[mask] - truth.signal[mask])}


def files_and_mask(bench: Bench) -> list[Way]:
    """Read and write one series; find tissue."""
    from dipy.segment.mask import median_otsu

    case, folder = bench.case, bench.folder
    packed, plain, grad = folder / "scan.nii.gz", folder / "scan.nii", folder / "grad.txt"
    copied, found, made = folder / "copied.nii", folder / "found.nii", folder / "made.nii.gz"
    signal, affine = case.scanned.signal, case.scanned.affine
    is_air = case.clean.signal.max(axis=3) < 0.01 * MUSCLE_SIGNAL

    def covered(mask: Any) -> dict[str, float]:
        inside = (load(mask) if isinstance(mask, Path) else mask) > 0
        muscle = case.still.labels.values > 0
        return {"muscle inside, %": 100 * inside[muscle].mean(), "air inside, %": 100 * inside[is_air].mean()}

    def size(_: Any) -> dict[str, float]:
        return {"MB": made.stat().st_size / 1e6}

    return [
        *bench.timed(
            [
                Way("read .nii.gz", KIT, lambda: read_image(packed)),
                Way("read .nii.gz", f"{MRTRIX}, to .nii", lambda: bench.mrtrix("mrconvert", packed, copied)),
                Way("read .nii.gz", f"{DIPY} (nibabel)", lambda: load(packed)),
            ]
        ),
        *bench.timed(
            [
                Way("mask", KIT, lambda: foreground_mask(case.scanned), covered),
                Way("mask", MRTRIX, lambda: bench.mrtrix("dwi2mask", "-grad", grad, plain, found), covered),
                Way("mask", DIPY, lambda: median_otsu(signal, vol_idx=[0])[1], covered),
            ]
        ),
        *bench.timed(
            [
                Way("write .nii.gz", KIT, lambda: write_image(made, signal, affine), size),
                Way("write .nii.gz", f"{MRTRIX}, from .nii", lambda: bench.mrtrix("mrconvert", plain, made), size),
                Way("write .nii.gz", f"{DIPY} (nibabel)", lambda: save(made, signal, affine), size),
            ]
        ),
    ]


def cleaning(bench: Bench) -> list[Way]:
    """Denoise and unring."""
    from dipy.denoise.gibbs import gibbs_removal
    from dipy.denoise.localpca import mppca

    case, folder, mask = bench.case, bench.folder, bench.case.mask
    scan, rung, given = folder / "scan.nii", folder / "ringing.nii", ("-mask", folder / "mask.nii")
    published = published_form()
    of_noise, of_ringing = partial(rmse, case.ringing, mask), partial(rmse, case.clean, mask)
    denoisers = [
        Way("MP-PCA", KIT, lambda: denoise(case.scanned, mask).series, of_noise),
        *([Way("MP-PCA", PUBLISHED, lambda: published(case.scanned, mask).series, of_noise)] if published else []),
        Way(
            "MP-PCA",
            f"{MRTRIX}, masked",
            lambda: bench.mrtrix("dwidenoise", *given, scan, folder / "dn.nii"),
            of_noise,
        ),
        Way("MP-PCA", f"{MRTRIX}, not masked", lambda: bench.mrtrix("dwidenoise", scan, folder / "dn.nii"), of_noise),
        Way("MP-PCA", DIPY, lambda: mppca(case.scanned.signal, mask=mask), of_noise, is_slow=True),
    ]
    unringers = [
        Way("unringing", KIT, lambda: unring(case.ringing), of_ringing),
        Way(
            "unringing",
            MRTRIX,
            lambda: bench.mrtrix("mrdegibbs", "-axes", "0,1", rung, folder / "dg.nii"),
            of_ringing,
        ),
        Way(
            "unringing",
            DIPY,
            lambda: gibbs_removal(case.ringing.signal, inplace=False, num_processes=bench.threads),
            of_ringing,
            is_slow=True,
        ),
    ]
    return [*bench.timed(denoisers), *bench.timed(unringers)]


def published_form() -> Callable[..., Any] | None:
    """Return the kit's MP-PCA as published, a patch around each voxel, if it is there."""
    if "patches" not in inspect.signature(denoise).parameters:
        return None
    return partial(denoise, patches="centred")


def alignment(bench: Bench) -> list[Way]:
    """Align volumes; DIPY's routine only a few of them."""
    moved = bench.case.moved
    series, gradients = moved.series, moved.series.gradients
    n = 1 + min(DIPY_VOLUMES, len(gradients) - 1)
    few = DwiSeries(
        series.signal[..., :n],
        series.affine,
        GradientTable(gradients.bvals[:n], gradients.directions[:n], gradients.b0_threshold),
    )
    mask = foreground_mask(series)

    def judge(found: Any) -> dict[str, float]:
        return motion_errors(moved, found.transforms, found.series.gradients)

    return bench.timed(
        [
            Way("motion, a volume", KIT, lambda: correct_motion(series, mask), judge, n=len(gradients) - 1),
            Way(
                "motion, a volume",
                DIPY,
                lambda: correct_motion(few, mask, engine="dipy"),
                judge,
                n=n - 1,
                is_slow=True,
            ),
        ]
    )


def motion_errors(scan: "SimulatedScan", found: Floats, gradients: GradientTable) -> dict[str, float]:
    """Mean error over the moved volumes: displacement of muscle (mm), and b-vectors of weighted volumes (degrees)."""
    from dtimuscle.simulation.effects import ScanEffects, eddy_distortions

    n, affine = len(found), scan.series.affine
    points = np.argwhere(scan.labels.values > 0) @ affine[:3, :3].T + affine[:3, 3]
    apart = (found - scan.transforms[:n])[1:]
    moved = points @ apart[:, :3, :3].transpose(0, 2, 1) + apart[:, None, :3, 3]
    eddies = eddy_distortions(scan.series.gradients, ScanEffects(snr=SNR, **MOTION))
    rotations = (np.linalg.inv(eddies) @ scan.transforms)[:n, :3, :3]
    is_weighted = ~scan.series.gradients.is_b0[:n]
    truth = np.einsum("nji,nj->ni", rotations, scan.series.gradients.directions[:n])[is_weighted]
    cosine = np.abs(np.einsum("ni,ni->n", truth, gradients.directions[is_weighted]))
    return {
        "in plane, mm": float(np.linalg.norm(moved[..., :2], axis=2).mean()),
        "through plane, mm": float(np.abs(moved[..., 2]).mean()),
        "b-vectors, °": float(np.degrees(np.arccos(np.clip(cosine, 0, 1))).mean()),
    }


def tensors(bench: Bench) -> list[Way]:
    """Fit the tensor to what the kit has cleaned."""
    case, folder, mask = bench.case, bench.folder, bench.case.mask
    cleaned = unring(denoise(case.scanned, mask).series)
    table = cleaned.gradients
    source, grad, given = folder / "cleaned.nii", ("-grad", folder / "grad.txt"), ("-mask", folder / "mask.nii")
    save(source, cleaned.signal, cleaned.affine)

    def mrtrix(*options: str) -> tuple[Floats, Floats]:
        tensor = bench.mrtrix("dwi2tensor", *options, *given, *grad, source, folder / "dt.nii")
        fa, md = folder / "fa.nii", folder / "md.nii"
        bench.mrtrix("tensor2metric", *given, tensor, "-fa", fa, "-adc", md)
        return fa, md

    def dipy(method: str) -> tuple[Floats, Floats]:
        return dipy_tensor(cleaned.signal, mask, table.bvals, table.directions, method)

    def judge(found: Any) -> dict[str, float]:
        fa, md = found if isinstance(found, tuple) else (found.fa, found.md)
        return of_maps(case, *(load(each) if isinstance(each, Path) else each for each in (fa, md)))

    iterated = bench.timed(
        [
            Way("IWLS tensor, FA, MD", KIT, lambda: fit_tensor(cleaned, mask), judge),
            Way("IWLS tensor, FA, MD", MRTRIX, mrtrix, judge),
            Way("IWLS tensor, FA, MD", f"{DIPY}, WLS", lambda: dipy("WLS"), judge),
        ]
    )
    if bench.has_mrtrix:
        ours, (fa, md) = fit_tensor(cleaned, mask), mrtrix()
        where = mask & ours.is_positive
        apart = [np.abs(mine[where] / load(theirs)[where] - 1) for mine, theirs in ((ours.fa, fa), (ours.md, md))]
        iterated[0].numbers["FA, MD against dwi2tensor, relative, at most"] = float(max(map(np.max, apart)))
    return [
        *iterated,
        *bench.timed(
            [
                Way("WLS tensor, FA, MD", KIT, lambda: fit_tensor(cleaned, mask, estimator="wls"), judge),
                Way("WLS tensor, FA, MD", DIPY, lambda: dipy("WLS"), judge),
            ]
        ),
        *bench.timed(
            [
                Way("OLS tensor, FA, MD", KIT, lambda: fit_tensor(cleaned, mask, estimator="ols"), judge),
                Way("OLS tensor, FA, MD", MRTRIX, lambda: mrtrix("-ols", "-iter", "0"), judge),
                Way("OLS tensor, FA, MD", DIPY, lambda: dipy("OLS"), judge),
            ]
        ),
    ]


def of_maps(case: Case, fa: Floats, md: Floats) -> dict[str, float]:
    """Errors of FA and MD (percent) in the cores of the muscles."""
    known = case.cores & case.mask & np.isfinite(fa)
    truth = case.still.truth
    return {
        "FA RMSE": rms(fa[known] - truth.fa[known]),
        "MD RMSE, %": 100 * rms(md[known] / truth.md[known] - 1),
    }


def chains(bench: Bench) -> list[Way]:
    """Run the chains from file to files, and once more each alone for its memory."""
    case, folder, threads = bench.case, bench.folder, bench.threads

    def judge(target: Path) -> dict[str, float]:
        fa, md = (load(next(target.glob(f"{name}.nii*"))) for name in ("fa", "md"))
        return of_maps(case, fa, md)

    run, moved = "chain without motion", "chain with motion"
    ways = [
        Way(run, KIT, lambda: kit_chain(folder), judge),
        Way(run, "kit, a process of its own", lambda: in_own_process("kit", folder, threads), judge),
        Way(run, "kit, all that a study does", lambda: study_chain(folder), judge),
        Way(moved, KIT, lambda: kit_chain(folder, is_moved=True), judge),
        Way(moved, "kit, all that a study does", lambda: study_chain(folder, is_moved=True), judge),
        Way(run, f"{MRTRIX}, masked", lambda: mrtrix_chain(folder, is_masked=True, threads=threads), judge),
        Way(run, f"{MRTRIX}, not masked", lambda: mrtrix_chain(folder, is_masked=False, threads=threads), judge),
        Way(run, DIPY, lambda: dipy_chain(folder, threads=threads), judge, is_slow=True),
    ]
    timed = bench.timed(ways)
    for name, way in zip(("kit", "", "study", "kit-moved", "study-moved"), timed, strict=False):
        way.memory = peak_memory(alone(name, folder, threads)) if name else 0.0
    for way in timed:
        if way.who.startswith(MRTRIX):
            is_masked = not way.who.endswith("not masked")
            way.memory = peak_memory(*mrtrix_commands(folder, is_masked=is_masked, threads=threads))
        elif way.who == DIPY:
            way.memory = peak_memory(alone("dipy", folder, threads))
    return timed


def with_reckoned(ways: list[Way], volumes: list[Way], n: int) -> list[Way]:
    """Add DIPY's chain with motion: its chain without, and the registration of n volumes."""
    without = the(ways, "chain without motion", DIPY)
    slow = next(way for way in volumes if way.who == DIPY)
    reckoned = Way("chain with motion", f"{DIPY} (reckoned)", without.act)
    reckoned.seconds = [chain + n * one for chain, one in zip(without.seconds, slow.seconds, strict=False)]
    return [*ways, reckoned]


def other_sizes(bench: Bench, sizes: Sequence[int]) -> list[Way]:
    """Unring other matrices without noise."""
    from dtimuscle.running.studies import read_protocol
    from dtimuscle.simulation.effects import NO_EFFECTS
    from dtimuscle.simulation.phantom import scan_phantom
    from dtimuscle.store.registry import read_registry

    found = []
    for size in sizes:
        voxel = FIELD_MM / size
        protocol = read_protocol("thigh_3t").changed(
            matrix=(size, size, 4), voxel_mm=(voxel, voxel, 5.0), n_b0=1, n_directions=6, muscle_signal=MUSCLE_SIGNAL
        )
        averaged = replace(NO_EFFECTS, partial_volume=True)
        clean, rung = (
            scan_phantom(protocol, read_registry(), replace(averaged, ringing=rings), seed=SEED).series
            for rings in (False, True)
        )
        mask = foreground_mask(rung)
        judge = partial(rmse, clean, mask)
        source = bench.folder / "size.nii"
        save(source, rung.signal, rung.affine)
        step = f"{size} × {size}"
        ways = [
            Way(step, KIT, partial(unring, rung), judge),
            Way(
                step,
                MRTRIX,
                partial(bench.mrtrix, "mrdegibbs", "-axes", "0,1", source, bench.folder / "done.nii"),
                judge,
            ),
        ]
        of_size = bench.timed(ways)
        of_size[0].numbers["before"] = judge(rung)["RMSE"]
        found += of_size
    return found


# --- The limit -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Machine:
    """What the machine can do: operations in single precision and bytes, each a second."""

    flops: float
    bandwidth: float


@dataclass(frozen=True)
class Work:
    """What a step has to do, reckoned."""

    step: str
    flop: float
    bytes: float
    words: str


def measure_machine(threads: int) -> Machine:
    """Multiply large matrices and copy large arrays, in all threads."""
    n = 2048
    one = np.ones((n, n), dtype=np.float32)
    product = np.empty_like(one)
    source = np.ones((threads, 32_000_000), dtype=np.float32)
    target = np.empty_like(source)

    def copy(row: int) -> None:
        np.copyto(target[row], source[row])

    def fastest(act: Callable[[], Any]) -> float:
        act()
        seconds = []
        for _ in range(7):
            begun = time.perf_counter()
            act()
            seconds.append(time.perf_counter() - begun)
        return min(seconds)

    with threadpool_limits(threads, user_api="blas"):
        of_product = fastest(lambda: np.matmul(one, one, out=product))
    of_copy = fastest(lambda: share_out(copy, range(threads)))
    return Machine(2 * n**3 / of_product, 2 * source.nbytes / of_copy)


def work(case: Case) -> list[Work]:
    """Count the operations that each step's method takes at least; formulas in words beside them."""
    nx, ny, nz = case.mask.shape
    n = len(case.scanned.gradients)
    voxels, inside, images = case.mask.size, int(case.mask.sum()), nz * n
    m = 125  # voxels of a patch
    of_series = 4.0 * voxels * n
    spread = ndimage.maximum_filter(case.mask, 5)
    n_patches = int(spread[::2, ::2, ::2].sum())
    eigen = 9 * n**3  # eigenvalues and vectors of a symmetric matrix: Golub & Van Loan, Matrix Computations, § 8.3
    shifts = 10  # of the kit; Kellner tries 40
    along_x, along_y = (images * other * 5 * size * np.log2(size) for size, other in ((nx, ny), (ny, nx)))
    taps = 4 * 2 * 64  # value and three derivatives by a cubic spline
    normal = 9 * 10  # nine parameters' normal equations
    return [
        Work(
            "MP-PCA",
            n_patches * (m * n**2 + eigen + 2 * m * n**2 + 2 * n**3),
            2 * of_series + 2 * 4.0 * n_patches * m * n,
            f"{n_patches:,} patches on a stride of 2: Gram matrix m n², eigenvectors 9 n³, projection 2 m n² + 2 n³",
        ),
        Work(
            "MP-PCA, published form",
            inside * (m * n**2 + eigen + 2 * n**2),
            2 * of_series,
            f"{inside:,} patches, of which one voxel is kept: m n² + 9 n³ + 2 n²",
        ),
        Work(
            "unringing",
            # Of real values; 12 operations for the total variation on both sides of a shifted sample.
            (4 + shifts) / 2 * (along_x + along_y) + 2 * (shifts + 1) * 12 * voxels * n,
            2 * of_series,
            f"FFTs (5 n log₂ n, half for real values): there, back for each axis, {shifts} shifts; total variations",
        ),
        Work(
            "motion, a volume",
            10 * inside * (taps + normal) + voxels * (3 * 12 + taps / 4),
            3 * 4.0 * voxels,
            "ten passes over the mask: value and gradient of a cubic spline (64 points), nine unknowns; one resampling",
        ),
        Work(
            "IWLS tensor, FA, MD",
            inside * (20 * n + 14 * n + 2 * (n * (14 + 20 + 56 + 14) + 7**3 / 3) + 300),
            of_series + 4.0 * 8 * inside,
            "logarithms, OLS, then twice: weights, 28 products, Cholesky of 7 unknowns; 3 × 3 eigenvectors",
        ),
        Work("read .nii.gz", 0.0, 3 * of_series, "decompressed, parsed, kept; the work of inflating is not counted"),
        Work("write .nii.gz", 0.0, 2 * of_series, "read and written; the work of deflating is not counted"),
    ]


# --- The report ------------------------------------------------------------------------------------------------------


def the(ways: Sequence[Way], step: str, who: str) -> Way:
    """Find a row."""
    return next(way for way in ways if way.step == step and way.who == who)


def find(ways: Sequence[Way], step: str, who: str) -> Way | None:
    """Find a row that need not be there."""
    return next((way for way in ways if way.step == step and way.who.startswith(who)), None)


@dataclass(frozen=True)
class Goal:
    """A goal, what was found (None: cannot be judged here), and on which side of the limit it must lie."""

    words: str
    limit: float
    found: float | None
    style: str = ".2f"
    is_least: bool = False

    @property
    def row(self) -> str:
        """One line of the table."""
        sign = "≥" if self.is_least else "≤"
        if self.found is None:
            return f"| {self.words} | {sign} {self.limit:{self.style}} | – | not judged: no MRtrix3 |"
        is_met = self.found >= self.limit if self.is_least else self.found <= self.limit
        verdict = "reached" if is_met else "**missed**"
        return f"| {self.words} | {sign} {self.limit:{self.style}} | {self.found:{self.style}} | {verdict} |"


def goals(steps: Sequence[Way], whole: Sequence[Way], sizes: Sequence[Way]) -> Iterator[Goal]:
    """Judge every goal by what was measured."""
    run, moved, study = "chain without motion", "chain with motion", "kit, all that a study does"
    masked, dipy = find(whole, run, f"{MRTRIX}, masked"), the(whole, run, DIPY)
    dipy_moved = the(whole, moved, f"{DIPY} (reckoned)")

    def over(step: str, who: str, other: Way | None) -> float | None:
        return None if other is None else float(np.median(ratios(the(whole, step, who), other)))

    name = "MRtrix3's masked chain without motion"
    yield Goal(f"chain without motion, over {name}", MOST_OF_MRTRIX, over(run, KIT, masked))
    yield Goal(f"the same, all that a study does, over {name}", MOST_OF_MRTRIX, over(run, study, masked))
    yield Goal(f"chain with motion, over {name}", MOST_WITH_MOTION, over(moved, KIT, masked))
    yield Goal(f"the same, all that a study does, over {name}", MOST_WITH_MOTION, over(moved, study, masked))
    times = {"without": np.median(ratios(dipy, the(whole, run, KIT)))}
    times["with"] = np.median(ratios(dipy_moved, the(whole, moved, KIT)))
    for motion, found in times.items():
        yield Goal(f"DIPY's chain {motion} motion, over the kit's", TIMES_DIPY, float(found), ".0f", is_least=True)
    denoised = {who: find(steps, "MP-PCA", who) for who in (KIT, f"{MRTRIX}, masked", DIPY)}
    errors = {who: way.numbers["RMSE"] for who, way in denoised.items() if way}
    best = min(error for who, error in errors.items() if who != KIT)
    yield Goal("MP-PCA, RMSE over that of the better peer", MOST_OF_BEST_DENOISER, errors[KIT] / best)
    worst = None
    if pairs := [(find(sizes, step, KIT), find(sizes, step, MRTRIX)) for step in dict.fromkeys(w.step for w in sizes)]:
        shares = [mine.numbers["RMSE"] / theirs.numbers["RMSE"] for mine, theirs in pairs if mine and theirs]
        worst = max(shares, default=None)
    yield Goal("unringing, RMSE over mrdegibbs', worst of the sizes", 1.0, worst, ".3f")
    found = the(steps, "motion, a volume", KIT).numbers
    yield Goal("motion, mean error in plane, mm", WITHIN_MM, found["in plane, mm"])
    yield Goal("motion, mean error through plane, mm", ACROSS_MM, found["through plane, mm"])
    yield Goal("b-vectors, mean error, °", BVEC_DEG, found["b-vectors, °"])
    apart = the(steps, "IWLS tensor, FA, MD", KIT).numbers.get("FA, MD against dwi2tensor, relative, at most")
    yield Goal("IWLS, FA and MD against dwi2tensor, relative, worst voxel", RELATIVE, apart, ".1e")


def table(ways: Sequence[Way], *, with_memory: bool = False) -> list[str]:
    """One row for each way; ratios are the kit's time over that of the row."""
    more = [" peak, MB |"] if with_memory else []
    lines = [
        "| step | who | s, median (range) | kit / this, pair by pair (range) | accuracy |" + "".join(more),
        "|---|---|---|---|---|" + "---|" * len(more),
    ]
    for way in ways:
        kit = the(ways, way.step, KIT)
        cells = [way.step, way.who, f"{way.median:.3g} ({min(way.seconds):.3g}–{max(way.seconds):.3g})"]
        share = ratios(kit, way)
        cells.append("" if way is kit else f"{np.median(share):.3g} ({share.min():.3g}–{share.max():.3g})")
        cells.append("; ".join(f"{name} {value:.3g}" for name, value in way.numbers.items()))
        if with_memory:
            cells.append(f"{way.memory:.0f}" if way.memory else "")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def budget(bench: Bench, steps: Sequence[Way], whole: Sequence[Way], machine: Machine) -> list[str]:
    """Hold each step's time, and the chains', against what their operations and bytes take at the machine's peak."""
    lines = ["| step | counted | GFLOP | GB | limit, s | measured, s | measured / limit |", "|---" * 7 + "|"]
    limits = {}

    def add(step: str, words: str, limit: float, measured: float, *amounts: float) -> None:
        cells = [step, words, *(f"{amount / 1e9:.3g}" for amount in amounts), *[""] * (2 - len(amounts))]
        cells += [f"{limit:.2g}", f"{measured:.3g}", f"{measured / limit:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")

    for each in work(bench.case):
        step, _, form = each.step.partition(", published")
        limits[each.step] = max(each.flop / machine.flops, each.bytes / machine.bandwidth)
        if way := find(steps, step, PUBLISHED if form else KIT):
            add(each.step, each.words, limits[each.step], way.median, each.flop, each.bytes)
    parts = ("read .nii.gz", "MP-PCA", "unringing", "IWLS tensor, FA, MD", "write .nii.gz")
    limit = sum(limits[part] for part in parts)
    add("chain without motion", "sum", limit, the(whole, "chain without motion", KIT).median)
    limit += (len(bench.case.scanned.gradients) - 1) * limits["motion, a volume"]
    add("chain with motion", "sum", limit, the(whole, "chain with motion", KIT).median)
    return lines


def processor() -> str:
    """Name the machine in words."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    kind = model or platform.machine()
    if hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        return f"{kind}, {n_cores()} cores, {memory:.0f} GiB of memory, {platform.system()}"
    return f"{kind}, {n_cores()} cores, {platform.system()}"


def mrtrix_version() -> str:
    """Read the version of MRtrix3."""
    said = subprocess.run(["dwidenoise", "-version"], capture_output=True, text=True, check=True).stdout.split()
    return f", MRtrix3 {said[2]}"


def compilation_seconds(folder: Path) -> float:
    """Compile all kernels from nothing, in one process."""
    code = "from dtimuscle.imaging.kernels import compile_kernels; compile_kernels()"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "numba")}
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return time.perf_counter() - begun


def in_figures(seconds: float) -> str:
    """Print seconds with two figures at least."""
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:#.2g}"


COLOURS = {KIT: "#0b7a75", MRTRIX: "#5b6670", DIPY: "#84489c"}


def figure(ways: Sequence[Way]) -> bytes:
    """Draw a bar for each way, on a logarithmic scale of seconds."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    from dtimuscle.presentation.style import INK, PAPER, WIDE, Slide, drawing

    shown = [way for way in ways if not way.step.startswith(("WLS", "OLS"))]
    names = list(dict.fromkeys(way.step for way in shown))
    plain = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.6}
    least, most = min(way.median for way in shown) / 2, max(way.median for way in shown)
    with drawing():
        drawn = Figure(figsize=(WIDE, 0.17 * len(shown) + 0.14 * len(names) + 0.8), layout="constrained")
        axis = drawn.subplots()
        at, ticks = 0.0, []
        for name in names:
            ticks.append(at)
            for way in (way for way in shown if way.step == name):
                engine = next(engine for engine in COLOURS if way.who.startswith(engine))
                axis.barh(at, way.median - least, left=least, height=0.8, color=COLOURS[engine], linewidth=0)
                axis.plot([min(way.seconds), max(way.seconds)], [at, at], color=INK, linewidth=0.8)
                weight = "bold" if way.who == KIT else "normal"
                words = f"{way.who}  {in_figures(way.median)}"
                axis.text(1.06 * max(way.seconds), at, words, va="center", size=7.5, weight=weight, bbox=plain)
                at += 1.0
            at += 0.8
        axis.set(xscale="log", xlim=(least, most * 15), ylim=(at - 1.0, -0.8))
        axis.set_xlabel("seconds, logarithmic; the line shows the range of the repeats")
        axis.xaxis.set_major_formatter(lambda seconds, _: f"{seconds:g}")
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_yticks(ticks, names)
        axis.tick_params(axis="y", length=0, labelcolor=INK)
        axis.grid(axis="x", visible=True)
        axis.spines["left"].set_visible(False)
        axis.set_title("Seconds for each step and for the chain", color=INK)
        return Slide(drawn).to_png()


def document(
    bench: Bench,
    steps: Sequence[Way],
    whole: Sequence[Way],
    sizes: Sequence[Way],
    *,
    machine: Machine,
    compiled: float,
    seconds: float,
) -> str:
    """Write the report."""
    case = bench.case
    size = " × ".join(map(str, case.scanned.signal.shape))
    noise = rms(case.scanned.signal[case.mask] - case.ringing.signal[case.mask])
    ringing = rms(case.ringing.signal[case.mask] - case.clean.signal[case.mask])
    judged = list(goals(steps, whole, sizes))
    lines = [
        "# Speed beside DIPY and MRtrix3",
        "",
        f"One simulated pair of thighs, {size} (one b = 0, the rest at b = 500 s/mm²), float32; muscle shows "
        f"{MUSCLE_SIGNAL:g} at b = 0, SNR {SNR:g}, a texture of {100 * TEXTURE:g} %, ringing by truncated k-space. "
        f"RMSE within the mask ({100 * case.mask.mean():.0f} % of the voxels): noise {noise:.2f}, ringing "
        f"{ringing:.2f}. The truth of denoising is the same scan without noise, that of unringing the same without "
        "ringing, that of FA and MD the tensors that were simulated (muscles without a rim of "
        f"{EROSION_MM:g} mm). The scan with motion has the same thighs, noise and ringing, but no texture; each volume "
        f"moves by {MOTION['motion_mm']:g} mm and {MOTION['motion_deg']:g}° (SD on each axis) under eddy currents of "
        f"{MOTION['eddy_percent']:g} % and {MOTION['eddy_shift_mm']:g} mm.",
        "",
        "```",
        "python benchmarks/speed.py"
        + ("" if bench.slow_repeats == bench.repeats else f" --dipy-repeats {bench.slow_repeats}"),
        "```",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; {processor()}; {bench.threads} threads for everybody; {seconds / 60:.0f} min. "
        f"Python {platform.python_version()}, numpy {version('numpy')}, scipy {version('scipy')}, numba "
        f"{version('numba')}, DIPY {version('dipy')}{mrtrix_version() if bench.has_mrtrix else ''}.",
        "",
        f"Each group of rows was timed in turns, A B C A B C, {bench.repeats} times after a warm-up; DIPY's slow steps "
        f"{'once' if bench.slow_repeats == 1 else f'{bench.slow_repeats} times'} without one. Ratios are of times in "
        "the same turn: median (lowest–highest).",
        "",
        "![Time of each step and chain](speed.png)",
        "",
        "## Goals",
        "",
        "| goal | limit | found | |",
        "|---|---|---|---|",
        *(goal.row for goal in judged),
        "",
        "Motion here is one scan; `motion.md` has seeds, SNRs and phantoms, `cleaning.md` more matrices and noise.",
        "",
        "## Steps",
        "",
        "The kit and DIPY work from memory to memory. MRtrix3's times are those of whole processes that read and write "
        "files which are not compressed, in memory where the system has such a folder, for this is how it is used. "
        "DIPY's unringing has as many processes as the others have threads. DIPY registers by "
        f'`correct_motion(engine="dipy")`, {DIPY_VOLUMES} volumes. The kit\'s tensor holds eigenvectors, residuals and '
        "S0 beside FA and MD; MRtrix3's time is that of `dwi2tensor` and `tensor2metric -fa -adc`.",
        "",
        *table(steps),
        "",
        "## Chains, from file to files",
        "",
        "The kit reads and writes `.nii.gz` (series, FA, MD) and finds its mask; MRtrix3 reads and writes `.nii`, DIPY "
        "reads and writes `.nii.gz` through nibabel, and both are handed the mask. *All that a study does* adds the "
        "search for lost slices and zero-filling, averaging of alike voxels, quality, pictures for the page, and the "
        "check of the b-vectors. *A process of its own* includes the start of Python, imports, and loading of compiled "
        "kernels, which a study pays once for each worker. Chains with motion run on the scan with motion; DIPY's is "
        "its chain without, and the time of one volume for each that moved. Memory: the largest process, run alone, "
        "with imports and mapped files.",
        "",
        *table(whole, with_memory=True),
        "",
        f"All kernels are compiled once for an installation: {compiled:.0f} s in one process.",
        "",
        "## Unringing of other matrices",
        "",
        f"{FIELD_MM:g} × {FIELD_MM:g} mm, four slices, seven volumes, no noise; MRtrix3's time holds the start of its "
        "process.",
        "",
        *table(sizes),
        "",
        "## Where the time goes",
        "",
        f"The machine multiplies matrices at {machine.flops / 1e9:.0f} GFLOP/s (single precision) and copies "
        f"{machine.bandwidth / 1e9:.0f} GB/s (read and written), measured in this run with {bench.threads} threads. A "
        "step's limit is the longer of its operations and its bytes at these rates; the operations are those of the "
        "method as reckoned, so the limit is an estimate and no code reaches it (n volumes, m voxels of a patch).",
        "",
        *budget(bench, steps, whole, machine),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description="Time the imaging steps beside DIPY and MRtrix3.")
    parser.add_argument("--quick", action="store_true", help="a small scan, once; print, write nothing without --out")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dipy-repeats", type=int, default=5, help="of DIPY's slow steps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder of the report; this one by default")
    parser.add_argument("--alone", choices=ALONE, help="run one chain on --folder, to measure its process")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    limit_threads(given.threads)
    logging.disable(logging.INFO)  # DIPY tells of every step of every registration
    with threadpool_limits(given.threads):
        if given.alone:
            ALONE[given.alone](given.folder, given.threads)
            return
        text, picture = measure(given)
    if given.quick and not given.out:
        print(text)
        return
    report = (given.out or REPORT.parent) / REPORT.name
    report.write_text(text, encoding="utf-8")
    report.with_suffix(".png").write_bytes(picture)


def measure(given: argparse.Namespace) -> tuple[str, bytes]:
    """Run everything; the text of the report and its figure."""
    begun = time.time()
    kind = ((64, 64, 8), (6.0, 6.0, 8.0), 12) if given.quick else (MATRIX, VOXEL_MM, N_DIRECTIONS)
    in_memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=in_memory if in_memory.is_dir() else None) as name:
        case = make_case(*kind)
        repeats, slow_repeats = (1, 1) if given.quick else (given.repeats, given.dipy_repeats)
        has_mrtrix = shutil.which("dwidenoise") is not None
        bench = Bench(case, Path(name), given.threads, repeats, slow_repeats, has_mrtrix)
        write_files(case, bench.folder)
        machine = measure_machine(given.threads)
        compiled = compilation_seconds(bench.folder)
        volumes = alignment(bench)
        steps = [*files_and_mask(bench), *cleaning(bench), *volumes, *tensors(bench)]
        whole = with_reckoned(chains(bench), volumes, len(case.scanned.gradients) - 1)
        sizes = other_sizes(bench, SIZES[:1] + SIZES[3:4] if given.quick else SIZES)
        seconds = time.time() - begun
        text = document(bench, steps, whole, sizes, machine=machine, compiled=compiled, seconds=seconds)
        return text, figure([*steps, *whole])


if __name__ == "__main__":
    main()
