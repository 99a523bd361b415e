"""An event loop whose time passes only while everything waits: an hour of pacing in a moment, always the same."""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from shared.delivery.pacing.clock import Clock

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


def run[T](scenario: Coroutine[Any, Any, T]) -> T:
    """Run to the end, in no time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scenario)


def clock(*, ahead: float = 0.0, seed: int = 0) -> Clock:
    """The loop's time as a clock. ahead: seconds that its wall clock is wrong by."""
    loop = asyncio.get_running_loop()
    return Clock(lambda: START + timedelta(seconds=loop.time() + ahead), loop.time, Random(seed))


def at(seconds: float) -> datetime:
    """What a right clock says so many seconds after the start."""
    return START + timedelta(seconds=seconds)
