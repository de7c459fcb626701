"""The MR physics of a diffusion-weighted scan of the thighs, from what is where to what the scanner stores."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import fft

from dtimuscle.dwi import Bools, DwiSeries, Floats, TensorMaps
from dtimuscle.errors import SimulationError
from dtimuscle.muscles import MuscleLabels
from dtimuscle.simulation.anatomy import FAT, FIRST_MUSCLE, INTERMUSCULAR_FAT, TISSUES, Ints, Thighs
from dtimuscle.simulation.effects import (
    ScanEffects,
    coil_sensitivities,
    draw_dropout,
    draw_poses,
    eddy_distortions,
    fat_shift_mm,
    receive,
)
from dtimuscle.simulation.physics import eigenvalues
from dtimuscle.simulation.protocol import Protocol

# The object is drawn this many times finer within slices than it is scanned, and in this many layers of each slice (an
# odd number, so that one of them is the slice's middle).
FINENESS = 2
LAYERS = 3

# How far beyond the scanned slab the object is drawn, so that it can move into view, mm.
MARGIN_MM = 12.0


# Strides along both axes of a plane by which points look at different places within a step: powers of the inverse of
# the number that spreads points most evenly (Roberts' R sequence in two dimensions), and of the golden ratio.
STRIDES = ((0.7549, 0.5698), (0.5698, 0.7549), (0.6180, 0.3820))


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
        Tensors of muscle's water at the reference pose; NaN outside muscle.
    transforms : ndarray of shape (n, 4, 4)
        From world coordinates (mm) at the reference pose to those in each volume as scanned; its rotation is that of
        the body, the rest is eddy currents.
    dropped_slices : DataFrame
        `volume`, `slice` (from 0) and `loss` (share of the signal) of slices that lost signal.
    fat_fraction : ndarray of shape (nx, ny, nz)
        Share of fat at the reference pose: that of each muscle, 1 in fat, 0 elsewhere.
    noise_sd : float
        SD of the noise in each channel (real or imaginary part of one coil), in the unit of the signal.
    """

    series: DwiSeries
    labels: MuscleLabels
    truth: TensorMaps
    transforms: Floats
    dropped_slices: pd.DataFrame
    fat_fraction: Floats
    noise_sd: float


def simulate_scan(
    thighs: Thighs,
    parameters: pd.DataFrame,
    protocol: Protocol,
    effects: ScanEffects,
    *,
    rng: Generator,
    poses: Floats | None = None,
    position: Floats | None = None,
) -> SimulatedScan:
    """Scan one participant.

    Muscle with the share φ of fat gives (1 − φ) S0 [f exp(−b D*) + (1 − f) exp(−b gᵀDg)] from water, where g is the
    gradient as the moved body sees it and f the perfused share, and φ S_fat exp(−b D_fat) from what suppression leaves
    of fat. Motion moves the body; eddy currents, and for fat its chemical shift, then displace each point along phase
    encoding by the field that it lies in. The displaced object is averaged over voxels or its k-space is cut, slices
    lose signal, coils receive it with complex white noise, and the magnitude is taken.

    Parameters
    ----------
    thighs : Thighs
        What is where.
    parameters : DataFrame
        Columns `muscle`, `side`, `fa` and `md` (mm²/s) of this participant, and `fat_fraction` (0 to 1) unless
        muscles hold no fat.
    protocol : Protocol
        How the scan is made.
    effects : ScanEffects
        What it suffers.
    rng : Generator
        The participant's stream of random numbers.
    poses : ndarray of shape (n, 4, 4), optional
        Rigid transforms of each volume against the reference; drawn by `motion_mm` and `motion_deg` by default.
    position : ndarray of shape (4, 4), optional
        Rigid transform from the thighs as drawn to how they lie at the reference pose; as drawn by default.

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
    tissue = _Tissue.of(values, thighs, protocol, effects)
    if poses is None:
        poses = draw_poses(len(gradients), motion_mm=effects.motion_mm, motion_deg=effects.motion_deg, rng=rng)
    position = np.eye(4) if position is None else position
    distortions = eddy_distortions(gradients, effects)
    dropped = draw_dropout(gradients, protocol.shape[2], percent=effects.dropout_percent, rng=rng)
    left = np.ones((len(gradients), protocol.shape[2]), dtype=np.float32)
    left[dropped["volume"], dropped["slice"]] -= dropped["loss"]
    drawing = _Drawing.of(thighs, protocol)
    regions = drawing.look_up(position, np.ones(3, dtype=int)).transpose(1, 2, 0)
    noise_sd = protocol.muscle_signal.value / effects.snr if effects.snr else 0.0
    sensitivities = coil_sensitivities(protocol, effects.n_receivers, regions >= FIRST_MUSCLE)
    magnitude = np.empty((*protocol.shape, len(gradients)), dtype=np.float32)
    for volume, (b, direction) in enumerate(zip(gradients.bvals, gradients.directions, strict=True)):
        pose = poses[volume] @ position
        water, fat = tissue.signals(b, pose[:3, :3].T @ direction)
        image = drawing.scan(water, fat, distortions[volume] @ pose, effects)
        magnitude[..., volume] = receive(image * left[volume], sensitivities, noise_sd=noise_sd, rng=rng)
    return SimulatedScan(
        series=DwiSeries(magnitude, protocol.affine, gradients),
        labels=thighs.labels(regions, protocol.affine),
        truth=_truth(regions, values, thighs.directions @ position[:3, :3].T, tissue, protocol),
        transforms=distortions @ poses,
        dropped_slices=dropped,
        fat_fraction=tissue.fat_fraction[regions],
        noise_sd=noise_sd,
    )


@dataclass(frozen=True)
class _Tissue:
    """What each region sends.

    Parameters
    ----------
    water, fat : ndarray of shape (regions,)
        Signal at b = 0.
    along, across : ndarray of shape (regions,)
        Diffusivities of water along and across the fibres, mm²/s.
    directions : ndarray of shape (regions, 3)
        Fibres.
    fat_diffusivity : ndarray of shape (regions,)
        Of the fat, mm²/s.
    fat_fraction : ndarray of shape (regions,)
        Share of fat.
    effects : ScanEffects
        Perfusion counts.
    """

    water: Floats
    fat: Floats
    along: Floats
    across: Floats
    directions: Floats
    fat_diffusivity: Floats
    fat_fraction: Floats
    effects: ScanEffects

    @classmethod
    def of(cls, values: Floats, thighs: Thighs, protocol: Protocol, effects: ScanEffects) -> "_Tissue":
        """Fill in what the scenario says of muscles and the protocol of the rest."""
        n, unit = len(values), protocol.muscle_signal.value / protocol.signal("muscle")
        along, across = eigenvalues(values[:, 0], values[:, 1])
        fraction, fat_diffusivity = values[:, 2].copy(), np.zeros(n)
        within = protocol.tissues[TISSUES[INTERMUSCULAR_FAT]]
        fat_diffusivity[FIRST_MUSCLE:] = within.diffusivity_mm2_s
        pure_fat = np.full(n, unit * protocol.signal(TISSUES[INTERMUSCULAR_FAT]))
        pure_water = np.full(n, protocol.muscle_signal.value)
        along[:FIRST_MUSCLE] = across[:FIRST_MUSCLE] = pure_water[:FIRST_MUSCLE] = pure_fat[:FIRST_MUSCLE] = 0.0
        fraction[:FIRST_MUSCLE] = 0.0
        for region, tissue in enumerate(TISSUES[1:], start=1):
            signal, diffusivity = unit * protocol.signal(tissue), protocol.tissues[tissue].diffusivity_mm2_s
            if region in FAT:
                pure_fat[region], fat_diffusivity[region], fraction[region] = signal, diffusivity, 1.0
            else:
                pure_water[region], along[region], across[region] = signal, diffusivity, diffusivity
        water, fat = (1 - fraction) * pure_water, fraction * pure_fat
        return cls(water, fat, along, across, thighs.directions, fat_diffusivity, fraction, effects)

    def signals(self, b: float, gradient: Floats) -> tuple[Floats, Floats]:
        """Signal of the water and of the fat of each region at a weighting."""
        apparent = self.across * (gradient @ gradient) + (self.along - self.across) * (self.directions @ gradient) ** 2
        decay, flow = np.exp(-b * apparent), self.effects.perfusion_percent / 100
        decay[FIRST_MUSCLE:] *= 1 - flow
        decay[FIRST_MUSCLE:] += flow * np.exp(-b * self.effects.pseudo_diffusion_mm2_s)
        fat = self.fat * np.exp(-b * self.fat_diffusivity)
        return (self.water * decay).astype(np.float32), fat.astype(np.float32)


@dataclass(frozen=True)
class _Drawing:
    """The thighs as drawn, on a fine grid from which each volume is looked up.

    Parameters
    ----------
    thighs : Thighs
        What is drawn.
    axes : tuple of ndarray
        World coordinates (mm) of the grid along x, y and z.
    regions : ndarray of uint8, shape (z, x, y)
        Region at each point of the planes that have been drawn; each is when it is first looked at.
    is_drawn : ndarray of bool, shape (z,)
        Which these are.
    affine : ndarray of shape (4, 4)
        From its indices (x, y, z) to world coordinates (mm).
    protocol : Protocol
        How it is scanned.
    """

    thighs: Thighs
    axes: tuple[Floats, Floats, Floats]
    regions: NDArray[np.uint8]
    is_drawn: Bools
    affine: Floats
    protocol: Protocol

    @classmethod
    def of(cls, thighs: Thighs, protocol: Protocol) -> "_Drawing":
        """Prepare a drawing of the thighs, with a margin that can move into view.

        The drawing has a point at every point that a scan without motion looks up, so that such a scan is exact.
        """
        sizes, steps = np.array(protocol.voxel_mm.value), np.array([FINENESS, FINENESS, LAYERS])
        margins = np.ceil(np.array([0, 0, MARGIN_MM]) * steps / sizes) + steps
        lasts = steps * (np.array(protocol.shape) - 1) / 2 + margins
        x, y, z = (
            np.arange(-last, last + 1) * size / step for last, size, step in zip(lasts, sizes, steps, strict=True)
        )
        affine = np.diag([*(sizes / steps), 1.0])
        affine[:3, 3] = x[0], y[0], z[0]
        regions = np.empty((len(z), len(x), len(y)), dtype=np.uint8)
        return cls(thighs, (x, y, z), regions, np.zeros(len(z), dtype=bool), affine, protocol)

    def _draw(self, lowest: float, highest: float) -> None:
        """Draw what is missing of the planes between two heights in steps of the drawing, and one beyond."""
        # What lies beyond the drawing looks like its border.
        first, last = np.clip([lowest - 1, highest + 1], 0, len(self.is_drawn) - 1).astype(int)
        missing = first + np.flatnonzero(~self.is_drawn[first : last + 1])
        if len(missing):
            x, y, z = self.axes
            self.regions[missing] = self.thighs.regions_at(x, y, z[missing]).transpose(2, 0, 1)
            self.is_drawn[missing] = True

    def look_up(self, transform: Floats, steps: Ints) -> Ints:
        """Region that each point of a grid shows once the body has moved by a transform, shape (z, x, y).

        Where the grid is finer than voxels, its points look at slightly different places within a step of the drawing,
        evenly spread over the points of a voxel. In their mean a body that moves by a part of a step is displaced
        by this part; without it, it would stay until half a step and then jump.
        """
        grid = np.diag([*(1 / steps), 1.0])
        # Within slices the finer grid begins at the voxel's centre, as k-space wants it; layers fill the slice.
        grid[2, 3] = (1 / steps[2] - 1) / 2
        to_index = np.linalg.inv(self.affine) @ np.linalg.inv(transform) @ self.protocol.affine @ grid
        nx, ny, nz = np.array(self.protocol.shape) * steps
        i, j = np.ogrid[:nx, :ny]
        spread, n = _spread(i, j, steps), np.array(self.regions.shape)[[1, 2, 0]]
        planes = [
            np.float32(a * i + b * j + offset + 0.5) + within
            for (a, b, _, offset), within in zip(to_index[:3], spread, strict=True)
        ]
        spans = [(plane.min(), plane.max()) for plane in planes]
        drift = to_index[2, 2] * (nz - 1)
        self._draw(spans[2][0] + min(drift, 0), spans[2][1] + max(drift, 0))
        found = np.empty((nz, nx, ny), dtype=self.regions.dtype)
        flat = self.regions.ravel()
        for k in range(nz):
            x, y, z = (
                _index(plane, np.float32(step * k + more), span, size)
                for plane, step, more, span, size in zip(
                    planes, to_index[:3, 2], _layer_spread(k, steps), spans, n, strict=True
                )
            )
            z *= n[0]
            z += x
            z *= n[1]
            z += y
            # All lie within, so that nothing is clipped any more: it saves a copy.
            np.take(flat, z, out=found[k], mode="clip")
        return found

    def scan(self, water: Floats, fat: Floats, transform: Floats, effects: ScanEffects) -> NDArray[np.inexact]:
        """Image the moved object: each point shows what was there before it moved."""
        is_fine = effects.ringing or effects.partial_volume
        steps = np.array([FINENESS if is_fine else 1] * 2 + [LAYERS if effects.partial_volume else 1])
        if effects.fat_shift_ppm and fat.any():
            shift = np.eye(4)
            shift[1, 3] = fat_shift_mm(self.protocol, effects.fat_shift_ppm)
            # The field of the eddy currents is that of the place where the fat lies, not of where it appears.
            image = water.take(self.look_up(transform, steps)) + fat.take(self.look_up(shift @ transform, steps))
        else:
            image = (water + fat).take(self.look_up(transform, steps))
        slices = image.reshape(-1, steps[2], *image.shape[1:]).mean(axis=1)
        if effects.ringing:
            slices = cut_k_space(slices, self.protocol.shape[:2])
        elif effects.partial_volume:
            slices = _over_voxels(_over_voxels(slices).swapaxes(1, 2)).swapaxes(1, 2)
        return slices.transpose(1, 2, 0)


def _index(plane: Floats, step: np.float32, span: tuple[Floats, Floats], size: int) -> Ints:
    """Round to the nearest index (a half has been added); what lies beyond the drawing looks like its border."""
    moved = plane + step
    if span[0] + step < 0 or span[1] + step >= size:
        np.clip(moved, 0, size - 1, out=moved)
    return moved.astype(np.int32)


def _spread(i: Ints, j: Ints, steps: Ints) -> tuple[Floats, Floats, Floats]:
    """Where within a step of the drawing the points of a plane look, in steps: x, y and z."""
    if steps[0] == 1:
        return np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32)
    odd_i, odd_j = i % 2, j % 2
    # Of an edge across x, each row shows one point: what differs from row to row is averaged.
    coarse = (odd_j - 0.5) / 2, (odd_i - 0.5) / 2, (odd_i + 2 * odd_j - 1.5) / 4
    # From voxel to voxel the points move on by less than they lie apart within one.
    fine = [((i // 2) * u + (j // 2) * v) % 1 - 0.5 for u, v in STRIDES]
    x, y, z = (a + b / n for a, b, n in zip(coarse, fine, (2 * LAYERS, 2 * LAYERS, 4), strict=True))
    return _within(x), _within(y), _within(z)


def _within(spread: Floats) -> Floats:
    """Stay clear of the border, so that rounding never changes what is looked up without motion."""
    return (0.98 * spread).astype(np.float32)


def _layer_spread(k: int, steps: Ints) -> tuple[float, float, float]:
    """Where the layer of a slice looks in addition."""
    if steps[0] == 1 or steps[2] == 1:
        return 0.0, 0.0, 0.0
    layer = k % LAYERS
    return 0.98 * (layer - 1) / (2 * LAYERS), 0.98 * (2 * layer % LAYERS - 1) / (2 * LAYERS), 0.0


def cut_k_space(fine: Floats, shape: tuple[int, int]) -> NDArray[np.inexact]:
    """Keep the middle of k-space in plane, as a scanner with this matrix samples it without partial Fourier.

    The points of the fine grid are taken for the centres of even little squares, whose spectrum is that of the points
    times a sinc; so k-space is exactly that of an object made of squares.

    Parameters
    ----------
    fine : ndarray of shape (nz, nx × fineness, ny × fineness)
        The object; each voxel's centre is a point of it, beginning with the first.
    shape : tuple of int
        Matrix (nx, ny).

    Returns
    -------
    ndarray of complex, shape (nz, nx, ny)
        The image.
    """
    spectrum = fine
    for axis, n in zip((1, 2), shape, strict=True):
        kept = fft.fftfreq(n, 1 / n).astype(int)
        spectrum = np.take(fft.fft(spectrum, axis=axis), kept, axis=axis)
        of_square = np.sinc(kept / fine.shape[axis]).astype(np.float32) * np.float32(n / fine.shape[axis])
        spectrum *= of_square[:, None] if axis == 1 else of_square
    return fft.ifft2(spectrum, axes=(1, 2), overwrite_x=True)


def _over_voxels(fine: Floats) -> Floats:
    """Average squares over voxels twice their width along the second axis; the voxel's centre is a square's."""
    return 0.5 * fine[:, ::2] + 0.25 * (fine[:, 1::2] + np.roll(fine[:, 1::2], 1, axis=1))


def _region_values(thighs: Thighs, parameters: pd.DataFrame) -> Floats:
    """FA, MD and share of fat of each region, shape (regions, 3); NaN where there is no muscle."""
    rows = parameters if "fat_fraction" in parameters else parameters.assign(fat_fraction=0.0)
    known = {(row.muscle, row.side): (row.fa, row.md, row.fat_fraction) for row in rows.itertuples()}
    values = np.full((len(thighs.directions), 3), np.nan)
    for region, (name, side) in thighs.meaning.items():
        if (name, str(side)) not in known:
            raise SimulationError(f"the scenario says nothing of {name} ({side}). Add it to the scenario's muscles.")
        values[region] = known[name, str(side)]
    return values


def _truth(regions: Ints, values: Floats, directions: Floats, tissue: _Tissue, protocol: Protocol) -> TensorMaps:
    along, across = eigenvalues(values[:, 0], values[:, 1])
    is_muscle = regions >= FIRST_MUSCLE
    return TensorMaps(
        fa=values[regions, 0],
        md=values[regions, 1],
        ad=along[regions],
        rd=across[regions],
        direction=np.where(is_muscle[..., None], directions[regions], np.nan),
        s0=(tissue.water + tissue.fat)[regions],
        mask=is_muscle,
        is_positive=is_muscle,
        affine=protocol.affine,
        estimator="truth",
    )
