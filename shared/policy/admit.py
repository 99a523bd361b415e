"""Admission: decides who may send as whom to whom, for every way in. Closed by default.

The checks in their order; the first refusal is the answer. `those` are the origins that have a rule in MAIL_CALLERS:

    caller       application, user   MAIL_CALLERS names the application id           ErrorAccessDenied
                 queue               it may name the queue; then that rule applies
    own mailbox  user                the mailbox is the token's own object id        ErrorSendAsDenied
    mailbox      those               the caller's `senders` allow it                 ErrorSendAsDenied
                 all                 MAIL_ALLOWED_SENDERS allows it; for a route     ErrorSendAsDenied
                                     MAIL_SENDER, where that is not set
    authors      user                the mail names no `from` or `sender` (see below)  ErrorSendAsDenied
                 others              both rules for mailboxes apply to them too      ErrorSendAsDenied
    recipients   those               the caller's `recipients`, if given, allow all  ErrorAccessDenied
                 all                 MAIL_ALLOWED_RECIPIENTS allows all              ErrorAccessDenied
    properties   all                 extended properties are on the list             ErrorAccessDenied
                                     (extended_properties.py)

Over HTTP `caller`, `own mailbox` and `mailbox` are checked before the body is read. Recipients are to, cc and bcc.
These are not recipients: replyTo, because this mail is not sent there; the headers of a MIME mail that ask for
receipts; people in an attached message, event or contact. A user's mail may not set `from` or `sender`, because they
name the user by an address, and a token proves no address.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from shared.errors import NotAllowed
from shared.settings.address_patterns import Patterns

if TYPE_CHECKING:
    from shared.mail.model import Message
    from shared.mail.outgoing import Origin, OutgoingMail
    from shared.settings.caller_rules import CallerRule
    from shared.settings.config import Settings
    from shared.settings.extended_properties import ExtendedProperties

NOT_IN_A_MAILBOX: Final = re.compile(r"[/\\?#%\s]")


def admit_sender(origin: "Origin", sender: str, settings: "Settings") -> None:
    """Check, before the body is read, whether this origin may send from this mailbox, or from every one of this pool.

    sender: as `mailbox_name` gives it. Raises NotAllowed.
    """
    rule = _rule(origin, settings)
    if NOT_IN_A_MAILBOX.search(sender):
        # It goes into the path of a URL; what RFC 5321 allows in an address beyond that is not worth the risk.
        raise NotAllowed("The sender is neither a mailbox nor a pool.", "ErrorSendAsDenied")
    if origin.kind == "user" and (not origin.user or sender.lower() != origin.user.lower()):
        text = "A delegated token can send only as its user's mailbox, named by the user's object id."
        raise NotAllowed(text, "ErrorSendAsDenied")
    # Of a pool any member may be chosen later, so each must be allowed now.
    mailboxes = settings.sender_pools.get(sender, (sender,))
    _check_senders(origin, rule, [(None, mailbox) for mailbox in mailboxes], settings)


def admit(mail: "OutgoingMail", settings: "Settings") -> None:
    """Check whether this origin may send this mail. Raises NotAllowed with the rule that refused, and no address.

    Its path is that in JSON, with `message` in lower case, or names the header of a MIME mail; that of the mailbox
    itself, which stands in the URL, is None.
    """
    origin, message = mail.origin, mail.request.message
    admit_sender(origin, mail.sender, settings)
    rule = _rule(origin, settings)
    senders = list(_senders(mail))
    if origin.kind == "user" and senders:
        raise NotAllowed("With a delegated token, leave from and sender out.", "ErrorSendAsDenied", senders[0][0])
    _check_senders(origin, rule, senders, settings)
    recipients = list(_recipients(mail))
    if rule is not None and rule.recipients is not None:
        _check_all(rule.recipients, recipients, "MAIL_CALLERS does not let this caller send to this recipient.")
    _check_all(settings.allowed_recipients, recipients, "MAIL_ALLOWED_RECIPIENTS does not allow this recipient.")
    for path in _refused_properties(message, settings.extended_properties):
        text = "This extended property is not allowed, or not in this spelling; see MAIL_EXTENDED_PROPERTIES."
        raise NotAllowed(text, "ErrorAccessDenied", path)


def _rule(origin: "Origin", settings: "Settings") -> "CallerRule | None":
    """The rule of this origin in MAIL_CALLERS, if any. Raises NotAllowed for a caller over HTTP that has none."""
    rule = None if origin.kind == "route" else settings.callers.get(origin.name.lower())
    if rule is None and origin.kind in ("application", "user"):
        raise NotAllowed("MAIL_CALLERS does not name this caller.")
    return rule


def _check_senders(
    origin: "Origin", rule: "CallerRule | None", senders: list[tuple[str | None, str]], settings: "Settings"
) -> None:
    denied = "ErrorSendAsDenied"
    if rule is not None:
        _check_all(rule.senders, senders, "MAIL_CALLERS does not let this caller send as this mailbox.", denied)
    own = settings.route_senders if origin.kind == "route" else None
    allowed = settings.allowed_senders if own is None else own
    _check_all(allowed, senders, "MAIL_ALLOWED_SENDERS does not allow this sender.", denied)


def _check_all(
    patterns: Patterns, addresses: list[tuple[str | None, str]], refusal: str, code: str = "ErrorAccessDenied"
) -> None:
    for path, address in addresses:
        if not patterns.allow(address):
            raise NotAllowed(refusal, code, path)


def _senders(mail: "OutgoingMail") -> Iterator[tuple[str | None, str]]:
    message, mime = mail.request.message, mail.mime is not None
    for name, recipient in (("from", message.from_), ("sender", message.sender)):
        if recipient is not None:
            place = name.capitalize() if mime else f"$.message.{name}.emailAddress.address"
            yield place, recipient.email_address.address


def _recipients(mail: "OutgoingMail") -> Iterator[tuple[str | None, str]]:
    message, mime = mail.request.message, mail.mime is not None
    lists = {"to": message.to_recipients, "cc": message.cc_recipients, "bcc": message.bcc_recipients}
    for name, recipients in lists.items():
        for at, recipient in enumerate(recipients or ()):
            path = f"$.message.{name}Recipients[{at}].emailAddress.address"
            yield f"{name.capitalize()}, address {at + 1}" if mime else path, recipient.email_address.address


def _refused_properties(message: "Message", allowed: "ExtendedProperties") -> Iterator[str]:
    """The JSON paths of the extended properties that the message may not set."""
    for name in ("single", "multi"):
        for at, one in enumerate(getattr(message, f"{name}_value_extended_properties") or ()):
            if not allowed.allow(one.id):
                yield f"$.message.{name}ValueExtendedProperties[{at}].id"
