"""Bounds that water sets to a tensor, and the tensor that has a given FA and MD."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

# Self-diffusion of water at 37 °C, mm²/s: Holz, Heil & Sacco, Phys Chem Chem Phys 2000; 2: 4740-4742, whose fit gives
# 3.04e-3 there.
FREE_WATER = 3.0e-3


def eigenvalues(fa: Floats | float, md: Floats | float) -> tuple[Floats, Floats]:
    """Find the eigenvalues of the axially symmetric tensor with a given FA and MD.

    With λ1 = MD (1 + 2k) and λ2 = λ3 = MD (1 − k), FA² = 3k² / (1 + 2k²), so k = FA / √(3 − 2 FA²).

    Parameters
    ----------
    fa : float or ndarray
        Fractional anisotropy.
    md : float or ndarray
        Mean diffusivity, mm²/s.

    Returns
    -------
    along, across : ndarray
        λ1, and λ2 = λ3, in mm²/s.
    """
    k = np.asarray(fa) / np.sqrt(3 - 2 * np.square(fa))
    return md * (1 + 2 * k), md * (1 - k)


def highest_fa(md: Floats | float) -> Floats:
    """Find the highest FA that a tensor with this MD can have.

    Parameters
    ----------
    md : float or ndarray
        Mean diffusivity, mm²/s, below that of free water.

    Returns
    -------
    ndarray
        The FA at which λ1 reaches free water, or λ2 = λ3 reach zero, whichever comes first.
    """
    k = np.minimum(1.0, (FREE_WATER / np.asarray(md) - 1) / 2)
    return np.sqrt(3) * k / np.sqrt(1 + 2 * k**2)
