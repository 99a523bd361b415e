"""The event loop that functions run on: uvloop, as Azure's worker does for Python 3.13, or asyncio's own.

Azure's proxy worker sets uvloop's policy before anything else (start_worker.py of azure-functions-python-worker).
`--loop asyncio` chooses the other; MAILROOM_LOOP=asyncio does so for whatever starts a sandbox: tests, chaos, bench.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Literal

type Loop = Literal["uvloop", "asyncio"]

LOOPS: tuple[Loop, ...] = ("uvloop", "asyncio")


def chosen() -> Loop:
    """What the environment says, else uvloop. A name that is no loop's ends the program."""
    name = os.environ.get("MAILROOM_LOOP", LOOPS[0])
    for loop in LOOPS:
        if loop == name:
            return loop
    raise SystemExit(f"MAILROOM_LOOP: found {name!r}, expected {' or '.join(LOOPS)}")


def factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Makes a loop of that name; for asyncio.run."""
    if loop == "asyncio":
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop
