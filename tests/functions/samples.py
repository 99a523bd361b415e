"""Requests and messages as the platform hands them over, and an app on storage in memory."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import azure.functions as func
from azure.functions.queue import QueueMessage

from shared.app import App
from tests.auth.test_entra import APPLICATION, CLIENT, OTHER, PRINCIPAL, TENANT, USER
from tests.delivery.memory import MemoryFiles
from tests.delivery.samples import Office

SENDER = "mailroom@contoso.com"
ENVIRONMENT = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "MAIL_API_TENANT": TENANT,
    "MAIL_API_CLIENT_ID": CLIENT,
    "MAIL_CALLERS": json.dumps({APPLICATION: {"senders": [SENDER, USER, PRINCIPAL, "*@contoso.com"]}}),
    "MAIL_ALLOWED_SENDERS": f"{SENDER} {USER} a@contoso.com *@fabrikam.com",
    "MAIL_SENDER_POOLS": '{"team": ["a@contoso.com", "b@contoso.com"]}',
    "MAIL_OPERATOR_APPS": f"{OTHER.upper()}, {CLIENT}",
}


def request(
    method: str = "GET",
    body: bytes = b"",
    headers: Mapping[str, str | None] | None = None,
    params: Mapping[str, str] | None = None,
    **route: str,
) -> func.HttpRequest:
    """Without the headers whose value is None. route: parameters of the route."""
    given = {name: value for name, value in (headers or {}).items() if value is not None}
    return func.HttpRequest(
        method, "https://x.test/", headers=given, params=params or {}, route_params=route, body=body
    )


def answer_of(answer: func.HttpResponse) -> Any:
    return json.loads(answer.get_body())


def message(body: bytes = b"{}", inserted: datetime | None = None, name: str = "m-1") -> func.QueueMessage:
    return QueueMessage(id=name, body=body, insertion_time=inserted or datetime.now(UTC))


def equip(app: App, office: Office) -> None:
    """Make an app work on this office."""
    vars(app).update(outbox=office.outbox, engine=office.engine, files=MemoryFiles(office.outbox))
    for name in ("worker", "mailer", "attachment_resolver", "control"):
        vars(app).pop(name, None)
