"""The queues: `mail-outbox` and `mail-events`, where other programs put mails and events, and `mail-work`, our own.

And their poison queues, where the platform puts what failed maxDequeueCount times: nothing stays there. A poison queue
has no poison queue of its own: what fails there as often lies there unseen until it is deleted. So the functions of
these queues do not raise for failures that may pass.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import azure.functions as func

from shared.app import App, current_app
from shared.delivery.outbox_mail import OutboxMail, outbox_mail
from shared.errors import Malformed, Refused
from shared.functions.answers import settings_refused
from shared.functions.triggers import CONNECTION, EVENTS, OUTBOX, WORK
from shared.mail import limits
from shared.mail.outgoing import Origin, OutgoingMail, fingerprint, identity
from shared.policy.admit import admit
from shared.policy.size_limits import check_size
from shared.telemetry import LogEvent, emit

if TYPE_CHECKING:
    from shared.delivery.queue_messages import Batch, ProducerMessage

# Until an operator has corrected a setting, or the reason for which a message failed ten times has passed.
LATER: Final = timedelta(minutes=5)
SOON: Final = timedelta(seconds=1)  # a time so near is not worth another message
FURTHEST: Final = timedelta(days=6)  # for which a message can stay invisible
LARGEST: Final = 60 * 1024  # bytes of a message; a larger one goes on as a mail, in a blob


class NotConfiguredError(RuntimeError):
    """A queue function ran while storage itself is not configured. The message stays in its queue."""


async def mail_outbox(message: func.QueueMessage) -> None:
    await _producers(_as_it_came(message, OUTBOX))


async def mail_events(message: func.QueueMessage) -> None:
    await _event(_as_it_came(message, EVENTS))


async def mail_work(message: func.QueueMessage) -> None:
    app = current_app()
    if app.settings.problems:
        return await _put_back(app, message.get_body())
    return await _work(app, _as_it_came(message, WORK))


async def _work(app: App, message: "ProducerMessage") -> None:
    """A message of mail-work, now or after it waited because another version had written it."""
    from shared.delivery.queue_messages import Batch, ProducerMessage, parse_work

    try:
        work = parse_work(message.body)
    except ValueError as error:
        return await _unread(app, message, error)
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
    from shared.delivery.queue_messages import Work, parse_work

    body = message.get_body()

    async def settle(app: App) -> None:
        try:
            work = parse_work(body)
        except ValueError as error:
            return await _unread(app, _as_it_came(message, WORK), error)
        emit(LogEvent.MAIL_POISONED, id=work.id, queue=WORK)
        if isinstance(work, Work):
            if not await app.worker.give_up(work, body):
                await app.worker.wake_later(work, None)
        elif not await _too_old(app, work):
            await _put_back(app, body)
        return None

    await _or_later(settle, lambda app: _put_back(app, body))


async def _too_old(app: App, work: "ProducerMessage | Batch") -> bool:
    """Keep what has failed for longer than a mail may wait; an operator can put it back into its queue.

    False: it is younger.
    """
    import msgspec

    from shared.delivery.queue_messages import ProducerMessage

    if not _expired(app, work.inserted_at if isinstance(work, ProducerMessage) else work.accepted_at):
        return False
    crashed = Malformed(400, "Crashed", "It failed repeatedly until it was too old.")
    if isinstance(work, ProducerMessage):
        whole = await app.outbox.whole(work)
        await app.worker.refuse(work.id, work.queue, whole.body if whole else b"", crashed)
    else:  # its events stay with the row
        await app.worker.refuse(work.id, WORK, msgspec.json.encode(work), crashed)
    return True


def _expired(app: App, since: datetime) -> bool:
    return datetime.now(UTC) - since > timedelta(hours=app.settings.max_age_hours)


def _as_it_came(message: func.QueueMessage, queue: str, origin: str = "") -> "ProducerMessage":
    """origin: the queue that it came from, if another one. Every delivery of a message keeps its id."""
    from shared.delivery.queue_messages import ProducerMessage

    return ProducerMessage(
        v=1,
        id=identity(f"queue:{origin or queue}", message.id or ""),
        queue=queue,
        inserted_at=message.insertion_time or datetime.now(UTC),
        body=message.get_body(),
        poisoned=bool(origin),
    )


async def _poison(message: func.QueueMessage, queue: str) -> None:
    """A copy that the platform has made of a message, with an id of its own."""
    given_up = _as_it_came(message, queue, f"{queue}-poison")
    emit(LogEvent.MAIL_POISONED, id=given_up.id, queue=queue)
    await _given_up(given_up)


async def _given_up(message: "ProducerMessage") -> None:
    """A producer's message that failed repeatedly: what is certain about it is done, the rest is kept for an operator.

    Only a key identifies its mail: without one it may have been sent under the id that the message had before. An event
    is kept for an operator, who can put it back into its queue.
    """

    async def settle(app: App) -> None:
        from azure.core.exceptions import AzureError

        from shared.delivery.queue_messages import work_of

        refusal: Refused = Malformed(400, "Crashed", "It failed repeatedly, and has no key that identifies its mail.")
        try:
            if message.queue == OUTBOX and await _taken_apart(app, message):
                return None
            queued = outbox_mail(message.body) if message.queue == OUTBOX else None
            if queued is not None and queued.key is not None:
                mail = await _admitted(app, _mail(queued, message.id, message.inserted_at))
                return await app.worker.wake_later(work_of(mail), mail)
        except AzureError:
            raise
        except Refused as error:
            refusal = error
        except Exception as error:  # noqa: BLE001 - it failed ten times: it is kept, not tried for ever
            refusal = Malformed(400, "Crashed", f"It failed repeatedly, with {type(error).__name__}.")
        return await app.worker.refuse(message.id, message.queue, message.body, refusal)

    await _or_later(settle, lambda app: _retry_later(app, message))


async def _or_later(settle: Callable[[App], Awaitable[None]], retry_later: Callable[[App], Awaitable[None]]) -> None:
    """Settle what the platform has given up; where a setting or storage prevents that, retry later.

    Raises only when that fails too. The platform then delivers the message again after ten minutes, ten times.
    """
    from azure.core.exceptions import AzureError

    app = current_app()
    if not app.settings.problems:
        with suppress(AzureError):
            return await settle(app)
    return await retry_later(app)


async def _waited(app: App, message: "ProducerMessage") -> None:
    """A producer's message that was put into mail-work because it could not be read, or its time had not come."""
    whole = await app.outbox.whole(message)
    if whole is None:
        gone = Malformed(400, "PayloadMissing", "Its blob was removed from storage.")
        return await app.worker.refuse(message.id, message.queue, b"", gone)
    if whole.queue == WORK:
        return await _work(app, whole)
    if whole.poisoned:
        return await _given_up(whole)
    return await (_event if whole.queue == EVENTS else _producers)(whole)


async def _taken_apart(app: App, message: "ProducerMessage") -> bool:
    """Make a message of each element, if the message is an array; False if it is not.

    The elements are durable before the array is completed, and named by the array's id and their index: an array that
    is repeated, because a host went down halfway, makes nothing twice. A refused element is kept on its own.
    """
    from shared.delivery.queue_messages import apart

    try:
        parts = apart(message)
    except Refused as refusal:
        await app.worker.refuse(message.id, message.queue, message.body, refusal)
        return True
    for part in parts or ():
        await app.outbox.retry_later(part, timedelta(0))
    return parts is not None


async def _producers(message: "ProducerMessage") -> None:
    """A producer's message: a mail, several, or something that is refused and kept with the reason."""
    app = current_app()
    if app.settings.problems:
        return await _retry_later(app, message)
    if await _taken_apart(app, message):
        return None
    try:
        mail = await _admitted(app, _mail(outbox_mail(message.body), message.id, message.inserted_at))
    except Refused as refusal:
        return await app.worker.refuse(message.id, message.queue, message.body, refusal)
    from shared.delivery.queue_messages import work_of

    if not message.paced and await _waits_for_its_time(app, message, mail):
        return None
    if not await app.worker.deliver(work_of(mail), mail):
        reused = Malformed(422, "KeyReused", "The key was used for another mail. A key names one mail.", "$.key")
        await app.worker.refuse(message.id, message.queue, message.body, reused)
    return None


async def _waits_for_its_time(app: App, message: "ProducerMessage", mail: OutgoingMail) -> bool:
    """If the queue has a rate, put the message into mail-work until its time. False: the time is now."""
    import msgspec

    from shared.delivery.queue_messages import work_of

    rate = app.settings.rate_of(mail.origin)
    if rate is None:
        return False
    now = datetime.now(UTC)
    due = min(await app.pace.come_at(mail.origin.name, rate), now + FURTHEST)
    if due - now <= SOON:
        return False
    paced = msgspec.json.encode(msgspec.structs.replace(message, paced=True))
    if len(paced) <= LARGEST:
        await app.outbox.put_back(WORK, paced, due - now)
    else:
        await app.outbox.put(work_of(mail), now, due, mail)
    return True


async def _event(message: "ProducerMessage") -> None:
    """A producer's event: as many mails as its route makes of it, or something that is refused and kept."""
    from shared.webhooks.routing.route import RouteUnusable

    app = current_app()
    if app.settings.problems:
        return await _retry_later(app, message)
    if await _taken_apart(app, message):
        return None
    try:
        await app.intake.take_message(message.id, message.body)
    except RouteUnusable as error:
        emit(LogEvent.EVENT_DEFERRED, id=message.id, why=str(error))
        await _retry_later(app, message)
    return None


def _mail(queued: OutboxMail, keyless: str, accepted_at: datetime) -> OutgoingMail:
    not_before = limits.waiting_until(queued.not_before, datetime.now(UTC), "$.notBefore")
    sender = queued.sender
    scope = f"queue:{OUTBOX}:{sender}"
    return OutgoingMail(
        id=identity(scope, queued.key) if queued.key else keyless,
        scope=scope,
        fingerprint=fingerprint(sender, queued.mail, queued.thread, queued.mime),
        sender=sender,
        request=queued.mail,
        origin=Origin(kind="queue", name=OUTBOX),
        not_before=not_before,
        accepted_at=accepted_at,
        thread=queued.thread,
        mime=queued.mime,
        known_by="caller-key" if queued.key else "message",
    )


async def _admitted(app: App, mail: OutgoingMail) -> OutgoingMail:
    """The mail with its attachments resolved. Raises Refused if it may not be sent, AzureError."""
    admit(mail, app.settings)
    mail = await app.attachment_resolver.resolved(mail)
    check_size(mail, large=app.settings.large_attachments)
    return mail


async def _put_back(app: App, text: bytes) -> None:
    """Put a message of mail-work back for later, as it is. Failing instead would make it poison in five minutes."""
    _need_queues(app)
    await app.outbox.put_back(WORK, text, LATER)


async def _retry_later(app: App, message: "ProducerMessage") -> None:
    """The same with a producer's message."""
    _need_queues(app)
    await app.outbox.retry_later(message, LATER)


def _need_queues(app: App) -> None:
    """Raise NotConfiguredError when a wrong setting is one of storage's; tables do not matter here."""
    names = [problem.setting for problem in app.settings.problems]
    if any(name.startswith(CONNECTION) and not name.endswith("__tableServiceUri") for name in names):
        raise NotConfiguredError(settings_refused(app.settings.problems))


async def _unread(app: App, message: "ProducerMessage", error: ValueError) -> None:
    """A message of mail-work that this version cannot read.

    Only Mailroom writes to that queue: a message without a kind and a version was written by someone else, and is kept
    for an operator. A message of another version, as in a rolling update, waits for a version that can read it, for as
    long as a mail may.
    """
    from shared.delivery.queue_messages import of_some_version

    versioned = of_some_version(message.body)
    if not versioned or _expired(app, message.inserted_at):
        refusal = Malformed(400, "UnknownVersion" if versioned else "NotMailroomsOwn", str(error))
        return await app.worker.refuse(message.id, WORK, message.body, refusal)
    emit(LogEvent.MAIL_WAITING, id=message.id, seconds=LATER.total_seconds(), code="UnknownVersion")
    return await _retry_later(app, message)
