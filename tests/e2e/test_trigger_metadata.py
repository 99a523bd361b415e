"""A message's own properties are never taken for storage's, in whatever queue it lies."""

import base64
import json

import pytest

from shared.mail.outgoing import identity
from tests.e2e.running import Sandbox, eventually

SAID: list[dict[str, object]] = [
    {"id": "1", "ID": "1", "insertionTime": "soon", "expirationTime": "never", "dequeueCount": "often"},
    {
        "id": 1,
        "Id": {},
        "INSERTIONTIME": 1,
        "expirationtime": "2026-11-22T09:58:00Z",
        "nextVisibleTime": "",
        "popReceipt": 0,
    },
]
# Where each queue's messages are kept that are nobody's mail: `mail-work` does not tell its poisoned ones apart.
KEPT = {
    "mail-outbox": "queue:mail-outbox",
    "mail-events": "queue:mail-events",
    "mail-work": "queue:mail-work",
    "mail-outbox-poison": "queue:mail-outbox-poison",
    "mail-events-poison": "queue:mail-events-poison",
    "mail-work-poison": "queue:mail-work",
}


@pytest.mark.parametrize("encoding", ["plain", "base64"])
def test_a_message_reaches_its_function_under_storages_own_id(sandbox: Sandbox, encoding: str) -> None:
    """Two that call themselves alike are both kept; one with a time that is none does not fail ten times unheard."""
    put = {}
    for queue, scope in KEPT.items():
        for said in SAID:
            text = json.dumps({"route": "missing", **said})
            if encoding == "base64":
                text = base64.b64encode(text.encode()).decode()
            put[identity(scope, sandbox.put(queue, text))] = text
    eventually(lambda: put.keys() <= sandbox.dead().keys(), 40)
    dead = sandbox.dead()
    assert {mail: dead[mail][1].decode() for mail in put} == put
