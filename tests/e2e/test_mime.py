"""Mail that comes as MIME, over HTTP as Graph takes it and by the queue: sent once, with its own bytes.

What the reader takes and refuses is in tests/mime.
"""

import base64
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from typing import Any

import httpx

from tests.e2e.running import Sandbox, eventually

BODY = "The new cafeteria is open.\r\n.\r\n\r\nTo: nobody@sandbox.example\r\n"


def mail(sandbox: Sandbox, subject: str, *headers: str, body: str = BODY, sender: str | None = None) -> bytes:
    to = "To: Fanny Downs <fannyd@contoso.onmicrosoft.com>"
    lines = [f"From: {sender or sandbox.sender}", to, f"Subject: {subject}", *headers]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()


def send(sandbox: Sandbox, mime: bytes, **options: Any) -> httpx.Response:
    return sandbox.send(base64.encodebytes(mime), Content_Type="text/plain", **options)


def queue(sandbox: Sandbox, mime: bytes, **properties: Any) -> str:
    return sandbox.queue({"mime": base64.b64encode(mime).decode()}, **properties)


def sent(sandbox: Sandbox, subject: str) -> dict[str, Any]:
    """The one mail with this subject, as Graph got it."""

    def there() -> list[dict[str, Any]]:
        return [one for one in sandbox.accepted() if f"Subject: {subject}\r\n" in (one["mime"] or "")]

    [found] = eventually(there)
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
    assert (answer.status_code, answer.content, answer.headers["mailroom-state"]) == (202, b"", "sent")
    [accepted] = sandbox.accepted()
    assert accepted["mime"].endswith(f"\r\n\r\n{body}")
    assert [copy["subject"] for copy in sandbox.sent_items()] == ["Lunch"]


def test_the_marker_and_our_message_id_are_added_and_nothing_else_changes(sandbox: Sandbox) -> None:
    mime = mail(sandbox, "as it came", "Message-ID: <mine@shop.example>", "X-Shop:  order   1 ", "Bcc: d@contoso.com")
    answer = send(sandbox, mime)
    outgoing = answer.headers["location"].rpartition("/")[2]
    ours = f"<{outgoing}@sandbox.example>"
    marker = f"x-mailroom-id: {outgoing}\r\nMessage-ID: {ours}\r\nx-mailroom-message-id: <mine@shop.example>\r\n"
    head, _, body = mime.decode().replace("Message-ID: <mine@shop.example>\r\n", "").partition("\r\n\r\n")
    accepted = sent(sandbox, "as it came")
    assert accepted["mime"] == f"{head}\r\n{marker}References: <mine@shop.example>\r\n\r\n{body}"
    found = sandbox.sent_items(**{"$filter": f"internetMessageId eq '{ours}'"})
    assert [copy["subject"] for copy in found] == ["as it came"]


def test_a_large_mail_waits_in_a_blob_and_goes_byte_for_byte(sandbox: Sandbox) -> None:
    body = base64.encodebytes(bytes(range(256)) * 4_000).decode()
    mime = mail(sandbox, "1.4 MB", "Content-Transfer-Encoding: base64", body=body)
    answer = send(sandbox, mime, Prefer="respond-async")
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "accepted")
    assert sent(sandbox, "1.4 MB")["mime"].endswith(f"\r\n\r\n{body}")


def test_what_graph_took_without_saying_so_is_found_by_its_message_id(sandbox: Sandbox) -> None:
    sandbox.fault(kind="gateway_timeout", count=1)
    answer = send(sandbox, mail(sandbox, "taken"))
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "accepted")
    sandbox.ends(answer)
    [accepted] = sandbox.accepted()
    outgoing = answer.headers["location"].rpartition("/")[2]
    assert read(accepted)["Message-ID"] == f"<{outgoing}@sandbox.example>"
