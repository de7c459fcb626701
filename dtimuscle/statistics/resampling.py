"""What resampling methods share: their random draws, and how they say how far they are."""

from collections.abc import Callable
from zlib import crc32

import numpy as np

# Called with how much is done and how much there is.
Progress = Callable[[int, int], None]


def generator_for(seed: int, name: str) -> np.random.Generator:
    """Return a stream of random numbers that depends on what it is for, not on the order of work.

    Parameters
    ----------
    seed : int
        The study's seed for statistics.
    name : str
        What the draws are for, such as `bootstrap fa+md`.

    Returns
    -------
    numpy.random.Generator
        The same for the same seed and name.
    """
    return np.random.default_rng([seed, crc32(name.encode())])
