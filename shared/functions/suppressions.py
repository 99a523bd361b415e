"""The suppression list over HTTP: operators see it, add to it and take out of it.

With the bearer token of an operator (callers.operates) under `/api/suppressions`, with a function key under
`/api/operator/suppressions`; the reason for two paths is that of messages.py. An address never stands in a URL, which
others log: an entry is named by its id, the SHA-256 of the address's canonical form (mail/addresses.py).
"""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import azure.functions as func
import msgspec

from shared.app import Services, services
from shared.auth.callers import NO_OPERATOR, authenticated, key_refused, operates, report_refused
from shared.auth.entra import KeysUnavailable
from shared.errors import Malformed, Refused, Unauthenticated
from shared.functions.answers import json_answer, length_required, problem, settings_refused, unavailable
from shared.functions.paging import WRONG_AFTER, WRONG_TOP, top_of
from shared.mail.addresses import checked
from shared.mail.strict_json import read_json
from shared.policy.suppression import NewSuppression
from shared.telemetry import LogEvent, emit

if TYPE_CHECKING:
    from shared.policy.suppression_list import Entry

__all__ = ["operator_suppression", "operator_suppressions", "suppression", "suppressions"]

ID: Final = re.compile(r"[0-9a-f]{64}")
LARGEST: Final = 8 * 1024  # bytes of a body
NO_STORE: Final = {"Cache-Control": "no-store"}
BY_KEY: Final = "key"

# What is asked, by whom: the operator's application id, or BY_KEY.
Handler = Callable[[Services, func.HttpRequest, str], Awaitable[func.HttpResponse]]


async def suppressions(req: func.HttpRequest) -> func.HttpResponse:
    return length_required(req, "suppressions") or _too_long(req) or await _by_token(req, _all)


async def suppression(req: func.HttpRequest) -> func.HttpResponse:
    return await _by_token(req, _one)


async def operator_suppressions(req: func.HttpRequest) -> func.HttpResponse:
    return length_required(req, "operator_suppressions") or _too_long(req) or await _by_key(req, _all)


async def operator_suppression(req: func.HttpRequest) -> func.HttpResponse:
    return await _by_key(req, _one)


def _too_long(req: func.HttpRequest) -> func.HttpResponse | None:
    return problem(413, f"The body has more than {LARGEST} bytes.") if len(req.get_body()) > LARGEST else None


async def _by_key(req: func.HttpRequest, handler: Handler) -> func.HttpResponse:
    return key_refused(services().settings) or await _answer(req, handler, BY_KEY)


async def _by_token(req: func.HttpRequest, handler: Handler) -> func.HttpResponse:
    app = services()
    if app.settings.problems:
        return problem(503, settings_refused(app.settings.problems))
    try:
        caller = await authenticated(app, req)
    except KeysUnavailable:
        return unavailable("The tenant's signing keys cannot be fetched.", "KeysUnavailable")
    except Refused as refusal:
        report_refused(refusal)
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return problem(refusal.status, str(refusal), challenge if isinstance(refusal, Unauthenticated) else None)
    if not operates(caller, app.settings):
        return problem(403, f"Only operators can see or change the suppression list. {NO_OPERATOR}")
    return await _answer(req, handler, caller.application_id)


async def _answer(req: func.HttpRequest, handler: Handler, by: str) -> func.HttpResponse:
    app = services()
    if app.settings.problems:
        return problem(503, settings_refused(app.settings.problems))
    from azure.core.exceptions import AzureError

    try:
        return await handler(app, req, by)
    except AzureError:
        return unavailable("Mailroom's storage cannot be reached.", "ServiceUnavailable")


async def _all(app: Services, req: func.HttpRequest, by: str) -> func.HttpResponse:
    return await (_add(app, req, by) if req.method == "POST" else _list(app, req))


async def _list(app: Services, req: func.HttpRequest) -> func.HttpResponse:
    most = top_of(req)
    if most is None:
        return problem(400, WRONG_TOP)
    try:
        entries, after = await app.suppressions.store.page(most, req.params.get("after"))
    except ValueError:
        return problem(400, WRONG_AFTER)
    body: dict[str, object] = {"suppressions": [_shown(entry) for entry in entries]}
    return json_answer(200, body | ({"next": after} if after else {}), NO_STORE)


async def _add(app: Services, req: func.HttpRequest, by: str) -> func.HttpResponse:
    from shared.policy.suppression_list import Entry, entry_id

    try:
        body = msgspec.convert(read_json(req.get_body()), NewSuppression)
    except (Malformed, msgspec.ValidationError) as error:
        return problem(400, f'Expected {{"address": "…", "reason": "…"}}. {error}')
    try:
        address = checked(body.address)
    except ValueError as error:
        return problem(400, f"Found no mail address at `$.address`. {error}")
    entry = Entry(
        id=entry_id(address),
        address=address,
        reason=body.reason,
        added_by=by,
        added_at=datetime.now(UTC),
    )
    there = await app.suppressions.store.add(entry)
    app.suppressions.forget()
    if there is not None:
        return json_answer(200, _shown(there), NO_STORE)
    emit(LogEvent.SUPPRESSION_CHANGED, change="added", by=by)
    path = "suppressions" if by != BY_KEY else "operator/suppressions"
    return json_answer(201, _shown(entry), {**NO_STORE, "Location": f"/api/{path}/{entry.id}"})


async def _one(app: Services, req: func.HttpRequest, by: str) -> func.HttpResponse:
    given = req.route_params["id"]
    store = app.suppressions.store
    entry = await store.get(given) if ID.fullmatch(given) else None
    if entry is None:
        return problem(
            404,
            "There is no such entry. Its id is the SHA-256 of the address in lower case, its domain in A-labels.",
        )
    if req.method == "GET":
        return json_answer(200, _shown(entry), NO_STORE)
    if await store.remove(entry.id):
        emit(LogEvent.SUPPRESSION_CHANGED, change="removed", by=by)
    app.suppressions.forget()
    return func.HttpResponse(b"", status_code=204)


def _shown(entry: "Entry") -> dict[str, object]:
    return {
        "id": entry.id,
        "address": entry.address,
        "reason": entry.reason,
        "addedBy": entry.added_by,
        "addedAt": entry.added_at.isoformat().replace("+00:00", "Z"),
    }
