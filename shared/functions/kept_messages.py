"""Checks before a replay whether a refused message would be refused again, by reading it as its queue does."""

from datetime import UTC, datetime

from azure.core.exceptions import AzureError

from shared.app import App
from shared.delivery import transitions
from shared.delivery.explanations import said
from shared.delivery.outbox_mail import outbox_mail
from shared.delivery.queue import Kept
from shared.delivery.queue_messages import ProducerMessage, apart, parse_work, work_of
from shared.delivery.row import new_token
from shared.errors import Malformed, Refused
from shared.functions.queue_intake import admitted, key_reused, queued_mail
from shared.mail.outgoing import new_id
from shared.settings.queue_names import EVENTS, OUTBOX
from shared.webhooks.routing.route import RouteUnusable


async def refused(app: App, kept: Kept) -> str | None:
    """Why the message would be refused, or would wait for its route; None if neither. Raises AzureError."""
    try:
        await _read(app, ProducerMessage(v=1, id=new_id(), queue=kept.queue, inserted_at=_now(), body=kept.content))
    except Refused as refusal:
        return said(refusal)
    except RouteUnusable as error:
        return str(error)
    except AzureError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever made it fail before makes it fail again
        return f"The message makes Mailroom fail: {type(error).__name__}."
    return None


async def _read(app: App, message: ProducerMessage) -> None:
    if message.queue in (OUTBOX, EVENTS) and apart(message) is not None:
        return  # each of its elements is read, and set aside, on its own
    if message.queue == OUTBOX:
        mail = await admitted(app, queued_mail(app, outbox_mail(message.body), message.id, _now()))
        row = await app.engine.ledger.read(mail.id)
        decision = transitions.decide(row, work_of(mail), _now(), app.settings, new_token())
        if decision == transitions.Drop("other-body"):
            raise key_reused()
    elif message.queue == EVENTS:
        await app.intake.check_message(message.id, message.body)
    else:
        try:
            parse_work(message.body)
        except ValueError:
            raise Malformed(400, "NotMailroomsOwn", "This version cannot read it as a message of mail-work.") from None


def _now() -> datetime:
    return datetime.now(UTC)
