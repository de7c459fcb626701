"""A second reader, who draws the same muscles a little elsewhere."""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from dtimuscle.dwi import voxel_sizes
from dtimuscle.muscles import MuscleLabels

# Distance over which a hand stays on the same side of an outline (SD of a Gaussian), mm within the slice. Slices are
# drawn one by one.
REACH_MM = 8.0


def redraw(labels: MuscleLabels, *, spread_mm: float, rng: np.random.Generator) -> MuscleLabels:
    """Draw labels once more, with outlines that wander about the first ones.

    Each slice is warped by a smooth random field, so that muscles keep their neighbours and every point of an outline
    moves by a normal distance of the given SD in each direction of the slice.

    Parameters
    ----------
    labels : MuscleLabels
        The first reader's.
    spread_mm : float
        SD of the displacement in each direction of the slice, mm.
    rng : numpy.random.Generator
        Where the draws come from.

    Returns
    -------
    MuscleLabels
        On the same grid, with the same meaning.
    """
    values = labels.values
    sizes = voxel_sizes(labels.affine)[:2]
    reach = (*(REACH_MM / sizes), 0.0)
    moved = np.indices(values.shape).astype(float)
    for axis, size in enumerate(sizes):
        field = ndimage.gaussian_filter(rng.normal(size=values.shape), reach, mode="wrap")
        moved[axis] += spread_mm / size * field / field.std()
    drawn = ndimage.map_coordinates(values, moved, order=0, mode="constant", cval=0)
    return replace(labels, values=drawn.astype(values.dtype))
