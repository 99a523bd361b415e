"""What is large is read beside the event loop, and nothing that it says is lost."""

import asyncio
import logging
import threading

import pytest

from shared.event_loop import LARGE, aside
from shared.telemetry import LogEvent, emit


async def test_what_is_large_is_read_beside_the_loop() -> None:
    """Others go on meanwhile: the work waits for what only the loop can do."""
    loop, done = asyncio.get_running_loop(), threading.Event()

    def work() -> bool:
        loop.call_soon_threadsafe(done.set)
        return done.wait(timeout=10)

    assert await aside(LARGE, work)


async def test_what_is_small_is_read_at_once() -> None:
    assert await aside(LARGE - 1, threading.current_thread) is threading.current_thread()


async def test_what_it_raises_is_raised_and_what_it_says_is_said_in_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    """The platform drops what is logged in threads."""

    def work() -> None:
        emit(LogEvent.TEMPLATE_FAILED, route="shop")
        raise ValueError("no")

    caplog.set_level(logging.INFO, "mailroom")
    with pytest.raises(ValueError, match="no"):
        await aside(LARGE, work)
    assert [(record.threadName, "template" in record.message) for record in caplog.records] == [
        (threading.current_thread().name, True)
    ]
    emit(LogEvent.TEMPLATE_FAILED, route="shop")
    assert len(caplog.records) == 2
