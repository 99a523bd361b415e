"""Repeat windows: what says again what an earlier mail has said lately is no second mail."""

from copy import replace
from datetime import timedelta

import pytest

from shared.delivery.row import State
from shared.delivery.worker import Worker
from shared.mail.outgoing import Repeat
from tests.delivery.samples import NOON, NOT_CONNECTED, Office, outgoing_mail, work

FIRST, SECOND = "1" * 32, "2" * 32


async def carry(office: Office, minutes: float) -> None:
    """A second mail, accepted so long after the first, that repeats it within half an hour."""
    again = work(
        outgoing_mail(SECOND), repeats=Repeat(of=FIRST, within=1800), accepted_at=NOON + timedelta(minutes=minutes)
    )
    office.clock.move(minutes=minutes)
    await Worker(office.engine).deliver(again, outgoing_mail(SECOND))


async def test_within_the_window_it_is_dropped_and_after_it_sent() -> None:
    for minutes, sent in ((29, [FIRST]), (31, [FIRST, SECOND])):
        office = Office()
        await Worker(office.engine).deliver(work(outgoing_mail(FIRST)), outgoing_mail(FIRST))
        await carry(office, minutes)
        assert office.graph.sent == sent


async def test_without_an_earlier_one_it_is_sent() -> None:
    office = Office()
    await carry(office, 1)
    assert office.graph.sent == [SECOND]


@pytest.mark.parametrize("state", ["failed", "cancelled"])
async def test_an_earlier_one_that_never_went_does_not_count(state: State) -> None:
    office = Office()
    await Worker(office.engine).deliver(work(outgoing_mail(FIRST)), outgoing_mail(FIRST))
    row = await office.row(FIRST)
    await office.ledger.write(replace(row, state=state))
    await carry(office, 1)
    assert SECOND in office.graph.sent


async def test_a_mail_on_its_way_is_not_dropped_for_one_that_was_replayed_meanwhile() -> None:
    """Its own row counts before its neighbour's."""
    office = Office()
    office.graph.outcomes = [NOT_CONNECTED]
    await carry(office, 31)
    await Worker(office.engine).deliver(work(outgoing_mail(FIRST)), outgoing_mail(FIRST))
    row = await office.row(FIRST)
    assert row.state == "sent"
    office.clock.move(hours=1)
    again = work(outgoing_mail(SECOND), repeats=Repeat(of=FIRST, within=1800), accepted_at=NOON)
    await Worker(office.engine).deliver(again, outgoing_mail(SECOND))
    assert SECOND in office.graph.sent
