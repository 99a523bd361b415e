"""One event and its route become one mail, or none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from shared.errors import Malformed, NotAllowed
from shared.mail import limits
from shared.mail.addresses import Several
from shared.mail.model import (
    BodyType,
    EmailAddress,
    Importance,
    InternetMessageHeader,
    ItemBody,
    Message,
    Recipient,
    SendMail,
)
from shared.mail.outgoing import Origin, OutgoingMail, Signed, identity
from shared.mail.threading import threaded
from shared.policy.admit import admit
from shared.settings.config import Settings
from shared.telemetry import LogEvent, emit
from shared.webhooks.rendering.mails import Renderer
from shared.webhooks.routing.catalog import BUILT_IN
from shared.webhooks.routing.mail_ids import name_of, scope_of
from shared.webhooks.routing.queries import as_object
from shared.webhooks.routing.route import Route, Rules
from shared.webhooks.routing.split import check_count, parts_of
from shared.webhooks.sources.source import Event

__all__ = ["Composer", "RouteUnusable", "templates_of"]

# Keeps absence notes and other automatic answers out of the mailbox: [MS-OXCMAIL], section 2.1.3.2.
NO_ANSWERS: Final = InternetMessageHeader(name="X-Auto-Response-Suppress", value="All")


class RouteUnusable(Exception):  # noqa: N818 - the operator's to mend
    """A setting that this route needs is missing or does not let it send. The text names the setting, no address."""


@dataclass(frozen=True, slots=True)
class Composer:
    """One for a process."""

    settings: Settings
    renderer: Renderer

    def check(self, route: Route) -> None:
        """Raise RouteUnusable where a route's fixed sender or recipients are missing or not allowed."""
        self._sender(route)
        everyone = [route.rules, *route.events.values()]
        if not any(rules.recipients or rules.recipients_from for rules in everyone) and not self.settings.to:
            raise RouteUnusable("MAIL_TO is not set, and the route names no recipients of its own.")
        fixed = [address for rules in everyone for address in _fixed(rules)]
        for name, addresses in (("MAIL_TO", self.settings.to), ("The route", fixed)):
            if not all(self.settings.allowed_recipients.allow(address) for address in addresses):
                raise RouteUnusable(f"{name} has a recipient that MAIL_ALLOWED_RECIPIENTS does not allow.")

    def wants(self, route: Route, event: Event) -> bool:
        """Whether the route wants mail of an event."""
        rules = route.rules_for(event.type)
        return not rules.skip and (not rules.when or route.queries[rules.when].holds(as_object(event)))

    def compose(self, route: Route, event: Event, now: datetime) -> OutgoingMail | None:
        """The mail of an event; None where its route wants no mail of it.

        Raises RouteUnusable; Malformed and NotAllowed where the recipients that stand in the event cannot be used.
        """
        if not self.wants(route, event):
            return None
        rules, values = route.rules_for(event.type), as_object(event)
        mail = SendMail(
            message=self._message(route, rules, event, values),
            save_to_sent_items=rules.save_to_sent_items is not False,
        )
        outgoing = self._mail(route, rules, event, mail, now)
        limits.check_size(threaded(outgoing))
        admit(outgoing, self.settings)
        return outgoing

    def mails(self, route: Route, event: Event, now: datetime) -> tuple[OutgoingMail, ...]:
        """The mails of an event, several where the route splits one for its recipients. Raises as `compose`."""
        mail = self.compose(route, event, now)
        if mail is None:
            return ()
        return parts_of(mail, split=route.rules_for(event.type).split_recipients is True)

    def _message(self, route: Route, rules: Rules, event: Event, values: Mapping[str, Any]) -> Message:
        to, cc, bcc = self._recipients(route, rules, values)
        rendered = self.renderer.render(
            event, route.name, templates_of(route), route.rules.template, rules.subject, chosen=rules.template
        )
        if rendered.failed:
            emit(LogEvent.TEMPLATE_FAILED, route=route.name, why=rendered.failed)
        importance = rules.importance or rendered.importance
        return Message(
            subject=rendered.subject,
            body=ItemBody(content_type=BodyType.HTML, content=rendered.html),
            to_recipients=_people(to),
            cc_recipients=_people(cc),
            bcc_recipients=_people(bcc),
            reply_to=_people(rules.reply_to or ()),
            importance=Importance(importance) if importance else None,
            categories=rules.categories or None,
            internet_message_headers=None if rules.auto_response_suppress is False else (NO_ANSWERS,),
        )

    def _mail(self, route: Route, rules: Rules, event: Event, mail: SendMail, now: datetime) -> OutgoingMail:
        scope = scope_of(route)
        mail_id, repeats = name_of(route, event, now)
        thread = event.thread if rules.threading is not False else None
        return OutgoingMail(
            id=mail_id,
            scope=scope,
            # Keys are compared, not bodies: a sender that says the same again may say it in other words.
            fingerprint=identity(scope, f"fingerprint of {mail_id}"),
            sender=self._sender(route),
            request=mail,
            origin=Origin(kind="route", name=route.name),
            accepted_at=now,
            on_unknown=route.on_unknown,
            repeats=repeats,
            keep_days=route.keep_days,
            thread=thread,
            topic=event.subject if thread else None,
            known_by=event.known_by,
            signed=_signed(scope, event),
        )

    def _sender(self, route: Route) -> str:
        sender = route.sender or self.settings.sender
        if sender is None:
            raise RouteUnusable("MAIL_SENDER is not set, and the route names no sender of its own.")
        settings = self.settings
        allowed = settings.allowed_senders if settings.route_senders is None else settings.route_senders
        for mailbox in settings.sender_pools.get(sender, (sender,)):
            if not allowed.allow(mailbox):
                name = "The route's sender" if route.sender else "MAIL_SENDER"
                raise RouteUnusable(f"{name} is not among MAIL_ALLOWED_SENDERS.")
        return sender

    def _recipients(self, route: Route, rules: Rules, values: Mapping[str, Any]) -> tuple[Sequence[str], ...]:
        """To, cc and bcc."""
        cc, bcc = rules.cc or (), rules.bcc or ()
        if rules.recipients_from:
            found = route.queries[rules.recipients_from].of(values)
            to = [found] if isinstance(found, str) else found
            if isinstance(to, list):
                check_count(len(to), split=rules.split_recipients is True)
            if not isinstance(to, list) or not to:
                raise Malformed(400, "ErrorMissingRecipients", "The event has no recipient.", rules.recipients_from)
            several = Several()
            addresses = [_checked(several, address, rules.recipients_from) for address in to]
            if route.allow is None or not all(map(route.allow.allow, addresses)):
                text = "The route's list `allow` does not allow this recipient."
                raise NotAllowed(text, "ErrorAccessDenied", rules.recipients_from)
            return addresses, cc, bcc
        fixed = rules.recipients or self.settings.to
        if not (fixed or cc or bcc):
            raise RouteUnusable("MAIL_TO is not set, and the route names no recipients of its own.")
        return fixed, cc, bcc


def templates_of(route: Route) -> list[Path]:
    """Where a route's templates are: its own, and those of the ready route of the same source."""
    return [route.folder / "templates", BUILT_IN / route.source.name / "templates"]


def _signed(scope: str, event: Event) -> Signed | None:
    if event.signed is None:
        return None
    return Signed(body=identity(scope, event.signed), event=identity(scope, event.key))


def _fixed(rules: Rules) -> Iterator[str]:
    for addresses in (rules.recipients, rules.cc, rules.bcc):
        yield from addresses or ()


def _people(addresses: Sequence[str]) -> tuple[Recipient, ...] | None:
    return tuple(Recipient(email_address=EmailAddress(address=address)) for address in addresses) or None


def _checked(several: Several, address: object, path: str) -> str:
    try:
        return several.checked(address if isinstance(address, str) else "")
    except ValueError as error:
        text = f"Found no address that mail can be sent to. {error}"
        raise Malformed(400, "ErrorInvalidRecipients", text, path) from None
