"""How far two readers' labels of one scan agree."""

import numpy as np
import pandas as pd

from dtimuscle.dwi import require_one_grid
from dtimuscle.imaging.propagation import dice
from dtimuscle.imaging.roi import volume_ml
from dtimuscle.muscles import MuscleLabels, Side

COLUMNS = ("muscle", "side", "dice", "volume_first_ml", "volume_second_ml")


def compare_labels(first: MuscleLabels, second: MuscleLabels) -> pd.DataFrame:
    """Hold two readers' labels of one scan against each other.

    Parameters
    ----------
    first, second : MuscleLabels
        On one grid.

    Returns
    -------
    DataFrame
        One row per muscle and side that at least one of them has drawn, both sides together among them: `muscle`,
        `side`, `dice` (twice the shared volume over the sum of both, Dice 1945) and `volume_first_ml`,
        `volume_second_ml`. What one reader has not drawn has a volume of 0 there, and no Dice.

    Raises
    ------
    GridMismatchError
        If shape or affine differ.
    """
    require_one_grid(
        np.shape(first.values), first.affine, np.shape(second.values), second.affine, names="the two readers' labels"
    )
    drawn = dict.fromkeys((*first.regions, *second.regions))
    pairs = dict.fromkeys((*drawn, *((muscle, Side.BOTH) for muscle, _ in drawn)))
    rows = []
    for muscle, side in pairs:
        masks = [labels.where(muscle, side) for labels in (first, second)]
        is_drawn_twice = all(mask.any() for mask in masks)
        overlap = dice(*masks) if is_drawn_twice else float("nan")
        volumes = (volume_ml(mask, first.affine) for mask in masks)
        rows.append((muscle, str(side), overlap, *volumes))
    return pd.DataFrame(rows, columns=list(COLUMNS))
