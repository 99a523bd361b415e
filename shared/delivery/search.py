"""Searches the ledger. Storage tests the filters that it can; the others are tested here on the rows that it returns.

Rows are spread over 256 partitions by the hash of their ids. A search goes through the partitions in order, a stretch
of them with each request: one stretch first, then twice as many each time until the page is full. So a frequent state
takes one request, and a rare one takes a request for each stretch. A search ends when its page is full or its time is
up; the next page continues after the last row.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from shared.delivery.ledger import PARTITIONS, Ledger, Sought, partition
from shared.delivery.row import Row, State
from shared.settings.address_patterns import GUID
from shared.storage.tables import between, equal

STRETCH: Final = 8  # partitions that one request goes through
AT_ONCE: Final = 8  # requests at the same time
SEARCH: Final = 5.0  # seconds, and
REQUESTS: Final = 100  # requests to storage, after which a search goes no further
FINEST: Final = timedelta(milliseconds=1)  # by which Azurite compares times; what is too much is left out here
PLACE: Final = re.compile(r"([0-9a-f]{2})(?:-([0-9a-f]{32}))?")
FIRST: Final = "00"  # where the first page begins
Intake = Literal["http", "queue", "route"]
INTAKES: Final[tuple[Intake, ...]] = get_args(Intake)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which mails are searched for: those that are as every filter says. None: whatever it is.

    since, until: of when it was accepted; the end is not included. sender: as mailbox_name writes it. caller: as
    Row.caller. recipient: the hash of an address. key: the SHA-256 of a key.
    """

    state: State | None = None
    since: datetime | None = None
    until: datetime | None = None
    route: str | None = None
    sender: str | None = None
    caller: str | None = None
    code: str | None = None
    intake: Intake | None = None
    recipient: str | None = None
    key: str | None = None

    def matches(self, row: Row) -> bool:
        return (
            self.state in (None, row.state)
            and (self.since is None or self.since <= row.accepted_at)
            and (self.until is None or row.accepted_at < self.until)
            and self.route in (None, row.route)
            and self.sender in (None, row.mailbox)
            and self.caller in (None, row.caller)
            and self.code in (None, row.code)
            and self.intake in (None, row.intake)
            and self.key in (None, row.key)
            and (self.recipient is None or row.was_to(self.recipient))
        )

    def sought(self, tenant: str | None) -> Sought:
        """tenant: of the callers over HTTP. Storage takes fifteen comparisons; thirteen are used at most."""
        columns = {"state": self.state, "route": self.route, "mailbox": self.sender, "code": self.code, "key": self.key}
        parts = [equal(name, value) for name, value in columns.items() if value is not None]
        parts.append(between("accepted_at", self.since, self.until and self.until + FINEST))
        if self.caller is not None:
            parts.append(_of_caller(self.caller, tenant))
        elif self.intake is not None:
            parts.append(_begins(self.intake))
        return Sought(self.matches, " and ".join(filter(None, parts)), reads=self.recipient is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """A page. after: where the next one begins; None: it was the last. partitions: of 256, gone through by now. read:
    rows that storage gave for this page, in so many requests.
    """

    rows: list[Row]
    after: str | None
    partitions: int
    read: int
    requests: int


async def search(ledger: Ledger, filters: Filters, most: int, after: str | None, tenant: str | None) -> SearchPage:
    """Up to `most` rows, in no particular order. A page may be empty although there is a next one.

    Raises ValueError when `after` is none of ours, AzureError.
    """
    number, beyond = _place(after)
    rows, read, requests, wide = list[Row](), 0, 0, 1
    sought, end = filters.sought(tenant), time.monotonic() + SEARCH
    while number < PARTITIONS and len(rows) < most:
        if requests and (requests >= REQUESTS or time.monotonic() >= end):
            break
        starts = [number, *range((number // STRETCH + 1) * STRETCH, PARTITIONS, STRETCH)][:wide]
        stretches = [range(start, (start // STRETCH + 1) * STRETCH) for start in starts]
        missing, wide = most - len(rows), min(2 * wide, AT_ONCE)
        parts = await asyncio.gather(
            *(ledger.some(part, beyond if part.start == number else "", sought, missing) for part in stretches)
        )
        read += sum(part.read for part in parts)
        requests += sum(part.requests for part in parts)
        for stretch, part in zip(stretches, parts, strict=True):
            rows += part.rows[: most - len(rows)]
            number, beyond = stretch.stop, ""
            if len(rows) == most:
                number, beyond = int(partition(rows[-1].id), 16), rows[-1].id
                break
    goes_on = f"{number:02x}-{beyond}" if beyond else f"{number:02x}" if number < PARTITIONS else None
    return SearchPage(rows=rows, after=goes_on, partitions=number, read=read, requests=requests)


def _place(after: str | None) -> tuple[int, str]:
    """The first partition of a page, and the id behind which it begins there."""
    if not after:
        return 0, ""
    if (match := PLACE.fullmatch(after)) is None:
        raise ValueError("no place in the ledger")
    return int(match[1], 16), match[2] or ""


def _of_caller(caller: str, tenant: str | None) -> str:
    """The scopes of a caller over HTTP and of its users; of a queue and its senders; or of a route."""
    if GUID.fullmatch(caller):
        return _scope(f"http:{tenant}:{caller}") if tenant else _begins("http")
    return f"({_scope(f'queue:{caller}')} or {equal('scope', f'route:{caller}')})"


def _scope(scope: str) -> str:
    return f"({equal('scope', scope)} or ({_begins(scope)}))"


def _begins(scope: str) -> str:
    """Of scopes that are parts of this one."""
    return between("scope", f"{scope}:", f"{scope};")
