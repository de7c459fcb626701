"""What happens to the signal of a scan beside diffusion, each effect with its unit, and what it does to numbers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dtimuscle.dwi import Floats, GradientTable
from dtimuscle.errors import SimulationError
from dtimuscle.simulation.protocol import Protocol

Complexes = NDArray[np.complexfloating]

# Precession of protons, Hz per tesla and ppm: gyromagnetic ratio over 2π, CODATA 2018.
PROTON_HZ_PER_T_PPM = 42.577478518

# A slice that drops out loses at least and at most this share of its signal.
DROPOUT_LOSS = (0.4, 1.0)

# How the field that eddy currents add everywhere leans on the gradient's three parts; assumed, of unit length.
EDDY_SHIFT_PARTS = np.array([1.0, 1.0, 1.0]) / np.sqrt(3)

# Radius of a coil's loop and its distance from the edge of the field of view, mm; assumed.
COIL_RADIUS_MM, COIL_DISTANCE_MM = 100.0, 20.0

# Lovett grade of full strength, from which wasting counts.
BEST_GRADE = 5


@dataclass(frozen=True)
class ScanEffects:
    """What a scan suffers; 0 or False switches an effect off. The defaults are those of the study.

    Parameters
    ----------
    snr : float
        Mean signal of muscle at b = 0 over the SD of the noise in each channel (real or imaginary part of one coil);
        0 for no noise. With several coils the signal is that of their root sum of squares.
    n_receivers : int
        Receiver coils, joined by root sum of squares: one gives Rician noise and an even sensitivity, more give
        non-central χ noise and a signal that is higher near the coils.
    motion_mm, motion_deg : float
        SD of each volume's translation along (mm) and rotation about (degrees) each axis; the first volume stays.
    eddy_percent : float
        Displacement along phase encoding per distance from the centre that a full gradient causes: shear, scale and
        tilt by its three parts, percent.
    eddy_shift_mm : float
        Displacement along phase encoding of the whole image by a full gradient, mm.
    dropout_percent : float
        Share of the slices of weighted volumes that lose 40 to 100 % of their signal, percent.
    ringing : bool
        Whether k-space is cut to the matrix, so that edges ring.
    partial_volume : bool
        Whether a voxel shows the mean of what it covers instead of its centre: through the slice, and without ringing
        also in plane (otherwise the cut of k-space does it).
    fat_shift_ppm : float
        Chemical shift between water and fat, ppm; fat moves along phase encoding by it, to the front if positive.
    perfusion_percent : float
        Share of muscle's signal at b = 0 that flows in capillaries (IVIM), percent.
    pseudo_diffusion_mm2_s : float
        How fast this share decays, mm²/s.
    """

    snr: float = 30.0
    n_receivers: int = 1
    motion_mm: float = 1.0
    motion_deg: float = 0.5
    eddy_percent: float = 1.0
    eddy_shift_mm: float = 0.5
    dropout_percent: float = 0.0
    ringing: bool = True
    partial_volume: bool = True
    fat_shift_ppm: float = 0.0
    perfusion_percent: float = 0.0
    pseudo_diffusion_mm2_s: float = 0.02

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name, least, most in (
            ("snr", 0, np.inf),
            ("n_receivers", 1, 128),
            ("motion_mm", 0, np.inf),
            ("motion_deg", 0, np.inf),
            ("dropout_percent", 0, 100),
            ("perfusion_percent", 0, 100),
            ("pseudo_diffusion_mm2_s", 0, np.inf),
        ):
            if not least <= getattr(self, name) <= most:
                raise SimulationError(f"{name}: found {getattr(self, name):g}; allowed: {least:g} to {most:g}.")


NO_EFFECTS = ScanEffects(
    snr=0.0,
    motion_mm=0.0,
    motion_deg=0.0,
    eddy_percent=0.0,
    eddy_shift_mm=0.0,
    ringing=False,
    partial_volume=False,
)


@dataclass(frozen=True)
class Wasting:
    """How muscles waste with poor function.

    Parameters
    ----------
    atrophy_percent : float
        Cross-section that muscles lose with each Lovett grade below 5, percent; subcutaneous fat fills the gap.
    fat_percent : float
        Share of fat in the muscles of grade 5, percent.
    infiltration_percent : float
        Share of fat that is added with each grade below 5, percentage points.
    """

    atrophy_percent: float = 0.0
    fat_percent: float = 0.0
    infiltration_percent: float = 0.0

    def area_share(self, grade: int) -> float:
        """Return the cross-section of muscles over that of healthy ones.

        Parameters
        ----------
        grade : int
            Lovett grade, 0 to 5.
        """
        return (1 - self.atrophy_percent / 100) ** (BEST_GRADE - grade)

    def fat_share(self, grade: int) -> float:
        """Return the mean share of fat in the muscles, 0 to 1.

        Parameters
        ----------
        grade : int
            Lovett grade, 0 to 5.
        """
        return min(1.0, (self.fat_percent + self.infiltration_percent * (BEST_GRADE - grade)) / 100)

    def infiltrate(self, parameters: pd.DataFrame, grade: int, *, rng: Generator) -> pd.DataFrame:
        """Give each muscle of a participant its share of fat.

        Parameters
        ----------
        parameters : DataFrame
            Columns `muscle` and `side` among others.
        grade : int
            Lovett grade, 0 to 5.
        rng : Generator
            Where the differences between muscles come from: a factor of 0.5 to 1.5 (assumed), since some muscles
            turn to fat earlier than others; both sides are alike.

        Returns
        -------
        DataFrame
            With the column `fat_fraction`, 0 to 1.
        """
        names = parameters["muscle"].unique()
        factors = dict(zip(names, rng.uniform(0.5, 1.5, len(names)), strict=True))
        share = self.fat_share(grade) * parameters["muscle"].map(factors)
        return parameters.assign(fat_fraction=share.clip(upper=1.0).astype(float))


def draw_poses(n: int, *, motion_mm: float, motion_deg: float, rng: Generator) -> Floats:
    """Draw where the body is in each volume, turned about the centre of the scanner.

    Parameters
    ----------
    n : int
        Volumes; the first stays.
    motion_mm, motion_deg : float
        SD along and about each axis.
    rng : Generator
        The participant's stream of random numbers.

    Returns
    -------
    ndarray of shape (n, 4, 4)
        Rigid transforms of world coordinates, mm.
    """
    poses = np.tile(np.eye(4), (n, 1, 1))
    poses[:, :3, 3] = rng.normal(0, 1, (n, 3)) * motion_mm
    poses[:, :3, :3] = Rotation.from_rotvec(rng.normal(0, 1, (n, 3)) * motion_deg, degrees=True).as_matrix()
    poses[0] = np.eye(4)
    return poses


def eddy_distortions(gradients: GradientTable, effects: ScanEffects) -> Floats:
    """Displace along phase encoding (front-back) in step with the gradient's three parts and b.

    A gradient's eddy currents add a field that is linear in space; in EPI a field shifts along phase encoding in
    proportion. A part along x shears, one along y scales, one along z shifts each slice by its height.

    Parameters
    ----------
    gradients : GradientTable
        b-values and directions; the largest b-value is the full gradient.
    effects : ScanEffects
        `eddy_percent` and `eddy_shift_mm`.

    Returns
    -------
    ndarray of shape (n, 4, 4)
        Transforms of world coordinates, mm; identity at b = 0.
    """
    strengths = gradients.directions * (gradients.bvals / max(gradients.bvals.max(), 1.0))[:, None]
    matrices = np.tile(np.eye(4), (len(gradients), 1, 1))
    matrices[:, 1, :3] += effects.eddy_percent / 100 * strengths
    matrices[:, 1, 3] += effects.eddy_shift_mm * strengths @ EDDY_SHIFT_PARTS
    return matrices


def fat_shift_mm(protocol: Protocol, ppm: float) -> float:
    """Find how far fat is displaced along phase encoding in EPI.

    Parameters
    ----------
    protocol : Protocol
        Field, bandwidth per pixel along phase encoding and voxel size.
    ppm : float
        Chemical shift.

    Returns
    -------
    float
        ppm × γ/2π × B0 over the bandwidth of a pixel, times the pixel, mm.
    """
    hertz = ppm * PROTON_HZ_PER_T_PPM * protocol.field_strength_t.value
    return hertz / protocol.phase_bandwidth_hz.value * protocol.voxel_mm.value[1]


def draw_dropout(gradients: GradientTable, n_slices: int, *, percent: float, rng: Generator) -> pd.DataFrame:
    """Choose the slices of weighted volumes that lose signal, as they do when the body moves during the gradients.

    Parameters
    ----------
    gradients : GradientTable
        Which volumes are weighted.
    n_slices : int
        Slices of a volume.
    percent : float
        Share of these slices, rounded to whole ones.
    rng : Generator
        The participant's stream of random numbers.

    Returns
    -------
    DataFrame
        `volume`, `slice` (both from 0) and `loss` (share of the signal, 0.4 to 1), in this order.
    """
    volumes, slices = np.meshgrid(np.flatnonzero(~gradients.is_b0), np.arange(n_slices), indexing="ij")
    chosen = np.sort(rng.permutation(volumes.size)[: round(percent / 100 * volumes.size)])
    losses = rng.uniform(*DROPOUT_LOSS, len(chosen))
    return pd.DataFrame({"volume": volumes.ravel()[chosen], "slice": slices.ravel()[chosen], "loss": losses})


def coil_sensitivities(protocol: Protocol, n_receivers: int, muscle: NDArray[np.bool_]) -> Complexes:
    """Place coils on an ellipse around both thighs.

    Each is as sensitive as a loop of radius a along its axis, a³ / (a² + d²)^(3/2) at a distance d (law of Biot and
    Savart), with a phase that changes slowly towards it.

    Parameters
    ----------
    protocol : Protocol
        Grid.
    n_receivers : int
        How many; a single one is even.
    muscle : ndarray of bool, shape (nx, ny, nz)
        Where the root sum of squares is one in the mean, so that muscle keeps its signal.

    Returns
    -------
    ndarray of complex64, shape (n_receivers, nx, ny, nz)
        Sensitivities.
    """
    if n_receivers == 1:
        return np.ones((1, *protocol.shape), dtype=np.complex64)
    points = np.indices(protocol.shape).reshape(3, -1).T @ protocol.affine[:3, :3].T + protocol.affine[:3, 3]
    angles = 2 * np.pi * (np.arange(n_receivers) + 0.5) / n_receivers
    half_x, half_y = np.array(protocol.voxel_mm.value[:2]) * protocol.shape[:2] / 2 + COIL_DISTANCE_MM
    coils = []
    for angle in angles:
        apart = points - [half_x * np.cos(angle), half_y * np.sin(angle), 0]
        towards = points @ [np.cos(angle), np.sin(angle), 0]
        size = COIL_RADIUS_MM**3 / (COIL_RADIUS_MM**2 + np.sum(apart**2, axis=1)) ** 1.5
        coils.append(size * np.exp(1j * (angle + towards / (2 * COIL_RADIUS_MM))))
    sensitivities = np.array(coils).reshape(n_receivers, *protocol.shape)
    together = np.sqrt(np.sum(np.abs(sensitivities) ** 2, axis=0))
    return (sensitivities / together[muscle].mean()).astype(np.complex64)


def receive(image: NDArray, sensitivities: Complexes, *, noise_sd: float, rng: Generator) -> Floats:
    """Turn what the object sends into the magnitude that the scanner stores.

    Each coil adds complex white noise; the root sum of squares of n coils follows a non-central χ distribution with
    2n degrees of freedom (Constantinides et al., Magn Reson Med 1997; 38: 852-857), which is Rician for one.

    Parameters
    ----------
    image : ndarray of shape (nx, ny, nz)
        Real or complex.
    sensitivities : ndarray of complex64, shape (n, nx, ny, nz)
        Of each coil.
    noise_sd : float
        SD of the real and of the imaginary part, in the unit of the image.
    rng : Generator
        The participant's stream of random numbers.

    Returns
    -------
    ndarray of float32, shape (nx, ny, nz)
        Magnitude.
    """
    squares = np.zeros(image.shape, dtype=np.float32)
    for sensitivity in sensitivities:
        seen = image if len(sensitivities) == 1 else image * sensitivity
        parts = np.array([seen.real, seen.imag], dtype=np.float32)
        if noise_sd:
            parts += np.float32(noise_sd) * rng.standard_normal(parts.shape, dtype=np.float32)
        parts *= parts
        squares += parts[0] + parts[1]
    return np.sqrt(squares)
