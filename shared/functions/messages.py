"""What became of a mail: its producer sees and cancels its own; an operator sees all, replays what ended unsent, and
has what waits tried at once.
"""

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final, get_args

import azure.functions as func

from shared.app import App
from shared.auth.entra import NO_OPERATOR, Caller, operates, require
from shared.delivery.ledger import Row, State
from shared.errors import NotAllowed
from shared.functions.access import by_key, by_token, page_size, wrong_after
from shared.functions.http_answers import json_answer, problem, rfc_3339
from shared.settings.config import Settings

if TYPE_CHECKING:
    from shared.delivery.cancel_replay_retry import Cannot

ID: Final = re.compile(r"[0-9a-f]{32}")
NO_STORE: Final = {"Cache-Control": "no-store"}
UNASKABLE: Final = (
    "It may have been sent, and its mailbox cannot be asked: Graph answers 403, no copy was asked for (saveToSentItems "
    "is false), or MAIL_VERIFY_SENT is false. Look into the mailbox; force=true sends it all the same, and it may then "
    "arrive twice."
)

Scope = str | None  # of the producer; None: an operator's, everything


async def _one(app: App, req: func.HttpRequest, scope: Scope) -> func.HttpResponse:
    row = await _row(app, req, scope)
    if row is None:
        return _not_found()
    if req.method == "GET":
        return json_answer(200, await _state(app, row), NO_STORE)
    cancelled = await app.control.cancel(row)
    if isinstance(cancelled, Row):
        return json_answer(200, await _state(app, cancelled))
    return problem(409, f"A mail that is {cancelled.row.state} cannot be cancelled.")


async def _replay(app: App, req: func.HttpRequest, scope: Scope) -> func.HttpResponse:
    row = await _row(app, req, scope)
    if row is None:
        return _not_found()
    force = req.params.get("force", "false")
    if force not in ("true", "false"):
        return problem(400, f"force is {force[:20]!r}, expected true or false.")
    replayed = await app.control.replay(row, force=force == "true")
    if isinstance(replayed, Row):
        return json_answer(200 if replayed.state == "sent" else 202, _shown(replayed), NO_STORE)
    if replayed.reason == "cannot-be-asked":
        return problem(409, UNASKABLE)
    if replayed.reason == "nothing-kept":
        return problem(409, "Nothing is kept of this mail: its caller was answered with the refusal.")
    return problem(409, f"A mail that is {replayed.row.state} cannot be replayed; only one that ended unsent can.")


async def _retry(app: App, req: func.HttpRequest, scope: Scope) -> func.HttpResponse:
    row = await _row(app, req, scope)
    if row is None:
        return _not_found()
    retried = await app.control.retry(row)
    if isinstance(retried, Row):
        return json_answer(200 if retried.state == "sent" else 202, _shown(retried), NO_STORE)
    return problem(409, _untried(retried))


def _untried(cannot: "Cannot") -> str:
    """Why a mail is not tried at once, and when it is tried."""
    row = cannot.row
    when = rfc_3339(row.due_at) if row.due_at is not None else "once its message comes"
    match cannot.reason, row.state:
        case "no-answer", _:
            return f"Its mailbox gave no answer, or may not be asked at the moment. It is asked again: {when}."
        case "cannot-be-asked", _:
            return f"It may have been sent, and its mailbox cannot be asked. MAIL_ON_UNKNOWN decides: {when}."
        case _, "unknown":
            return f"It may have been sent, and its copy may need time to appear. Its mailbox is asked: {when}."
        case _, "scheduled":
            return f"A mail that is scheduled waits for the time that its sender has asked for: {when}."
        case _, "accepted":
            return f"Its message cannot be brought forward. It is tried: {when}."
    return f"A mail that is {row.state} cannot be tried at once; only one that waits can."


async def _list(app: App, req: func.HttpRequest, _: Scope) -> func.HttpResponse:
    states = get_args(State)
    state = req.params.get("state")
    if state is not None and state not in states:
        return problem(400, f"state is {state[:20]!r}, expected one of {', '.join(states)}.")
    most = page_size(req)
    if not isinstance(most, int):
        return most
    try:
        rows, after = await app.engine.ledger.page(state, most, req.params.get("after"))
    except ValueError:
        return wrong_after()
    body: dict[str, object] = {"messages": [await _state(app, row) for row in rows]}
    return json_answer(200, body | ({"next": after} if after else {}), NO_STORE)


def _scope(caller: Caller, settings: Settings) -> Scope:
    if operates(caller, settings):
        return None
    require(caller, "Mail.Send")
    return caller.scope


def _operator(caller: Caller, settings: Settings) -> None:
    if not operates(caller, settings):
        raise NotAllowed(f"Only operators can list mails, replay them, or have them tried at once. {NO_OPERATOR}")


message = by_token("message", _one, _scope)
message_replay = by_token("message_replay", _replay, _operator)
message_retry = by_token("message_retry", _retry, _operator)
messages = by_token("messages", _list, _operator)
operator_message = by_key("operator_message", _one, None)
operator_message_replay = by_key("operator_message_replay", _replay, None)
operator_message_retry = by_key("operator_message_retry", _retry, None)
operator_messages = by_key("operator_messages", _list, None)


async def _row(app: App, req: func.HttpRequest, scope: Scope) -> Row | None:
    mail = req.route_params["id"]
    row = await app.engine.ledger.read(mail) if ID.fullmatch(mail) else None
    return row if row is not None and scope in (None, row.scope) else None


def _not_found() -> func.HttpResponse:
    return problem(404, "No mail of this id is known, or it is not yours.")


async def _state(app: App, row: Row) -> dict[str, object]:
    """A row, and whether a mail of the same key may have been sent before without a trace: see mail/marker.py."""
    ledger, _ = app.table_identities
    replaced = await ledger.known()
    kept = timedelta(days=row.keep_days or app.settings.retention_days)
    forgotten = replaced is not None and replaced.concerns(row.accepted_at, kept)
    return {**_shown(row), "keysMayBeForgotten": True} if forgotten else _shown(row)


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
        **{name: rfc_3339(at) for name, at in times.items() if at is not None},
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
