"""The status of a mail. A producer can see and cancel its own mails. An operator can see all mails, replay those that
ended unsent, and retry those that wait.
"""

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import azure.functions as func

from shared.app import App
from shared.auth.entra import NO_OPERATOR, Caller, operates, require
from shared.delivery.explanations import reason_of
from shared.delivery.results import bounces_of, untold
from shared.delivery.row import ENDED, REPLAYABLE, Row
from shared.errors import Malformed, NotAllowed, Refused
from shared.functions.access import operable
from shared.functions.http_answers import NO_STORE, json_answer, problem, rfc_3339
from shared.mail.outgoing import MAIL_ID
from shared.settings.config import Settings

if TYPE_CHECKING:
    from shared.delivery.cancel_replay_retry import Cannot

UNASKABLE: Final = (
    "It may have been sent, and its mailbox cannot be asked: Graph answers 403, no copy was asked for (saveToSentItems "
    "is false), or MAIL_VERIFY_SENT is false. Look into the mailbox; force=true sends it all the same, and it may then "
    "arrive twice."
)

Scope = str | None  # of the producer; None: an operator's, everything


async def _one(app: App, req: func.HttpRequest, scope: Scope) -> func.HttpResponse:
    row = await _row(app, req, scope)
    if req.method == "GET":
        return json_answer(200, await described(app, row), NO_STORE)
    cancelled = await app.control.cancel(row)
    if isinstance(cancelled, Row):
        return json_answer(200, await described(app, cancelled))
    return problem(409, f"A mail that is {cancelled.row.state} cannot be cancelled.")


async def _replay(app: App, req: func.HttpRequest, scope: Scope) -> func.HttpResponse:
    from shared.functions.kept_messages import refused

    row = await _row(app, req, scope)
    force = flag(req, "force")
    replayed = await app.control.replay(row, force=force, refused=partial(refused, app))
    if isinstance(replayed, Row):
        return json_answer(200 if replayed.state == "sent" else 202, shown(replayed), NO_STORE)
    return problem(422 if replayed.reason == "still-wrong" else 409, unreplayed(replayed))


def unreplayed(cannot: "Cannot") -> str:
    """Why a mail is not replayed."""
    match cannot.reason:
        case "cannot-be-asked":
            return UNASKABLE
        case "nothing-kept" if cannot.row.put_back:
            return "This message was put back before. Its mail has an id of its own."
        case "nothing-kept":
            return "Nothing is kept of this mail, because its caller was told of the refusal."
        case "still-wrong":
            return f"Its message would be refused again, so nothing was changed. {cannot.why}"
    return f"A mail that is {cannot.row.state} cannot be replayed; only one that ended unsent can."


async def _retry(app: App, req: func.HttpRequest, scope: Scope) -> func.HttpResponse:
    row = await _row(app, req, scope)
    retried = await app.control.retry(row)
    if isinstance(retried, Row):
        return json_answer(200 if retried.state == "sent" else 202, shown(retried), NO_STORE)
    return problem(409, _untried(retried))


def _untried(cannot: "Cannot") -> str:
    """Why a mail is not tried at once, and when it is tried."""
    row = cannot.row
    when = f"at {rfc_3339(row.due_at)}" if row.due_at is not None else "once its message comes"
    match cannot.reason, row.state:
        case "no-answer", _:
            return f"Its mailbox gave no answer, or cannot be asked at the moment. It is asked again {when}."
        case "cannot-be-asked", _:
            return f"The mail may have been sent, and its mailbox cannot be asked. MAIL_ON_UNKNOWN decides {when}."
        case _, "unknown":
            return f"The mail may have been sent, and its copy may need time to appear. Its mailbox is asked {when}."
        case _, "scheduled":
            return f"The mail is scheduled: it is sent {when}, as its sender asked."
        case _, "accepted":
            return f"The mail's message cannot be brought forward. The mail is tried {when}."
    return f"A mail that is {row.state} cannot be tried at once; only one that waits can."


def scope_of(caller: Caller, settings: Settings) -> Scope:
    """The scope of mails that a caller may see. Raises NotAllowed."""
    if operates(caller, settings):
        return None
    require(caller, "Mail.Send")
    return caller.scope


def operator(caller: Caller, settings: Settings) -> None:
    """Raise NotAllowed unless the caller is an operator."""
    if not operates(caller, settings):
        raise NotAllowed(f"Only operators can list, replay and retry mails. {NO_OPERATOR}")


message, operator_message = operable("message", _one, scope_of, None)
message_replay, operator_message_replay = operable("message_replay", _replay, operator, None)
message_retry, operator_message_retry = operable("message_retry", _retry, operator, None)


def flag(req: func.HttpRequest, name: str) -> bool:
    """Parse a parameter that must be true or false. Raises Malformed."""
    given = req.params.get(name, "false")
    if given not in ("true", "false"):
        raise Malformed(400, "BadRequest", f"{name} is {given[:20]!r}, expected true or false.")
    return bool(given == "true")


async def _row(app: App, req: func.HttpRequest, scope: Scope) -> Row:
    """Raises Refused if there is none in this scope."""
    mail = req.route_params["id"]
    row = await app.engine.ledger.read(mail) if MAIL_ID.fullmatch(mail) else None
    if row is None or scope not in (None, row.scope):
        raise Refused(404, "NotFound", "No mail has this id, or it is not yours.")
    return row


async def described(app: App, row: Row) -> dict[str, object]:
    """A row, and what else is to be known of it: whether its results were told, and whether a mail of the same key may
    have been sent before without a trace (mail/marker.py).
    """
    ledger, _ = app.table_identities
    replaced = await ledger.known()
    kept = timedelta(days=row.keep_days or app.settings.retention_days)
    more: dict[str, object] = {}
    if row.wants_results and row.settled_at is not None:
        more["resultsTold"] = not untold(row)
    if replaced is not None and replaced.concerns(row.accepted_at, kept):
        more["keysMayBeForgotten"] = True
    return shown(row) | more


def shown(row: Row) -> dict[str, object]:
    """A row: no content, and no address but that of the mailbox which sends, which is the installation's own."""
    times = {
        "acceptedAt": row.accepted_at,
        "notBefore": row.not_before,
        "lastAttemptAt": row.attempted_at,
        "dueAt": row.due_at,
        "settledAt": row.settled_at,
        "attentionSince": row.listed_at,
    }
    bounces = [
        {"recipient": one.recipient, "code": one.code, "class": one.kind, "at": rfc_3339(one.at)}
        for one in bounces_of(row)
    ]
    facts = {
        "id": row.id,
        "state": row.state,
        "intake": row.intake,
        "caller": row.caller,
        "route": row.route,
        "sender": row.mailbox or None,
        "keyHash": row.key,
        **{name: rfc_3339(at) for name, at in times.items() if at is not None},
        "attempts": row.attempts,
        "nextStep": _next_step(row),
        "mayHaveGone": row.may_have_gone,
        "mayHaveGoneTwice": row.may_have_gone_twice,
        "replays": row.replays,
        "status": row.status,
        "code": row.code,
        "reason": reason_of(row),
        "bounces": bounces or None,
        "suppressedRecipients": row.suppressed_recipients,
        "requestId": row.request_id,
        "clientRequestId": row.client_request_id,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _next_step(row: Row) -> str | None:
    """What happens to the mail next, at `dueAt` or as soon as its message comes; None if nothing."""
    if row.state in ENDED:
        over = row.put_back and row.listed_at is None  # an entry of what needs attention has no fingerprint
        return "operator" if row.state in REPLAYABLE and not over else None
    return {"sending": "record", "unknown": "verify"}.get(row.state, "send")
