"""What strangers can have written into the log is little, whatever they send, and is counted."""

import pytest

from shared import telemetry
from shared.telemetry import DAY, MOST, STRANGERS, Bounded, LogEvent, emit
from tests.logged import said


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(telemetry, "_bounded", Bounded(STRANGERS, clock))
    return clock


@pytest.mark.parametrize("event", STRANGERS)
def test_each_is_written_once_in_its_time_and_none_is_uncounted(
    event: LogEvent, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand a second, for ten times as long as one line stands for."""
    caplog.set_level("INFO")
    period = STRANGERS[event]
    for number in range(1_000):
        clock.now = number * period / 100
        for route in ("github", "stripe"):  # one that is flooded hides nothing of another one
            emit(event, route=route)
    clock.now += period
    for route in ("github", "stripe"):
        emit(event, route=route)
    lines = [line for line in said(caplog) if line["route"] == "github"]
    assert len(lines) == len(said(caplog)) / 2 == 11
    assert lines[0] == {"event": event, "route": "github", "count": 1}
    assert sum(int(str(line["count"])) for line in lines) == 1_001
    assert STRANGERS[LogEvent.ROUTE_OFF] == DAY


def test_what_was_counted_is_written_with_the_next_event_of_any_kind(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Within a second it stays counted; a burst's end is not kept for the next burst."""
    caplog.set_level("INFO")
    for _ in range(50):
        emit(LogEvent.EVENT_UNVERIFIED, route="github")
    emit(LogEvent.MAIL_SENT, id="1")
    assert len(said(caplog)) == 2
    clock.now = 1.0
    emit(LogEvent.MAIL_SENT, id="2")
    assert said(caplog)[-1] == {"event": "event.unverified", "route": "github", "count": 49}
    clock.now = 2.0
    emit(LogEvent.MAIL_SENT, id="3")
    assert len(said(caplog)) == 5


def test_names_without_end_take_no_memory_and_are_counted_together(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    bounded = Bounded(STRANGERS, clock)
    lines = [bounded.take(LogEvent.CALLER_REFUSED, {"application": str(number)}) for number in range(10_000)]
    clock.now = 1.0
    late = bounded.late()
    assert len(bounded._counted) <= MOST + len(STRANGERS)
    assert sum(int(str(line[1]["count"])) for line in (*lines, *late) if line) == 10_000
    assert [fields.keys() for _, fields in late] == [{"count"}]
    clock.now = 2.0
    line = bounded.take(LogEvent.CALLER_REFUSED, {"application": "another"})
    assert line is not None
    assert "application" in line[1]  # what has been idle has made room


def test_what_has_been_accepted_is_told_one_by_one(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """It has an id, which no stranger can cause."""
    for number in (0, 1, 1):
        emit(LogEvent.EVENT_DEFERRED, id=str(number), why="x")
    assert [line.get("id") for line in said(caplog)] == ["0", "1", "1"]
