"""Slots: leases on the few requests to Graph that may be in flight at one time, over all instances.

A slot that is taken serves one mail after the other; the next one is called while it is still in use (waiting.py). Its
lease is renewed at half time while it is used; a second without use, and it is given back. An instance that has too few
writes its wish into the row of another's slot, which is handed over when its current mail has gone (shares.py).

One task, which lives while there are slots or waiters, does all that needs storage, one thing after the other.
"""

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from azure.core.exceptions import AzureError

from shared.deadline import within
from shared.delivery.pacing.board import FRESH, Board
from shared.delivery.pacing.clock import Clock
from shared.delivery.pacing.shares import SlotRow, heir_of, takeable, to_wish, to_yield
from shared.delivery.pacing.store import PacingUnavailable
from shared.delivery.pacing.waiting import Turn, Waiting

__all__ = ["Slot", "Slots"]

LEASE: Final = 15.0  # seconds
RENEW: Final = LEASE / 2  # renewed when so much of it is left
USABLE: Final = 3.0  # no request is started with less than that left
KEEP: Final = (1.0, 0.2)  # seconds that a slot is kept without use: while there are free ones, and while there are none
LOOK: Final = FRESH - 0.5  # seconds between two looks at the board while mails wait
GRANT: Final = timedelta(seconds=6)  # lease of a slot handed over, until its new owner takes it up
WISH_AGAIN: Final = 12.0  # seconds between two wishes of one instance
AWAIT_GRANT: Final = 1.5  # seconds between two looks whether a wish has come true
HUNT: Final = (0.5, 4.0)  # seconds between two looks of an instance without a slot: the first, and the longest
MOMENT: Final = 0.3  # seconds between taking half of what is free and taking more
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

    def __init__(self, board: Board, clock: Clock) -> None:
        self._name = secrets.token_hex(8)
        self._board = board
        self._clock = clock
        self._held: dict[str, Slot] = {}
        self._waiting: Waiting[Slot] = Waiting()
        self._keeper: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._stepping = asyncio.Lock()
        self._closed = False
        self._hunt_at = 0.0  # these are monotonic: without a slot, look again then,
        self._hunt = HUNT[0]  # and after that pause the next time;
        self._wish_at = 0.0  # no other wish before;
        self._grant_at = 0.0  # it will hardly come true before;
        self._take_at = 0.0  # take no more before
        self.mean = 0.3  # seconds that a request takes; until one has been seen, what is usual with Graph

    def join(self, mailbox: str, patience: float) -> Turn[Slot]:
        """Wait for a slot. Who does must `leave`, whatever comes of it. Raises PacingUnavailable.

        Turn.called raises AzureError and PacingUnavailable.
        """
        if self._closed:
            raise PacingUnavailable("Pacing is closed.")
        turn = self._waiting.join(mailbox, patience)
        self._serve()
        if turn.slot is None:
            self._wake()
        return turn

    def leave(self, turn: Turn[Slot]) -> None:
        """Wait no more; a slot that it has been given is for the next mail."""
        self._waiting.leave(turn)
        slot, turn.slot = turn.slot, None
        if slot:
            self._release(slot)
        else:
            self._serve()

    def _release(self, slot: Slot) -> None:
        now = self._clock.monotonic()
        self.mean += SMOOTHING * (now - slot.since - self.mean)
        slot.busy = False
        slot.since = now
        if slot.lost:
            self._held.pop(slot.key, None)
        self._serve()
        if not slot.busy:
            self._wake()

    async def close(self) -> None:
        """Give back what is not in use now; the rest when its request has ended, for that may be on the way."""
        self._closed = True
        self._waiting.fail(PacingUnavailable("Pacing is closed."))
        async with self._stepping:
            await self._let_go_idle()
        self._woken.set()
        if self._keeper and not self._held:
            await asyncio.wait([self._keeper])

    def _may_go(self, mailbox: str) -> bool:
        return self._board.blocked_until(mailbox) is None

    def _serve(self) -> None:
        """Give idle slots to those who wait, and call who is next."""
        if not self._waiting or self._board.age > FRESH:
            return
        for mailbox in self._waiting.mailboxes():
            if until := self._board.blocked_until(mailbox):
                self._waiting.dismiss(mailbox, (until - self._clock.now()).total_seconds())
        staying = self._staying()
        # A slot that is to be handed over serves only who was called for it before that was known.
        stranded = self._waiting.on_deck - len(staying)
        for slot in self._held.values():
            if slot.busy or slot.end - self._clock.monotonic() < USABLE or (slot not in staying and stranded <= 0):
                continue
            if not self._waiting.serve(slot, self._may_go):
                return
            slot.busy = True
            slot.since = self._clock.monotonic()
            stranded -= slot not in staying
        self._waiting.call(len(staying), self._may_go)

    def _wake(self) -> None:
        if self._keeper is None:
            if self._clock.monotonic() > self._hunt_at + HUNT[1]:
                self._hunt = HUNT[0]
            self._keeper = asyncio.get_running_loop().create_task(self._keep())
        self._woken.set()

    async def _keep(self) -> None:
        try:
            while self._waiting or self._held:
                self._woken.clear()
                try:
                    async with self._stepping:
                        pause = await self._step()
                except AzureError as error:
                    pause = AGAIN
                    if not self._held or self._board.age > FRESH:
                        self._waiting.fail(error)
                with suppress(TimeoutError):
                    async with within(pause):
                        await self._woken.wait()
        except Exception as error:
            self._waiting.fail(error)
            raise
        finally:
            self._keeper = None

    async def _step(self) -> float:
        """Do what is due; returns the seconds until more is."""
        await self._renew()
        if self._waiting and self._look_at() <= self._clock.monotonic():
            await self._look()
            self._serve()
        if (need := self._need()) and self._take_at <= self._clock.monotonic():
            await self._take_free(need)
        if self._need():
            await self._wish()
        await self._let_go_idle()
        self._serve()
        return self._pause()

    def _need(self) -> int:
        """How many more slots could be used now."""
        return max(0, self._waiting.able(self._may_go) - sum(not slot.busy for slot in self._staying()))

    def _look_at(self) -> float:
        """When the board is to be looked at again while mails wait, monotonic."""
        mine, free = takeable(self._board.slots(), self._name, self._held, self._clock.now())
        return self._board.asked + LOOK if self._held or mine or free else self._hunt_at

    async def _look(self) -> None:
        await self._board.look(0)
        self._plan_hunt()
        for slot in list(self._held.values()):
            if self._board.slot(slot.key).owner != self._name:
                self._lose(slot)

    def _plan_hunt(self) -> None:
        """Set when an instance without a slot looks again: ever less often, but when its wish should have come true."""
        now = self._clock.monotonic()
        pause = self._clock.random.uniform(0.75, 1) * self._hunt
        if self._grant_at > now:
            pause = min(pause, self._grant_at - now + MOMENT)
        elif self._wish_at > now:
            pause = min(pause, AWAIT_GRANT)
        self._hunt_at = now + pause
        self._hunt = min(2 * self._hunt, HUNT[1])

    async def _take_free(self, need: int) -> None:
        mine, free = takeable(self._board.slots(), self._name, self._held, self._clock.now())
        # Others may be looking too: so in any order, and half now, the rest in a moment if it is still there.
        half = self._clock.random.sample(free, min(need, (len(free) + 1) // 2))
        for key in mine + half:
            asked = self._clock.monotonic()
            now = self._clock.now()
            row = SlotRow(owner=self._name, since=now, until=now + timedelta(seconds=LEASE))
            if await self._board.write(key, row):
                self._held[key] = Slot(key, asked + LEASE, asked, since=self._clock.monotonic())
                self._hunt = HUNT[0]
                self._take_at = self._clock.monotonic() + MOMENT
                self._serve()

    async def _wish(self) -> None:
        """Tell one who has more that a slot of his would be welcome, unless that was said lately."""
        now = self._clock.now()
        wish = to_wish(self._board.slots(), self._name, len(self._held), now)
        if wish is None or self._clock.monotonic() < self._wish_at:
            return
        key, wait = wish
        if await self._board.write(key, replace(self._board.slot(key), wanted_by=self._name, wanted_at=now)):
            self._wish_at = self._clock.monotonic() + WISH_AGAIN
            self._grant_at = self._clock.monotonic() + wait.total_seconds()
            self._plan_hunt()

    def _staying(self) -> list[Slot]:
        """The slots of this instance, without those that are lost or to be handed over."""
        rows, now, held = self._board.slots(), self._clock.now(), len(self._held)
        return [slot for slot in self._held.values() if not slot.lost and not to_yield(rows, slot.key, held, now)]

    def _lose(self, slot: Slot) -> None:
        """Another one may have the slot now. While its request is on the way, it is not taken up again here."""
        slot.lost = True
        if not slot.busy:
            self._held.pop(slot.key, None)

    async def _renew(self) -> None:
        for slot in list(self._held.values()):
            asked = self._clock.monotonic()
            if slot.end <= asked:
                self._lose(slot)
            elif not slot.lost and self._renew_due(slot) <= asked:
                with suppress(AzureError):  # again in a second; when the lease is over it is lost
                    await self._extend(slot, asked)

    def _renew_due(self, slot: Slot) -> float:
        return max(slot.end - RENEW, slot.written + AGAIN)

    async def _extend(self, slot: Slot, asked: float) -> None:
        slot.written = asked
        until = self._clock.now() + timedelta(seconds=LEASE)
        while self._board.slot(slot.key).owner == self._name:
            if await self._board.write(slot.key, replace(self._board.slot(slot.key), until=until)):
                slot.end = asked + LEASE
                return
        self._lose(slot)

    async def _let_go_idle(self) -> None:
        for slot in list(self._held.values()):
            unused = self._clock.monotonic() >= self._keep_until(slot) and not self._need()
            if not slot.busy and (unused or slot not in self._staying()):
                with suppress(AzureError):  # then it lapses
                    await self._let_go(slot)

    def _keep_until(self, slot: Slot) -> float:
        now = self._clock.now()
        crowded = not any(row.free(now) for row in self._board.slots().values())
        return slot.since + (0.0 if self._closed else KEEP[crowded])

    async def _let_go(self, slot: Slot) -> None:
        """Hand the slot over to the one who wants it, or give it back."""
        held = len(self._held)
        self._held.pop(slot.key, None)
        for _ in range(2):
            row = self._board.slot(slot.key)
            now = self._clock.now()
            heir = heir_of(self._board.slots(), slot.key, held, now)
            given = SlotRow(owner=heir, since=now, until=now + GRANT) if heir else SlotRow()
            if row.owner != self._name or await self._board.write(slot.key, given):
                return

    def _pause(self) -> float:
        """Seconds until something is due again, if nothing happens before."""
        now = self._clock.monotonic()
        due = [self._renew_due(slot) for slot in self._held.values() if not slot.lost]
        due += [self._keep_until(slot) for slot in self._held.values() if not slot.busy]
        if self._waiting:
            due.append(self._look_at())
        if self._need() and takeable(self._board.slots(), self._name, self._held, self._clock.now())[1]:
            due.append(self._take_at)
        for mailbox in self._waiting.mailboxes():
            if until := self._board.blocked_until(mailbox):
                due.append(now + (until - self._clock.now()).total_seconds())
        return max(0.005, min(due, default=now + AGAIN) - now)
