"""Sends the mails of a webhook's request before its sender is answered.

The platform polls an idle queue every ten seconds and then starts the function cold; an alert should not wait for that.

    1. prepare    policy, then quota and time, for each mail; if storage fails, the delivery worker does it later
    2. put        a message for each: hidden until its mail would first be verified, or until its mailbox has a time
    3. attempt    only when all messages are confirmed: claim, send, write the row, delete the message

So a sender is never answered 2xx for a mail that is not durable, and no mail of a request that it has to repeat is
sent. If the process dies, the message stays: it starts an execution that finds the row and asks the mailbox.

In a burst that an instance cannot send at once, mails beyond IN_HAND are put only, visible at their reserved time: each
sender then waits for storage, and not for the mails of all others.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from azure.core.exceptions import AzureError

from shared.delivery.queue import Receipt
from shared.delivery.queue_messages import work_of
from shared.delivery.request import Put, Requests
from shared.delivery.worker import Worker
from shared.event_loop import within
from shared.mail.outgoing import OutgoingMail
from shared.ratelimit.store import RateLimitUnavailable
from shared.telemetry import deferred

IN_HAND: Final = 16  # mails that an instance sends at once; as many as it has requests by default (httpConcurrency)
ASKED: Final = 1.0  # seconds for step 1; after that the mail is sent all the same, only later


@dataclass(frozen=True, slots=True)
class StoredMail:
    """A mail whose message is confirmed. receipt: None where the mail is not attempted at once."""

    put: Put
    receipt: Receipt | None = None


@dataclass(slots=True)
class AtOnce:
    """One for a process."""

    requests: Requests
    worker: Worker
    _running: set[asyncio.Task[None]] = field(default_factory=set)  # the loop itself keeps only a weak reference
    _putting: int = 0  # mails that are to be attempted when they are put

    async def put(self, mails: Sequence[OutgoingMail]) -> list[StoredMail]:
        """Steps 1 and 2. Raises AzureError where a message is not confirmed: none of the mails is attempted then."""
        puts: list[Put] = []
        at_once = len(mails) if len(self._running) + self._putting < IN_HAND else 0
        self._putting += at_once
        try:
            puts += await asyncio.gather(*(self._prepare(mail, at_once > 0) for mail in mails))
            return await asyncio.gather(*(self._put(put) for put in puts))
        except BaseException:
            for put in puts:
                self.requests.abandon(put)
            raise
        finally:
            self._putting -= at_once

    async def attempt(self, made: Sequence[StoredMail], seconds: float) -> None:
        """Step 3, in tasks of their own. Returns when they have ended, or after so many seconds.

        Tasks that are late go on and write their rows, but log nothing.
        """
        answered = False
        tasks = [
            asyncio.create_task(self._attempt(one.put, one.receipt, lambda: not answered))
            for one in made
            if one.receipt is not None
        ]
        for task in tasks:
            self._running.add(task)
            task.add_done_callback(self._ended)
        if tasks:
            await asyncio.wait(tasks, timeout=max(0.0, seconds))
        answered = True

    async def _prepare(self, mail: OutgoingMail, at_once: bool) -> Put:  # noqa: FBT001
        work = work_of(mail)
        try:
            async with within(ASKED):
                if await self.worker.repeated_by(work) is not None:
                    return Put(mail, work)  # the delivery worker drops it and logs that
                return await self.requests.prepare_put(mail, at_once=at_once)
        except (AzureError, RateLimitUnavailable, TimeoutError):
            return Put(mail, work)

    async def _put(self, put: Put) -> StoredMail:
        outbox, now = self.requests.engine.outbox, self.requests.engine.claims.now()
        receipt = await outbox.put(put.work, now, put.due, put.mail)
        return StoredMail(put, receipt if put.ready is not None else None)

    async def _attempt(self, put: Put, receipt: Receipt, heard: Callable[[], bool]) -> None:
        with deferred(heard):
            try:
                await self.worker.looked_up(put.work)
            except AzureError:  # the delivery worker tells the operator before it sends the mail
                await self.requests.wake(receipt.message)
            else:
                await self.requests.attempt_put(put, receipt, heard)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved only: the delivery worker meets the same fault, and logs it
