"""What an operator is answered who replays a mail that may have been sent, or has a waiting one tried at once."""

from collections.abc import Callable
from copy import replace
from datetime import timedelta

import azure.functions as func
import pytest

from shared.app import App
from shared.delivery.cancel_replay_retry import Control
from shared.delivery.queue import Kept
from shared.delivery.queue_messages import ProducerMessage, parse_work
from shared.delivery.request import Requests
from shared.delivery.row import Row
from shared.functions import messages
from shared.mail.outgoing import identity
from shared.settings.config import read
from tests.delivery.samples import NOON, TIMED_OUT, Office, answering, outgoing_mail
from tests.delivery.test_operations import held, refused, unanswered
from tests.functions.samples import ENVIRONMENT, answer_of, request

Install = Callable[[App], App]


async def test_a_mail_that_is_found_in_its_mailbox_is_told_as_sent(install: Install) -> None:
    """200 and not 202: nothing goes back into the queue."""
    office = Office()
    row = await held(office)
    office.verifier = answering("sent")
    answer = await messages.operator_message_replay(of(office, row, install))
    assert answer.status_code == 200
    assert answer_of(answer)["state"] == "sent"
    assert office.outbox.messages == []


def of(office: Office, row: Row, install: Install) -> func.HttpRequest:
    """An operator's request about a mail of this office."""
    app = install(App(read(ENVIRONMENT)))
    app.__dict__ |= {"engine": office.engine, "control": Control(office.engine)}
    return request("POST", id=row.id)


async def test_a_retried_mail_that_is_found_in_its_mailbox_is_told_as_sent(install: Install) -> None:
    office = Office()
    row = await unanswered(office, "sent")
    answer = await messages.operator_message_retry(of(office, row, install))
    assert (answer.status_code, answer_of(answer)["state"]) == (200, "sent")


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("scheduled", "as its sender asked"),
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
    detail = answer_of(answer)["detail"]
    assert words in detail
    assert row.due_at is not None
    assert row.due_at.isoformat().removesuffix("+00:00") in detail


TO = b'[{"emailAddress": {"address": "a@b.example"}}]'
OUTBOX = b'{"sender": "mailroom@contoso.com", "key": "k", "message": {"toRecipients": %s}}' % TO
EVENT = b'{"route": "generic", "data": {"a": 1}}'
MENDED = {**ENVIRONMENT, "MAIL_SENDER": "mailroom@contoso.com", "MAIL_TO": "ops@contoso.com"}
WRONG = [
    ("mail-outbox", b"{", MENDED, "JSON"),
    ("mail-outbox", b'{"sender": "ceo@other.example", "message": {}}', MENDED, "$.message"),
    ("mail-outbox", OUTBOX.replace(b"mailroom@", b"ceo@"), MENDED, "MAIL_ALLOWED_SENDERS does not allow this sender."),
    ("mail-outbox", b"[]", MENDED, "array"),
    ("mail-events", b'{"route": "nothing", "data": 1}', MENDED, "There is no such route. - at `$.route`"),
    ("mail-events", EVENT, ENVIRONMENT, "MAIL_SENDER is not set"),
    ("mail-work", b"{}", MENDED, "cannot read"),
]
MESSAGE = Row(
    id="9" * 32, state="failed", scope="queue:mail-outbox", fingerprint="", mailbox="", accepted_at=NOON,
    settled_at=NOON, code="BadRequest",
)  # fmt: skip


async def replayed(
    office: Office, install: Install, environment: dict[str, str], queue: str, content: bytes
) -> func.HttpResponse:
    await office.ledger.write(MESSAGE)
    office.outbox.dead[MESSAGE.id] = Kept("message", "BadRequest", content, queue)
    app = install(App(read(environment)))
    app.__dict__ |= {"engine": office.engine, "control": Control(office.engine), "outbox": office.outbox}
    return await messages.operator_message_replay(request("POST", id=MESSAGE.id))


@pytest.mark.parametrize(("queue", "content", "environment", "words"), WRONG)
async def test_a_message_that_would_be_refused_again_is_told_why_and_nothing_changes(
    install: Install, queue: str, content: bytes, environment: dict[str, str], words: str
) -> None:
    office = Office()
    answer = await replayed(office, install, environment, queue, content)
    assert (answer.status_code, words in answer_of(answer)["detail"]) == (422, True), answer.get_body()
    assert (office.outbox.returned, list(office.outbox.dead), (await office.row(MESSAGE.id)).state) == (
        [],
        [MESSAGE.id],
        "failed",
    )


@pytest.mark.parametrize(
    ("queue", "content"), [("mail-outbox", OUTBOX), ("mail-outbox", b"[" + OUTBOX + b"]"), ("mail-events", EVENT)]
)
async def test_a_message_goes_back_into_its_queue_once_it_would_not_be_refused(
    install: Install, queue: str, content: bytes
) -> None:
    """An operator who has opened the door does not have to find the producer."""
    office = Office()
    answer = await replayed(office, install, MENDED, queue, content)
    assert answer.status_code == 202
    ((_, text, _),) = office.outbox.returned
    message = parse_work(text)
    assert isinstance(message, ProducerMessage)
    assert (message.queue, message.body) == (queue, content)


async def test_a_key_that_still_names_another_mail_is_told(install: Install) -> None:
    office = Office()
    named = identity("queue:mail-outbox:mailroom@contoso.com", "k")
    await office.ledger.write(replace(MESSAGE, id=named, state="sent", fingerprint="another"))
    answer = await replayed(office, install, MENDED, "mail-outbox", OUTBOX)
    assert (answer.status_code, b"The key was used for another mail" in answer.get_body()) == (422, True)
