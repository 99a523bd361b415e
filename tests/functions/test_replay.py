"""What an operator is answered who replays a mail that may have been sent, or has a waiting one tried at once."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import azure.functions as func
import pytest

from shared.app import App
from shared.delivery.cancel_replay_retry import Control
from shared.delivery.ledger import Row
from shared.delivery.request import Requests
from shared.functions import messages
from shared.settings.config import read
from tests.delivery.samples import NOON, TIMED_OUT, Office, outgoing_mail
from tests.delivery.test_operations import answering, held, refused, unanswered
from tests.functions.test_who import ENVIRONMENT

Install = Callable[[App], App]


async def test_a_mail_that_is_found_in_its_mailbox_is_told_as_sent(install: Install) -> None:
    """200 and not 202: nothing goes back into the queue."""
    office = Office()
    row = await held(office)
    office.verifier = answering("sent")
    answer = await messages.operator_message_replay(of(office, row, install))
    assert answer.status_code == 200
    assert json.loads(answer.get_body())["state"] == "sent"
    assert office.outbox.messages == []


def of(office: Office, row: Row, install: Install) -> func.HttpRequest:
    """An operator's request about a mail of this office."""
    app = install(App(read(ENVIRONMENT)))
    app.__dict__ |= {"engine": office.engine, "control": Control(office.engine)}
    return func.HttpRequest("POST", "https://x.test/", headers={}, route_params={"id": row.id}, body=b"")


async def test_a_retried_mail_that_is_found_in_its_mailbox_is_told_as_sent(install: Install) -> None:
    office = Office()
    row = await unanswered(office, "sent")
    answer = await messages.operator_message_retry(of(office, row, install))
    assert (answer.status_code, json.loads(answer.get_body())["state"]) == (200, "sent")


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("scheduled", "scheduled waits for the time that its sender has asked for"),
        ("unknown", "its copy may need time to appear"),
        ("silent", "gave no answer"),
        ("no verification", "MAIL_ON_UNKNOWN decides"),
        ("no message", "cannot be brought forward"),
    ],
)
async def test_who_is_told_that_a_mail_is_not_tried_at_once_is_told_when_it_is(
    install: Install, why: str, words: str
) -> None:
    office = Office()
    match why:
        case "scheduled":
            await Requests(office.engine).accept(replace(outgoing_mail(), not_before=NOON + timedelta(hours=1)))
        case "unknown":
            office.graph.outcomes = [TIMED_OUT]
            await Requests(office.engine).send_now(outgoing_mail())
        case "silent":
            await unanswered(office)
        case "no verification":
            await unanswered(office)
            office.verifier = None
        case "no message":
            await office.ledger.write(replace(await refused(office), message=None))
    row = await office.row()
    answer = await messages.operator_message_retry(of(office, row, install))
    assert answer.status_code == 409
    detail = json.loads(answer.get_body())["detail"]
    assert words in detail
    assert row.due_at is not None
    assert row.due_at.isoformat().removesuffix("+00:00") in detail
