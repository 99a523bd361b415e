"""A TCP server on loopback for as long as a test needs it, on any event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

type Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    """The port of a server that runs `serve` for each connection. In the end nothing of it is left.

    asyncio's own way to close what is connected, Server.close_clients, uvloop's servers do not have.
    """
    served: dict[asyncio.Task[object], asyncio.StreamWriter] = {}

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        served[task] = writer
        try:
            await serve(reader, writer)
        finally:
            del served[task]

    server = await asyncio.start_server(one, "127.0.0.1", 0, limit=2**20)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task, writer in served.items():
            writer.close()
            task.cancel()
        if served:
            await asyncio.wait(list(served))
        await server.wait_closed()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """For `serving`: takes a connection and never says a word."""
    del reader, writer
    await asyncio.get_running_loop().create_future()
