"""The app's storage account: asynchronous clients, opened on first use.

Storage that works answers within a second. So there are three tries with short time-outs, and a function ends before
its caller gives up. Two expensive steps that azure-core takes before each request are switched off (bench/RESULTS.md):
it reads a proxy from the environment, in a thread, and looks for a tracing plug-in.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from azure.core.settings import settings as azure_core

from shared.auth.managed_identity import Identity
from shared.settings.storage_connection import Storage
from shared.storage.queues import Queues
from shared.storage.storage_service import StorageService, Transport
from shared.storage.tables import Tables

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobServiceClient

CLIENT_OPTIONS: Final[dict[str, Any]] = {
    "retry_total": 3,
    "initial_backoff": 0.5,
    "increment_base": 2,
}


class StorageAccount:
    """The clients of one process and event loop. A mail that is sent at once needs only the tables."""

    def __init__(self, storage: Storage) -> None:
        azure_core.tracing_enabled = False
        self._storage = storage
        self._credential = Identity(storage.client_id) if storage.connection_string is None else None

    @cached_property
    def queues(self) -> Queues:
        return self._service(Queues, self._storage.queue_endpoint)

    @cached_property
    def blobs(self) -> "BlobServiceClient":
        from azure.storage.blob.aio import BlobServiceClient

        if self._storage.connection_string is not None:
            text = self._storage.connection_string
            return BlobServiceClient.from_connection_string(text, transport=Transport(), **CLIENT_OPTIONS)
        endpoint, credential = self._storage.blob_endpoint, self._credential
        return BlobServiceClient(endpoint, credential=credential, transport=Transport(), **CLIENT_OPTIONS)

    @cached_property
    def tables(self) -> Tables:
        return self._service(Tables, self._storage.table_endpoint)

    def _service[S: StorageService](self, kind: type[S], endpoint: str) -> S:
        if self._credential is None:
            return kind.of_connection_string(self._storage.connection_string or "", Transport())
        return kind.of_identity(endpoint, self._credential, Transport())

    async def close(self) -> None:
        for client in ("queues", "blobs", "tables"):
            if client in self.__dict__:
                await getattr(self, client).close()
        if self._credential is not None:
            await self._credential.close()
