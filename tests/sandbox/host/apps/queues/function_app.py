"""Queue functions; the setting Q begins all their queues' names, and FILE is where they leave a trace."""

import asyncio
import json
import os
from datetime import datetime
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
_three = asyncio.Barrier(3)


def _trace(line: str) -> None:
    with Path(os.environ["FILE"]).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def _text(moment: datetime | None) -> str:
    return moment.isoformat() if moment else "none"


@app.queue_trigger(arg_name="msg", queue_name="%Q%-in", connection="AzureWebJobsStorage")
async def describe(msg: func.QueueMessage) -> None:
    """Leave what the message looks like from here."""
    seen = {
        "body": msg.get_body().decode(),
        "id": msg.id,
        "dequeue_count": msg.dequeue_count,
        "insertion_time": _text(msg.insertion_time),
        "expiration_time": _text(msg.expiration_time),
        "time_next_visible": _text(msg.time_next_visible),
        "pop_receipt": msg.pop_receipt,
    }
    _trace(f"described {json.dumps(seen)}")


@app.queue_trigger(arg_name="msg", queue_name="%Q%-bad", connection="AzureWebJobsStorage")
async def bad(msg: func.QueueMessage) -> None:
    _trace(f"{msg.get_body().decode()} {msg.dequeue_count}")
    raise RuntimeError("bad as ever")


@app.queue_trigger(arg_name="msg", queue_name="%Q%-bad-poison", connection="AzureWebJobsStorage")
async def bury(msg: func.QueueMessage) -> None:
    """A poison queue is a queue like any other; what fails here has nowhere to go."""
    _trace(f"buried {msg.get_body().decode()} {msg.dequeue_count}")
    if msg.get_body() == b"undead":
        raise RuntimeError("undead")


@app.queue_trigger(arg_name="msg", queue_name="%Q%-slow", connection="AzureWebJobsStorage")
async def slow(msg: func.QueueMessage) -> None:
    """Longer than the lease, unless told otherwise."""
    _trace(f"{msg.get_body().decode()} begins")
    await asyncio.sleep(float(os.environ.get("SLOW", "3.5")))
    _trace(f"{msg.get_body().decode()} ends")


@app.queue_trigger(arg_name="msg", queue_name="%Q%-three", connection="AzureWebJobsStorage")
async def three(msg: func.QueueMessage) -> None:
    """Goes on when three messages are here."""
    async with asyncio.timeout(10):
        await _three.wait()
    _trace(f"three {msg.get_body().decode()}")
