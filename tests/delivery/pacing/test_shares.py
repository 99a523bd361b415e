"""Who should have which slot."""

from dataclasses import replace
from datetime import timedelta

from shared.delivery.pacing.shares import SLICE, SlotRow, heir_of, takeable, to_wish, to_yield
from tests.delivery.pacing.virtual import START, at


def rows(owners: str) -> dict[str, SlotRow]:
    """Slots by who has them, one letter each, a dot for nobody. The first has been had longest."""
    return {
        str(number): SlotRow() if owner == "." else SlotRow(owner=owner, until=at(10), since=at(number - 100))
        for number, owner in enumerate(owners)
    }


def wanted(row: SlotRow, by: str, ago: float = 1) -> SlotRow:
    return replace(row, wanted_by=by, wanted_at=at(-ago))


def test_a_row_comes_back_from_its_values_and_a_row_that_is_not_there_is_free() -> None:
    row = wanted(SlotRow(owner="a", until=at(10), since=at(0)), "b")
    assert SlotRow.of(row.values()) == row
    assert SlotRow.of({}).free(START)


def test_a_slot_is_free_only_when_its_time_is_over_on_every_clock() -> None:
    row = SlotRow(owner="a", until=at(10))
    assert not row.free(at(12))
    assert row.free(at(12.1))


def test_what_was_handed_over_comes_before_what_is_free() -> None:
    assert takeable(rows("a.mm."), "m", {"3"}, START) == (["2"], ["1", "4"])


def test_an_instance_without_a_slot_asks_the_one_with_the_most_for_the_one_it_has_had_longest() -> None:
    assert to_wish(rows("abbc"), "m", 0, START) == ("1", timedelta(0))


def test_an_instance_without_a_slot_asks_for_an_only_one_too_and_knows_how_long_that_takes() -> None:
    young = SlotRow(owner="a", until=at(10), since=at(-5))
    assert to_wish({"0": young}, "m", 0, START) == ("0", SLICE - timedelta(seconds=5))


def test_an_instance_with_slots_asks_only_one_that_has_two_more() -> None:
    assert to_wish(rows("aam"), "m", 1, START) is None
    assert to_wish(rows("aaam"), "m", 1, START) == ("0", timedelta(0))


def test_nobody_asks_for_what_another_wants_already() -> None:
    assert to_wish({"0": wanted(rows("a")["0"], "b")}, "m", 0, START) is None
    assert to_wish({"0": wanted(rows("a")["0"], "b", ago=20)}, "m", 0, START) is not None


def test_nobody_asks_while_there_is_a_free_one() -> None:
    assert to_wish(rows("aaa."), "m", 0, START) is None


def test_one_who_has_two_more_hands_over_at_once() -> None:
    board = rows("mm")
    board["0"] = wanted(board["0"], "b")
    assert to_yield(board, "0", 2, START)
    assert not to_yield(board, "1", 2, START)


def test_one_who_has_one_more_keeps_it() -> None:
    board = rows("mmb")
    board["0"] = wanted(board["0"], "b")
    assert not to_yield(board, "0", 2, START)


def test_an_only_slot_is_handed_over_when_it_has_been_used_for_a_while() -> None:
    row = wanted(SlotRow(owner="m", until=at(10), since=at(0)), "b")
    assert not to_yield({"0": row}, "0", 1, START + SLICE - timedelta(seconds=7))
    late = replace(row, wanted_at=START + SLICE)
    assert to_yield({"0": late}, "0", 1, START + SLICE)


def test_a_wish_is_forgotten_after_a_while() -> None:
    board = rows("mm")
    board["0"] = wanted(board["0"], "b", ago=20)
    assert not to_yield(board, "0", 2, START)


def test_what_is_needed_no_more_goes_to_the_one_who_wants_it_if_he_still_has_fewer() -> None:
    board = rows("mb.")
    board["0"] = wanted(board["0"], "c")
    assert heir_of(board, "0", 1, START) == "c"
    board["0"] = wanted(board["0"], "b")
    assert heir_of(board, "0", 1, START) == ""
    assert heir_of(rows("m"), "0", 1, START) == ""
