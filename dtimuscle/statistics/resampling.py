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


def part_of(progress: Progress | None, *, part: int, n_parts: int) -> Progress | None:
    """Return how one of several equal parts says how far the whole is.

    Parameters
    ----------
    progress : callable or None
        What is told; None if nobody wants to know.
    part : int
        Which part, from 0.
    n_parts : int
        How many there are.

    Returns
    -------
    callable or None
        To be called with how much of the part is done and how much there is.
    """
    if progress is None:
        return None
    return lambda done, total: progress(part * total + done, n_parts * total)
