"""No caller sends more a minute than it was given, and no mailbox more than it may: on one host, and on several.

The rules are in tests/ratelimit, for several instances too. `make proof` runs several hosts.
"""

import time
import uuid
from contextlib import ExitStack

import pytest

from sandbox.cloud.directory import OTHER_CALLER_CLIENT_ID
from tests.azurite import azurite
from tests.e2e.running import RATE, UNPACED, Sandbox, beside, eventually, titled


def test_a_caller_over_its_rate_is_told_when_to_come_again_and_a_repeated_key_costs_nothing(sandbox: Sandbox) -> None:
    token, key = sandbox.token(client_id=OTHER_CALLER_CLIENT_ID), str(uuid.uuid4())
    for _ in range(RATE * 2):
        assert sandbox.send(titled("one"), token=token, Idempotency_Key=key).headers["mailroom-state"] == "sent"
    for number in range(RATE - 1):
        assert sandbox.send(titled(f"more {number}"), token=token).status_code == 202
    for options in ({}, {"Prefer": "respond-async"}):
        refused = sandbox.send(titled("too many"), token=token, **options)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "TooManyRequests")
        assert 1 <= int(refused.headers["retry-after"]) <= 60 / RATE + 1
        assert "location" not in refused.headers
    assert len(sandbox.accepted()) == RATE
    # A user of the same application is counted with it.
    users = sandbox.token(client_id=OTHER_CALLER_CLIENT_ID, grant_type="password", username=sandbox.sender)
    path = f"users/{sandbox.facts['sender_oid']}/sendMail"
    assert sandbox.send(titled("mine"), token=users, path=path).status_code == 429


@pytest.mark.proof
def test_hosts_share_a_mailboxs_rate_and_what_one_of_them_is_told_by_a_429(sandbox: Sandbox) -> None:
    """At 60 a minute, ten at once and then one a second, however many hosts there are."""
    with azurite() as (storage, _), ExitStack() as stack:
        settings = {**UNPACED, "AzureWebJobsStorage": storage, "MAIL_RATE_PER_MINUTE": "60"}
        first, second = (stack.enter_context(beside(sandbox, **settings)) for _ in range(2))
        began = time.monotonic()
        for number in range(14):
            first.queue(titled(f"mail {number}"))
        eventually(lambda: len(first.accepted()) >= 8, 30)
        assert len(first.accepted()) <= 10 + (time.monotonic() - began) + 1
        eventually(lambda: len(first.accepted()) == 14, 60)
        assert second.send(titled("warm")).status_code == 202
        eventually(lambda: len(first.accepted()) == 15)
        time.sleep(1)
        first.fault(kind="throttle", count=1, retry_after="8")
        began = time.monotonic()
        assert first.send(titled("throttled")).headers["mailroom-state"] == "accepted"
        time.sleep(5.5)  # what others know of it is five seconds old at the most
        before = first.requests()
        answer = second.send(titled("of the other"))
        if time.monotonic() - began < 7.5:
            assert answer.headers["mailroom-state"] == "accepted"
            assert first.requests() == before
        eventually(lambda: {"throttled", "of the other"} <= set(first.subjects()), 60)
