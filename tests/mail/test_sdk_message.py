import base64
import json
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from kiota_serialization_json.json_serialization_writer import JsonSerializationWriter
from msgspec import inspect

from shared.mail import attached_items, model
from shared.mail.graph_types import HEADER_NAME, Choice, odata_type
from shared.mail.outgoing import decode, encode, fingerprint
from shared.mail.parse import send_mail
from shared.mail.sdk_message import sdk_class, send_mail_body
from shared.mail.sizes import at_most, json_size, request_size
from tests.mail import strategies
from tests.mail.samples import outgoing


def sent(mail: model.SendMail) -> bytes:
    """The bytes that the SDK puts on the wire."""
    writer = JsonSerializationWriter()
    writer.write_object_value(None, send_mail_body(mail))
    return writer.get_serialized_content()


def present(value: Any) -> Iterator[tuple[type, str]]:
    """Every property that is set somewhere in a mail, with the class that it is of."""
    match value:
        case msgspec.Struct():
            for name in value.__struct_fields__:
                if (there := getattr(value, name)) not in (None, ()):
                    yield type(value), name
                    yield from present(there)
        case tuple():
            for item in value:
                yield from present(item)


MODEL = {node.cls: node for node, _ in strategies.FIELDS if node.cls is not model.BlobAttachment}


FILES = [
    {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a", "contentBytes": base64.b64encode(bytes(n)).decode()}
    for n in range(5)
]


@settings(suppress_health_check=list(HealthCheck))
@given(strategies.bodies() | strategies.bodies(items=True))
@example({"message": {"toRecipients": [{"emailAddress": {"address": "a@b.test"}}], "attachments": FILES}})
@example({"message": {"toRecipients": [{"emailAddress": {"address": "a@b.test"}}], "subject": "\x7f" * 1_000}})
def test_every_mail_comes_out_on_the_wire_as_it_went_in_and_as_long_as_was_said(body: dict[str, Any]) -> None:
    """JSON in, the model, the SDK's objects, JSON by the SDK's own writer: equal up to the documented normalisation.

    On the way: storing a mail and reading it again changes nothing, request_size is exact, and at_most not too low.
    """
    mail = send_mail(json.dumps(body).encode())
    on_the_wire = sent(mail)
    assert json.loads(on_the_wire) == strategies.as_sent(body)
    assert request_size(mail) == len(on_the_wire)
    assert json_size(mail.message) <= at_most(mail.message)
    stored = outgoing(mail, fingerprint=fingerprint("a@b.test", mail))
    assert decode(encode(stored)) == stored
    assert sent(decode(encode(stored)).request) == on_the_wire


def test_a_mail_with_every_property_of_the_model_set_comes_out_whole() -> None:
    items = [
        {"@odata.type": "#microsoft.graph.itemAttachment", "name": "a", "item": filled(MODEL[cls])}
        for cls in (model.Message, attached_items.Event, attached_items.Contact)
    ]
    body = {"message": filled(MODEL[model.Message]) | {"attachments": [filled(MODEL[model.FileAttachment]), *items]}}
    mail = send_mail(json.dumps(body).encode())
    assert json.loads(sent(mail)) == strategies.as_sent(body)
    assert request_size(mail) == len(sent(mail))
    every = {(cls, field.name) for cls, node in MODEL.items() for field in node.fields}
    assert set(present(mail.message)) == every - {
        (model.ItemAttachment, "content_type"),
        (model.ItemAttachment, "is_inline"),
    }


def filled(node: Any) -> Any:
    """JSON for a type, with every property set that is not an attachment."""
    match node:
        case inspect.StructType():
            members = {field.encode_name: filled(field.type) for field in node.fields if field.name != "attachments"}
            return members | {"@odata.type": odata_type(node.cls.__name__)}
        case inspect.UnionType():
            return filled(next(part for part in node.types if not isinstance(part, inspect.NoneType)))
        case inspect.VarTupleType():
            return [filled(node.item_type), filled(node.item_type)]
        case inspect.EnumType():
            return next(iter(node.cls)).value
        case inspect.StrType() if node.pattern == HEADER_NAME:
            return "x-a"
    plain: dict[type, Any] = {
        inspect.StrType: "adele@contoso.test", inspect.BytesType: "QUJD", inspect.BoolType: False, inspect.IntType: 0,
        inspect.FloatType: 0.5, inspect.DateType: "2026-02-03",
        inspect.DateTimeType: "2026-02-03T04:05:06.789000+02:00",
    }  # fmt: skip
    return plain[type(node)]


@pytest.mark.parametrize("cls", MODEL, ids=lambda cls: cls.__name__)
def test_each_class_of_the_wire_model_is_the_sdks_attribute_for_attribute(cls: type[msgspec.Struct]) -> None:
    """Same name, same attributes of the same types, same `@odata.type`."""
    sdk = sdk_class(cls)
    hints = {
        name: hint for parent in reversed(sdk.__mro__) for name, hint in getattr(parent, "__annotations__", {}).items()
    }
    defaults = {name: field.default for name, field in sdk.__dataclass_fields__.items()}
    assert MODEL[cls].tag == defaults["odata_type"]
    for field in MODEL[cls].fields:
        assert hints[field.name] == f"Optional[{described(field.type)}]", field.name


def test_each_enumeration_has_the_names_that_the_sdk_has() -> None:
    enumerations = {
        node.cls
        for cls in MODEL
        for field in MODEL[cls].fields
        for node in parts(field.type)
        if isinstance(node, inspect.EnumType)
    }
    assert len(enumerations) == 14
    for enumeration in enumerations:
        assert issubclass(enumeration, Choice)
        assert {choice.value for choice in enumeration} <= {choice.value for choice in sdk_class(enumeration)}


def parts(node: Any) -> Iterator[Any]:
    inner = [*getattr(node, "types", ())] + ([node.item_type] if hasattr(node, "item_type") else [])
    if not inner:
        yield node
    for part in inner:
        yield from parts(part)


def described(node: Any) -> str:
    """A type of the wire model as the SDK annotates it."""
    match node:
        case inspect.UnionType():
            names = {described(part) for part in node.types if not isinstance(part, inspect.NoneType)}
            if names == {"FileAttachment", "ItemAttachment", "BlobAttachment"}:
                return "Attachment"
            return "OutlookItem" if "Event" in names else names.pop()
        case inspect.VarTupleType():
            return f"list[{described(node.item_type)}]"
        case inspect.StructType() | inspect.EnumType():
            return node.cls.__name__
        case inspect.StrType():
            return "str"
        case inspect.DateTimeType():
            return f"datetime.{datetime.__name__}"
        case inspect.DateType():
            return f"datetime.{date.__name__}"
        case _:
            return type(node).__name__.removesuffix("Type").lower()
