"""Converts a mail of the wire model into the SDK's objects.

The objects are built attribute by attribute, not with kiota's JSON parser, which silently drops values of the wrong
type and turns text that looks like a date into a date. The classes of the wire model have the same names and attributes
as the SDK's, so one loop builds all of them.
"""

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec
from kiota_abstractions.store.backing_store import BackingStore

from shared.mail.graph_types import Choice
from shared.mail.model import FileAttachment, ItemAttachment, Message, SendMail

if TYPE_CHECKING:
    from msgraph.generated.models.attachment import Attachment as SdkAttachment
    from msgraph.generated.models.message import Message as SdkMessage
    from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody

_MODELS = "msgraph.generated.models"
_BODY = "msgraph.generated.users.item.send_mail.send_mail_post_request_body"


class PlainStore(BackingStore[Any]):
    """Where the SDK's models keep their values here: a plain dictionary, without the tracking of changes.

    The SDK's own store notes what has changed in a model since it was read, and goes through all models inside on each
    assignment: for a mail with two recipients that takes a millisecond or more, a third of the cost of sending it. A
    mail is built once and written whole, so every value counts as changed; a None set after the model was made is a
    null. Such a store is kiota's extension point: https://learn.microsoft.com/openapi/kiota/models#backing-store.
    """

    is_initialization_completed = False
    return_only_changed_values = False

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._nulls: set[str] = set()

    def get(self, key: str) -> Any:
        return self._values.get(key)

    def set(self, key: str, value: Any) -> None:
        self._values[key] = value
        if value is None and self.is_initialization_completed:
            self._nulls.add(key)
        else:
            self._nulls.discard(key)

    def enumerate_(self) -> list[tuple[str, Any]]:
        return list(self._values.items())

    def enumerate_keys_for_values_changed_to_null(self) -> list[str]:
        return list(self._nulls)

    def subscribe(self, callback: Callable[[str, Any, Any], None], subscription_id: str | None = None) -> str:  # noqa: ARG002 - as the SDK has it
        return subscription_id or ""

    def unsubscribe(self, subscription_id: str) -> None:
        """Does nothing, because nobody can subscribe."""

    def clear(self) -> None:
        self._values.clear()
        self._nulls.clear()


def to_sdk(message: Message) -> "SdkMessage":
    model: SdkMessage = _built(message)
    return model


def attachment_to_sdk(attachment: FileAttachment | ItemAttachment) -> "SdkAttachment":
    model: SdkAttachment = _built(attachment)
    return model


def send_mail_body(mail: SendMail) -> "SendMailPostRequestBody":
    """The body that `send_mail.post` takes. saveToSentItems is always set: the SDK's own default is false."""
    body: SendMailPostRequestBody = import_module(_BODY).SendMailPostRequestBody(
        backing_store=PlainStore(), message=_built(mail.message), save_to_sent_items=mail.save_to_sent_items
    )
    return body


@cache
def sdk_class(wire: type) -> Any:
    """The SDK's class of the same name. Loads its module, on first use: the SDK has thousands."""
    module = re.sub(r"(?<!^)(?=[A-Z])", "_", wire.__name__).lower()
    return getattr(import_module(f"{_MODELS}.{module}"), wire.__name__)


def _built(value: Any) -> Any:
    match value:
        case msgspec.Struct():
            present = {
                name: _built(there) for name in value.__struct_fields__ if (there := getattr(value, name)) is not None
            }
            return sdk_class(type(value))(backing_store=PlainStore(), **present)
        case tuple():
            return [_built(item) for item in value]
        case Choice():
            return sdk_class(type(value))(value.value)
        case _:
            return value
