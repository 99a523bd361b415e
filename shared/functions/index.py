"""The functions as Azure indexes them, for the triggers whose modules take time to load.

What a function does stands in the trigger's own module, which its first call loads: indexing is paid by every cold
start, whatever it is for (docs/decisions/0002-start-up.md).
"""

from collections.abc import Callable

import azure.functions as func

from shared.storage.queue_names import CONNECTION, EVENTS, OUTBOX, WORK

__all__ = ["blueprint"]

blueprint = func.Blueprint()


def _messages(queue: str) -> Callable[[Callable[..., object]], object]:
    """A queue's trigger, as bytes: of a message that is text the host takes `id` and the like, whatever their case, for
    storage's own, and one that is no time keeps the function from running (ApplyBindingData of the functions host).
    """
    trigger: Callable[[Callable[..., object]], object] = blueprint.queue_trigger(
        arg_name="message", queue_name=queue, connection=CONNECTION, data_type=func.DataType.BINARY
    )
    return trigger


@blueprint.route(route="v1.0/users/{id}/sendMail", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def send_mail(req: func.HttpRequest) -> func.HttpResponse:
    from shared.functions import send_mail as trigger

    return await trigger.send_mail(req)


@blueprint.route(route="v1.0/me/sendMail", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def send_my_mail(req: func.HttpRequest) -> func.HttpResponse:
    from shared.functions import send_mail as trigger

    return await trigger.send_my_mail(req)


# The same two by the qualified name of the action, as older SDKs call it: .NET before 5, Java before 6, Objective-C.


@blueprint.route(
    route="v1.0/users/{id}/microsoft.graph.sendMail", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS
)
async def send_mail_qualified(req: func.HttpRequest) -> func.HttpResponse:
    from shared.functions import send_mail as trigger

    return await trigger.send_mail(req)


@blueprint.route(route="v1.0/me/microsoft.graph.sendMail", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def send_my_mail_qualified(req: func.HttpRequest) -> func.HttpResponse:
    from shared.functions import send_mail as trigger

    return await trigger.send_my_mail(req)


@_messages(OUTBOX)
async def mail_outbox(message: func.QueueMessage) -> None:
    from shared.functions import queues as trigger

    await trigger.mail_outbox(message)


@_messages(EVENTS)
async def mail_events(message: func.QueueMessage) -> None:
    from shared.functions import queues as trigger

    await trigger.mail_events(message)


@_messages(WORK)
async def mail_work(message: func.QueueMessage) -> None:
    from shared.functions import queues as trigger

    await trigger.mail_work(message)


@_messages(f"{OUTBOX}-poison")
async def mail_outbox_poison(message: func.QueueMessage) -> None:
    from shared.functions import queues as trigger

    await trigger.mail_outbox_poison(message)


@_messages(f"{EVENTS}-poison")
async def mail_events_poison(message: func.QueueMessage) -> None:
    from shared.functions import queues as trigger

    await trigger.mail_events_poison(message)


@_messages(f"{WORK}-poison")
async def mail_work_poison(message: func.QueueMessage) -> None:
    from shared.functions import queues as trigger

    await trigger.mail_work_poison(message)


@blueprint.route(route="messages/{id}", methods=["GET", "DELETE"], auth_level=func.AuthLevel.ANONYMOUS)
async def message(req: func.HttpRequest) -> func.HttpResponse:
    from shared.functions import messages as trigger

    return await trigger.message(req)


@blueprint.route(route="messages/{id}/replay", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def message_replay(req: func.HttpRequest) -> func.HttpResponse:
    from shared.functions import messages as trigger

    return await trigger.message_replay(req)


@blueprint.route(route="messages/{id}/retry", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def message_retry(req: func.HttpRequest) -> func.HttpResponse:
    from shared.functions import messages as trigger

    return await trigger.message_retry(req)


@blueprint.route(route="messages", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def messages(req: func.HttpRequest) -> func.HttpResponse:
    from shared.functions import messages as trigger

    return await trigger.messages(req)


@blueprint.route(route="operator/messages/{id}", methods=["GET", "DELETE"], auth_level=func.AuthLevel.FUNCTION)
async def operator_message(req: func.HttpRequest) -> func.HttpResponse:
    from shared.functions import messages as trigger

    return await trigger.operator_message(req)


@blueprint.route(route="operator/messages/{id}/replay", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
async def operator_message_replay(req: func.HttpRequest) -> func.HttpResponse:
    from shared.functions import messages as trigger

    return await trigger.operator_message_replay(req)


@blueprint.route(route="operator/messages/{id}/retry", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
async def operator_message_retry(req: func.HttpRequest) -> func.HttpResponse:
    from shared.functions import messages as trigger

    return await trigger.operator_message_retry(req)


@blueprint.route(route="operator/messages", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def operator_messages(req: func.HttpRequest) -> func.HttpResponse:
    from shared.functions import messages as trigger

    return await trigger.operator_messages(req)


@blueprint.route(route="suppressions", methods=["GET", "POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def suppressions(req: func.HttpRequest) -> func.HttpResponse:
    from shared.functions import suppressions as trigger

    return await trigger.suppressions(req)


@blueprint.route(route="suppressions/{id}", methods=["GET", "DELETE"], auth_level=func.AuthLevel.ANONYMOUS)
async def suppression(req: func.HttpRequest) -> func.HttpResponse:
    from shared.functions import suppressions as trigger

    return await trigger.suppression(req)


@blueprint.route(route="operator/suppressions", methods=["GET", "POST"], auth_level=func.AuthLevel.FUNCTION)
async def operator_suppressions(req: func.HttpRequest) -> func.HttpResponse:
    from shared.functions import suppressions as trigger

    return await trigger.operator_suppressions(req)


@blueprint.route(route="operator/suppressions/{id}", methods=["GET", "DELETE"], auth_level=func.AuthLevel.FUNCTION)
async def operator_suppression(req: func.HttpRequest) -> func.HttpResponse:
    from shared.functions import suppressions as trigger

    return await trigger.operator_suppression(req)
