"""Sending: sendMail with JSON or MIME, and the checks that every mail passes before it is accepted."""

from typing import Any

from starlette.responses import Response

from sandbox.cloud import wire
from sandbox.cloud.calls import Call
from sandbox.cloud.errors import Refusal
from sandbox.cloud.mime_content import decode_mime, read_mime
from sandbox.cloud.recipients import address_of, check_recipients, is_address, recipients_of
from sandbox.cloud.state import Submission


async def send_mail(call: Call) -> Response:
    """`POST …/sendMail`: 202 with an empty body."""
    media_type = call.media_type()
    if media_type == "text/plain":
        raw = decode_mime(call.body)
        submission = Submission(call.mailbox, read_mime(raw), save=True, via="mime", mime=raw)
    elif media_type == "application/json":
        message, save = wire.read_send_mail(call.body)
        submission = Submission(call.mailbox, message, save, via="sendMail")
    else:
        raise Refusal(415, "UnsupportedMediaType", f"Expected application/json or text/plain, found {media_type}.")
    check_can_be_sent(call, submission.message)
    call.cloud.accept(submission, call.ids, call.headers())
    return Response(status_code=202)


def check_can_be_sent(call: Call, message: dict[str, Any]) -> None:
    """Recipients, sender and size. Raises Refusal 400 or 403."""
    check_recipients(recipients_of(message))
    for recipient in message.get("replyTo") or ():
        if not is_address(address_of(recipient) or ""):
            raise Refusal(400, "ErrorInvalidRecipients", "A recipient in replyTo is not valid.")
    for name in ("from", "sender"):
        if message.get(name) is None:
            continue
        address = address_of(message[name]) or ""
        if not call.cloud.directory.may_send_as(call.mailbox, address):
            text = (
                "The user account which was used to submit this request does not have the right to send mail "
                "on behalf of the specified sending account."
            )
            raise Refusal(403, "ErrorSendAsDenied", text)
    size = _size(message)
    if size > call.cloud.settings.message_size_limit:
        text = f"The message exceeds the maximum supported size ({size} bytes)."
        raise Refusal(400, "ErrorMessageSizeExceeded", text)


def _size(message: dict[str, Any]) -> int:
    content = (message.get("body") or {}).get("content") or ""
    attached = sum(len(attachment.get("contentBytes") or "") for attachment in message.get("attachments") or ())
    return len(content.encode()) + attached * 3 // 4
