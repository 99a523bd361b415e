"""What leads back to people: calendar content, by type, file name or beginning; headers, by their names."""

import base64
import json

import pytest

from shared.errors import Malformed
from shared.mail.attached_items import Contact, Event
from shared.mail.graph_types import SingleValueLegacyExtendedProperty
from shared.mail.model import Attachment, BlobAttachment, FileAttachment, ItemAttachment, Message
from shared.mail.parse import send_mail
from shared.mail.ways_back import NAME_NOBODY, NAME_RECIPIENTS, TAKEN_FOR_RECIPIENTS, invites, is_calendar

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


@pytest.mark.parametrize("name", sorted(name for name in TAKEN_FOR_RECIPIENTS if name.startswith("x-")))
def test_a_header_that_some_programs_take_recipients_from_is_refused_with_its_path(name: str) -> None:
    headers = [{"name": "x-kept", "value": "1"}, {"name": name.upper(), "value": "someone@fabrikam.test"}]
    people = [{"emailAddress": {"address": "adele@fabrikam.test"}}]
    with pytest.raises(Malformed) as caught:
        send_mail(json.dumps({"message": {"toRecipients": people, "internetMessageHeaders": headers}}).encode())
    assert caught.value.code == "InvalidInternetMessageHeaderCollection"
    assert caught.value.path == "$.message.internetMessageHeaders[1].name"


def test_no_header_that_names_recipients_is_among_those_that_name_nobody() -> None:
    assert not NAME_NOBODY & (NAME_RECIPIENTS | TAKEN_FOR_RECIPIENTS | {"reply-to"})
    assert all(name == name.lower() for name in NAME_NOBODY | NAME_RECIPIENTS | TAKEN_FOR_RECIPIENTS)
