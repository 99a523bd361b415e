"""Timers, run and worked out."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from sandbox.host.timers import parse_schedule
from tests.sandbox.host.running import APPS, Host, eventually, running

# One host for all tests here, also when they are spread over processes.
pytestmark = pytest.mark.xdist_group("host-timers")


type Traces = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("timers") / "trace"


@pytest.fixture(scope="module")
def timers(file: Path) -> Iterator[Host]:
    with running(APPS / "timers", settings={"FILE": str(file), "YEARLY": "0 30 4 1 Jan *"}) as host:
        yield host


@pytest.fixture
def traces(file: Path) -> Traces:
    """What functions have left whose line begins with a word, without the word."""

    def read(word: str) -> list[str]:
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.removeprefix(word).strip() for line in lines if line.startswith(word)]

    return read


def test_the_ready_line_names_the_schedules(timers: Host) -> None:
    functions = {each["name"]: each for each in timers.ready["functions"]}
    assert functions["yearly"] == {"name": "yearly", "type": "timerTrigger", "schedule": "0 30 4 1 Jan *"}


def test_a_timer_runs_when_its_schedule_says_so(timers: Host, traces: Traces) -> None:
    runs = eventually(lambda: seen if len(seen := traces("second")) > 1 else [])
    # Azure keeps no status of a timer that runs more often than once a minute.
    assert json.loads(runs[0]) == {"past_due": False, "schedule_status": {}, "schedule": {"AdjustForDST": True}}
    assert timers.process.poll() is None


@pytest.mark.usefixtures("timers")
def test_a_timer_does_not_overlap_itself(traces: Traces) -> None:
    runs = eventually(lambda: seen if len(seen := traces("overlong")) > 3 else [])
    assert runs[:4] == ["begins", "ends", "begins", "ends"]


def test_a_timer_runs_at_start_when_asked_and_by_hand(timers: Host, traces: Traces) -> None:
    """With the time of the last run and of the next."""
    url = f"{timers.url}/admin/functions/yearly"
    eventually(lambda: len(traces("yearly")) == 1)
    assert httpx.post(url, json={"input": ""}, headers=timers.master).status_code == HTTPStatus.ACCEPTED
    eventually(lambda: len(traces("yearly")) == 2)
    first, second = (json.loads(run)["schedule_status"] for run in traces("yearly"))
    assert first["Last"] == "0001-01-01T00:00:00+00:00"
    assert abs(datetime.fromisoformat(second["Last"]) - datetime.now(UTC)) < timedelta(minutes=1)
    following = datetime(datetime.now(UTC).year + 1, 1, 1, 4, 30, tzinfo=UTC)
    assert datetime.fromisoformat(second["Next"]) in {following, following.replace(year=following.year - 1)}


def test_an_empty_route_prefix_leaves_the_whole_path_to_routes(timers: Host) -> None:
    assert httpx.get(f"{timers.url}/").text == "nothing"
    assert httpx.get(f"{timers.url}/a/b").text == "a/b"
    assert httpx.get(f"{timers.url}/admin/host/status").status_code == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize(
    ("schedule", "after", "due"),
    [
        ("0 */5 * * * *", "2026-03-01T10:02:30", "2026-03-01T10:05:00"),
        ("*/5 * * * *", "2026-03-01T10:02:30", "2026-03-01T10:05:00"),
        ("30 0 2 * * mon-fri", "2026-03-06T02:00:30", "2026-03-09T02:00:30"),
        ("0 0 0 1,15 feb,MAR *", "2026-03-02T00:00:00", "2026-03-15T00:00:00"),
        # Day of month and day of week must both fit: the first Friday the 13th after that date.
        ("0 0 0 13 * 5", "2026-03-14T00:00:00", "2026-11-13T00:00:00"),
        ("00:20:00", "2026-03-01T10:02:30", "2026-03-01T10:22:30"),
        ("1.00:00:00", "2026-03-01T10:02:30", "2026-03-02T10:02:30"),
        # As .NET reads it: a first number over 23 means days.
        ("24:00:00", "2026-03-01T10:02:30", "2026-03-25T10:02:30"),
    ],
)
def test_a_schedule_gives_the_next_time_in_utc(schedule: str, after: str, due: str) -> None:
    start = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert parse_schedule(schedule).next(start) == datetime.fromisoformat(due).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "schedule",
    [
        *("", "* * * *", "* * * * * * *", "60 * * * * *", "* * 24 * * *", "* * * 0 * *", "* * * * 13 *"),
        *("* * * * * 7", "* * * L * *", "* * * * * 5#1", "* * * ? * *", "@hourly", "*/0 * * * * *", "a * * * * *"),
        *("0 0 0 30 2 *", "00:00:00", "00:60:00", "1:2:3:4:5", "mon * * * * *", "H * * * * *", "-1 * * * * *"),
        *("1-2-3 * * * * *", ", * * * * *"),
    ],
)
def test_a_schedule_ncrontab_would_not_take_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match=r"schedule|expected a time"):
        parse_schedule(schedule)
