"""Sends the mails of a webhook request before its sender is answered.

The platform polls an idle queue only every ten seconds and then starts the function cold. An alert should not wait for
that.

    1. prepare    for each mail: check the policy, reserve quota and time. If storage fails, the worker does it later
    2. put        a message for each mail, hidden until the mail would first be verified, or until its reserved time
    3. attempt    only after all messages are confirmed: claim, send, write the row, delete the message

So no sender is answered 2xx for a mail that is not durable, and no mail is sent of a request that its sender has to
repeat. If the process dies, the message stays; it starts an execution that finds the row and asks the mailbox. If there
is a row already, the event is a copy; its message stays, and the execution that it starts drops it.

In a burst, an instance attempts at most IN_HAND mails at the same time. Further mails are only put, visible at their
reserved time, so that their senders wait for storage but not for the mails of all others.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec
from azure.core.exceptions import AzureError

from shared.delivery.engine import Ended, Engine, Later, Ready, Waits
from shared.delivery.lease import lease_end
from shared.delivery.ledger import Conflict
from shared.delivery.queue import Receipt
from shared.delivery.queue_messages import Work, work_of
from shared.delivery.retries import first_verification
from shared.delivery.row import ENDED, REPLAYABLE, Row, first_claim, new_token, report_end
from shared.delivery.worker import Worker
from shared.event_loop import within
from shared.mail.outgoing import OutgoingMail
from shared.mail.sizes import needs_draft
from shared.ratelimit.mailbox_pace import RateLimitUnavailable
from shared.telemetry import deferred

IN_HAND: Final = 8  # mails; half as many as an instance has requests by default (httpConcurrency)
ASKED: Final = 1.0  # seconds for step 1; after that the mail is sent all the same, only later
SOON: Final = timedelta(seconds=0.5)  # an attempt may wait so long for its mailbox's time


@dataclass(slots=True)
class Put:
    """A message that is to be put, visible when due (None: at once). ready: its mail is then to be attempted.

    receipt: of the message, once it is confirmed.
    """

    mail: OutgoingMail
    work: Work
    due: datetime | None = None
    ready: Ready | None = None
    receipt: Receipt | None = None


@dataclass(slots=True)
class AtOnce:
    """One for a process."""

    engine: Engine
    worker: Worker
    _running: set[asyncio.Task[None]] = field(default_factory=set)  # the loop itself keeps only a weak reference
    _putting: int = 0  # mails

    async def put(self, mails: Sequence[OutgoingMail]) -> list[Put]:
        """Steps 1 and 2. Raises AzureError where a message is not confirmed: none of the mails is attempted then."""
        puts: list[Put] = []
        now = len(self._running) + self._putting < IN_HAND
        self._putting += len(mails)
        try:
            puts += await asyncio.gather(*(self._prepared(mail, now=now) for mail in mails))
            await asyncio.gather(*(self.confirm(put) for put in puts))
        except BaseException:
            self.give_back(puts)
            raise
        finally:
            self._putting -= len(mails)
        return puts

    def give_back(self, puts: Sequence[Put]) -> None:
        """Not all of their messages could be put, so none is attempted."""
        for put in puts:
            if put.ready is not None:
                self.engine.pace.give_back(put.ready.reservation)

    async def attempt(self, puts: Sequence[Put], seconds: float) -> None:
        """Step 3, in tasks of their own. Returns when they have ended, or after so many seconds.

        Tasks that are late go on and write their rows, but log nothing.
        """
        answered = False
        tasks = [asyncio.create_task(self.send(put, lambda: not answered)) for put in puts if put.ready is not None]
        for task in tasks:
            self._running.add(task)
            task.add_done_callback(self._done)
        if tasks:
            await asyncio.wait(tasks, timeout=max(0.0, seconds))
        answered = True

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved only: the delivery worker meets the same fault, and logs it

    async def _prepared(self, mail: OutgoingMail, *, now: bool = True) -> Put:
        work = work_of(mail)
        try:
            async with within(ASKED):
                if await self.worker.repeated_by(work) is not None:
                    return Put(mail, work)  # the delivery worker drops it and logs that
                return await self.prepare(mail, now=now)
        except (AzureError, RateLimitUnavailable, TimeoutError):
            return Put(mail, work)

    async def prepare(self, mail: OutgoingMail, *, now: bool = True) -> Put:
        """Policy, quota and time of a mail that a message is to carry. Raises AzureError, RateLimitUnavailable.

        now: there is room to attempt it; else its message becomes visible at its time.

        Only put, never sent at once, is what a kill in the middle would double: a mail without a copy in Sent Items, or
        that nobody asks the mailbox about; and what takes longer than a sender waits: a mail by way of a draft.
        """
        engine, work = self.engine, work_of(mail)
        large = mail.request.message.attachments and needs_draft(mail.request)
        can_be_asked = mail.request.save_to_sent_items and engine.settings.verify_sent
        if large or not can_be_asked or mail.not_before is not None:
            return Put(mail, work, mail.not_before)
        ready = await engine.prepare(mail, admitted=True)
        if not isinstance(ready, Ready):  # who delivers the message asks again, and writes that down
            return Put(mail, work)
        reservation = ready.reservation
        work = work_of(mail, (reservation.mailbox, reservation.at))
        if not now or reservation.at > engine.now() + SOON:
            reservation.carried = True
            return Put(mail, work, reservation.at)
        due = first_verification(lease_end(engine.now(), engine.settings), engine.settings)
        return Put(mail, msgspec.structs.replace(work, claimed=new_token()), due, ready)

    async def confirm(self, put: Put) -> None:
        """Put the message. Raises AzureError."""
        put.receipt = await self.engine.outbox.put(put.work, self.engine.now(), put.due, put.mail)

    async def send(self, put: Put, heard: Callable[[], bool]) -> None:
        """Send a mail whose message is confirmed, write its row, and delete the message by its pop receipt.

        heard: False once the sender was answered without waiting any longer. What happens then is not logged, since the
        platform drops it, and the message stays: the execution that it wakes reports the end. What waits is woken at
        its time. Raises nothing for storage that is in the way: the message stays.
        """
        outbox, receipt = self.engine.outbox, put.receipt
        if receipt is None:
            raise ValueError("the message is not confirmed")
        with deferred(heard):
            try:
                await self.worker.looked_up(put.work)
            except AzureError:  # the delivery worker tells the operator before it sends the mail
                await self._wake(receipt)
                return
            ended = await self._ended(put, receipt)
            if ended is None:
                return
            if not heard():
                await self._wake(receipt)
                return
            report_end(ended)
            with suppress(AzureError):  # else it finds its row ended
                await outbox.take_back(receipt.message)
                if ended.state not in REPLAYABLE:
                    await outbox.remove(receipt.work)

    async def _ended(self, put: Put, receipt: Receipt) -> Row | None:
        """One attempt. The row if that has ended the mail; None: its message has to stay."""
        engine = self.engine
        try:
            row = first_claim(put.mail, put.work.claimed or new_token(), queued=True)
            result = await engine.run(put.mail, row, ready=put.ready)
            match result:
                case Later():  # its message carries what is reserved
                    result.carry()
                    await self._wake(receipt, result.due)
                case Waits():
                    row = await engine.ledger.write(result.row)
                    if (message := await self._wake(receipt, result.due)) is not None:
                        await engine.ledger.note_message(row, message, result.due - engine.now())
                case Ended(unwritten=None):
                    return result.row
        except Conflict:  # a copy; one of a mail that has ended need not hide until another would be verified
            with suppress(AzureError):
                met = await engine.ledger.read(put.mail.id)
                if met is not None and met.state in ENDED:
                    await self._wake(receipt)
        except (AzureError, RateLimitUnavailable):
            return None
        return None

    async def _wake(self, receipt: Receipt, due: datetime | None = None) -> str | None:
        """Nothing is to be verified, so the message need not hide until then. due: None for now. Never raises.

        What names the message from then on; None: it may not have worked.
        """
        now = self.engine.now()
        with suppress(AzureError):
            return await self.engine.outbox.show(receipt.message, now, due or now)
        return None
