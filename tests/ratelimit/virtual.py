"""An event loop whose time passes only while everything waits: an hour of mails in a moment, always the same."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class _Skipping(selectors.SelectSelector):
    """Waits for nothing: says how long it would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits for something that will never come"
            self.time += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time starts at nought."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.time


# For a module's fixture `anyio_backend`: each of its tests has a loop of its own, whose time starts at nought.
BACKEND: Final = "asyncio", {"loop_factory": VirtualLoop}


def run[T](scenario: Coroutine[Any, Any, T]) -> T:
    """Run to the end, in no time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scenario)


def clock(*, ahead: float = 0.0) -> Callable[[], datetime]:
    """The loop's time as a wall clock. ahead: seconds that it is wrong by."""
    loop = asyncio.get_running_loop()
    return lambda: START + timedelta(seconds=loop.time() + ahead)


def elapsed() -> float:
    """Seconds since the start."""
    return asyncio.get_running_loop().time()


def at(seconds: float) -> datetime:
    """What a right clock says so many seconds after the start."""
    return START + timedelta(seconds=seconds)
