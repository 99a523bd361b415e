"""The events of one request in `mail-work`: expanded, or kept, whatever is in the way."""

import json
from datetime import UTC, datetime, timedelta

import msgspec

from shared.app import App
from shared.delivery.payloads import batch_name
from shared.delivery.queue import Kept
from shared.delivery.queue_messages import Batch, parse_work
from shared.functions import queue_functions as trigger
from shared.webhooks.routing.batches import packed
from tests.functions.test_poison import REFUSED, Message, app, memory, refuse_settings
from tests.webhooks.routing.samples import NOW, event

__all__ = ["app"]  # a fixture

NAME = "b" * 32
BATCH = Batch(v=1, id=NAME, route="generic", accepted_at=NOW, payload=batch_name(NAME), count=5)
MESSAGE = msgspec.json.encode(BATCH)


def store(app: App) -> None:
    memory(app).payloads[BATCH.payload] = packed([event(id=str(number), key=str(number)) for number in range(5)])


async def test_the_queue_expands_a_batch(app: App) -> None:
    """Its route has neither sender nor recipients here, so it waits for them and keeps its events."""
    store(app)
    await trigger.mail_work(Message(MESSAGE))
    assert memory(app).batches == [(timedelta(minutes=5), BATCH)]
    assert len(json.loads(memory(app).payloads[BATCH.payload])["events"]) == 5


async def test_with_a_refused_setting_it_is_put_back_as_it_is(app: App) -> None:
    refuse_settings(app, REFUSED)
    await trigger.mail_work(Message(MESSAGE))
    ((queue, content, after),) = memory(app).returned
    assert (queue, content, after) == ("mail-work", MESSAGE, timedelta(minutes=5))


async def test_one_that_the_platform_has_given_up_is_tried_again_later_until_it_is_too_old(app: App) -> None:
    """Then it is kept, with its events: an operator can put it back."""
    young = msgspec.structs.replace(BATCH, accepted_at=datetime.now(UTC) - timedelta(hours=71))
    await trigger.mail_work_poison(Message(msgspec.json.encode(young)))
    ((queue, content, _),) = memory(app).returned
    assert (queue, parse_work(content)) == ("mail-work", young)
    old = msgspec.structs.replace(BATCH, accepted_at=datetime.now(UTC) - timedelta(hours=73))
    await trigger.mail_work_poison(Message(msgspec.json.encode(old)))
    assert len(memory(app).returned) == 1
    assert memory(app).dead[NAME] == Kept("message", "Crashed", msgspec.json.encode(old), "mail-work")


async def test_one_whose_events_are_gone_is_kept_with_its_reason(app: App) -> None:
    await trigger.mail_work(Message(MESSAGE))
    assert memory(app).dead[NAME].reason == "PayloadMissing"
    assert not memory(app).batches
