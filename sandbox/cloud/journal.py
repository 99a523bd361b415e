"""What was asked of Graph, request by request, for whoever has to explain a mail.

A request is found by the ids in it: all words of 32 hex digits in its URL and its body, which are read only where
the setting `journal` is on. Its line says when it came, what was asked, which fault hit it, how it was answered and
after how long; never what stood in it.
"""

import re
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from sandbox.cloud.errors import Cut

KEPT: Final = 50_000  # requests
_ID: Final = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


@dataclass(slots=True)
class Entry:
    """One request. status: of its answer; "cut": the connection was broken; None: it is in flight."""

    method: str
    path: str
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    began: float = field(default_factory=time.monotonic)
    ids: frozenset[str] = frozenset()
    fault: str | None = None
    status: str | None = None
    seconds: float | None = None

    def read(self, request: Request, body: bytes) -> None:
        """Note the ids in it: its body has come."""
        text = unquote(f"{request.url.path}?{request.url.query}").encode() + b" " + body
        self.ids = frozenset(found.decode() for found in _ID.findall(text))

    def ended(self, response: Response) -> None:
        self.status = "cut" if isinstance(response, Cut) else str(response.status_code)
        self.seconds = round(time.monotonic() - self.began, 3)

    def shown(self) -> dict[str, Any]:
        return {
            "at": self.at,
            "method": self.method,
            "path": self.path,
            "fault": self.fault,
            "status": self.status,
            "seconds": self.seconds,
        }


class Journal:
    """The newest requests."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)

    def begin(self, request: Request) -> Entry:
        entry = Entry(request.method, request.url.path)
        self._entries.append(entry)
        return entry

    def of(self, name: str) -> list[dict[str, Any]]:
        """The requests with this id in them, oldest first."""
        return [entry.shown() for entry in self._entries if name in entry.ids]

    def clear(self) -> None:
        self._entries.clear()
