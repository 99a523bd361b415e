"""One try of a request to storage: its answer, or azure-core's error where there was none.

The HTTP client is aiohttp, without azure-core's layers around it, which cost more than aiohttp itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import aiohttp
from azure.core.exceptions import ServiceRequestError, ServiceResponseError, ServiceResponseTimeoutError
from yarl import URL

from shared.event_loop import within

CONNECT_TIMEOUT: Final = 3.0  # seconds
TRY_TIMEOUT: Final = 10.0  # seconds for a whole try, however slowly its answer arrives
SLOWEST: Final = 4 * 2**20  # bytes a second, of a large body: its try may take longer by that


@dataclass(slots=True)
class StorageRequest:
    """url: as it goes over the wire; nothing of it is encoded again."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes | None = None


class StorageAnswer(NamedTuple):
    """Names of headers are found in any case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class StorageHttp:
    """Connections to one service of one account. No proxy, cookies or redirects. Needs no loop before its first use."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: StorageRequest) -> StorageAnswer:
        """Raises ServiceRequestError where storage was not reached, ServiceResponseError where no answer came."""
        session, seconds = self._session or self._open(), seconds_for(len(request.content or b""))
        try:
            async with within(seconds):
                answer = await session.request(
                    request.method,
                    URL(request.url, encoded=True),
                    headers=request.headers,
                    data=request.content,
                    allow_redirects=False,
                )
                content = await answer.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise ServiceRequestError(error, error=error) from error
        except TimeoutError as error:
            raise ServiceResponseTimeoutError(f"no whole answer within {seconds:g} seconds") from error
        except aiohttp.ClientError as error:
            raise ServiceResponseError(error, error=error) from error
        return StorageAnswer(answer.status, answer.headers, content)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            # No limit on reading: aiohttp would discard what arrived while the loop was blocked.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
            # The account's key signs the Content-Type, so that there must be none but ours.
            skip_auto_headers=("Content-Type", "Accept-Encoding"),
        )
        return self._session


def seconds_for(size: int) -> float:
    """How long a try may take whose body has so many bytes."""
    return TRY_TIMEOUT + size / SLOWEST
