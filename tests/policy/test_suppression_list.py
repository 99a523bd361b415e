"""The suppression list, as a process knows it and as storage keeps it."""

import hashlib
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.mail.addresses import address_hash
from shared.policy import suppression
from shared.policy.suppression import (
    FRESH,
    WHOLE,
    SuppressedAddress,
    SuppressionList,
    SuppressionTable,
)
from shared.storage.tables import Tables
from tests.delivery.samples import NOON, Clock
from tests.wire import Wire

ADELE, BEN = "adele@fabrikam.test", "ben@fabrikam.test"


def entry(address: str, reason: str = "asked for it") -> SuppressedAddress:
    return SuppressedAddress(id=address_hash(address), address=address, reason=reason, added_by="key", added_at=NOON)


class Listed(SuppressionTable):
    def __init__(self, *addresses: str, long: bool = False) -> None:
        self.entries = {address_hash(address): entry(address) for address in addresses}
        self.long = long
        self.down = False
        self.asked: Counter[str] = Counter()

    async def ids(self, most: int) -> frozenset[str] | None:
        self._count("ids")
        return None if self.long else frozenset(self.entries)

    async def get(self, entry: str) -> SuppressedAddress | None:
        self._count("get")
        return self.entries.get(entry)

    async def add(self, entry: SuppressedAddress) -> SuppressedAddress | None:
        return self.entries.setdefault(entry.id, entry)

    async def remove(self, entry: str) -> bool:
        return self.entries.pop(entry, None) is not None

    async def page(self, most: int, after: str | None) -> tuple[list[SuppressedAddress], str | None]:
        return list(self.entries.values()), None

    def _count(self, what: str) -> None:
        self.asked[what] += 1
        if self.down:
            raise ServiceRequestError("down")


def known(store: Listed) -> tuple[SuppressionList, Clock]:
    clock = Clock()
    return SuppressionList(store, clock.monotonic), clock


def test_an_address_is_one_entry_in_every_spelling() -> None:
    for spelling in ("ops@bücher.example", "OPS@xn--bcher-kva.example", "ops@BU\N{COMBINING DIAERESIS}CHER.example"):
        assert address_hash(spelling) == hashlib.sha256(b"ops@xn--bcher-kva.example").hexdigest()
    assert address_hash("Adele@Fabrikam.test") == address_hash(ADELE) != address_hash(f"x{ADELE}")


@pytest.mark.parametrize("long", [False, True])
async def test_the_suppressed_are_named_as_they_were_written(*, long: bool) -> None:
    list_, _ = known(Listed(ADELE, long=long))
    assert await list_.among(["ADELE@fabrikam.test", BEN]) == {"ADELE@fabrikam.test"}


async def test_a_short_list_is_read_once_a_minute_for_all_mails() -> None:
    store = Listed(ADELE)
    list_, clock = known(store)
    for number in range(100):
        await list_.among([f"someone{number}@fabrikam.test", BEN])
    assert store.asked == {"ids": 1}
    clock.move(seconds=FRESH + 1)
    await list_.among([BEN])
    assert store.asked == {"ids": 2}


async def test_in_a_long_list_each_recipient_is_looked_up_once_a_minute_found_or_not() -> None:
    store = Listed(ADELE, long=True)
    list_, clock = known(store)
    for _ in range(10):
        assert await list_.among([ADELE, BEN]) == {ADELE}
    assert store.asked == {"ids": 1, "get": 2}
    clock.move(seconds=FRESH + 1)
    assert await list_.among([ADELE, BEN]) == {ADELE}
    assert store.asked == {"ids": 2, "get": 4}


async def test_what_is_remembered_of_a_long_list_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppression, "REMEMBERED", 250)
    list_, _ = known(Listed(long=True))
    for hundred in range(4):
        await list_.among([f"someone{number}@{hundred}.test" for number in range(100)])
    assert 0 < len(list_._known) <= 250


@pytest.mark.parametrize("long", [False, True])
async def test_a_change_by_others_holds_within_a_minute_and_ones_own_at_once(*, long: bool) -> None:
    store = Listed(long=long)
    list_, clock = known(store)
    assert await list_.among([ADELE]) == frozenset()
    store.entries[address_hash(ADELE)] = entry(ADELE)
    assert await list_.among([ADELE]) == frozenset()
    list_.forget()
    assert await list_.among([ADELE]) == {ADELE}
    store.entries.clear()
    clock.move(seconds=60)
    assert await list_.among([ADELE]) == frozenset()


async def test_a_change_while_the_list_is_being_read_is_not_overlooked() -> None:
    class Overtaken(Listed):
        async def ids(self, most: int) -> frozenset[str] | None:
            before = await super().ids(most)
            if not self.entries:
                self.entries[address_hash(ADELE)] = entry(ADELE)
                list_.forget()
            return before

    list_, _ = known(Overtaken())
    await list_.among([ADELE])
    assert await list_.among([ADELE]) == {ADELE}


@pytest.mark.parametrize("long", [False, True])
async def test_nothing_is_taken_for_free_while_the_list_cannot_be_read(*, long: bool) -> None:
    store = Listed(long=long)
    list_, clock = known(store)
    await list_.among([BEN])
    store.down = True
    clock.move(seconds=FRESH + 1)
    for _ in range(2):
        with pytest.raises(ServiceRequestError):
            await list_.among([BEN])
    store.down = False
    assert await list_.among([BEN]) == frozenset()


async def test_the_table(storage: str) -> None:
    """From no table at all to a list of several pages."""
    async with Wire() as wire:
        store = SuppressionTable(Tables.of_connection_string(storage, wire).table("suppressedtest"))
        assert await store.ids(WHOLE) == frozenset()
        assert await store.get(address_hash(ADELE)) is None
        assert await store.page(10, None) == ([], None)
        assert await store.remove(address_hash(ADELE)) is False
        assert await store.add(entry(ADELE)) is None
        later = replace(entry(ADELE, "another reason"), added_at=NOON + timedelta(1))
        assert await store.add(later) == entry(ADELE)
        assert await store.get(address_hash(ADELE)) == entry(ADELE)
        for number in range(4):
            await store.add(entry(f"someone{number}@fabrikam.test"))
        assert len(await store.ids(5) or ()) == 5
        assert await store.ids(4) is None
        first, after = await store.page(3, None)
        second, end = await store.page(3, after)
        assert len({one.id for one in (*first, *second)}) == 5
        assert end is None
        with pytest.raises(ValueError, match=r"."):
            await store.page(3, "none of ours")
        assert await store.remove(address_hash(ADELE)) is True
        assert await store.get(address_hash(ADELE)) is None
