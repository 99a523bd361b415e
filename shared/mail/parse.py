"""Reads mails from callers: the body of sendMail, and with delivery/outbox_mail.py a message of `mail-outbox`.

There are four passes, each in document order: the JSON itself (strict_json.py), its shape (model.py), the number of
items (limits.py), and values that a type does not describe (addresses, forged markers, depth). The first fault is
reported. The function that calls this checks the size of the request (policy/size_limits.py), because that depends on
how the mail is sent.
"""

from typing import Any, Final

import msgspec
from msgspec import field

from shared.errors import Malformed
from shared.mail import limits
from shared.mail.addresses import AddressesOfMail, split_blob
from shared.mail.attached_items import Attendee, Contact, Event
from shared.mail.graph_types import Typed
from shared.mail.marker import forged
from shared.mail.model import BlobAttachment, FileAttachment, ItemAttachment, Message, SendMail
from shared.mail.validation_errors import explain
from shared.mail.ways_back import TAKEN_FOR_RECIPIENTS
from shared.parsing.strict_json import TYPE, read_json

OUTER: Final = "UnableToDeserializePostBody"  # Graph's code for a fault around the message
_KINDS: Final[dict[str, type[Typed]]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (Message, Event, Contact, Attendee, FileAttachment, ItemAttachment, BlobAttachment)
}
_TAGS: Final = {tag.removeprefix("#").lower(): tag for tag in _KINDS}
_BLANKS: Final = str.maketrans("", "", " \t\r\n")


class SendMailBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Graph's documentation and its SDKs differ in the case of the outer names; each is read in the case it came in."""

    message: Message | None = None
    sdk_message: Message | None = field(default=None, name="Message")
    save: bool | str | None = field(default=None, name="saveToSentItems")
    sdk_save: bool | str | None = field(default=None, name="SaveToSentItems")


def send_mail(body: bytes, charset: str = "", *, max_size: int = limits.MAX_REQUEST) -> SendMail:
    """The body of `POST …/sendMail`: a JSON object with `message` and `saveToSentItems`, in either case.

    charset: as the Content-Type declares it. max_size: bytes of a body that is read at all. Raises Malformed: 400 with
    Graph's code and the JSON path of the fault, 413 RequestEntityTooLarge. An answer quotes nothing of the body but
    names of properties and, in part, an invalid address.
    """
    if len(body) > max_size:
        raise limits.too_large(len(body))
    tree = read_json(body, charset)
    return checked_mail(tree, shaped(tree, SendMailBody))


def shaped[S: SendMailBody](tree: Any, shape: type[S]) -> S:
    """The JSON as this shape. What Graph fills in itself is dropped from `tree`. Raises Malformed."""
    if isinstance(tree, dict):
        for name in ("message", "Message"):
            _prepare(tree.get(name))
    try:
        return msgspec.convert(tree, shape)
    except msgspec.ValidationError as error:
        raise explain(error, shape) from None
    except RecursionError:
        raise Malformed(400, "BadRequest", "The request payload is nested too deeply.", "$") from None


def _prepare(message: Any) -> None:
    """Make a message as it was fetched, or written by another program, into one of the model's shape, in place.

    What has another shape than Graph's stays for the check of the shape.
    """
    todo: list[tuple[Any, type[Typed] | None]] = [(message, Message)]
    while todo:
        value, known = todo.pop()
        if not isinstance(value, dict):
            continue
        kind = _kind(value) or known
        if kind is None:
            continue
        for name in kind.filled_in & value.keys():
            del value[name]
        for name in kind.not_taken & value.keys():
            if value[name] in (None, []):
                del value[name]
        if kind is FileAttachment and isinstance(content := value.get("contentBytes"), str):
            value["contentBytes"] = content.translate(_BLANKS)  # as Graph reads it, and MIME programs write it
        for name, inner in (("attachments", None), ("item", None), ("attendees", Attendee)):
            there = value.get(name)
            todo.extend((one, inner) for one in (there if isinstance(there, list) else [there]))


def _kind(value: dict[str, Any]) -> type[Typed] | None:
    """The `@odata.type` of an object, in any case, with or without `#`; rewritten as Graph writes it."""
    tag = value.get(TYPE)
    if tag is None:
        value.pop(TYPE, None)
    if not isinstance(tag, str):
        return None
    value[TYPE] = tag = _TAGS.get(tag.removeprefix("#").lower(), tag)
    return _KINDS.get(tag)


def checked_mail(tree: dict[str, Any], outer: SendMailBody) -> SendMail:
    """The request of a body that has the right shape, once every value is checked. Raises Malformed."""
    message_name, save_name = _either(tree, "message", "Message"), _either(tree, "saveToSentItems", "SaveToSentItems")
    message = outer.message or outer.sdk_message
    if message is None:
        raise Malformed(400, OUTER, "Missing; expected the message to send.", f"$.{message_name}")
    save = is_saved(outer.save if outer.sdk_save is None else outer.sdk_save, f"$.{save_name}")
    limits.check(SendMail(message=message), f"$.{message_name}")
    values = _Values()
    values.check(tree[message_name], f"$.{message_name}")
    # Addresses are sent in canonical form; few come in another spelling.
    return SendMail(msgspec.convert(tree[message_name], Message) if values.respelled else message, save)


def _either(tree: dict[str, Any], *names: str) -> str:
    """The name among these that the caller wrote; the first if there is none."""
    written = [name for name in tree if name in names]
    if len(written) > 1:
        text = f"Found both {written[0]} and {written[1]}; expected one of them."
        raise Malformed(400, OUTER, text, f"$.{written[1]}")
    return written[0] if written else names[0]


def is_saved(value: bool | str | None, path: str) -> bool:  # noqa: FBT001 - a value of JSON, not a switch
    """saveToSentItems; Microsoft's own example writes it as a string."""
    match value.lower() if isinstance(value, str) else value:
        case None | True | "true":
            return True
        case False | "false":
            return False
    raise Malformed(400, OUTER, 'Found a string, expected true, false, "true" or "false".', path)


class _Values:
    """Checks what the types do not say, in document order. The shape is known to be right here.

    Addresses are put into the form in which they go to Graph. respelled: some were not in it.
    """

    def __init__(self) -> None:
        self.addresses = 0
        self.several = AddressesOfMail()
        self.properties = 0
        self.respelled = False

    def check(self, value: Any, path: str, depth: int = 0) -> None:
        if isinstance(value, list):
            for at, item in enumerate(value):
                self.check(item, f"{path}[{at}]", depth)
        elif isinstance(value, dict):
            for name, item in value.items():
                if item is not None:
                    self._property(name, item, f"{path}.{name}", depth)

    def _property(self, name: str, value: Any, path: str, depth: int) -> None:
        match name:
            case "emailAddress":
                self._address(value, path)
            case "internetMessageHeaders":
                _check_headers(value, path)
            case "singleValueExtendedProperties" | "multiValueExtendedProperties":
                self._check_extended(value, path)
            case "attachments":
                _check_references(value, path, depth)
                self.check(value, path, depth)
            case "item":
                if depth == limits.MAX_NESTING:
                    text = f"Found more than {limits.MAX_NESTING} items attached within one another."
                    raise Malformed(400, "BadRequest", text, path)
                self.check(value, path, depth + 1)
            case _:
                self.check(value, path, depth)

    def _address(self, holder: dict[str, Any], path: str) -> None:
        self.addresses += 1
        if self.addresses > limits.MAX_ADDRESSES:
            text = f"Found more than {limits.MAX_ADDRESSES} addresses, including those in attached items."
            raise Malformed(400, "ErrorInvalidRecipients", text, path)
        given = holder["address"]
        try:
            holder["address"] = self.several.checked(given)
        except ValueError as error:
            text = f"Found no address that mail can be sent to. {error}"
            raise Malformed(400, "ErrorInvalidRecipients", text, f"{path}.address") from None
        self.respelled |= holder["address"] != given

    def _check_extended(self, properties: list[dict[str, Any]], path: str) -> None:
        self.properties += len(properties)
        if self.properties > limits.MAX_PROPERTIES:
            text = f"Found more than {limits.MAX_PROPERTIES:,} extended properties, including those in attached items."
            raise Malformed(400, "BadRequest", text, path)
        for at, extended in enumerate(properties):
            if forged(property_id=extended["id"]):
                text = "This extended property is Mailroom's own marker; expected another name."
                raise Malformed(400, "BadRequest", text, f"{path}[{at}].id")


def _check_headers(headers: list[dict[str, Any]], path: str) -> None:
    for at, header in enumerate(headers):
        if forged(header=header["name"]):
            text = "Headers that begin with x-mailroom- are Mailroom's own; expected another name."
        elif header["name"].lower() in TAKEN_FOR_RECIPIENTS:
            text = "Some programs read recipients from this header; expected them in to, cc or bccRecipients."
        else:
            continue
        raise Malformed(400, "InvalidInternetMessageHeaderCollection", text, f"{path}[{at}].name")


def _check_references(attachments: list[dict[str, Any]], path: str, depth: int) -> None:
    """Attachments in blobs: only of the mail itself, by a name that means one blob, without Mailroom's properties."""
    for at, attachment in enumerate(attachments):
        if _KINDS[attachment[TYPE]] is not BlobAttachment:
            continue
        place, text = f"{path}[{at}]", ""
        if depth:
            text = "Found an attachment by reference in an attached item; expected it whole, with contentBytes."
        elif set_by_us := [name for name in ("size", "etag") if attachment.get(name) is not None]:
            place, text = f"{place}.{set_by_us[0]}", "Unknown property; Mailroom reads it from the blob."
        else:
            try:
                split_blob(attachment["blob"])
            except ValueError as error:
                place, text = f"{place}.blob", str(error)
        if text:
            raise Malformed(400, "RequestBodyRead", text, place)
