"""Queue functions; the setting Q begins all their queues' names, and FILE is where they leave a trace."""

import asyncio
import json
import os
from datetime import datetime
from pathlib import Path
from typing import List  # noqa: UP035 (see below)

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
_three = asyncio.Barrier(3)


def _trace(line: str) -> None:
    with Path(os.environ["FILE"]).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def _text(moment: datetime | None) -> str:
    return moment.isoformat() if moment else "none"


@app.queue_trigger(arg_name="msg", queue_name="%Q%-in", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="$return", queue_name="%Q%-out", connection="AzureWebJobsStorage")
async def describe(msg: func.QueueMessage, context: func.Context) -> str:
    """Put out what the message looks like from here."""
    return json.dumps(
        {
            "body": msg.get_body().decode(),
            "id": msg.id,
            "dequeue_count": msg.dequeue_count,
            "insertion_time": _text(msg.insertion_time),
            "expiration_time": _text(msg.expiration_time),
            "time_next_visible": _text(msg.time_next_visible),
            "pop_receipt": msg.pop_receipt,
            "invocation": context.invocation_id,
        }
    )


@app.queue_trigger(arg_name="msg", queue_name="%Q%-copy", connection="Storage", data_type=func.DataType.BINARY)
@app.queue_output(arg_name="copies", queue_name="%Q%-copies", connection="Storage")
def copy(msg: func.QueueMessage, copies: func.Out[List[str]]) -> None:  # noqa: UP006 (list[str] is none to the worker)
    """Put out a list; the message came as bytes."""
    copies.set([msg.get_body().decode(), "[twice]"])


@app.route(route="send")
@app.queue_output(arg_name="message", queue_name="%Q%-sent", connection="AzureWebJobsStorage")
async def send(req: func.HttpRequest, message: func.Out[str]) -> func.HttpResponse:
    message.set(req.get_body().decode())
    return func.HttpResponse(status_code=202)


@app.queue_trigger(arg_name="msg", queue_name="%Q%-bad", connection="AzureWebJobsStorage")
async def bad(msg: func.QueueMessage) -> None:
    _trace(f"{msg.get_body().decode()} {msg.dequeue_count}")
    raise RuntimeError("bad as ever")


@app.queue_trigger(arg_name="msg", queue_name="%Q%-bad-poison", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="$return", queue_name="%Q%-buried", connection="AzureWebJobsStorage")
async def bury(msg: func.QueueMessage) -> str:
    """A poison queue is a queue like any other; what fails here has nowhere to go."""
    body = msg.get_body().decode()
    if body == "undead":
        _trace(f"{body} {msg.dequeue_count}")
        raise RuntimeError(body)
    return body


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
