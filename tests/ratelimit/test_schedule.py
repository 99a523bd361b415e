"""The rate as arithmetic."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ratelimit.schedule import Rate, book
from tests.ratelimit.virtual import START, at

RATES = st.sampled_from([1.0, 6.0, 7.0, 12.0, 30.0, 31.0, 100.0, 1000.0, 100_000.0]).map(Rate.even)
STARTS = st.integers(0, 600_000_000).map(lambda microseconds: START + timedelta(microseconds=microseconds))


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
    times, tat = book(at(-1000), at(0), 7, Rate.even(30))
    assert times == [at(second) for second in (0, 0, 0, 0, 2, 4, 6)]
    assert tat == at(14)


@given(rate=RATES, tat=STARTS, start=STARTS, first=st.integers(1, 20), second=st.integers(1, 20))
def test_two_blocks_one_after_the_other_are_one_large_block(
    rate: Rate, tat: datetime, start: datetime, first: int, second: int
) -> None:
    times, after = book(tat, start, first, rate)
    more, end = book(after, start, second, rate)
    assert ([*times, *more], end) == book(tat, start, first + second, rate)


@given(rate=RATES, blocks=st.lists(st.tuples(STARTS, st.integers(1, 40)), min_size=1, max_size=20))
def test_no_stretch_of_time_has_more_than_the_burst_above_the_rate_whatever_the_clocks_say(
    rate: Rate, blocks: list[tuple[datetime, int]]
) -> None:
    tat, times = START, []
    for start, count in blocks:
        taken, tat = book(tat, start, count, rate)
        assert all(time >= start for time in taken)
        assert all(one <= other for one, other in pairwise(taken))
        times += taken
    times.sort()
    for number in range(rate.burst, len(times)):
        assert times[number] - times[number - rate.burst] >= rate.interval
