"""A limit for any stretch of time."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.ratelimit.window import BYTES, Window, text_of
from tests.ratelimit.virtual import START, at

HOUR = 3600
DAY = Window(1000, seconds=HOUR, pieces=24)


def test_room_comes_back_piece_by_piece_when_the_stretch_after_each_has_passed() -> None:
    counts = {DAY.piece(at(0)): 600, DAY.piece(at(3 * HOUR)): 400}
    assert DAY.full_until(counts, at(3 * HOUR), 500) == at(25 * HOUR)
    assert DAY.full_until(counts, at(3 * HOUR), 700) == at(28 * HOUR)
    assert DAY.full_until(counts, at(25 * HOUR), 600) is None


def test_a_piece_counts_until_the_whole_stretch_after_its_end_has_passed() -> None:
    counts = {DAY.piece(at(0)): 1000}
    assert DAY.full_until(counts, at(25 * HOUR - 1), 1) == at(25 * HOUR)
    assert DAY.full_until(counts, at(25 * HOUR), 1) is None


def test_what_is_counted_for_later_counts_now() -> None:
    assert DAY.full_until({DAY.piece(at(5 * HOUR)): 1000}, at(0), 1) == at(30 * HOUR)


def test_more_than_the_limit_never_fits_and_is_told_a_time_all_the_same() -> None:
    assert DAY.full_until({}, at(0), 1001) == at(25 * HOUR)


def test_a_row_says_only_what_still_counts() -> None:
    counts = {DAY.piece(at(0)): 1, DAY.piece(at(HOUR)): 2, DAY.piece(at(2 * HOUR)): 0}
    assert DAY.read(text_of(counts), at(25 * HOUR)) == {DAY.piece(at(HOUR)): 2}
    assert DAY.read(None, at(0)) == {}


@given(
    window=st.sampled_from([Window(500, seconds=HOUR, pieces=24), Window(500, seconds=10, pieces=30)]),
    asked=st.lists(st.tuples(st.floats(0, 2), st.integers(1, 200)), max_size=80),
)
def test_no_stretch_has_more_than_the_limit(window: Window, asked: list[tuple[float, int]]) -> None:
    counts: dict[int, int] = {}
    went = []
    now = START
    for pause, need in asked:
        now += timedelta(seconds=pause * window.seconds)
        counts = window.read(text_of(counts), now)
        if until := window.full_until(counts, now, need):
            assert until > now
        else:
            counts[window.piece(now)] = counts.get(window.piece(now), 0) + need
            went.append((now, need))
    stretch = timedelta(seconds=window.seconds * window.pieces)
    for start, _ in went:
        assert sum(need for time, need in went if start <= time <= start + stretch) <= window.limit


def test_uploads_are_counted_over_more_than_five_minutes() -> None:
    assert BYTES.seconds * BYTES.pieces == 300
    assert BYTES.limit < 150_000_000
