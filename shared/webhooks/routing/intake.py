"""Takes events in, from a webhook or from the queue `mail-events`, and makes each mail they ask for durable.

That is one message in `mail-work` for each mail, or one for all the events of a large request; then the sender is
answered. The few mails of a webhook are sent before the answer (at_once.py). A repeated event has the same mail id, and
ends at its row.
"""

import asyncio
import json
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import msgspec
from azure.core.exceptions import AzureError

from shared.auth.entra_keys import KeysUnavailable
from shared.delivery.payloads import batch_name
from shared.delivery.queue import QUEUE, Outbox
from shared.delivery.queue_messages import Batch, work_of
from shared.delivery.worker import Worker
from shared.errors import Malformed, Refused
from shared.event_loop import LARGE, Deadline, aside, within
from shared.mail.outgoing import OutgoingMail, identity, new_id
from shared.ratelimit.mailbox_pace import RateLimitUnavailable
from shared.telemetry import LogEvent, emit
from shared.webhooks.rendering.bounds import size_of
from shared.webhooks.routing.at_once import AtOnce, Put
from shared.webhooks.routing.batches import Expander, packed
from shared.webhooks.routing.catalog import Catalog
from shared.webhooks.routing.compose import Composer
from shared.webhooks.routing.event_messages import EVENTS, LONGEST_ID, as_message, events_of, parse_event
from shared.webhooks.routing.repeated_events import mail_id_of, scope_of
from shared.webhooks.routing.route import Route, RouteUnusable
from shared.webhooks.routing.route_status import secret_fault, tenant_fault
from shared.webhooks.routing.secrets import Secrets, SecretsUnavailable
from shared.webhooks.sources.source import RawRequest, Result, Source, SourceEvent, TokenRule, Unverified, WebhookReply

PATIENCE: Final = 8.0  # seconds to read a request and to make it durable; most senders wait for ten
ANSWER: Final = 3.0  # seconds after which a sender is answered, once its mails are durable, whatever Graph does
ONE_BY_ONE: Final = 4  # mails of one request that are put in a message each; the events of more are put as one
PAUSE: Final = 50  # events that are logged before other requests get their turn
LOGGED_TYPE: Final = re.compile(r"[\w.:/-]{1,100}", re.ASCII)
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
class _Taken:
    """events: how many ask for mail. mails: their ids, unless they are too many. stored: to be attempted at once."""

    events: int
    mails: tuple[str, ...] = ()
    stored: Sequence[Put] = ()


@dataclass(frozen=True, slots=True)
class Intake:
    """One for a process. tokens: verifies an Authorization header; raises Refused, KeysUnavailable.

    at_once: sends the few mails of a webhook before it is answered; None: they are only put.
    """

    catalog: Catalog
    composer: Composer
    secrets: Secrets
    tokens: Tokens
    outbox: Outbox
    worker: Worker
    at_once: AtOnce | None = None
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

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
            await self._take(route, await self._wanted(route, events, len(body)), len(body), paced=True)
        except Refused as refusal:
            known, tell = (route.name, route.results) if route is not None else (None, False)
            await self.worker.refuse(mail, EVENTS, body, refusal, route=known, tell=tell)

    async def check_message(self, mail: str, body: bytes) -> None:
        """Read a message of `mail-events` as `take_message` does, and change nothing.

        Raises Refused where it would be refused, RouteUnusable where it would wait, AzureError.
        """
        name, message = parse_event(body)
        route = self._route_of(name)
        made = False
        for event in events_of(message, route.source, mail):
            made = bool(await aside(LARGE, self.composer.mails, route, event, self.now())) or made
        if not made:
            raise Malformed(422, "NotWanted", "Its route makes no mail of this event.")

    async def expand(self, batch: Batch) -> None:
        """Put the mails of an accepted batch. Raises AzureError, RateLimitUnavailable: it has to be retried."""
        try:
            await Expander(self.outbox, self._route_of, self._take_one, self._crashed).expand(batch)
        except Malformed as refusal:
            await self.worker.refuse(batch.id, QUEUE, msgspec.json.encode(batch), refusal, route=batch.route)

    async def _received(self, route: Route, request: RawRequest, waited: Deadline) -> WebhookReply:
        source, size = route.source, len(request.body)
        secrets = await self._secrets(route)
        if secrets is None:
            return self._no_route(route.name)
        _check_body(request, source)
        await self._verify(route, request, secrets)
        self.composer.check(route)
        answer = await aside(size, source.handshake, request)
        if answer is not None:
            return answer
        async with within(PATIENCE):
            wanted = await self._wanted(route, await aside(size, source.events, request), size)
            if wanted and route.rate_per_minute:
                until = await self.worker.engine.pace.ask(_caller(route), route.rate_per_minute, len(wanted))
                if until is not None:
                    return self._over_rate(source, until)
            taken = await self._take(route, wanted, size)
        if route.rate_per_minute and taken.events < len(wanted):
            self.worker.engine.pace.asked_in_vain(_caller(route), len(wanted) - taken.events)
        if self.at_once is not None:
            await self.at_once.attempt(taken.stored, waited.left)
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
        if secrets or secret_fault(route, secrets, self.composer.settings) is not None:
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
        self.composer.check(route)
        return route

    async def _verify(self, route: Route, request: RawRequest, secrets: tuple[str, ...]) -> None:
        """Return if the request proves where it comes from. Raises Unverified, RouteUnusable."""
        rule = route.source.token_rule
        if rule is not None:
            if (fault := tenant_fault(route, self.composer.settings)) is not None:
                raise _Unprovable(fault)
            try:
                return await self.tokens(rule, request.headers.get("authorization"))
            except KeysUnavailable:
                raise _Unprovable("The keys that sign Entra tokens cannot be read at the moment.") from None
            except Refused as refusal:
                raise Unverified(str(refusal)) from None
        usable = [secret for secret in secrets if route.source.unusable(secret) is None]
        if not usable:
            raise _Unprovable(secret_fault(route, secrets, self.composer.settings) or UNUSABLE)
        return route.source.authenticate(request, usable, self.now())

    def _over_rate(self, source: Source, until: datetime) -> WebhookReply:
        reply = source.reply(Result.OVERLOADED, "The route is over its rate, rate_per_minute; send it again.")
        seconds = max(1, math.ceil((until - self.now()).total_seconds()))
        return replace(reply, headers={**reply.headers, "Retry-After": str(seconds)})

    async def _wanted(self, route: Route, events: list[SourceEvent], size: int) -> list[SourceEvent]:
        """The events that the route wants mail for. size: bytes that they were read from."""
        verdicts = await aside(size, lambda: [self.composer.wants(route, event) for event in events])
        for number, (event, wants) in enumerate(zip(events, verdicts, strict=True), 1):
            if not wants:
                emit(LogEvent.EVENT_FILTERED, route=route.name, type=_logged_type(event))
            if number % PAUSE == 0:
                await asyncio.sleep(0)
        return [event for event, wants in zip(events, verdicts, strict=True) if wants]

    async def _take(self, route: Route, events: list[SourceEvent], size: int, *, paced: bool = False) -> _Taken:
        """Make every mail durable that these events ask for.

        Up to ONE_BY_ONE mails are put in one message each. More are made durable as one batch: to put thousands would
        take longer than any sender waits, and the mails that were put would be put again at each retry.

        paced: nobody waits for the answer, so mails beyond the route's rate are put for later.
        Raises AzureError, RouteUnusable; RateLimitUnavailable where it is paced.
        """
        now = self.now()
        if len(events) <= ONE_BY_ONE:
            composed = [(event, await self._mails(route, event, now)) for event in events]
            events = [event for event, mails in composed if mails]
            every = [mail for _, mails in composed for mail in mails]
            if len(every) <= ONE_BY_ONE:
                stored: Sequence[Put] = ()
                if self.at_once is not None and not paced:
                    stored = await self.at_once.put(every)
                    for event, mails in composed:
                        _log_accepted(route, event, mails)
                else:
                    await asyncio.gather(*(self._put(route, event, mails, paced) for event, mails in composed))
                return _Taken(len(events), tuple(mail.id for mail in every), stored)
        name, count = new_id(), len(events)
        batch = Batch(
            v=1, id=name, route=route.name, accepted_at=now, payload=batch_name(name), count=count, paced=paced
        )
        await self.outbox.put_batch(batch, await aside(size, packed, events))
        emit(LogEvent.BATCH_ACCEPTED, id=name, route=route.name, events=count)
        return _Taken(count)

    async def _take_one(self, route: Route, event: SourceEvent, now: datetime, paced: bool) -> None:  # noqa: FBT001
        # In a thread whatever its size: many of a batch are ready at once, and would block the loop one after another.
        await self._put(route, event, await self._mails(route, event, now, LARGE), paced)

    async def _mails(self, route: Route, event: SourceEvent, now: datetime, size: int = 0) -> tuple[OutgoingMail, ...]:
        """The mails of an event; none where it was set aside. Raises RouteUnusable, AzureError.

        size: bytes that composing counts as, at least; see aside.
        """
        try:
            size = size or size_of(event.data, LARGE)
            mails = await aside(size, self.composer.mails, route, event, now)
        except Refused as refusal:
            # A retry would be refused too: the sender has done its part, and an operator can replay the event.
            await self._set_aside(route, event, now, refusal)
            return ()
        if not mails:  # the route has changed since the event was accepted
            emit(LogEvent.EVENT_FILTERED, route=route.name, type=_logged_type(event))
        return mails

    async def _put(self, route: Route, event: SourceEvent, mails: tuple[OutgoingMail, ...], paced: bool) -> None:  # noqa: FBT001
        for mail in mails:
            due = None
            if paced and route.rate_per_minute:
                due = await self.worker.engine.pace.come_at(_caller(route), route.rate_per_minute)
            await self.outbox.put(work_of(mail), self.now(), due, mail)
            _log_accepted(route, event, (mail,))

    async def _set_aside(self, route: Route, event: SourceEvent, now: datetime, refusal: Refused) -> None:
        name, repeats = mail_id_of(route, event, now)
        mail = identity(scope_of(route), f"refused {name}")
        # A key that counts for a while only cannot identify an event that an operator may replay at any time.
        lasting = repeats is None and len(event.key) <= LONGEST_ID
        message = as_message(route.name, event, event.key if lasting else mail)
        await self.worker.refuse(mail, EVENTS, message, refusal, route=route.name, tell=route.results)

    async def _crashed(self, route: Route, event: SourceEvent, now: datetime) -> None:
        await self._set_aside(route, event, now, Malformed(400, "Crashed", "The event made Mailroom fail."))


def _log_accepted(route: Route, event: SourceEvent, mails: Sequence[OutgoingMail]) -> None:
    for mail in mails:
        emit(LogEvent.MAIL_ACCEPTED, id=mail.id, route=route.name, type=_logged_type(event), state="accepted")


def _logged_type(event: SourceEvent) -> str | None:
    """The type of an event if it can be logged; it may be any text."""
    return event.type if LOGGED_TYPE.fullmatch(event.type) else None


def _caller(route: Route) -> str:
    return f"route {route.name}"


def _check_body(request: RawRequest, source: Source) -> None:
    """Check the size, and that nothing has to be decompressed first, which could become any size."""
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Malformed(415, "UnsupportedMediaType", "Content-Encoding is not supported; send the body as it is.")
    if len(request.body) > source.largest:
        raise Malformed(413, "RequestEntityTooLarge", f"The body has more than {source.largest} bytes.")
