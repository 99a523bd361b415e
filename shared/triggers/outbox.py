"""The queues: `mail-outbox` and `mail-events`, where other programs put mails and events, and `mail-work`, our own.

And their poison queues, where the platform puts what failed maxDequeueCount times: nothing stays there.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import azure.functions as func

from shared.errors import Malformed, Refused
from shared.letters import limits, parse
from shared.letters.letter import Letter, Origin, fingerprint, identity
from shared.letters.sizes import check_size
from shared.policy.admit import admit
from shared.services import Services, services
from shared.telemetry import Event, emit
from shared.triggers.answers import settings_refused
from shared.triggers.queues import CONNECTION, EVENTS, OUTBOX, WORK

if TYPE_CHECKING:
    from shared.delivery.work import ProducerMessage

__all__ = ["mail_events", "mail_events_poison", "mail_outbox", "mail_outbox_poison", "mail_work", "mail_work_poison"]

# Until an operator has mended a setting, or what made a message fail ten times has passed.
LATER: Final = timedelta(minutes=5)
SOON: Final = timedelta(seconds=1)  # a time that near is not worth a message of its own
FURTHEST: Final = timedelta(days=6)  # that a message can hide
LARGEST: Final = 60 * 1024  # bytes of a message; a larger one goes on as a letter, in a blob


class NotConfiguredError(RuntimeError):
    """A queue function ran while storage itself is not configured. The message stays in its queue."""


async def mail_outbox(message: func.QueueMessage) -> None:
    from shared.delivery.work import ProducerMessage

    await _producers(
        ProducerMessage(
            v=1,
            id=identity(f"queue:{OUTBOX}", message.id or ""),  # redelivery keeps the message's id
            queue=OUTBOX,
            inserted_at=message.insertion_time or datetime.now(UTC),
            body=message.get_body(),
        )
    )


async def mail_events(message: func.QueueMessage) -> None:
    from shared.delivery.work import ProducerMessage

    await _event(
        ProducerMessage(
            v=1,
            id=identity(f"queue:{EVENTS}", message.id or ""),
            queue=EVENTS,
            inserted_at=message.insertion_time or datetime.now(UTC),
            body=message.get_body(),
        )
    )


async def mail_work(message: func.QueueMessage) -> None:
    from shared.delivery.work import ProducerMessage, parse_work

    app = services()
    if app.settings.problems:
        return await _put_off(app, message.get_body())
    try:
        work = parse_work(message.get_body())
    except ValueError as error:
        return await _not_ours(app, message, error)
    if isinstance(work, ProducerMessage):
        return await (_event if work.queue == EVENTS else _producers)(work)
    await app.courier.deliver(work)
    return None


async def mail_outbox_poison(message: func.QueueMessage) -> None:
    """A copy, with an id of its own: only a key says which mail it is. Without one it is kept for a person."""
    from shared.delivery.work import ProducerMessage, apart

    app = _configured()
    mail, now = identity(f"queue:{OUTBOX}-poison", message.id or ""), datetime.now(UTC)
    emit(Event.MAIL_POISONED, id=mail, queue=OUTBOX)
    whole = ProducerMessage(v=1, id=mail, queue=OUTBOX, inserted_at=now, body=message.get_body())
    try:
        parts = apart(whole)
    except Refused as refusal:
        return await app.courier.refuse(mail, OUTBOX, whole.body, refusal)
    for part in [whole] if parts is None else parts:
        await _poisoned(app, part)
    return None


async def mail_events_poison(message: func.QueueMessage) -> None:
    """Kept for a person, who can put it back into its queue."""
    app = _configured()
    mail = identity(f"queue:{EVENTS}-poison", message.id or "")
    emit(Event.MAIL_POISONED, id=mail, queue=EVENTS)
    await app.courier.refuse(mail, EVENTS, message.get_body(), Malformed(400, "Crashed", "It failed again and again."))


async def mail_work_poison(message: func.QueueMessage) -> None:
    from shared.delivery.work import Work, parse_work

    app = _configured()
    try:
        work = parse_work(message.get_body())
    except ValueError as error:
        return await _not_ours(app, message, error)
    emit(Event.MAIL_POISONED, id=work.id, queue=WORK)
    if isinstance(work, Work):
        return await app.courier.wake_later(work, None)
    return await _put_off(app, message.get_body())


async def _poisoned(app: Services, message: "ProducerMessage") -> None:
    try:
        queued = parse.outbox_mail(message.body)
        if queued.key is None:
            raise Malformed(400, "Crashed", "It failed again and again, and has no key to be matched by.")
        letter = await _admitted(app, _letter(queued, message.id, message.inserted_at))
    except Refused as refusal:
        return await app.courier.refuse(message.id, OUTBOX, message.body, refusal)
    from shared.delivery.work import work_of

    return await app.courier.wake_later(work_of(letter), letter)


async def _taken_apart(
    app: Services, message: "ProducerMessage", take: Callable[["ProducerMessage"], Awaitable[None]]
) -> bool:
    """Where the message is an array, each of its elements goes on as a message of its own. False: it is none.

    They are durable before the array is completed, and named by it and their places: an array that comes again, because
    a host went down among its elements, makes nothing twice. What is refused among them is kept alone.
    """
    import msgspec

    from shared.delivery.work import apart

    try:
        parts = apart(message)
    except Refused as refusal:
        await app.courier.refuse(message.id, message.queue, message.body, refusal)
        return True
    for part in parts or ():
        text = msgspec.json.encode(part)
        if len(text) <= LARGEST:
            await app.outbox.put_back(WORK, text)
        else:
            await take(part)
    return parts is not None


async def _producers(message: "ProducerMessage") -> None:
    """A producer's message: a mail, several, or something that is set aside with its reason."""
    import msgspec

    app = services()
    if app.settings.problems:
        return await _put_off(app, msgspec.json.encode(message))
    if await _taken_apart(app, message, _producers):
        return None
    try:
        letter = await _admitted(app, _letter(parse.outbox_mail(message.body), message.id, message.inserted_at))
    except Refused as refusal:
        return await app.courier.refuse(message.id, message.queue, message.body, refusal)
    from shared.delivery.work import work_of

    if not message.paced and await _waits_for_its_time(app, message, letter):
        return None
    if not await app.courier.deliver(work_of(letter), letter):
        reused = Malformed(422, "KeyReused", "The key was used for another mail. A key names one mail.", "$.key")
        await app.courier.refuse(message.id, message.queue, message.body, reused)
    return None


async def _waits_for_its_time(app: Services, message: "ProducerMessage", letter: Letter) -> bool:
    """Where the queue has a rate, put the message into mail-work until its time comes. False: that is now."""
    import msgspec

    from shared.delivery.work import work_of

    rate = app.settings.rate_of(letter.origin)
    if rate is None:
        return False
    now = datetime.now(UTC)
    due = min(await app.pacer.come_at(letter.origin.name, rate), now + FURTHEST)
    if due - now <= SOON:
        return False
    paced = msgspec.json.encode(msgspec.structs.replace(message, paced=True))
    if len(paced) <= LARGEST:
        await app.outbox.put_back(WORK, paced, due - now)
    else:
        await app.outbox.put(work_of(letter), now, due, letter)
    return True


async def _event(message: "ProducerMessage") -> None:
    """A producer's event: as many mails as its route makes of it, or something that is set aside with its reason."""
    import msgspec

    from shared.routing.compose import RouteUnusable

    app = services()
    if app.settings.problems:
        return await _put_off(app, msgspec.json.encode(message))
    if await _taken_apart(app, message, _event):
        return None
    try:
        await app.intake.take_message(message.id, message.body)
    except RouteUnusable as error:
        emit(Event.EVENT_PUT_OFF, id=message.id, why=str(error))
        await _put_off(app, msgspec.json.encode(message))
    return None


def _letter(queued: parse.OutboxMail, keyless: str, accepted_at: datetime) -> Letter:
    not_before = limits.waiting_until(queued.not_before, datetime.now(UTC), "$.notBefore")
    sender = queued.sender
    scope = f"queue:{OUTBOX}:{sender}"
    return Letter(
        id=identity(scope, queued.key) if queued.key else keyless,
        scope=scope,
        fingerprint=fingerprint(sender, queued.mail, queued.thread, queued.mime),
        sender=sender,
        mail=queued.mail,
        origin=Origin(kind="queue", name=OUTBOX),
        not_before=not_before,
        accepted_at=accepted_at,
        thread=queued.thread,
        mime=queued.mime,
    )


async def _admitted(app: Services, letter: Letter) -> Letter:
    """The letter, if it may be sent, with what its references stand for. Raises Refused, AzureError."""
    admit(letter, app.settings)
    letter = await app.pinning.pinned(letter)
    check_size(letter, large=app.settings.large_attachments)
    return letter


def _configured() -> Services:
    app = services()
    if app.settings.problems:
        raise NotConfiguredError(settings_refused(app.settings.problems))
    return app


async def _put_off(app: Services, text: bytes) -> None:
    """Put a message of mail-work again for later, as it is. Failing instead would make it poison in five minutes."""
    if any(problem.setting.startswith(CONNECTION) for problem in app.settings.problems):
        raise NotConfiguredError(settings_refused(app.settings.problems))
    await app.outbox.put_back(WORK, text, LATER)


async def _not_ours(app: Services, message: func.QueueMessage, error: ValueError) -> None:
    """Only Mailroom writes to mail-work: a fault of ours, or a message of another version."""
    refusal = Malformed(400, "NotMailroomsOwn", str(error))
    await app.courier.refuse(identity(f"queue:{WORK}", message.id or ""), WORK, message.get_body(), refusal)
