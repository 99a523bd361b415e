"""The SDK's models with a store of our own: what leaves is the same."""

import json
from typing import Any

import pytest
from kiota_abstractions.store.in_memory_backing_store import InMemoryBackingStore
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody

from shared.graph.client import open_client
from shared.mail.sdk_message import PlainStore


def written(store: Any, *, cleared: bool) -> Any:
    """The body of a request as the client writes it."""
    to = [Recipient(backing_store=store(), email_address=EmailAddress(backing_store=store(), address="a@contoso.com"))]
    message = Message(
        backing_store=store(), subject="Lunch", body=ItemBody(backing_store=store(), content="Now."), to_recipients=to
    )
    body = SendMailPostRequestBody(backing_store=store(), message=message, save_to_sent_items=True)
    if cleared:
        message.subject = None
    client = open_client("http://127.0.0.1:1/v1.0", None).client
    return json.loads(client.users.by_user_id("-").send_mail.to_post_request_information(body).content or b"")


@pytest.mark.parametrize("cleared", [False, True])
def test_a_mail_is_written_as_with_the_sdks_own_store(cleared: bool) -> None:  # noqa: FBT001 - a value of the table
    """What was not given is left out; what was set to None afterwards is a null."""
    own, plain = written(InMemoryBackingStore, cleared=cleared), written(PlainStore, cleared=cleared)
    assert plain == own
    assert ("subject" in plain["Message"] and plain["Message"]["subject"] is None) == cleared


def test_a_value_set_again_is_no_null_and_a_cleared_store_is_empty() -> None:
    store = PlainStore()
    store.is_initialization_completed = True
    for name, value in (("subject", None), ("body", None), ("subject", "Lunch")):
        store.set(name, value)
    assert (store.get("subject"), store.enumerate_keys_for_values_changed_to_null()) == ("Lunch", ["body"])
    store.clear()
    assert (store.enumerate_(), store.enumerate_keys_for_values_changed_to_null()) == ([], [])
