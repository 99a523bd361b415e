"""The queues that carry mail: `mail-outbox`, where other programs put mails, and `mail-work`, Mailroom's own."""

from datetime import UTC, datetime
from typing import Final

import azure.functions as func

from shared.errors import Malformed, Refused
from shared.letters import limits, parse
from shared.letters.letter import Letter, Origin, fingerprint, identity
from shared.policy.admit import admit
from shared.services import Services, services
from shared.triggers.answers import settings_refused

__all__ = ["blueprint"]

OUTBOX: Final = "mail-outbox"

blueprint = func.Blueprint()


class NotConfiguredError(RuntimeError):
    """A queue function ran while a setting cannot be used. The message stays in its queue."""


@blueprint.queue_trigger(arg_name="message", queue_name=OUTBOX, connection="AzureWebJobsStorage")
async def mail_outbox(message: func.QueueMessage) -> None:
    app = _configured()
    body = message.get_body()
    keyless = identity(f"queue:{OUTBOX}", message.id)  # redelivery keeps the message's id
    try:
        letter = _letter(body, keyless, message.insertion_time or datetime.now(UTC))
        admit(letter, app.settings)
    except Refused as refusal:
        return await app.courier.refuse(keyless, body, refusal)
    from shared.delivery.work import work_of

    return await app.courier.deliver(work_of(letter), letter)


@blueprint.queue_trigger(arg_name="message", queue_name="mail-work", connection="AzureWebJobsStorage")
async def mail_work(message: func.QueueMessage) -> None:
    app = _configured()
    from shared.delivery.work import parse_work

    try:
        work = parse_work(message.get_body())
    except ValueError as error:  # msgspec's errors; only Mailroom writes here, so it is a fault or another version's
        refusal = Malformed(400, "NotMailroomsOwn", str(error))
        return await app.courier.refuse(identity("queue:mail-work", message.id), message.get_body(), refusal)
    return await app.courier.deliver(work)


def _configured() -> Services:
    app = services()
    if app.settings.problems:
        raise NotConfiguredError(settings_refused(app.settings.problems))
    return app


def _letter(body: bytes, keyless: str, accepted_at: datetime) -> Letter:
    queued = parse.outbox_mail(body)
    limits.check_size(queued.mail)
    sender = queued.sender.lower()
    scope = f"queue:{OUTBOX}:{sender}"
    return Letter(
        id=identity(scope, queued.key) if queued.key else keyless,
        scope=scope,
        fingerprint=fingerprint(sender, queued.mail),
        sender=sender,
        mail=queued.mail,
        origin=Origin(kind="queue", name=OUTBOX),
        not_before=queued.not_before,
        accepted_at=accepted_at,
    )
