"""What an operator is told who puts a mail back that may have gone."""

import json
from collections.abc import Callable

import azure.functions as func

from shared.app import App
from shared.delivery.operations import Control
from shared.functions import messages
from shared.settings.config import read
from tests.delivery.samples import Office
from tests.delivery.test_operations import answering, held
from tests.functions.test_who import ENVIRONMENT


async def test_a_mail_that_is_found_in_its_mailbox_is_told_as_sent(install: Callable[[App], App]) -> None:
    """200 and not 202: nothing goes back into the queue."""
    office = Office()
    row = await held(office)
    office.verifier = answering("sent")
    app = install(App(read(ENVIRONMENT)))
    app.__dict__ |= {"engine": office.engine, "control": Control(office.engine)}
    request = func.HttpRequest("POST", "https://x.test/", headers={}, route_params={"id": row.id}, body=b"")
    answer = await messages.operator_message_replay(request)
    assert answer.status_code == 200
    assert json.loads(answer.get_body())["state"] == "sent"
    assert office.outbox.messages == []
