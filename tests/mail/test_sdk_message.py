import base64
import json
from collections.abc import Iterator
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


@pytest.mark.parametrize("enumeration", Choice.__subclasses__())
def test_each_enumeration_has_the_names_that_the_sdk_has(enumeration: type[Choice]) -> None:
    assert {choice.value for choice in enumeration} <= {choice.value for choice in sdk_class(enumeration)}
