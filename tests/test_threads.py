import threading

import pytest

from dtimuscle import threads


@pytest.fixture
def limits(monkeypatch):
    monkeypatch.setattr(threads, "_limits", {})
    monkeypatch.delenv(threads.VARIABLE, raising=False)


def test_work_comes_back_in_order_whatever_the_number_of_threads(limits):
    items = range(20)
    found = []
    for n in (1, 3, 64):
        threads.limit_threads(n)
        found.append(threads.share_out(lambda x: x * x, items))
    assert found == [[x * x for x in items]] * 3


def test_work_is_done_by_as_many_threads_as_allowed(limits):
    threads.limit_threads(2)
    together = threading.Barrier(2, timeout=20)

    def meet(_):
        together.wait()
        return threading.get_ident()

    assert len(set(threads.share_out(meet, range(2)))) == 2


def test_shared_work_starts_no_threads_of_its_own(limits):
    threads.limit_threads(4)
    assert threads.share_out(lambda _: threads.n_threads(), range(4)) == [1] * 4
    assert threads.n_threads() == 4


def test_an_error_within_shared_work_is_passed_on(limits):
    threads.limit_threads(2)
    with pytest.raises(ZeroDivisionError):
        threads.share_out(lambda x: 1 / x, [1, 0, 2])


@pytest.mark.parametrize(("value", "expected"), [("3", 3), ("0", threads.n_cores()), ("four", threads.n_cores())])
def test_the_environment_says_how_many_threads_there_may_be(limits, monkeypatch, value, expected):
    monkeypatch.setenv(threads.VARIABLE, value)
    assert threads.n_threads() == expected


def test_a_limit_goes_before_the_environment(limits, monkeypatch):
    monkeypatch.setenv(threads.VARIABLE, "8")
    threads.limit_threads(1)
    assert threads.n_threads() == 1
