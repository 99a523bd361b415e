"""The app's storage account: asynchronous clients, opened on first use.

Storage answers within a second or is in trouble: three tries and short time-outs, so that a function ends before its
caller gives up. Who cannot wait is answered 503; what comes from a queue stays in it.

Two defaults of azure-core cost more than the rest of an operation and bring nothing here (bench/RESULTS.md), and are
switched off with its own settings: it asks the environment for a proxy in a thread, before each request (the way to
storage is the network's business, as it is to Graph); and it looks for a tracing plug-in before each request that is
not there.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from azure.core.exceptions import ServiceResponseTimeoutError
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.settings import settings as azure_core

from shared.auth.managed_identity import Identity
from shared.delivery.ledger import TABLE, Ledger
from shared.delivery.payloads import Files
from shared.delivery.queue import Outbox
from shared.delivery.signed_bodies import TABLE as SIGNED
from shared.delivery.signed_bodies import TableSignedBodies
from shared.policy.suppression_table import TABLE as SUPPRESSED
from shared.policy.suppression_table import TableSuppressions
from shared.ratelimit.store import TABLE as RATES
from shared.ratelimit.store import TableStore
from shared.runtime.deadline import within
from shared.settings.config import Storage
from shared.storage.table_identity import TableIdentity
from shared.storage.tables import Tables

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobServiceClient
    from azure.storage.queue.aio import QueueServiceClient

__all__ = ["StorageAccount"]

CLIENT_OPTIONS: Final[dict[str, Any]] = {
    "retry_total": 3,
    "initial_backoff": 0.5,
    "increment_base": 2,
}
CONNECT_TIMEOUT: Final = 3.0  # seconds
TRY_TIMEOUT: Final = 10.0  # for a whole try, however the bytes of its answer trickle in
SLOWEST: Final = 4 * 2**20  # bytes a second, of a large body: it may take so much longer


class _Transport(AioHttpTransport):  # type: ignore[misc] # imported lazily by azure.core, so untyped
    """The SDK's, with an end to each try. What is read as a stream has its end where it is read.

    No limit of aiohttp's on reading: it would throw away what has come while the loop stood still.
    """

    def __init__(self) -> None:
        super().__init__(connection_timeout=CONNECT_TIMEOUT, read_timeout=None, use_env_settings=False)

    async def send(self, request: Any, **options: Any) -> Any:
        seconds = TRY_TIMEOUT + int(request.headers.get("Content-Length", "0")) / SLOWEST
        try:
            async with within(seconds):
                return await super().send(request, **options)
        except TimeoutError as error:
            raise ServiceResponseTimeoutError(f"no whole answer within {seconds:g} seconds") from error


class StorageAccount:
    """The clients of one process and event loop. A mail that goes at once needs the tables only."""

    def __init__(self, storage: Storage) -> None:
        azure_core.tracing_enabled = False
        self._storage = storage
        self._credential = Identity(storage.client_id) if storage.connection_string is None else None

    @cached_property
    def queues(self) -> "QueueServiceClient":
        from azure.storage.queue.aio import QueueServiceClient

        client: QueueServiceClient = self._client(QueueServiceClient, self._storage.queue_endpoint)
        return client

    @cached_property
    def blobs(self) -> "BlobServiceClient":
        from azure.storage.blob.aio import BlobServiceClient

        client: BlobServiceClient = self._client(BlobServiceClient, self._storage.blob_endpoint)
        return client

    @cached_property
    def tables(self) -> Tables:
        if self._credential is None:
            return Tables.of_connection_string(self._storage.connection_string or "", _Transport())
        return Tables.of_identity(self._storage.table_endpoint, self._credential, _Transport())

    def _client(self, kind: Any, endpoint: str) -> Any:
        if self._storage.connection_string is not None:
            text = self._storage.connection_string
            return kind.from_connection_string(text, transport=_Transport(), **CLIENT_OPTIONS)
        return kind(endpoint, credential=self._credential, transport=_Transport(), **CLIENT_OPTIONS)

    def outbox(self) -> Outbox:
        return Outbox(lambda: self.queues, lambda: self.blobs)

    def files(self) -> Files:
        return Files(lambda: self.blobs)

    def rate_limits(self) -> TableStore:
        return TableStore(self.tables.table(RATES))

    def ledger(self) -> Ledger:
        return Ledger(self.tables.table(TABLE))

    def suppressions(self) -> TableSuppressions:
        return TableSuppressions(self.tables.table(SUPPRESSED))

    @cached_property
    def identities(self) -> tuple[TableIdentity, TableIdentity]:
        """Of the tables whose rows nothing else can tell, once they are gone: the ledger's, and the suppression list's.

        What the others have (rates, quotas of the day, bodies of the day) heals by itself within a day.
        """
        ledger, suppressed = (
            TableIdentity(self.tables.table(name), lambda: self.blobs) for name in (TABLE, SUPPRESSED)
        )
        return ledger, suppressed

    def signed_bodies(self) -> TableSignedBodies:
        return TableSignedBodies(self.tables.table(SIGNED))

    async def close(self) -> None:
        for client in ("queues", "blobs", "tables"):
            if client in self.__dict__:
                await getattr(self, client).close()
        if self._credential is not None:
            await self._credential.close()
