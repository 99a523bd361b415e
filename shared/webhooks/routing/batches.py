"""Batches: the events of a request that needs many mails, stored together and expanded by a queue function.

The events are in one blob, with their keys and the time at which they were accepted, and one message of `mail-work`
names the blob. Expanding a batch creates the mails of each event, with ids that follow from that key and that time. So
expanding it again, after a crash or for a late copy of the message, creates only copies.

    if                             then
    all mails were put             the blob is emptied, and kept for a while to tell a finished batch from a lost one
    TIME is over before that       a message for the remaining events is put, and this one is completed
    storage fails meanwhile        the same, if any mail was put; otherwise the message itself is delivered again
    the route cannot be used       its events are retried later, like a message of `mail-events`
    an event makes Mailroom fail   that event is set aside, and the others continue
    route or blob do not exist     the whole batch is set aside
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final

import msgspec
from azure.core.exceptions import AzureError

from shared.delivery.queue import Outbox
from shared.delivery.queue_messages import Batch
from shared.errors import Malformed
from shared.event_loop import aside
from shared.ratelimit.mailbox_pace import RateLimitUnavailable
from shared.telemetry import LogEvent, emit
from shared.webhooks.routing.route import Route, RouteUnusable
from shared.webhooks.sources.source import SourceEvent

TIME: Final = 60.0  # seconds of one execution; far below the platform's limit, and more than 5,000 events need
AT_ONCE: Final = 16  # events whose mails are put at the same time
GROUP: Final = 160  # events after which progress counts
LATER: Final = timedelta(minutes=5)  # until an operator may have mended a route
SOON: Final = timedelta(seconds=10)  # until storage may work again

Take = Callable[[Route, SourceEvent, datetime, bool], Awaitable[object]]
FAILS: Final = (AzureError, RateLimitUnavailable, TimeoutError)


def packed(events: Iterable[SourceEvent]) -> bytes:
    """Events as the blob stores them. Numbers of any size and halves of surrogate pairs are preserved."""
    kept = []
    for event in events:
        attributes = {field.name: getattr(event, field.name) for field in fields(SourceEvent)}
        kept.append({**attributes, "time": event.time and event.time.isoformat(), "extensions": dict(event.extensions)})
    return json.dumps({"v": 1, "events": kept}).encode()


def unpacked(content: bytes) -> list[SourceEvent]:
    """The same events again."""
    kept = json.loads(content)["events"]
    return [SourceEvent(**{**one, "time": one["time"] and datetime.fromisoformat(one["time"])}) for one in kept]


@dataclass(frozen=True, slots=True)
class Expander:
    """route_of: raises RouteUnusable; Malformed for an unknown name. crashed: sets an event aside for good.

    take: makes the mails of one event durable, each at its time in the route's rate where the batch is paced; raises
    RouteUnusable, AzureError, RateLimitUnavailable.
    """

    outbox: Outbox
    route_of: Callable[[str], Route]
    take: Take
    crashed: Callable[[Route, SourceEvent, datetime], Awaitable[None]]
    clock: Callable[[], float] = time.monotonic

    async def expand(self, batch: Batch) -> None:
        """Put the mails of a batch. If this returns, its message may be completed; if it raises, it must not be.

        Raises Malformed where the batch can never be expanded; AzureError, RateLimitUnavailable where nothing was put.
        """
        content = await self.outbox.content_of(batch)
        if content is None:
            raise Malformed(400, "PayloadMissing", "The blob with the events of this batch has been removed.")
        if not content:
            return None
        try:
            route = self.route_of(batch.route)
        except RouteUnusable as error:
            emit(LogEvent.EVENT_DEFERRED, id=batch.id, route=batch.route, why=str(error))
            return await self.outbox.put_batch(batch, content, LATER)
        events = await aside(len(content), unpacked, content)
        todo = list(range(len(events)) if batch.left is None else batch.left)
        waiting: list[int] = []
        end, began = self.clock() + TIME, len(todo)
        while todo:
            if len(todo) < began and self.clock() > end:
                return await self._put_rest(batch, [*todo, *waiting])
            group, todo = todo[:GROUP], todo[GROUP:]
            found = await self._taken(route, batch, [events[number] for number in group])
            failed = [number for number, error in zip(group, found, strict=True) if isinstance(error, FAILS)]
            waiting += [number for number, error in zip(group, found, strict=True) if isinstance(error, RouteUnusable)]
            if failed:
                if len(failed) + len(todo) + len(waiting) == began:
                    raise next(error for error in found if isinstance(error, FAILS))
                return await self._put_rest(batch, [*failed, *todo, *waiting], after=SOON)
        if waiting:
            emit(
                LogEvent.EVENT_DEFERRED, id=batch.id, route=batch.route, why="The route cannot be used for some events."
            )
            return await self._put_rest(batch, waiting, content, LATER)
        await self.outbox.finish(batch)
        emit(LogEvent.BATCH_EXPANDED, id=batch.id, route=batch.route, events=batch.count)
        return None

    async def _put_rest(
        self, batch: Batch, left: Sequence[int], content: bytes | None = None, after: timedelta = timedelta(0)
    ) -> None:
        await self.outbox.put_batch(msgspec.structs.replace(batch, left=tuple(sorted(left))), content, after)

    async def _taken(self, route: Route, batch: Batch, events: Sequence[SourceEvent]) -> list[Exception | None]:
        """Why each of these events is not durable; None: it is."""
        at_once = asyncio.Semaphore(AT_ONCE)

        async def take(event: SourceEvent) -> Exception | None:
            async with at_once:
                try:
                    try:
                        await self.take(route, event, batch.accepted_at, batch.paced)
                    except (*FAILS, RouteUnusable):
                        raise
                    except Exception as error:  # noqa: BLE001 - this event's fault: the others go on
                        emit(LogEvent.EVENT_CRASHED, route=route.name, code=type(error).__name__)
                        await self.crashed(route, event, batch.accepted_at)
                except (*FAILS, RouteUnusable) as error:
                    return error
            return None

        return await asyncio.gather(*map(take, events))
