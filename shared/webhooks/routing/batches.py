"""Events of a request that asks for many mails: durable as one, acknowledged, and expanded by the queue.

The events lie in one blob, with their keys and the time at which they were accepted, and one message of `mail-work`
names it. Expanding them makes of each the mails that it asks for, under ids that follow from that key and that time. So
a second expansion, after a crash or of a late copy of the message, puts nothing that is not a copy of what is there.

    all are put                   the blob is emptied, and stays for a while: so what is done is told from what is lost
    not all, within TIME          a message for those that are left; this one is completed
    storage fails on the way      the same, if any were put; else the message itself comes again
    a route that cannot be used   those events wait for it to be mended, as a message of `mail-events` does
    an event that makes it crash  is set aside, and holds up no other one
    no such route, no blob        the whole batch is set aside
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from azure.core.exceptions import AzureError

from shared.delivery.queue import Outbox
from shared.delivery.queue_messages import Batch
from shared.errors import Malformed
from shared.ratelimit.store import RateLimitUnavailable
from shared.runtime.long_work import aside
from shared.telemetry import LogEvent, emit
from shared.webhooks.routing.compose import RouteUnusable
from shared.webhooks.routing.route import Route
from shared.webhooks.sources.source import Event

__all__ = ["Expander", "packed", "unpacked"]

TIME: Final = 60.0  # seconds of one execution; far less than the platform lets it run, and more than 5,000 events need
AT_ONCE: Final = 16  # events whose mails are put at the same time
GROUP: Final = 160  # events after which progress counts
LATER: Final = timedelta(minutes=5)  # until an operator may have mended a route
SOON: Final = timedelta(seconds=10)  # until storage may have come back

Take = Callable[[Route, Event, datetime, bool], Awaitable[object]]
FAILS: Final = (AzureError, RateLimitUnavailable, TimeoutError)


def packed(events: Iterable[Event]) -> bytes:
    """Events as they are kept. Numbers of any size and halves of surrogate pairs stay what they are."""
    return json.dumps({"v": 1, "events": [_object(event) for event in events]}).encode()


def unpacked(content: bytes) -> list[Event]:
    """The same events again."""
    return [Event(**_values(one)) for one in json.loads(content)["events"]]


def _object(event: Event) -> dict[str, Any]:
    found = {field.name: getattr(event, field.name) for field in fields(Event)}
    return {**found, "time": event.time and event.time.isoformat(), "extensions": dict(event.extensions)}


def _values(kept: dict[str, Any]) -> dict[str, Any]:
    return {**kept, "time": kept["time"] and datetime.fromisoformat(kept["time"])}


@dataclass(frozen=True, slots=True)
class Expander:
    """Carries a batch through. take: makes the mails of one event durable, each with its time in the route's rate where
    the batch is paced; raises RouteUnusable, AzureError, RateLimitUnavailable. crashed: sets an event aside for good.

    route_of: raises RouteUnusable; Malformed where there is none of this name.
    """

    outbox: Outbox
    route_of: Callable[[str], Route]
    take: Take
    crashed: Callable[[Route, Event, datetime], Awaitable[None]]
    clock: Callable[[], float] = time.monotonic

    async def expand(self, batch: Batch) -> None:
        """Put the mails of a batch. When this returns its message may be completed; when it raises it must not be.

        Raises Malformed where nothing can be made of it, ever; AzureError, RateLimitUnavailable where nothing was put.
        """
        content = await self.outbox.content_of(batch)
        if content is None:
            raise Malformed(400, "PayloadMissing", "Somebody has removed the events of a batch.")
        if not content:
            return None
        try:
            route = self.route_of(batch.route)
        except RouteUnusable as error:
            emit(LogEvent.EVENT_PUT_OFF, id=batch.id, route=batch.route, why=str(error))
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
                LogEvent.EVENT_PUT_OFF, id=batch.id, route=batch.route, why="The route cannot be used for some events."
            )
            return await self._put_rest(batch, waiting, content, LATER)
        await self.outbox.finish(batch)
        emit(LogEvent.BATCH_EXPANDED, id=batch.id, route=batch.route, events=batch.count)
        return None

    async def _put_rest(
        self, batch: Batch, left: Sequence[int], content: bytes | None = None, after: timedelta = timedelta(0)
    ) -> None:
        await self.outbox.put_batch(msgspec.structs.replace(batch, left=tuple(sorted(left))), content, after)

    async def _taken(self, route: Route, batch: Batch, events: Sequence[Event]) -> list[Exception | None]:
        """What has become of each: None is durable."""
        at_once = asyncio.Semaphore(AT_ONCE)

        async def take(event: Event) -> Exception | None:
            async with at_once:
                try:
                    try:
                        await self.take(route, event, batch.accepted_at, batch.paced)
                    except (*FAILS, RouteUnusable):
                        raise
                    except Exception as error:  # noqa: BLE001 - one event's fault: no other one waits for it
                        emit(LogEvent.EVENT_CRASHED, route=route.name, code=type(error).__name__)
                        await self.crashed(route, event, batch.accepted_at)
                except (*FAILS, RouteUnusable) as error:
                    return error
            return None

        return await asyncio.gather(*map(take, events))
