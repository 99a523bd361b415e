"""Who waits for a slot: in order of arrival for each mailbox, and the mailboxes in turn.

Who is next for a slot that is still in use stands on deck: told so, it does meanwhile what must come before its request
and needs no slot. Those on deck are served before all others; of them first who waits for nothing but the slot.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

__all__ = ["Turn", "Waiting"]

MayGo = Callable[[str], bool]


class Turn[T]:
    """The place of one who waits. slot: what it has been given."""

    def __init__(self, waiting: "Waiting[T]", mailbox: str, patience: float) -> None:
        self.mailbox: Final = mailbox
        self.slot: T | None = None
        self.is_ready = False
        self._waiting = waiting
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + patience
        self._error: Exception | None = None
        self._called: asyncio.Future[bool] = self._loop.create_future()
        self._served: asyncio.Future[bool] = self._loop.create_future()

    @property
    def is_called(self) -> bool:
        return self._called.done()

    @property
    def left(self) -> float:
        """Seconds of its patience that are left."""
        return self._deadline - self._loop.time()

    async def called(self) -> bool:
        """Wait to be on deck, or to have a slot at once. False: not in time; it has left then, as below.

        Raises what `fail` was given.
        """
        called = await self._answer(self._called, self.left)
        if self._error:
            raise self._error
        return called

    async def ready(self, seconds: float | None = None) -> bool:
        """Wait for the slot. False: it has not come in so many seconds, or the mailbox may not send any more.

        seconds: None for what is left of the patience.
        """
        self.is_ready = True
        return await self._answer(self._served, self.left if seconds is None else seconds)

    def call(self) -> None:
        self._called.set_result(True)

    def give(self, slot: T) -> None:
        self.slot = slot
        self._served.set_result(True)

    def dismiss(self) -> None:
        """There will be nothing for it."""
        (self._served if self.is_called else self._called).set_result(False)

    def fail(self, error: Exception) -> None:
        """As dismissed; but who has not been called yet, and so has begun nothing, is told why."""
        if not self.is_called:
            self._error = error
        self.dismiss()

    async def _answer(self, answer: asyncio.Future[bool], seconds: float) -> bool:
        if not answer.done():
            await asyncio.wait([answer], timeout=max(0.0, seconds))
        if answer.done() and answer.result():
            return True
        self._waiting.leave(self)
        return False


class Waiting[T]:
    """The lines of all mailboxes, and who is on deck."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Turn[T]]] = OrderedDict()
        self._deck: list[Turn[T]] = []

    def __len__(self) -> int:
        return len(self._deck) + sum(len(line) for line in self._lines.values())

    @property
    def on_deck(self) -> int:
        return len(self._deck)

    def mailboxes(self) -> list[str]:
        """Those that anyone waits for."""
        return list({**self._lines, **{turn.mailbox: None for turn in self._deck}})

    def able(self, may_go: MayGo) -> int:
        """How many could use a slot now."""
        return len(self._deck) + sum(len(line) for mailbox, line in self._lines.items() if may_go(mailbox))

    def join(self, mailbox: str, patience: float) -> Turn[T]:
        turn = Turn(self, mailbox, patience)
        self._lines.setdefault(mailbox, deque()).append(turn)
        return turn

    def leave(self, turn: Turn[T]) -> None:
        if turn in self._deck:
            self._deck.remove(turn)
        line = self._lines.get(turn.mailbox)
        if line and turn in line:
            line.remove(turn)
            if not line:
                del self._lines[turn.mailbox]

    def call(self, most: int, may_go: MayGo) -> None:
        """Call the next on deck, until so many are there."""
        while len(self._deck) < most and (turn := self._next(may_go)):
            self._deck.append(turn)

    def serve(self, slot: T, may_go: MayGo) -> bool:
        """Give the slot to the next. False: there is none."""
        turn = next((turn for turn in self._deck if turn.is_ready), self._deck[0] if self._deck else self._next(may_go))
        if turn is None:
            return False
        self.leave(turn)
        turn.give(slot)
        return True

    def dismiss(self, mailbox: str, seconds: float) -> None:
        """A mailbox may not send for so long: send away who is on deck, and who would wait in vain."""
        for turn in [turn for turn in self._deck if turn.mailbox == mailbox]:
            self.leave(turn)
            turn.dismiss()
        for turn in list(self._lines.get(mailbox, ())):
            if turn.left < seconds:
                self.leave(turn)
                turn.dismiss()

    def fail(self, error: Exception) -> None:
        """Tell everyone that there will be nothing."""
        for turn in [*self._deck, *(turn for line in self._lines.values() for turn in line)]:
            self.leave(turn)
            turn.fail(error)

    def _next(self, may_go: MayGo) -> Turn[T] | None:
        """Call the first of the first mailbox that may go, out of its line; that mailbox is then the last."""
        for mailbox, line in self._lines.items():
            if may_go(mailbox):
                turn = line[0]
                self.leave(turn)
                if line:
                    self._lines.move_to_end(mailbox)
                turn.call()
                return turn
        return None
