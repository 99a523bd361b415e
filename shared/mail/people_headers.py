"""Headers by what they can do with people: names in lower case.

Both ways in, JSON and MIME, refuse the first group. The second goes when a recipient is left out of a mail. When a mail
is redirected to other people, only the third stays: what is not known there might lead back to the recipients.
"""

from typing import Final

TAKEN_FOR_RECIPIENTS: Final = frozenset({"apparently-to", "x-receiver", "x-ms-exchange-organization-bcc"})
NAME_RECIPIENTS: Final = frozenset(
    {
        "delivered-to", "envelope-to", "original-recipient", "received", "x-delivered-to", "x-envelope-to",
        "x-forwarded-to", "x-original-recipient", "x-original-to", "x-rcpt-to", "x-to",
    }
)  # fmt: skip
# From and Sender are mailboxes that Mailroom may send as. To, Cc and Bcc are among these, since they are written anew.
NAME_NOBODY: Final = frozenset(
    {
        "from", "sender", "to", "cc", "bcc", "subject", "date",
        "message-id", "in-reply-to", "references", "thread-index", "thread-topic",
        "mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-id",
        "content-description", "content-language",
        "importance", "priority", "x-priority", "x-msmail-priority", "sensitivity", "precedence",
        "auto-submitted", "x-auto-response-suppress", "user-agent", "x-mailer",
        "x-mailroom-event",
    }
)  # fmt: skip
