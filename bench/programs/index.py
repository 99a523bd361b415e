"""Starts an app through Microsoft's worker library, as Azure does, and may have it send one mail; then leaves.

Asked by a line of JSON on standard input: `app`, a folder; `send`, whether to call its function `send_mail`, with
`path` (the user), `token` and `body`. Answers with one: `index` and `first`, each with `wall` and `cpu` in seconds and
`modules`, the count of those it has imported; `cpu`, of the whole process so far; `peak` in MiB.
"""

import time

STARTED = time.perf_counter()

import asyncio  # noqa: E402 - the clock comes first
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from bench.machine import peak  # noqa: E402
from sandbox.host.protocol import RpcHttp, TypedData  # noqa: E402
from sandbox.host.worker import Index, Worker, failure_of, new_trace  # noqa: E402
from sandbox.loop import chosen, factory  # noqa: E402


class Clock:
    """Since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu, self._modules = time.perf_counter(), time.process_time(), len(sys.modules)

    def read(self) -> dict[str, float]:
        return {
            "wall": time.perf_counter() - self._wall,
            "cpu": time.process_time() - self._cpu,
            "modules": len(sys.modules) - self._modules,
        }


async def send(worker: Worker, index: Index, asked: dict[str, Any], body: bytes | None = None) -> None:
    """Call `send_mail` as the host does. Ends the program unless the mail was sent; or, with a body, is taken."""
    function = next(each for each in index.functions if each.name == "send_mail")
    request = RpcHttp(
        method="POST",
        url=f"http://127.0.0.1/api/v1.0/users/{asked['path']}/sendMail",
        headers={"content-type": "application/json", "authorization": f"Bearer {asked['token']}"},
        params={"id": asked["path"]},
        body=TypedData(bytes=body or json.dumps(asked["body"]).encode()),
    )
    answer = await worker.invoke(function.function_id, {"req": TypedData(http=request)}, {}, new_trace())
    if (failure := failure_of(answer)) or answer.return_value is None:
        raise SystemExit(failure or "no answer")
    reply = answer.return_value.value
    state = reply.headers.get("mailroom-state") if reply.headers else None
    if str(reply.status_code) != "202" or (not body and getattr(state, "value", state) not in {None, "sent"}):
        raise SystemExit(f"{reply.status_code} {state}")


async def main(asked: dict[str, Any]) -> dict[str, Any]:
    worker, clock = Worker(), Clock()
    index = await worker.index(Path(asked["app"]))
    if index.error:
        raise SystemExit(index.error)
    found: dict[str, Any] = {"index": clock.read()}
    if asked["send"]:
        clock = Clock()
        await send(worker, index, asked)
        found["first"] = clock.read()
    return {**found, "cpu": time.process_time(), "peak": peak(os.getpid())}


if __name__ == "__main__":
    out = os.dup(1)
    os.dup2(2, 1)  # what an app prints is no answer
    answer = asyncio.run(main(json.loads(sys.stdin.readline())), loop_factory=factory(chosen()))
    os.write(out, json.dumps(answer).encode() + b"\n")
    os._exit(0)  # the library's threads need not end
