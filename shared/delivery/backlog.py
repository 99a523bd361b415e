"""What waits, measured: how much is in each queue, and for how long the first of it has been due.

The maintenance timer says it every few minutes, so it is the heartbeat too: where it falls silent, nothing runs.
Maintenance counts how many rows of the ledger wait on its way through the table.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from azure.core.exceptions import ResourceNotFoundError

from shared.telemetry import LogEvent, emit

# The most that one request shows. Messages come back after a failure at other times than they were put, so the first
# one need not be the oldest.
SHOWN = 32


async def measure(queues: Any, names: Iterable[str], now: datetime) -> None:
    """Say of each queue how many messages it holds and how old the oldest is that could be taken now.

    queues: azure.storage.queue.aio.QueueServiceClient. Nothing is taken and nothing hidden. A message that waits for
    its time is counted, but has no age; nor has one that is being worked on. Raises AzureError.
    """
    await asyncio.gather(*(_measure(queues.get_queue_client(name), name, now) for name in names))


async def _measure(queue: Any, name: str, now: datetime) -> None:
    try:
        properties = await queue.get_queue_properties()
        seen = await queue.peek_messages(max_messages=SHOWN)
    except ResourceNotFoundError:  # made on first use, on a laptop
        emit(LogEvent.QUEUE_MEASURED, queue=name, messages=0)
        return
    put = [message.inserted_on for message in seen]
    oldest = max(0.0, round((now - min(put)).total_seconds(), 1)) if put else None
    emit(LogEvent.QUEUE_MEASURED, queue=name, messages=properties.approximate_message_count, oldest=oldest)
