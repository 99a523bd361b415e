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

from shared.delivery.attempt import Ended, Later, Ready, Waits
from shared.delivery.engine import Engine
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

IN_HAND: Final = 16  # mails; as many as an instance has requests by default (httpConcurrency)
ASKED: Final = 1.0  # seconds for step 1; after that the mail is sent all the same, only later
SOON: Final = timedelta(seconds=0.5)  # an attempt may wait so long for its mailbox's time


@dataclass(slots=True)
class Put:
    """A message to be put, and the mail that it carries. due: when it becomes visible; None: at once.

    ready: set if the mail is to be attempted now. receipt: of the message, after it was confirmed.
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
    _putting: int = 0  # mails that are to be attempted when they are put

    async def put(self, mails: Sequence[OutgoingMail]) -> list[Put]:
        """Take steps 1 and 2. Raises AzureError if a message is not confirmed; then no mail is attempted."""
        puts: list[Put] = []
        at_once = len(mails) if len(self._running) + self._putting < IN_HAND else 0
        self._putting += at_once
        try:
            puts += await asyncio.gather(*(self._prepared(mail, now=at_once > 0) for mail in mails))
            await asyncio.gather(*(self.confirm(put) for put in puts))
        except BaseException:
            self.give_back(puts)
            raise
        finally:
            self._putting -= at_once
        return puts

    def give_back(self, puts: Sequence[Put]) -> None:
        """Give back the reservations of mails that are not attempted, because not all messages could be put."""
        for put in puts:
            if put.ready is not None:
                self.engine.pace.give_back(put.ready.reservation)

    async def attempt(self, puts: Sequence[Put], seconds: float) -> None:
        """Take step 3, in a task for each mail. Returns when all tasks have ended, or after `seconds`.

        Tasks that take longer continue and write their rows, but log nothing.
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
                    return Put(mail, work)  # the worker drops it and logs that
                return await self.prepare(mail, now=now)
        except (AzureError, RateLimitUnavailable, TimeoutError):
            return Put(mail, work)

    async def prepare(self, mail: OutgoingMail, *, now: bool = True) -> Put:
        """Ask the policy, reserve quota and time, and make the message. Raises AzureError, RateLimitUnavailable.

        now: there is room to attempt the mail; otherwise its message becomes visible at the reserved time.

        Some mails are only put and never sent at once. If the process died, it would double a mail without a copy in
        Sent Items, and one that is not verified. And a mail that needs a draft takes longer than its sender waits.
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
        """Make one attempt. Returns the row if the mail has ended; None if its message has to stay."""
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
        """Show the message earlier, because nothing has to be verified. due: None for now. Never raises.

        Returns the new name of the message, or None if this may have failed.
        """
        now = self.engine.now()
        with suppress(AzureError):
            return await self.engine.outbox.show(receipt.message, now, due or now)
        return None
