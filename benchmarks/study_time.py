"""How long a whole study takes: the first run, runs after small changes, and large scans; seconds by phase and memory.

    python benchmarks/study_time.py

Writes `benchmarks/study_time.md`. Takes about half an hour on two cores that do nothing else and up to 10 GB below the
system's temporary folder; `data/` and `reports/` are left alone. `--parts study` or `--parts scans` does one half, and
`--quick` tries both with a few participants and prints the tables.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import yaml

from dtimuscle.store import places
from dtimuscle.store.places import CACHE_VARIABLE
from dtimuscle.threads import n_cores

REPORT = Path(__file__).with_suffix(".md")

PARTICIPANTS = (10, 100)
# Share of patients with poor function, as in the study.
POOR = 0.31

# What is asked of 100 participants on two cores, in seconds and bytes.
FIRST, CHANGED, UNCHANGED, EACH = 240.0, 30.0, 10.0, 6.0
WORKER_BYTES = 1.2e9

# A protocol of many large volumes; the rest is the kit's own.
LARGE = {"matrix": [128, 128, 20], "voxel_mm": [3.0, 3.0, 5.0], "n_b0": 1, "n_directions": 30}
LARGE_WORDS = "128 × 128 × 20 × 31"

# Runs one after another in one folder: what is new against the first.
RUNS = {
    "first run": (),
    "nothing changed": (),
    "a statistics setting changed": ("--set", "fixed_sensitivity=0.85"),
    "erosion changed": ("--set", "erosion_mm=3.0"),
}

SAMPLED_EVERY = 0.1

# Done once for an installation.
COMPILE = "from dtimuscle.imaging.kernels import compile_kernels; compile_kernels()"


@dataclass
class Watched:
    """A command that has run: its time, what it printed last, and the peak memory of its processes in bytes."""

    seconds: float = 0.0
    printed: str = ""
    peaks: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def watch(command: Sequence[str], *, cache: Path) -> Watched:
    """Run a command with its own folder for data, and look at the memory of all its processes."""
    watched, begun = Watched(), time.perf_counter()
    environment = {**os.environ, CACHE_VARIABLE: str(cache)}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        process = subprocess.Popen(command, env=environment, stdout=printed)
        over = threading.Event()
        sampler = threading.Thread(target=sample, args=(process.pid, watched.peaks, over))
        sampler.start()
        code = process.wait()
        watched.seconds = time.perf_counter() - begun
        over.set()
        sampler.join()
        printed.seek(0)
        watched.printed = printed.read()
    if code:
        print(watched.printed, file=sys.stderr)
        raise subprocess.CalledProcessError(code, list(command))
    return watched


def sample(root: int, peaks: dict[str, int], over: threading.Event) -> None:
    """Note the peak memory of a process and of those that it has started, until it is over."""
    while not over.wait(SAMPLED_EVERY):
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                # The name of a process stands in brackets and may hold spaces.
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
        for pid in parents:
            if role := role_of(pid, root, parents):
                peaks[role] = max(peaks[role], peak_bytes(pid))


def role_of(pid: int, root: int, parents: dict[int, int]) -> str:
    """Tell the process itself from workers and kernels of notebooks; empty for strangers and helpers."""
    if pid == root:
        return "parent"
    ancestor = parents.get(pid, 0)
    while ancestor not in (0, 1, root):
        ancestor = parents.get(ancestor, 0)
    if ancestor != root:
        return ""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    # A process that was just forked still shows the command and the memory of its parent.
    return "worker" if b"spawn_main" in command else "kernel" if b"ipykernel" in command else ""


def peak_bytes(pid: int) -> int:
    """Largest resident memory of a process so far."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def groups(n: int) -> tuple[int, int]:
    """Patients with poor and with good function."""
    n_poor = round(POOR * n)
    return n_poor, n - n_poor


# --- The whole study -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StudyRun:
    """One run of the whole study."""

    n: int
    name: str
    watched: Watched
    phases: dict[str, float]


def study_runs(n: int, folder: Path) -> list[StudyRun]:
    """Run the default study of n participants from nothing, and again after small changes."""
    n_poor, n_good = groups(n)
    out = folder / f"report-{n}"
    command = [sys.executable, "-c", "from dtimuscle.cli import main; main()", "run", "--out", str(out)]
    command += ["--set", f"n_poor={n_poor}", "--set", f"n_good={n_good}"]
    found = []
    for name, more in RUNS.items():
        tell(f"{n} participants, {name}")
        watched = watch([*command, *more], cache=folder / f"data-{n}")
        record = json.loads((out / "run.json").read_text(encoding="utf-8"))
        found.append(StudyRun(n, name, watched, record["seconds"]))
    shutil.rmtree(folder / f"data-{n}")
    return found


# --- Large scans -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scans:
    """Participants with large scans, processed: seconds and peak memory."""

    n: int
    seconds: float
    watched: Watched


def large_scans(numbers: Sequence[int], folder: Path) -> tuple[float, list[Scans]]:
    """Simulate as many participants as the largest number; process each number of them from nothing."""
    protocol = yaml.safe_load((places.protocols_folder() / "thigh_3t.yaml").read_text(encoding="utf-8"))
    for name, value in LARGE.items():
        protocol[name] = {**protocol[name], "value": value}
    path, cache = folder / "protocol.yaml", folder / "large"
    path.write_text(yaml.safe_dump(protocol), encoding="utf-8")
    command = [sys.executable, __file__, "--protocol", str(path), "--participants", str(max(numbers)), "--first"]
    tell(f"{max(numbers)} large scans, simulation")
    simulated = watch([*command, "0"], cache=cache)
    found = []
    for n in numbers:
        shutil.rmtree(cache / "derivatives", ignore_errors=True)
        tell(f"{n} large scans, processing")
        watched = watch([*command, str(n)], cache=cache)
        found.append(Scans(n, float(watched.printed.splitlines()[-1]), watched))
    shutil.rmtree(cache)
    return simulated.seconds, found


def process_first(n: int, n_all: int, protocol: Path) -> None:
    """Process the first n participants of a simulated cohort and print the seconds; the cohort is made if need be."""
    from dtimuscle.running.cohort import open_dataset
    from dtimuscle.running.participants import process
    from dtimuscle.settings import Study

    n_poor, n_good = groups(n_all)
    study = Study().with_values(protocol=str(protocol), n_poor=n_poor, n_good=n_good)
    dataset = open_dataset(study)
    if not n:
        return
    begun = time.perf_counter()
    processing = process(replace(dataset, scans=dataset.scans[:n]), study)
    seconds = time.perf_counter() - begun
    if processing.failures:
        raise SystemExit("\n".join(map(str, processing.failures)))
    print(seconds)


# --- The report ------------------------------------------------------------------------------------------------------


def tell(what: str) -> None:
    """Say what begins now."""
    print(f"{datetime.now(UTC):%H:%M:%S}  {what}", file=sys.stderr)


def megabytes(watched: Watched, role: str) -> str:
    """Peak memory of a kind of process."""
    return f"{watched.peaks[role] / 1e6:.0f}" if watched.peaks.get(role) else "–"


def study_table(runs: Sequence[StudyRun]) -> list[str]:
    """One row for each run: seconds by phase, and peak memory."""
    phases = list(dict.fromkeys(phase for run in runs for phase in run.phases))
    titles = ["participants", "run", "s in all", *phases, "parent, MB", "worker, MB", "notebook, MB"]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for run in runs:
        cells = [str(run.n), run.name, f"{run.watched.seconds:.1f}"]
        cells += [f"{run.phases[phase]:.1f}" if phase in run.phases else "–" for phase in phases]
        cells += [megabytes(run.watched, role) for role in ("parent", "worker", "kernel")]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def scans_table(found: Sequence[Scans]) -> list[str]:
    """One row for each number of participants."""
    lines = ["| participants | s in all | s each | parent, MB | worker, MB |", "|---" * 5 + "|"]
    for scans in found:
        cells = [str(scans.n), f"{scans.seconds:.1f}", f"{scans.seconds / scans.n:.2f}"]
        cells += [megabytes(scans.watched, role) for role in ("parent", "worker")]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def goal_table(runs: Sequence[StudyRun], found: Sequence[Scans]) -> list[str]:
    """Hold the largest study and the largest set of scans against what is asked of 100 participants."""
    rows = []
    if runs:
        most = max(run.n for run in runs)
        of = {run.name: run for run in runs if run.n == most}
        rows += [
            (f"{most} participants, first run without set-up, s", of["first run"].watched.seconds, FIRST, ".0f"),
            ("a statistics setting changed, s", of["a statistics setting changed"].watched.seconds, CHANGED, ".1f"),
            ("nothing changed, s", of["nothing changed"].watched.seconds, UNCHANGED, ".1f"),
        ]
    if found:
        last = found[-1]
        rows += [
            (f"{last.n} participants of {LARGE_WORDS}, s each", last.seconds / last.n, EACH, ".2f"),
            ("largest worker, GB", last.watched.peaks["worker"] / 1e9, WORKER_BYTES / 1e9, ".2f"),
        ]
    lines = ["| goal | limit | found | |", "|---|---|---|---|"]
    for words, value, limit, style in rows:
        verdict = "reached" if value <= limit else "**missed**"
        lines.append(f"| {words} | ≤ {limit:g} | {value:{style}} | {verdict} |")
    if len(found) > 1:
        grown = found[-1].watched.peaks["parent"] / found[0].watched.peaks["parent"]
        words = f"parent's memory with {found[-1].n} participants over that with {found[0].n}"
        lines.append(f"| {words} | flat | {grown:.2f} | {'reached' if grown < 1.1 else '**missed**'} |")
    return lines


def machine() -> str:
    """Name the machine in words."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model or platform.machine()}, {n_cores()} cores, {memory:.0f} GiB of memory, {platform.system()}"


def document(runs: Sequence[StudyRun], simulated: float, found: Sequence[Scans]) -> str:
    """Write the report."""
    lines = [
        "# Time of a whole study",
        "",
        "```",
        "python benchmarks/study_time.py",
        "```",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; {machine()}. Python {platform.python_version()}, numpy {version('numpy')}, "
        f"scipy {version('scipy')}, numba {version('numba')}. Kernels had been compiled; everything else began from an "
        "empty folder.",
        "",
        *goal_table(runs, found),
    ]
    if runs:
        lines += [
            "",
            "## The default study",
            "",
            "`dtimuscle run` with the settings of `study.yaml` but for the number of participants, one run after "
            "another in the same folders. Phases as in `run.json`; what they leave of the whole is the start of the "
            "program. Memory: peak of the program itself, of the largest worker and of the largest notebook kernel.",
            "",
            *study_table(runs),
        ]
    if found:
        lines += [
            "",
            f"## Participants with scans of {LARGE_WORDS}",
            "",
            "From files to the table of muscle values, one worker for each core; seconds are wall time of all over the "
            f"number of participants. Simulating {max(scans.n for scans in found)} took {simulated:.0f} s beforehand.",
            "",
            *scans_table(found),
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description="Time the whole study.")
    parser.add_argument("--parts", nargs="+", choices=("study", "scans"), default=["study", "scans"])
    parser.add_argument("--participants", type=int, nargs="+", default=list(PARTICIPANTS))
    parser.add_argument("--quick", action="store_true", help="few participants; print, write nothing without --out")
    parser.add_argument("--out", type=Path, help="folder of the report; this one by default")
    parser.add_argument("--protocol", type=Path, help="process the --first participants of this protocol")
    parser.add_argument("--first", type=int)
    given = parser.parse_args()
    if given.protocol:
        process_first(given.first, given.participants[0], given.protocol)
        return
    numbers = sorted(given.participants)
    subprocess.run([sys.executable, "-c", COMPILE], check=True)
    runs, simulated, found = [], 0.0, []
    with tempfile.TemporaryDirectory() as name:
        if "study" in given.parts:
            runs = [run for n in ([6] if given.quick else numbers) for run in study_runs(n, Path(name))]
        if "scans" in given.parts:
            simulated, found = large_scans([2, 4] if given.quick else numbers, Path(name))
    text = document(runs, simulated, found)
    if given.quick and not given.out:
        print(text)
        return
    ((given.out or REPORT.parent) / REPORT.name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
