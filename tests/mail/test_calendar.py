"""What some program takes for calendar content, by type, by file name or by how it begins; and what none does."""

import base64

import pytest

from shared.mail.graph_types import Contact, Event, SingleValueLegacyExtendedProperty
from shared.mail.model import Attachment, BlobAttachment, FileAttachment, ItemAttachment, Message
from shared.mail.ways_back import invites, is_calendar

ICS = b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nORGANIZER:mailto:adele@fabrikam.test\r\nEND:VEVENT\r\n"
PACKED = base64.b64encode(ICS)
CALENDARS = [
    ("", "invite.ics", b""), ("", "Invite.ICS ", b""), ("", "Invite.ics. ", b""), ("", "free.ifb", b""),
    ("", "old.vcs", b""), ("", "winmail.dat", b""), ("text/calendar; method=REQUEST; charset=utf-8", "", b""),
    ("Text/Calendar", "", b""), ("application/ics", "", b""), ("application/x-ics", "", b""),
    ("application/vnd.ms-tnef", "", b""), ("text/plain", "", ICS), ("", "", b"\xef\xbb\xbf\r\nbegin:vcalendar\r\n"),
    # messages that are files
    ("", "forwarded.eml", b"Subject: x\r\nContent-Type: Text/Calendar\r\n\r\nx"),
    ("message/rfc822", "", b"Content-Transfer-Encoding: base64\r\n\r\n" + PACKED),
    ("message/rfc822", "", b'Content-Type: application/octet-stream; name="=?utf-8?b?YS5pY3M=?="\r\n\r\n' + PACKED),
    ("message/rfc822", "", b'Content-Type: application/octet-stream; name="winmail.dat"\r\n\r\neJ8+'),
]  # fmt: skip
OTHERS = [
    ("application/pdf", "calendar.pdf", b""), ("", "ics", b""), ("text/calendars", "", b"x"),
    ("", "notes.txt", b"about BEGIN:VCALENDAR"),
    ("", "forwarded.eml", b"Subject: physics\r\n\r\nhttps://lectures.physics.example/"),
]  # fmt: skip


ROWS = [(*one, True) for one in CALENDARS] + [(*one, False) for one in OTHERS]


@pytest.mark.parametrize(("kind", "name", "content", "calendar"), ROWS)
def test_calendar_content_is_told_by_type_file_name_and_beginning(
    kind: str, name: str, content: bytes, *, calendar: bool
) -> None:
    assert is_calendar(kind, name, content) is calendar
    file = FileAttachment(name=name or "a.bin", content_type=kind or None, content_bytes=content)
    assert invites(file) is calendar


def item(of: Message | Event | Contact) -> ItemAttachment:
    return ItemAttachment(name="attached", item=of)


def of_class(tag: str) -> ItemAttachment:
    mark = SingleValueLegacyExtendedProperty(id=tag, value="IPM.Schedule.Meeting.Request")
    return item(Message(single_value_extended_properties=(mark,)))


INVITE = FileAttachment(name="invite.ics", content_bytes=b"x")
INVITING: list[Attachment] = [
    item(Event(subject="Lunch")),
    item(Message(subject="outer", attachments=(INVITE,))),
    item(Message(attachments=(item(Message(attachments=(item(Event()),))),))),
    of_class("String 0x001A"),
    of_class("string 0x1a"),
    of_class("String {00020328-0000-0000-c000-000000000046} Id 0x001a"),
    BlobAttachment(name="a", blob="mail-attachments/invite.ics"),
    BlobAttachment(name="a", blob="mail-attachments/a", content_type="text/calendar"),
]
NOT_INVITING: list[Attachment] = [
    item(Contact(display_name="Adele")),
    item(Message(attachments=(FileAttachment(name="a.txt", content_bytes=b"x"),))),
    BlobAttachment(name="invite", blob="mail-attachments/report.pdf"),
]


def test_attached_items_and_blobs_invite_by_what_they_hold_and_by_their_names() -> None:
    assert [one for one in INVITING if not invites(one)] == []
    assert [one for one in NOT_INVITING if invites(one)] == []
