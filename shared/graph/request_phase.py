"""How far a request came: whether a byte of it may have left.

A deadline can end a request anywhere. Before the first byte left the mail surely did not go; after it, nobody knows.
The difference is worth a lot (a retry now, or minutes of looking for the mail), so it is observed, not guessed: the
transport says what becomes of the connection (transport.py).

What is late does not leave at all: after its deadline a request still reads its answer, but does not go out.
"""

from enum import Enum

import httpx
from kiota_abstractions.request_option import RequestOption
from kiota_http.middleware import REQUEST_OPTIONS_KEY, BaseMiddleware

from shared.runtime.deadline import Deadline

__all__ = ["PhaseHandler", "PhaseTracker", "RequestPhase"]


class RequestPhase(Enum):
    """The steps of one request."""

    TOKEN = "token"  # noqa: S105 - asking for one
    BUILDING = "building"  # writing the body, before the HTTP client has it
    HANDED_OVER = "handed over"  # the HTTP client has it and has said nothing yet
    CONNECTING = "connecting"
    SENDING = "sending"  # on an open connection


class PhaseTracker(RequestOption):
    """Given with a request, says afterwards how far it came. deadline: after which no byte of it may leave."""

    def __init__(self, deadline: Deadline | None = None) -> None:
        self.stage = RequestPhase.TOKEN
        self._deadline = deadline

    @property
    def is_late(self) -> bool:
        return self._deadline is not None and self._deadline.passed

    @property
    def may_have_left(self) -> bool:
        """Whether Graph may have read the request. True when in doubt: should nobody observe it, nothing is lost."""
        return self.stage in {RequestPhase.HANDED_OVER, RequestPhase.SENDING}

    def connecting(self) -> None:
        """There is no connection for it yet."""
        if self.stage is not RequestPhase.SENDING:  # a second connection does not take back what the first has carried
            self.stage = RequestPhase.CONNECTING

    def connected(self) -> None:
        """There is one; from now on its bytes may leave."""
        self.stage = RequestPhase.SENDING

    def leaving(self) -> None:
        """Its first byte leaves now. Raises TimeoutError where it is late: then none does."""
        if self.is_late:
            self.stage = RequestPhase.CONNECTING
            raise TimeoutError

    @staticmethod
    def get_key() -> str:
        """The name under which the SDK carries this option."""
        return "mailroom.progress"


class PhaseHandler(BaseMiddleware):
    """The last of the SDK's middleware: hands a request's PhaseTracker on to the transport, in its extensions."""

    async def send(self, request: httpx.Request, transport: httpx.AsyncBaseTransport) -> httpx.Response:
        progress = request.extensions.get(REQUEST_OPTIONS_KEY, {}).get(PhaseTracker.get_key())
        if isinstance(progress, PhaseTracker):
            progress.stage = RequestPhase.HANDED_OVER
            request.extensions[PhaseTracker.get_key()] = progress
        return await super().send(request, transport)
