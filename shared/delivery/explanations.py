"""Explains a mail's state to people, in one sentence that contains nothing of the mail's content."""

import re
from typing import TYPE_CHECKING, Final

from shared.errors import Refused

if TYPE_CHECKING:
    from shared.delivery.row import Row

LONGEST: Final = 500
# An address may be the name of a property, which a path holds.
_ADDRESS: Final = re.compile(r"[^\s\"'`\[\]@]{1,320}@(?!odata\.)[\w.-]+")

_BY_CODE: Final = {
    # Mailroom's own
    "Abandoned": "The process died during the attempt, before the caller was answered.",
    "Crashed": "Its message failed repeatedly until the mail was too old.",
    "NotStored": "Mailroom's storage could not be reached; the caller was told so.",
    "PayloadMissing": "Its content has been removed from storage.",
    "TooOld": "It could not be sent within MAIL_MAX_AGE_HOURS.",
    "connect": "Microsoft Graph could not be reached.",
    "lease": "The claim on the mail was about to expire, so nothing was sent.",
    "identity": "The managed identity did not return a token.",
    "policy": "The suppression list could not be read.",
    "storage": "A file of the mail could not be read from storage.",
    "timeout": "Graph did not answer in time.",
    "connection": "The connection broke before Graph answered.",
    # Graph's
    "ApplicationThrottled": "Graph accepts no more requests for this mailbox at the moment.",
    "TooManyRequests": "Graph accepts no more requests for this mailbox at the moment.",
    "ErrorAccessDenied": "The managed identity is not allowed to send as this mailbox.",
    "ErrorSendAsDenied": "The mailbox is not allowed to send as the address in from or sender.",
    "ErrorExceededMessageLimit": "The mailbox has reached its sending limit.",
    "ErrorQuotaExceeded": "The Sent Items folder of the mailbox is full.",
    "ErrorInvalidRecipients": "Graph did not accept one of the recipients.",
    "ErrorInvalidUser": "The mailbox does not exist.",
    "MailboxNotEnabledForRESTAPI": "The mailbox cannot be used through Graph.",
    "ErrorMessageSizeExceeded": "The mail is larger than the mailbox may send.",
}
_BY_STATE: Final = {
    "suppressed": "All of its recipients are on the suppression list.",
    "captured": "MAIL_MODE is capture: nothing is sent.",
    "cancelled": "It was cancelled before it was sent.",
    "review": "It may have been sent, and its mailbox could not be asked.",
}


def said(refusal: Refused) -> str:
    """What a refusal says, with its place. Properties may have an address for a name; those are left out."""
    return _ADDRESS.sub("…", str(refusal)[: LONGEST + 1])[:LONGEST]


def reason_of(row: "Row") -> str | None:
    """Why it has ended like this, or still waits; None where there is nothing to explain."""
    if row.reason is not None:
        return row.reason
    if row.code is not None and row.state != "sent":
        answer = f" Graph answered {row.status}." if row.status is not None else ""
        return _BY_CODE.get(row.code, f"{row.code}.") + answer
    return _BY_STATE.get(row.state)


def facts(row: "Row") -> dict[str, str]:
    """What the metadata of `mail-dead` say of a mail: in ASCII, as HTTP wants them, and without its content."""
    times = {"accepted": row.accepted_at, "attempted": row.attempted_at, "ended": row.settled_at}
    texts = {
        "intake": row.intake,
        "caller": row.caller,
        "route": row.route,
        "sender": row.mailbox,
        "key": row.key,
        **{name: at.isoformat() for name, at in times.items() if at is not None},
        "code": row.code,
        "explanation": reason_of(row),
    }
    return {name: text.encode("unicode_escape").decode() for name, text in texts.items() if text}
