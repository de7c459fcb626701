"""How far a value lies from the others, measured so that it cannot hide behind its own size."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

# A modified z above this is an outlier (Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers).
OUTLYING_Z = 3.5

# What the median and the mean absolute deviation of a normal distribution are, in SDs (1 over these below).
_SD_PER_MEDIAN_DEVIATION = 1.482602218505602
_SD_PER_MEAN_DEVIATION = 1.2533141373155001

# With fewer values the measure of spread is so uncertain that more than 2 % of sound ones would seem odd.
FEWEST_VALUES = 10


def robust_z(values: Floats) -> Floats:
    """Compute the modified z-score of each value: its distance from the median in robust SDs.

    The SD is estimated from the median absolute deviation, z = (x − median) / (1.4826 MAD), so that outliers do not
    widen the measure that they are held against. Where more than half of the values are equal, MAD is 0, and the mean
    absolute deviation takes its place, z = (x − median) / (1.2533 mean |x − median|) (Iglewicz & Hoaglin 1993).

    Parameters
    ----------
    values : ndarray of shape (n,)
        One value for each participant; NaN where none is known.

    Returns
    -------
    ndarray of shape (n,)
        0 where all values are equal; NaN where a value is not known, and everywhere with fewer than ten values.
    """
    is_known = np.isfinite(values)
    z = np.full(values.shape, np.nan)
    if np.count_nonzero(is_known) < FEWEST_VALUES:
        return z
    distance = values[is_known] - np.median(values[is_known])
    spread = _SD_PER_MEDIAN_DEVIATION * np.median(np.abs(distance))
    if spread == 0:
        spread = _SD_PER_MEAN_DEVIATION * np.mean(np.abs(distance))
    z[is_known] = distance / spread if spread > 0 else 0.0
    return z
