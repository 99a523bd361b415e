"""The example of Microsoft's page works against Mailroom, by each of its paths."""

import pytest

from tests.e2e.running import EXAMPLE, Sandbox


def test_the_example_as_it_stands_is_sent_as_me(sandbox: Sandbox) -> None:
    answer = sandbox.send(EXAMPLE, token=sandbox.delegated(), path="me/sendMail")
    assert (answer.status_code, answer.content) == (202, b"")
    assert answer.headers["mailroom-state"] == "sent"
    [mail] = sandbox.accepted()
    assert mail["message"]["subject"] == "Meet for lunch?"
    assert [to["emailAddress"]["address"] for to in mail["message"]["toRecipients"]] == [
        "fannyd@contoso.onmicrosoft.com"
    ]
    assert [cc["emailAddress"]["address"] for cc in mail["message"]["ccRecipients"]] == [
        "danas@contoso.onmicrosoft.com"
    ]


def test_the_same_body_is_sent_as_a_user(sandbox: Sandbox) -> None:
    assert sandbox.send(EXAMPLE).status_code == 202
    assert sandbox.subjects() == ["Meet for lunch?"]


@pytest.mark.parametrize("action", ["microsoft.graph.sendMail", "microsoft.graph.SendMail", "SENDMAIL"])
def test_older_sdks_call_the_same_action_by_its_qualified_name(sandbox: Sandbox, action: str) -> None:
    """In any case. A key is the mail's under every name of the action."""
    answer = sandbox.send(EXAMPLE, path=f"users/{sandbox.sender}/{action}", Idempotency_Key=f"named {action}")
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "sent")
    assert sandbox.send(EXAMPLE, Idempotency_Key=f"named {action}").headers["location"] == answer.headers["location"]
    assert sandbox.send(EXAMPLE, token=sandbox.delegated(), path=f"me/{action}").status_code == 202
    assert sandbox.subjects() == ["Meet for lunch?"] * 2


@pytest.mark.parametrize(
    "path",
    [
        "users('{sender}')/sendMail",
        "users/{sender}/sendMail()",
        "users/{sender}/graph.sendMail",
        "users/{sender}/microsoft.graph.sendMail/",
        "users//{sender}/sendMail",
        "$batch",
    ],
)
def test_spellings_that_no_client_of_sendmail_has_are_not_found(sandbox: Sandbox, path: str) -> None:
    """But for a slash in the end, which the host takes from any path."""
    answer = sandbox.send(EXAMPLE, path=path.format(sender=sandbox.sender))
    assert answer.status_code == (202 if path.endswith("/") else 404)


def test_save_to_sent_items_as_a_string_keeps_no_copy(sandbox: Sandbox) -> None:
    sandbox.send(EXAMPLE)
    assert [mail["saveToSentItems"] for mail in sandbox.accepted()] == [False]
    assert sandbox.sent_items() == []


def test_without_save_to_sent_items_the_copy_is_kept_and_found_by_its_marker(sandbox: Sandbox) -> None:
    sandbox.send({"message": EXAMPLE["message"]})
    [mail] = sandbox.accepted()
    [marker] = mail["message"]["singleValueExtendedProperties"]
    match = f"singleValueExtendedProperties/Any(ep: ep/id eq '{marker['id']}' and ep/value eq '{marker['value']}')"
    assert [copy["subject"] for copy in sandbox.sent_items(**{"$filter": match})] == ["Meet for lunch?"]
    headers = {header["name"]: header["value"] for header in mail["message"]["internetMessageHeaders"]}
    assert headers == {"x-mailroom-id": marker["value"]}


def test_me_needs_a_delegated_token(sandbox: Sandbox) -> None:
    answer = sandbox.send(EXAMPLE, path="me/sendMail")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "/me request is only valid with delegated authentication flow."
    assert sandbox.requests() == 0


def test_answers_name_the_request_as_graph_does(sandbox: Sandbox) -> None:
    answer = sandbox.send(EXAMPLE, client_request_id="7b2cd1a3-0000-4000-8000-000000000001")
    assert answer.headers["client-request-id"] == "7b2cd1a3-0000-4000-8000-000000000001"
    [mail] = sandbox.accepted()
    assert answer.headers["request-id"] == mail["requestId"]
