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
    """Each event with its name and level. The comment says when it is logged."""

    level: int

    def __new__(cls, name: str, level: int = INFO) -> Self:
        event = str.__new__(cls, name)
        event._value_ = name
        event.level = level
        return event

    SETTING_REFUSED = "setting.refused", ERROR  # a setting is invalid, so every function answers 503
    SETTING_UNUSED = "setting.unused", ERROR  # a setting has no effect: its name is unknown, or another overrides it
    MAIL_ACCEPTED = "mail.accepted", INFO  # a mail is durable in the outbox and not sent yet
    MAIL_SENT = "mail.sent", INFO  # Graph answered 202; `seconds` since the mail was accepted, or due
    MAIL_WAITING = "mail.waiting", INFO  # a mail was put back into the queue, with the reason and the delay
    MAIL_UNKNOWN = "mail.unknown", WARNING  # a mail may have been sent: Graph's answer is missing or ambiguous
    MAIL_UNVERIFIED = "mail.unverified", WARNING  # a verification got no answer; it will be repeated
    MAIL_INTERRUPTED = "mail.interrupted", WARNING  # a draft, or a file in it, was not completed; retried later
    DRAFT_LEFT = "mail.draft-left", WARNING  # the draft of an unsent mail could not be deleted; retried hourly
    MAIL_RESENT = "mail.resent", WARNING  # a mail was sent again after an unknown outcome: it may arrive twice
    MAIL_NEEDS_REVIEW = "mail.needs_review", ERROR  # a mail may have been sent; an operator decides
    MAIL_FAILED = "mail.failed", ERROR  # a mail will not be sent; it is kept in mail-dead
    MAIL_REFUSED = "mail.refused", WARNING  # a producer's message is no mail, or is not allowed; kept in mail-dead
    MAIL_SUPPRESSED = "mail.suppressed", WARNING  # every recipient is on the suppression list; kept in mail-dead
    RECIPIENTS_LEFT_OUT = "mail.recipients-left-out", WARNING  # some recipients are on that list; sent to the others
    MAIL_CAPTURED = "mail.captured", INFO  # MAIL_MODE is capture: recorded in mail-dead, not sent
    MAIL_BOUNCED = "mail.bounced", WARNING  # a report says that a mail did not reach a recipient
    BOUNCES_READ = "bounces.read", INFO  # the mailboxes were read; the numbers of requests, reports and bounces
    BOUNCES_UNREAD = "bounces.unread", WARNING  # a mailbox could not be searched, or a report could not be read
    MAIL_UNCHECKED = "mail.unchecked", ERROR  # the suppression list cannot be read, so a mail waits
    SUPPRESSION_CHANGED = "suppression.changed", INFO  # an operator added or removed an address
    RECIPIENTS_NEAR = "recipients.near", WARNING  # a mailbox used four fifths of its daily recipient limit
    RECIPIENTS_REACHED = "recipients.reached", ERROR  # a mailbox reached that limit: mails wait, or are answered 429
    CALLER_LIMITED = "caller.limited", WARNING  # a caller reached its rate: refused, or retried later
    MAIL_CANCELLED = "mail.cancelled", INFO  # a producer or an operator cancelled a mail before it was sent
    MAIL_RETRIED = "mail.retried", INFO  # an operator had a waiting mail tried at once
    MAIL_REPLAYED = "mail.replayed", WARNING  # an operator put a mail back that had ended unsent
    MAIL_POISONED = "mail.poisoned", ERROR  # a message failed repeatedly; it is retried, or kept in mail-dead
    TABLE_REPLACED = "table.replaced", ERROR  # a table was deleted and created again; its rows are lost
    MAINTENANCE_FAILED = "maintenance.failed", WARNING  # a step of maintenance failed; the others were done
    MAINTENANCE = "maintenance.changed", INFO  # how many rows and payloads maintenance has ended or removed
    MAIL_DUPLICATE = "mail.duplicate", INFO  # a copy of an earlier mail was dropped; `reason` says how it was known
    ROW_UNWRITTEN = "mail.row-unwritten", ERROR  # the end of an attempt could not be recorded; verified later
    MAIL_CONFLICT = "mail.conflict", WARNING  # a used key came with another body and was dropped
    GRAPH_THROTTLED = "graph.throttled", WARNING  # Graph answered 429
    GRAPH_UNREACHED = "graph.unreached", WARNING  # no connection, or no token from the managed identity
    GRAPH_PERMISSION = "graph.permission", ERROR  # Graph answered 401 or 403: Mailroom lacks a permission
    GRAPH_QUOTA = "graph.quota", ERROR  # a mailbox is full, or has reached its sending limit
    QUEUE_MEASURED = "queue.measured", INFO  # every five minutes: the length and age of a queue; also the heartbeat
    BACKLOG_MEASURED = "backlog.measured", INFO  # how many mails wait in the partitions that this run has read
    INTAKE_UNAVAILABLE = "intake.unavailable", ERROR  # a caller was answered 503: storage or signing keys are down
    BODY_LOST = "request.body-lost", WARNING  # a request with Transfer-Encoding came without its body: 411
    KEYS_UNREACHED = "caller.keys-unreached", ERROR  # the tenant's signing keys cannot be fetched; old ones stay in use
    CALLER_REFUSED = "caller.refused", WARNING  # a request without a valid token, or of a caller without the permission
    ROUTE_OFF = "route.off", INFO  # a request for a route without a secret was answered 404; once a day
    ROUTE_REFUSED = "route.refused", ERROR  # a route, or a secret of it, cannot be used
    EVENT_UNVERIFIED = "event.unverified", WARNING  # a webhook request did not prove its sender
    EVENT_MALFORMED = "event.malformed", WARNING  # a verified webhook request cannot be read
    EVENT_RECIPIENTS_UNUSABLE = "event.recipients-unusable", WARNING  # the route's own recipients get the mail
    EVENT_FILTERED = "event.filtered", INFO  # the route makes no mail of an event
    EVENT_SIGNED_AGAIN = "event.signed-again", WARNING  # the same body came under another id within a day; it is mailed
    BATCH_ACCEPTED = "event.batch-accepted", INFO  # a request of many events is durable as one message
    BATCH_EXPANDED = "event.batch-expanded", INFO  # all mails of a batch are in the outbox, or were set aside
    EVENT_CRASHED = "event.crashed", WARNING  # an event of a batch made Mailroom fail; kept in mail-dead
    EVENT_DEFERRED = "event.deferred", ERROR  # an event cannot be stored, or its route cannot be used
    TEMPLATE_FAILED = "template.failed", ERROR  # a template failed; the mail was sent as the general table
    VAULT_UNREACHED = "vault.unreached", ERROR  # a secret cannot be read; the last one read stays in use


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
"""Events that an unauthenticated request can cause, with the seconds between two lines that have the same fields.

Their fields have few different values: routes, codes, statuses."""

MOST: Final = 100  # lines that are counted separately; beyond that, one count for each event
type _Key = tuple[LogEvent, tuple[tuple[str, Field], ...]]
type _Line = tuple[LogEvent, Fields]


@dataclass(slots=True)
class _Counted:
    until: float
    missed: int = 0


class Bounded:
    """One for a process, used by all of its threads. seconds: between two lines, by event. clock: in seconds.

    `count` in a line: how many events it stands for.
    """

    def __init__(self, seconds: Mapping[LogEvent, float], clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = Lock()
        self._counted: dict[_Key, _Counted] = {}

    def take(self, event: LogEvent, fields: Fields) -> _Line | None:
        """The line to write; None when the event is counted into a later one."""
        now = self._clock()
        with self._lock:
            key = self._key(event, fields, now)
            counted = self._counted.get(key)
            if counted is not None and now < counted.until:
                counted.missed += 1
                return None
            return self._written(key, now, 1)

    def late(self) -> list[_Line]:
        """Lines that are due, of events that were counted."""
        now = self._clock()
        with self._lock:
            due = [key for key, one in self._counted.items() if one.missed and one.until <= now]
            return [self._written(key, now, 0) for key in due]

    def _written(self, key: _Key, now: float, more: int) -> _Line:
        event, fields = key
        before = self._counted.get(key)
        self._counted[key] = _Counted(now + self._seconds[event])
        return event, {**dict(fields), "count": more + (before.missed if before else 0)}

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
        _write(*line)
    for line in _bounded.late():
        _write(*line)


def _write(event: LogEvent, fields: Fields) -> None:
    if logger.isEnabledFor(event.level):
        line = {"event": event.value, **{name: value for name, value in fields.items() if value is not None}}
        logger.log(event.level, json.dumps(line, separators=(",", ":")))
