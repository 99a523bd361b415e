"""Events come in: from a webhook or from the queue `mail-events`, and each mail they ask for is made durable.

One message for each mail into `mail-work`, or one for all the events of a large request, and then the answer. The few
mails of a webhook are sent before it (at_once.py). What has come twice has the same id, and ends at its row.
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

from shared.auth.entra import KeysUnavailable
from shared.delivery.payload import batch_name
from shared.delivery.queue import QUEUE, Outbox
from shared.delivery.queue_messages import Batch, work_of
from shared.delivery.worker import Worker
from shared.errors import Malformed, Refused
from shared.mail.outgoing import OutgoingMail, identity, new_id
from shared.ratelimit.store import RateLimitUnavailable
from shared.runtime.deadline import Deadline, within
from shared.runtime.long_work import LARGE, aside
from shared.telemetry import LogEvent, emit
from shared.webhooks.rendering.bounds import size_of
from shared.webhooks.routing.at_once import AtOnce, Made
from shared.webhooks.routing.batches import Expander, packed
from shared.webhooks.routing.catalog import Catalog
from shared.webhooks.routing.compose import Composer, RouteUnusable
from shared.webhooks.routing.event_messages import EVENTS, LONGEST_ID, EventMessage, events_of, parse_event
from shared.webhooks.routing.mail_ids import name_of
from shared.webhooks.routing.route import Route
from shared.webhooks.routing.route_status import secret_fault, tenant_fault
from shared.webhooks.routing.secrets import Secrets, SecretsUnavailable
from shared.webhooks.sources.source import Event, RawRequest, Reply, Result, Source, TokenRule, Unverified

__all__ = ["Intake"]

PATIENCE: Final = 8.0  # seconds to read a request and to make it durable; most senders wait for ten
ANSWER: Final = 3.0  # seconds after which a sender is answered, once its mails are durable, whatever Graph does
ONE_BY_ONE: Final = 4  # mails of one request that are put in a message each; the events of more are put as one
TURN: Final = 50  # events that are reported before others have their turn
TYPE: Final = re.compile(r"[\w.:/-]{1,100}", re.ASCII)
METHODS: Final = "OPTIONS, POST"  # those that a route takes
PROBED: Final = "GET, HEAD, OPTIONS, POST"
UNUSABLE: Final = "This route cannot be used; its operator finds the reason at /api/health/ready."
RESULTS: Final = {413: Result.TOO_LARGE, 415: Result.UNSUPPORTED}
Tokens = Callable[[TokenRule, str | None], Awaitable[None]]


class _Unprovable(RouteUnusable):
    """No request can be proved now. Whoever sent this one may be anybody, and is not told why."""


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

    async def answer(self, name: str, request: RawRequest) -> Reply:
        """Answer a request, whatever its method."""
        match request.method:
            case "OPTIONS":
                return await self.preflight(name, request)
            case "GET" | "HEAD":
                return await self.probe(name)
            case _:
                return await self.receive(name, request)

    async def preflight(self, name: str, request: RawRequest) -> Reply:
        """Answer OPTIONS. A route that does not exist, or is off, answers as one without a handshake."""
        route = self.catalog.routes.get(self.catalog.named(name))
        plain = Reply(200, {"Allow": METHODS})
        reply = (route and route.source.preflight(request)) or plain
        if route is not None and route.probe:
            reply = replace(reply, headers={**reply.headers, "Allow": PROBED})
        return reply if route is None or reply == plain else await self._if_on(route, reply, plain)

    async def probe(self, name: str) -> Reply:
        """Answer GET and HEAD, which deliver nothing: 405 whether there is such a route or not.

        Senders that use GET for their events, as some do by default, must not be told that these have arrived. Those
        that ask whether an address is there before they send to it need a route with `probe`.
        """
        route = self.catalog.routes.get(self.catalog.named(name))
        text = "Events are sent by POST. For a sender that asks by GET or HEAD first, the route can have probe = true."
        nothing = Reply(405, {"Allow": METHODS}, detail=text)
        if route is None or not route.probe:
            return nothing
        return await self._if_on(route, Reply(200, {"Cache-Control": "no-store"}), nothing)

    async def receive(self, name: str, request: RawRequest) -> Reply:
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
            emit(LogEvent.EVENT_PUT_OFF, route=name, why=str(error))
            return source.reply(Result.UNAVAILABLE, _told(error))
        except (AzureError, RateLimitUnavailable, TimeoutError) as error:
            emit(LogEvent.EVENT_PUT_OFF, route=name, why=type(error).__name__)
            return source.reply(Result.OVERLOADED, "Mailroom's storage cannot be reached; send it again.")

    async def _received(self, route: Route, request: RawRequest, waited: Deadline) -> Reply:
        source = route.source
        secrets = await self._secrets(route)
        if secrets is None:
            return self._no_route(route.name)
        _check_body(request, source)
        await self._verify(route, request, secrets)
        self.composer.check(route)
        answer = await aside(len(request.body), source.handshake, request)
        if answer is not None:
            return answer
        async with within(PATIENCE):
            size = len(request.body)
            events = await aside(size, source.events, request, self.now())
            wanted = await self._wanted(route, events, size)
            until = await self._over_rate(route, len(wanted))
            if until is not None:
                return self._come_again(source, until)
            taken = await self._take(route, wanted, size)
        if route.rate_per_minute and taken.events < len(wanted):
            self.worker.engine.pace.asked_in_vain(_caller(route), len(wanted) - taken.events)
        if self.at_once is not None:
            await self.at_once.attempt(taken.made, waited.left)
        return _done(source, taken.mails)

    async def take_message(self, mail: str, body: bytes) -> None:
        """Take a message of `mail-events`. mail: names it, the same in every delivery.

        Raises RouteUnusable where it is to come again when its route has been mended; AzureError, as everywhere.
        """
        try:
            name, message = parse_event(body)
            route = self._route_of(name)
            events = events_of(message, route.source, mail, self.now())
            await self._take(route, await self._wanted(route, events, len(body)), len(body), paced=True)
        except Refused as refusal:
            await self.worker.refuse(mail, EVENTS, body, refusal)

    async def expand(self, batch: Batch) -> None:
        """Put the mails of a batch that was accepted. Raises AzureError, RateLimitUnavailable: it is to come again."""
        try:
            await Expander(self.outbox, self._route_of, self._take_one, self._crashed).expand(batch)
        except Malformed as refusal:
            await self.worker.refuse(batch.id, QUEUE, msgspec.json.encode(batch), refusal)

    def _no_route(self, name: str) -> Reply:
        if self.catalog.missing is None and name not in self.catalog.problems:
            return Reply(404, detail="There is no such route.")
        known = name if name in self.catalog.problems else None  # what else it is may be anything
        emit(LogEvent.EVENT_PUT_OFF, route=known, why="the route cannot be used")
        return Reply(503, {"Retry-After": "60"}, detail=UNUSABLE)

    async def _if_on(self, route: Route, reply: Reply, off: Reply) -> Reply:
        """An answer that only a route which is on gives."""
        try:
            return off if await self._secrets(route) is None else reply
        except RouteUnusable:
            return Reply(503, {"Retry-After": "60"}, detail=UNUSABLE)

    async def _secrets(self, route: Route) -> tuple[str, ...] | None:
        """What proves a route's requests; none where tokens do. None: the route is off. Raises RouteUnusable."""
        if route.source.token_rule is not None:
            return ()
        try:
            secrets = await self.secrets.of(route.name)
        except SecretsUnavailable:
            raise _Unprovable("What proves a request cannot be read at the moment.") from None
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
                raise _Unprovable("What proves a request cannot be read at the moment.") from None
            except Refused as refusal:
                raise Unverified(str(refusal)) from None
        usable = [secret for secret in secrets if route.source.unusable(secret) is None]
        if not usable:
            raise _Unprovable(secret_fault(route, secrets, self.composer.settings) or UNUSABLE)
        return route.source.authenticate(request, usable, self.now())

    async def _over_rate(self, route: Route, mails: int) -> datetime | None:
        """When a route that is over its rate may be asked again; None: now."""
        if not route.rate_per_minute or not mails:
            return None
        return await self.worker.engine.pace.ask(_caller(route), route.rate_per_minute, mails)

    def _come_again(self, source: Source, until: datetime) -> Reply:
        reply = source.reply(Result.OVERLOADED, "The route is over its rate, rate_per_minute; send it again.")
        seconds = max(1, math.ceil((until - self.now()).total_seconds()))
        return replace(reply, headers={**reply.headers, "Retry-After": str(seconds)})

    async def _wanted(self, route: Route, events: list[Event], size: int) -> list[Event]:
        """Those that the route wants mail of. size: bytes that they were read of."""
        verdicts = await aside(size, lambda: [self.composer.wants(route, event) for event in events])
        for number, (event, wants) in enumerate(zip(events, verdicts, strict=True), 1):
            if not wants:
                emit(LogEvent.EVENT_FILTERED, route=route.name, type=_kind(event))
            if number % TURN == 0:
                await asyncio.sleep(0)  # there are others
        return [event for event, wants in zip(events, verdicts, strict=True) if wants]

    async def _take(self, route: Route, events: list[Event], size: int, *, paced: bool = False) -> "_Taken":
        """Make every mail durable that these events ask for.

        Up to ONE_BY_ONE mails are put one message each. More are durable as one: to put thousands would outlast the
        patience of every sender, and what was put of them would be put again at each try.

        paced: nobody waits for the answer, so mails beyond the route's rate are put for later.
        Raises AzureError, RouteUnusable; RateLimitUnavailable where it is paced.
        """
        now = self.now()
        if len(events) <= ONE_BY_ONE:
            composed = [(event, await self._mails(route, event, now)) for event in events]
            events = [event for event, mails in composed if mails]
            if sum(len(mails) for _, mails in composed) <= ONE_BY_ONE:
                ids = tuple(mail.id for _, mails in composed for mail in mails)
                if self.at_once is not None and not paced:
                    made = await self.at_once.put([mail for _, mails in composed for mail in mails])
                    for event, mails in composed:
                        _say_accepted(route, event, mails)
                    return _Taken(len(events), ids, made)
                await asyncio.gather(*(self._put(route, event, mails, paced) for event, mails in composed))
                return _Taken(len(events), ids)
        name = new_id()
        batch = Batch(
            v=1,
            id=name,
            route=route.name,
            accepted_at=now,
            payload=batch_name(name),
            count=len(events),
            paced=paced,
        )
        await self.outbox.put_batch(batch, await aside(size, packed, events))
        emit(LogEvent.BATCH_ACCEPTED, id=name, route=route.name, events=len(events))
        return _Taken(len(events))

    async def _take_one(self, route: Route, event: Event, now: datetime, paced: bool) -> None:  # noqa: FBT001 - the fact
        # Beside the loop whatever its size: many of a batch are ready at once, one after the other would hold it.
        await self._put(route, event, await self._mails(route, event, now, LARGE), paced)

    async def _mails(self, route: Route, event: Event, now: datetime, size: int = 0) -> tuple[OutgoingMail, ...]:
        """The mails of an event; none where it was set aside. Raises RouteUnusable, AzureError.

        size: bytes that composing counts as, at least; see aside.
        """
        try:
            size = size or size_of(event.data, LARGE)
            mails = await aside(size, self.composer.mails, route, event, now)
        except Refused as refusal:
            # Another delivery would say the same: its sender has done its part, and an operator can put it back.
            await self._set_aside(route, event, now, refusal)
            return ()
        if not mails:  # the route has changed since the event was accepted
            emit(LogEvent.EVENT_FILTERED, route=route.name, type=_kind(event))
        return mails

    async def _put(self, route: Route, event: Event, mails: tuple[OutgoingMail, ...], paced: bool) -> None:  # noqa: FBT001
        for mail in mails:
            due = None
            if paced and route.rate_per_minute:
                due = await self.worker.engine.pace.come_at(_caller(route), route.rate_per_minute)
            await self.outbox.put(work_of(mail), self.now(), due, mail)
            _say_accepted(route, event, (mail,))

    async def _set_aside(self, route: Route, event: Event, now: datetime, refusal: Refused) -> None:
        name, repeats = name_of(route, event, now)
        mail = identity(f"route:{route.name}", f"refused {name}")
        # A key that counts for a while only cannot name what an operator puts back at any time.
        lasting = repeats is None and len(event.key) <= LONGEST_ID
        again = _as_message(route, event, event.key if lasting else mail)
        await self.worker.refuse(mail, EVENTS, again, refusal)

    async def _crashed(self, route: Route, event: Event, now: datetime) -> None:
        await self._set_aside(route, event, now, Malformed(400, "Crashed", "The event made Mailroom fail."))


@dataclass(frozen=True, slots=True)
class _Taken:
    """events: how many ask for mail. mails: their ids, unless there are too many to say. made: to be attempted."""

    events: int
    mails: tuple[str, ...] = ()
    made: Sequence[Made] = ()


def _done(source: Source, mails: tuple[str, ...]) -> Reply:
    """That all is durable, in the sender's terms; and what to ask /api/messages for."""
    reply = source.reply(Result.DONE)
    if len(mails) == 1:
        return replace(reply, headers={**reply.headers, "Location": f"/api/messages/{mails[0]}"})
    return replace(reply, body=json.dumps(mails).encode()) if mails and source.body_allowed else reply


def _say_accepted(route: Route, event: Event, mails: Sequence[OutgoingMail]) -> None:
    for mail in mails:
        emit(LogEvent.MAIL_ACCEPTED, id=mail.id, route=route.name, type=_kind(event), state="accepted")


def _kind(event: Event) -> str | None:
    """The type of an event as it can be logged; what else it holds may be anything."""
    return event.type if TYPE.fullmatch(event.type) else None


def _told(error: RouteUnusable) -> str:
    """What the sender may know of the reason: of a request that is not proved, nothing."""
    return UNUSABLE if isinstance(error, _Unprovable) else str(error)


def _caller(route: Route) -> str:
    return f"route {route.name}"


def _check_body(request: RawRequest, source: Source) -> None:
    """Its size, and that nothing has to be unpacked first: what it then becomes has no limit that was agreed on."""
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Malformed(415, "UnsupportedMediaType", "Content-Encoding is not supported; send the body as it is.")
    if len(request.body) > source.largest:
        raise Malformed(413, "RequestEntityTooLarge", f"The body has more than {source.largest} bytes.")


def _as_message(route: Route, event: Event, name: str) -> bytes:
    """The event as a message of `mail-events`, so that it can be put there again under this name."""
    message = EventMessage(
        route=route.name,
        data=event.data,
        id=name,
        type=event.type,
        subject=event.subject,
        source=event.source,
        time=event.time.isoformat() if event.time else None,
        thread=event.thread,
    )
    return json.dumps(msgspec.to_builtins(message)).encode()  # numbers of any size, halves of surrogate pairs
