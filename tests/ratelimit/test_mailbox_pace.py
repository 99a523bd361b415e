"""Rates and limits for a stretch of time, as arithmetic."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ratelimit.mailbox_pace import BYTES, Rate, Window, text_of
from tests.ratelimit.virtual import START, at

RATES = st.sampled_from([1.0, 6.0, 7.0, 12.0, 30.0, 31.0, 100.0, 1000.0, 100_000.0]).map(Rate.even)
HOUR = 3600
DAY = Window(1000, seconds=HOUR, pieces=24)
STARTS = st.integers(0, 600_000_000).map(lambda microseconds: START + timedelta(microseconds=microseconds))


def _booked(rate: Rate, tat: datetime, start: datetime, count: int) -> tuple[list[datetime], datetime]:
    """So many times, one by one."""
    times = []
    for _ in range(count):
        time, tat = rate.book(tat, start)
        times.append(time)
    return times, tat


@pytest.mark.parametrize(
    ("per_minute", "interval", "burst"),
    [(1, 60, 1), (6, 10, 1), (12, 5, 2), (18, 60 / 18, 3), (30, 2, 4), (60, 1, 4), (6000, 0.01, 4)],
)
def test_the_burst_is_four_and_no_more_than_ten_seconds_worth(per_minute: float, interval: float, burst: int) -> None:
    rate = Rate.even(per_minute)
    assert rate.interval.total_seconds() == pytest.approx(interval, abs=1e-6)
    assert rate.burst == burst


@pytest.mark.parametrize("per_minute", [1, 7, 31, 1000, 99_999])
def test_a_minute_never_has_more_intervals_than_the_rate_has_mails(per_minute: int) -> None:
    assert Rate.even(per_minute).interval * per_minute >= timedelta(minutes=1)


def test_after_a_rest_a_small_burst_goes_at_once_and_then_one_each_interval() -> None:
    times, tat = _booked(Rate.even(30), at(-1000), at(0), 7)
    assert times == [at(second) for second in (0, 0, 0, 0, 2, 4, 6)]
    assert tat == at(14)


@given(rate=RATES, tat=STARTS, start=STARTS, first=st.integers(1, 20), second=st.integers(1, 20))
def test_two_blocks_one_after_the_other_are_one_large_block(
    rate: Rate, tat: datetime, start: datetime, first: int, second: int
) -> None:
    time, after = rate.book(tat, start, first)
    _, end = rate.book(after, start, second)
    assert (time, end) == rate.book(tat, start, first + second)
    assert _booked(rate, tat, start, first + second)[1] == end


@given(rate=RATES, blocks=st.lists(st.tuples(STARTS, st.integers(1, 40)), min_size=1, max_size=20))
def test_no_stretch_of_time_has_more_than_the_burst_above_the_rate_whatever_the_clocks_say(
    rate: Rate, blocks: list[tuple[datetime, int]]
) -> None:
    tat, times = START, []
    for start, count in blocks:
        taken, tat = _booked(rate, tat, start, count)
        assert all(time >= start for time in taken)
        assert all(one <= other for one, other in pairwise(taken))
        times += taken
    times.sort()
    for number in range(rate.burst, len(times)):
        assert times[number] - times[number - rate.burst] >= rate.interval


def test_room_comes_back_piece_by_piece_when_the_stretch_after_each_has_passed() -> None:
    counts = Counter({DAY.piece(at(0)): 600, DAY.piece(at(3 * HOUR)): 400})
    assert DAY.full_until(counts, at(3 * HOUR), 500) == at(25 * HOUR)
    assert DAY.full_until(counts, at(3 * HOUR), 700) == at(28 * HOUR)
    assert DAY.full_until(counts, at(25 * HOUR), 600) is None


def test_a_piece_counts_until_the_whole_stretch_after_its_end_has_passed() -> None:
    counts = Counter({DAY.piece(at(0)): 1000})
    assert DAY.full_until(counts, at(25 * HOUR - 1), 1) == at(25 * HOUR)
    assert DAY.full_until(counts, at(25 * HOUR), 1) is None


def test_what_is_counted_for_later_counts_now() -> None:
    assert DAY.full_until(Counter({DAY.piece(at(5 * HOUR)): 1000}), at(0), 1) == at(30 * HOUR)


def test_more_than_the_limit_never_fits_and_is_told_a_time_all_the_same() -> None:
    assert DAY.full_until(Counter(), at(0), 1001) == at(25 * HOUR)


def test_a_row_says_only_what_still_counts() -> None:
    counts = Counter({DAY.piece(at(0)): 1, DAY.piece(at(HOUR)): 2, DAY.piece(at(2 * HOUR)): 0})
    assert DAY.read(text_of(counts), at(25 * HOUR)) == {DAY.piece(at(HOUR)): 2}
    assert DAY.read(None, at(0)) == {}


@given(
    window=st.sampled_from([Window(500, seconds=HOUR, pieces=24), Window(500, seconds=10, pieces=30)]),
    asked=st.lists(st.tuples(st.floats(0, 2), st.integers(1, 200)), max_size=80),
)
def test_no_stretch_has_more_than_the_limit(window: Window, asked: list[tuple[float, int]]) -> None:
    counts: Counter[int] = Counter()
    went = []
    now = START
    for pause, need in asked:
        now += timedelta(seconds=pause * window.seconds)
        counts = window.read(text_of(counts), now)
        if until := window.full_until(counts, now, need):
            assert until > now
        else:
            counts[window.piece(now)] += need
            went.append((now, need))
    stretch = timedelta(seconds=window.seconds * window.pieces)
    for start, _ in went:
        assert sum(need for time, need in went if start <= time <= start + stretch) <= window.limit


def test_uploads_are_counted_over_more_than_five_minutes() -> None:
    assert BYTES.seconds * BYTES.pieces == 300
    assert BYTES.limit < 150_000_000
