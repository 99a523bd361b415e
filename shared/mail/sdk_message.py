"""The wire model as the SDK's objects.

Built attribute by attribute, not through kiota's JSON parser: that parser silently drops values of the wrong type and
turns text that looks like a date into a date. The classes of the wire model have the names and attributes of the SDK's,
so one walk builds all of them.
"""

import re
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec

from shared.mail.graph_types import Choice
from shared.mail.model import FileAttachment, ItemAttachment, Message, SendMail

if TYPE_CHECKING:
    from msgraph.generated.models.attachment import Attachment as SdkAttachment
    from msgraph.generated.models.message import Message as SdkMessage
    from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody

_MODELS = "msgraph.generated.models"
_BODY = "msgraph.generated.users.item.send_mail.send_mail_post_request_body"


def to_sdk(message: Message) -> "SdkMessage":
    model: SdkMessage = _built(message)
    return model


def attachment_to_sdk(attachment: FileAttachment | ItemAttachment) -> "SdkAttachment":
    model: SdkAttachment = _built(attachment)
    return model


def send_mail_body(mail: SendMail) -> "SendMailPostRequestBody":
    """The body that `send_mail.post` takes. saveToSentItems is always set: the SDK's own default is false."""
    body: SendMailPostRequestBody = import_module(_BODY).SendMailPostRequestBody(
        backing_store=_store()(), message=to_sdk(mail.message), save_to_sent_items=mail.save_to_sent_items
    )
    return body


@cache
def sdk_class(wire: type) -> Any:
    """The SDK's class of the same name. Loads its module, on first use: the SDK has thousands."""
    module = re.sub(r"(?<!^)(?=[A-Z])", "_", wire.__name__).lower()
    return getattr(import_module(f"{_MODELS}.{module}"), wire.__name__)


@cache
def _store() -> Any:
    return import_module("shared.graph.client").PlainStore


def _built(value: Any) -> Any:
    match value:
        case msgspec.Struct():
            present = {
                name: _built(there) for name in value.__struct_fields__ if (there := getattr(value, name)) is not None
            }
            return sdk_class(type(value))(backing_store=_store()(), **present)
        case tuple():
            return [_built(item) for item in value]
        case Choice():
            return sdk_class(type(value))(value.value)
        case _:
            return value
