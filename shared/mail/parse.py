"""Reading mails from callers: the body of sendMail over HTTP, and a message of the queue `mail-outbox`.

Four passes, each in document order; the first fault of the first pass that finds one is reported: the JSON itself
(strict_json.py; in the queue producer_messages.py too), its shape (model.py, without what read_only.py drops), how many
of each there are (limits.py), and the values that a type does not describe: addresses, forged markers, depth. The
caller checks the size of the request (sizes.py): it depends on how the mail is sent.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, field

from shared.errors import Malformed
from shared.mail import limits
from shared.mail.addresses import AddressesOfMail, mailbox_name
from shared.mail.blob_names import split
from shared.mail.graph_types import LINE, Property
from shared.mail.limits import LONGEST_THREAD, MAX_KEY
from shared.mail.marker import forged
from shared.mail.model import Message, SendMail
from shared.mail.people_headers import TAKEN_FOR_RECIPIENTS
from shared.mail.read_only import NOT_SENT, READ_ONLY, prepare
from shared.mail.validation_errors import explain
from shared.parsing.producer_messages import numbers_as_text, renamed, unwrapped
from shared.parsing.strict_json import TYPE, TYPES, read_json

REFERENCE: Final = "#mailroom.blobAttachment"
OF_MAILROOM: Final = ("size", "etag")  # in such an attachment


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMail:
    """One message of `mail-outbox`. not_before is in UTC. mime: the mail, if it came as MIME."""

    sender: str
    mail: SendMail
    key: str | None = None
    not_before: datetime | None = None
    thread: str | None = None
    mime: bytes | None = None


class SendMailBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Graph's documentation and its SDKs differ in the case of the outer names; each is read in the case it came in."""

    message: Message | None = None
    sdk_message: Message | None = field(default=None, name="Message")
    save: bool | str | None = field(default=None, name="saveToSentItems")
    sdk_save: bool | str | None = field(default=None, name="SaveToSentItems")


class _OutboxBody(SendMailBody, frozen=True, forbid_unknown_fields=True, kw_only=True):
    sender: Annotated[str, Meta(min_length=1, max_length=320)]
    key: Annotated[str, Meta(min_length=1, max_length=MAX_KEY, pattern=LINE)] | None = None
    not_before: Annotated[datetime, Meta(tz=True)] | None = field(default=None, name="notBefore")
    thread: Annotated[str, Meta(min_length=1, max_length=LONGEST_THREAD)] | None = None
    mime: str | None = None


def send_mail(body: bytes, charset: str = "", *, max_size: int = limits.MAX_REQUEST) -> SendMail:
    """The body of `POST …/sendMail`: a JSON object with `message` and `saveToSentItems`, in either case.

    charset: as the Content-Type declares it. max_size: bytes of a body that is read at all. Raises Malformed: 400 with
    Graph's code and the JSON path of the fault, 413 RequestEntityTooLarge. An answer quotes nothing of the body but
    names of properties and, in part, an invalid address.
    """
    if len(body) > max_size:
        raise limits.too_large(len(body))
    tree = read_json(body, charset)
    return _mail(tree, _shaped(tree, SendMailBody))


def outbox_mail(body: bytes) -> OutboxMail:
    """A message of `mail-outbox`: JSON, wrapped as producer_messages.py allows, with names in any case.

        {"sender": "…", "message": {…}, "saveToSentItems": true, "key": "…", "notBefore": "2026-07-01T08:00:00+02:00",
         "thread": "…"}

    Instead of `message` it may have `mime`: a whole MIME mail in base64, as sendMail takes it; a copy is always saved.
    Anything else is refused, including the fields of Mailroom's own `mail-work` messages. Raises Malformed as
    `send_mail`.
    """
    tree = _named(_opened(read_json(unwrapped(body))))
    outer = _shaped(tree, _OutboxBody)
    sender = _sender(outer.sender)
    if outer.thread is not None and not (outer.thread.strip() and outer.thread.isprintable()):
        raise _wrong("UnableToDeserializePostBody", "Expected printable characters.", "$.thread")
    mail, mime = (_mail(tree, outer), None) if outer.mime is None else _mime(tree, outer, outer.mime)
    try:
        not_before = outer.not_before and outer.not_before.astimezone(UTC)
    except OverflowError:
        raise _wrong(
            "UnableToDeserializePostBody", "Expected a time within the years 1 to 9999 of UTC.", "$.notBefore"
        ) from None
    return OutboxMail(sender=sender, mail=mail, key=outer.key, not_before=not_before, thread=outer.thread, mime=mime)


@cache
def _names() -> dict[str, str]:
    """Every name that may stand in a message of `mail-outbox`, by its form in lower case."""
    shapes: list[type[msgspec.Struct]] = [_OutboxBody, Property]
    for shape in shapes:
        shapes += shape.__subclasses__()
    known = {name for shape in shapes for name in shape.__struct_encode_fields__}
    known = known.union(*READ_ONLY.values(), *NOT_SENT.values()) - {"Message", "SaveToSentItems"}
    return {name.lower(): name for name in known} | {"odatatype": TYPE}  # as .NET's models have it


def _opened(tree: Any) -> Any:
    """The same; where `message` is a text of JSON, with its value instead."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name.lower() == "message" and isinstance(value, str) and value.lstrip().startswith("{"):
                try:
                    tree[name] = read_json(value.encode())
                except Malformed as error:
                    raise Malformed(error.status, error.code, error.message, f"$.message: {error.path}") from None
    return tree


def _named(tree: Any) -> Any:
    """The same with the names that Graph's documentation has; without types that are null."""
    tree = renamed(tree, _names())
    if isinstance(tree, dict):
        numbers_as_text(tree, "key", "thread")
    todo = [tree]
    while todo:
        value = todo.pop()
        if isinstance(value, list):
            todo.extend(value)
        elif isinstance(value, dict):
            if isinstance(kind := value.get(TYPE), str):
                value[TYPE] = TYPES.get(kind.removeprefix("#").lower(), kind)
            elif TYPE in value and kind is None:
                del value[TYPE]
            todo.extend(value.values())
    return tree


def _shaped[S: SendMailBody](tree: Any, shape: type[S]) -> S:
    if isinstance(tree, dict):
        for name in ("message", "Message"):
            prepare(tree.get(name))
    try:
        return msgspec.convert(tree, shape)
    except msgspec.ValidationError as error:
        raise explain(error, shape) from None
    except RecursionError:
        raise _wrong("BadRequest", "The request payload is nested too deeply.", "$") from None


def _sender(text: str) -> str:
    """The mailbox or the pool in its canonical form."""
    wrong = _wrong("UnableToDeserializePostBody", "Expected the address or the id of a mailbox.", "$.sender")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise wrong
    try:
        return mailbox_name(text)
    except ValueError:
        raise wrong from None


def _mail(tree: dict[str, Any], outer: SendMailBody) -> SendMail:
    """The request, with every value checked."""
    message_name = _either(tree, "message", "Message")
    save_name = _either(tree, "saveToSentItems", "SaveToSentItems")
    message = outer.message or outer.sdk_message
    if message is None:
        raise _wrong("UnableToDeserializePostBody", "Missing; expected the message to send.", f"$.{message_name}")
    saved = _true(outer.save if outer.sdk_save is None else outer.sdk_save, f"$.{save_name}")
    mail = SendMail(message=message, save_to_sent_items=saved)
    limits.check(mail, f"$.{message_name}")
    values = _Values()
    values.check(tree[message_name], f"$.{message_name}")
    # Addresses are sent in canonical form; few come in another spelling.
    return SendMail(msgspec.convert(tree[message_name], Message), saved) if values.respelled else mail


def _mime(tree: dict[str, Any], outer: SendMailBody, encoded: str) -> tuple[SendMail, bytes]:
    """A MIME mail as a request, and its bytes. The path of a fault is `$.mime` and the place in the mail."""
    from shared.mime.read import decode_mime, read_mime  # few mails need the readers of Python's email

    if tree.get("message") is not None:
        raise _wrong("UnableToDeserializePostBody", "Found both message and mime; expected one of them.", "$.message")
    if not _true(outer.save, "$.saveToSentItems"):
        raise _wrong("UnableToDeserializePostBody", "A copy of a MIME mail is always saved.", "$.saveToSentItems")
    mime = decode_mime(encoded, "$.mime")
    try:
        return read_mime(mime), mime
    except Malformed as error:
        place = f"$.mime: {error.path}" if error.path else "$.mime"
        raise Malformed(error.status, error.code, error.message, place) from None


def _either(tree: dict[str, Any], *names: str) -> str:
    """The one of these names that the caller wrote; the first if none."""
    written = [name for name in tree if name in names]
    if len(written) > 1:
        text = f"Found both {written[0]} and {written[1]}; expected one of them."
        raise _wrong("UnableToDeserializePostBody", text, f"$.{written[1]}")
    return written[0] if written else names[0]


def _true(value: bool | str | None, path: str) -> bool:  # noqa: FBT001 - a value of JSON, not a switch
    """saveToSentItems; Microsoft's own example writes it as a string."""
    match value.lower() if isinstance(value, str) else value:
        case None | True | "true":
            return True
        case False | "false":
            return False
    raise _wrong("UnableToDeserializePostBody", 'Found a string, expected true, false, "true" or "false".', path)


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
                self.addresses += 1
                if self.addresses > limits.MAX_ADDRESSES:
                    text = f"Found more than {limits.MAX_ADDRESSES} addresses, those in attached items included."
                    raise _wrong("ErrorInvalidRecipients", text, path)
                self._address(value, path)
            case "internetMessageHeaders":
                _check_headers(value, path)
            case "singleValueExtendedProperties" | "multiValueExtendedProperties":
                self.properties += len(value)
                if self.properties > limits.MAX_PROPERTIES:
                    text = f"Found more than {limits.MAX_PROPERTIES:,} extended properties, those in items included."
                    raise _wrong("BadRequest", text, path)
                _check_extended(value, path)
            case "attachments":
                _check_references(value, path, depth)
                self.check(value, path, depth)
            case "item":
                if depth == limits.MAX_NESTING:
                    text = f"Found more than {limits.MAX_NESTING} items attached within one another."
                    raise _wrong("BadRequest", text, path)
                self.check(value, path, depth + 1)
            case _:
                self.check(value, path, depth)

    def _address(self, holder: dict[str, Any], path: str) -> None:
        given = holder["address"]
        try:
            holder["address"] = self.several.checked(given)
        except ValueError as error:
            text = f"Found no address that mail can be sent to. {error}"
            raise _wrong("ErrorInvalidRecipients", text, f"{path}.address") from None
        self.respelled |= holder["address"] != given


def _check_references(attachments: list[dict[str, Any]], path: str, depth: int) -> None:
    """Attachments in blobs: only of the mail itself, by a name that means one blob, without Mailroom's properties."""
    for at, attachment in enumerate(attachments):
        if attachment["@odata.type"] != REFERENCE:
            continue
        if depth:
            text = "Found an attachment by reference in an attached item; expected it whole, with contentBytes."
            raise _wrong("RequestBodyRead", text, f"{path}[{at}]")
        for name in OF_MAILROOM:
            if attachment.get(name) is not None:
                text = "Unknown property; Mailroom reads it from the blob."
                raise _wrong("RequestBodyRead", text, f"{path}[{at}].{name}")
        try:
            split(attachment["blob"])
        except ValueError as error:
            raise _wrong("RequestBodyRead", str(error), f"{path}[{at}].blob") from None


def _check_headers(headers: list[dict[str, Any]], path: str) -> None:
    for at, header in enumerate(headers):
        if forged(header=header["name"]):
            text = "Headers that begin with x-mailroom- are Mailroom's own; expected another name."
            raise _wrong("InvalidInternetMessageHeaderCollection", text, f"{path}[{at}].name")
        if header["name"].lower() in TAKEN_FOR_RECIPIENTS:
            text = "Some programs take recipients from this header; expected them in to, cc or bccRecipients."
            raise _wrong("InvalidInternetMessageHeaderCollection", text, f"{path}[{at}].name")


def _check_extended(properties: list[dict[str, Any]], path: str) -> None:
    for at, extended in enumerate(properties):
        if forged(property_id=extended["id"]):
            text = "This extended property is Mailroom's own marker; expected another name."
            raise _wrong("BadRequest", text, f"{path}[{at}].id")


def _wrong(code: str, message: str, path: str) -> Malformed:
    return Malformed(400, code, message, path)
