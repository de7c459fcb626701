"""The MR physics of a diffusion-weighted scan of the thighs: signal, motion, eddy currents, ringing, noise."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.random import Generator
from scipy import fft
from scipy.spatial.transform import Rotation

from dtimuscle.dwi import DwiSeries, Floats, TensorMaps
from dtimuscle.errors import SimulationError
from dtimuscle.muscles import MuscleLabels
from dtimuscle.simulation.anatomy import FIRST_MUSCLE, TISSUES, Ints, Thighs
from dtimuscle.simulation.physics import eigenvalues
from dtimuscle.simulation.protocol import Protocol

# The object is drawn this many times finer within slices than it is scanned, and in this many layers of each slice (an
# odd number, so that one of them is the slice's middle).
FINENESS = 2
LAYERS = 3

# How far beyond the scanned slab the object is drawn, so that it can move into view, mm.
MARGIN_MM = 12.0


@dataclass(frozen=True)
class SimulatedScan:
    """A simulated series and what it was made from.

    Parameters
    ----------
    series : DwiSeries
        As scanned: moved, distorted and noisy, with the nominal gradient directions.
    labels : MuscleLabels
        Muscles at the reference pose, on the grid of the series.
    truth : TensorMaps
        Tensors at the reference pose; NaN outside muscle.
    transforms : ndarray of shape (n, 4, 4)
        From world coordinates (mm) at the reference pose to those in each volume as scanned.
    noise_sd : float
        SD of the noise in each channel (real and imaginary), in the unit of the signal.
    """

    series: DwiSeries
    labels: MuscleLabels
    truth: TensorMaps
    transforms: Floats
    noise_sd: float


def simulate_scan(
    thighs: Thighs,
    parameters: pd.DataFrame,
    protocol: Protocol,
    *,
    snr: float,
    motion_mm: float,
    motion_deg: float,
    eddy_percent: float,
    ringing: bool,
    rng: Generator,
) -> SimulatedScan:
    """Scan one participant.

    The signal of a region is S0 exp(−b gᵀDg) with the gradient g as the moved body sees it. With `ringing` the
    object is drawn on a finer grid and its k-space is cut to the matrix that the scanner samples; otherwise each voxel
    is the tissue at its centre. Noise is complex and white before the magnitude is taken, so it is Rician after.

    Parameters
    ----------
    thighs : Thighs
        What is where.
    parameters : DataFrame
        Columns `muscle`, `side`, `fa` and `md` (mm²/s) of this participant.
    protocol : Protocol
        How the scan is made.
    snr : float
        Mean signal of muscle at b = 0 over the noise SD; 0 for no noise.
    motion_mm, motion_deg : float
        SD of each volume's translation along and rotation about each axis; the first volume stays.
    eddy_percent : float
        Displacement along phase encoding per distance from the centre that a full gradient causes.
    ringing : bool
        Whether k-space is cut.
    rng : Generator
        The participant's stream of random numbers.

    Returns
    -------
    SimulatedScan
        The series and its truth.

    Raises
    ------
    SimulationError
        If a muscle of the phantom has no FA and MD.
    """
    gradients = protocol.gradients()
    values = _region_values(thighs, parameters)
    s0 = _region_s0(thighs, protocol)
    poses = _draw_poses(len(gradients), motion_mm, motion_deg, rng)
    distortions = [
        _eddy(g, b, eddy_percent, protocol) for g, b in zip(gradients.directions, gradients.bvals, strict=True)
    ]
    transforms = np.array(distortions) @ poses
    noise_sd = protocol.muscle_signal.value / snr if snr else 0.0
    drawing = _Drawing.of(thighs, protocol)
    magnitude = np.empty((*protocol.shape, len(gradients)), dtype=np.float32)
    for volume in range(len(gradients)):
        turned = poses[volume, :3, :3].T @ gradients.directions[volume]
        signal = s0 * np.exp(-gradients.bvals[volume] * _diffusivity(values, thighs.directions, turned, protocol))
        image = drawing.scan(signal.astype(np.float32), transforms[volume], ringing=ringing)
        if noise_sd:
            real, imaginary = np.float32(noise_sd) * rng.standard_normal((2, *image.shape), dtype=np.float32)
            image = image + real + 1j * imaginary
        magnitude[..., volume] = np.abs(image)
    series = DwiSeries(magnitude, protocol.affine, gradients)
    regions = drawing.look_up(np.eye(4), fine=False)
    labels = thighs.labels(regions, protocol.affine)
    return SimulatedScan(series, labels, _truth(regions, values, s0, thighs, protocol), transforms, noise_sd)


@dataclass(frozen=True)
class _Drawing:
    """The object at rest on a fine grid, from which each volume is looked up.

    Parameters
    ----------
    regions : ndarray of shape (x, y, z)
        Region at each point.
    affine : ndarray of shape (4, 4)
        From its indices to world coordinates (mm).
    protocol : Protocol
        How it is scanned.
    """

    regions: Ints
    affine: Floats
    protocol: Protocol

    @classmethod
    def of(cls, thighs: Thighs, protocol: Protocol) -> "_Drawing":
        """Draw the thighs, with a margin that can move into view.

        The drawing has a point at every point that a scan without motion looks up: if it had two on either side of
        it instead, all of them would be taken from the same side and that scan alone would be shifted.
        """
        sizes, steps = np.array(protocol.voxel_mm.value), np.array([FINENESS, FINENESS, LAYERS])
        margins = np.ceil(np.array([0, 0, MARGIN_MM]) * steps / sizes) + steps
        axes = []
        for size, step, margin, n in zip(sizes, steps, margins, protocol.shape, strict=True):
            last = step * (n - 1) / 2 + margin
            axes.append(np.arange(-last, last + 1) * size / step)
        affine = np.diag([*(sizes / steps), 1.0])
        affine[:3, 3] = [axis[0] for axis in axes]
        return cls(thighs.regions_at(*axes), affine, protocol)

    def look_up(self, transform: Floats, *, fine: bool) -> Ints:
        """Region that each voxel, or each point of its finer grid, shows once the body has moved by a transform."""
        steps = np.array([FINENESS, FINENESS, LAYERS] if fine else [1, 1, 1])
        grid = np.diag([*(1 / steps), 1.0])
        # Within slices the finer grid begins at the voxel's centre, as k-space wants it; layers fill the slice.
        grid[2, 3] = (1 / steps[2] - 1) / 2
        to_index = np.linalg.inv(self.affine) @ np.linalg.inv(transform) @ self.protocol.affine @ grid
        i, j, k = np.ogrid[tuple(slice(int(n)) for n in np.array(self.protocol.shape) * steps)]
        nearest = np.zeros(1, dtype=np.int32)
        for size, (a, b, c, offset) in zip(self.regions.shape, to_index[:3], strict=True):
            # What lies beyond the drawing looks like its border. Adding a half and cutting rounds to the nearest.
            index = np.float32(a * i + offset + 0.5) + np.float32(b * j + c * k)
            nearest = nearest * size + np.clip(index, 0, size - 1).astype(np.int32)
        return self.regions.ravel()[nearest]

    def scan(self, signal: Floats, transform: Floats, *, ringing: bool) -> Floats:
        """Image the moved object: each point shows what was there before it moved."""
        image = np.take(signal, self.look_up(transform, fine=ringing))
        if not ringing:
            return image
        slices = image.reshape(*image.shape[:2], -1, LAYERS).mean(axis=-1)
        return _cut_k_space(slices, self.protocol.shape[:2])


def _cut_k_space(fine: Floats, shape: tuple[int, int]) -> Floats:
    """Keep the middle of k-space in the two in-plane axes, as a scanner with this matrix samples it."""
    rows, columns = (fft.fftfreq(n, 1 / n).astype(int) for n in shape)
    spectrum = fft.fft2(fine, axes=(0, 1))[rows][:, columns]
    return fft.ifft2(spectrum, axes=(0, 1)) / FINENESS**2


def _draw_poses(n: int, motion_mm: float, motion_deg: float, rng: Generator) -> Floats:
    poses = np.tile(np.eye(4), (n, 1, 1))
    poses[:, :3, 3] = rng.normal(0, 1, (n, 3)) * motion_mm
    poses[:, :3, :3] = Rotation.from_rotvec(rng.normal(0, 1, (n, 3)) * motion_deg, degrees=True).as_matrix()
    poses[0] = np.eye(4)
    return poses


def _eddy(direction: Floats, b: float, percent: float, protocol: Protocol) -> Floats:
    """Scale, shear and tilt along phase encoding (front-back) in step with the gradient's three parts."""
    matrix = np.eye(4)
    matrix[1, :3] += percent / 100 * direction * b / protocol.b_value_s_mm2.value
    return matrix


def _region_values(thighs: Thighs, parameters: pd.DataFrame) -> Floats:
    """FA and MD of each region, shape (regions, 2); NaN where there is no muscle."""
    known = {(row.muscle, row.side): (row.fa, row.md) for row in parameters.itertuples()}
    values = np.full((len(thighs.directions), 2), np.nan)
    for region, (name, side) in thighs.meaning.items():
        if (name, str(side)) not in known:
            raise SimulationError(f"the scenario says nothing of {name} ({side}). Add it to the scenario's muscles.")
        values[region] = known[name, str(side)]
    return values


def _region_s0(thighs: Thighs, protocol: Protocol) -> Floats:
    muscle = protocol.signal("muscle")
    s0 = np.full(len(thighs.directions), protocol.muscle_signal.value)
    s0[:FIRST_MUSCLE] = [
        0.0 if tissue == "air" else protocol.signal(tissue) / muscle * protocol.muscle_signal.value
        for tissue in TISSUES
    ]
    return s0


def _diffusivity(values: Floats, directions: Floats, gradient: Floats, protocol: Protocol) -> Floats:
    """Apparent diffusivity gᵀDg of each region along a gradient, mm²/s."""
    along, across = eigenvalues(values[:, 0], values[:, 1])
    diffusivity = across * (gradient @ gradient) + (along - across) * (directions @ gradient) ** 2
    for region, tissue in enumerate(TISSUES):
        diffusivity[region] = 0.0 if tissue == "air" else protocol.tissues[tissue].diffusivity_mm2_s
    return diffusivity


def _truth(regions: Ints, values: Floats, s0: Floats, thighs: Thighs, protocol: Protocol) -> TensorMaps:
    along, across = eigenvalues(values[:, 0], values[:, 1])
    is_muscle = regions >= FIRST_MUSCLE
    return TensorMaps(
        fa=values[regions, 0],
        md=values[regions, 1],
        ad=along[regions],
        rd=across[regions],
        direction=np.where(is_muscle[..., None], thighs.directions[regions], np.nan),
        s0=s0[regions],
        mask=is_muscle,
        is_positive=is_muscle,
        affine=protocol.affine,
        estimator="truth",
    )
