"""The limits on the size of a mail and of a request, and the refusals beyond them.

Sources: https://learn.microsoft.com/graph/outlook-large-attachments, and those of mail/limits.py.
"""

import msgspec

from shared.errors import Malformed
from shared.mail.limits import MAX_FILES, MAX_REQUEST, too_large
from shared.mail.model import ItemAttachment, SendMail
from shared.mail.outgoing import OutgoingMail
from shared.mail.sizes import base64_size, file_size, json_size, needs_draft, size_with_marker
from shared.mail.threading import threaded


def check_size(mail: OutgoingMail, *, large: bool) -> None:
    """Check the size of a mail as it will be sent. large: whether it may go by way of a draft.

    Raises Malformed, 413 RequestEntityTooLarge, with the JSON path of what is too large; 400 for a large mail that is
    not to be kept: one that is sent from a draft always is.
    """
    if mail.mime is None:
        _check_json(threaded(mail), large=large)
        return
    from shared.mime.write import as_sent  # few mails need the readers of Python's email

    size = base64_size(len(as_sent(mail, mail.sender)))
    if size > MAX_REQUEST:
        raise _refusal(
            f"Found {size} bytes of MIME in base64; Graph takes {MAX_REQUEST} at most. MIME cannot go by a draft: send "
            "larger files as attachments of a JSON message."
        )


def _check_json(mail: SendMail, *, large: bool) -> None:
    if not needs_draft(mail):
        return
    size = size_with_marker(mail)
    if needs_draft(msgspec.structs.replace(mail, message=msgspec.structs.replace(mail.message, attachments=None))):
        raise too_large(size)  # whatever its attachments
    if not large:
        raise _drafts_are_off(size)
    total = 0
    for at, one in enumerate(mail.message.attachments or ()):
        if isinstance(one, ItemAttachment):
            what, found, most = "An attached item", json_size(one), MAX_REQUEST
        else:
            total += file_size(one)
            what, found, most = "The mail up to this file", total, MAX_FILES
        if found > most:
            raise _refusal(f"{what} has {found} bytes, expected {most} at most.", f"$.message.attachments[{at}]")
    if not mail.save_to_sent_items:
        text = (
            f"Found a request of {size} bytes. A mail above {MAX_REQUEST} is sent by way of a draft, which is "
            "always kept in Sent Items; expected true."
        )
        raise Malformed(400, "BadRequest", text, "$.saveToSentItems")


def body_too_large(size: int, most: int, *, large: bool) -> Malformed:
    """The refusal of an HTTP request whose body has more bytes than it may have."""
    if not large:
        return _drafts_are_off(size)
    return _refusal(
        f"Found a request of {size} bytes, expected {most} at most (MAIL_MAX_REQUEST_MB). Put larger files into a blob "
        'and attach them by reference: {"@odata.type": "#mailroom.blobAttachment", "name", "blob": "container/name"}.'
    )


def _drafts_are_off(size: int) -> Malformed:
    return _refusal(
        f"Found a request of {size} bytes; Graph takes {MAX_REQUEST} at most, attachments in base64 included. "
        "MAIL_LARGE_ATTACHMENTS=true lifts that; it needs the permission Mail.ReadWrite on the sender's mailbox."
    )


def _refusal(text: str, path: str = "$") -> Malformed:
    return Malformed(413, "RequestEntityTooLarge", text, path)
