"""The network between a storage client and Azurite, for tests that count or lose what goes over it."""

from typing import Any

from azure.core.pipeline.transport import AioHttpTransport


class Wire(AioHttpTransport):  # type: ignore[misc] # imported lazily by azure.core, so untyped
    """Counts requests, and loses the answers of the next writes after they were carried out."""

    def __init__(self) -> None:
        super().__init__(use_env_settings=False)  # as the app has it: else each request looks for a proxy, in a thread
        self.requests = 0
        self.lose = 0

    async def send(self, request: Any, **options: Any) -> Any:
        self.requests += 1
        answer = await super().send(request, **options)
        if self.lose and request.method != "GET":
            self.lose -= 1
            answer.status_code = 503
        return answer
