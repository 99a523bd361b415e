"""The host's side of storage queues: clients for them. Message texts are plain, whatever a queue holds."""

import asyncio
import contextlib

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue.aio import QueueClient, QueueServiceClient


class Storage:
    """Queue clients, one pipeline for each connection string, and a bell for each queue that this host writes to."""

    def __init__(self) -> None:
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

    async def close(self) -> None:
        for service in self._services.values():
            await service.close()


async def create(queue: QueueClient) -> None:
    """Create the queue unless it is there."""
    with contextlib.suppress(ResourceExistsError):
        await queue.create_queue()
