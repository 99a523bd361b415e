"""What became of a mail: its producer sees and cancels its own; an operator sees all, puts back what ended unsent, and
has tried at once what waits.

A producer, and an operator as callers.operates tells one, come with a bearer token to `/api/messages`. An operator
with nothing but a function key comes to `/api/operator/messages`: the platform checks a key before the
function runs, or not at all, so one path cannot take both.
"""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, get_args

import azure.functions as func

from shared.app import Services, services
from shared.auth.callers import (
    NO_OPERATOR,
    authenticated,
    key_refused,
    operates,
    report_refused,
    scope_of,
)
from shared.auth.entra import KeysUnavailable, require
from shared.delivery.record import Row, State
from shared.errors import Refused, Unauthenticated
from shared.functions.answers import json_answer, length_required, problem, settings_refused, unavailable
from shared.functions.paging import WRONG_AFTER, WRONG_TOP, top_of

if TYPE_CHECKING:
    from shared.delivery.operations import Cannot

__all__ = [
    "message",
    "message_replay",
    "message_retry",
    "messages",
    "operator_message",
    "operator_message_replay",
    "operator_message_retry",
    "operator_messages",
]

ID: Final = re.compile(r"[0-9a-f]{32}")
UNASKABLE: Final = (
    "It may have gone, and its mailbox cannot be asked: Graph answers 403, no copy was asked for (saveToSentItems is "
    "false), or MAIL_VERIFY_SENT is false. Look into the mailbox; force=true sends it all the same, and it may then "
    "arrive twice."
)

Scope = str | None  # of the producer; None: an operator's, everything
Handler = Callable[[Services, func.HttpRequest, Scope], Awaitable[func.HttpResponse]]


async def message(req: func.HttpRequest) -> func.HttpResponse:
    return await _by_token(req, _one)


async def message_replay(req: func.HttpRequest) -> func.HttpResponse:
    return length_required(req, "message_replay") or await _by_token(req, _replay)


async def message_retry(req: func.HttpRequest) -> func.HttpResponse:
    return length_required(req, "message_retry") or await _by_token(req, _retry)


async def messages(req: func.HttpRequest) -> func.HttpResponse:
    return await _by_token(req, _list)


async def operator_message(req: func.HttpRequest) -> func.HttpResponse:
    return await _by_key(req, _one)


async def operator_message_replay(req: func.HttpRequest) -> func.HttpResponse:
    return length_required(req, "operator_message_replay") or await _by_key(req, _replay)


async def operator_message_retry(req: func.HttpRequest) -> func.HttpResponse:
    return length_required(req, "operator_message_retry") or await _by_key(req, _retry)


async def operator_messages(req: func.HttpRequest) -> func.HttpResponse:
    return await _by_key(req, _list)


async def _by_key(req: func.HttpRequest, handler: Handler) -> func.HttpResponse:
    return key_refused(services().settings) or await _answer(req, handler, None)


async def _by_token(req: func.HttpRequest, handler: Handler) -> func.HttpResponse:
    app = services()
    if app.settings.problems:
        return problem(503, settings_refused(app.settings.problems))
    try:
        caller = await authenticated(app, req)
        if operates(caller, app.settings):
            return await _answer(req, handler, None)
        require(caller, "Mail.Send")
    except KeysUnavailable:
        return unavailable("The tenant's signing keys cannot be fetched.", "KeysUnavailable")
    except Refused as refusal:
        report_refused(refusal)
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return problem(refusal.status, str(refusal), challenge if isinstance(refusal, Unauthenticated) else None)
    return await _answer(req, handler, scope_of(caller))


async def _answer(req: func.HttpRequest, handler: Handler, scope: Scope) -> func.HttpResponse:
    app = services()
    if app.settings.problems:
        return problem(503, settings_refused(app.settings.problems))
    from azure.core.exceptions import AzureError

    try:
        return await handler(app, req, scope)
    except AzureError:
        return unavailable("Mailroom's storage cannot be reached.", "ServiceUnavailable")


async def _one(app: Services, req: func.HttpRequest, scope: Scope) -> func.HttpResponse:
    row = await _row(app, req, scope)
    if row is None:
        return _not_found()
    if req.method == "GET":
        return json_answer(200, await _told(app, row), {"Cache-Control": "no-store"})
    cancelled = await app.control.cancel(row)
    if isinstance(cancelled, Row):
        return json_answer(200, await _told(app, cancelled))
    return problem(409, f"A mail that is {cancelled.row.state} cannot be cancelled.")


async def _replay(app: Services, req: func.HttpRequest, scope: Scope) -> func.HttpResponse:
    if scope is not None:
        return problem(403, f"Only operators can put a mail back. {NO_OPERATOR}")
    row = await _row(app, req, scope)
    if row is None:
        return _not_found()
    force = req.params.get("force", "false")
    if force not in ("true", "false"):
        return problem(400, f"force is {force[:20]!r}, expected true or false.")
    replayed = await app.control.replay(row, force=force == "true")
    if isinstance(replayed, Row):
        return json_answer(200 if replayed.state == "sent" else 202, _shown(replayed), {"Cache-Control": "no-store"})
    if replayed.reason == "cannot-be-asked":
        return problem(409, UNASKABLE)
    if replayed.reason == "nothing-kept":
        return problem(409, "Nothing is kept of this mail: its caller was answered with the refusal.")
    return problem(409, f"A mail that is {replayed.row.state} cannot be put back; only one that ended unsent can.")


async def _retry(app: Services, req: func.HttpRequest, scope: Scope) -> func.HttpResponse:
    if scope is not None:
        return problem(403, f"Only operators can have a mail tried at once. {NO_OPERATOR}")
    row = await _row(app, req, scope)
    if row is None:
        return _not_found()
    retried = await app.control.retry(row)
    if isinstance(retried, Row):
        return json_answer(200 if retried.state == "sent" else 202, _shown(retried), {"Cache-Control": "no-store"})
    return problem(409, _untried(retried))


def _untried(cannot: "Cannot") -> str:
    """Why a mail is not tried at once, and when it is tried."""
    row = cannot.row
    when = _time(row.due_at) if row.due_at is not None else "once its message comes"
    match cannot.reason, row.state:
        case "no-answer", _:
            return f"Its mailbox gave no answer, or may not be asked at the moment. It is asked again: {when}."
        case "cannot-be-asked", _:
            return f"It may have gone, and its mailbox cannot be asked. MAIL_ON_UNKNOWN decides: {when}."
        case _, "unknown":
            return f"It may have gone, and its copy may need time to appear. Its mailbox is asked: {when}."
        case _, "scheduled":
            return f"A mail that is scheduled waits for the time that its sender has asked for: {when}."
        case _, "accepted":
            return f"Its message cannot be brought forward. It is tried: {when}."
    return f"A mail that is {row.state} cannot be tried at once; only one that waits can."


async def _list(app: Services, req: func.HttpRequest, scope: Scope) -> func.HttpResponse:
    if scope is not None:
        return problem(403, f"Only operators can list mails. {NO_OPERATOR}")
    states = get_args(State)
    state = req.params.get("state")
    if state is not None and state not in states:
        return problem(400, f"state is none of {', '.join(states)}.")
    most = top_of(req)
    if most is None:
        return problem(400, WRONG_TOP)
    try:
        rows, after = await app.control.page(state, most, req.params.get("after"))
    except ValueError:
        return problem(400, WRONG_AFTER)
    body: dict[str, object] = {"messages": [await _told(app, row) for row in rows]}
    if after:
        body["next"] = after
    return json_answer(200, body, {"Cache-Control": "no-store"})


async def _row(app: Services, req: func.HttpRequest, scope: Scope) -> Row | None:
    mail = req.route_params["id"]
    row = await app.control.read(mail) if ID.fullmatch(mail) else None
    return row if row is not None and scope in (None, row.scope) else None


def _not_found() -> func.HttpResponse:
    return problem(404, "No mail of this id is known, or it is not yours.")


async def _told(app: Services, row: Row) -> dict[str, object]:
    """A row, and whether a mail of the same key may have gone before it without a trace: see marker.py."""
    ledger, _ = app.storage.identities
    replaced = await ledger.known()
    kept = timedelta(days=row.keep_days or app.settings.retention_days)
    forgotten = replaced is not None and replaced.concerns(row.accepted_at, kept)
    return {**_shown(row), "keysMayBeForgotten": True} if forgotten else _shown(row)


def _time(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _shown(row: Row) -> dict[str, object]:
    """A row without addresses."""
    times = {
        "acceptedAt": row.accepted_at,
        "notBefore": row.not_before,
        "dueAt": row.due_at,
        "settledAt": row.settled_at,
    }
    facts = {
        "id": row.id,
        "state": row.state,
        "route": row.route,
        **{name: _time(at) for name, at in times.items() if at is not None},
        "attempts": row.attempts,
        "mayHaveGone": row.may_have_gone,
        "mayHaveGoneTwice": row.may_have_gone_twice,
        "replays": row.replays,
        "status": row.status,
        "code": row.code,
        "suppressedRecipients": row.suppressed_recipients,
        "requestId": row.request_id,
        "clientRequestId": row.client_request_id,
    }
    return {name: value for name, value in facts.items() if value is not None}
