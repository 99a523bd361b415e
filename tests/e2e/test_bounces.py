"""A mail that comes back, from the request to the suppression list: what the collector decides is in tests/bounces."""

import json
import uuid
from typing import Any

from tests.e2e.running import Sandbox, eventually, titled
from tests.e2e.test_suppressions import ask, people


def test_a_mail_that_comes_back_is_told_of_and_its_recipient_is_mailed_no_more(sandbox: Sandbox) -> None:
    sandbox.clear("mail-results")
    gone = f"5.1.10+{uuid.uuid4().hex}@bounce.example"
    answer = sandbox.send(titled("to nobody", toRecipients=people(gone)))
    assert answer.headers["mailroom-state"] == "sent"
    key = {"x-functions-key": sandbox.facts["keys"]["master"]}
    ran = sandbox.http.post(f"{sandbox.facts['host']}/admin/functions/bounces", json={"input": ""}, headers=key)
    assert ran.status_code == 202

    def listed() -> list[dict[str, str]]:
        return [entry for entry in ask(sandbox, "GET").json()["suppressions"] if entry["address"] == gone]

    def told() -> list[dict[str, Any]]:
        return [event for event in map(json.loads, sandbox.waiting("mail-results")) if event["type"] == "mail.bounced"]

    (entry,) = eventually(listed)
    mail = answer.headers["location"].rpartition("/")[2]
    assert (entry["addedBy"], mail in entry["reason"]) == ("bounce", True)
    (event,) = eventually(told)
    assert (event["subject"], event["data"]["bounce"]["recipient"]) == (mail, entry["id"])
    (shown,) = sandbox.message(answer).json()["bounces"]
    assert (shown["recipient"], shown["code"]) == (entry["id"], "5.1.10")
    again = sandbox.send(titled("once more", toRecipients=people(gone), ccRecipients=[]))
    assert again.headers["mailroom-state"] == "suppressed"
