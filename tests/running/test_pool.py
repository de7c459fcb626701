import importlib
import os

import pytest

from dtimuscle.running import pool

# Processes are spawned, so that what they run must be importable by name.
WORK = """
import os
import time

import numpy as np
from threadpoolctl import threadpool_info


def work(item):
    if item == "dies":
        os._exit(1)
    if item == "late":
        time.sleep(0.2)
    return item, os.getpid()


def threads(item):
    if item == "none":
        return []
    np.linalg.inv(np.eye(3))
    return [library["num_threads"] for library in threadpool_info()]


def shared(item):
    from dtimuscle.threads import n_threads

    return n_threads()
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "work_of_the_pool.py").write_text(WORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    return importlib.import_module("work_of_the_pool")


def lost(item):
    return item, "lost"


def test_as_many_processes_as_asked_but_never_more_than_items():
    assert pool.n_workers(2, 100) == 2
    assert pool.n_workers(8, 3) == 3
    assert pool.n_workers(5, 0) == 1


def test_zero_asks_for_as_many_processes_as_this_one_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 5}, raising=False)
    assert pool.n_workers(0, 100) == 3


def test_one_worker_works_in_this_process_and_tells_each_result():
    told = []
    results = pool.map_in_order(
        lambda item: (item, os.getpid()), ["b", "a"], workers=1, on_done=told.append, on_lost=lost
    )
    assert results == [("b", os.getpid()), ("a", os.getpid())]
    assert told == results


def test_without_items_there_are_no_results():
    assert pool.map_in_order(lost, [], workers=2, on_done=print, on_lost=lost) == []


def test_results_keep_the_order_of_the_items_and_are_told_as_they_come(work):
    told = []
    results = pool.map_in_order(work.work, ["late", "b", "c"], workers=2, on_done=told.append, on_lost=lost)
    assert [item for item, _ in results] == ["late", "b", "c"]
    assert sorted(told) == sorted(results)
    assert os.getpid() not in {process for _, process in results}


def test_a_process_that_dies_loses_its_own_item_only(work):
    told = []
    results = pool.map_in_order(work.work, ["a", "dies", "late"], workers=2, on_done=told.append, on_lost=lost)
    assert [item for item, _ in results] == ["a", "dies", "late"]
    assert [item for item, process in results if process == "lost"] == ["dies"]
    assert sorted(item for item, _ in told) == ["a", "dies", "late"]


def test_each_process_uses_one_thread_and_an_empty_result_is_a_result(work, monkeypatch):
    for variable in pool.THREAD_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    first, second = pool.map_in_order(work.threads, ["some", "none"], workers=2, on_done=len, on_lost=lost)
    assert set(first) == {1}
    assert second == []


def test_processes_share_the_threads_among_themselves(work, monkeypatch):
    monkeypatch.setattr(pool, "n_threads", lambda: 7)
    assert pool.map_in_order(work.shared, ["a", "b"], workers=2, on_done=print, on_lost=lost) == [3, 3]


def test_there_are_never_more_threads_than_this_process_may_use(work, monkeypatch):
    monkeypatch.setattr(pool, "n_threads", lambda: 1)
    assert pool.map_in_order(work.shared, ["a", "b"], workers=2, on_done=print, on_lost=lost) == [1, 1]


def test_a_single_worker_has_all_threads():
    expected = pool.n_threads()
    assert pool.map_in_order(lambda _: pool.n_threads(), ["a"], workers=2, on_done=print, on_lost=lost) == [expected]
