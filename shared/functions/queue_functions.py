"""The functions of the queues: `mail-outbox` and `mail-events` for producers, `mail-work` for Mailroom itself.

Each has a poison queue, into which the platform moves a message that failed maxDequeueCount times. The functions of the
poison queues empty them. A poison queue has no poison queue of its own: a message that fails there as often stays
unseen until storage deletes it. So these functions do not raise for failures that may pass.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import azure.functions as func
import msgspec
from azure.core.exceptions import AzureError

from shared.app import App, current_app
from shared.delivery.outbox_mail import outbox_mail
from shared.delivery.queue import FURTHEST
from shared.delivery.queue_messages import Batch, ProducerMessage, Work, parse_work, work_of
from shared.errors import Malformed, Refused
from shared.functions.queue_intake import (
    admitted,
    as_it_came,
    expired,
    keep_unread,
    key_reused,
    put_back,
    queued_mail,
    retry_later,
    taken_apart,
)
from shared.mail.outgoing import OutgoingMail
from shared.settings.queue_names import EVENTS, OUTBOX, WORK
from shared.telemetry import LogEvent, emit

SOON: Final = timedelta(seconds=1)  # a time so near is not worth another message
LARGEST: Final = 60 * 1024  # bytes of a message; a larger one goes on as a mail, in a blob


async def mail_outbox(message: func.QueueMessage) -> None:
    await _producers(as_it_came(message, OUTBOX))


async def mail_events(message: func.QueueMessage) -> None:
    await _event(as_it_came(message, EVENTS))


async def mail_work(message: func.QueueMessage) -> None:
    app = current_app()
    if app.settings.problems:
        return await put_back(app, message.get_body())
    return await _work(app, as_it_came(message, WORK))


async def _work(app: App, message: ProducerMessage) -> None:
    """Handle a message of mail-work, also one of another version that had to wait."""
    try:
        work = parse_work(message.body)
    except ValueError as error:
        return await keep_unread(app, message, error)
    if isinstance(work, ProducerMessage):
        return await _waited(app, work)
    if isinstance(work, Batch):
        return await app.intake.expand(work)
    await app.worker.deliver(work)
    return None


async def mail_outbox_poison(message: func.QueueMessage) -> None:
    await _poison(message, OUTBOX)


async def mail_events_poison(message: func.QueueMessage) -> None:
    await _poison(message, EVENTS)


async def mail_work_poison(message: func.QueueMessage) -> None:
    body = message.get_body()

    async def settle(app: App) -> None:
        try:
            work = parse_work(body)
        except ValueError as error:
            return await keep_unread(app, as_it_came(message, WORK), error)
        emit(LogEvent.MAIL_POISONED, id=work.id, queue=WORK)
        if isinstance(work, Work):
            if not await app.worker.give_up(work, body):
                await app.worker.wake_later(work, None)
        elif not await _too_old(app, work):
            await put_back(app, body)
        return None

    await _or_later(settle, lambda app: put_back(app, body))


async def _too_old(app: App, work: ProducerMessage | Batch) -> bool:
    """Keep what has failed for longer than a mail may wait; an operator can put it back into its queue.

    False: it is younger.
    """
    if not expired(app, work.inserted_at if isinstance(work, ProducerMessage) else work.accepted_at):
        return False
    crashed = Malformed(400, "Crashed", "The message failed repeatedly until it was too old.")
    if isinstance(work, ProducerMessage):
        whole = await app.outbox.whole(work)
        await app.worker.refuse(work.id, work.queue, whole.body if whole else b"", crashed)
    else:  # its events stay with the row
        await app.worker.refuse(work.id, WORK, msgspec.json.encode(work), crashed)
    return True


async def _poison(message: func.QueueMessage, queue: str) -> None:
    """Handle a message of a poison queue: the platform's copy of a message, with a new id."""
    given_up = as_it_came(message, queue, f"{queue}-poison")
    emit(LogEvent.MAIL_POISONED, id=given_up.id, queue=queue)
    await _given_up(given_up)


async def _given_up(message: ProducerMessage) -> None:
    """A producer's message that failed repeatedly: what is certain about it is done, the rest is kept for an operator.

    Only a key identifies its mail: without one it may have been sent under the id that the message had before. An event
    is kept for an operator, who can put it back into its queue.
    """

    async def settle(app: App) -> None:
        refusal: Refused = Malformed(
            400, "Crashed", "The message failed repeatedly, and has no key that names its mail."
        )
        try:
            if message.queue == OUTBOX and await taken_apart(app, message):
                return None
            queued = outbox_mail(message.body) if message.queue == OUTBOX else None
            if queued is not None and queued.key is not None:
                mail = await admitted(app, queued_mail(app, queued, message.id, message.inserted_at))
                return await app.worker.wake_later(work_of(mail), mail)
        except AzureError:
            raise
        except Refused as error:
            refusal = error
        except Exception as error:  # noqa: BLE001 - it failed ten times: it is kept, not tried for ever
            refusal = Malformed(400, "Crashed", f"The message failed repeatedly, with {type(error).__name__}.")
        return await app.worker.refuse(message.id, message.queue, message.body, refusal)

    await _or_later(settle, lambda app: retry_later(app, message))


async def _or_later(settle: Callable[[App], Awaitable[None]], retry_later: Callable[[App], Awaitable[None]]) -> None:
    """Settle what the platform has given up; where a setting or storage prevents that, retry later.

    Raises only when that fails too. The platform then delivers the message again after ten minutes, ten times.
    """
    app = current_app()
    if not app.settings.problems:
        with suppress(AzureError):
            return await settle(app)
    return await retry_later(app)


async def _waited(app: App, message: ProducerMessage) -> None:
    """Handle a producer's message that had to wait in mail-work, because of an obstacle or of its rate."""
    whole = await app.outbox.whole(message)
    if whole is None:
        gone = Malformed(400, "PayloadMissing", "The blob of the message was removed from storage.")
        return await app.worker.refuse(message.id, message.queue, b"", gone)
    if whole.queue == WORK:
        return await _work(app, whole)
    if whole.poisoned:
        return await _given_up(whole)
    return await (_event if whole.queue == EVENTS else _producers)(whole)


async def _producers(message: ProducerMessage) -> None:
    """Handle a producer's message: one mail, several, or something that is refused and kept with the reason."""
    app = current_app()
    if app.settings.problems:
        return await retry_later(app, message)
    if await taken_apart(app, message):
        return None
    mail: OutgoingMail | None = None
    try:
        mail = queued_mail(app, outbox_mail(message.body), message.id, message.inserted_at)
        mail = await admitted(app, mail)
    except Refused as refusal:
        return await app.worker.refuse(message.id, message.queue, message.body, refusal, of=mail)
    if not message.paced and await _waits_for_its_time(app, message, mail):
        return None
    if not await app.worker.deliver(work_of(mail), mail):
        await app.worker.refuse(message.id, message.queue, message.body, key_reused(), of=mail)
    return None


async def _waits_for_its_time(app: App, message: ProducerMessage, mail: OutgoingMail) -> bool:
    """If the queue has a rate, put the message into mail-work until its time. False: the time is now."""
    rule = app.settings.callers.get(mail.origin.name)
    if rule is None or rule.rate_per_minute is None:
        return False
    now = datetime.now(UTC)
    due = min(await app.pace.come_at(mail.origin.name, rule.rate_per_minute), now + FURTHEST)
    if due - now <= SOON:
        return False
    paced = msgspec.json.encode(msgspec.structs.replace(message, paced=True))
    if len(paced) <= LARGEST:
        await app.outbox.put_back(WORK, paced, due - now)
    else:
        await app.outbox.put(work_of(mail), now, due, mail)
    return True


async def _event(message: ProducerMessage) -> None:
    """Handle a producer's event: as many mails as its route makes of it, or something that is refused and kept."""
    from shared.webhooks.routing.route import RouteUnusable

    app = current_app()
    if app.settings.problems:
        return await retry_later(app, message)
    if await taken_apart(app, message):
        return None
    try:
        await app.intake.take_message(message.id, message.body)
    except RouteUnusable as error:
        emit(LogEvent.EVENT_DEFERRED, id=message.id, why=str(error))
        await retry_later(app, message)
    return None
