"""Messages of the queues, in whatever wrapping they come."""

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.delivery.outbox_mail import outbox_mail
from shared.delivery.queue_messages import ProducerMessage, apart
from shared.errors import Malformed
from shared.parsing.producer_messages import elements, numbers_as_text, renamed, unwrapped

OBJECT = '{"a": "ü"}'.encode()

type Wrap = Callable[[bytes], bytes]
LAYERS: list[Wrap] = [base64.b64encode, base64.encodebytes, lambda body: json.dumps(body.decode()).encode()]
DRESSES: list[Wrap] = [
    lambda body: body, lambda body: b"\xef\xbb\xbf" + body, lambda body: b" \r\n" + body + b"\n",
    lambda body: body.decode().encode("utf-16"), lambda body: body.decode().encode("utf-16-be"),
]  # fmt: skip
MARKED = DRESSES[3:]  # bytes that only base64 can carry


@given(st.sampled_from(DRESSES), st.lists(st.tuples(st.sampled_from(LAYERS), st.sampled_from(DRESSES)), max_size=4))
def test_an_object_comes_out_of_up_to_four_wrappings_in_any_order(
    first: Wrap, wrappings: list[tuple[Wrap, Wrap]]
) -> None:
    body, dressed = OBJECT, first
    for layer, dress in wrappings:
        body = (base64.b64encode if dressed in MARKED else layer)(dressed(body))
        dressed = dress
    assert unwrapped(dressed(body)) == OBJECT
    for _ in range(5 - len(wrappings)):
        body, dressed = base64.b64encode(dressed(body)), DRESSES[0]
    with pytest.raises(Malformed, match="more than 4 layers"):
        unwrapped(body)


@pytest.mark.parametrize(
    "body",
    [
        b"hello", b"4711", b"null", b'"hello"', b'"unfinished', b"{}"[:0] + b"=", base64.b64encode(b"hello, world"),
        b'""""', rb'"\ud800"', rb'"{\"a\": \"\udfff\"}"',
    ],
)  # fmt: skip
def test_what_holds_no_object_is_refused_or_empty(body: bytes) -> None:
    with suppress(Malformed):
        assert not unwrapped(body)


@pytest.mark.parametrize("padded", [True, False])
def test_base64_for_urls_and_without_padding_is_base64(padded: bool) -> None:  # noqa: FBT001 - the case
    text = '{"a": "??>>~~\u00ff\u00fe??>"}'
    encoded = base64.urlsafe_b64encode(text.encode())
    assert {b"-", b"_"} & {bytes([byte]) for byte in encoded}
    assert unwrapped(encoded if padded else encoded.rstrip(b"=")) == text.encode()
    for broken in (base64.b64encode(b'{"a": "\xfc"}'), b'"{\\"a\\": \\"\xfc\\"}"'):
        assert unwrapped(broken) == b'{"a": "\xfc"}', "bytes that are no UTF-8 are left for who reads the text"


def test_a_message_that_is_json_in_a_text_is_what_that_says() -> None:
    message = {"subject": "x", "toRecipients": [{"emailAddress": {"address": "ada@contoso.test"}}]}
    inner, outer = json.dumps(message), {"sender": "alerts@contoso.test"}
    plain = outbox_mail(json.dumps(outer | {"message": message}).encode())
    for name in ("message", "Message"):
        assert outbox_mail(json.dumps(outer | {name: inner}).encode()) == plain
    with pytest.raises(Malformed, match=r"\$\.message: \$.*|comma") as caught:
        outbox_mail(json.dumps(outer | {"message": inner[:-1] + ",}"}).encode())
    assert caught.value.path == "$.message: $"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (OBJECT, None),
        (b"[1]", [b"1"]),
        (b' [ {"a": 1, "a": 2} ,\r\n"x" ]', [b'{"a": 1, "a": 2}', b'"x"']),  # as written, what is wrong included
        (b'["a\nb", {}]', [b'"a\nb"', b"{}"]),
        (b'["\xfc"]', [b'"\xfc"']),
        (base64.b64encode(b"[[1], 2]"), [b"[1]", b"2"]),
        (b'"[1, 2]"', [b"1", b"2"]),
    ],
)
def test_an_array_is_its_elements_as_they_were_written(body: bytes, expected: list[bytes] | None) -> None:
    assert elements(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"[ ]", b"[" + b"{}," * 1000 + b"{}]", b"[1", b"[1,]", b"[1] 2", b"[" * 300 + b"]" * 300,
        b"[" + b"1" * 9000 + b"]",
    ],
)  # fmt: skip
def test_an_array_that_is_empty_or_broken_is_refused_whole(body: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        elements(body)
    assert (refused.value.status, refused.value.path) == (400, "$")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(json_values, min_size=1, max_size=5), st.sampled_from([None, 2]))
def test_any_array_comes_apart_into_what_was_put_together(values: list[Any], indent: int | None) -> None:
    found = elements(json.dumps(values, indent=indent, ensure_ascii=indent is None).encode())
    assert found is not None
    assert [json.loads(one) for one in found] == values


@given(st.binary(max_size=100))
def test_any_bytes_come_apart_or_are_refused(body: bytes) -> None:
    for read in (unwrapped, elements):
        with suppress(Malformed):
            read(body)


def test_each_element_is_a_message_under_an_id_that_stays_the_same() -> None:
    """So that an array that is delivered twice is its mails once."""
    message = ProducerMessage(
        v=1, id="0" * 32, queue="mail-outbox", inserted_at=datetime.now(UTC), body=b'[{"a": 1}, {"a": 1}]'
    )
    first, second = apart(message) or []
    assert (first.body, second.body) == (b'{"a": 1}', b'{"a": 1}')
    assert len({message.id, first.id, second.id}) == 3
    assert apart(message) == [first, second]
    assert first.inserted_at == message.inserted_at
    assert apart(first) is None


def test_names_are_read_in_any_case_and_others_stay() -> None:
    names = {"key": "key", "torecipients": "toRecipients"}
    tree = {"Key": [{"TORECIPIENTS": 1, "Other": {"KEY": 2}}]}
    assert renamed(tree, names) == {"key": [{"toRecipients": 1, "Other": {"key": 2}}]}
    assert renamed(tree, names, deep=False) == {"key": tree["Key"]}


def test_two_names_for_one_property_are_refused_at_the_second() -> None:
    for tree, path in (
        ({"key": 1, "Key": 1}, "$.Key"),
        ({"a": [0, {"x y": {"KEY": 1, "key": None}}]}, '$.a[1]["x y"].key'),
    ):
        with pytest.raises(Malformed, match="Found both") as refused:
            renamed(tree, {"key": "key"})
        assert refused.value.path == path


def test_whole_numbers_are_names_and_nothing_else_is() -> None:
    tree = {"a": 4711, "b": True, "c": 1.5, "d": None, "e": "x", "f": -1}
    numbers_as_text(tree, *"abcdefg")
    assert tree == {"a": "4711", "b": True, "c": 1.5, "d": None, "e": "x", "f": "-1"}


PASCAL = {
    "Sender": "alerts@contoso.test",
    "Key": 4711,
    "SaveToSentItems": "False",
    "NotBefore": None,
    "Mime": None,
    "Message": {
        "OdataType": None,
        "Subject": "x",
        "Body": {"ContentType": "Html", "Content": "y"},
        "ToRecipients": [{"EmailAddress": {"Address": "a@b.test", "Name": "A"}}],
        "InternetMessageHeaders": [{"Name": "X-A", "Value": "1"}],
        "SingleValueExtendedProperties": [{"Id": "String 0x1042", "Value": "1"}],
        "HasAttachments": True,
        "Attachments": [
            {"OdataType": "#Microsoft.Graph.FileAttachment", "Name": "a", "ContentBytes": "QQ==", "Size": 1},
            {
                "@odata.type": "#microsoft.graph.itemAttachment",
                "Name": "b",
                "Item": {"ODataType": "#microsoft.graph.message", "Subject": "z", "Id": "1"},
            },
        ],
    },
}


def test_a_mail_in_pascal_case_is_the_mail_in_camel_case() -> None:
    """As System.Text.Json writes classes of one's own, and the models of Graph's SDK."""

    def lowered(value: Any) -> Any:
        if isinstance(value, list):
            return [lowered(item) for item in value]
        if not isinstance(value, dict):
            return value
        odata = {"OdataType": "@odata.type", "ODataType": "@odata.type"}
        return {odata.get(name, name[0].lower() + name[1:]): lowered(item) for name, item in value.items()}

    pascal = outbox_mail(json.dumps(PASCAL).encode())
    assert pascal == outbox_mail(json.dumps(lowered(PASCAL)).encode())
    assert (pascal.key, pascal.sender, pascal.mail.save_to_sent_items) == ("4711", "alerts@contoso.test", False)
    assert len(pascal.mail.message.attachments or ()) == 2


def test_no_two_names_of_a_mail_differ_in_case_only() -> None:
    from shared.delivery.outbox_mail import names
    from shared.mail.graph_types import Property

    shapes: list[Any] = [Property]
    for shape in shapes:
        shapes += shape.__subclasses__()
    known = {name for shape in shapes for name in shape.__struct_encode_fields__}
    assert len({name.lower() for name in known}) == len(known)
    assert known <= set(names().values())
