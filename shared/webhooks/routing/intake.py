"""Accepts events from webhooks and from the queue `mail-events`, and makes their mails durable.

There is one message in `mail-work` for each mail, or one for all the events of a large request. Then the sender is
answered. If a webhook has only a few mails, they are sent before the answer (at_once.py). A repeated event gets the
same mail id, so the existing row stops it.
"""

import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import msgspec
from azure.core.exceptions import AzureError

from shared.auth.entra_keys import KeysUnavailable
from shared.delivery.queue_messages import Batch
from shared.errors import Malformed, Refused
from shared.event_loop import LARGE, Deadline, aside, within
from shared.ratelimit.mailbox_pace import RateLimitUnavailable
from shared.settings.queue_names import EVENTS, WORK
from shared.telemetry import LogEvent, emit
from shared.webhooks.routing.batches import Expander
from shared.webhooks.routing.catalog import Catalog
from shared.webhooks.routing.event_mails import EventMails, caller_of
from shared.webhooks.routing.event_messages import events_of, parse_event
from shared.webhooks.routing.route import Route, RouteUnusable
from shared.webhooks.routing.route_status import secret_fault, tenant_fault
from shared.webhooks.routing.secrets import Secrets, SecretsUnavailable
from shared.webhooks.sources.source import RawRequest, Result, Source, TokenRule, Unverified, WebhookReply

PATIENCE: Final = 8.0  # seconds to read a request and to make it durable; most senders wait for ten
ANSWER: Final = 3.0  # seconds after which a sender is answered, once its mails are durable, whatever Graph does
METHODS: Final = "OPTIONS, POST"  # those that a route takes
PROBED: Final = "GET, HEAD, OPTIONS, POST"
UNUSABLE: Final = "This route cannot be used; its operator finds the reason at /api/health/ready."
NO_ROUTE: Final = WebhookReply(404, detail="There is no such route.")
BROKEN_ROUTE: Final = WebhookReply(503, {"Retry-After": "60"}, detail=UNUSABLE)
RESULTS: Final = {413: Result.TOO_LARGE, 415: Result.UNSUPPORTED}
Tokens = Callable[[TokenRule, str | None], Awaitable[None]]


class _Unprovable(RouteUnusable):
    """No request can be proved now. The sender of this one may be anybody, and is not told why."""


@dataclass(frozen=True, slots=True)
class Intake:
    """One for a process. tokens: verifies an Authorization header; raises Refused, KeysUnavailable."""

    catalog: Catalog
    secrets: Secrets
    tokens: Tokens
    mails: EventMails

    async def answer(self, name: str, request: RawRequest) -> WebhookReply:
        """Answer a request of any method."""
        match request.method:
            case "OPTIONS":
                return await self.preflight(name, request)
            case "GET" | "HEAD":
                return await self.probe(name)
            case _:
                return await self.receive(name, request)

    async def preflight(self, name: str, request: RawRequest) -> WebhookReply:
        """Answer OPTIONS. A route that does not exist, or is off, answers like one without a handshake."""
        route = self.catalog.routes.get(self.catalog.named(name))
        plain = WebhookReply(200, {"Allow": METHODS})
        if route is None:
            return plain
        reply = route.source.preflight(request) or plain
        if route.probe:
            reply = replace(reply, headers={**reply.headers, "Allow": PROBED})
        return reply if reply == plain else await self._if_on(route, reply, plain)

    async def probe(self, name: str) -> WebhookReply:
        """Answer GET and HEAD, which deliver nothing: 405 whether the route exists or not.

        A sender that uses GET for its events, as some do by default, must not be told that these have arrived. One that
        checks an address before it sends there needs a route with `probe`.
        """
        route = self.catalog.routes.get(self.catalog.named(name))
        text = "Events are sent by POST. For a sender that asks by GET or HEAD first, the route can have probe = true."
        nothing = WebhookReply(405, {"Allow": METHODS}, detail=text)
        if route is None or not route.probe:
            return nothing
        return await self._if_on(route, WebhookReply(200, {"Cache-Control": "no-store"}), nothing)

    async def receive(self, name: str, request: RawRequest) -> WebhookReply:
        """Answer a webhook's request, in its source's terms."""
        name = self.catalog.named(name)
        route = self.catalog.routes.get(name)
        if route is None:
            return self._no_route(name)
        source = route.source
        try:
            return await self._received(route, request, Deadline(ANSWER))
        except Unverified as error:
            emit(LogEvent.EVENT_UNVERIFIED, route=name)
            return source.reply(Result.UNVERIFIED, str(error))
        except Malformed as error:
            emit(LogEvent.EVENT_MALFORMED, route=name, status=error.status)
            return source.reply(RESULTS.get(error.status, Result.MALFORMED), str(error))
        except RouteUnusable as error:
            emit(LogEvent.EVENT_DEFERRED, route=name, why=str(error))
            return source.reply(Result.UNAVAILABLE, UNUSABLE if isinstance(error, _Unprovable) else str(error))
        except (AzureError, RateLimitUnavailable, TimeoutError) as error:
            emit(LogEvent.EVENT_DEFERRED, route=name, why=type(error).__name__)
            return source.reply(Result.OVERLOADED, "Mailroom's storage cannot be reached; send it again.")

    async def take_message(self, mail: str, body: bytes) -> None:
        """Take a message of `mail-events`. mail: its id, the same in every delivery.

        Raises RouteUnusable where it has to be retried when its route has been mended; AzureError, as everywhere.
        """
        route: Route | None = None
        try:
            name, message = parse_event(body)
            route = self._route_of(name)
            events = events_of(message, route.source, mail)
            await self.mails.take(route, await self.mails.wanted(route, events, len(body)), len(body), paced=True)
        except Refused as refusal:
            known, tell = (route.name, route.results) if route is not None else (None, False)
            await self.mails.worker.refuse(mail, EVENTS, body, refusal, route=known, tell=tell)

    async def check_message(self, mail: str, body: bytes) -> None:
        """Read a message of `mail-events` as `take_message` does, and change nothing.

        Raises Refused where it would be refused, RouteUnusable where it would wait, AzureError.
        """
        name, message = parse_event(body)
        route = self._route_of(name)
        made = False
        for event in events_of(message, route.source, mail):
            made = bool(await aside(LARGE, self.mails.composer.mails, route, event, self.mails.now())) or made
        if not made:
            raise Malformed(422, "NotWanted", "The route makes no mail of this event.")

    async def expand(self, batch: Batch) -> None:
        """Put the mails of an accepted batch. Raises AzureError, RateLimitUnavailable: it has to be retried."""
        try:
            await Expander(self.mails.outbox, self._route_of, self.mails.take_one, self.mails.crashed).expand(batch)
        except Malformed as refusal:
            await self.mails.worker.refuse(batch.id, WORK, msgspec.json.encode(batch), refusal, route=batch.route)

    async def _received(self, route: Route, request: RawRequest, waited: Deadline) -> WebhookReply:
        source, size = route.source, len(request.body)
        secrets = await self._secrets(route)
        if secrets is None:
            return self._no_route(route.name)
        _check_body(request, source)
        await self._verify(route, request, secrets)
        self.mails.composer.check(route)
        answer = await aside(size, source.handshake, request)
        if answer is not None:
            return answer
        async with within(PATIENCE):
            wanted = await self.mails.wanted(route, await aside(size, source.events, request), size)
            if wanted and route.rate_per_minute:
                until = await self.mails.worker.engine.pace.ask(caller_of(route), route.rate_per_minute, len(wanted))
                if until is not None:
                    return self._over_rate(source, until)
            taken = await self.mails.take(route, wanted, size)
        if route.rate_per_minute and taken.events < len(wanted):
            self.mails.worker.engine.pace.asked_in_vain(caller_of(route), len(wanted) - taken.events)
        if self.mails.at_once is not None:
            await self.mails.at_once.attempt(taken.stored, waited.left)
        # Where to ask for the mails; a list of them where the sender's terms allow a body.
        reply = source.reply(Result.DONE)
        if len(taken.mails) == 1:
            return replace(reply, headers={**reply.headers, "Location": f"/api/messages/{taken.mails[0]}"})
        return replace(reply, body=json.dumps(taken.mails).encode()) if taken.mails and source.body_allowed else reply

    def _no_route(self, name: str) -> WebhookReply:
        if self.catalog.missing is None and name not in self.catalog.problems:
            return NO_ROUTE
        known = name if name in self.catalog.problems else None  # a stranger's text is not logged
        emit(LogEvent.EVENT_DEFERRED, route=known, why="the route cannot be used")
        return BROKEN_ROUTE

    async def _if_on(self, route: Route, reply: WebhookReply, off: WebhookReply) -> WebhookReply:
        """One answer for a route that is on, another for a route that is off."""
        try:
            return off if await self._secrets(route) is None else reply
        except RouteUnusable:
            return BROKEN_ROUTE

    async def _secrets(self, route: Route) -> tuple[str, ...] | None:
        """What proves a route's requests; empty where tokens do. None: the route is off. Raises RouteUnusable."""
        if route.source.token_rule is not None:
            return ()
        try:
            secrets = await self.secrets.of(route.name)
        except SecretsUnavailable:
            raise _Unprovable("The secrets of this route cannot be read at the moment.") from None
        if secrets or secret_fault(route, secrets, self.mails.composer.settings) is not None:
            return secrets
        emit(LogEvent.ROUTE_OFF, route=route.name)
        return None

    def _route_of(self, name: str) -> Route:
        name = self.catalog.named(name)
        route = self.catalog.routes.get(name)
        if route is None and (self.catalog.missing or name in self.catalog.problems):
            raise RouteUnusable(self.catalog.missing or f"The route {name} cannot be used.")
        if route is None:
            raise Malformed(400, "UnknownRoute", "There is no such route.", "$.route")
        self.mails.composer.check(route)
        return route

    async def _verify(self, route: Route, request: RawRequest, secrets: tuple[str, ...]) -> None:
        """Return if the request proves where it comes from. Raises Unverified, RouteUnusable."""
        rule = route.source.token_rule
        if rule is not None:
            if (fault := tenant_fault(route, self.mails.composer.settings)) is not None:
                raise _Unprovable(fault)
            try:
                return await self.tokens(rule, request.headers.get("authorization"))
            except KeysUnavailable:
                raise _Unprovable("The keys that sign Entra tokens cannot be read at the moment.") from None
            except Refused as refusal:
                raise Unverified(str(refusal)) from None
        usable = [secret for secret in secrets if route.source.unusable(secret) is None]
        if not usable:
            raise _Unprovable(secret_fault(route, secrets, self.mails.composer.settings) or UNUSABLE)
        return route.source.authenticate(request, usable, self.mails.now())

    def _over_rate(self, source: Source, until: datetime) -> WebhookReply:
        reply = source.reply(Result.OVERLOADED, "The route is over its rate, rate_per_minute; send it again.")
        seconds = max(1, math.ceil((until - self.mails.now()).total_seconds()))
        return replace(reply, headers={**reply.headers, "Retry-After": str(seconds)})


def _check_body(request: RawRequest, source: Source) -> None:
    """Check the size, and that nothing has to be decompressed first, which could become any size."""
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Malformed(415, "UnsupportedMediaType", "Content-Encoding is not supported; send the body uncompressed.")
    if len(request.body) > source.largest:
        raise Malformed(413, "RequestEntityTooLarge", f"The body has more than {source.largest} bytes.")
