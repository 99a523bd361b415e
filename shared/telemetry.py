"""Mailroom's log events: this module declares all of them and has the one function that writes them.

Each event is one line of JSON in the log, so that queries can read it: `parse_json(message).event == "mail.failed"`. An
event contains ids, counts, codes and names of routes and settings; never an address, a subject, a body or a token.

An event that anybody can cause is written at most once in some seconds, with a count. Otherwise a stranger could fill
the log and its daily quota, because traces are not sampled (host.json). The first event with given fields is written at
once; those of the next seconds are counted. The count is written together with the next event of any kind, because
Azure accepts log lines only while a function runs. Counts that were not written are lost with the process.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from logging import ERROR, INFO, WARNING
from threading import Lock
from typing import Final, Self

logger: Final = logging.getLogger("mailroom")
# Azure's worker forwards everything from INFO on, and its SDKs log several lines at INFO for each request to storage:
# ten times what Mailroom logs for a mail, with names of blobs that producers have given.
QUIET: Final = ("azure", "msal", "httpx", "httpcore", "urllib3", "aiohttp")
for _name in QUIET:
    logging.getLogger(_name).setLevel(WARNING)

type Field = str | float | bool | None
type Fields = Mapping[str, Field]


class LogEvent(StrEnum):
    """Each event: its name, its level, and when it is logged."""

    level: int

    def __new__(cls, name: str, level: int = INFO) -> Self:
        event = str.__new__(cls, name)
        event._value_ = name
        event.level = level
        return event

    SETTING_REFUSED = "setting.refused", ERROR  # it cannot be used: 503. At the first invocation, then by the timer
    SETTING_UNUSED = "setting.unused", ERROR  # nothing reads it: its name is unknown, or another takes its place
    MAIL_ACCEPTED = "mail.accepted", INFO  # durable in the outbox, not sent yet
    MAIL_SENT = "mail.sent", INFO  # Graph answered 202; `seconds` after it was accepted, or due
    MAIL_WAITING = "mail.waiting", INFO  # put back, with the reason and the delay
    MAIL_UNKNOWN = "mail.unknown", WARNING  # it may have been sent; Graph's answer is missing or ambiguous
    MAIL_UNVERIFIED = "mail.unverified", WARNING  # its mailbox did not say whether it was sent: it is asked again
    MAIL_INTERRUPTED = "mail.interrupted", WARNING  # its draft, or a file of it, could not be finished; retried later
    DRAFT_LEFT = "mail.draft-left", WARNING  # the draft of an unsent mail could not be deleted; retried hourly
    MAIL_RESENT = "mail.resent", WARNING  # sent again after an unknown outcome: it may arrive twice
    MAIL_NEEDS_REVIEW = "mail.needs_review", ERROR  # it may have been sent; an operator decides
    MAIL_FAILED = "mail.failed", ERROR  # will not be sent; kept in mail-dead
    MAIL_REFUSED = "mail.refused", WARNING  # a producer's message that is not a mail, or not allowed; kept in mail-dead
    MAIL_SUPPRESSED = "mail.suppressed", WARNING  # every recipient is on the suppression list; kept in mail-dead
    RECIPIENTS_LEFT_OUT = "mail.recipients-left-out", WARNING  # some are on that list: it is sent to the others
    MAIL_CAPTURED = "mail.captured", INFO  # MAIL_MODE is capture: recorded in mail-dead, not sent
    MAIL_BOUNCED = "mail.bounced", WARNING  # a report says that it did not reach one of its recipients
    BOUNCES_READ = "bounces.read", INFO  # a run through the mailboxes; how many requests, reports and bounces
    BOUNCES_UNREAD = "bounces.unread", WARNING  # a mailbox cannot be asked for reports, or one of them not be read
    MAIL_UNCHECKED = "mail.unchecked", ERROR  # the suppression list cannot be read: it waits
    SUPPRESSION_CHANGED = "suppression.changed", INFO  # an operator added or removed an address
    RECIPIENTS_NEAR = "recipients.near", WARNING  # four fifths of a mailbox's daily recipient limit; once a day
    RECIPIENTS_REACHED = "recipients.reached", ERROR  # all of it: mails wait, or are answered 429; once a day
    CALLER_LIMITED = "caller.limited", WARNING  # it reached its rate: refused, or retried later; once a minute
    MAIL_CANCELLED = "mail.cancelled", INFO  # by its producer or an operator, before it was sent
    MAIL_RETRIED = "mail.retried", INFO  # by an operator: what waits is tried at once
    MAIL_REPLAYED = "mail.replayed", WARNING  # by an operator; after a review it may arrive twice
    MAIL_POISONED = "mail.poisoned", ERROR  # its message failed repeatedly; it is retried, or kept in mail-dead
    TABLE_REPLACED = "table.replaced", ERROR  # deleted and made anew: keys, or suppressed addresses, are forgotten
    MAINTENANCE_FAILED = "maintenance.failed", WARNING  # a step of maintenance failed; the others were done
    MAINTENANCE = "maintenance.changed", INFO  # rows and payloads that maintenance has ended or removed
    MAIL_DUPLICATE = "mail.duplicate", INFO  # a copy of an earlier mail, dropped; `reason`: by what it was known
    ROW_UNWRITTEN = "mail.row-unwritten", ERROR  # the end of an attempt could not be recorded; it is verified later
    MAIL_CONFLICT = "mail.conflict", WARNING  # the same key with another body: dropped
    GRAPH_THROTTLED = "graph.throttled", WARNING  # 429
    GRAPH_UNREACHED = "graph.unreached", WARNING  # no connection, or no token from the managed identity
    GRAPH_PERMISSION = "graph.permission", ERROR  # Graph refuses Mailroom itself: 401, 403
    GRAPH_QUOTA = "graph.quota", ERROR  # a mailbox is full or at its limit
    QUEUE_MEASURED = "queue.measured", INFO  # every few minutes: how much waits, and since when; also the heartbeat
    BACKLOG_MEASURED = "backlog.measured", INFO  # mails that wait in the part of the ledger that this run has read
    INTAKE_UNAVAILABLE = "intake.unavailable", ERROR  # 503 to a caller: storage, or its keys, cannot be reached
    BODY_LOST = "request.body-lost", WARNING  # 411: it came with Transfer-Encoding and without a body
    KEYS_UNREACHED = "caller.keys-unreached", ERROR  # the tenant's signing keys cannot be fetched; old ones stay in use
    CALLER_REFUSED = "caller.refused", WARNING  # a request without a valid token, or of a caller without the permission
    ROUTE_OFF = "route.off", INFO  # a request for a route without a secret: 404, as for an unknown route; once a day
    ROUTE_REFUSED = "route.refused", ERROR  # it, or its secret, cannot be used. At the first webhook, then by the timer
    EVENT_UNVERIFIED = "event.unverified", WARNING  # a webhook request that does not prove where it comes from
    EVENT_MALFORMED = "event.malformed", WARNING  # a verified webhook request that cannot be read
    EVENT_RECIPIENTS_UNUSABLE = "event.recipients-unusable", WARNING  # of the event; the route's own get its mail
    EVENT_FILTERED = "event.filtered", INFO  # its route makes no mail of it
    EVENT_SIGNED_AGAIN = "event.signed-again", WARNING  # the same content under another id within a day; it is mailed
    BATCH_ACCEPTED = "event.batch-accepted", INFO  # too many mails to queue one by one: durable as one message
    BATCH_EXPANDED = "event.batch-expanded", INFO  # each of its events has its mails in the outbox, or was kept
    EVENT_CRASHED = "event.crashed", WARNING  # one of a batch made Mailroom fail: kept in mail-dead
    EVENT_DEFERRED = "event.deferred", ERROR  # it cannot be stored, or its route cannot be used; the sender is told
    TEMPLATE_FAILED = "template.failed", ERROR  # the mail has the general table instead
    VAULT_UNREACHED = "vault.unreached", ERROR  # a secret cannot be read; the last one that was read stays in use


DAY: Final = 86_400.0  # seconds
STRANGERS: Final[Mapping[LogEvent, float]] = {
    LogEvent.BODY_LOST: 1.0,
    LogEvent.CALLER_REFUSED: 1.0,
    LogEvent.EVENT_MALFORMED: 1.0,
    LogEvent.EVENT_DEFERRED: 1.0,
    LogEvent.EVENT_UNVERIFIED: 1.0,
    LogEvent.INTAKE_UNAVAILABLE: 1.0,
    LogEvent.KEYS_UNREACHED: 1.0,
    LogEvent.ROUTE_OFF: DAY,
    LogEvent.VAULT_UNREACHED: 1.0,
}
"""Events that a request without any proof can cause: seconds between two lines with the same fields.

Their fields have few values: routes, codes, statuses."""

MOST: Final = 100  # lines that are counted separately; beyond that, by the event alone
type _Key = tuple[LogEvent, tuple[tuple[str, Field], ...]]


@dataclass(frozen=True, slots=True)
class Line:
    """A line to be written now. count: how many events it stands for."""

    event: LogEvent
    fields: Fields
    count: int


@dataclass(slots=True)
class _Counted:
    until: float
    missed: int = 0


class Bounded:
    """One for a process, used by all of its threads. seconds: between two lines, by event. clock: in seconds."""

    def __init__(self, seconds: Mapping[LogEvent, float], clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = Lock()
        self._counted: dict[_Key, _Counted] = {}

    def take(self, event: LogEvent, fields: Fields) -> Line | None:
        """The line to write; None when the event is counted into a later one."""
        now = self._clock()
        with self._lock:
            key = self._key(event, fields, now)
            counted = self._counted.get(key)
            if counted is not None and now < counted.until:
                counted.missed += 1
                return None
            return self._written(key, now, 1)

    def late(self) -> list[Line]:
        """Lines that are due, of events that were counted."""
        now = self._clock()
        with self._lock:
            due = [key for key, one in self._counted.items() if one.missed and one.until <= now]
            return [self._written(key, now, 0) for key in due]

    def _written(self, key: _Key, now: float, more: int) -> Line:
        event, fields = key
        before = self._counted.get(key)
        self._counted[key] = _Counted(now + self._seconds[event])
        return Line(event, dict(fields), more + (before.missed if before else 0))

    def _key(self, event: LogEvent, fields: Fields, now: float) -> _Key:
        key = (event, tuple(sorted(fields.items())))
        if key in self._counted:
            return key
        if len(self._counted) >= MOST:
            over = [old for old, one in self._counted.items() if one.until <= now and not one.missed]
            for old in over:
                del self._counted[old]
        return key if len(self._counted) < MOST else (event, ())


_bounded: Final = Bounded(STRANGERS)
_waiting: ContextVar[list[tuple[LogEvent, dict[str, Field]]] | None] = ContextVar("waiting", default=None)


@contextmanager
def deferred(heard: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Keep the events emitted within it, in threads that it starts too, and write them at its end if `heard` says so.

    For what may outlast its invocation, or runs in a thread: the platform drops what is logged there.
    """
    waiting: list[tuple[LogEvent, dict[str, Field]]] = []
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)
        if heard():
            while waiting:  # a thread that nobody waits for any more may still add one
                event, fields = waiting.pop(0)
                emit(event, **fields)


def emit(event: LogEvent, **fields: Field) -> None:
    """Write one event with its fields, without those that are None. Events of STRANGERS may be counted instead."""
    if (waiting := _waiting.get()) is not None:
        waiting.append((event, fields))
        return
    if event not in STRANGERS or "id" in fields:  # an event with an id is of an accepted mail, not of a stranger
        _write(event, fields)
    elif (line := _bounded.take(event, fields)) is not None:
        _write(event, {**line.fields, "count": line.count})
    for line in _bounded.late():
        _write(line.event, {**line.fields, "count": line.count})


def _write(event: LogEvent, fields: Fields) -> None:
    if logger.isEnabledFor(event.level):
        line = {"event": event.value, **{name: value for name, value in fields.items() if value is not None}}
        logger.log(event.level, json.dumps(line, separators=(",", ":")))
