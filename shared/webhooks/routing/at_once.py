"""The mails of a webhook's request, sent before its sender is answered.

A queue function at rest is looked at every ten seconds, and then starts cold; an alert should not wait for that.

    1. prepare    policy, then quota and time, for each mail; what cannot be asked is left to who delivers the message
    2. put        a message for each: hidden until its mail would first be verified, or until its mailbox has a time
    3. attempt    only when all messages are confirmed: claim, send, write the row, delete the message

So a sender is never told 2xx of a mail that is not durable, and nothing is sent of a request that it has to repeat. A
process that dies leaves the message: it wakes an execution that finds the row as it was left, and asks the mailbox.
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
from shared.mail.outgoing import OutgoingMail
from shared.ratelimit.store import RateLimitUnavailable
from shared.runtime.deadline import within
from shared.telemetry import said_while

__all__ = ["ASKED", "AtOnce", "Made"]

ASKED: Final = 1.0  # seconds for what is asked before the put: without it the mail goes all the same, only later


@dataclass(frozen=True, slots=True)
class Made:
    """A mail whose message is confirmed. receipt: None where the mail is not attempted at once."""

    put: Put
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class AtOnce:
    """One for a process."""

    requests: Requests
    worker: Worker
    _running: set[asyncio.Task[None]] = field(default_factory=set)  # the loop itself keeps only a weak reference

    async def put(self, mails: Sequence[OutgoingMail]) -> list[Made]:
        """Steps 1 and 2. Raises AzureError where a message is not confirmed: nothing of them is attempted then."""
        puts: list[Put] = []
        try:
            puts += await asyncio.gather(*(self._prepare(mail) for mail in mails))
            return await asyncio.gather(*(self._put(put) for put in puts))
        except BaseException:
            for put in puts:
                self.requests.abandon(put)
            raise

    async def attempt(self, made: Sequence[Made], seconds: float) -> None:
        """Step 3, in tasks of their own. Returns when they have ended, after so many seconds at the latest.

        They go on then, and write their rows; what they say is not heard any more.
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

    async def _prepare(self, mail: OutgoingMail) -> Put:
        work = work_of(mail)
        try:
            async with within(ASKED):
                if await self.worker.repeated_by(work) is not None:
                    return Put(mail, work)  # dropped, and said so, by who delivers it
                return await self.requests.prepare_put(mail)
        except (AzureError, RateLimitUnavailable, TimeoutError):
            return Put(mail, work)

    async def _put(self, put: Put) -> Made:
        outbox, now = self.requests.engine.outbox, self.requests.engine.claims.now()
        receipt = await outbox.put(put.work, now, put.due, put.mail)
        return Made(put, receipt if put.ready is not None else None)

    async def _attempt(self, put: Put, receipt: Receipt, heard: Callable[[], bool]) -> None:
        with said_while(heard):
            try:
                await self.worker.looked_up(put.work)
            except AzureError:  # its operator is to be told before it goes: by who delivers the message
                await self.requests.wake(receipt.message)
            else:
                await self.requests.attempt_put(put, receipt, heard)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # the message is there, and who delivers it meets the same fault, and says so
