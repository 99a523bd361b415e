"""The network between a storage client and Azurite, for tests that count or lose what goes over it."""

from typing import Self

from shared.storage.storage_http import StorageAnswer, StorageHttp, StorageRequest


class Wire(StorageHttp):
    """Counts requests, and loses the answers of the next writes after they were carried out."""

    def __init__(self) -> None:
        super().__init__()
        self.requests = 0
        self.lose = 0

    async def send(self, request: StorageRequest) -> StorageAnswer:
        self.requests += 1
        answer = await super().send(request)
        if self.lose and request.method != "GET":
            self.lose -= 1
            answer = answer._replace(status=503)
        return answer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
