"""A POST that came with Transfer-Encoding and without its body: 411 before anything else is asked about it.

Azure's host hands a function only bodies whose length was given. What is left of another request has no right signature
and is no mail, and a sender that is told so looks for the fault in the wrong place.
"""

from collections.abc import Iterator

import azure.functions as func
import pytest

from shared.app import current_app
from tests.functions.samples import answer_of, request
from tests.indexed import indexed
from tests.logged import said

PROBLEMS = (
    "message_replay", "operator_message_replay", "message_retry", "operator_message_retry", "suppressions",
    "operator_suppressions",
)  # fmt: skip


async def answered(name: str, asked: func.HttpRequest) -> func.HttpResponse:
    answer: func.HttpResponse = await indexed()[name].get_user_function()(asked)
    return answer


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is set, so everything that is asked after the body answers 503."""
    monkeypatch.delenv("AzureWebJobsStorage", raising=False)
    current_app.cache_clear()
    yield
    current_app.cache_clear()


def post(body: bytes = b"", route: str = "github", method: str = "POST", **headers: str) -> func.HttpRequest:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return request(method, body, names, id="0" * 32, route=route)


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "gzip, chunked"])
@pytest.mark.parametrize("name", PROBLEMS)
async def test_it_is_a_problem_with_the_reason(name: str, coding: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = await answered(name, post(Transfer_Encoding=coding))
    body = answer_of(answer)
    assert (answer.status_code, body["status"], answer.mimetype) == (411, 411, "application/problem+json")
    assert "Content-Length" in body["detail"]
    assert said(caplog) == [{"event": "request.body-lost", "function": name, "count": 1}]


@pytest.mark.parametrize("name", ["send_mail", "send_my_mail"])
async def test_from_send_mail_it_is_graphs_error(name: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = await answered(name, post(Transfer_Encoding="chunked", client_request_id="mine"))
    error = answer_of(answer)["error"]
    assert (answer.status_code, error["code"]) == (411, "LengthRequired")
    assert "Content-Length" in error["message"]
    assert error["innerError"]["client-request-id"] == answer.headers["client-request-id"] == "mine"
    assert f'"function":"{name}"' in caplog.text


async def test_a_webhook_is_told_before_its_signature_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The same for every name; a name that is no route's is not written into the log."""
    monkeypatch.setenv("AzureWebJobsStorage", "UseDevelopmentStorage=true")
    for route in ("github", "someone@contoso.com"):
        answer = await answered("events", post(route=route, Transfer_Encoding="chunked"))
        assert (answer.status_code, answer_of(answer)["status"]) == (411, 411)
    assert '"event":"request.body-lost","function":"events","route":"github"' in caplog.text
    assert "contoso" not in caplog.text


@pytest.mark.parametrize(
    "asked",
    [
        post(b"{}", Transfer_Encoding="chunked"),  # of a platform that does hand it on
        post(),
        post(Content_Length="0"),
        post(method="GET", Transfer_Encoding="chunked"),
    ],
)
@pytest.mark.parametrize("name", ["suppressions", "operator_suppressions", "send_my_mail"])
async def test_any_other_request_goes_on(name: str, asked: func.HttpRequest) -> None:
    assert (await answered(name, asked)).status_code == 503
