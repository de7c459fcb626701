import pytest

from dtimuscle.running import progress
from dtimuscle.running.progress import NotebookProgress, Ticker, Waiting
from dtimuscle.statistics.resampling import Progress


class Lines:
    """Stands in for IPython's display: every line in the order in which it appeared, and where."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, str, str]] = []
        self._n_handles = 0

    def handle(self) -> "Handle":
        self._n_handles += 1
        return Handle(self, self._n_handles)

    @property
    def texts(self) -> list[str]:
        return [text for *_, text in self.shown]


class Handle:
    def __init__(self, lines: Lines, number: int) -> None:
        self._lines, self._number = lines, number

    def display(self, line) -> None:
        self._lines.shown.append((self._number, "display", line.data))

    def update(self, line) -> None:
        self._lines.shown.append((self._number, "update", line.data))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lines(monkeypatch) -> Lines:
    lines = Lines()
    monkeypatch.setattr(progress, "DisplayHandle", lines.handle)
    return lines


@pytest.fixture
def clock() -> Clock:
    return Clock()


def tell(ticker: Progress, clock: Clock, *, total: int, step: float) -> None:
    """Do as a calculation does: `total` steps of so many seconds, each told."""
    for done in range(1, total + 1):
        clock.now += step
        ticker(done, total)


def test_a_quick_calculation_shows_nothing(lines, clock):
    tell(Ticker("Bootstrap", clock=clock), clock, total=199, step=0.01)
    assert lines.shown == []


def bar(full: int) -> str:
    return "▰" * full + "▱" * (20 - full)


def test_a_long_one_shows_a_bar_after_two_seconds_and_leaves_a_record(lines, clock):
    tell(Ticker("Bootstrap", clock=clock), clock, total=10, step=0.5)
    assert lines.shown == [
        (1, "display", f"Bootstrap: {bar(8)} 4 of 10, about 3 s left"),
        (1, "update", f"Bootstrap: {bar(10)} 5 of 10, about 2 s left"),
        (1, "update", f"Bootstrap: {bar(12)} 6 of 10, about 2 s left"),
        (1, "update", f"Bootstrap: {bar(14)} 7 of 10, about 2 s left"),
        (1, "update", f"Bootstrap: {bar(16)} 8 of 10, about 1 s left"),
        (1, "update", f"Bootstrap: {bar(18)} 9 of 10, about 0 s left"),
        (1, "update", "Bootstrap: 10 computed in 5 s"),
    ]


def test_time_counts_from_the_beginning_not_from_the_first_word(lines, clock):
    ticker = Ticker("Bootstrap", clock=clock)
    clock.now += 3
    ticker(1, 4)
    assert lines.texts == [f"Bootstrap: {bar(5)} 1 of 4, about 9 s left"]


def test_the_line_changes_at_most_five_times_a_second(lines, clock):
    seen: list[float] = []
    ticker = Ticker("Bootstrap", clock=clock)
    for done in range(1, 10_001):
        before = len(lines.shown)
        clock.now += 0.001
        ticker(done, 10_000)
        seen += [clock.now] * (len(lines.shown) - before)
    assert len(seen) > 25
    assert max(sum(1 for other in seen if time <= other < time + 1) for time in seen) <= 5
    assert lines.texts[-1] == "Bootstrap: 10000 computed in 10 s"


def test_a_calculation_that_has_done_nothing_yet_says_so_without_a_guess(lines, clock):
    ticker = Ticker("Bootstrap", clock=clock)
    clock.now += 2.5
    ticker(0, 20)
    assert lines.texts == [f"Bootstrap: {bar(0)} 0 of 20"]


def test_another_round_counts_from_its_first_call_on_a_line_of_its_own(lines, clock):
    ticker = Ticker("Cross-validation", clock=clock)
    tell(ticker, clock, total=3, step=1.0)
    tell(ticker, clock, total=100, step=0.01)  # as quick as nothing
    clock.now += 60  # other cells
    tell(ticker, clock, total=4, step=1.0)
    assert [(number, text) for number, _, text in lines.shown] == [
        (1, f"Cross-validation: {bar(13)} 2 of 3, about 1 s left"),
        (1, "Cross-validation: 3 computed in 3 s"),
        (2, f"Cross-validation: {bar(15)} 3 of 4, about 1 s left"),
        (2, "Cross-validation: 4 computed in 3 s"),
    ]


def test_an_empty_calculation_is_over_at_once(lines, clock):
    ticker = Ticker("Bootstrap", clock=clock)
    clock.now += 5
    ticker(0, 0)
    assert lines.shown == []


def test_participants_are_counted_on_one_line(lines, monkeypatch):
    times = iter([0.0, 30.0, 60.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    line = NotebookProgress()
    line.start("Participants", 2)
    line.advance("sub-001")
    line.advance("sub-002")
    line.finish()
    assert lines.texts == [
        "Participants: 0 of 2",
        "Participants: 1 of 2 (sub-001), about 30 s left",
        "Participants: 2 of 2 (sub-002), about 0 s left",
        "Participants: 2 of 2 computed",
    ]


def test_a_line_that_is_no_problem_stands_by_itself(monkeypatch):
    shown = []
    monkeypatch.setattr(progress, "display", shown.append)
    NotebookProgress().say("Compiling the kernels, once …")
    assert [line.data for line in shown] == ["Compiling the kernels, once …"]


def test_who_waits_is_told_after_two_seconds(lines, clock):
    waiting = Waiting("Validation", clock=clock)
    for _ in range(6):
        clock.now += 0.5
        waiting()
    assert lines.shown == [
        (1, "display", "Validation: waited for 2 s"),
        (1, "update", "Validation: waited for 2 s"),
        (1, "update", "Validation: waited for 3 s"),
    ]
