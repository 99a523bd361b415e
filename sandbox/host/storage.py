"""The host's side of storage queues: clients, message encoding, and what functions put out.

Message texts are encoded as host.json says. What a function puts out becomes messages as in Azure: text is one
message, a list is one for each item, and text that is itself a JSON array counts as a list (FunctionBinding,
ReadAsEnumerable).
"""

import asyncio
import base64
import binascii
import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from .functions import Function, QueueOutput
from .invocations import OutputError
from .protocol import InvocationResponse, TypedData

__all__ = ["Storage", "decode", "encode", "messages_of"]


class Storage:
    """Queue clients, one pipeline for each connection string, and a bell for each queue that this host writes to."""

    def __init__(self, *, base64_text: bool) -> None:
        self.base64_text = base64_text
        self._services: dict[str, QueueServiceClient] = {}
        self._bells: dict[tuple[str, str], list[asyncio.Event]] = {}

    def queue(self, connection: str, name: str) -> QueueClient:
        """A client for one queue. Raises ValueError for a connection string that cannot be read."""
        if connection not in self._services:
            # One retry after a second: a listener that cannot poll says so, and then keeps trying by itself.
            self._services[connection] = QueueServiceClient.from_connection_string(
                connection, retry_total=1, initial_backoff=1, increment_base=0, random_jitter_range=0
            )
        return self._services[connection].get_queue_client(name)

    def bell(self, connection: str, name: str) -> asyncio.Event:
        """An event that is set whenever this host puts a message into the queue, so that a listener looks at once."""
        event = asyncio.Event()
        self._bells.setdefault((connection, name), []).append(event)
        return event

    async def put(self, connection: str, name: str, text: str) -> None:
        """Add a message, its text as it stands, to a queue that is created when missing."""
        queue = self.queue(connection, name)
        try:
            await queue.send_message(text)
        except ResourceNotFoundError:
            await create(queue)
            await queue.send_message(text)
        for event in self._bells.get((connection, name), ()):
            event.set()

    async def put_outputs(self, function: Function, response: InvocationResponse) -> None:
        """Send what an invocation put out by its queue outputs.

        Raises OutputError: a value that is no message, or storage that does not take it.
        """
        values = {each.name: each.data for each in response.output_data}
        for name, output in function.outputs.items():
            value = response.return_value if name == "$return" else values.get(name)
            try:
                await self._send(output, value)
            except (AzureError, OSError, ValueError) as error:
                raise OutputError(f"output {name} to queue {output.queue}: {error}") from error

    async def _send(self, output: QueueOutput, value: TypedData | None) -> None:
        for text in messages_of(value):
            await self.put(output.connection, output.queue, encode(text, base64_text=self.base64_text))

    async def close(self) -> None:
        for service in self._services.values():
            await service.close()


async def create(queue: QueueClient) -> None:
    """Create the queue unless it is there."""
    with contextlib.suppress(ResourceExistsError):
        await queue.create_queue()


def encode(body: str | bytes, *, base64_text: bool) -> str:
    """A message's text. Raises ValueError for bytes that are not UTF-8 when the encoding is "none"."""
    data = body.encode() if isinstance(body, str) else body
    return base64.b64encode(data).decode("ascii") if base64_text else data.decode()


def decode(text: str, *, base64_text: bool) -> bytes:
    """A message's body. Raises ValueError for text that is not base64 when it should be."""
    if not base64_text:
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


def messages_of(value: TypedData | None) -> Sequence[str | bytes]:
    """The messages in an output's value. Raises ValueError for text that looks like JSON and is not, as Azure does."""
    if value is None or value.kind is None:
        return ()
    content = value.value
    if value.kind == "bytes":
        return (bytes(content),)
    text = str(content)
    if not _looks_like_json(text):
        return (text,)
    parsed = json.loads(text)
    return [_text(item) for item in parsed] if isinstance(parsed, list) else (text,)


def _text(item: Any) -> str:
    return item if isinstance(item, str) else json.dumps(item)


def _looks_like_json(text: str) -> bool:
    ends: Mapping[str, str] = {"{": "}", "[": "]"}
    text = text.strip()
    return bool(text) and text[-1] == ends.get(text[0])
