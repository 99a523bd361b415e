"""Parses non-delivery reports (RFC 3464): which mail did not reach which of its recipients.

    multipart/report; report-type=delivery-status    anything else (an absence note, a receipt) is not a report
    ├── text                        for people; ignored here
    ├── message/delivery-status     for each recipient: address, action, status
    └── message/rfc822, or text/rfc822-headers: the returned mail, of which only the headers are read

Anybody can write a report, so it counts only if it fits a mail that Mailroom sent (collector.py). Reports that Exchange
itself wrote carry headers that Exchange removes from all mail from outside (docs/decisions/0026-bounces.md).

Lengths are checked first, and every step reads the text once, so the time grows with the length alone.
"""

import binascii
import quopri
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser, HeaderParser
from email.utils import parseaddr
from itertools import islice
from typing import Final, Literal

from shared.errors import Malformed
from shared.mail.addresses import LONGEST, AddressesOfMail, canonical
from shared.mail.limits import MAX_RECIPIENTS
from shared.mail.marker import MARKER_HEADER
from shared.mail.outgoing import MAIL_ID
from shared.mime.head import MAX_HEAD, MAX_PART_HEAD
from shared.mime.header_parameters import HeaderParameters, read_parameters
from shared.mime.parts import inner_parts

LARGEST: Final = 16 * 2**20  # bytes of a report: Exchange returns mails of up to 10 MB whole, in 14 MB of base64
BEGINNING: Final = 2 * MAX_HEAD  # bytes of a returned mail that are read, for its headers
LARGEST_STATUS: Final = 512 * 1024  # bytes of its machine-readable part: 500 recipients with a kilobyte each
MOST_PARTS: Final = 20
MOST_IDS: Final = 5  # Message-IDs by which the returned mail is looked for
LONGEST_VALUE: Final = 2_000  # characters of one field that are read
STATUS: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})
RETURNED: Final = frozenset({"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"})
SYSTEM_MAILBOX: Final = "microsoftexchange329e71ec88ae4615bbc36ab6ce41109e"  # sends a tenant's own reports
AUTHENTICATED_AS: Final = "X-MS-Exchange-Organization-AuthAs"
IS_REPORT: Final = "X-MS-Exchange-Message-Is-Ndr"
_MESSAGE_ID: Final = re.compile(r"<[^<>\s]{1,250}>")
_CODE: Final = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")  # RFC 3463, and not a part of an address
_BLANK_LINE: Final = re.compile(r"\r?\n[ \t]*\r?\n")

Kind = Literal["permanent", "transient", "unknown"]
KINDS: Final[dict[str, Kind]] = {"5": "permanent", "4": "transient"}


class NotAReport(ValueError):  # noqa: N818 - most of the time nothing is wrong with it
    """The message is not a non-delivery report, or cannot be read. The text says why and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class FailedRecipient:
    """addresses: canonical, the one that it was sent to and the one that it was for in the end. code: RFC 3463."""

    addresses: tuple[str, ...] = field(repr=False)
    code: str | None

    @property
    def kind(self) -> Kind:
        return KINDS.get((self.code or "")[:1], "unknown")


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """mail: Mailroom's id in the returned mail's headers. message_ids: that it may have had, the likeliest first.

    by_exchange: the tenant's own Exchange wrote the report.
    """

    failed: tuple[FailedRecipient, ...]
    mail: str | None
    message_ids: tuple[str, ...]
    by_exchange: bool


def read_report(raw: bytes) -> DeliveryReport:
    """Read a message of a mailbox. Delayed and delivered recipients are left out. Raises NotAReport, nothing else."""
    if len(raw) > LARGEST:
        raise NotAReport("too large")
    head, body = _head(raw, 0, len(raw), MAX_HEAD)
    kind = _content_type(head)
    if kind.value != "multipart/report" or kind.parameters.get("report-type", "").lower() != "delivery-status":
        raise NotAReport("another kind of message")
    status: bytes | None = None
    returned = Message()
    try:
        for start, end in islice(inner_parts(raw, body, len(raw), "", kind), MOST_PARTS):
            part, at = _head(raw, start, end, MAX_PART_HEAD)
            value = _content_type(part).value
            if value in STATUS and status is None:
                if end - at > LARGEST_STATUS:
                    raise NotAReport("too large a part")
                status = _content(raw[at:end], part)
            elif value in RETURNED and not returned:
                content = _content(raw[at : min(end, at + BEGINNING)], part)
                returned, _ = _head(content, 0, len(content), MAX_HEAD)
    except Malformed as error:
        raise NotAReport("its parts cannot be told apart") from error
    if status is None:
        raise NotAReport("no machine-readable part")
    ids = _MESSAGE_ID.findall(
        " ".join([_text(returned, "Message-ID"), _text(head, "In-Reply-To"), _text(head, "References")])
    )
    mail = _text(returned, MARKER_HEADER).lower()
    return DeliveryReport(
        tuple(_failed(status.decode("utf-8", "replace"))),
        mail if MAIL_ID.fullmatch(mail) else None,
        tuple(dict.fromkeys(ids))[:MOST_IDS],
        _by_exchange(head),
    )


def _head(data: bytes, start: int, end: int, most: int) -> tuple["Message[str, str]", int]:
    """The headers that begin at `start`, and where their body begins. Raises NotAReport."""
    at = start
    while at < end:
        stop = data.find(b"\n", at, min(end, start + most))
        if stop < 0:
            if end - start > most:
                raise NotAReport("too many headers")
            stop = end
        blank, at = not data[at:stop].strip(b"\r"), stop + 1
        if blank:
            break
    at = min(at, end)
    return BytesHeaderParser().parsebytes(data[start:at]), at


def _content_type(head: "Message[str, str]") -> HeaderParameters:
    """The content type of a part; text/plain if it cannot be read."""
    text = re.sub(r"[\r\n]", "", str(head.get("Content-Type", "text/plain")))
    try:
        return read_parameters(text, is_type=True)
    except ValueError:
        return HeaderParameters("text/plain", {})


def _content(body: bytes, part: "Message[str, str]") -> bytes:
    match _text(part, "Content-Transfer-Encoding").lower():
        case "quoted-printable":
            return quopri.decodestring(body)
        case "base64":
            packed = body.translate(None, b" \t\r\n")
            try:
                return binascii.a2b_base64(packed[: len(packed) // 4 * 4])
            except binascii.Error as error:
                raise NotAReport("a part that is not base64") from error
    return body


def _text(head: "Message[str, str]", name: str) -> str:
    return " ".join(str(head.get(name, ""))[:LONGEST_VALUE].split())


def _failed(status: str) -> Iterator[FailedRecipient]:
    """The recipients that the mail did not reach. The first group of fields is about the mail itself."""
    several = AddressesOfMail()
    for group in _BLANK_LINE.split(status.strip(), MAX_RECIPIENTS + 1)[1 : MAX_RECIPIENTS + 1]:
        fields = HeaderParser().parsestr(group)
        if _text(fields, "Action").lower() != "failed":
            continue
        found = []
        for name in ("Original-Recipient", "Final-Recipient"):
            _, _, address = _text(fields, name).partition(";")
            if "@" in address and len(address) <= LONGEST:
                with suppress(ValueError):
                    found.append(canonical(several.checked(address.strip().strip("<>"))))
        if found:
            yield FailedRecipient(tuple(dict.fromkeys(found)), _code(fields))


def _code(fields: "Message[str, str]") -> str | None:
    """The most exact one: Exchange keeps no detail above 9 of `Status` ([MS-OXCMAIL] 2.2.3.7.1.3), so 5.1.10 stands in
    what the server said.
    """
    for name in ("Diagnostic-Code", "X-Supplementary-Info", "Status"):
        if match := _CODE.search(_text(fields, name)):
            return match[0]
    return None


def _by_exchange(head: "Message[str, str]") -> bool:
    """Each of these once, and none in doubt. The header firewall takes the first from everything that comes from
    outside, and nobody within may send as that mailbox.
    """
    authors = [parseaddr(_text(head, name))[1] for name in ("From", "Sender") if name in head]
    return (
        all(_count(head, name) == 1 for name in ("From", AUTHENTICATED_AS, IS_REPORT))
        and _count(head, "Sender") <= 1
        and _text(head, AUTHENTICATED_AS).lower() == "internal"
        and all(author.lower().startswith(f"{SYSTEM_MAILBOX}@") for author in authors)
    )


def _count(head: "Message[str, str]", name: str) -> int:
    return len(head.get_all(name, []))
