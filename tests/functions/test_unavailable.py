"""Whoever is answered 503 makes the event that the alert counts, and is told what can be done."""

import json
from collections.abc import Callable
from typing import Any, Final

import azure.functions as func
import pytest
from azure.core.exceptions import ServiceRequestError

from shared.app import App
from shared.auth.entra import Caller
from shared.auth.entra_keys import KeysUnavailable
from shared.delivery.request import Unavailable
from shared.functions import access, message_search, messages, send_mail, suppressions
from shared.settings.config import read
from shared.telemetry import LogEvent
from tests.delivery.samples import SENDER
from tests.functions.samples import answer_of, request
from tests.logged import said

APP: Final = "7b1e5c2a-0f7d-4c55-9d7e-5a0d0c10c001"
MAIL: Final = {
    "message": {"subject": "x", "toRecipients": [{"emailAddress": {"address": "a@b.example"}}]},
}
REFERENCE: Final = {"@odata.type": "#mailroom.blobAttachment", "name": "a", "blob": "mail-attachments/a"}


class Down:
    """Whatever is asked of it is away."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error or ServiceRequestError("away")

    def __getattr__(self, name: str) -> Any:
        return self

    async def __call__(self, *_: Any, **__: Any) -> Any:
        raise self.error


class MaybeSent:
    async def send_now(self, mail: Any) -> Unavailable:
        return Unavailable(maybe_sent=True)


def asked(path: str, body: Any = None, **headers: str) -> func.HttpRequest:
    names = {name.replace("_", "-"): text for name, text in headers.items()} | {"content-type": "application/json"}
    mail = SENDER if "sendMail" in path else "a" * 32
    return request("GET" if body is None else "POST", json.dumps(body).encode() if body else b"", names, id=mail)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, install: Callable[[App], App]) -> App:
    callers_setting = json.dumps({APP: {"senders": [SENDER], "attachments": ["mail-attachments"]}})
    environment = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "MAIL_ALLOWED_SENDERS": SENDER}
    app = App(read(environment | {"MAIL_CALLERS": callers_setting}))
    who = Caller(application_id=APP, tenant="t", roles=frozenset({"Mail.Send", "Mailroom.Operate"}))

    async def authenticated(*_: Any) -> Caller:
        return who

    for module in (access, send_mail):
        monkeypatch.setattr(module, "authenticated", authenticated)
    return install(app)


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(line["event"], line["code"]) for line in said(caplog)]


def keys_are_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> Caller:
        raise KeysUnavailable

    for module in (access, send_mail):
        monkeypatch.setattr(module, "authenticated", away)


async def test_a_mail_whose_files_cannot_be_read_since_storage_is_away(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    vars(app)["attachment_resolver"] = Down()
    mail = {"message": {**MAIL["message"], "attachments": [REFERENCE]}}
    answer = await send_mail.send_mail(asked("sendMail", mail))
    assert answer.status_code == 503
    assert told(caplog) == [(LogEvent.INTAKE_UNAVAILABLE, "ServiceUnavailable")]


@pytest.mark.parametrize(
    ("key", "advice"), [("k-1", "only with the same Idempotency-Key"), ("", "the URL in Location")]
)
async def test_a_mail_that_may_have_gone_unknown_to_storage(
    app: App, caplog: pytest.LogCaptureFixture, key: str, advice: str
) -> None:
    """Who gave no key cannot repeat it under one: it is told where to ask. client-request-id is none."""
    vars(app)["requests"] = MaybeSent()
    headers = {"client_request_id": "c-1"} | ({"idempotency_key": key} if key else {})
    answer = await send_mail.send_mail(asked("sendMail", MAIL, **headers))
    error = answer_of(answer)["error"]
    assert (answer.status_code, error["code"]) == (503, "UnknownOutcome")
    assert advice in error["message"]
    assert answer.headers["Location"].startswith("/api/messages/")
    assert told(caplog) == [(LogEvent.INTAKE_UNAVAILABLE, "UnknownOutcome")]


@pytest.mark.parametrize("what", ["sendMail", "messages", "suppressions"])
async def test_a_caller_whose_token_cannot_be_verified_since_keys_are_away(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    keys_are_away(monkeypatch)
    functions = {
        "sendMail": send_mail.send_mail,
        "messages": messages.message,
        "suppressions": suppressions.suppression,
    }
    answer = await functions[what](asked(what, MAIL if what == "sendMail" else None))
    assert answer.status_code == 503
    assert told(caplog) == [(LogEvent.INTAKE_UNAVAILABLE, "KeysUnavailable")]


@pytest.mark.parametrize("what", ["messages", "suppressions"])
async def test_a_question_that_storage_does_not_answer(app: App, caplog: pytest.LogCaptureFixture, what: str) -> None:
    vars(app)["engine"] = Down()
    vars(app)["suppressions"] = Down()
    functions = {"messages": message_search.messages, "suppressions": suppressions.suppressions}
    answer = await functions[what](asked(what))
    assert answer.status_code == 503
    assert told(caplog) == [(LogEvent.INTAKE_UNAVAILABLE, "ServiceUnavailable")]


def test_a_correlation_id_names_no_mail(app: App) -> None:
    """Two requests of one operation share it; each is a mail of its own."""
    caller = Caller(application_id=APP, tenant="t")
    ids = {
        send_mail._mail(asked("sendMail", MAIL, client_request_id="c-1"), caller, SENDER, app.settings).id
        for _ in range(2)
    }
    assert len(ids) == 2
    keyed = {
        send_mail._mail(asked("sendMail", MAIL, idempotency_key="k-1"), caller, SENDER, app.settings).id
        for _ in range(2)
    }
    assert len(keyed) == 1
