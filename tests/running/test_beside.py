import os
import time
from pathlib import Path

import pandas as pd
import pytest

from dtimuscle.errors import StatisticsError
from dtimuscle.running import beside
from dtimuscle.running.beside import Beside, recall


def refuse(words: str) -> None:
    raise StatisticsError(words)


def die_elsewhere(home: int) -> int:
    if os.getpid() != home:
        os._exit(1)
    return home


@pytest.fixture(params=[1, 2])
def process(request, monkeypatch):
    monkeypatch.setattr(beside, "n_threads", lambda: request.param)
    made = Beside()
    yield made
    made.close()


def test_work_is_done_elsewhere_where_there_is_a_core_for_it(process):
    later = process.start(os.getpid)
    assert (later.result() != os.getpid()) is (beside.n_threads() > 1)


def test_results_and_errors_are_those_of_the_function(process):
    assert process.start(divmod, 7, 2).result() == (3, 1)
    assert process.start(int, "11", base=2).result() == 3
    with pytest.raises(StatisticsError, match="no groups"):
        process.start(refuse, "no groups").result()


def test_work_whose_process_died_is_done_here(process):
    home = os.getpid()
    first, second = process.start(die_elsewhere, home), process.start(die_elsewhere, home)
    assert (first.result(), second.result()) == (home, home)
    assert process.start(die_elsewhere, home).result() == home


def test_what_was_begun_is_finished_before_the_process_ends(process, tmp_path):
    later = process.start((tmp_path / "a.txt").write_text, "done", encoding="utf-8")
    process.close()
    assert later.result() == 4
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "done"


def test_who_waits_is_told_again_and_again(monkeypatch):
    monkeypatch.setattr(beside, "TELL_SECONDS", 0.01)
    monkeypatch.setattr(beside, "n_threads", lambda: 2)
    made, told = Beside(), []
    made.start(time.sleep, 0.3).result(lambda: told.append(1))
    made.close()
    assert len(told) > 2


def test_who_waits_does_what_the_other_process_has_not_come_to(monkeypatch):
    monkeypatch.setattr(beside, "n_threads", lambda: 2)
    made = Beside()
    first = made.start(time.sleep, 2)
    second, third, fourth = (made.start(os.getpid) for _ in range(3))
    assert fourth.result() == os.getpid()
    assert not first.is_done
    assert not third.is_done
    first.result()
    assert second.is_done
    assert third.is_done
    assert {second.result(), third.result()} <= {os.getpid(), made.start(os.getpid).result()}
    made.close()


def test_work_that_is_taken_over_fails_where_its_result_is_asked_for(monkeypatch):
    monkeypatch.setattr(beside, "n_threads", lambda: 2)
    made = Beside()
    first = made.start(time.sleep, 1)
    failing = made.start(refuse, "no")
    first.result()
    with pytest.raises(StatisticsError, match="no"):
        failing.result()
    made.close()


def count(path: Path, table: pd.DataFrame, *, times: int = 1) -> float:
    """Leave a trace of each call."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write("called\n")
    return float(table["x"].sum()) * times


def test_what_was_called_with_the_same_values_before_is_found_again(process, tmp_path):
    trace, kept = tmp_path / "trace.txt", tmp_path / "kept"
    table = pd.DataFrame({"x": [1.0, 2.0]})

    def ask(folder: Path = kept, **named: int) -> float:
        return process.start(recall, folder, count, trace, table.copy(), **named).result()

    def n_calls() -> int:
        return len(trace.read_text(encoding="utf-8").splitlines())

    assert (ask(), ask(), n_calls()) == (3.0, 3.0, 1)
    assert (ask(times=2), n_calls()) == (6.0, 2)
    table.loc[1, "x"] = 3.0
    assert (ask(), n_calls()) == (4.0, 3)
    # Another version of the kit has a folder of its own.
    assert (ask(tmp_path / "newer"), n_calls()) == (4.0, 4)
