"""How many scans fit into memory at a time."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from dtimuscle.running.pool import Progress, n_workers
from dtimuscle.store.bids import Scan
from dtimuscle.store.images import count_values

# A process with its libraries and kernels, before it has read anything. Measured: 280 MB.
PROCESS_BYTES = 300_000_000
# Largest need of the steps for each value of a series. Measured: 10 to 12 times the series in single precision, while
# motion is corrected (128 × 128 × 20 × 31); some is added for what memory loses between its pieces.
BYTES_PER_VALUE = 60


def workers_for(scans: Sequence[Scan], *, asked: int, progress: Progress) -> int:
    """Return how many scans to work on at a time: as many as asked, but no more than fit into memory.

    Parameters
    ----------
    scans : sequence of Scan
        What to work on.
    asked : int
        Processes that were asked for; 0 for one for each core.
    progress : Progress
        Is told when there are fewer than asked.

    Returns
    -------
    int
        At least 1: a scan that does not fit may still get through on the system's swap space.
    """
    wanted, free = n_workers(asked, len(scans)), available_bytes()
    if wanted == 1 or free is None:
        return wanted
    need = needed_bytes(scans)
    n = max(1, min(wanted, int(free // need)))
    if n < wanted:
        progress.say(
            f"Working on {n} of {wanted} participants at a time: one needs up to {need / 1e9:.1f} GB, and "
            f"{free / 1e9:.1f} GB of memory are free."
        )
    return n


def needed_bytes(scans: Iterable[Scan]) -> int:
    """Estimate the memory of a process that works on the largest of some scans.

    Parameters
    ----------
    scans : iterable of Scan
        One whose file cannot be read counts as empty; its fault is told when it is worked on.

    Returns
    -------
    int
        Bytes.
    """
    return PROCESS_BYTES + BYTES_PER_VALUE * max((count_values(scan.image) for scan in scans), default=0)


def available_bytes(system: Path = Path("/")) -> int | None:
    """Find out how much memory may still be used.

    Parameters
    ----------
    system : Path, default=/
        Where `proc` and `sys` are.

    Returns
    -------
    int or None
        Bytes: on Linux what is free or can be freed, within the limits of a container or a scheduler; elsewhere what
        the machine has. None where the system does not tell.
    """
    free = [*_free_in_machine(system), *_free_in_groups(system)]
    if free:
        return max(0, min(free))
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _free_in_machine(system: Path) -> list[int]:
    for line in _lines(system / "proc/meminfo"):
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return [int(value.split()[0]) * 1024]
    return []


def _free_in_groups(system: Path) -> list[int]:
    """Return what each control group that this process is in leaves of its limit; a group counts its caches as used."""
    free = []
    for line in _lines(system / "proc/self/cgroup"):
        _, kinds, path = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        top = system / "sys/fs/cgroup" / ("memory" if kinds else "")
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if kinds else ("memory.max", "memory.current")
        own = top / path.strip("/")
        # Within a container the path is often one that only the host knows; the top is then the container's own.
        for group in (own, *own.parents):
            if group.is_relative_to(top):
                limit, used = (_number(group / name) for name in names)
                if limit is not None and used is not None:
                    free.append(limit - used + _caches(group))
    return free


def _caches(group: Path) -> int:
    counts = dict(line.split()[:2] for line in _lines(group / "memory.stat"))
    return int(counts.get("total_inactive_file", counts.get("inactive_file", 0)))


def _number(path: Path) -> int | None:
    words = " ".join(_lines(path)).split()
    return int(words[0]) if words and words[0].isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
