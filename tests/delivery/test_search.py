"""A search finds what its filters say, all of it and each once, whatever storage can tell of it by itself."""

from collections.abc import Callable
from copy import replace
from datetime import timedelta
from random import Random
from typing import Any, Final
from uuid import uuid4

import pytest
from azure.core.exceptions import HttpResponseError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.delivery import search as module
from shared.delivery.ledger import Ledger
from shared.delivery.row import Row
from shared.delivery.search import Filters, search
from shared.mail.addresses import address_hash
from shared.storage.tables import Tables
from tests.delivery.memory import MemoryLedger
from tests.delivery.samples import NOON
from tests.wire import Wire

TENANT: Final = "7b1e5c2a-0f7d-4c55-9d7e-5a0d0c10a001"
APP: Final = "7b1e5c2a-0f7d-4c55-9d7e-5a0d0c10c001"
OTHER: Final = APP.replace("c001", "c002")
SCOPES: Final = (
    f"http:{TENANT}:{APP}",
    f"http:{TENANT}:{APP}:{OTHER}",
    f"http:{TENANT}:{OTHER}",
    "queue:mail-outbox",
    "queue:mail-outbox:it's@contoso.com",
    "queue:mail-outbox-2:x",
    "route:github",
    "route:mail-outbox",
)
PEOPLE: Final = [address_hash(f"{name}@contoso.com") for name in "abc"]
TIMES: Final = st.integers(-1, 1).map(lambda at: NOON + timedelta(microseconds=at))
# Of each filter the values that are asked for, and whether a row is what it says: written without a look at the code.
ORACLE: Final[dict[str, tuple[st.SearchStrategy[Any], Callable[[Row, Any], bool]]]] = {
    "state": (st.sampled_from(["sent", "failed", "review", "unknown"]), lambda row, value: row.state == value),
    "since": (TIMES, lambda row, value: row.accepted_at >= value),
    "until": (TIMES, lambda row, value: row.accepted_at < value),
    "route": (st.sampled_from(["github", "o'brien & söhne", "none"]), lambda row, value: row.route == value),
    "sender": (st.sampled_from(["it's@contoso.com", "x@contoso.com"]), lambda row, value: row.mailbox == value),
    "caller": (
        st.sampled_from([APP, OTHER, "mail-outbox", "mail-outbox-2", "github", "it's"]),
        lambda row, value: value in (row.scope.split(":")[1 : 3 if row.scope[0] == "h" else 2]),
    ),
    "code": (st.sampled_from(["TooOld", "it''s", "' or code ne '"]), lambda row, value: row.code == value),
    "intake": (st.sampled_from(["http", "queue", "route"]), lambda row, value: row.scope.startswith(f"{value}:")),
    "recipient": (st.sampled_from([*PEOPLE, "2" * 64]), lambda row, value: value in (row.recipients or "")),
    "key": (st.sampled_from(["0" * 64, "2" * 64]), lambda row, value: row.key == value),
}
ASKED: Final = st.sets(st.sampled_from(sorted(ORACLE)), max_size=3).flatmap(
    lambda names: st.fixed_dictionaries({name: ORACLE[name][0] for name in sorted(names)})
)
EVERYTHING: Final[dict[str, Any]] = {
    "state": "sent", "since": NOON, "until": NOON + timedelta(1), "route": "github", "sender": "it's@contoso.com",
    "caller": "mail-outbox", "code": "TooOld", "intake": "queue", "recipient": PEOPLE[0], "key": "0" * 64,
}  # fmt: skip


def some(number: int, seed: int = 19) -> list[Row]:
    """Rows of every kind, the same each time."""
    random, strange = Random(seed), [None, "o'brien & söhne", "github"]
    return [
        Row(
            id=f"{random.getrandbits(128):032x}",
            state=random.choice(["sent", "failed", "review"]),
            scope=random.choice(SCOPES),
            fingerprint="f",
            mailbox=random.choice(["it's@contoso.com", "b@contoso.com", ""]),
            accepted_at=NOON + timedelta(microseconds=random.randint(-2, 2)),
            route=random.choice(strange),
            code=random.choice([None, "TooOld", "it''s"]),
            key=random.choice([None, "0" * 64, "1" * 64]),
            recipients="".join(random.sample(PEOPLE, random.randint(0, 3))) or None,
        )
        for _ in range(number)
    ]


async def walked(ledger: Ledger, asked: dict[str, Any], most: int) -> list[str]:
    """The ids on all pages."""
    after, found = None, list[str]()
    while True:
        page = await search(ledger, Filters(**asked), most, after, TENANT)
        assert len(page.rows) <= most
        found += [row.id for row in page.rows]
        after = page.after
        if after is None:
            assert page.partitions == 256
            return found


def by_brute_force(rows: list[Row], asked: dict[str, Any]) -> list[str]:
    return sorted(row.id for row in rows if all(ORACLE[name][1](row, value) for name, value in asked.items()))


@settings(max_examples=150)
@given(rows=st.builds(some, st.integers(0, 20), st.integers()), asked=ASKED, most=st.integers(1, 9))
async def test_a_search_finds_what_a_look_at_each_row_finds(rows: list[Row], asked: dict[str, Any], most: int) -> None:
    ledger = MemoryLedger()
    for row in rows:
        await ledger.write(row)
    assert sorted(await walked(ledger, asked, most)) == by_brute_force(rows, asked)


NAME: Final = f"t{uuid4().hex}"
STORED: Final = some(150)
_written: list[str] = []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=ASKED, most=st.integers(20, 200))
@example(asked=EVERYTHING, most=5)
@example(asked={}, most=7)
async def test_storage_finds_the_same(storage: str, asked: dict[str, Any], most: int) -> None:
    async with Wire() as wire:
        ledger = Ledger(Tables.of_connection_string(storage, wire).table(NAME))
        for row in STORED if not _written else ():
            await ledger.write(row)
        _written.append(NAME)
        assert sorted(await walked(ledger, asked, most)) == by_brute_force(STORED, asked)


def test_no_search_has_more_comparisons_than_storage_takes() -> None:
    """Fifteen, of which two are for the keys: "Querying tables and entities" in the reference of its REST interface."""
    for caller in (APP, "mail-outbox"):
        where = Filters(**EVERYTHING | {"caller": caller}).sought(TENANT).where
        assert sum(where.count(f" {how} ") for how in ("eq", "ge", "lt")) <= 13


class Slow(MemoryLedger):
    """Storage that needs a second for each stretch."""

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.asked = 0.0, list[int]()

    async def some(self, partitions: range, *rest: Any) -> Any:
        self.clock += 1
        self.asked.append(partitions.start)
        return await super().some(partitions, *rest)


async def test_a_search_ends_in_time_and_goes_on_from_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = Slow()
    monkeypatch.setattr("shared.delivery.search.time.monotonic", lambda: ledger.clock)
    first = await search(ledger, Filters(state="review"), 5, None, TENANT)
    assert (first.rows, first.requests, first.partitions) == ([], 7, 7 * 8), "one, two and four stretches at a time"
    assert first.after == "38"
    page = first
    while page.after is not None:
        page = await search(ledger, Filters(state="review"), 5, page.after, TENANT)
    assert ledger.asked == list(range(0, 256, 8)), "each stretch once"


async def test_what_is_frequent_takes_one_request_and_what_is_rare_one_for_each_stretch(storage: str) -> None:
    async with Wire() as wire:
        ledger = Ledger(Tables.of_connection_string(storage, wire).table(f"t{uuid4().hex}"))
        for row in some(300):
            await ledger.write(replace(row, state="sent"))
        wire.requests = 0
        assert len((await search(ledger, Filters(state="sent"), 5, None, TENANT)).rows) == 5
        assert wire.requests == 1
        found = await search(ledger, Filters(state="failed"), 5, None, TENANT)
        assert (found.after, found.read, wire.requests) == (None, 0, 1 + 256 // module.STRETCH)


@pytest.mark.parametrize("after", ["nowhere", "g0", "00-", "00-" + "x" * 32, "00-" + "0" * 31 + "'", "000"])
async def test_what_no_page_gave_as_next_is_a_value_error(after: str) -> None:
    with pytest.raises(ValueError, match="no place"):
        await search(MemoryLedger(), Filters(), 5, after, TENANT)


async def test_storage_that_cannot_be_reached_is_no_empty_page(storage: str) -> None:
    class Strange(Wire):
        async def send(self, request: Any, **options: Any) -> Any:
            answer = await super().send(request, **options)
            answer.status_code = 400
            return answer

    async with Strange() as wire:
        ledger = Ledger(Tables.of_connection_string(storage, wire, backoff=0).table("nothing"))
        with pytest.raises(HttpResponseError):
            await search(ledger, Filters(), 5, None, TENANT)
