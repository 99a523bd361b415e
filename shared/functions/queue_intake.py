"""Steps that all queue functions share: name a message, split an array, admit a mail, put a message back, keep it."""

from datetime import UTC, datetime, timedelta

import azure.functions as func

from shared.app import App
from shared.delivery.outbox_mail import OutboxMail
from shared.delivery.queue import LATER
from shared.delivery.queue_messages import ProducerMessage, apart, of_some_version
from shared.errors import Malformed, Refused
from shared.functions.http_answers import settings_refused
from shared.functions.triggers import CONNECTION
from shared.mail import limits
from shared.mail.outgoing import Origin, OutgoingMail, fingerprint, identity, key_hash
from shared.policy.admit import admit
from shared.policy.size_limits import check_size
from shared.settings.queue_names import OUTBOX, WORK
from shared.telemetry import LogEvent, emit


class NotConfiguredError(RuntimeError):
    """A queue function ran while storage itself is not configured. The message stays in its queue."""


def as_it_came(message: func.QueueMessage, queue: str, origin: str = "") -> ProducerMessage:
    """The message as it came; its id is the same at every delivery. origin: the queue of a poisoned message."""
    return ProducerMessage(
        v=1,
        id=identity(f"queue:{origin or queue}", message.id or ""),
        queue=queue,
        inserted_at=message.insertion_time or datetime.now(UTC),
        body=message.get_body(),
        poisoned=bool(origin),
    )


async def taken_apart(app: App, message: ProducerMessage) -> bool:
    """Make a message of each element, if the message is an array; False if it is not.

    The elements are durable before the array is completed, and named by the array's id and their index: an array that
    is repeated, because a host went down halfway, makes nothing twice. A refused element is kept on its own.
    """
    try:
        parts = apart(message)
    except Refused as refusal:
        await app.worker.refuse(message.id, message.queue, message.body, refusal)
        return True
    for part in parts or ():
        await app.outbox.retry_later(part, timedelta(0))
    return parts is not None


def queued_mail(app: App, queued: OutboxMail, keyless: str, accepted_at: datetime) -> OutgoingMail:
    scope, sender = f"queue:{OUTBOX}:{queued.sender}", queued.sender
    return OutgoingMail(
        id=identity(scope, queued.key) if queued.key else keyless,
        scope=scope,
        fingerprint=fingerprint(sender, queued.mail, queued.thread, queued.mime),
        sender=sender,
        request=queued.mail,
        origin=Origin(kind="queue", name=OUTBOX),
        not_before=limits.waiting_until(queued.not_before, datetime.now(UTC), "$.notBefore"),
        accepted_at=accepted_at,
        thread=queued.thread,
        mime=queued.mime,
        known_by="caller-key" if queued.key else "message",
        key=key_hash(queued.key) if queued.key else None,
        wants_results=app.settings.tells(OUTBOX),
    )


async def admitted(app: App, mail: OutgoingMail) -> OutgoingMail:
    """The mail with its attachments resolved. Raises Refused if it may not be sent, AzureError."""
    admit(mail, app.settings)
    mail = await app.attachment_resolver.resolved(mail)
    check_size(mail, large=app.settings.large_attachments)
    return mail


def key_reused() -> Malformed:
    return Malformed(422, "KeyReused", "The key was used for another mail. A key names one mail.", "$.key")


def expired(app: App, since: datetime) -> bool:
    return datetime.now(UTC) - since > timedelta(hours=app.settings.max_age_hours)


async def put_back(app: App, text: bytes) -> None:
    """Put a message of mail-work back for later, as it is. Failing instead would make it poison in five minutes."""
    _need_queues(app)
    await app.outbox.put_back(WORK, text, LATER)


async def retry_later(app: App, message: ProducerMessage) -> None:
    """Put a producer's message into mail-work for later."""
    _need_queues(app)
    await app.outbox.retry_later(message, LATER)


def _need_queues(app: App) -> None:
    """Raise NotConfiguredError when a wrong setting is one of storage's; tables do not matter here."""
    names = [problem.setting for problem in app.settings.problems]
    if any(name.startswith(CONNECTION) and not name.endswith("__tableServiceUri") for name in names):
        raise NotConfiguredError(settings_refused(app.settings.problems))


async def keep_unread(app: App, message: ProducerMessage, error: ValueError) -> None:
    """A message of mail-work that this version cannot read.

    Only Mailroom writes to that queue: a message without a kind and a version was written by someone else, and is kept
    for an operator. A message of another version, as in a rolling update, waits for a version that can read it, for as
    long as a mail may.
    """
    versioned = of_some_version(message.body)
    if not versioned or expired(app, message.inserted_at):
        refusal = Malformed(400, "UnknownVersion" if versioned else "NotMailroomsOwn", str(error))
        return await app.worker.refuse(message.id, WORK, message.body, refusal)
    emit(LogEvent.MAIL_WAITING, id=message.id, seconds=LATER.total_seconds(), code="UnknownVersion")
    return await retry_later(app, message)
