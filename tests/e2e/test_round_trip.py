"""Whole messages over HTTP to Graph: what went in is what Graph received, but for the normalisation and the marker."""

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from sandbox.cloud.directory import SENDER
from shared.mail.marker import MARKER_HEADER, MARKER_PROPERTY
from tests.e2e.running import Sandbox, eventually
from tests.mail.strategies import GUID, as_sent, bodies

Json = dict[str, Any]

NEW_YEAR = "2026-01-01T00:00:00Z"
TO = [{"emailAddress": {"address": "fannyd@sandbox.example", "name": "2026-01-01"}}]
ALL_DATES: Json = {
    "message": {
        "subject": NEW_YEAR,
        "body": {"contentType": "Text", "content": NEW_YEAR},
        "toRecipients": TO,
        "categories": ["2026-01-01"],
        "internetMessageHeaders": [{"name": "x-due", "value": NEW_YEAR}],
        "singleValueExtendedProperties": [
            {"id": f"String {{{GUID}}} Name Due", "value": NEW_YEAR},
            {"id": "SystemTime 0x3FEF", "value": NEW_YEAR},
        ],
        "multiValueExtendedProperties": [
            {"id": f"StringArray {{{GUID}}} Name Dues", "value": [NEW_YEAR, "2026-W01-1"]}
        ],
    }
}
FIVE_HEADERS: Json = {
    "message": {
        "toRecipients": TO,
        "internetMessageHeaders": [{"name": f"x-{number}", "value": "12:00:00"} for number in range(5)],
    }
}


@pytest.fixture(scope="module")
def token(started: Sandbox) -> str:
    return started.token()


def for_graph(body: Json) -> Json:
    """A generated body as one that Graph takes, whose rules are stricter than those of JSON; from the sender only."""
    [name] = [name for name in body if name.lower() == "message"]
    message = _acceptable(body[name])
    for whose in ("from", "sender"):
        if message.get(whose):
            message[whose]["emailAddress"] |= {"address": SENDER}
    return body | {name: message}


@settings(
    max_examples=15,
    derandomize=True,
    database=None,
    deadline=None,
    # The sandbox is the same for all examples: each mail is found by a marker of its own.
    suppress_health_check=list(HealthCheck),
)
@given(body=bodies().map(for_graph))
@example(body=ALL_DATES)
@example(body=FIVE_HEADERS)
def test_a_mail_arrives_as_it_was_written_but_for_the_normalisation_and_the_marker(
    started: Sandbox, token: str, body: Json
) -> None:
    """The normalisation is that of shared.mail.model. The marker is a property, and a header where there is room."""
    answer = started.send(body, token=token)
    assert answer.status_code == 202, answer.text
    query = {"marker": answer.headers["location"].rpartition("/")[2]}

    [accepted] = eventually(lambda: started.http.get(f"{started.facts['control']}/accepted", params=query).json())

    expected = as_sent(body)
    assert accepted["message"] == with_marker(expected["Message"], query["marker"])
    assert accepted["saveToSentItems"] == expected["SaveToSentItems"]
    assert accepted["mailbox"] == started.sender


def with_marker(message: Json, mail: str) -> Json:
    headers = message.get("internetMessageHeaders", [])
    if len(headers) < 5:
        headers = [*headers, {"name": MARKER_HEADER, "value": mail}]
    properties = [*message.get("singleValueExtendedProperties", []), {"id": MARKER_PROPERTY, "value": mail}]
    return message | {"internetMessageHeaders": headers, "singleValueExtendedProperties": properties}


def _acceptable(value: Any, name: str = "") -> Any:
    """With a dot in every domain, and every extended property of a type that takes any text."""
    match value:
        case dict():
            return {key: _acceptable(there, key if key != "id" else f"{name}.id") for key, there in value.items()}
        case list():
            return [_acceptable(item, name) for item in value]
        case str() if name == "address" and "." not in value.rpartition("@")[2]:
            return f"{value}.example"
        case str() if name == "singleValueExtendedProperties.id" and not value.startswith("String "):
            return f"String {{{GUID}}} Name {value}"
        case str() if name == "multiValueExtendedProperties.id":
            return f"StringArray {{{GUID}}} Name {value}"
        case _:
            return value
