"""Decides who gets the mail of an event: the route's own recipients, those that the event names, or MAIL_TO.

If a route has both, its own recipients get the mails of events whose recipients cannot be used.

If the route allows it, a mail with more recipients than Graph accepts is split into several parts. Each recipient is in
exactly one part, in the order to, cc, bcc, and keeps that role, so a part may have only cc or bcc. Recipients of
different parts do not see each other. A recipient who is listed several times gets one mail, in the first role. The ids
of the parts follow from the mail's id, and the first part has that id itself, so a redelivery creates the same parts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import batched
from typing import Any, Final

import msgspec

from shared.errors import Malformed, NotAllowed
from shared.mail.addresses import AddressesOfMail, canonical
from shared.mail.graph_types import EmailAddress, Recipient
from shared.mail.limits import MAX_RECIPIENTS
from shared.mail.model import LISTS, Message
from shared.mail.outgoing import OutgoingMail, identity
from shared.settings.config import Settings
from shared.telemetry import LogEvent, emit
from shared.webhooks.routing.route import Route, RouteRules, RouteUnusable
from shared.webhooks.sources.expressions import search

Recipients = tuple[Recipient, ...] | None
MOST: Final = 5_000  # recipients of one event's mail; ours: the mailbox's day has 10,000


def check_fixed(route: Route, settings: Settings) -> None:
    """Raise RouteUnusable where a route's own recipients, or those of MAIL_TO, are missing or not allowed."""
    everyone = [rules for _, rules in route.every_rules()]
    if not any(rules.recipients or rules.recipients_from for rules in everyone):
        _require_mail_to(settings)
    lists = [getattr(rules, name) or () for rules in everyone for name in ("recipients", "cc", "bcc")]
    for name, addresses in (("MAIL_TO", settings.to), ("The route", [one for some in lists for one in some])):
        if not all(settings.allowed_recipients.allow(address) for address in addresses):
            raise RouteUnusable(f"{name} has a recipient that MAIL_ALLOWED_RECIPIENTS does not allow.")


def recipients_of(
    route: Route, rules: RouteRules, settings: Settings, event: Mapping[str, Any]
) -> tuple[Recipients, Recipients, Recipients]:
    """To, cc and bcc. event: as JMESPath sees it.

    Raises RouteUnusable; Malformed and NotAllowed where the recipients that the event names cannot be used.
    """
    cc, bcc = rules.cc or (), rules.bcc or ()
    to: Sequence[str] = rules.recipients or settings.to
    if rules.recipients_from:
        to = _named_or_fixed(event, route, rules, rules.recipients_from, settings)
    elif not (to or cc or bcc):
        _require_mail_to(settings)
    return people(to), people(cc), people(bcc)


def people(addresses: Sequence[str]) -> Recipients:
    """The addresses as a list of recipients; None for an empty one."""
    return tuple(Recipient(email_address=EmailAddress(address=address)) for address in addresses) or None


def parts_of(mail: OutgoingMail, *, split: bool) -> tuple[OutgoingMail, ...]:
    """The mail itself, or its parts. Raises Malformed where there are too many recipients."""
    count = len(mail.request.message.recipients)
    _check_count(count, split=split)
    if count <= MAX_RECIPIENTS:
        return (mail,)
    parts = batched(_once(mail.request.message), MAX_RECIPIENTS, strict=False)
    return tuple(_part(mail, number, group) for number, group in enumerate(parts))


def _require_mail_to(settings: Settings) -> None:
    if not settings.to:
        raise RouteUnusable("MAIL_TO is not set, and the route names no recipients of its own.")


def _named_or_fixed(
    event: Mapping[str, Any], route: Route, rules: RouteRules, path: str, settings: Settings
) -> Sequence[str]:
    """The addresses at this path; the route's own where it has some, and one of the event's cannot be used."""
    try:
        named = _named_by(event, route, rules, path)
    except (Malformed, NotAllowed) as error:
        if not rules.recipients:
            raise
        code = error.code
    else:
        if not rules.recipients or all(map(settings.allowed_recipients.allow, named)):
            return named  # without recipients of the route's own, `admit` refuses what is not allowed
        code = "ErrorAccessDenied"
    emit(LogEvent.EVENT_RECIPIENTS_UNUSABLE, route=route.name, code=code)
    return rules.recipients


def _named_by(event: Mapping[str, Any], route: Route, rules: RouteRules, path: str) -> list[str]:
    """The addresses at this path. They are counted before any of them is examined."""
    found = search(path, event)
    to = [found] if isinstance(found, str) else found
    if not isinstance(to, list) or not to:
        raise Malformed(400, "ErrorMissingRecipients", "The event has no recipient.", path)
    _check_count(len(to), split=rules.split_recipients is True)
    several, addresses = AddressesOfMail(), []
    for address in to:
        try:
            addresses.append(several.checked(address if isinstance(address, str) else ""))
        except ValueError as error:
            text = f"Found no address that mail can be sent to. {error}"
            raise Malformed(400, "ErrorInvalidRecipients", text, path) from None
    if route.allow is None or not all(map(route.allow.allow, addresses)):
        raise NotAllowed("The route's list `allow` does not allow this recipient.", "ErrorAccessDenied", path)
    return addresses


def _check_count(count: int, *, split: bool) -> None:
    """Raise Malformed where a mail of a route may not have so many recipients."""
    most = f"Graph sends to at most {MAX_RECIPIENTS}. split_recipients makes several mails"
    if count > MOST or (count > MAX_RECIPIENTS and not split):
        expected = f"expected at most {MOST}" if split else most
        raise Malformed(400, "ErrorInvalidRecipients", f"Found {count} recipients; {expected}.")


def _once(message: Message) -> Iterator[tuple[str, Recipient]]:
    """Each recipient once, with the list they are in."""
    seen = set[str]()
    for name in LISTS:
        for recipient in getattr(message, name) or ():
            mailbox = canonical(recipient.email_address.address)
            if mailbox not in seen:
                seen.add(mailbox)
                yield name, recipient


def _part(outgoing: OutgoingMail, number: int, group: tuple[tuple[str, Recipient], ...]) -> OutgoingMail:
    lists = {name: tuple(one for its, one in group if its == name) or None for name in LISTS}
    message = msgspec.structs.replace(outgoing.request.message, **lists)
    mail = msgspec.structs.replace(outgoing.request, message=message)
    if number == 0:
        return replace(outgoing, request=mail)

    def part_of(mail_id: str) -> str:
        return identity(outgoing.scope, f"part {number} of {mail_id}")

    mail_id = part_of(outgoing.id)
    repeats = outgoing.repeats and replace(outgoing.repeats, of=part_of(outgoing.repeats.of))
    fingerprint = identity(outgoing.scope, f"fingerprint of {mail_id}")
    return replace(outgoing, id=mail_id, fingerprint=fingerprint, request=mail, repeats=repeats, signed=None)
