"""The rate as arithmetic."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.delivery.pacing.gcra import Rate, book
from tests.delivery.pacing.virtual import START, at

RATES = st.sampled_from([1.0, 6.0, 7.0, 12.0, 30.0, 31.0, 100.0, 1000.0, 100_000.0]).map(Rate.per_minute)
STARTS = st.integers(0, 600_000_000).map(lambda microseconds: START + timedelta(microseconds=microseconds))


@pytest.mark.parametrize(
    ("per_minute", "interval", "at_once", "late", "burst"),
    [
        (1, 60, 1, 0, 1),
        (6, 10, 1, 0, 1),
        (12, 5, 2, 0, 2),
        (30, 2, 5, 0, 5),
        (60, 1, 5, 5, 10),
        (600, 0.1, 5, 9.5, 100),
    ],
)
def test_the_burst_is_ten_seconds_worth_and_five_at_once_at_most(
    per_minute: float, interval: float, at_once: int, late: float, burst: int
) -> None:
    rate = Rate.per_minute(per_minute)
    assert rate.interval == timedelta(seconds=interval)
    assert (rate.at_once, rate.late, rate.burst) == (at_once, timedelta(seconds=late), burst)


def test_after_a_rest_a_small_burst_goes_at_once_and_then_one_each_interval() -> None:
    booking = book(None, at(0), 8, Rate.per_minute(30))
    assert booking.times == tuple(at(second) for second in (0, 0, 0, 0, 0, 2, 4, 6))
    assert booking.tat == at(16)


def test_a_schedule_that_is_behind_the_clock_is_like_a_new_one() -> None:
    rate = Rate.per_minute(30)
    assert book(at(-1000), at(0), 7, rate) == book(None, at(0), 7, rate)


@given(rate=RATES, tat=STARTS, start=STARTS, first=st.integers(1, 20), second=st.integers(1, 20))
def test_two_blocks_one_after_the_other_are_one_large_block(
    rate: Rate, tat: datetime, start: datetime, first: int, second: int
) -> None:
    one = book(tat, start, first, rate)
    two = book(one.tat, start, second, rate)
    both = book(tat, start, first + second, rate)
    assert (*one.times, *two.times) == both.times
    assert two.tat == both.tat


@given(rate=RATES, blocks=st.lists(st.tuples(STARTS, st.integers(1, 40)), min_size=1, max_size=20))
def test_no_stretch_of_time_has_more_than_the_burst_above_the_rate_whatever_the_clocks_say(
    rate: Rate, blocks: list[tuple[datetime, int]]
) -> None:
    tat = None
    times: list[datetime] = []
    for start, count in blocks:
        booking = book(tat, start, count, rate)
        assert all(time >= start for time in booking.times)
        assert all(one <= other for one, other in pairwise(booking.times))
        tat = booking.tat
        times += booking.times
    times.sort()
    for number in range(rate.at_once, len(times)):
        assert times[number] - times[number - rate.at_once] >= rate.interval
