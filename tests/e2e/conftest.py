import json
from collections.abc import Iterator

import pytest

from sandbox.cloud.directory import CALLER_CLIENT_ID, SENDER, SENDER_OID
from tests.e2e.running import NOBODY, Sandbox, running
from tests.mail.strategies import GUID

OTHER = "alerts@sandbox.example"
SENDERS = [SENDER, SENDER_OID, NOBODY, OTHER]


@pytest.fixture(scope="session")
def started() -> Iterator[Sandbox]:
    """One sandbox for all tests of a worker, without the mail client."""
    settings = {
        "MAIL_ALLOWED_SENDERS": " ".join(SENDERS),
        # So that what may have gone is looked at within seconds, not minutes.
        "MAIL_SEND_TIMEOUT": "2",
        "MAIL_LEASE_MARGIN": "1",
        "MAIL_VERIFY_DELAYS": "0.5 1 2",
        "MAIL_RATE_PER_MINUTE": "100000",
        "MAIL_SENDER_POOLS": json.dumps({"team": [SENDER, OTHER]}),
        "MAIL_EXTENDED_PROPERTIES": GUID,
        "MAIL_CALLERS": json.dumps({CALLER_CLIENT_ID: {"senders": SENDERS}}),
        "MAIL_SECRET_UPTIME_KUMA": "",  # this route is off
    }
    with running("--without", "mail", **settings) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(started: Sandbox) -> Sandbox:
    """The running sandbox, its mailboxes emptied and its faults taken away."""
    started.reset()
    return started
