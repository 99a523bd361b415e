"""The suppression list over HTTP: operators list, add and remove addresses.

URLs are logged, so they never contain an address. The id of an entry is the SHA-256 of the address's canonical form
(mail/addresses.py).
"""

from datetime import UTC, datetime
from typing import Final

import azure.functions as func
import msgspec

from shared.app import App
from shared.auth.entra import NO_OPERATOR, Caller, operates
from shared.errors import Malformed, NotAllowed
from shared.functions.access import operable, page_size, wrong_after
from shared.functions.http_answers import NO_STORE, json_answer, problem, rfc_3339
from shared.mail.addresses import address_hash, checked
from shared.mail.outgoing import HASH
from shared.parsing.strict_json import read_json
from shared.policy.suppression import NewSuppression, SuppressedAddress
from shared.settings.config import Settings
from shared.telemetry import LogEvent, emit

LARGEST: Final = 8 * 1024  # bytes of a body
BY_KEY: Final = "key"


async def _all(app: App, req: func.HttpRequest, by: str) -> func.HttpResponse:
    """by: the operator's application id, or BY_KEY."""
    return await (_add(app, req, by) if req.method == "POST" else _list(app, req))


async def _list(app: App, req: func.HttpRequest) -> func.HttpResponse:
    most = page_size(req)
    try:
        entries, after = await app.suppressions.store.page(most, req.params.get("after"))
    except ValueError:
        return wrong_after()
    body: dict[str, object] = {"suppressions": [_shown(entry) for entry in entries]}
    return json_answer(200, body | ({"next": after} if after else {}), NO_STORE)


async def _add(app: App, req: func.HttpRequest, by: str) -> func.HttpResponse:
    try:
        body = msgspec.convert(read_json(req.get_body()), NewSuppression)
    except (Malformed, msgspec.ValidationError) as error:
        return problem(400, f'The body cannot be read, expected {{"address": "…", "reason": "…"}}. {error}')
    try:
        address = checked(body.address)
    except ValueError as error:
        return problem(400, f"`$.address` is not a mail address. {error}")
    entry = SuppressedAddress(
        id=address_hash(address), address=address, reason=body.reason, added_by=by, added_at=datetime.now(UTC)
    )
    there = await app.suppressions.store.add(entry)
    app.suppressions.forget()
    if there is not None:
        return json_answer(200, _shown(there), NO_STORE)
    emit(LogEvent.SUPPRESSION_CHANGED, change="added", by=by)
    path = "suppressions" if by != BY_KEY else "operator/suppressions"
    return json_answer(201, _shown(entry), {**NO_STORE, "Location": f"/api/{path}/{entry.id}"})


async def _one(app: App, req: func.HttpRequest, by: str) -> func.HttpResponse:
    given = req.route_params["id"]
    store = app.suppressions.store
    entry = await store.get(given) if HASH.fullmatch(given) else None
    if entry is None:
        detail = (
            "There is no such entry. An id is the SHA-256 of an address in lower case, with its domain in A-labels."
        )
        return problem(404, detail)
    if req.method == "GET":
        return json_answer(200, _shown(entry), NO_STORE)
    if await store.remove(entry.id):
        emit(LogEvent.SUPPRESSION_CHANGED, change="removed", by=by)
    app.suppressions.forget()
    return func.HttpResponse(b"", status_code=204)


def _operator(caller: Caller, settings: Settings) -> str:
    if not operates(caller, settings):
        raise NotAllowed(f"Only operators can see or change the suppression list. {NO_OPERATOR}")
    return caller.application_id


suppressions, operator_suppressions = operable("suppressions", _all, _operator, BY_KEY, LARGEST)
suppression, operator_suppression = operable("suppression", _one, _operator, BY_KEY)


def _shown(entry: SuppressedAddress) -> dict[str, object]:
    return {
        "id": entry.id,
        "address": entry.address,
        "reason": entry.reason,
        "addedBy": entry.added_by,
        "addedAt": rfc_3339(entry.added_at),
    }
