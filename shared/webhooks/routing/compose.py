"""Composes the mails of an event by its route; there may be none."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from shared.mail.graph_types import BodyType, Importance, InternetMessageHeader, ItemBody
from shared.mail.model import FileAttachment, Message, SendMail
from shared.mail.outgoing import Origin, OutgoingMail, Signed, identity, key_hash
from shared.policy.admit import admit
from shared.policy.size_limits import check_size
from shared.settings.config import Settings
from shared.telemetry import LogEvent, emit
from shared.webhooks.rendering.filters import shorten
from shared.webhooks.rendering.look import Look
from shared.webhooks.rendering.mails import Rendered, Renderer
from shared.webhooks.routing.catalog import BUILT_IN
from shared.webhooks.routing.recipients import check_fixed, parts_of, people, recipients_of
from shared.webhooks.routing.repeated_events import mail_id_of, scope_of
from shared.webhooks.routing.route import Route, RouteRules, RouteUnusable
from shared.webhooks.sources.expressions import holds
from shared.webhooks.sources.source import SourceEvent

# Keeps absence notes and other automatic answers out of the mailbox: [MS-OXCMAIL], section 2.1.3.2.
EVENT_HEADER: Final = "x-mailroom-event"
LONGEST_EVENT_ID: Final = 200  # characters
PRINTED: Final = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")  # everything else is percent-encoded
NO_ANSWERS: Final = InternetMessageHeader(name="X-Auto-Response-Suppress", value="All")


@dataclass(frozen=True)
class Composer:
    """One for a process."""

    settings: Settings
    renderer: Renderer

    def check(self, route: Route) -> None:
        """Raise RouteUnusable where a route's fixed sender or recipients are missing or not allowed."""
        self._sender(route)
        check_fixed(route, self.settings)

    def wants(self, route: Route, event: SourceEvent) -> bool:
        """Whether the route wants mail for an event."""
        rules = route.rules_for(event.type)
        return not rules.skip and (not rules.when or holds(rules.when, event.as_object()))

    def compose(self, route: Route, event: SourceEvent, now: datetime) -> OutgoingMail | None:
        """The mail of an event; None where its route wants none.

        Raises RouteUnusable; Malformed and NotAllowed where the recipients that the event names cannot be used.
        """
        if not self.wants(route, event):
            return None
        rules = route.rules_for(event.type)
        message = self._message(route, rules, event, event.as_object())
        mail = SendMail(message=message, save_to_sent_items=rules.save_to_sent_items is not False)
        outgoing = self._mail(route, rules, event, mail, now)
        check_size(outgoing, large=False)
        admit(outgoing, self.settings)
        return outgoing

    def mails(self, route: Route, event: SourceEvent, now: datetime) -> tuple[OutgoingMail, ...]:
        """The mails of an event, several where the route splits one for its recipients. Raises as `compose`."""
        mail = self.compose(route, event, now)
        if mail is None:
            return ()
        return parts_of(mail, split=route.rules_for(event.type).split_recipients is True)

    def _message(self, route: Route, rules: RouteRules, event: SourceEvent, values: Mapping[str, Any]) -> Message:
        to, cc, bcc = recipients_of(route, rules, self.settings, values)
        rendered = self.renderer.render(
            route.source.for_mail(event),
            route.name,
            templates_of(route),
            route.rules.template,
            rules.subject,
            chosen=rules.template,
            look=self._look(route),
        )
        if rendered.failed:
            emit(LogEvent.TEMPLATE_FAILED, route=route.name, why=rendered.failed)
        importance = rules.importance or rendered.importance
        return Message(
            subject=rendered.subject,
            body=ItemBody(content_type=BodyType.HTML, content=rendered.html),
            to_recipients=to,
            cc_recipients=cc,
            bcc_recipients=bcc,
            reply_to=people(rules.reply_to or ()),
            importance=Importance(importance) if importance else None,
            categories=rules.categories or None,
            internet_message_headers=_headers(rules, event),
            attachments=(*self._logo, *_files(rendered)) or None,
        )

    def _look(self, route: Route) -> Look:
        settings, sender = self.settings, self._sender(route)
        return Look(
            settings.brand_name,
            settings.brand_color,
            settings.brand_logo is not None,
            route.time_zone or settings.time_zone,
            sender if "@" in sender else "",  # which mailbox of a pool it will be is not known yet
        )

    @cached_property
    def _logo(self) -> tuple[FileAttachment, ...]:
        logo = self.settings.brand_logo
        if logo is None:
            return ()
        return (
            FileAttachment(
                name=logo.file_name,
                content_bytes=logo.content,
                content_type=logo.content_type,
                is_inline=True,
                content_id="logo",
            ),
        )

    def _mail(self, route: Route, rules: RouteRules, event: SourceEvent, mail: SendMail, now: datetime) -> OutgoingMail:
        scope = scope_of(route)
        mail_id, repeats = mail_id_of(route, event, now)
        thread = event.thread if rules.threading is not False else None
        signed = event.signed and Signed(body=identity(scope, event.signed), event=identity(scope, event.key))
        return OutgoingMail(
            id=mail_id,
            scope=scope,
            # Keys are compared, not bodies: a sender that repeats an event may use other words.
            fingerprint=identity(scope, f"fingerprint of {mail_id}"),
            sender=self._sender(route),
            request=mail,
            origin=Origin(kind="route", name=route.name),
            route=route.name,
            accepted_at=now,
            on_unknown=route.on_unknown,
            repeats=repeats,
            keep_days=route.keep_days,
            thread=thread,
            topic=event.subject if thread else None,
            known_by=event.known_by,
            signed=signed or None,
            key=key_hash(event.key) if event.known_by in ("sender-id", "route-key") else None,
            wants_results=route.results or self.settings.results,
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


def _headers(rules: RouteRules, event: SourceEvent) -> tuple[InternetMessageHeader, ...]:
    """With the event's id, for those who look for it. The marker comes last and is left out where there are five."""
    name = quote(shorten(event.id, LONGEST_EVENT_ID), safe=PRINTED, errors="replace")
    headers = () if rules.auto_response_suppress is False else (NO_ANSWERS,)
    return (*headers, InternetMessageHeader(name=EVENT_HEADER, value=name))


def _files(rendered: Rendered) -> tuple[FileAttachment, ...]:
    if rendered.file is None:
        return ()
    return (FileAttachment(name="event.json", content_bytes=rendered.file, content_type="application/json"),)


def templates_of(route: Route) -> tuple[Path, ...]:
    """The folders of a route's templates: its own, and that of the ready route of the same source."""
    return _template_folders(route.folder, route.source.name)


@cache
def _template_folders(folder: Path, source: str) -> tuple[Path, ...]:
    """The same objects each time: a path is hashed once, and the renderer looks for it several times for a mail."""
    return folder / "templates", BUILT_IN / source / "templates"
