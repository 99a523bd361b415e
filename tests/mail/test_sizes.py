"""How many of each a mail may have, how large it may be, and how a large one gets into a draft."""

import base64
import json
from typing import Any

import msgspec
import pytest
from kiota_serialization_json.json_serialization_writer import JsonSerializationWriter

from shared.errors import Malformed
from shared.mail import limits
from shared.mail.attached_items import Event
from shared.mail.graph_types import ItemBody
from shared.mail.limits import MAX_FILES, MAX_REQUEST
from shared.mail.marker import with_marker
from shared.mail.model import Attachment, BlobAttachment, FileAttachment, ItemAttachment, Message, SendMail
from shared.mail.sdk_message import send_mail_body
from shared.mail.sizes import json_size, needs_draft, plan_of, request_size, size_with_marker
from shared.policy.size_limits import check_size
from tests.mail.samples import outgoing, person

SOMEONE = person("a@b.test")


def mail(**more: Any) -> SendMail:
    return SendMail(message=Message(to_recipients=(SOMEONE,), **more))


def test_500_recipients_in_all_pass() -> None:
    message = Message(to_recipients=(SOMEONE,) * 200, cc_recipients=(SOMEONE,) * 299, bcc_recipients=(SOMEONE,))
    limits.check(SendMail(message=message))
    limits.check(mail(reply_to=(SOMEONE,) * 501))


@pytest.mark.parametrize("name", ["to_recipients", "cc_recipients", "bcc_recipients"])
def test_recipients_of_each_list_count(name: str) -> None:
    limits.check(SendMail(message=Message(**{name: (SOMEONE,) * 500})))  # type: ignore[arg-type] # by name
    with pytest.raises(Malformed):
        limits.check(SendMail(message=Message(**{name: (SOMEONE,) * 501})))  # type: ignore[arg-type] # by name


@pytest.mark.parametrize("size", range(7))
def test_a_file_counts_as_its_base64_with_padding(size: int) -> None:
    content = json.dumps(base64.b64encode(bytes(size)).decode())
    assert json_size(file(size)) - json_size(file(0)) == len(content) - len('""')


def largest(spare: int) -> SendMail:
    """A mail whose request, marker included, is so many bytes below the limit."""
    empty = mail(attachments=(FileAttachment(name="a", content_bytes=b""),))
    marker = request_size(SendMail(message=with_marker(empty.message, "0" * 32))) - request_size(empty)
    room = MAX_REQUEST - request_size(empty) - marker - spare
    content, subject = divmod(room - len(', "subject": ""'), 4)
    file = FileAttachment(name="a", content_bytes=bytes(content * 3))
    return mail(attachments=(file,), subject="x" * subject)


def test_a_request_of_just_the_limit_passes_with_its_marker_and_one_byte_more_does_not() -> None:
    assert f"{MAX_REQUEST + 1}" in str(refused(largest(-1), large=False))
    full = largest(0)
    check_size(outgoing(full), large=False)
    writer = JsonSerializationWriter()
    whole = SendMail(message=with_marker(full.message, "0" * 32))
    writer.write_object_value(None, send_mail_body(whole))
    assert len(writer.get_serialized_content()) == MAX_REQUEST


@pytest.mark.parametrize("spare", [0, -1])
def test_a_mail_of_text_alone_is_measured_to_the_byte_as_well(spare: int) -> None:
    """Of characters that are longest in JSON, against their bytes in UTF-8; and of files that lie in blobs."""
    for grown in (
        mail(body=ItemBody(content="\x7f" * (MAX_REQUEST // 6 - 200))),
        mail(attachments=(blob(MAX_REQUEST // 4 * 3 - 600),)),
    ):
        room = MAX_REQUEST - size_with_marker(grown) - spare - len(', "subject": ""')
        message = msgspec.structs.replace(grown.message, subject="x" * room)
        assert needs_draft(SendMail(message=message)) is (spare < 0)


# Drafts.


def message(*attachments: Attachment, body: str = "") -> Message:
    return Message(body=ItemBody(content=body), to_recipients=(SOMEONE,), attachments=attachments or None)


def blob(size: int, name: str = "b") -> BlobAttachment:
    return BlobAttachment(name=name, blob="mail-attachments/b", size=size, etag="1")


def file(size: int, name: str = "f") -> FileAttachment:
    return FileAttachment(name=name, content_bytes=bytes(size))


def test_a_mail_that_fits_into_one_request_needs_no_draft() -> None:
    """Wherever its files lie: one in a blob counts as what it will be in the request."""
    assert not needs_draft(SendMail(message=message(file(2_900_000))))
    assert needs_draft(SendMail(message=message(file(3_000_000))))
    largest = (MAX_REQUEST - size_with_marker(SendMail(message=message(file(0))))) // 4 * 3
    assert not needs_draft(SendMail(message=message(file(largest))))
    assert not needs_draft(SendMail(message=message(blob(largest, "f"))))
    assert needs_draft(SendMail(message=message(blob(largest + 1, "f"))))


def test_the_draft_takes_what_fits_in_order_and_the_rest_follows_in_order() -> None:
    attachments = (file(1000, "a"), blob(5_000_000, "b"), file(1_500_000, "c"), blob(1_600_000, "d"), file(10, "e"))
    plan = plan_of(message(*attachments))
    assert [one.name for one in plan.first.attachments or ()] == ["a", "c", "e"]
    assert [one.name for one in plan.rest] == ["b", "d"]
    assert plan.names == ["a", "c", "e", "b", "d"]
    assert json_size(plan.first) <= MAX_REQUEST
    assert plan_of(message(blob(9_000_000))).first.attachments is None


@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize("spare", [0, -1])
def test_the_request_that_makes_the_draft_is_within_the_limit_to_the_byte(spare: int, files: int) -> None:
    attachments = [file(0)] * files
    around = json_size(message(*attachments)) + spare
    plan = plan_of(message(*attachments, body="." * (MAX_REQUEST - around)))
    assert len(plan.first.attachments or ()) == files + spare
    assert json_size(plan.first) <= MAX_REQUEST


def refused(mail: SendMail, *, large: bool = True) -> Malformed:
    with pytest.raises(Malformed) as caught:
        check_size(outgoing(mail), large=large)
    return caught.value


TOO_LARGE: dict[str, tuple[tuple[Attachment, ...], str]] = {
    "a file": ((file(1), blob(MAX_FILES + 1)), "$.message.attachments[1]"),
    "all files": ((blob(80_000_000), blob(70_000_001)), "$.message.attachments[1]"),
    "an attached item": (
        (ItemAttachment(name="i", item=Event(subject="x" * MAX_REQUEST)),),
        "$.message.attachments[0]",
    ),
}


@pytest.mark.parametrize(("attachments", "path"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_what_no_draft_can_carry_is_refused_with_its_place(attachments: Any, path: str) -> None:
    refusal = refused(SendMail(message=message(*attachments)))
    assert (refusal.status, refusal.path) == (413, path)
    check_size(outgoing(SendMail(message=message(blob(MAX_FILES)))), large=True)


def test_a_refusal_says_what_would_help() -> None:
    """What is sent as a draft is always kept, and nothing is changed silently."""
    large = SendMail(message=message(blob(5_000_000)))
    off = refused(large, large=False)
    assert (off.status, off.code, off.path) == (413, "RequestEntityTooLarge", "$")
    assert "MAIL_LARGE_ATTACHMENTS" in str(off)
    assert "Mail.ReadWrite" in str(off)
    unkept = refused(msgspec.structs.replace(large, save_to_sent_items=False))
    assert (unkept.status, unkept.path) == (400, "$.saveToSentItems")
    body = refused(SendMail(message=message(file(1), body="x" * MAX_REQUEST)))
    assert (body.status, body.path) == (413, "$")
    assert "MAIL_LARGE_ATTACHMENTS" not in str(body)
