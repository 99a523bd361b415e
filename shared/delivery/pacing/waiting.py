"""Who waits for a slot: in order of arrival for each mailbox, and the mailboxes in turn."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Waiter", "Waiting"]


@dataclass(slots=True, eq=False)
class Waiter[T]:
    """One who waits. deadline: monotonic; after it nobody waits any more. got: None when there is nothing for it."""

    mailbox: str
    deadline: float
    got: asyncio.Future[T | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Waiting[T]:
    """The lines of all mailboxes."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Waiter[T]]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def mailboxes(self) -> list[str]:
        return list(self._lines)

    def count(self, mailbox: str) -> int:
        return len(self._lines.get(mailbox, ()))

    def join(self, mailbox: str, deadline: float) -> Waiter[T]:
        waiter = Waiter[T](mailbox, deadline)
        self._lines.setdefault(mailbox, deque()).append(waiter)
        return waiter

    def leave(self, waiter: Waiter[T]) -> None:
        line = self._lines.get(waiter.mailbox)
        if line and waiter in line:
            line.remove(waiter)
            if not line:
                del self._lines[waiter.mailbox]

    def next(self, may_go: Callable[[str], bool]) -> Waiter[T] | None:
        """Take the first of the first mailbox that may go out of its line; that mailbox is then the last."""
        for mailbox, line in self._lines.items():
            if may_go(mailbox):
                waiter = line[0]
                self.leave(waiter)
                if line:
                    self._lines.move_to_end(mailbox)
                return waiter
        return None

    def dismiss(self, mailbox: str, until: float) -> None:
        """Send away, with nothing, those of a mailbox whose time ends before this one, monotonic."""
        for waiter in list(self._lines.get(mailbox, ())):
            if waiter.deadline < until:
                self.leave(waiter)
                waiter.got.set_result(None)

    def fail(self, error: Exception) -> None:
        """Tell everyone that there will be nothing."""
        for line in self._lines.values():
            for waiter in line:
                waiter.got.set_exception(error)
        self._lines.clear()
