"""Starts Mailroom through Microsoft's worker library, and follows one warm mail to its request to Graph.

Asked by a line of JSON on standard input, as index.py is. Answers with one: `begun`, module and function in the order
in which functions of `shared` began in the task of the invocation, each call once; a coroutine that goes on after it
has waited has not begun again. Lambdas and generator expressions belong to the function that they stand in.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from bench.programs.index import send
from sandbox.host.worker import Worker
from sandbox.loop import chosen, factory

WARM = 3  # mails before: everything is loaded, opened and known
TRIGGER, GRAPH = "shared.functions.send_mail", ("shared.graph.transport", "AiohttpTransport.handle_async_request")


class Follower:
    """A profiler of the loop's thread: sees each function begin, and each coroutine go on."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, str]] = []
        self._frames: list[FrameType] = []  # kept, so that no other gets the same identity
        self._known: set[int] = set()
        self._task: asyncio.Task[Any] | None = None
        self._there = False

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        if event != "call" or self._there or not module.startswith("shared.") or id(frame) in self._known:
            return
        if not self.begun and module != TRIGGER:  # it has begun before, and may go on later
            self._keep(frame)
        if frame.f_code.co_name.startswith("<") or not (self.begun or module == TRIGGER):
            return
        if (task := asyncio.current_task()) is not (self._task or task):
            return
        self._task = task
        self._keep(frame)
        self.begun.append((module, frame.f_code.co_qualname))
        self._there = self.begun[-1] == GRAPH

    def _keep(self, frame: FrameType) -> None:
        self._known.add(id(frame))
        self._frames.append(frame)


async def main(asked: dict[str, Any]) -> dict[str, Any]:
    worker = Worker()
    index = await worker.index(Path(asked["app"]))
    if index.error:
        raise SystemExit(index.error)
    for _ in range(WARM):
        await send(worker, index, asked)
    follower = Follower()
    sys.setprofile(follower)
    await send(worker, index, asked)
    sys.setprofile(None)
    return {"begun": follower.begun}


if __name__ == "__main__":
    out = os.dup(1)
    os.dup2(2, 1)  # what an app prints is no answer
    answer = asyncio.run(main(json.loads(sys.stdin.readline())), loop_factory=factory(chosen()))
    os.write(out, json.dumps(answer).encode() + b"\n")
    os._exit(0)  # the library's threads need not end
