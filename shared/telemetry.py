"""Mailroom's own events: the one place that names them, and the one function that writes them.

Each is one line of JSON in the log, so that a query can read it: `parse_json(message).event == "mail.failed"`. An event
carries ids, counts, codes and names of routes and settings; never an address, a subject, a body or a token.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Final

from shared.telemetry_bounds import Bounded, Fields

__all__ = ["LEVELS", "STRANGERS", "LogEvent", "emit", "kept", "said_while"]

logger: Final = logging.getLogger("mailroom")
# Azure's worker lets everything through from INFO on, and its SDKs say there several lines for each request to storage:
# ten times what Mailroom says of a mail, with names of blobs that producers have given.
QUIET: Final = ("azure", "msal", "httpx", "httpcore", "urllib3", "aiohttp")
for _name in QUIET:
    logging.getLogger(_name).setLevel(logging.WARNING)


class LogEvent(StrEnum):
    """What can be said, and when."""

    SETTING_REFUSED = "setting.refused"  # a setting cannot be used: 503. At the first invocation, then by timer
    SETTING_UNUSED = "setting.unused"  # nothing reads it: its name is none of Mailroom's, or another takes its place
    MAIL_ACCEPTED = "mail.accepted"  # durable in the outbox, not sent yet
    MAIL_SENT = "mail.sent"  # Graph answered 202; `seconds` after it was accepted, or due
    MAIL_WAITING = "mail.waiting"  # put back, with the reason and the delay
    MAIL_UNKNOWN = "mail.unknown"  # it may have gone; Graph's answer is missing or says neither
    MAIL_UNVERIFIED = "mail.unverified"  # its mailbox did not say whether it has gone: it is asked again
    MAIL_INTERRUPTED = "mail.interrupted"  # its draft, or a file of it, could not be finished; it is gone on with later
    DRAFT_LEFT = "mail.draft-left"  # the draft of a mail that ended unsent could not be deleted; tried again hourly
    MAIL_RESENT = "mail.resent"  # sent again after an unknown outcome: it may have gone twice
    MAIL_NEEDS_REVIEW = "mail.needs_review"  # may have gone; waits for a person
    MAIL_FAILED = "mail.failed"  # will not be sent; kept in mail-dead
    MAIL_REFUSED = "mail.refused"  # a producer's message that is no mail, or not allowed; kept in mail-dead
    MAIL_SUPPRESSED = "mail.suppressed"  # every recipient is on the suppression list; kept in mail-dead
    RECIPIENTS_LEFT_OUT = "mail.recipients-left-out"  # some are: it goes to the others
    MAIL_CAPTURED = "mail.captured"  # MAIL_MODE is capture: recorded in mail-dead, not sent
    MAIL_UNCHECKED = "mail.unchecked"  # the suppression list cannot be read: it waits
    SUPPRESSION_CHANGED = "suppression.changed"  # by an operator
    RECIPIENTS_NEAR = "recipients.near"  # a mailbox has mailed four fifths of a day's recipients; once a day
    RECIPIENTS_REACHED = "recipients.reached"  # all of them: its mail waits, or is answered 429; once a day
    CALLER_LIMITED = "caller.limited"  # a caller, queue or route is over its rate: refused, or put off; once a minute
    MAIL_CANCELLED = "mail.cancelled"  # by its producer or an operator, before it was sent
    MAIL_RETRIED = "mail.retried"  # an operator wants what waits tried at once
    MAIL_REPLAYED = "mail.replayed"  # an operator has put back what had ended unsent; a held one may go twice
    MAIL_POISONED = "mail.poisoned"  # its message failed again and again; it is tried on, or kept in mail-dead
    TABLE_REPLACED = "table.replaced"  # it was deleted and made anew: keys, or suppressed addresses, are forgotten
    MAINTENANCE_FAILED = "maintenance.failed"  # a step of maintenance; the others were done
    MAINTENANCE = "maintenance.changed"  # rows and payloads that maintenance has ended or removed
    MAIL_DUPLICATE = "mail.duplicate"  # a copy of one that came before, dropped; `reason` says by what it was known
    ROW_UNWRITTEN = "mail.row-unwritten"  # the ledger could not be told how an attempt ended; it is looked at later
    MAIL_CONFLICT = "mail.conflict"  # the same key with another body: dropped
    GRAPH_THROTTLED = "graph.throttled"
    GRAPH_UNREACHED = "graph.unreached"  # no connection, or no token from the managed identity
    GRAPH_PERMISSION = "graph.permission"  # Graph refuses Mailroom itself: 401, 403
    GRAPH_QUOTA = "graph.quota"  # a mailbox is full or at its limit
    QUEUE_MEASURED = "queue.measured"  # every few minutes: how much waits, and since when; also the heartbeat
    BACKLOG_MEASURED = "backlog.measured"  # mails that wait in the part of the ledger that maintenance has gone through
    INTAKE_UNAVAILABLE = "intake.unavailable"  # a caller is answered 503: storage, or its keys, cannot be reached
    BODY_LOST = "request.body-lost"  # it came with Transfer-Encoding and no body: 411; its sender must give its length
    KEYS_UNREACHED = "caller.keys-unreached"  # the tenant's signing keys cannot be fetched; old ones stay in use
    CALLER_REFUSED = "caller.refused"  # a request without a valid token, or of a caller that may not
    ROUTE_OFF = "route.off"  # a route without a secret was asked: answered 404, as one that does not exist; once a day
    ROUTE_REFUSED = "route.refused"  # it, or one of its secrets, cannot be used. At the first webhook, then by timer
    EVENT_UNVERIFIED = "event.unverified"  # a webhook request that does not prove where it comes from
    EVENT_MALFORMED = "event.malformed"  # a verified one that cannot be read
    EVENT_FILTERED = "event.filtered"  # its route wants no mail of it
    EVENT_SIGNED_AGAIN = "event.signed-again"  # what was signed came under another id within a day; it is mailed
    BATCH_ACCEPTED = "event.batch-accepted"  # more mails than are put one by one: its events are durable as one
    BATCH_EXPANDED = "event.batch-expanded"  # each of its events has its mails in the outbox, or was set aside
    EVENT_CRASHED = "event.crashed"  # one of a batch made Mailroom fail: kept in mail-dead, the others went on
    EVENT_PUT_OFF = "event.put-off"  # it cannot be stored now, or its route not be used; its sender is told so
    TEMPLATE_FAILED = "template.failed"  # the general table stands in for the mail
    VAULT_UNREACHED = "vault.unreached"  # a secret cannot be read; what was read before stays in use


LEVELS: Final = {
    LogEvent.SETTING_REFUSED: logging.ERROR,
    LogEvent.SETTING_UNUSED: logging.ERROR,
    LogEvent.MAIL_ACCEPTED: logging.INFO,
    LogEvent.MAIL_SENT: logging.INFO,
    LogEvent.MAIL_WAITING: logging.INFO,
    LogEvent.MAIL_UNKNOWN: logging.WARNING,
    LogEvent.MAIL_UNVERIFIED: logging.WARNING,
    LogEvent.MAIL_INTERRUPTED: logging.WARNING,
    LogEvent.DRAFT_LEFT: logging.WARNING,
    LogEvent.MAIL_RESENT: logging.WARNING,
    LogEvent.MAIL_NEEDS_REVIEW: logging.ERROR,
    LogEvent.MAIL_FAILED: logging.ERROR,
    LogEvent.MAIL_REFUSED: logging.WARNING,
    LogEvent.MAIL_SUPPRESSED: logging.WARNING,
    LogEvent.RECIPIENTS_LEFT_OUT: logging.WARNING,
    LogEvent.MAIL_CAPTURED: logging.INFO,
    LogEvent.MAIL_UNCHECKED: logging.ERROR,
    LogEvent.SUPPRESSION_CHANGED: logging.INFO,
    LogEvent.RECIPIENTS_NEAR: logging.WARNING,
    LogEvent.RECIPIENTS_REACHED: logging.ERROR,
    LogEvent.CALLER_LIMITED: logging.WARNING,
    LogEvent.MAIL_CANCELLED: logging.INFO,
    LogEvent.MAIL_RETRIED: logging.INFO,
    LogEvent.MAIL_REPLAYED: logging.WARNING,
    LogEvent.MAIL_POISONED: logging.ERROR,
    LogEvent.TABLE_REPLACED: logging.ERROR,
    LogEvent.MAINTENANCE_FAILED: logging.WARNING,
    LogEvent.MAINTENANCE: logging.INFO,
    LogEvent.MAIL_DUPLICATE: logging.INFO,
    LogEvent.ROW_UNWRITTEN: logging.ERROR,
    LogEvent.MAIL_CONFLICT: logging.WARNING,
    LogEvent.GRAPH_THROTTLED: logging.WARNING,
    LogEvent.GRAPH_UNREACHED: logging.WARNING,
    LogEvent.GRAPH_PERMISSION: logging.ERROR,
    LogEvent.GRAPH_QUOTA: logging.ERROR,
    LogEvent.QUEUE_MEASURED: logging.INFO,
    LogEvent.BACKLOG_MEASURED: logging.INFO,
    LogEvent.INTAKE_UNAVAILABLE: logging.ERROR,
    LogEvent.BODY_LOST: logging.WARNING,
    LogEvent.KEYS_UNREACHED: logging.ERROR,
    LogEvent.CALLER_REFUSED: logging.WARNING,
    LogEvent.ROUTE_OFF: logging.INFO,
    LogEvent.ROUTE_REFUSED: logging.ERROR,
    LogEvent.EVENT_UNVERIFIED: logging.WARNING,
    LogEvent.EVENT_MALFORMED: logging.WARNING,
    LogEvent.EVENT_FILTERED: logging.INFO,
    LogEvent.EVENT_SIGNED_AGAIN: logging.WARNING,
    LogEvent.BATCH_ACCEPTED: logging.INFO,
    LogEvent.BATCH_EXPANDED: logging.INFO,
    LogEvent.EVENT_CRASHED: logging.WARNING,
    LogEvent.EVENT_PUT_OFF: logging.ERROR,
    LogEvent.TEMPLATE_FAILED: logging.ERROR,
    LogEvent.VAULT_UNREACHED: logging.ERROR,
}

DAY: Final = 86_400.0  # seconds
STRANGERS: Final[Mapping[str, float]] = {
    LogEvent.BODY_LOST: 1.0,
    LogEvent.CALLER_REFUSED: 1.0,
    LogEvent.EVENT_MALFORMED: 1.0,
    LogEvent.EVENT_PUT_OFF: 1.0,
    LogEvent.EVENT_UNVERIFIED: 1.0,
    LogEvent.INTAKE_UNAVAILABLE: 1.0,
    LogEvent.KEYS_UNREACHED: 1.0,
    LogEvent.ROUTE_OFF: DAY,
    LogEvent.VAULT_UNREACHED: 1.0,
}
"""Events that a request can cause which has proved nothing: the seconds between two lines of each and its fields.

Each line has `count`, the events that it stands for. Their fields are of few values: see bounded.py."""
_bounded: Final = Bounded(STRANGERS)


Said = tuple[LogEvent, dict[str, str | float | bool | None]]
_waiting: ContextVar[list[Said] | None] = ContextVar("waiting", default=None)


@contextmanager
def kept() -> Iterator[None]:
    """Keep what is said within it, in threads that it starts too, and say it at its end."""
    waiting: list[Said] = []
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)
        while waiting:  # a thread that nobody waits for any more may still say something
            event, fields = waiting.pop(0)
            emit(event, **fields)


@contextmanager
def said_while(heard: Callable[[], bool]) -> Iterator[None]:
    """Keep what is said within it, and say it at its end if anybody hears it then.

    For what may outlast its invocation: the platform drops what is logged outside of one.
    """
    waiting: list[Said] = []
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)
        if heard():
            for event, fields in waiting:
                emit(event, **fields)


def emit(event: LogEvent, **fields: str | float | bool | None) -> None:
    """Write one event with its fields; those that are None are left out. Those of STRANGERS may be counted."""
    if (waiting := _waiting.get()) is not None:
        waiting.append((event, fields))
        return
    if event not in STRANGERS or "id" in fields:  # what has an id has been accepted: that no stranger can cause
        _write(event, fields)
    elif (line := _bounded.take(event, fields)) is not None:
        _write(event, {**line.fields, "count": line.count})
    for line in _bounded.late():
        _write(LogEvent(line.event), {**line.fields, "count": line.count})


def _write(event: LogEvent, fields: Fields) -> None:
    level = LEVELS[event]
    if logger.isEnabledFor(level):
        line = {"event": event.value, **{name: value for name, value in fields.items() if value is not None}}
        logger.log(level, json.dumps(line, separators=(",", ":")))
