"""What the platform has given up: there is no poison queue of a poison queue, so its functions do not fail."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import msgspec
import pytest
from azure.core.exceptions import ServiceRequestError

from shared.app import App
from shared.delivery.payloads import batch_name, message_name
from shared.delivery.queue import BODY, DEAD, Kept
from shared.delivery.queue_messages import Batch, ProducerMessage, Work, parse_work
from shared.delivery.row import Row
from shared.functions import queue_functions as trigger
from shared.functions.queue_intake import NotConfiguredError
from shared.functions.triggers import QUEUES
from shared.mail.outgoing import identity
from shared.settings.brand import APP
from shared.settings.environ import Problem
from shared.webhooks.routing.batches import packed
from tests.delivery.memory import MemoryLedger, MemoryOutbox
from tests.delivery.samples import SENDER, Office, work
from tests.functions.samples import equip, message
from tests.indexed import indexed
from tests.logged import said
from tests.webhooks.routing.samples import NOW, event

INSERTED = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=30)
MAIL = {"sender": SENDER, "message": {"subject": "Hi", "toRecipients": [{"emailAddress": {"address": "a@b.example"}}]}}
KEYED = json.dumps({"key": "k-1", **MAIL}).encode()
KEYLESS = json.dumps(MAIL).encode()
EVENT = b'{"route": "generic", "data": {}}'
LARGE = json.dumps({"key": "k-2", **MAIL, "saveToSentItems": True}).encode().ljust(BODY + 1)
REFUSED = Problem("MAIL_RATE_PER_MINUTE", "many", "a number")


def came(body: bytes, name: str = "m-1") -> func.QueueMessage:
    return message(body, INSERTED, name)


class Away(MemoryOutbox):
    """Queues can be written; blobs cannot."""

    async def set_aside(self, row: Row, kept: Kept) -> None:
        raise ServiceRequestError(f"{DEAD} is away")


class NoLedger(MemoryLedger):
    """Tables cannot be reached."""

    async def read(self, mail: str) -> Any:
        raise ServiceRequestError("the ledger is away")


def memory(app: App) -> Any:
    return app.outbox


def refuse_settings(app: App, *problems: Problem) -> None:
    app.settings = replace(app.settings, problems=problems or (REFUSED,))


def retry_later(app: App) -> ProducerMessage | Work | Batch:
    [(queue, content, after)] = memory(app).returned
    assert (queue, after) == ("mail-work", timedelta(minutes=5))
    return parse_work(content)


POISON = {
    "mail_outbox_poison": (trigger.mail_outbox_poison, "mail-outbox", KEYED),
    "mail_events_poison": (trigger.mail_events_poison, "mail-events", EVENT),
}


@pytest.mark.parametrize("name", POISON)
@pytest.mark.parametrize("why", ["setting", "storage"])
async def test_what_may_pass_puts_the_message_back_for_minutes_with_its_first_time(
    app: App, name: str, why: str
) -> None:
    """Into mail-work, under the id that it has by now. A second time it says the same."""
    function, queue, body = POISON[name]
    if why == "setting":
        refuse_settings(app)
    else:
        equip(app, Office(settings=app.settings, outbox=Away(), ledger=NoLedger()))
    await function(came(body))
    first = retry_later(app)
    mail = identity(f"queue:{queue}-poison", "m-1")
    assert first == ProducerMessage(v=1, id=mail, queue=queue, inserted_at=INSERTED, body=body, poisoned=True)
    memory(app).returned.clear()
    await trigger.mail_work(came(msgspec.json.encode(first), "m-2"))
    assert retry_later(app) == first
    assert memory(app).dead == {}


@pytest.mark.parametrize("name", POISON)
async def test_when_it_has_passed_the_message_goes_the_way_it_would_have_gone(app: App, name: str) -> None:
    function, queue, body = POISON[name]
    settings = app.settings
    refuse_settings(app)
    await function(came(body))
    later = retry_later(app)
    memory(app).returned.clear()
    app.settings = settings
    await trigger.mail_work(came(msgspec.json.encode(later), "m-2"))
    assert memory(app).returned == []
    if queue == "mail-events":  # a person decides
        assert {kept.reason for kept in memory(app).dead.values()} == {"Crashed"}
    else:
        [(_, again)] = memory(app).messages
        assert (again.id, again.accepted_at) == (identity(f"queue:mail-outbox:{SENDER}", "k-1"), INSERTED)


async def test_a_mail_without_a_key_is_kept_for_a_person_even_when_it_was_put_off(app: App) -> None:
    """It may have been sent under the id that its message had at first."""
    settings = app.settings
    refuse_settings(app)
    await trigger.mail_outbox_poison(came(KEYLESS))
    later = retry_later(app)
    app.settings = settings
    await trigger.mail_work(came(msgspec.json.encode(later), "m-2"))
    assert {mail: kept.reason for mail, kept in memory(app).dead.items()} == {later.id: "Crashed"}
    assert memory(app).messages == []


async def test_a_refused_message_is_logged_by_status_and_code_without_what_it_says(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    """The text of a refusal names the place, and so repeats what the producer wrote."""
    await trigger.mail_outbox(came(json.dumps({**MAIL, "fanny@contoso.com": "secret"}).encode()))
    [(mail, kept)] = memory(app).dead.items()
    [line] = said(caplog)
    assert line == {"event": "mail.refused", "id": mail, "status": 400, "code": kept.reason}


async def test_what_fails_for_a_fault_of_ours_is_kept_too(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would fail in the poison queue as it did before, and be deleted there by and by."""

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(trigger, "outbox_mail", broken)
    await trigger.mail_outbox_poison(came(KEYED))
    [kept] = memory(app).dead.values()
    assert (kept.reason, kept.content) == ("Crashed", KEYED)


@pytest.mark.parametrize("why", ["setting", "storage"])
@pytest.mark.parametrize("what", ["mail", "message"])
async def test_a_poisoned_message_of_mail_work_is_put_back_as_it_is(app: App, why: str, what: str) -> None:
    if why == "setting":
        refuse_settings(app)
    else:
        equip(app, Office(settings=app.settings, outbox=Away(), ledger=NoLedger()))
    message = ProducerMessage(v=1, id="p", queue="mail-outbox", inserted_at=INSERTED, body=KEYED)
    content = {"mail": msgspec.json.encode(work()), "message": msgspec.json.encode(message)}[what]
    await trigger.mail_work_poison(came(content))
    assert memory(app).returned == [("mail-work", content, timedelta(minutes=5))]


@pytest.mark.parametrize("function", [trigger.mail_outbox, trigger.mail_outbox_poison])
async def test_a_message_that_does_not_fit_into_one_of_ours_waits_in_a_blob(app: App, function: Any) -> None:
    """In base64 it would be larger than what a queue takes, and could never be put back."""
    settings = app.settings
    refuse_settings(app)
    await function(came(LARGE))
    later = retry_later(app)
    assert isinstance(later, ProducerMessage)
    assert (later.body, later.payload, later.inserted_at) == (b"", message_name(later.id), INSERTED)
    assert memory(app).payloads == {later.payload: LARGE}
    memory(app).returned.clear()
    app.settings = settings
    await trigger.mail_work(came(msgspec.json.encode(later), "m-2"))
    mailer: Any = app.engine.mailer
    assert memory(app).messages or mailer.graph.sent
    assert memory(app).dead == {}


async def test_a_message_whose_blob_is_gone_is_refused_by_name(app: App) -> None:
    gone = ProducerMessage(v=1, id="p", queue="mail-outbox", inserted_at=INSERTED, payload="gone")
    await trigger.mail_work(came(msgspec.json.encode(gone)))
    assert memory(app).dead["p"].reason == "PayloadMissing"


@pytest.mark.parametrize(
    ("setting", "put"),
    [
        ("AzureWebJobsStorage", False),
        ("AzureWebJobsStorage__queueServiceUri", False),
        ("AzureWebJobsStorage__blobServiceUri", False),
        ("AzureWebJobsStorage__clientId", False),
        ("AzureWebJobsStorage__tableServiceUri", True),
    ],
)
async def test_it_fails_only_where_it_cannot_be_put_back(app: App, setting: str, put: bool) -> None:  # noqa: FBT001
    """The host has storage, since the message has come; but Mailroom cannot use what it is told of it."""
    refuse_settings(app, Problem(setting, "nothing", "the service's URL"))
    if put:
        await trigger.mail_outbox_poison(came(KEYED))
        retry_later(app)
    else:
        with pytest.raises(NotConfiguredError, match=setting):
            await trigger.mail_outbox_poison(came(KEYED))


def test_maintenance_measures_every_queue_that_a_function_listens_to() -> None:
    """Poison queues too: what stays there is told to the operator."""
    listed = [function.get_trigger().get_dict_repr() for function in indexed().values()]
    assert set(QUEUES) == {trigger["queueName"] for trigger in listed if trigger["type"] == "queueTrigger"}


def test_storage_may_be_gone_for_four_minutes_before_a_message_counts_as_poison() -> None:
    queues = json.loads((APP / "host.json").read_text())["extensions"]["queues"]
    hours, minutes, seconds = map(int, queues["visibilityTimeout"].split(":"))
    pause = 3600 * hours + 60 * minutes + seconds
    assert pause >= 30, "a failed message is not tried again at once"
    assert (queues["maxDequeueCount"] - 1) * pause >= 240


# The events of one request in `mail-work`: expanded, or kept, whatever is in the way.

NAME = "b" * 32
BATCH = Batch(v=1, id=NAME, route="generic", accepted_at=NOW, payload=batch_name(NAME), count=5)
BATCHED = msgspec.json.encode(BATCH)


def store(app: App) -> None:
    memory(app).payloads[BATCH.payload] = packed([event(id=str(number), key=str(number)) for number in range(5)])


async def test_the_queue_expands_a_batch(app: App) -> None:
    """Its route has neither sender nor recipients here, so it waits for them and keeps its events."""
    store(app)
    await trigger.mail_work(message(BATCHED))
    assert memory(app).batches == [(timedelta(minutes=5), BATCH)]
    assert len(json.loads(memory(app).payloads[BATCH.payload])["events"]) == 5


async def test_with_a_refused_setting_it_is_put_back_as_it_is(app: App) -> None:
    refuse_settings(app)
    await trigger.mail_work(message(BATCHED))
    ((queue, content, after),) = memory(app).returned
    assert (queue, content, after) == ("mail-work", BATCHED, timedelta(minutes=5))


async def test_one_that_the_platform_has_given_up_is_tried_again_later_until_it_is_too_old(app: App) -> None:
    """Then it is kept, with its events: an operator can put it back."""
    young = msgspec.structs.replace(BATCH, accepted_at=datetime.now(UTC) - timedelta(hours=71))
    await trigger.mail_work_poison(message(msgspec.json.encode(young)))
    ((queue, content, _),) = memory(app).returned
    assert (queue, parse_work(content)) == ("mail-work", young)
    old = msgspec.structs.replace(BATCH, accepted_at=datetime.now(UTC) - timedelta(hours=73))
    await trigger.mail_work_poison(message(msgspec.json.encode(old)))
    assert len(memory(app).returned) == 1
    assert memory(app).dead[NAME] == Kept("message", "Crashed", msgspec.json.encode(old), "mail-work")


async def test_one_whose_events_are_gone_is_kept_with_its_reason(app: App) -> None:
    await trigger.mail_work(message(BATCHED))
    assert memory(app).dead[NAME].reason == "PayloadMissing"
    assert not memory(app).batches
