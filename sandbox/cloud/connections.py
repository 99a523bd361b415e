"""A uvicorn protocol whose connections can be cut in the middle of a request.

uvicorn answers 500 when an application sends nothing. A lost answer has to look lost, so the transport is handed to
the application as an ASGI scope extension.
"""

import asyncio

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from sandbox.cloud.errors import CUT


class CuttableProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with `scope["extensions"][CUT]()` closing the connection at once."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        app = self.app

        async def cuttable(scope: Scope, receive: Receive, send: Send) -> None:
            scope["extensions"] = {**scope.get("extensions", {}), CUT: transport.abort}
            await app(scope, receive, send)

        self.app = cuttable
