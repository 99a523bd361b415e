"""Slots: leases on the few requests to Graph that may be in flight at one time, over all instances.

A slot that is taken serves one mail after the other. Its lease is renewed at half time while it is used; a second
without use, and it is given back. What an instance without a slot may do is write into one that it would like to have
it: the holder hands it over after its current mail, when it has at least two more than the other, or when it is the
holder's only one and has been so for a while.

One task, which lives while there are slots or waiters, does all that needs storage, one thing after the other.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from azure.core.exceptions import AzureError

from shared.delivery.pacing.board import FRESH, SKEW, Board, SlotRow
from shared.delivery.pacing.store import PacingUnavailable
from shared.delivery.pacing.waiting import Waiting

__all__ = ["Slot", "Slots"]

LEASE: Final = 15.0  # seconds
RENEW: Final = LEASE / 2  # renewed when so much of it is left
USABLE: Final = 3.0  # no request is started with less than that left
KEEP: Final = 1.0  # seconds that a slot is kept without use
LOOK: Final = FRESH - 1  # seconds between two looks at the board while mails wait
SLICE: Final = timedelta(seconds=10)  # an only slot is kept so long although another instance wants it
GRANT: Final = timedelta(seconds=6)  # lease of a slot handed over, until its new owner takes it up
WANT: Final = timedelta(seconds=15)  # a wish holds so long
WISH_AGAIN: Final = 12.0  # seconds between two wishes of one instance
AWAIT_GRANT: Final = 1.5  # seconds between two looks whether a wish has come true
HUNT: Final = (0.5, 8.0)  # seconds between two looks of an instance without a slot: the first, and the longest
AGAIN: Final = 1.0  # seconds between two tries when storage fails
SMOOTHING: Final = 0.1  # weight of the newest request in the mean of their durations


@dataclass(slots=True, eq=False)
class Slot:
    """A lease of this instance. lost: another one may have it; no request may be started in it any more."""

    key: str
    end: float  # of the lease, monotonic
    written: float  # when that was asked for
    busy: bool = False
    since: float = 0.0  # busy, or idle, since then
    lost: bool = False


class Slots:
    """What one instance has, and who waits for it."""

    def __init__(
        self, board: Board, *, now: Callable[[], datetime], monotonic: Callable[[], float], random: Random
    ) -> None:
        self._name = secrets.token_hex(8)
        self._board = board
        self._now = now
        self._monotonic = monotonic
        self._random = random
        self._held: dict[str, Slot] = {}
        self._waiting: Waiting[Slot] = Waiting()
        self._keeper: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._hunt_at = 0.0
        self._hunt = HUNT[0]
        self._wish_at = 0.0
        self.mean = 1.0  # seconds that a request takes

    async def take(self, mailbox: str, patience: float) -> Slot | None:
        """A slot, or None when there is none within so many seconds, or Graph has blocked the mailbox for longer.

        Raises AzureError, PacingUnavailable.
        """
        waiter = self._waiting.join(mailbox, self._monotonic() + patience)
        try:
            self._serve()
            if not waiter.got.done():
                self._wake()
                await asyncio.wait([waiter.got], timeout=patience)
            slot = waiter.got.result() if waiter.got.done() else None
        except asyncio.CancelledError:
            if waiter.got.done() and not waiter.got.exception() and (unused := waiter.got.result()):
                self.release(unused)
            raise
        finally:
            self._waiting.leave(waiter)
        return slot

    def release(self, slot: Slot) -> None:
        """The request has ended: the slot is for the next mail."""
        now = self._monotonic()
        self.mean += SMOOTHING * (now - slot.since - self.mean)
        slot.busy = False
        slot.since = now
        self._serve()
        if not slot.busy:
            self._wake()

    async def close(self) -> None:
        """Give back what is not in use; what is in use stays leased, for its request may be on the way."""
        if self._keeper:
            self._keeper.cancel()
        self._waiting.fail(PacingUnavailable("Pacing is closed."))
        for slot in list(self._held.values()):
            if not slot.busy:
                await self._let_go(slot)

    def _may_go(self, mailbox: str) -> bool:
        return self._board.blocked_until(mailbox) is None

    def _serve(self) -> None:
        """Give idle slots to those who wait."""
        if not self._waiting or self._board.age > FRESH:
            return
        for mailbox in self._waiting.mailboxes():
            if until := self._board.blocked_until(mailbox):
                self._waiting.dismiss(mailbox, self._monotonic() + (until - self._now()).total_seconds())
        for slot in self._held.values():
            if not slot.busy and slot.end - self._monotonic() >= USABLE and not self._leaving(slot):
                waiter = self._waiting.next(self._may_go)
                if waiter is None:
                    return
                slot.busy = True
                slot.since = self._monotonic()
                waiter.got.set_result(slot)

    def _wake(self) -> None:
        if self._keeper is None:
            if self._monotonic() > self._hunt_at + HUNT[1]:
                self._hunt = HUNT[0]
            self._keeper = asyncio.get_running_loop().create_task(self._keep())
        self._woken.set()

    async def _keep(self) -> None:
        try:
            while self._waiting or self._held:
                self._woken.clear()
                try:
                    pause = await self._step()
                except (AzureError, PacingUnavailable) as error:
                    self._waiting.fail(error)
                    pause = AGAIN
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._woken.wait()
        except Exception as error:
            self._waiting.fail(error)
            raise
        finally:
            self._keeper = None

    async def _step(self) -> float:
        """Do what is due; returns the seconds until more is."""
        await self._renew()
        need = self._need()
        if need and self._look_due():
            await self._board.look(0)
            self._check()
            self._serve()
            need = self._need()
        if need:
            await self._take_free(need)
            need = self._need()
        if need:
            await self._wish()
        await self._let_go_idle()
        self._serve()
        return self._pause()

    def _need(self) -> int:
        """How many more slots could be used now."""
        ready = sum(self._waiting.count(mailbox) for mailbox in self._waiting.mailboxes() if self._may_go(mailbox))
        idle = sum(not slot.busy and not self._leaving(slot) for slot in self._held.values())
        return max(0, ready - idle)

    def _look_due(self) -> bool:
        if self._held or self._free():
            return self._board.age >= LOOK
        return self._monotonic() >= self._hunt_at

    def _free(self) -> list[str]:
        """Slots that may be taken, those handed over to this instance first, the others in any order."""
        now = self._now()
        slots = [(key, row) for key, row in self._board.slots().items() if key not in self._held]
        mine = [key for key, row in slots if row.owner == self._name]
        free = [key for key, row in slots if row.owner != self._name and row.free(now)]
        self._random.shuffle(free)
        return mine + free

    async def _take_free(self, need: int) -> None:
        for key in self._free():
            if need <= 0:
                return
            asked = self._monotonic()
            now = self._now()
            row = SlotRow(owner=self._name, since=now, until=now + timedelta(seconds=LEASE))
            if await self._board.write(key, row):
                self._held[key] = Slot(key, asked + LEASE, asked, since=self._monotonic())
                self._hunt = HUNT[0]
                need -= 1
                self._serve()

    async def _wish(self) -> None:
        """Tell one who has more that a slot of his would be welcome, unless that was said lately."""
        now = self._now()
        mine = len(self._held)
        rows = {key: row for key, row in self._board.slots().items() if key not in self._held and not row.free(now)}
        most = max((_count(rows, row.owner) for row in rows.values()), default=0)
        if not mine:
            self._hunt_at = self._monotonic() + self._random.uniform(0.75, 1) * self._hunt
            self._hunt = min(2 * self._hunt, HUNT[1])
        if self._monotonic() < self._wish_at or (most < mine + 2 if mine else most == 0):
            return
        fit = [
            (row.since, key)
            for key, row in rows.items()
            if _count(rows, row.owner) == most and row.wanted_at + WANT < now and row.owner != self._name
        ]
        if not fit:
            return
        since, key = min(fit)
        if await self._board.write(key, replace(rows[key], wanted_by=self._name, wanted_at=now)):
            self._wish_at = self._monotonic() + WISH_AGAIN
            self._hunt = AWAIT_GRANT
            wait = 0.0 if most > 1 else (since + SLICE - now).total_seconds() + 0.5
            self._hunt_at = self._monotonic() + max(AWAIT_GRANT, wait)

    def _leaving(self, slot: Slot) -> bool:
        """Whether the slot is to be handed over to the one who wants it."""
        row = self._board.slot(slot.key)
        now = self._now()
        if not row.wanted_by or row.wanted_at + WANT < now:
            return False
        theirs = _count(self._board.slots(), row.wanted_by)
        return len(self._held) >= theirs + 2 or (theirs == 0 and row.since + SLICE <= now)

    def _check(self) -> None:
        """Give up what the board says is another's."""
        for slot in list(self._held.values()):
            if slot.written < self._board.asked and self._board.slot(slot.key).owner != self._name:
                self._lose(slot)

    def _lose(self, slot: Slot) -> None:
        slot.lost = True
        self._held.pop(slot.key, None)

    async def _renew(self) -> None:
        for slot in list(self._held.values()):
            asked = self._monotonic()
            if slot.end <= asked:
                self._lose(slot)
            elif self._renew_due(slot) <= asked:
                with suppress(AzureError):  # again in a second; when the lease is over it is lost
                    await self._extend(slot, asked)

    def _renew_due(self, slot: Slot) -> float:
        return max(slot.end - RENEW, slot.written + AGAIN)

    async def _extend(self, slot: Slot, asked: float) -> None:
        slot.written = asked
        until = self._now() + timedelta(seconds=LEASE)
        while self._board.slot(slot.key).owner == self._name:
            if await self._board.write(slot.key, replace(self._board.slot(slot.key), until=until)):
                slot.end = asked + LEASE
                return
        self._lose(slot)

    async def _let_go_idle(self) -> None:
        for slot in list(self._held.values()):
            unused = self._monotonic() - slot.since >= KEEP and not self._need()
            if not slot.busy and (unused or self._leaving(slot)):
                with suppress(AzureError):  # then it lapses
                    await self._let_go(slot)

    async def _let_go(self, slot: Slot) -> None:
        """Hand the slot over to the one who wants it, or give it back."""
        row = self._board.slot(slot.key)
        self._held.pop(slot.key, None)
        for _ in range(2):
            now = self._now()
            wanted = bool(row.wanted_by) and row.wanted_at + WANT > now
            given = SlotRow(owner=row.wanted_by, since=now, until=now + GRANT) if wanted else SlotRow()
            if row.owner != self._name or await self._board.write(slot.key, given):
                return
            row = self._board.slot(slot.key)

    def _pause(self) -> float:
        """Seconds until something is due again, if nothing happens before."""
        now = self._monotonic()
        need = self._need()
        due = [self._renew_due(slot) for slot in self._held.values()]
        due += [slot.since + KEEP for slot in self._held.values() if not slot.busy]
        if need:
            due.append(self._board.asked + LOOK if self._held else self._hunt_at)
        for mailbox in self._waiting.mailboxes():
            if until := self._board.blocked_until(mailbox):
                due.append(now + (until - self._now()).total_seconds())
        return max(0.005, min(due, default=now + AGAIN) - now)


def _count(rows: dict[str, SlotRow], owner: str) -> int:
    return sum(row.owner == owner for row in rows.values())
