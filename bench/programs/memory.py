"""Starts Mailroom through Microsoft's worker library and says how much memory the process has at each step.

Asked by a line of JSON on standard input: as index.py, with `mails`, so many small ones, and `bodies`, sizes in bytes
of files with a number, of requests at once that have such a file each. Answers with one, in MiB: `indexed`, `first`,
`mails`, `bodies` (each with `before` and `peak`), `after`.
"""

import asyncio
import base64
import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

from bench.machine import forget_peak, peak, resident
from bench.programs.index import send
from sandbox.host.worker import Worker
from sandbox.loop import chosen, factory

AT_A_TIME = 16
FILE = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "large.bin"}


async def main(asked: dict[str, Any]) -> dict[str, Any]:
    worker, pid = Worker(), os.getpid()
    index = await worker.index(Path(asked["app"]))
    if index.error:
        raise SystemExit(index.error)
    found: dict[str, Any] = {"indexed": resident(pid), "bodies": []}
    await send(worker, index, asked)
    found["first"] = resident(pid)
    for _ in range(0, asked["mails"], AT_A_TIME):
        await asyncio.gather(*(send(worker, index, asked) for _ in range(AT_A_TIME)))
    found["mails"] = resident(pid)
    for size, times in asked["bodies"]:
        bodies = [as_request(asked["body"], size) for _ in range(times)]
        gc.collect()
        before = resident(pid)  # the requests as they came in are part of it: the library has them in hand
        forget_peak(pid)
        await asyncio.gather(*(send(worker, index, asked, body) for body in bodies))
        found["bodies"].append({"before": before, "peak": peak(pid)})
        del bodies
    gc.collect()
    found["after"] = resident(pid)
    return found


def as_request(mail: dict[str, Any], size: int) -> bytes:
    """The mail with a file of so many bytes, which stand in it once."""
    file = {**FILE, "contentBytes": ""}
    head, tail = json.dumps({"message": {**mail["message"], "attachments": [file]}}).split('"contentBytes": ""')
    return b"".join([head.encode(), b'"contentBytes": "', base64.b64encode(bytes(size)), b'"', tail.encode()])


if __name__ == "__main__":
    out = os.dup(1)
    os.dup2(2, 1)  # what an app prints is no answer
    answer = asyncio.run(main(json.loads(sys.stdin.readline())), loop_factory=factory(chosen()))
    os.write(out, json.dumps(answer).encode() + b"\n")
    os._exit(0)  # the library's threads need not end
