"""What a caller of sendMail is answered, and what its operator is told of it."""

import logging
from collections.abc import Callable
from typing import Any, Final

import azure.functions as func
import pytest

from shared.app import App
from shared.delivery.request import Answer, Done, Rejection, Spent, TooMany
from shared.delivery.transitions import Busy
from shared.functions import message_search, send_mail
from shared.functions.send_mail_answers import answered
from shared.graph.outcome import Rejected
from shared.settings.config import read
from tests.auth.test_entra import APPLICATION, OTHER, Entra, app_claims, bearer
from tests.functions.samples import ENVIRONMENT, SENDER, answer_of, request
from tests.functions.test_who import ask
from tests.logged import said

MAIL: Final = b'{"message": {"subject": "x", "toRecipients": [{"emailAddress": {"address": "a@b.example"}}]}}'
GRAPHS: Final = b'{"error": {"code": "ErrorInvalidRecipients", "message": "At least one recipient is not valid."}}'


class Recorder:
    """Which way a mail went."""

    def __init__(self) -> None:
        self.ways: list[str] = []

    async def accept(self, mail: Any) -> Done:
        self.ways.append("accept")
        return Done(mail.id, "accepted")

    async def send_now(self, mail: Any) -> Done:
        self.ways.append("send")
        return Done(mail.id, "sent")


@pytest.fixture
def app(install: Callable[[App], App]) -> App:
    made = install(App(read(ENVIRONMENT)))
    made.__dict__ |= {"verifier": Entra().verifier(), "requests": Recorder()}
    return made


def _answered(answer: Answer) -> func.HttpResponse:
    return answered(answer, "1" * 32, {}, later=False, keyed=True)


@pytest.mark.parametrize(
    ("prefer", "way"),
    [
        ("respond-async", "accept"),
        ("Respond-Async", "accept"),
        ("wait=10, RESPOND-ASYNC ", "accept"),
        ("respond-asynchronously", "send"),
        ("", "send"),
    ],
)
async def test_a_preference_counts_in_any_case_and_among_others(app: App, prefer: str, way: str) -> None:
    """RFC 7240, section 2."""
    headers = {"Content-Type": "application/json", "Authorization": bearer(app_claims()), "Prefer": prefer}
    answer = await send_mail.send_mail(request("POST", MAIL, headers, id=SENDER))
    assert answer.status_code == 202
    assert (app.requests.ways, "Preference-Applied" in answer.headers) == ([way], way == "accept")  # type: ignore[attr-defined]


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Idempotency-Key", "", 400),
        ("Idempotency-Key", "a" * 257, 400),
        ("Mailroom-Thread", "x" * 257, 400),
        ("Mailroom-Not-Before", "2026-07-01T08:00:00", 400),
        ("Content-Type", "text/html", 415),
        ("Content-Encoding", "gzip", 415),
    ],
)
async def test_a_header_that_cannot_be_taken_is_refused_by_its_name(header: str, value: str, status: int) -> None:
    headers = {"Content-Type": "application/json", "Authorization": bearer(app_claims()), header: value}
    answer = await send_mail.send_mail(request("POST", MAIL, headers, id=SENDER))
    assert (answer.status_code, header in answer_of(answer)["error"]["message"]) == (status, True)


@pytest.mark.parametrize(("seconds", "told"), [(-1, "1"), (0, "1"), (0.2, "1"), (1.0, "2"), (59.9, "60")])
@pytest.mark.parametrize("kind", [TooMany, Spent, Busy])
def test_nobody_is_told_to_come_again_too_early(kind: Callable[[float], Answer], seconds: float, told: str) -> None:
    """A client that is told 0 seconds asks in a loop."""
    assert _answered(kind(seconds)).headers["Retry-After"] == told


@pytest.mark.parametrize("body", [GRAPHS, None])
def test_graphs_refusal_is_the_callers_word_for_word(body: bytes | None) -> None:
    refused = Rejected(400, "ErrorInvalidRecipients", "permanent", "Not valid.", body=body, request_id="r")
    answer = _answered(Rejection("1" * 32, refused))
    assert (answer.status_code, answer.headers["request-id"]) == (400, "r")
    if body is not None:
        assert answer.get_body() == body
    else:  # Graph had no such words, or was not asked
        error = answer_of(answer)["error"]
        assert (error["code"], error["message"]) == ("ErrorInvalidRecipients", "Not valid.")


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("function", "token", "told"),
    [
        (send_mail.send_mail, None, (401, "InvalidAuthenticationToken", None)),
        (send_mail.send_mail, bearer(app_claims(azp=OTHER)), (403, "ErrorAccessDenied", OTHER)),
        (message_search.messages, None, (401, "InvalidAuthenticationToken", None)),
        (message_search.messages, bearer(app_claims()), (403, "ErrorAccessDenied", APPLICATION)),
    ],
)
async def test_a_caller_that_is_refused_is_reported(
    function: Any, token: str | None, told: tuple[Any, ...], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "mailroom"):
        assert (await ask(function, MAIL, token, id=SENDER)).status_code == told[0]
        assert (await ask(send_mail.send_mail, b"{", bearer(app_claims()), id=SENDER)).status_code == 400
    assert [(one["event"], one["status"], one["code"], one.get("application")) for one in said(caplog)] == [
        ("caller.refused", *told)
    ], "what is wrong with a mail is for its sender alone"
