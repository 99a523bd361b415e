"""Queue triggers: receive, lease, run, delete; or give back, or set aside as poison.

After the listener of the storage queues extension (QueueListener, QueueProcessor):
- up to batchSize messages at a time, the next batch once newBatchThreshold or fewer are running;
- nothing there: wait 100 ms, then at random twice as long each time, up to maxPollingInterval;
- a message being worked on stays invisible for the lease, renewed at half time;
- success deletes it; failure makes it visible again after visibilityTimeout; the maxDequeueCount-th failure moves it
  to `<queue>-poison`;
- a queue that is itself called `…-poison` has no poison queue: what fails there stays invisible until the lease ends.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.storage.queue import QueueMessage

from .functions import QueueTrigger
from .settings import QueueSettings
from .storage import Storage, create

_log = logging.getLogger("sandbox.host")

_MAX_QUEUE_NAME = 63
_SERVER_ERROR = 500

# Runs the function on a message and its decoded body; True when it succeeded.
type Invoke = Callable[[QueueMessage, bytes], Awaitable[bool]]


class Backoff:
    """Seconds to wait while a queue stays empty (RandomizedExponentialBackoffStrategy)."""

    def __init__(self, longest: timedelta) -> None:
        self._longest = longest.total_seconds()
        self._exponent = 0

    def next(self, *, found: bool) -> float:
        """The next wait. `found`: there was a message since the last one."""
        self._exponent = 0 if found else min(self._exponent + 1, 20)
        grown = 0.1 + (random.uniform(0.8, 1.2) * 0.1 * 2 ** (self._exponent - 1) if self._exponent else 0)  # noqa: S311 (no secret)
        return min(grown, self._longest)


class QueueListener:
    """Polls one function's queue. `lease`: seconds a received message stays invisible to others."""

    def __init__(
        self, trigger: QueueTrigger, settings: QueueSettings, storage: Storage, lease: int, invoke: Invoke
    ) -> None:
        self._trigger = trigger
        self._settings = settings
        self._storage = storage
        self._lease = lease
        self._invoke = invoke
        self._queue = storage.queue(trigger.connection, trigger.queue)
        self._bell = storage.bell(trigger.connection, trigger.queue)
        poison = f"{trigger.queue}-poison"
        self._poison = None if trigger.queue.endswith("-poison") or len(poison) > _MAX_QUEUE_NAME else poison
        self._running: set[asyncio.Task[None]] = set()
        self._exists = False
        self._out = False
        self.polled = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        """Poll until `stopping` is set, then wait for the messages being worked on."""
        backoff = Backoff(self._settings.max_polling_interval)
        found = False
        while not stopping.is_set():
            self._bell.clear()
            messages = await self._receive()
            self.polled.set()
            for message in messages:
                task = asyncio.create_task(self._process(message, released=stopping.is_set()))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            if messages:
                found = True
                await self._room(stopping)
            else:
                await _first(stopping, self._bell, timeout=backoff.next(found=found))
                found = False
        if self._running:
            await asyncio.wait(self._running)

    async def _receive(self) -> list[QueueMessage]:
        """One batch. A failure is logged when it begins and when it is over, and counts as an empty queue."""
        try:
            if not self._exists:
                await create(self._queue)
                self._exists = True
            pages = self._queue.receive_messages(
                messages_per_page=self._settings.batch_size, visibility_timeout=self._lease
            ).by_page()
            page = await anext(pages, None)
            messages = [message async for message in page] if page is not None else []
        except (AzureError, OSError) as error:
            self._exists = False
            if not self._out:
                _log.warning("queue %s cannot be polled, trying on: %s", self._trigger.queue, _short(error))
            self._out = True
            return []
        if self._out:
            _log.warning("queue %s is polled again", self._trigger.queue)
        self._out = False
        return messages

    async def _room(self, stopping: asyncio.Event) -> None:
        """Wait until so few messages are being worked on that the next batch may come."""
        stop = asyncio.create_task(stopping.wait())
        try:
            while len(self._running) > self._settings.new_batch_threshold and not stop.done():
                await asyncio.wait({*self._running, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()

    async def _process(self, message: QueueMessage, *, released: bool) -> None:
        """Work on one message. Storage errors are logged: the message comes back when its lease ends."""
        try:
            if released:
                await self._release(message, timedelta(0))
            else:
                await self._work(message)
        except (AzureError, OSError) as error:
            _log.warning("queue %s, message %s: %s", self._trigger.queue, message.id, _short(error))

    async def _work(self, message: QueueMessage) -> None:
        if (message.dequeue_count or 0) > self._settings.max_dequeue_count:
            await self._set_aside(message, "was received too often")
            return
        body = message.content.encode()
        done = asyncio.Event()
        renewal = asyncio.create_task(self._renew(message, done))
        try:
            succeeded = await self._invoke(message, body)
        finally:
            done.set()
            await renewal
        if succeeded:
            with contextlib.suppress(ResourceNotFoundError):
                await self._queue.delete_message(message.id, message.pop_receipt)
        elif self._poison is None:
            return
        elif (message.dequeue_count or 0) >= self._settings.max_dequeue_count:
            await self._set_aside(message, f"has failed {message.dequeue_count} times")
        else:
            await self._release(message, self._settings.visibility_timeout)

    async def _renew(self, message: QueueMessage, done: asyncio.Event) -> None:
        """Keep the message invisible while it is worked on; its pop receipt changes with every renewal."""
        wait = self._lease / 2
        while not await _first(done, timeout=wait):
            try:
                updated = await self._queue.update_message(
                    message.id, message.pop_receipt, visibility_timeout=self._lease
                )
            except (AzureError, OSError) as error:
                _log.warning("queue %s, lease of %s: %s", self._trigger.queue, message.id, _short(error))
                if isinstance(error, HttpResponseError) and (error.status_code or _SERVER_ERROR) < _SERVER_ERROR:
                    return  # someone else has the message now
                wait = max(wait / 2, 0.1)
            else:
                message.pop_receipt = updated.pop_receipt
                wait = self._lease / 2

    async def _release(self, message: QueueMessage, invisible: timedelta) -> None:
        await self._queue.update_message(
            message.id, message.pop_receipt, visibility_timeout=int(invisible.total_seconds())
        )

    async def _set_aside(self, message: QueueMessage, reason: str) -> None:
        if self._poison is None:
            return
        _log.warning("queue %s: message %s %s: moved to %s", self._trigger.queue, message.id, reason, self._poison)
        await self._storage.put(self._trigger.connection, self._poison, message.content)
        await self._queue.delete_message(message.id, message.pop_receipt)


async def _first(*events: asyncio.Event, timeout: float) -> bool:  # noqa: ASYNC109 (running out is an answer here)
    """Wait until one of the events is set; False when none was in time."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return bool(done)


def _short(error: Exception) -> str:
    """The first line of an error; storage errors go on with headers and XML."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
