import json
from typing import Any

import pytest
from kiota_serialization_json.json_serialization_writer import JsonSerializationWriter

from shared.errors import Malformed
from shared.mail import limits
from shared.mail.marker import with_marker
from shared.mail.model import EmailAddress, FileAttachment, Message, Recipient, SendMail
from shared.mail.parse import send_mail
from shared.mail.sdk_message import send_mail_body

SOMEONE = Recipient(email_address=EmailAddress(address="a@b.test"))


def mail(**more: Any) -> SendMail:
    return SendMail(message=Message(to_recipients=(SOMEONE,), **more))


def test_500_recipients_in_all_pass() -> None:
    message = Message(to_recipients=(SOMEONE,) * 200, cc_recipients=(SOMEONE,) * 299, bcc_recipients=(SOMEONE,))
    limits.check(SendMail(message=message))


@pytest.mark.parametrize("name", ["to_recipients", "cc_recipients", "bcc_recipients"])
def test_recipients_of_each_list_count(name: str) -> None:
    limits.check(SendMail(message=Message(**{name: (SOMEONE,) * 500})))  # type: ignore[arg-type] # by name
    with pytest.raises(Malformed):
        limits.check(SendMail(message=Message(**{name: (SOMEONE,) * 501})))  # type: ignore[arg-type] # by name


def test_reply_to_is_no_recipient() -> None:
    limits.check(mail(reply_to=(SOMEONE,) * 501))


def test_the_path_is_below_where_the_message_was_written() -> None:
    with pytest.raises(Malformed) as caught:
        limits.check(mail(attachments=(FileAttachment(name="a", content_bytes=b""),) * 251), "$.Message")
    assert caught.value.path == "$.Message.attachments[250]"


def largest(spare: int) -> SendMail:
    """A mail whose request, marker included, is so many bytes below the limit."""
    empty = mail(attachments=(FileAttachment(name="a", content_bytes=b""),))
    marker = limits.request_size(SendMail(message=with_marker(empty.message, "0" * 32))) - limits.request_size(empty)
    room = limits.MAX_REQUEST - limits.request_size(empty) - marker - spare
    content, subject = divmod(room - len(', "subject": ""'), 4)
    file = FileAttachment(name="a", content_bytes=bytes(content * 3))
    return mail(attachments=(file,), subject="x" * subject)


def test_a_request_of_just_the_limit_passes_with_its_marker() -> None:
    full = largest(0)
    limits.check_size(full)
    writer = JsonSerializationWriter()
    whole = SendMail(message=with_marker(full.message, "0" * 32))
    writer.write_object_value(None, send_mail_body(whole))
    assert len(writer.get_serialized_content()) == limits.MAX_REQUEST


def test_one_byte_more_is_413_with_the_limit_named() -> None:
    with pytest.raises(Malformed) as caught:
        limits.check_size(largest(-1))
    assert (caught.value.status, caught.value.code, caught.value.path) == (413, "RequestEntityTooLarge", "$")
    assert f"{limits.MAX_REQUEST}" in str(caught.value)
    assert f"{limits.MAX_REQUEST + 1}" in str(caught.value)


def test_letters_outside_ascii_count_as_the_sdk_escapes_them() -> None:
    """A body that fits as UTF-8 and not as it is sent is refused, not sent."""
    to = [{"emailAddress": {"address": "a@b.test"}}]
    body = {"message": {"toRecipients": to, "body": {"content": "é" * 1_000_000}}}
    read = send_mail(json.dumps(body, ensure_ascii=False).encode())
    with pytest.raises(Malformed) as caught:
        limits.check_size(read)
    assert caught.value.status == 413
