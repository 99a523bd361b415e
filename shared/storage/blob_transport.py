"""How Microsoft's client of blobs reaches storage."""

from typing import Any

from azure.core.exceptions import ServiceResponseTimeoutError
from azure.core.pipeline.transport import AioHttpTransport

from shared.event_loop import within
from shared.storage.storage_http import CONNECT_TIMEOUT, seconds_for


class BlobTransport(AioHttpTransport):  # type: ignore[misc] # imported lazily by azure.core, so untyped
    """The SDK's, with a deadline for each try. What is read as a stream has its deadline where it is read.

    No limit of aiohttp's on reading: it would discard what arrived while the loop was blocked.
    """

    def __init__(self) -> None:
        super().__init__(connection_timeout=CONNECT_TIMEOUT, read_timeout=None, use_env_settings=False)

    async def send(self, request: Any, **options: Any) -> Any:
        seconds = seconds_for(int(request.headers.get("Content-Length", "0")))
        try:
            async with within(seconds):
                return await super().send(request, **options)
        except TimeoutError as error:
            raise ServiceResponseTimeoutError(f"no whole answer within {seconds:g} seconds") from error
