"""Mail that comes as MIME, over HTTP as Graph takes it and by the queue: sent once, with its own bytes."""

import base64
import json
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from typing import Any

import httpx
import pytest

from tests.e2e.running import EXAMPLE, Sandbox, eventually

BODY = "The new cafeteria is open.\r\n.\r\n\r\nTo: nobody@sandbox.example\r\n"


def mail(sandbox: Sandbox, subject: str, *headers: str, body: str = BODY, sender: str | None = None) -> bytes:
    lines = [
        f"From: {sender or sandbox.sender}",
        "To: Fanny Downs <fannyd@contoso.onmicrosoft.com>",
        f"Subject: {subject}",
        *headers,
    ]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()


def send(sandbox: Sandbox, mime: bytes, **options: Any) -> httpx.Response:
    return sandbox.send(base64.encodebytes(mime), Content_Type="text/plain", **options)


def queue(sandbox: Sandbox, mime: bytes, **properties: Any) -> str:
    encoded = base64.b64encode(mime).decode()
    return sandbox.put("mail-outbox", json.dumps({"sender": sandbox.sender, "mime": encoded, **properties}))


def sent(sandbox: Sandbox, subject: str) -> dict[str, Any]:
    """The one mail with this subject, as Graph got it."""
    [found] = eventually(
        lambda: [one for one in sandbox.accepted() if f"Subject: {subject}\r\n" in (one["mime"] or "")]
    )
    return found


def read(mail: dict[str, Any]) -> EmailMessage:
    parsed = message_from_string(mail["mime"], policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_a_mail_in_the_form_of_microsofts_example_is_sent(sandbox: Sandbox) -> None:
    """Lines that end with LF, a header without blank, a semicolon too many, base64 in lines of 76 characters."""
    body = (
        '--_outer_\nContent-Type: multipart/alternative;\n\tboundary="_inner_"\n\n--_inner_\n'
        'Content-Type: text/plain; charset="iso-8859-1"\nContent-Transfer-Encoding: quoted-printable\n\nsoup\n\n'
        '--_inner_\nContent-Type: text/html; charset="iso-8859-1"\n\n<p>soup</p>\n\n--_inner_--\n\n--_outer_\n'
        'Content-Type: text/plain;\nContent-Disposition: attachment;\n        filename="menu.txt"\n\nsoup\n\n'
        "--_outer_--"
    )
    head = (
        f"From: Mailroom <{sandbox.sender}>\nTo: Fanny Downs <fannyd@contoso.onmicrosoft.com>\nSubject:Lunch\n"
        'Content-Type: multipart/mixed;\n\tboundary="_outer_"\nMIME-Version: 1.0\n\n'
    )
    answer = send(sandbox, (head + body).encode())
    assert (answer.status_code, answer.content) == (202, b"")
    assert answer.headers["mailroom-state"] == "sent"
    [accepted] = sandbox.accepted()
    assert accepted["mime"].endswith(f"\r\n\r\n{body}")
    assert [copy["subject"] for copy in sandbox.sent_items()] == ["Lunch"]


def test_the_marker_and_our_message_id_are_added_and_nothing_else_changes(sandbox: Sandbox) -> None:
    mime = mail(sandbox, "as it came", "Message-ID: <mine@shop.example>", "X-Shop:  order   1 ")
    answer = send(sandbox, mime)
    outgoing = answer.headers["location"].rpartition("/")[2]
    accepted = sent(sandbox, "as it came")
    ours = f"<{outgoing}@sandbox.example>"
    marker = f"x-mailroom-id: {outgoing}\r\nMessage-ID: {ours}\r\nx-mailroom-message-id: <mine@shop.example>\r\n"
    kept = mime.decode().replace("Message-ID: <mine@shop.example>\r\n", "")
    head, _, body = kept.partition("\r\n\r\n")
    assert accepted["mime"] == f"{head}\r\n{marker}References: <mine@shop.example>\r\n\r\n{body}"
    found = sandbox.sent_items(**{"$filter": f"internetMessageId eq '{ours}'"})
    assert [copy["subject"] for copy in found] == ["as it came"]


def test_a_mail_of_the_queue_is_sent(sandbox: Sandbox) -> None:
    queue(sandbox, mail(sandbox, "by queue as MIME"), thread="incident 7")
    accepted = sent(sandbox, "by queue as MIME")
    assert accepted["mime"].endswith(f"\r\n\r\n{BODY}")
    assert read(accepted)["Thread-Topic"] == "by queue as MIME"


def test_a_large_mail_waits_in_a_blob_and_goes_byte_for_byte(sandbox: Sandbox) -> None:
    body = base64.encodebytes(bytes(range(256)) * 4_000).decode()
    mime = mail(sandbox, "1.4 MB", "Content-Transfer-Encoding: base64", body=body)
    answer = send(sandbox, mime, Prefer="respond-async")
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "accepted")
    assert sent(sandbox, "1.4 MB")["mime"].endswith(f"\r\n\r\n{body}")


def test_a_mail_with_bcc_only_is_sent(sandbox: Sandbox) -> None:
    mime = f"From: {sandbox.sender}\nTo: undisclosed-recipients:;\nBcc: hidden@contoso.com\nSubject: x\n\nx".encode()
    assert send(sandbox, mime).status_code == 202
    [accepted] = sandbox.accepted()
    assert read(accepted)["Bcc"] == "hidden@contoso.com"


@pytest.mark.parametrize("kind", ["lost", "gateway_timeout", "throttle", "dropped", "unavailable"])
def test_it_goes_once_whatever_becomes_of_the_answer(sandbox: Sandbox, kind: str) -> None:
    """What Graph took without saying so is found by its Message-ID."""
    sandbox.fault(kind=kind, count=1)
    answer = send(sandbox, mail(sandbox, kind))
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "accepted")
    eventually(lambda: sandbox.message(answer).json()["state"] == "sent", 60)
    [accepted] = sandbox.accepted()
    outgoing = answer.headers["location"].rpartition("/")[2]
    assert read(accepted)["Message-ID"] == f"<{outgoing}@sandbox.example>"


def test_one_of_the_queue_goes_once_whatever_becomes_of_the_answer(sandbox: Sandbox) -> None:
    sandbox.fault(kind="lost", count=1)
    with sandbox.carried():
        queue(sandbox, mail(sandbox, "lost by queue"))
        sent(sandbox, "lost by queue")
    assert len(sandbox.accepted()) == 1


def test_a_key_names_the_bytes(sandbox: Sandbox) -> None:
    for _ in range(2):
        assert send(sandbox, mail(sandbox, "key"), Idempotency_Key="mime-1").status_code == 202
    assert send(sandbox, mail(sandbox, "key", body="other"), Idempotency_Key="mime-1").status_code == 422
    assert sandbox.send(EXAMPLE, Idempotency_Key="mime-1").status_code == 422
    assert len(sandbox.accepted()) == 1


def test_a_user_sends_as_its_own_mailbox_and_names_no_other(sandbox: Sandbox) -> None:
    token = sandbox.delegated()
    mime = b"To: fannyd@contoso.onmicrosoft.com\nSubject: mine\n\nx"
    assert send(sandbox, mime, token=token, path="me/sendMail").status_code == 202
    answer = send(sandbox, mail(sandbox, "not mine"), token=token, path="me/sendMail")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ErrorSendAsDenied")
    assert "at `From`" in answer.json()["error"]["message"]
    assert len(sandbox.accepted()) == 1


def test_a_mail_in_the_name_of_another_mailbox_is_refused_at_its_header(sandbox: Sandbox) -> None:
    answer = send(sandbox, mail(sandbox, "never", sender="boss@contoso.com"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ErrorSendAsDenied")
    assert "at `From`" in answer.json()["error"]["message"]
    assert sandbox.requests() == 0


TO = b"To: a@contoso.com\r\n"
MALFORMED: dict[str, tuple[bytes, int, str, str]] = {
    "no mail": (b"hello", 400, "ErrorMimeContentInvalid", "line 1"),
    "nobody": (b"Subject: x\r\n\r\n", 400, "ErrorMissingRecipients", ""),
    "two To": (TO + TO + b"\r\n", 400, "ErrorMimeContentInvalid", "To, line 2"),
    "no address": (b"To: a@contoso.com, Fanny\r\n\r\n", 400, "ErrorInvalidRecipients", "To, address 2"),
    "Resent-To": (TO + b"Resent-To: b@contoso.com\r\n\r\n", 400, "ErrorMimeContentInvalid", "Resent-To, line 2"),
    "a header in a header": (TO + b"Subject: x\rBcc: b@contoso.com\r\n\r\n", 400, "ErrorMimeContentInvalid", "line 2"),
    "the marker": (TO + b"x-mailroom-id: 1\r\n\r\n", 400, "ErrorMimeContentInvalid", "x-mailroom-id, line 2"),
    "no last boundary": (
        TO + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n",
        400,
        "ErrorMimeContentInvalid",
        "line 5",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_mail_is_refused_with_its_place(sandbox: Sandbox, name: str) -> None:
    mime, status, code, place = MALFORMED[name]
    answer = send(sandbox, mime)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert place in answer.json()["error"]["message"]
    known = set(sandbox.dead())
    queue(sandbox, mime)
    [kept] = eventually(lambda: set(sandbox.dead()) - known)
    assert sandbox.dead()[kept][0]["reason"] == code
    assert sandbox.requests() == 0


@pytest.mark.parametrize("body", [b"", b"Subject: hello", json.dumps(EXAMPLE).encode(), b"QUJD!"])
def test_what_is_no_base64_is_answered_in_graphs_own_words(sandbox: Sandbox, body: bytes) -> None:
    error = sandbox.send(body, Content_Type="text/plain").json()["error"]
    assert error["code"] == "ErrorMimeContentInvalidBase64String"
    assert error["message"] == "Invalid base64 string for MIME content. - at `$`"
    assert sandbox.requests() == 0


def test_what_does_not_fit_into_a_request_is_413(sandbox: Sandbox) -> None:
    answer = send(sandbox, mail(sandbox, "5 MB", body="x" * 5_000_000))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "RequestEntityTooLarge")
    assert sandbox.requests() == 0
