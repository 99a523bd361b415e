"""Threads: the properties by which mail programs group mails into one conversation, such as the mails of one incident.

Every mail of a thread is marked as a reply to the same root message. The root was never sent; its id is computed from
the mail's scope and thread. So nothing has to be stored, and mails may come in any order and from any mailbox.

    In-Reply-To, References    the root's message id (RFC 5322, section 3.6.4)
    conversation index         a header that is the same for the whole thread, with a GUID made of scope and thread, and
                               one response level with the mail's own time ([MS-OXOMSG] 2.2.1.3)
    index tracking             true: the conversation's id is that GUID ([MS-OXOMSG] 2.2.1.2, 2.2.1.4)
    conversation topic         the topic that the mail names, or the subject without the parts that change
                               ([MS-OXOMSG] 2.2.1.5)

They are sent as extended properties; mime/write.py writes them as headers. See docs/decisions/0005-threads.md.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from shared.mail.graph_types import SingleValueLegacyExtendedProperty
from shared.mail.model import SendMail
from shared.mail.outgoing import OutgoingMail, identity

# Never a host (RFC 6761): no mailbox can claim the root, and the id says where it comes from.
ROOTS: Final = "threads.mailroom.invalid"
# When every root was "sent": in the header of the conversation index, so it must never change.
ROOT_TIME: Final = datetime(2020, 1, 1, tzinfo=UTC)
FILETIME_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)

IN_REPLY_TO: Final = "String 0x1042"
REFERENCES: Final = "String 0x1039"
TOPIC: Final = "String 0x0070"
INDEX: Final = "Binary 0x0071"
INDEX_TRACKING: Final = "Boolean 0x3016"
# Where the sender has set one mark of a group, the group is the sender's: ours would contradict it.
GROUPS: Final = ((IN_REPLY_TO, REFERENCES), (INDEX, INDEX_TRACKING), (TOPIC,))

_TAG: Final = re.compile(r"\s*[a-z]+\s+0x([0-9a-f]{1,8})\s*", re.IGNORECASE)
_NOT_OF_A_LINE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_STATUS: Final = (
    r"firing|fired|alerting|alert|active|activated|deactivated|triggered|open|opened|reopened|new|created|updated?|"
    r"repeat|repeated|reminder|ack|acknowledged|pending|no ?data|critical|error|warning|info|ok|normal|"
    r"fail|failed|failing|failure|fixed|succeeded|success|recovered|recovery|resolved|closed|completed|down|up"
)
# What precedes the topic: a status in brackets, with a count as Alertmanager has it, or before a colon; and what
# Exchange itself takes for a prefix, one to three letters and a colon ([MS-OXCMAIL] 2.2.3.2.6.1): RE:, FW:, AW:, SV:.
_PREFIX: Final = re.compile(
    rf"(?:\[ ?(?:{_STATUS})(?: ?:? ?\d{{1,9}})? ?\](?: ?[:\u2013\u2014-])?|(?:{_STATUS}|[^\W\d_]{{1,3}}):(?=\s))\s*",
    re.IGNORECASE,
)
MOST_PREFIXES: Final = 20
LONGEST_TOPIC: Final = 255  # characters, as Exchange has for a subject


@dataclass(frozen=True, slots=True)
class ThreadMarks:
    """root: the message id that the mail answers, with its angle brackets. index: 27 bytes. topic: may be empty."""

    root: str
    index: bytes
    topic: str


def marks_of(mail: OutgoingMail) -> ThreadMarks | None:
    """The marks of a mail that has a thread. They are always the same for the same mail."""
    if mail.thread is None:
        return None
    name = identity(f"thread of {mail.scope}", mail.thread)
    topic = topic_of(mail.topic or mail.request.message.subject or "")[:LONGEST_TOPIC]
    return ThreadMarks(f"<{name}@{ROOTS}>", _index(bytes.fromhex(name), mail), topic)


def threaded(mail: OutgoingMail) -> SendMail:
    """The request with the marks of the mail's thread as extended properties; unchanged without a thread.

    Where the sender has set a mark, that group of marks stays the sender's.
    """
    marks = marks_of(mail)
    if marks is None:
        return mail.request
    message = mail.request.message
    values = {
        IN_REPLY_TO: marks.root,
        REFERENCES: marks.root,
        INDEX: base64.b64encode(marks.index).decode(),
        INDEX_TRACKING: "true",
        TOPIC: marks.topic,
    }
    taken = {_tag(one.id) for one in message.single_value_extended_properties or ()} - {0}  # in any type and spelling
    ours = tuple(
        SingleValueLegacyExtendedProperty(id=name, value=values[name])
        for group in GROUPS
        if taken.isdisjoint(_tag(name) for name in group)
        for name in group
        if values[name]
    )
    marked = msgspec.structs.replace(
        message, single_value_extended_properties=(*(message.single_value_extended_properties or ()), *ours)
    )
    return msgspec.structs.replace(mail.request, message=marked)


def topic_of(subject: str) -> str:
    """The part of a subject that is the same in all mails of its thread: always its end, as one line.

    `[Firing] Disk full`, `[RESOLVED:2] Disk full` and `RE: Disk full` have the topic `Disk full`. A subject of prefixes
    alone is its own topic.
    """
    line = _NOT_OF_A_LINE.sub(" ", subject).strip()
    start = 0
    for _ in range(MOST_PREFIXES):
        match = _PREFIX.match(line, start)
        if match is None:
            break
        start = match.end()
    return line[start:] or line


def _index(guid: bytes, mail: OutgoingMail) -> bytes:
    """A header and one response level: a reply to the root, at the mail's own time.

    Replies more than 1.7 years after the header have the delta code 1 and bits 23 to 53 of the difference. The last
    byte should be random; it is taken from the mail's id, so that a mail sent again is the same mail.
    """
    after = max(0, _filetime(mail.accepted_at) - _filetime(ROOT_TIME))
    header = b"\x01" + (_filetime(ROOT_TIME) >> 24).to_bytes(5)
    level = (1 << 31 | after >> 23 & (1 << 31) - 1).to_bytes(4)
    return header + guid + level + hashlib.sha256(mail.id.encode()).digest()[:1]


def _filetime(at: datetime) -> int:
    """[MS-DTYP] 2.3.3: units of 100 nanoseconds since 1601."""
    return (at - FILETIME_EPOCH) // timedelta(microseconds=1) * 10


def _tag(property_id: str) -> int:
    match = _TAG.fullmatch(property_id)
    tag = int(match[1], 16) if match else 0
    return tag >> 16 or tag  # 0x1042001F is 0x1042 with its type
