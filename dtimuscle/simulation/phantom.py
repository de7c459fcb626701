"""Phantoms for tests and benchmarks: the thighs of a patient without a scenario, scanned as one asks."""

import numpy as np
import pandas as pd

from dtimuscle.dwi import Floats
from dtimuscle.muscles import MuscleRegistry, Side
from dtimuscle.simulation.anatomy import MUSCLES, build_thighs
from dtimuscle.simulation.cohort import participant_rng
from dtimuscle.simulation.effects import ScanEffects
from dtimuscle.simulation.protocol import Protocol
from dtimuscle.simulation.signal import SimulatedScan, simulate_scan

# What healthy thigh muscles have at 3 T; FA without unit, MD in mm²/s. Assumed, as in the scenarios that the kit ships.
TYPICAL_FA, TYPICAL_MD = (0.20, 0.30), (1.4e-3, 1.7e-3)


def scan_phantom(
    protocol: Protocol,
    registry: MuscleRegistry,
    effects: ScanEffects,
    *,
    seed: int = 1,
    poses: Floats | None = None,
    fat_fraction: float = 0.0,
) -> SimulatedScan:
    """Scan thighs whose muscles have typical values.

    Parameters
    ----------
    protocol : Protocol
        How they are scanned; `Protocol.changed` gives it another matrix, other directions or shells.
    registry : MuscleRegistry
        Codes of the muscles.
    effects : ScanEffects
        What the scan suffers.
    seed : int, default=1
        Where every draw comes from: build, values, motion, dropout and noise.
    poses : ndarray of shape (n, 4, 4), optional
        Where the body is in each volume; drawn by default.
    fat_fraction : float, default=0.0
        Share of fat in every muscle, 0 to 1.

    Returns
    -------
    SimulatedScan
        The series and its truth.
    """
    rng = participant_rng(seed, "phantom")
    rows = [(name, str(side)) for name in MUSCLES for side in (Side.LEFT, Side.RIGHT)]
    parameters = pd.DataFrame(rows, columns=["muscle", "side"]).assign(
        fa=rng.uniform(*TYPICAL_FA, len(rows)),
        md=rng.uniform(*TYPICAL_MD, len(rows)),
        fat_fraction=float(np.clip(fat_fraction, 0, 1)),
    )
    thighs = build_thighs(protocol.height_mm, registry, rng=rng)
    return simulate_scan(thighs, parameters, protocol, effects, rng=rng, poses=poses)
