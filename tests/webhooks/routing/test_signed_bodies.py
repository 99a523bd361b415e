"""The day's memory of signed bodies, in the table."""

import asyncio
from datetime import timedelta

from shared.mail.outgoing import Signed
from shared.storage.tables import Tables
from shared.webhooks.routing.signed_bodies import SignedBodies
from tests.delivery.samples import NOON
from tests.wire import Wire

BODY, OTHER = "0a" + "b" * 30, "ff" + "0" * 30
FIRST, SECOND = "1" * 32, "2" * 32
ALL = range(256)


def signed(event: str = "e1", body: str = BODY) -> Signed:
    return Signed(body=body, event=event)


async def test_only_another_event_with_the_same_body_within_a_day_is_told_of(storage: str) -> None:
    """From no table at all."""
    async with Wire() as wire:
        memory = SignedBodies(Tables.of_connection_string(storage, wire).table("signedtest"))
        day = timedelta(days=1)
        await memory.forget(ALL, NOON)
        assert await memory.earlier(signed(), FIRST, NOON) is None
        assert await memory.earlier(signed(), FIRST, NOON + timedelta(hours=1)) is None
        assert await memory.earlier(signed(body=OTHER), SECOND, NOON) is None
        for event in ("e2", "e3"):
            assert await memory.earlier(signed(event), SECOND, NOON + timedelta(hours=2)) == (FIRST, NOON)
        assert await memory.earlier(signed("e2"), SECOND, NOON + day) is None
        assert await memory.earlier(signed("e1"), FIRST, NOON + day + timedelta(hours=1)) == (SECOND, NOON + day)


async def test_what_is_older_than_a_day_is_removed_and_nothing_else(storage: str) -> None:
    async with Wire() as wire:
        table = Tables.of_connection_string(storage, wire).table("signedsweep")
        memory = SignedBodies(table)
        await memory.earlier(signed(), FIRST, NOON)
        await memory.earlier(signed(body=OTHER), FIRST, NOON + timedelta(hours=1))
        await memory.forget(ALL, NOON + timedelta(hours=24, minutes=30))
        assert [entity["RowKey"] async for entity in table.all()] == [OTHER]


async def test_of_two_at_the_same_moment_one_is_told_of(storage: str) -> None:
    async with Wire() as wire:
        memory = SignedBodies(Tables.of_connection_string(storage, wire).table("signedrace"))
        for day in range(2):  # on an empty table, and over what is too old
            at = NOON + timedelta(days=day)
            told = await asyncio.gather(*(memory.earlier(signed(f"{day} {n}"), f"{n}" * 32, at) for n in range(2)))
            assert sorted(one is None for one in told) == [False, True]
