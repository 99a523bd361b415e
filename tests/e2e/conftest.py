import json
from collections.abc import Iterator

import pytest

from sandbox.cloud.directory import CALLER_CLIENT_ID, OTHER_CALLER_CLIENT_ID, SENDER, SENDER_OID
from tests.azurite import azurite
from tests.e2e.running import NOBODY, QUICK, RATE, Sandbox, bare_host, beside, running, titled
from tests.e2e.wrong import BROKEN, REGISTRATION, WRONG
from tests.mail.strategies import GUID

OTHER = "alerts@sandbox.example"
SENDERS = [SENDER, SENDER_OID, NOBODY, OTHER]
CALLERS = {
    CALLER_CLIENT_ID: {"senders": SENDERS, "attachments": ["reports/2026"]},
    OTHER_CALLER_CLIENT_ID: {"senders": SENDERS, "ratePerMinute": RATE},
}


@pytest.fixture(scope="package")
def started() -> Iterator[Sandbox]:
    """One sandbox for all tests of a worker, without the mail client. It ends with them: an idle host still polls."""
    settings = {
        **QUICK,
        "MAIL_ALLOWED_SENDERS": " ".join(SENDERS),
        "MAIL_SENDER_POOLS": json.dumps({"team": [SENDER, OTHER]}),
        "MAIL_EXTENDED_PROPERTIES": GUID,
        "MAIL_CALLERS": json.dumps(CALLERS),
        "MAIL_RESULTS": "true",
        "MAIL_BOUNCES": "true",
        "MAIL_SUPPRESS_BOUNCED": "true",
        "MAIL_SECRET_UPTIME_KUMA": "",  # this route is off
    }
    with running("--without", "mail", **settings) as sandbox:
        sandbox.ends(sandbox.send(titled("the first takes longer")))
        yield sandbox


@pytest.fixture
def sandbox(started: Sandbox) -> Sandbox:
    """The running sandbox, its mailboxes emptied and its faults taken away."""
    started.reset()
    return started


@pytest.fixture(scope="package")
def broken(started: Sandbox) -> Iterator[Sandbox]:
    """A host alone, with storage of its own and with two wrong settings, started as Azure does it."""
    with azurite() as (storage, _):
        settings = {"AzureWebJobsStorage": storage, **REGISTRATION, **{name: WRONG[name] for name in BROKEN}}
        with bare_host(settings) as facts:
            own = {"host": facts["url"], "keys": facts["keys"], "functions": facts["functions"], "storage": storage}
            yield Sandbox(started.facts | own, started.http)


@pytest.fixture(scope="package")
def https(started: Sandbox) -> Iterator[Sandbox]:
    """A host over https on the same cloud: the JavaScript client gives its token to no other one."""
    with beside(started, "--tls") as sandbox:
        yield sandbox


@pytest.fixture
def secure(https: Sandbox) -> Sandbox:
    https.reset()
    return https
