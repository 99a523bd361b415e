"""Searches a mailbox for non-delivery reports, through Graph. Needs Mail.Read, and changes nothing.

A report is a message whose class (PidTagMessageClass) begins with REPORT. A rule may have moved it to any folder. Graph
documents `startswith` on the value of an extended property, but not whether it can be combined with a filter on a time.
If a mailbox refuses the combination, all its messages of that time are listed, with their classes.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from shared.graph.client import GraphConnection
from shared.graph.find import OK, MessagesQuery
from shared.graph.outcome import Outcome
from shared.graph.sdk_request import asked
from shared.mail.marker import MARKER_PROPERTY

MESSAGE_CLASS: Final = "String 0x001A"
MESSAGE_SIZE: Final = "Integer 0x0E08"
BY_CLASS: Final = (
    f"singleValueExtendedProperties/Any(ep: ep/id eq '{MESSAGE_CLASS}' and startswith(ep/value, 'REPORT.'))"
)
# The class of a report is by the worst that it says of a recipient ([MS-OXCMAIL] 2.2.3.7.1.1): a delay has another one.
REPORT, FAILED = "report.", ".ndr"
PAGE: Final = 250  # messages
LONGEST_NUMBER: Final = 16  # digits
REFUSED: Final = frozenset({400, 501})  # what Graph answers to a query that it does not take


class _Property(msgspec.Struct):
    id: str
    value: str | None = None


class _ReportItem(msgspec.Struct, rename="camel"):
    id: str
    received_date_time: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    single_value_extended_properties: list[_Property] = []

    def named(self, property_id: str) -> str:
        """The value of a property, or nothing. Graph writes ids in its own way: `String 0x1a` for `String 0x001A`."""
        wanted = _plain(property_id)
        found = (one.value or "" for one in self.single_value_extended_properties if _plain(one.id) == wanted)
        return next(found, "")


class _ReportItems(msgspec.Struct):
    value: list[_ReportItem]


@dataclass(frozen=True, slots=True)
class Listed:
    """A message of the mailbox. size: bytes, as the mailbox counts them; 0: it did not say."""

    id: str
    received: datetime
    message_class: str
    size: int

    @property
    def says_failed(self) -> bool:
        """Whether the message is a report that a recipient was not reached."""
        name = self.message_class.lower()
        return name.startswith(REPORT) and name.endswith(FAILED)


class Unread(Exception):  # noqa: N818 - the mailbox's answer, not a fault
    """The mailbox did not return what it was asked for. outcome: of the request. refused: because of the query."""

    def __init__(self, outcome: Outcome, *, refused: bool = False) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome
        self.refused = refused


@dataclass(frozen=True, slots=True)
class ReportSearch:
    """Searches one mailbox. deadline: seconds for a request. Methods raise Unread, and nothing else."""

    connection: GraphConnection
    mailbox: str
    deadline: float

    async def page(self, since: datetime, skip: int, *, by_class: bool) -> list[Listed]:
        """Up to PAGE messages that were received since then, the oldest first. by_class: reports only."""
        later = f"receivedDateTime ge {since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        found = await self._list(
            filter=f"{later} and {BY_CLASS}" if by_class else later,
            orderby=["receivedDateTime"],
            select=["id", "receivedDateTime"],
            expand=[_expanded(MESSAGE_CLASS, MESSAGE_SIZE)],
            top=PAGE,
            skip=skip,
        )
        return [
            Listed(item.id, item.received_date_time, item.named(MESSAGE_CLASS), _number(item.named(MESSAGE_SIZE)))
            for item in found
        ]

    async def mime(self, message: str) -> bytes:
        """Read a message as MIME."""
        content = self.connection.client.users.by_user_id(self.mailbox).messages.by_message_id(message).content
        answer, outcome = await asked(self.connection, lambda configure: content.get(configure(None)), self.deadline)
        if answer is None or answer.status_code != OK:
            raise Unread(outcome)
        return answer.content

    async def marked(self, message_id: str) -> list[str]:
        """The ids that Mailroom has put on messages with this Message-ID."""
        quoted = message_id.replace("'", "''")
        found = await self._list(
            filter=f"internetMessageId eq '{quoted}'", select=["id"], expand=[_expanded(MARKER_PROPERTY)]
        )
        return [mail for item in found if (mail := item.named(MARKER_PROPERTY))]

    async def _list(self, **query: Any) -> Iterable[_ReportItem]:
        messages, parameters = self.connection.client.users.by_user_id(self.mailbox).messages, MessagesQuery(**query)
        answer, outcome = await asked(
            self.connection, lambda configure: messages.get(configure(parameters)), self.deadline
        )
        if answer is None or answer.status_code != OK:
            raise Unread(outcome, refused=answer is not None and answer.status_code in REFUSED)
        try:
            return msgspec.json.decode(answer.content, type=_ReportItems).value
        except msgspec.DecodeError:
            raise Unread(outcome) from None


def _expanded(*property_ids: str) -> str:
    either = " or ".join(f"id eq '{one}'" for one in property_ids)
    return f"singleValueExtendedProperties($filter={either})"


def _plain(property_id: str) -> str:
    return re.sub(r" 0x0*(?=[0-9a-f])", " 0x", property_id.lower())


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < LONGEST_NUMBER else 0
