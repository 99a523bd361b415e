"""What is said of attempts and ends: the events of telemetry.py."""

from typing import Final

from shared.delivery.record import Row, State
from shared.graph.outcome import Accepted, Interrupted, NotConnected, Outcome, Rejected, Throttled, Unknown
from shared.telemetry import LogEvent, emit

ENDS: Final[dict[State, LogEvent]] = {
    "sent": LogEvent.MAIL_SENT,
    "failed": LogEvent.MAIL_FAILED,
    "review": LogEvent.MAIL_NEEDS_REVIEW,
    "suppressed": LogEvent.MAIL_SUPPRESSED,
    "captured": LogEvent.MAIL_CAPTURED,
}


def report_end(row: Row) -> None:
    """Say how a mail has ended, and how long that took from when it was accepted, or from its own later time."""
    took = row.settled_at - max(row.not_before or row.accepted_at, row.accepted_at) if row.settled_at else None
    emit(
        ENDS[row.state],
        id=row.id,
        route=row.route,
        attempts=row.attempts,
        seconds=None if took is None else round(took.total_seconds(), 3),
        status=row.status,
        code=row.code,
        left_out=row.suppressed_recipients,
        request_id=row.request_id,
    )


def report_outcome(row: Row, outcome: Outcome) -> None:
    """Say what an attempt met, unless it went well: that is said when it is written down."""
    match outcome:
        case Accepted() | Rejected(kind="permanent"):
            return
        case NotConnected():
            emit(LogEvent.GRAPH_UNREACHED, id=row.id, code=outcome.reason)
        case Interrupted():
            code = outcome.code or outcome.reason
            emit(LogEvent.MAIL_INTERRUPTED, id=row.id, status=outcome.status, code=code, request_id=outcome.request_id)
        case Throttled():
            emit(
                LogEvent.GRAPH_THROTTLED,
                id=row.id,
                code=outcome.code,
                after=outcome.after,
                request_id=outcome.request_id,
            )
        case Unknown():
            code = outcome.code or outcome.reason
            emit(LogEvent.MAIL_UNKNOWN, id=row.id, status=outcome.status, code=code, request_id=outcome.request_id)
        case Rejected():
            event = LogEvent.GRAPH_PERMISSION if outcome.kind == "permission" else LogEvent.GRAPH_QUOTA
            emit(event, id=row.id, status=outcome.status, code=outcome.code, request_id=outcome.request_id)


def report_unanswered(row: Row, outcome: Outcome) -> None:
    """Say that a verification had no answer, as what keeps mail back wherever it is that too."""
    match outcome:
        case Throttled() | NotConnected() | Rejected(kind="permission"):
            report_outcome(row, outcome)
        case Accepted():
            emit(LogEvent.MAIL_UNVERIFIED, id=row.id, status=202)
        case Rejected() | Unknown() | Interrupted():
            code = outcome.code or (None if isinstance(outcome, Rejected) else outcome.reason)
            emit(LogEvent.MAIL_UNVERIFIED, id=row.id, status=outcome.status, code=code, request_id=outcome.request_id)
