"""The app's storage account: asynchronous clients, opened on first use.

Storage answers within a second or is in trouble: three tries and short time-outs, so that a function ends before its
caller gives up. Who cannot wait is answered 503; what comes from a queue stays in it.

Two defaults of azure-core cost more than the rest of an operation and bring nothing here (bench/RESULTS.md), and are
switched off with its own settings: it asks the environment for a proxy in a thread, before each request (the way to
storage is the network's business, as it is to Graph); and it looks for a tracing plug-in before each request that is
not there.
"""

import asyncio
from typing import Any, Final

from azure.core.exceptions import ServiceResponseTimeoutError
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.settings import settings as azure_core
from azure.data.tables.aio import TableServiceClient
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
from shared.identity import Identity

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
CONNECT_TIMEOUT: Final = 3.0  # seconds
READ_TIMEOUT: Final = 10.0  # until the next bytes come
TRY_TIMEOUT: Final = 20.0  # for a whole try, however the bytes of its answer trickle in


class _Transport(AioHttpTransport):  # type: ignore[misc] # imported lazily by azure.core, so untyped
    """The SDK's, with an end to each try. What is read as a stream has its end where it is read."""

    def __init__(self) -> None:
        super().__init__(connection_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, use_env_settings=False)

    async def send(self, request: Any, **options: Any) -> Any:
        try:
            async with asyncio.timeout(TRY_TIMEOUT):
                return await super().send(request, **options)
        except TimeoutError as error:
            raise ServiceResponseTimeoutError(f"no whole answer within {TRY_TIMEOUT:g} seconds") from error


class StorageAccount:
    """The clients of one process and event loop."""

    def __init__(self, storage: Storage) -> None:
        azure_core.tracing_enabled = False
        transport = _Transport()
        options = {**CLIENT_OPTIONS, "transport": transport}
        table_options = {**TABLE_OPTIONS, "transport": transport}
        self._credential: Identity | None = None
        if storage.connection_string is not None:
            self.queues = QueueServiceClient.from_connection_string(storage.connection_string, **options)
            self.blobs = BlobServiceClient.from_connection_string(storage.connection_string, **options)
            self.tables = TableServiceClient.from_connection_string(storage.connection_string, **table_options)
            return
        self._credential = Identity(storage.client_id)
        self.queues = QueueServiceClient(storage.queue_endpoint, credential=self._credential, **options)
        self.blobs = BlobServiceClient(storage.blob_endpoint, credential=self._credential, **options)
        self.tables = TableServiceClient(storage.table_endpoint, credential=self._credential, **table_options)

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
