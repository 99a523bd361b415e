"""The control endpoint: what tests and people ask of the emulator, and tell it.

On loopback, without authentication, and for no page of another origin (own_names.py).

GET    /_control/accepted?mailbox=…&marker=…   the mails accepted so far; &digests=true: files by their SHA-256 only
GET    /_control/drafts?mailbox=…             the drafts that lie in mailboxes, and how many upload sessions are open
GET    /_control/stats                        counts; in_flight_max: at one mailbox, over_limits: 429 by limit
GET    /_control/requests?id=…                the requests with this id in them; the setting `journal` has to be on
POST   /_control/reset                        forgets mail, counters, faults; {"all": true}: all that was set, too
GET, POST, DELETE  /_control/faults           {"kind", "on", "count" | "probability", …}, one or a list
GET, POST, DELETE  /_control/grants           {"mailbox", "sendAs"}
GET, POST          /_control/permissions      {"deny": ["sendMail" | "read" | "readwrite"], "mailbox"}
GET, POST          /_control/settings         fields of state.Settings
POST   /_control/mint                         {"claims", "headers", "version", "lifetime", "user"} → {"token"}
POST   /_control/rotate                       a new signing key → {"kid"}
"""

import base64
import dataclasses
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.cloud.directory import CALLER_CLIENT_ID
from sandbox.cloud.errors import Refusal
from sandbox.cloud.faults import Fault
from sandbox.cloud.state import Cloud, Settings
from sandbox.cloud.tokens import app_claims, user_claims

_PERMISSIONS = frozenset({"sendMail", "read", "readwrite"})


def _accepted(cloud: Cloud, request: Request, _: dict[str, Any]) -> Any:
    mailbox = request.query_params.get("mailbox", "").lower()
    marker = request.query_params.get("marker")
    found = [
        mail
        for mail in cloud.accepted
        if mailbox in {"", mail["mailbox"]} and (marker is None or marker.casefold() in _stamps(mail))
    ]
    return [_digested(mail) for mail in found] if request.query_params.get("digests") == "true" else found


def _drafts(cloud: Cloud, request: Request, _: dict[str, Any]) -> Any:
    mailbox = request.query_params.get("mailbox", "").lower()
    found = [item for item in cloud.mailboxes.drafts() if mailbox in {"", item.mailbox}]
    return {
        "drafts": [
            {
                "id": item.id,
                "mailbox": item.mailbox,
                "subject": item.message.get("subject"),
                "attachments": [attachment["name"] for attachment in item.message.get("attachments") or ()],
            }
            for item in found
        ],
        "uploads": len(cloud.uploads),
    }


def _stats(cloud: Cloud, _: Request, __: dict[str, Any]) -> Any:
    counted = cloud.throttling
    most = {"in_flight_max": counted.most_at_once, "in_flight_max_in_all": counted.most_in_all}
    return {**dataclasses.asdict(cloud.stats), **most, "over_limits": dict(counted.over)}


def _requests(cloud: Cloud, request: Request, _: dict[str, Any]) -> Any:
    return cloud.journal.of(request.query_params["id"])


def _reset(cloud: Cloud, request: Request, body: dict[str, Any]) -> Any:
    cloud.reset()
    if body.get("all") is True:
        cloud.directory.clear_grants()
        cloud.denied.clear()
        _apply(cloud, request.app.state.initial_settings)
    return {}


def _faults(cloud: Cloud, request: Request, body: Any) -> Any:
    if request.method == "DELETE":
        cloud.faults.clear()
    elif request.method == "POST":
        for fault in [Fault.from_json(value) for value in (body if isinstance(body, list) else [body])]:
            cloud.faults.add(fault)
    return cloud.faults.all()


def _grants(cloud: Cloud, request: Request, body: Any) -> Any:
    if request.method == "DELETE":
        cloud.directory.clear_grants()
    elif request.method == "POST":
        for grant in body if isinstance(body, list) else [body]:
            cloud.directory.grant(grant["mailbox"], grant["sendAs"])
    return cloud.directory.grants()


def _permissions(cloud: Cloud, request: Request, body: dict[str, Any]) -> Any:
    if request.method == "POST":
        denied = frozenset(body["deny"])
        if not denied <= _PERMISSIONS:
            raise ValueError(f"deny: found {sorted(denied)}, expected some of {', '.join(sorted(_PERMISSIONS))}.")
        mailbox = body.get("mailbox", "*")
        cloud.denied[mailbox if mailbox == "*" else cloud.directory.mailbox(mailbox)] = denied
    return {mailbox: sorted(denied) for mailbox, denied in cloud.denied.items()}


def _settings(cloud: Cloud, request: Request, body: dict[str, Any]) -> Any:
    if request.method == "POST":
        for name, value in body.items():
            known = getattr(cloud.settings, name)
            if type(value) is not type(known) and not (isinstance(known, float) and type(value) is int):
                raise ValueError(f"{name}: found {value!r}, expected a {type(known).__name__}.")
        _apply(cloud, dataclasses.replace(cloud.settings, **body))
    return dataclasses.asdict(cloud.settings)


def _mint(cloud: Cloud, _: Request, body: dict[str, Any]) -> Any:
    version, lifetime = str(body.get("version", "2")), int(body.get("lifetime", 3600))
    if "user" in body:
        address = cloud.directory.mailbox(body["user"])
        claims = user_claims(address, CALLER_CLIENT_ID, version=version, lifetime=lifetime)
    else:
        claims = app_claims(CALLER_CLIENT_ID, version=version, lifetime=lifetime)
    claims |= body.get("claims") or {}
    claims = {name: value for name, value in claims.items() if value is not None}
    return {"token": cloud.issuer.sign(claims, body.get("headers"))}


def _rotate(cloud: Cloud, _: Request, __: dict[str, Any]) -> Any:
    return {"kid": cloud.issuer.rotate()}


def _apply(cloud: Cloud, settings: Settings) -> None:
    cloud.settings = dataclasses.replace(settings)
    cloud.mailboxes.in_outbox = settings.in_outbox


def _stamps(mail: dict[str, Any]) -> set[str]:
    """The values of the mail's extended properties, and of the x-mailroom- headers of a MIME mail."""
    if mail["mime"] is not None:
        lines = (line.partition(":") for line in mail["mime"].splitlines())
        return {value.strip().casefold() for name, _, value in lines if name.lower().startswith("x-mailroom-")}
    properties = mail["message"].get("singleValueExtendedProperties") or ()
    return {prop["value"].casefold() for prop in properties}


def _digested(mail: dict[str, Any]) -> dict[str, Any]:
    """The mail with each file's size and SHA-256 in place of its content."""
    if mail["message"] is None:
        return mail
    attachments = [_digest(one) for one in mail["message"].get("attachments") or ()]
    return {**mail, "message": {**mail["message"], "attachments": attachments}}


def _digest(attachment: dict[str, Any]) -> dict[str, Any]:
    if "contentBytes" not in attachment:
        return attachment
    content = base64.b64decode(attachment["contentBytes"])
    rest = {name: value for name, value in attachment.items() if name != "contentBytes"}
    return {**rest, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _endpoint(handler: Callable[[Cloud, Request, Any], Any]) -> Callable[[Request], Awaitable[Response]]:
    """Reads the body as JSON (none is `{}`); what cannot be done is a 400 that says why."""

    async def endpoint(request: Request) -> Response:
        try:
            body = json.loads(await request.body() or b"{}")
            return JSONResponse(handler(request.app.state.cloud, request, body))
        except Refusal as refusal:
            return JSONResponse({"error": refusal.message}, 400)
        except (ValueError, TypeError, AttributeError, LookupError, jwt.PyJWTError, NotImplementedError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)

    return endpoint


ROUTES = [
    Route(f"/_control/{name}", _endpoint(handler), methods=methods)
    for name, handler, methods in (
        ("accepted", _accepted, ["GET"]),
        ("drafts", _drafts, ["GET"]),
        ("stats", _stats, ["GET"]),
        ("requests", _requests, ["GET"]),
        ("reset", _reset, ["POST"]),
        ("faults", _faults, ["GET", "POST", "DELETE"]),
        ("grants", _grants, ["GET", "POST", "DELETE"]),
        ("permissions", _permissions, ["GET", "POST"]),
        ("settings", _settings, ["GET", "POST"]),
        ("mint", _mint, ["POST"]),
        ("rotate", _rotate, ["POST"]),
    )
]
