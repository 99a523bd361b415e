"""A mail of a route to more recipients than Graph takes in one: several mails, where the route wants that.

Each recipient is in exactly one part, in the order to, cc, bcc, and stays what it was: a part may have only cc or bcc.
So recipients of different parts do not see each other. Whoever stands in several lists, or twice in one, is mailed
once, in the first. Parts have ids of their own that follow from the mail's, the first part that id itself: a redelivery
makes the same ones.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import batched
from typing import Final

import msgspec

from shared.errors import Malformed
from shared.mail.addresses import canonical
from shared.mail.graph_types import Recipient
from shared.mail.limits import MAX_RECIPIENTS
from shared.mail.model import Message
from shared.mail.outgoing import OutgoingMail, identity
from shared.policy.pre_send import LISTS, count_of

__all__ = ["MOST", "check_count", "parts_of"]

MOST: Final = 5_000  # recipients of one event's mail; ours: the mailbox's day has 10,000


def parts_of(mail: OutgoingMail, *, split: bool) -> tuple[OutgoingMail, ...]:
    """The mail itself, or its parts. Raises Malformed where there are too many recipients."""
    count = count_of(mail.request.message)
    check_count(count, split=split)
    if count <= MAX_RECIPIENTS:
        return (mail,)
    parts = batched(_once(mail.request.message), MAX_RECIPIENTS, strict=False)
    return tuple(_part(mail, number, group) for number, group in enumerate(parts))


def check_count(count: int, *, split: bool) -> None:
    """Raise Malformed where a mail of a route may not have so many recipients. Counted before any is looked at."""
    if count > MAX_RECIPIENTS and not split:
        text = (
            f"Found {count} recipients; Graph sends to {MAX_RECIPIENTS} at most. split_recipients makes several mails."
        )
        raise Malformed(400, "ErrorInvalidRecipients", text)
    if count > MOST:
        raise Malformed(400, "ErrorInvalidRecipients", f"Found {count} recipients; expected {MOST} at most.")


def _once(message: Message) -> Iterator[tuple[str, Recipient]]:
    """Everyone, with the list they are in."""
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
    mail_id = _name(outgoing.scope, outgoing.id, number)
    repeats = outgoing.repeats and replace(outgoing.repeats, of=_name(outgoing.scope, outgoing.repeats.of, number))
    fingerprint = identity(outgoing.scope, f"fingerprint of {mail_id}")
    return replace(outgoing, id=mail_id, fingerprint=fingerprint, request=mail, repeats=repeats, signed=None)


def _name(scope: str, mail: str, number: int) -> str:
    return identity(scope, f"part {number} of {mail}")
