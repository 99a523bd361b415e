"""Logs and answers are searched for every address, subject, body and token that the tests here use.

The search itself is in running.py: it is made of every answer at once, and of a sandbox's log when it ends. What
these tests hold is that it finds what there is to find. For spans see tests/graph/test_send.py.
"""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.data.tables import TableServiceClient

from tests.e2e.running import EXAMPLE, Sandbox, beside, eventually, titled
from tests.e2e.secrecy import TABLES, Leaked, Secrecy

LEAKY = Path(__file__).parent / "apps" / "leaky"


def heard(body: Any, **headers: str) -> Secrecy:
    secrecy = Secrecy()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    secrecy.heard(
        httpx.Request(
            "POST", "http://x/api/users/boss@contoso.com?code=a-function-key", content=content, headers=headers
        )
    )
    return secrecy


@pytest.mark.parametrize(
    "text",
    [
        "to fannyd@contoso.onmicrosoft.com",
        "to DANAS@contoso.onmicrosoft.com",
        "/users/danas%40contoso.onmicrosoft.com/sendMail",
        "about 'Grüße aus Köln'",
        json.dumps({"about": "Grüße aus Köln"}),
        "the new cafeteria is open.",
        "boss@contoso.com",
        "code=a-function-key",
        "Bearer aaaa.bbbbbbbbbbbbbbb.cccccccc",
    ],
)
def test_what_was_sent_is_found_however_it_is_written(text: str) -> None:
    secrecy = heard(titled("Grüße aus Köln"), authorization="Bearer aaaa.bbbbbbbbbbbbbbb.cccccccc")
    with pytest.raises(Leaked):
        secrecy.look_into_log(f"2026-07-01 12:00:00,000 INFO mailroom: {text}\n")


def test_messages_of_queues_and_events_are_known_too() -> None:
    secrecy = Secrecy()
    secrecy.carried(base64.b64encode(json.dumps(EXAMPLE).encode()))
    secrecy.carried(b'{"alerts": [{"annotations": {"summary": "db-1 has 2 % left"}}]}')
    for text in ("fannyd@contoso.onmicrosoft.com", "db-1 has 2 % left"):
        with pytest.raises(Leaked):
            secrecy.look(text, "here")


def test_what_may_be_said_is_no_leak() -> None:
    line = '{"event":"mail.sent","id":"0123456789abcdef0123456789abcdef","status":202,"code":"ErrorInvalidRecipients"}'
    heard(EXAMPLE).look(line, "here")


def leak(started: Sandbox) -> None:
    with beside(started, "--app", str(LEAKY)) as leaky:
        with pytest.raises(Leaked, match="an address in the answer 400"):
            leaky.send(titled("Answered with an address"))
        for subject in ("Logged where it is seen", "Requested with a token"):
            assert leaky.send(titled(subject)).status_code == 400


def test_what_an_app_leaks_is_found_in_its_answers_and_in_its_log(started: Sandbox) -> None:
    with pytest.raises(Leaked) as found:
        leak(started)
    for kind in ("a subject", "a token or secret"):
        assert f"{kind} in the log" in str(found.value)


def test_the_log_that_is_searched_is_the_hosts_with_all_that_it_says_in_azure(started: Sandbox) -> None:
    """What Mailroom says of a mail, and what others say from INFO on, but for the SDKs.

    The app keeps them quiet from its first invocation on; before that none of it uses them.
    """
    assert started.log is not None
    log = started.log
    before = len(log.read_text(errors="replace"))
    answer = started.send(titled("something to search for"))
    mail = answer.headers["location"].rpartition("/")[2]
    eventually(lambda: f'"event":"mail.sent","id":"{mail}"' in log.read_text(errors="replace"))
    said = log.read_text(errors="replace")
    assert " INFO uvicorn.error: " in said
    assert "azure.core.pipeline.policies.http_logging_policy" not in said[before:]
    assert "something to search for" in started.secrecy.words
    started.secrecy.look_into_log(said)


@pytest.mark.parametrize("table", sorted(TABLES))
def test_storage_may_name_a_sender_and_nobody_else(storage: str, table: str) -> None:
    secrecy = Secrecy()
    secrecy.addresses("sender@secrecy.example")
    entity = {"PartitionKey": "secrecy", "RowKey": "1", "mailbox": "sender@secrecy.example"}
    with TableServiceClient.from_connection_string(storage) as service:
        client = service.create_table_if_not_exists(table)
        try:
            client.upsert_entity(entity)
            secrecy.look_into_storage(storage)
            client.upsert_entity(entity | {"reason": "Found sender@secrecy.example."})
            with pytest.raises(Leaked, match=f"an address in the table {table}"):
                secrecy.look_into_storage(storage)
        finally:
            client.delete_entity("secrecy", "1")
