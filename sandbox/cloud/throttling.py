"""What Outlook's service allows one application at one mailbox, and its refusal of the rest.

limit                                     code                   words
four requests at a time                   ApplicationThrottled   "…MailboxConcurrency limit."
10,000 requests in ten minutes            ApplicationThrottled   "…MailboxRequests limit."
150 MB of PATCH, POST, PUT in five        ApplicationThrottled   "…IncomingBytes limit."
minutes

Source: "Outlook service limits" of Graph's throttling limits. They hold for each pair of application and mailbox: what
is too much for one mailbox is nothing to the next. The words of the first and of the last are those that programs have
met; of the second none are known, and these are the emulator's own. Requests that are refused count among the 10,000,
as Graph's guide to throttling says ("all requests accrue"); bytes count once they are let in. An upload URL counts for
the application that opened it, and for its mailbox. The windows slide: that is the strictest reading.
"""

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from sandbox.cloud.errors import Refusal

TEN_MINUTES: Final = 600.0  # seconds
FIVE_MINUTES: Final = 300.0
UPLOADING: Final = frozenset({"PATCH", "POST", "PUT"})

Pair = tuple[str, str]  # application and mailbox


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one application at one mailbox. upload_bytes: in five minutes. retry_after: of the first, seconds as text."""

    concurrency: int
    requests: int
    upload_bytes: int
    retry_after: str


@dataclass(slots=True)
class _Window:
    """What was counted in the last so many seconds."""

    seconds: float
    total: int = 0
    _entries: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, now: float, amount: int) -> None:
        self._forget(now)
        self._entries.append((now, amount))
        self.total += amount

    def wait(self, now: float, amount: int, limit: int) -> int:
        """Whole seconds until so much more fits; 0: now. An amount above the limit never does: the whole window."""
        self._forget(now)
        over = self.total + amount - limit
        if over <= 0:
            return 0
        for at, counted in self._entries:
            over -= counted
            if over <= 0:
                return max(1, math.ceil(at + self.seconds - now))
        return math.ceil(self.seconds)

    def _forget(self, now: float) -> None:
        while self._entries and self._entries[0][0] <= now - self.seconds:
            self.total -= self._entries.popleft()[1]


@dataclass(slots=True)
class Throttling:
    """The counts. most_at_once: in flight at one mailbox; most_in_all: at all of them. over: refusals by limit."""

    clock: Callable[[], float]
    most_at_once: int = 0
    most_in_all: int = 0
    over: Counter[str] = field(default_factory=Counter)
    _in_flight: Counter[Pair] = field(default_factory=Counter)
    _requests: dict[Pair, _Window] = field(default_factory=dict)
    _uploads: dict[Pair, _Window] = field(default_factory=dict)

    @contextmanager
    def admitted(self, pair: Pair, method: str, size: int, limits: Limits) -> Iterator[None]:
        """While a request is in flight. size: bytes of its body. Raises Refusal 429 when it is one too many."""
        now = self.clock()
        requests = self._requests.setdefault(pair, _Window(TEN_MINUTES))
        uploads = self._uploads.setdefault(pair, _Window(FIVE_MINUTES))
        wait = requests.wait(now, 1, limits.requests)
        requests.add(now, 1)
        if wait:
            raise self._refusal("MailboxRequests", str(wait))
        if self._in_flight[pair] >= limits.concurrency:
            raise self._refusal("MailboxConcurrency", limits.retry_after)
        if method in UPLOADING:
            if wait := uploads.wait(now, size, limits.upload_bytes):
                raise self._refusal("IncomingBytes", str(wait))
            uploads.add(now, size)
        self._in_flight[pair] += 1
        self.most_at_once = max(self.most_at_once, self._in_flight[pair])
        self.most_in_all = max(self.most_in_all, self._in_flight.total())
        try:
            yield
        finally:
            self._in_flight[pair] -= 1

    def reset(self) -> None:
        """Forgets what has been; what is in flight stays so."""
        self._requests.clear()
        self._uploads.clear()
        self.over.clear()
        self.most_at_once = self.most_in_all = 0

    def _refusal(self, limit: str, retry_after: str) -> Refusal:
        self.over[limit] += 1
        text = f"Application is over its {limit} limit."
        return Refusal(429, "ApplicationThrottled", text, {"Retry-After": retry_after})
