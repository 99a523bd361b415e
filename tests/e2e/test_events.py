"""Events through the whole of it: webhooks and the queue `mail-events`, to mails that Graph has accepted."""

import hashlib
import hmac
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from tests.e2e.running import UNPACED, Sandbox, eventually, running

SECRET = "sandbox-secret"
SHOP = "https://github.com/contoso/shop"


def unique() -> str:
    """A word that no other mail has, and that is not left out of the mail, as ids and hashes are."""
    return uuid.uuid4().hex.translate(str.maketrans("0123456789", "ghijklmnop"))


def post(sandbox: Sandbox, route: str, body: Any, query: str = "", **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{sandbox.facts['host']}/api/events/{route}{query}"
    return sandbox.http.post(url, content=content, headers={"Content-Type": "application/json", **names})


def github(sandbox: Sandbox, body: dict[str, Any], event: str, delivery: str) -> httpx.Response:
    content = json.dumps(body).encode()
    signature = "sha256=" + hmac.new(SECRET.encode(), content, hashlib.sha256).hexdigest()
    headers = {"X_GitHub_Event": event, "X_GitHub_Delivery": delivery, "X_Hub_Signature_256": signature}
    return post(sandbox, "github", content, **headers)


def issue(title: str, action: str = "opened") -> dict[str, Any]:
    return {
        "action": action,
        "issue": {
            "number": 7,
            "title": title,
            "html_url": "https://github.com/contoso/shop/issues/7",
            "user": {"login": "a"},
        },
        "repository": {"full_name": "contoso/shop", "html_url": SHOP},
        "sender": {"login": "a"},
    }


def mails(sandbox: Sandbox, word: str) -> list[dict[str, Any]]:
    return [mail for mail in sandbox.accepted() if word in mail["message"].get("subject", "")]


def test_a_signed_webhook_becomes_one_mail_however_often_it_comes(sandbox: Sandbox) -> None:
    title, delivery = f"Checkout fails {uuid.uuid4()}", str(uuid.uuid4())
    with sandbox.carried():
        for _ in range(3):
            answer = github(sandbox, issue(title), "issues", delivery)
            assert (answer.status_code, answer.content) == (202, b"")
        (mail,) = eventually(lambda: mails(sandbox, title[:30]))
    message = mail["message"]
    assert message["toRecipients"][0]["emailAddress"]["address"] == "ops@example.com"
    assert message["body"]["contentType"].lower() == "html"
    assert "contoso/shop" in message["subject"]
    assert {"name": "X-Auto-Response-Suppress", "value": "All"} in message["internetMessageHeaders"]
    assert len(mails(sandbox, title[:30])) == 1


def test_a_group_of_thousands_of_alerts_is_one_mail_that_says_what_it_leaves_out(sandbox: Sandbox) -> None:
    name, alerts = f"NetworkDown{uuid.uuid4().hex}", 3_500
    labels = {"alertname": name, "cluster": "eu-1", "severity": "page"}
    firing = {
        "status": "firing",
        "annotations": {"description": "The node cannot be reached. " * 15},
        "startsAt": "2026-11-22T09:02:17.123Z",
    }
    many = [{**firing, "labels": {**labels, "instance": f"node-{n}:9100"}} for n in range(alerts)]
    body = {"version": "4", "groupKey": f"{{}}:{name}", "status": "firing", "groupLabels": {"alertname": name}}
    content = json.dumps({**body, "commonLabels": labels, "alerts": many}).encode()
    assert len(content) > 2 * 1024 * 1024, "more than other routes take"
    with sandbox.carried():
        answer = post(sandbox, "alertmanager", content, Authorization=f"Bearer {SECRET}")
        refused = post(sandbox, "alertmanager", b" " * (10 * 1024 * 1024 + 1), Authorization=f"Bearer {SECRET}")
        (mail,) = eventually(lambda: mails(sandbox, name))
    assert (answer.status_code, refused.status_code) == (200, 413)
    assert "10485760" in refused.json()["detail"]
    assert f"{alerts}" in mail["message"]["subject"]
    assert f"20 of {alerts:,} alerts are shown" in mail["message"]["body"]["content"]
    assert len(mail["message"]["body"]["content"]) < 100_000


def bodies(sandbox: Sandbox, word: str) -> list[str]:
    contents = [mail["message"]["body"]["content"] for mail in sandbox.accepted()]
    return [content for content in contents if word in content]


def test_a_forged_signature_an_unknown_route_and_a_body_that_is_no_json_send_nothing(sandbox: Sandbox) -> None:
    answer = post(sandbox, "github", issue("x"), X_GitHub_Event="issues", X_Hub_Signature_256="sha256=" + "0" * 64)
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert post(sandbox, "nothing", {}).status_code == 404
    answer = post(sandbox, "generic", b'{"a":', X_Api_Key=SECRET)
    assert (answer.status_code, "line 1" in answer.json()["detail"]) == (400, True)
    for secret, body, said_back in (("wrong", {"text": "x"}, (403, "invalid_token")), (SECRET, {}, (400, "no_text"))):
        answer = post(sandbox, "slack", body, f"?secret={secret}")
        assert (answer.status_code, answer.text) == said_back
    assert sandbox.requests() == 0


def test_any_json_becomes_a_mail_and_an_operator_sees_its_route(sandbox: Sandbox) -> None:
    word = unique()
    order = {"number": 12, "note": f"<b>{word}</b> {{{{ 7*7 }}}}"}
    answer = post(sandbox, "generic", {"order": order}, X_Api_Key=SECRET)
    assert answer.status_code == 202, answer.text
    [content] = eventually(lambda: bodies(sandbox, word))
    assert f"{word} {{{{ 7*7 }}}}" in content
    mail = answer.headers["location"].rpartition("/")[2]
    eventually(lambda: sandbox.operator("GET", f"/{mail}").json().get("route") == "generic")


def cloud_event(word: str) -> CloudEvent:
    return CloudEvent({"id": word, "source": "/orders", "type": "order.paid", "specversion": "1.0"}, {"word": word})


def test_the_official_cloudevents_sdk_sends_binary_structured_and_batch(sandbox: Sandbox) -> None:
    """And a batch that is sent twice, as by a sender that has lost the answer, is mailed once: each of its events."""
    words = [unique() for _ in range(22)]
    url = f"{sandbox.facts['host']}/api/events/cloudevents"
    authorization = {"Authorization": f"Bearer {SECRET}"}
    batch = b"[%b]" % b",".join(JSONFormat().write(cloud_event(word)) for word in words[2:])
    kind = {"Content-Type": "application/cloudevents-batch+json"}
    events = [to_binary_event(cloud_event(words[0])), to_structured_event(cloud_event(words[1]))]
    with sandbox.carried():
        for _ in range(2):
            for event in events:
                answer = sandbox.http.post(url, content=event.body, headers={**event.headers, **authorization})
                assert answer.status_code == 202, answer.text
            assert sandbox.http.post(url, content=batch, headers={**kind, **authorization}).status_code == 202
        eventually(lambda: set(arrived(sandbox, words)) == set(words), 40)
    assert sorted(arrived(sandbox, words)) == sorted(words)


def arrived(sandbox: Sandbox, words: list[str]) -> list[str]:
    """Which of these words have arrived, each as often as it has."""
    contents = [mail["message"]["body"]["content"] for mail in sandbox.accepted()]
    return [word for word in words for content in contents if word in content]


def test_a_producer_puts_events_into_the_queue_in_both_shapes(sandbox: Sandbox) -> None:
    words = [unique() for _ in range(3)]
    envelope = {
        "specversion": "1.0",
        "id": words[1],
        "source": "/orders",
        "type": "order.paid",
        "mailroomroute": "generic",
        "data": {"word": words[1]},
    }
    payload = {"route": "github", "headers": {"X-GitHub-Event": "issues"}, "id": words[2], "data": issue(words[2])}
    with sandbox.carried():
        sandbox.put("mail-events", json.dumps({"route": "generic", "id": words[0], "data": {"word": words[0]}}))
        for _ in range(2):
            sandbox.put("mail-events", json.dumps(envelope))
        sandbox.put("mail-events", json.dumps(payload))
        eventually(lambda: set(arrived(sandbox, words)) == set(words))
    assert sorted(arrived(sandbox, words)) == sorted(words)


@pytest.mark.proof
def test_while_graph_hangs_for_thirty_seconds_a_webhook_is_answered_within_three_and_a_half_and_mailed_once() -> None:
    words = [unique() for _ in range(8)]
    with running("--without", "mail", MAIL_SEND_TIMEOUT="40", **UNPACED) as hanging:
        post(hanging, "generic", {"title": unique()}, x_api_key=SECRET)  # the first one starts everything
        hanging.fault(kind="slow", on="send", probability=1.0, seconds=30)

        def answered(word: str) -> float:
            begun = time.monotonic()
            assert post(hanging, "generic", {"title": word}, x_api_key=SECRET).status_code == 202
            return time.monotonic() - begun

        with ThreadPoolExecutor(len(words)) as senders:
            took = max(senders.map(answered, words))
        assert 2.5 < took < 3.5, "otherwise Graph did not hang"
        hanging.http.delete(f"{hanging.facts['control']}/faults")
        eventually(lambda: all(mails(hanging, word) for word in words), 90)
        time.sleep(10)  # no copy follows
        assert [len(mails(hanging, word)) for word in words] == [1] * len(words)
