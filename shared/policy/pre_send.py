"""The policy that is applied immediately before a mail is sent, also if the mail has waited or is replayed.

    1. the rules   all of `admit` again, because they may have changed since the mail came in  failed, with their code
                   (not if this process has admitted the mail in the same request)
    2. suppressed  recipients on the suppression list are left out; if nobody is left          suppressed
    3. MAIL_MODE   live: no change; redirect: only to MAIL_REDIRECT_TO (redirect.py);
                   capture: recorded, not sent                                                 captured

So a captured or redirected mail has passed every rule for live mail. MAIL_REDIRECT_TO is the operator's own decision:
neither MAIL_ALLOWED_RECIPIENTS nor the suppression list applies to it.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import msgspec

from shared.errors import Malformed, NotAllowed
from shared.event_loop import aside
from shared.mail.model import LISTS, Message
from shared.mail.outgoing import OutgoingMail
from shared.policy.admit import admit
from shared.policy.redirect import redirected_mail

if TYPE_CHECKING:
    from shared.policy.suppression import SuppressionList
    from shared.settings.config import Settings


@dataclass(frozen=True, slots=True)
class Goes:
    """Send this mail, perhaps with other recipients. left_out: how many recipients are suppressed."""

    mail: OutgoingMail
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Declined:
    """Do not send the mail; it ends in this state. status, code, message: of the rule that no longer allows it."""

    state: Literal["suppressed", "captured", "failed"]
    left_out: int = 0
    status: int | None = None
    code: str | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class PreSendPolicy:
    """One for a process."""

    settings: "Settings"
    suppressions: "SuppressionList"

    async def verdict(self, mail: OutgoingMail, *, admitted: bool = False) -> Goes | Declined:
        """What may be sent of a mail now. admitted: by the same settings, a moment ago.

        Raises AzureError when the list cannot be read: then nothing may be sent.
        """
        message = mail.request.message
        suppressed = await self.suppressions.among(one.email_address.address for one in message.recipients)
        if mail.mime is None:
            return before_send(mail, self.settings, suppressed, admitted=admitted)
        # To redirect MIME is to read it once more.
        return await aside(len(mail.mime), before_send, mail, self.settings, suppressed, admitted=admitted)


def before_send(
    mail: OutgoingMail, settings: "Settings", suppressed: frozenset[str], *, admitted: bool = False
) -> Goes | Declined:
    """Apply the policy, given which of the recipients' addresses (as written) are suppressed."""
    if not admitted:
        try:
            admit(mail, settings)
        except NotAllowed as refusal:
            return Declined("failed", status=refusal.status, code=refusal.code, message=str(refusal))
    left_out = 0
    if suppressed:
        message, left_out = _without(mail.request.message, suppressed)
        if left_out and not message.recipients:
            return Declined("suppressed", left_out)
        mail = replace(mail, request=msgspec.structs.replace(mail.request, message=message))
    if settings.mode == "capture":
        return Declined("captured", left_out)
    if settings.mode == "redirect" and settings.redirect_to is not None:
        try:
            mail = redirected_mail(mail, settings.redirect_to)
        except Malformed as refusal:  # a MIME mail that was accepted under the rules of another version
            return Declined("failed", left_out, refusal.status, refusal.code, str(refusal))
    return Goes(mail, left_out)


def _without(message: Message, suppressed: frozenset[str]) -> tuple[Message, int]:
    """The message without these recipients, and how many were left out."""
    left = {
        name: tuple(one for one in getattr(message, name) or () if one.email_address.address not in suppressed) or None
        for name in LISTS
    }
    kept = msgspec.structs.replace(message, **left)
    return kept, len(message.recipients) - len(kept.recipients)
