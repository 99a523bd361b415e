"""Stores the mails of events durably: one message in `mail-work` for each mail, or one for a batch of events."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from shared.delivery.payloads import batch_name
from shared.delivery.queue import Outbox
from shared.delivery.queue_messages import Batch, work_of
from shared.delivery.worker import Worker
from shared.errors import Malformed, Refused
from shared.event_loop import LARGE, aside
from shared.mail.outgoing import OutgoingMail, identity, new_id
from shared.settings.queue_names import EVENTS
from shared.telemetry import LogEvent, emit
from shared.webhooks.rendering.bounds import size_of
from shared.webhooks.routing.at_once import AtOnce, Put
from shared.webhooks.routing.batches import packed
from shared.webhooks.routing.compose import Composer
from shared.webhooks.routing.event_messages import LONGEST_ID, as_message
from shared.webhooks.routing.repeated_events import mail_id_of, scope_of
from shared.webhooks.routing.route import Route
from shared.webhooks.sources.source import SourceEvent

ONE_BY_ONE: Final = 4  # mails of one request that are put in a message each; the events of more are put as one
PAUSE: Final = 50  # events that are logged before other requests get their turn
LOGGED_TYPE: Final = re.compile(r"[\w.:/-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Taken:
    """events: how many ask for mail. mails: their ids, unless they are too many. stored: to be attempted at once."""

    events: int
    mails: tuple[str, ...] = ()
    stored: Sequence[Put] = ()


@dataclass(frozen=True, slots=True)
class EventMails:
    """One for a process. at_once: sends the few mails of a webhook before it is answered; None: they are only put."""

    composer: Composer
    outbox: Outbox
    worker: Worker
    at_once: AtOnce | None = None
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    async def wanted(self, route: Route, events: list[SourceEvent], size: int) -> list[SourceEvent]:
        """The events that the route wants mail for. size: bytes that they were read from."""
        verdicts = await aside(size, lambda: [self.composer.wants(route, event) for event in events])
        for number, (event, wants) in enumerate(zip(events, verdicts, strict=True), 1):
            if not wants:
                emit(LogEvent.EVENT_FILTERED, route=route.name, type=_logged_type(event))
            if number % PAUSE == 0:
                await asyncio.sleep(0)
        return [event for event, wants in zip(events, verdicts, strict=True) if wants]

    async def take(self, route: Route, events: list[SourceEvent], size: int, *, paced: bool = False) -> Taken:
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
                return Taken(len(events), tuple(mail.id for mail in every), stored)
        name, count = new_id(), len(events)
        batch = Batch(
            v=1, id=name, route=route.name, accepted_at=now, payload=batch_name(name), count=count, paced=paced
        )
        await self.outbox.put_batch(batch, await aside(size, packed, events))
        emit(LogEvent.BATCH_ACCEPTED, id=name, route=route.name, events=count)
        return Taken(count)

    async def take_one(self, route: Route, event: SourceEvent, now: datetime, paced: bool) -> None:  # noqa: FBT001
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
                due = await self.worker.engine.pace.come_at(caller_of(route), route.rate_per_minute)
            await self.outbox.put(work_of(mail), self.now(), due, mail)
            _log_accepted(route, event, (mail,))

    async def _set_aside(self, route: Route, event: SourceEvent, now: datetime, refusal: Refused) -> None:
        name, repeats = mail_id_of(route, event, now)
        mail = identity(scope_of(route), f"refused {name}")
        # A key that counts for a while only cannot identify an event that an operator may replay at any time.
        lasting = repeats is None and len(event.key) <= LONGEST_ID
        message = as_message(route.name, event, event.key if lasting else mail)
        await self.worker.refuse(mail, EVENTS, message, refusal, route=route.name, tell=route.results)

    async def crashed(self, route: Route, event: SourceEvent, now: datetime) -> None:
        await self._set_aside(route, event, now, Malformed(400, "Crashed", "The event made Mailroom fail."))


def _log_accepted(route: Route, event: SourceEvent, mails: Sequence[OutgoingMail]) -> None:
    for mail in mails:
        emit(LogEvent.MAIL_ACCEPTED, id=mail.id, route=route.name, type=_logged_type(event), state="accepted")


def _logged_type(event: SourceEvent) -> str | None:
    """The type of an event if it can be logged; it may be any text."""
    return event.type if LOGGED_TYPE.fullmatch(event.type) else None


def caller_of(route: Route) -> str:
    """The name under which its mails are counted."""
    return f"route {route.name}"
