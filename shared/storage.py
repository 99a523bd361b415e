"""The app's storage account: asynchronous clients, opened on first use.

Storage answers within a second or is in trouble: three tries and short time-outs, so that a function ends before its
caller gives up. Who cannot wait is answered 503; what comes from a queue stays in it.

Two defaults of azure-core cost more than the rest of an operation and bring nothing here (bench/RESULTS.md), and are
switched off with its own settings: it asks the environment for a proxy in a thread, before each request (the way to
storage is the network's business, as it is to Graph); and it looks for a tracing plug-in before each request that is
not there.
"""

from typing import Any, Final

from azure.core.pipeline.transport import AioHttpTransport
from azure.core.settings import settings as azure_core
from azure.data.tables.aio import TableServiceClient
from azure.identity.aio import ManagedIdentityCredential
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from shared.config import Storage
from shared.delivery.outbox import StorageOutbox
from shared.delivery.pacing.table import TABLE as PACING
from shared.delivery.pacing.table import TableStore
from shared.delivery.table import TABLE, TableLedger

__all__ = ["StorageAccount"]

CLIENT_OPTIONS: Final[dict[str, Any]] = {
    "retry_total": 3,
    "initial_backoff": 0.5,
    "increment_base": 2,
}
# The same for the tables' client, whose retries are azure-core's own.
TABLE_OPTIONS: Final[dict[str, Any]] = {
    "retry_total": 3,
    "retry_backoff_factor": 0.5,
}
TIMEOUTS: Final[dict[str, Any]] = {"connection_timeout": 3, "read_timeout": 10}  # seconds


class StorageAccount:
    """The clients of one process and event loop."""

    def __init__(self, storage: Storage) -> None:
        azure_core.tracing_enabled = False
        self._transport = AioHttpTransport(use_env_settings=False, **TIMEOUTS)
        options = {**CLIENT_OPTIONS, "transport": self._transport}
        table_options = {**TABLE_OPTIONS, "transport": self._transport}
        self._credential: ManagedIdentityCredential | None = None
        if storage.connection_string is not None:
            self.queues = QueueServiceClient.from_connection_string(storage.connection_string, **options)
            self.blobs = BlobServiceClient.from_connection_string(storage.connection_string, **options)
            self.tables = TableServiceClient.from_connection_string(storage.connection_string, **table_options)
            return
        self._credential = ManagedIdentityCredential(client_id=storage.client_id)
        self.queues = QueueServiceClient(storage.queue_endpoint, credential=self._credential, **options)
        self.blobs = BlobServiceClient(storage.blob_endpoint, credential=self._credential, **options)
        self.tables = TableServiceClient(storage.table_endpoint, credential=self._credential, **table_options)

    def outbox(self) -> StorageOutbox:
        return StorageOutbox(self.queues, self.blobs)

    def pacing(self) -> TableStore:
        return TableStore(self.tables.get_table_client(PACING))

    def ledger(self) -> TableLedger:
        return TableLedger(self.tables.get_table_client(TABLE))

    async def close(self) -> None:
        await self.queues.close()
        await self.blobs.close()
        await self.tables.close()
        if self._credential is not None:
            await self._credential.close()
