"""What the platform has thrown back, or is nobody's mail, is kept for a person; nothing stays behind."""

import base64
import json

import pytest

from shared.mail.outgoing import identity
from tests.e2e.running import Sandbox, titled


def test_a_poisoned_mail_without_a_key_is_kept_for_a_person(sandbox: Sandbox) -> None:
    """Its copy has an id of its own, so nobody can say whether it was sent."""
    with sandbox.dead() as found:
        sandbox.queue(titled("crashed"), "mail-outbox-poison")
    [(mail, kept)] = found.items()
    assert (kept.reason, json.loads(kept.content)["message"]["subject"]) == ("Crashed", "crashed")
    assert sandbox.operator("GET", f"/{mail}").json()["code"] == "Crashed"
    assert sandbox.operator("POST", f"/{mail}/replay").status_code == 202
    sandbox.arrives("crashed")


OF_ITSELF = {"id": "1", "ID": {}, "insertionTime": "soon", "expirationTime": 1, "dequeueCount": "often"}
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
    text = json.dumps({"route": "missing", **OF_ITSELF})
    put = base64.b64encode(text.encode()).decode() if encoding == "base64" else text
    with sandbox.dead(2 * len(KEPT)) as found:
        ids = {identity(scope, sandbox.put(queue, put)) for queue, scope in KEPT.items() for _ in range(2)}
    assert found.keys() == ids
    assert {kept.content for kept in found.values()} == {put.encode()}
