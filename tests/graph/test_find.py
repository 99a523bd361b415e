"""One question to a mailbox: whether it holds a mail. What is no answer to that says so, and why."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

import pytest

from shared.graph import client
from shared.graph.client import GraphConnection
from shared.graph.outcome import Outcome, Rejected, Throttled, Unanswered, Unknown
from tests.graph.service import Service

if TYPE_CHECKING:
    from shared.graph.find import Found

BOX: Final = "mailroom@sandbox.example"
MARKER: Final = "String {b7a6f0de-6a3c-4a5e-9c51-0c4e0a4c1f10} Name Test"
MAIL: Final = "0" * 32
JSON: Final = {"Content-Type": "application/json"}
NOTHING: Final[dict[str, Any]] = {"body": b'{"value": []}', "headers": JSON}


async def found(connection: GraphConnection, newer_than: datetime | None = None, deadline: float = 5.0) -> "Found":
    from shared.graph.find import Marker, find_copy

    return await find_copy(connection, BOX, Marker(MARKER, MAIL), deadline, newer_than)


async def refused(connection: GraphConnection, newer_than: datetime | None = None) -> Rejected:
    answer = await found(connection, newer_than)
    assert isinstance(answer, Unanswered)
    assert isinstance(answer.outcome, Rejected)
    return answer.outcome


@pytest.mark.parametrize(
    ("items", "finding"),
    [
        (b'[{"isDraft": false}]', "sent"),
        (b'[{"isDraft": true}, {"isDraft": false}]', "sent"),
        (b'[{"isDraft": true}]', "waiting"),
        (b"[]", "absent"),
    ],
)
async def test_a_look_is_one_question_and_names_one_mark(
    service: Service, connection: GraphConnection, items: bytes, finding: "Found"
) -> None:
    """A second question is a second one to fail."""
    from shared.graph.find import MessageId, find_copy

    for _ in range(2):
        service.say(200, body=b'{"value": ' + items + b"}", headers=JSON)
    assert await found(connection) == finding
    assert await find_copy(connection, BOX, MessageId("<1@x>"), 5.0) == finding
    by_stamp, by_id = (unquote_plus(request.line) for request in service.requests)
    assert "internetMessageId eq '<1@x>'" in by_id
    assert "singleValueExtendedProperties" not in by_id
    assert f"ep/id eq '{MARKER}' and ep/value eq '{MAIL}'" in by_stamp
    assert "internetMessageId" not in by_stamp


@pytest.mark.parametrize(
    ("status", "answer", "outcome"),
    [
        (200, {"body": b"<html>"}, Unknown("status", 200)),
        (200, {"body": b"{}"}, Unknown("status", 200)),
        (302, {}, Unknown("status", 302)),
        (401, {}, Rejected(401, None, "permission")),
        (403, {}, Rejected(403, None, "permission")),
        (404, {}, Rejected(404, None, "permanent")),
        (429, {"headers": {"Retry-After": "7"}}, Throttled(7.0)),
        (503, {"headers": {"Retry-After": "9"}}, Unknown("status", 503, after=9.0)),
        (200, {**NOTHING, "cut": 20}, Unknown("connection")),
    ],
)
async def test_what_is_no_answer_has_the_outcome_that_it_would_have_for_a_mail(
    service: Service, connection: GraphConnection, status: int, answer: dict[str, Any], outcome: Outcome
) -> None:
    for _ in range(2):  # a GET whose connection breaks is asked for once more by aiohttp
        service.say(status, **answer)
    assert await found(connection) == Unanswered(outcome)


async def test_a_look_has_a_deadline(service: Service, connection: GraphConnection) -> None:
    service.say(200, **NOTHING, delay=5)
    assert await found(connection, deadline=0.3) == Unanswered(Unknown("timeout"))


@pytest.mark.parametrize("status", [401, 403])
async def test_what_refuses_a_token_is_asked_with_a_new_one_the_next_time(
    service: Service, connection: GraphConnection, status: int
) -> None:
    """The refusal says when its token was fetched, so that an old token's is told from a new one's."""
    for _ in range(2):
        service.say(status)
    first, second = await refused(connection), await refused(connection)
    assert [request.headers["authorization"] for request in service.requests] == ["Bearer token-1", "Bearer token-2"]
    assert first.token_at is not None
    assert second.token_at is not None
    assert first.token_at < second.token_at


async def test_a_process_whose_token_is_older_than_anothers_refusal_asks_for_a_new_one(
    service: Service, connection: GraphConnection
) -> None:
    service.say(200, **NOTHING)
    await found(connection)
    since = datetime.now(UTC)
    service.say(403)
    token_at = (await refused(connection, since)).token_at
    assert token_at is not None
    assert token_at > since
    assert len(service.identity_requests) == 2


async def test_a_new_token_is_asked_for_once_a_minute_at_most_and_an_old_one_is_not_called_new(
    service: Service, connection: GraphConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        service.say(403)
        last = await refused(connection, datetime.now(UTC) + timedelta(seconds=1))
    assert len(service.identity_requests) == 2
    assert last.token_at is not None
    assert last.token_at < datetime.now(UTC)
    monkeypatch.setattr(client, "RENEWAL_PAUSE", 0.0)
    connection._renew_from = 0.0
    service.say_identity(400)
    service.say(403)
    assert (await refused(connection)).token_at == last.token_at, "what was not to be had is not new"
