"""The app's storage account: asynchronous clients, opened on first use.

Storage answers within a second or is in trouble: three tries and short time-outs, so that a function ends before its
caller gives up. Who cannot wait is answered 503; what comes from a queue stays in it.
"""

import logging
from typing import Any, Final

from azure.data.tables.aio import TableServiceClient
from azure.identity.aio import ManagedIdentityCredential
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from shared.config import Storage
from shared.delivery.files import StorageFiles
from shared.delivery.outbox import StorageOutbox
from shared.delivery.pacing.table import TABLE as PACING
from shared.delivery.pacing.table import TableStore
from shared.delivery.suppressions_table import TABLE as SUPPRESSED
from shared.delivery.suppressions_table import TableSuppressions
from shared.delivery.table import TABLE, TableLedger

__all__ = ["StorageAccount"]

CLIENT_OPTIONS: Final[dict[str, Any]] = {
    "retry_total": 3,
    "initial_backoff": 0.5,
    "increment_base": 2,
    "connection_timeout": 3,
    "read_timeout": 10,
}
# The same for the tables' client, whose retries are azure-core's own.
TABLE_OPTIONS: Final[dict[str, Any]] = {
    "retry_total": 3,
    "retry_backoff_factor": 0.5,
    "connection_timeout": 3,
    "read_timeout": 10,
}


class StorageAccount:
    """The clients of one process and event loop."""

    def __init__(self, storage: Storage) -> None:
        # Its request lines hold the names of blobs, which producers give.
        logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)
        self._credential: ManagedIdentityCredential | None = None
        if storage.connection_string is not None:
            self.queues = QueueServiceClient.from_connection_string(storage.connection_string, **CLIENT_OPTIONS)
            self.blobs = BlobServiceClient.from_connection_string(storage.connection_string, **CLIENT_OPTIONS)
            self.tables = TableServiceClient.from_connection_string(storage.connection_string, **TABLE_OPTIONS)
            return
        self._credential = ManagedIdentityCredential(client_id=storage.client_id)
        self.queues = QueueServiceClient(storage.queue_endpoint, credential=self._credential, **CLIENT_OPTIONS)
        self.blobs = BlobServiceClient(storage.blob_endpoint, credential=self._credential, **CLIENT_OPTIONS)
        self.tables = TableServiceClient(storage.table_endpoint, credential=self._credential, **TABLE_OPTIONS)

    def outbox(self) -> StorageOutbox:
        return StorageOutbox(self.queues, self.blobs)

    def files(self) -> StorageFiles:
        return StorageFiles(self.blobs)

    def pacing(self) -> TableStore:
        return TableStore(self.tables.get_table_client(PACING))

    def ledger(self) -> TableLedger:
        return TableLedger(self.tables.get_table_client(TABLE))

    def suppressions(self) -> TableSuppressions:
        return TableSuppressions(self.tables.get_table_client(SUPPRESSED))

    async def close(self) -> None:
        await self.queues.close()
        await self.blobs.close()
        await self.tables.close()
        if self._credential is not None:
            await self._credential.close()
