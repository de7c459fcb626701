"""How often the audit speaks against studies without any error, and what it finds when one thing is wrong.

    python benchmarks/audit.py [--studies 2000] [--wrong 500] [--workers 2] [--keep FOLDER]

Studies are computed from drawn patients and printed as papers print (tests/replication/consistent.py), without the
kit's own statistics. Writes the shares to benchmarks/audit.md; with --keep, studies that raised a conflict are
written to FOLDER as YAML, to be looked at.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import yaml
from scipy import stats
from threadpoolctl import threadpool_limits

from dtimuscle.replication.audit import CHECKS, audit
from dtimuscle.replication.published import PublishedStudy
from dtimuscle.replication.reference_values import ReferenceValues
from dtimuscle.running.studies import read_reference_values

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "replication"))

from consistent import MISTAKES, consistent_study, with_mistake  # noqa: E402  (a neighbour of the tests, not a package)

WORLDS = {
    "normal values": {},
    "mildly skewed values": {"skewed": True},
    "P from ranks, unsaid": {"unsaid_ranks": True},
}


@dataclass(frozen=True)
class Audited:
    """What the audit said of one study.

    Parameters
    ----------
    seed : int
        The study.
    examined : frozenset of str
        Checks that had something to look at.
    conflicts : frozenset of str
        Checks that spoke against it.
    seconds : float
        Processor time that it took.
    """

    seed: int
    examined: frozenset[str]
    conflicts: frozenset[str]
    seconds: float


@cache
def reference_values() -> ReferenceValues:
    """Read them once in each process."""
    return read_reference_values()


def audited(mapping: dict[str, Any], seed: int) -> Audited:
    """Audit a study."""
    study = PublishedStudy.from_mapping(mapping, source=f"study {seed}")
    reference = reference_values()
    start = process_time()
    result = audit(study, reference)
    seconds = process_time() - start
    examined = frozenset(check.name for check, found in result.results if found.examined)
    return Audited(seed, examined, frozenset(finding.check for finding in result.conflicts), seconds)


def without_error(seed: int, *, world: str) -> Audited:
    """Audit a study without any error."""
    return audited(consistent_study(seed, **WORLDS[world]), seed)


def with_mistakes(seed: int) -> dict[str, frozenset[str]]:
    """Audit a study after each mistake that can be made in it; return the checks that found it."""
    study = consistent_study(seed)
    before = audited(study, seed).conflicts
    wrong = {mistake: with_mistake(study, mistake) for mistake in MISTAKES}
    return {
        mistake: audited(mapping, seed).conflicts - before for mistake, mapping in wrong.items() if mapping is not None
    }


def share(found: int, n: int) -> str:
    """Print a share with the interval of Clopper and Pearson."""
    if n == 0:
        return "not put"
    interval = stats.binomtest(found, n).proportion_ci(method="exact")
    return f"{found} of {n}: {found / n:.2%} ({interval.low:.2%} to {interval.high:.2%})"


def keeps_its_word(found: int, n: int, rate: float) -> bool:
    """Say whether so many alarms may still come from the stated rate (one-sided, 2.5 %)."""
    return n == 0 or stats.binomtest(found, n).proportion_ci(method="exact").low <= rate


def rows_of_alarms(results: dict[str, list[Audited]]) -> Iterable[str]:
    """Print a row for each check, and one for all of them."""
    for check in CHECKS:
        cells = []
        for studies in results.values():
            put = [study for study in studies if check.name in study.examined]
            found = sum(check.name in study.conflicts for study in put)
            mark = "" if keeps_its_word(found, len(put), check.false_alarm_rate) else " ✗"
            cells.append(share(found, len(put)) + mark)
        yield f"| {check.name} | {check.false_alarm_rate:.1%} | {' | '.join(cells)} |"
    total = sum(check.false_alarm_rate for check in CHECKS)
    cells = [share(sum(bool(study.conflicts) for study in studies), len(studies)) for studies in results.values()]
    yield f"| **any check** | at most {total:.1%} | {' | '.join(cells)} |"


def rows_of_mistakes(found: list[dict[str, frozenset[str]]]) -> Iterable[str]:
    """Print a row for each mistake."""
    for mistake in MISTAKES:
        made = [checks[mistake] for checks in found if mistake in checks]
        by = Counter(name for checks in made for name in checks)
        names = ", ".join(f"{name} {count / len(made):.0%}" for name, count in by.most_common()) or "no check"
        yield f"| {mistake} | {share(sum(map(bool, made)), len(made))} | {names} |"


TEXT = """\
# Does the audit raise false alarms, and what does it find?

`{command}`

{n} studies in each column (seeds from 0). Each is computed from patients that were drawn: 15 to 200 in each of
two groups, FA and MD of one to six muscles, correlated, with differences of 0 to 1.5 SD; then printed as papers print,
in any of the units, to two or three digits, with or without P, odds ratios, correlations and AUCs. None of the kit's
own statistics is used for that.

## Studies without any error

Share of the studies in which a check speaks against the printed numbers (impossible, inconsistent or unlikely), of
those that print what the check needs, with the 95% interval of Clopper and Pearson. ✗ marks a share that is above the
stated rate by more than chance.

| check | stated | {worlds} |
{rule}
{alarms}

*Mildly skewed*: log-normal within the groups, skewness about 0.95. *P from ranks, unsaid*: P come from the
Mann–Whitney test while the study prints means and SDs and names no test, so that P and means need not agree. It is no
error, but a reader cannot know it; the column shows what happens then.

## Studies in which one thing is wrong

The first {n_wrong} of them (normal values), each with one mistake where it prints what can be wrong in this way.
Found: a check speaks against the study that did not before.

| mistake | found | by |
|---|---|---|
{mistakes}

One audit takes {median:.0f} ms of processor time (median; 95% of them at most {longest:.0f} ms).
"""


def report(results: dict[str, list[Audited]], found: list[dict[str, frozenset[str]]], command: str) -> str:
    """Put the tables together."""
    seconds = np.array([study.seconds for studies in results.values() for study in studies]) * 1e3
    return TEXT.format(
        command=command,
        n=len(next(iter(results.values()))),
        n_wrong=len(found),
        worlds=" | ".join(results),
        rule="|---|---|" + "---|" * len(results),
        alarms="\n".join(rows_of_alarms(results)),
        mistakes="\n".join(rows_of_mistakes(found)),
        median=np.median(seconds),
        longest=np.quantile(seconds, 0.95),
    )


def keep(results: dict[str, list[Audited]], folder: Path) -> None:
    """Write down the studies that raised a conflict."""
    folder.mkdir(parents=True, exist_ok=True)
    for world, studies in results.items():
        for study in studies:
            if study.conflicts:
                words = [*world.replace(",", "").split(), str(study.seed), *sorted(study.conflicts)]
                mapping = consistent_study(study.seed, **WORLDS[world])
                (folder / f"{'_'.join(words)}.yaml").write_text(
                    yaml.safe_dump(mapping, allow_unicode=True, sort_keys=False), encoding="utf-8"
                )


def main() -> None:
    """Draw the studies, audit them, and write the shares beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--wrong", type=int, default=500)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path)
    settings = parser.parse_args()
    seeds = range(settings.studies)
    with threadpool_limits(1), ProcessPoolExecutor(settings.workers) as pool:
        results = {world: list(pool.map(partial(without_error, world=world), seeds, chunksize=20)) for world in WORLDS}
        found = list(pool.map(with_mistakes, range(settings.wrong), chunksize=5))
    if settings.keep:
        keep(results, settings.keep)
    text = report(results, found, f"python benchmarks/audit.py --studies {settings.studies} --wrong {settings.wrong}")
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
