"""What holds at the last moment, immediately before a mail's request to Graph: also for what waited or was replayed.

    1. the rules   all of `admit` once more: they may have changed since the mail came in      failed, with their code
                   (not of a mail that this process has admitted within the same request)
    2. suppressed  recipients who must not be mailed are left out; when nobody is left         suppressed
    3. MAIL_MODE   live: as it is; redirect: to MAIL_REDIRECT_TO alone (redirect.py);
                   capture: recorded, not sent                                                 captured

So what is captured or redirected has passed what would have held for it live. MAIL_REDIRECT_TO is the operator's own
word: neither MAIL_ALLOWED_RECIPIENTS nor the suppression list is asked about it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

import msgspec

from shared.errors import Malformed, NotAllowed
from shared.mail.model import Message, Recipient
from shared.mail.names import Mode
from shared.mail.outgoing import OutgoingMail
from shared.policy.admit import Rules, admit
from shared.policy.redirect import redirected_mail

__all__ = ["LISTS", "Goes", "LastRules", "Mode", "Withheld", "before_send", "count_of", "recipients_of"]

LISTS: Final = ("to_recipients", "cc_recipients", "bcc_recipients")


class LastRules(Rules, Protocol):
    """The settings that decide; config.Settings is one."""

    @property
    def mode(self) -> Mode: ...

    @property
    def redirect_to(self) -> str | None:
        """An address; given where mode is redirect."""


@dataclass(frozen=True, slots=True)
class Goes:
    """Send this mail: the one that was asked for, or with other recipients. left_out: suppressed recipients."""

    mail: OutgoingMail
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Withheld:
    """Send nothing: the mail ends in this state. status, code, message: of the rule that no longer allows it."""

    state: Literal["suppressed", "captured", "failed"]
    left_out: int = 0
    status: int | None = None
    code: str | None = None
    message: str = ""


def before_send(
    mail: OutgoingMail, rules: LastRules, suppressed: frozenset[str], *, admitted: bool = False
) -> Goes | Withheld:
    """What becomes of a mail now.

    suppressed: its recipients' addresses, as written, that are on the list. admitted: by these rules, a moment ago.
    """
    if not admitted:
        try:
            admit(mail, rules)
        except NotAllowed as refusal:
            return Withheld("failed", status=refusal.status, code=refusal.code, message=str(refusal))
    message, left_out = _without(mail.request.message, suppressed)
    if left_out and not any(getattr(message, name) for name in LISTS):
        return Withheld("suppressed", left_out)
    if rules.mode == "capture":
        return Withheld("captured", left_out)
    if left_out:
        mail = replace(mail, request=msgspec.structs.replace(mail.request, message=message))
    if rules.mode == "redirect" and rules.redirect_to is not None:
        try:
            mail = redirected_mail(mail, rules.redirect_to)
        except Malformed as refusal:  # a MIME mail that was taken under the rules of another version
            return Withheld("failed", left_out, refusal.status, refusal.code, str(refusal))
    return Goes(mail, left_out)


def recipients_of(message: Message) -> Iterator[Recipient]:
    """To, cc and bcc."""
    for name in LISTS:
        yield from getattr(message, name) or ()


def count_of(message: Message) -> int:
    """How many recipients a message has."""
    return sum(1 for _ in recipients_of(message))


def _without(message: Message, suppressed: frozenset[str]) -> tuple[Message, int]:
    if not suppressed:
        return message, 0
    left: dict[str, tuple[Recipient, ...] | None] = {}
    count = 0
    for name in LISTS:
        there = getattr(message, name) or ()
        kept = tuple(one for one in there if one.email_address.address not in suppressed)
        count += len(there) - len(kept)
        left[name] = kept or None
    return (msgspec.structs.replace(message, **left), count) if count else (message, 0)
