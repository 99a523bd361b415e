"""What listens on loopback answers loopback's own names only: a page in the browser must not reach it.

A page can have its own name resolve to 127.0.0.1 (DNS rebinding): the Host header then has that name. And it can post
to 127.0.0.1 itself: the Origin header then has the page's. Node's programs have the same check: own_names.cjs.
"""

import re
from collections.abc import Collection
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?")


class OwnNames:
    """An ASGI application in front of another one. 421 for a foreign Host, 403 for a foreign Origin.

    names: of hosts, beside those of loopback. guarded: paths that begin so take requests of pages of the very same
    origin only.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] = (), guarded: str | None = None) -> None:
        self._app = app
        self._names = LOOPBACK | {name.lower() for name in names}
        self._guarded = guarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            if len(hosts) != 1 or named(hosts[0]) not in self._names:
                await _refuse(send, 421, "This answers only under the names of this machine's loopback.")
                return
            if self._guarded is not None and scope["path"].startswith(self._guarded):
                origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
                if any(_authority(origin) != hosts[0].lower() for origin in origins):
                    await _refuse(send, 403, "Pages of another origin may not ask this.")
                    return
        await self._app(scope, receive, send)


def named(host: str) -> str | None:
    """The name in a Host header, in lower case and without its port; None where there is none."""
    match = _HOST.fullmatch(host)
    return match[1].strip("[]").lower() if match else None


def _authority(origin: str) -> str:
    return origin.partition("://")[2].lower()


async def _refuse(send: Send, status: int, why: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": why.encode()})
