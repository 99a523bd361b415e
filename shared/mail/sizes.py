"""Whether a mail fits into one request to Graph, as it will be sent: with its marker and the marks of its thread.

And how large it is, about, without writing it.
"""

from typing import Final

from shared.errors import Malformed
from shared.mail import limits
from shared.mail.model import BlobAttachment, FileAttachment
from shared.mail.outgoing import OutgoingMail
from shared.mail.request_size import check_sizes, file_size
from shared.mail.threading import threaded

__all__ = ["check_size", "weight"]

OF_A_PERSON: Final = 100  # bytes, about
OF_AN_ITEM: Final = 64 * 1024  # an attached message, event or contact: it may hold anything


def check_size(mail: OutgoingMail, *, large: bool) -> None:
    """large: whether it may go by way of a draft where it does not. Raises Malformed, see draft.check_sizes."""
    if mail.mime is None:
        check_sizes(threaded(mail), large=large)
        return
    from shared.mime.send import as_sent  # few mails need the readers of Python's email

    size = (len(as_sent(mail, mail.sender)) + 2) // 3 * 4
    if size > limits.MAX_REQUEST:
        text = (
            f"Found {size} bytes of MIME in base64; Graph takes {limits.MAX_REQUEST} at most. MIME cannot go by a "
            "draft: send larger files as attachments of a JSON message."
        )
        raise Malformed(413, "RequestEntityTooLarge", text, "$")


def weight(mail: OutgoingMail) -> int:
    """Bytes of a mail, about, with the files that it names."""
    if mail.mime is not None:
        return len(mail.mime)
    message = mail.request.message
    size = len(message.body.content) if message.body is not None and message.body.content is not None else 0
    for group in (message.to_recipients, message.cc_recipients, message.bcc_recipients):
        size += OF_A_PERSON * len(group or ())
    for one in message.attachments or ():
        size += file_size(one) if isinstance(one, FileAttachment | BlobAttachment) else OF_AN_ITEM
    for prop in message.single_value_extended_properties or ():
        size += len(prop.value)
    return size + OF_AN_ITEM * len(message.multi_value_extended_properties or ())
