"""A gate before storage: three addresses that stay the same whatever is behind them, and that can be shut.

Azurite must not be asked anything while it ends: what it then still answers it does not keep. So the gate is shut
first. It also breaks connections, so that answers of storage are lost too.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from sandbox import ports

PIECE = 64 * 1024


class Gate:
    """Lets connections through to `behind`, three ports on this machine, while it is open."""

    def __init__(self) -> None:
        taken: list[int] = []
        for _ in range(3):
            taken.append(ports.free(taken))
        self.ports = tuple(taken)
        self._listening: list[asyncio.Server] = []
        self._through: set[asyncio.StreamWriter] = set()

    async def open(self, behind: Sequence[int]) -> None:
        for port, target in zip(self.ports, behind, strict=True):

            async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int = target) -> None:
                await self._let_through(reader, writer, target)

            self._listening.append(await asyncio.start_server(through, "127.0.0.1", port))

    def shut(self) -> None:
        for listening in self._listening:
            listening.close()
        self._listening.clear()
        self.cut()

    def cut(self) -> None:
        """Break every connection, whatever is on it."""
        for writer in self._through:
            writer.transport.abort()

    async def _let_through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int) -> None:
        try:
            behind, there = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, there}
        self._through |= ends
        try:
            await asyncio.gather(_pump(reader, there), _pump(behind, writer))
        finally:
            self._through -= ends
            for end in ends:
                end.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError, RuntimeError):  # uvloop says RuntimeError of a transport that is closed
        while data := await source.read(PIECE):
            sink.write(data)
            await sink.drain()
        sink.write_eof()
