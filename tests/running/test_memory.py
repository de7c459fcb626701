from dataclasses import replace
from pathlib import Path

import pytest

from dtimuscle.running import memory
from dtimuscle.store.bids import Scan, read_dataset

GB = 10**9


class Told:
    def __init__(self):
        self.said = []

    def say(self, line):
        self.said.append(line)


@pytest.fixture
def scans(make_dataset) -> tuple[Scan, ...]:
    return read_dataset(make_dataset(("sub-01", "sub-02", "sub-03"))).scans


def write(system: Path, name: str, text: str) -> None:
    (system / name).parent.mkdir(parents=True, exist_ok=True)
    (system / name).write_text(text, encoding="ascii")


MEMINFO = "MemTotal:       16000000 kB\nMemFree:  1000000 kB\nMemAvailable:   8000000 kB\n"


def test_on_linux_counts_what_can_be_freed(tmp_path):
    write(tmp_path, "proc/meminfo", MEMINFO)
    assert memory.available_bytes(tmp_path) == 8_000_000 * 1024


def test_a_container_may_grant_less_and_its_file_caches_count_as_free(tmp_path):
    write(tmp_path, "proc/meminfo", MEMINFO)
    write(tmp_path, "proc/self/cgroup", "0::/user.slice/job\n")
    write(tmp_path, "sys/fs/cgroup/user.slice/memory.max", f"{3 * GB}\n")
    write(tmp_path, "sys/fs/cgroup/user.slice/memory.current", f"{2 * GB}\n")
    write(tmp_path, "sys/fs/cgroup/user.slice/memory.stat", f"anon 5\ninactive_file {GB // 2}\n")
    write(tmp_path, "sys/fs/cgroup/user.slice/job/memory.max", "max\n")
    write(tmp_path, "sys/fs/cgroup/user.slice/job/memory.current", f"{GB}\n")
    assert memory.available_bytes(tmp_path) == 3 * GB // 2


def test_older_control_groups_are_understood_and_a_path_of_the_host_is_the_containers_top(tmp_path):
    write(tmp_path, "proc/meminfo", MEMINFO)
    write(
        tmp_path, "proc/self/cgroup", "5:cpu,cpuacct:/docker/ab\n4:memory:/docker/ab\n9:name=systemd:/docker/ab\n0::/\n"
    )
    write(tmp_path, "sys/fs/cgroup/memory/memory.limit_in_bytes", f"{2 * GB}\n")
    write(tmp_path, "sys/fs/cgroup/memory/memory.usage_in_bytes", f"{3 * GB}\n")
    write(tmp_path, "sys/fs/cgroup/memory/memory.stat", f"inactive_file 7\ntotal_inactive_file {2 * GB}\n")
    assert memory.available_bytes(tmp_path) == GB


def test_elsewhere_the_machine_says_what_it_has_if_it_does(tmp_path, monkeypatch):
    sizes = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(memory.os, "sysconf_names", sizes, raising=False)
    monkeypatch.setattr(memory.os, "sysconf", sizes.get, raising=False)
    assert memory.available_bytes(tmp_path) == 4_096_000
    monkeypatch.delattr(memory.os, "sysconf")
    assert memory.available_bytes(tmp_path) is None


def test_a_larger_series_needs_more_and_a_damaged_one_counts_as_empty(scans, tmp_path):
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    bad = replace(scans[0], image=tmp_path / "bad.nii.gz")
    assert memory.needed_bytes([bad]) == memory.needed_bytes([]) == memory.PROCESS_BYTES
    assert memory.needed_bytes([bad, *scans]) == memory.PROCESS_BYTES + 4 * 3 * 2 * 7 * memory.BYTES_PER_VALUE


def test_a_realistic_scan_stays_within_what_a_worker_may_use(scans, monkeypatch):
    monkeypatch.setattr(memory, "count_values", lambda _: 128 * 128 * 20 * 31)
    assert memory.needed_bytes(scans) < 1.2 * GB


@pytest.mark.parametrize(
    ("free", "n"), [(None, 3), (100 * GB, 3), (2.5 * memory.PROCESS_BYTES, 2), (memory.PROCESS_BYTES // 2, 1)]
)
def test_no_more_participants_at_a_time_than_fit_into_memory(scans, monkeypatch, free, n):
    monkeypatch.setattr(memory, "available_bytes", lambda: free)
    told = Told()
    assert memory.workers_for(scans, asked=3, progress=told) == n
    assert len(told.said) == (n < 3)
    assert all(f"Working on {n} of 3 participants at a time" in line and "GB" in line for line in told.said)


def test_a_single_worker_needs_no_memory_to_be_looked_up(scans, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 0)
    told = Told()
    assert memory.workers_for(scans, asked=1, progress=told) == 1
    assert told.said == []
