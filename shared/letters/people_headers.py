"""Headers beside To, Cc and Bcc that name people: names in lower case. Some programs act on them.

Both ways in, JSON and MIME, refuse the first group; when a mail goes to other people than it was meant for, the others
must not lead back to those.
"""

from typing import Final

__all__ = ["ASK_FOR_ANSWERS", "NAME_RECIPIENTS", "TAKEN_FOR_RECIPIENTS"]

TAKEN_FOR_RECIPIENTS: Final = frozenset({"apparently-to", "x-receiver", "x-ms-exchange-organization-bcc"})
NAME_RECIPIENTS: Final = frozenset(
    {
        "delivered-to", "envelope-to", "original-recipient", "received", "x-delivered-to", "x-envelope-to",
        "x-forwarded-to", "x-original-recipient", "x-original-to", "x-rcpt-to", "x-to",
    }
)  # fmt: skip
ASK_FOR_ANSWERS: Final = frozenset(
    {
        "disposition-notification-to", "errors-to", "list-help", "list-owner", "list-post", "list-unsubscribe",
        "list-unsubscribe-post", "mail-followup-to", "mail-reply-to", "return-path", "return-receipt-to",
        "x-confirm-reading-to",
    }
)  # fmt: skip
