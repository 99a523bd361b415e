"""Whole sendMail bodies for hypothesis, and what must leave for each.

    bodies()        a body as a caller may write it, ready for json.dumps
    as_sent(body)   the JSON that the SDK must send for it: model.py's documented normalisation, and nothing else
    addresses()     an address

Bodies are made of the model's classes, which test_sdk_message.py holds against the SDK's.
"""

import base64
from collections.abc import Iterator
from typing import Any, cast

import idna
from hypothesis import strategies as st
from msgspec import inspect

from shared.mail.attached_items import Contact, Event
from shared.mail.graph_types import HEADER_NAME, LINE, Choice, Recipient
from shared.mail.model import BlobAttachment, Message

Json = dict[str, Any]

# What readers of dates are tempted by. As text it must stay as it is.
DATES = [
    "2026-02-03", "2026-02-03T04:05:06Z", "2026-02-03T04:05:06.0000000+02:00", "20260203", "04:05:06", "P1DT2H",
    "2026-W05-2", "00000000-0000-0000-0000-000000000000", "1", "1.0", "true", "null", "",
]  # fmt: skip
GUID = "66f5a359-4659-4830-9070-00047ec6ac6e"

_line = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12)
lines = st.sampled_from(DATES) | _line
texts = st.sampled_from(DATES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
local_parts = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_+'-]{0,8}(\.[a-zA-Z0-9]{1,5})?", fullmatch=True)
domains = st.sampled_from(
    ["contoso.test", "mail.contoso.test", "sandbox.example", "Fabrikam.COM", "bücher.example", "intranet"]
)
PROPERTIES = [
    f"String {{{GUID}}} Name Colour", f"Integer {{{GUID}}} Id 0x8001", "SystemTime 0x3FEF", "String 0x1042",
    "2026-02-03",
]  # fmt: skip


def addresses() -> st.SearchStrategy[str]:
    return st.builds("{}@{}".format, local_parts, domains)


# Of properties whose values the model does not describe whole.
NAMED: dict[str, st.SearchStrategy[Any]] = {
    "address": addresses(), "subject": lines, "id": st.sampled_from(PROPERTIES), "categories": _line.filter(bool),
    "internetMessageId": st.from_regex(r"<[a-z0-9]{1,8}@contoso\.test>", fullmatch=True),
}  # fmt: skip

PLAIN: dict[type, st.SearchStrategy[Any]] = {
    inspect.BytesType: st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode()),
    inspect.BoolType: st.booleans(),
    inspect.DateType: st.dates().map(str),
    inspect.DateTimeType: st.sampled_from(["1970-01-02T00:00:00Z", "1985-05-05T05:05:05.123456+05:30"]),
}


def _cased(values: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(values).flatmap(
        lambda value: st.sampled_from([value, value.upper(), value.lower(), value.title()])
    )


def _value(node: Any, name: str, depth: int) -> st.SearchStrategy[Any]:
    """A value of a type of the model. depth: how many messages may be attached within one another."""
    match node:
        case inspect.UnionType():
            unwanted = {BlobAttachment} if depth > 0 else {BlobAttachment, Message}
            kinds = [part for part in node.types if getattr(part, "cls", None) not in unwanted]
            return st.one_of([_value(part, name, depth) for part in kinds if not isinstance(part, inspect.NoneType)])
        case inspect.StructType():
            return _object(node, depth)
        case inspect.VarTupleType():
            return st.lists(_value(node.item_type, name, depth), max_size=5 if name.endswith("Headers") else 2)
        case inspect.EnumType():
            return _cased([choice.value for choice in node.cls])
        case inspect.StrType():
            return NAMED[name] if name in NAMED else _text(node)
        case inspect.IntType():
            return st.integers(node.ge, node.le)
        case inspect.FloatType():
            return st.floats(node.ge, node.le) | st.integers(-90, 90)
    return PLAIN[type(node)]


def _text(node: inspect.StrType) -> st.SearchStrategy[str]:
    if node.pattern == HEADER_NAME:
        names = st.from_regex(r"[xX]-[A-Za-z0-9!#$_-]{1,10}", fullmatch=True)
        return names.filter(lambda name: "mailroom" not in name.lower())
    return lines if node.pattern == LINE else texts


def _object(node: inspect.StructType, depth: int) -> st.SearchStrategy[Json]:
    """An object whose optional properties may be left out, or null; in any order, with annotations here and there."""
    required, optional = {}, {}
    for field in node.fields:
        name = field.encode_name
        if name != "@odata.type":
            value = _value(field.type, name, depth - (name == "item"))
            if field.required:
                required[name] = value
            else:
                optional[name] = st.none() | value | value
    own = st.fixed_dictionaries(required, optional=optional)
    return st.builds(_decorated, own, st.just(node), st.integers(0, 7), st.randoms(use_true_random=False))


def _decorated(own: Json, node: inspect.StructType, choice: int, random: Any) -> Json:
    members = list(own.items())
    if node.tag is not None or choice == 1:
        name = TYPES[node.cls.__name__.lower()].removeprefix("#")
        members.append(("@odata.type", [f"#{name}", name, f"#{name}".upper(), name.lower()][choice % 4]))
    if choice == 2 and own:
        members.append((f"{next(iter(own))}@odata.type", "#Collection(microsoft.graph.anything)"))
    if choice == 3:
        members += [("@odata.etag", 'W/"1"'), ("@odata.context", "https://graph.microsoft.com/v1.0/$metadata#x")]
    random.shuffle(members)
    return dict(members)


def _structs(node: Any, seen: set[type]) -> Iterator[inspect.StructType]:
    for inner in (*getattr(node, "types", ()), *([node.item_type] if hasattr(node, "item_type") else ())):
        yield from _structs(inner, seen)
    if isinstance(node, inspect.StructType) and node.cls not in seen:
        seen.add(node.cls)
        yield node
        for field in node.fields:
            yield from _structs(field.type, seen)


MESSAGE, EVENT, CONTACT, RECIPIENT = (
    cast("inspect.StructType", inspect.type_info(kind)) for kind in (Message, Event, Contact, Recipient)
)
FIELDS = [(node, field) for node in _structs(MESSAGE, set()) for field in node.fields]
NAMES = {node.cls.__name__ for node, _ in FIELDS}
TYPES = {name.lower(): f"#microsoft.graph.{name[0].lower()}{name[1:]}" for name in NAMES}
CHOICES = {choice.value.lower(): choice.value for kind in Choice.__subclasses__() for choice in kind}
# Properties that are always an enumeration; contentType is something else too.
CHOSEN = {field.encode_name for _, field in FIELDS if "EnumType" in repr(field.type)} - {"contentType"}


def bodies(*, items: bool = False) -> st.SearchStrategy[Json]:
    """The whole body of a sendMail request that is to be accepted. items: with an event and a contact attached."""
    message = _object(MESSAGE, 0)
    if items:
        kinds = [
            st.builds(
                lambda item, name: {"@odata.type": "#microsoft.graph.itemAttachment", "name": name, "item": item},
                _object(kind, 0),
                lines,
            )
            for kind in (EVENT, CONTACT)
        ]
        message = st.builds(lambda whole, these: whole | {"attachments": list(these)}, message, st.tuples(*kinds))
    to = st.lists(_object(RECIPIENT, 0), min_size=1, max_size=2)
    saved = st.sampled_from([True, False, "true", "false", "False", None])
    return st.builds(
        lambda name, message, to, save_name, save: (
            {name: message if _addressed(message) else message | {"toRecipients": to}}
            | ({} if save_name is None else {save_name: save})
        ),
        st.sampled_from(["message", "Message"]),
        message,
        to,
        st.sampled_from(["saveToSentItems", "SaveToSentItems", None]),
        saved,
    )


def _addressed(message: Json) -> bool:
    return any(message.get(f"{kind}Recipients") for kind in ("to", "cc", "bcc"))


def as_sent(body: Json) -> Json:
    """What the SDK must send for a body of `bodies()`."""
    message = next(value for name, value in body.items() if name.lower() == "message")
    save = next((value for name, value in body.items() if name.lower() == "savetosentitems"), None)
    return {
        "Message": {**_normal("message", message), "@odata.type": "#microsoft.graph.message"},
        "SaveToSentItems": str(save).lower() != "false",
    }


def _normal(name: str, value: Any) -> Any:
    match value:
        case dict():
            result = {key: _normal(key, there) for key, there in value.items() if there is not None and _kept(key)}
            if name == "emailAddress":
                local, _, domain = result["address"].partition("@")
                result["address"] = f"{local}@{idna.encode(domain.lower()).decode()}"
            if name == "attendees":
                result["@odata.type"] = "#microsoft.graph.attendee"
            if name == "body" and "contentType" in result:
                result["contentType"] = result["contentType"].lower()
            return result
        case list():
            return [_normal(name, item) for item in value]
        case str() if name == "@odata.type":
            return TYPES[value.lower().rpartition(".")[2]]
        case str() if name in CHOSEN:
            return CHOICES[value.lower()]
        case str() if name == "birthday":
            return value.replace("Z", "+00:00")
        case _:
            return value


def _kept(name: str) -> bool:
    return name == "@odata.type" or "@odata." not in name
