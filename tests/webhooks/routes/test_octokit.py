"""GitHub's own example payloads, all of them, through the ready route: each a mail or a counted filter.

Every seventh is sent as a form.
"""

import hashlib
import hmac
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from shared.webhooks.rendering.mails import Renderer
from shared.webhooks.routing.catalog import BUILT_IN, load
from shared.webhooks.routing.compose import Composer
from shared.webhooks.sources.source import RawRequest
from tests.webhooks.routing.samples import NOW, settings

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "sandbox/node_modules/@octokit/webhooks-examples"
SECRET = "It's a Secret to Everybody"


def examples() -> list[tuple[str, dict[str, Any]]]:
    """Event and payload, of github.com and of every GitHub Enterprise Server; what two of them share once."""
    groups = [group for file in sorted(PACKAGE.glob("*/index.json")) for group in json.loads(file.read_text())]
    every = [(group["name"], payload) for group in groups for payload in group["examples"]]
    return list({(name, json.dumps(payload)): (name, payload) for name, payload in every}.values())


def test_every_payload_gives_a_mail_or_is_filtered_and_no_template_fails(caplog: pytest.LogCaptureFixture) -> None:
    route = load().routes["github"]
    composer = Composer(settings(), Renderer(BUILT_IN / "_layout"))
    found: Counter[str] = Counter()
    for number, (name, payload) in enumerate(examples()):
        kind = ("application/json", "application/x-www-form-urlencoded")[number % 7 == 0]
        text = json.dumps(payload)
        body = (urlencode({"payload": text}) if number % 7 == 0 else text).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "x-github-event": name,
            "x-github-delivery": str(number),
            "x-hub-signature-256": f"sha256={signature}",
            "content-type": kind,
        }
        request = RawRequest(body, headers)
        route.source.authenticate(request, ["another", SECRET], NOW)
        if route.source.handshake(request):
            found["handshake"] += 1
            continue
        (event,) = route.source.events(request)
        assert event.data == payload
        expected = f"{name}.{payload['action']}" if "action" in payload else name
        assert f"{event.type}.".startswith(f"{expected}.")
        if "repository" in payload:
            assert event.source == payload["repository"]["html_url"]
        if any(about in payload for about in ("issue", "pull_request", "discussion")):
            assert event.thread == f"{payload['repository']['full_name']}{(event.subject or '').split()[0]}"
        mail = composer.compose(route, event, NOW)
        found["mail" if mail else "filtered"] += 1
        if mail:
            subject = mail.request.message.subject
            assert subject
            assert len(subject) <= 255
            assert "None" not in subject, (name, subject)
            assert "\n" not in subject
            assert not re.fullmatch(r"(?:\[.*\] )?" + re.escape(event.type), subject, re.IGNORECASE), subject
            written = mail.request.message.body
            assert f">{event.type}</h1>" not in ((written.content if written else None) or "")
    assert sum(found.values()) > 300, found
    assert found["mail"] > 100, found
    assert found["filtered"] > 10, found
    assert not [record.message for record in caplog.records if "template.failed" in record.message]
