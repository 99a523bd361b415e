import base64
import copy
import json
import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.delivery.outbox_mail import outbox_mail
from shared.errors import Malformed
from shared.mail import limits
from shared.mail.marker import MARKER_GUID, MARKER_PROPERTY
from shared.mail.model import BlobAttachment
from shared.mail.parse import send_mail

SHAPE = "RequestBodyRead"
OUTER = "UnableToDeserializePostBody"
HEADERS = "InvalidInternetMessageHeaderCollection"
RECIPIENTS = "ErrorInvalidRecipients"
FILE = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "QQ=="}
ITEM = {"@odata.type": "#microsoft.graph.itemAttachment", "name": "a"}
BLOB = {"@odata.type": "#mailroom.blobAttachment", "name": "x", "blob": "reports/x"}
EVENT, CONTACT, MESSAGE = ({"@odata.type": f"#microsoft.graph.{kind}"} for kind in ("event", "contact", "message"))
NESTED = (
    b'[{"@odata.type": "microsoft.graph.itemAttachment", "name": "a", '
    b'"item": {"@odata.type": "microsoft.graph.message", "attachments": '
)
MICROSOFTS_EXAMPLE = b"""{
  "message": {
    "subject": "Meet for lunch?",
    "body": {
      "contentType": "Text",
      "content": "The new cafeteria is open."
    },
    "toRecipients": [
      {
        "emailAddress": {
          "address": "fannyd@contoso.onmicrosoft.com"
        }
      }
    ],
    "ccRecipients": [
      {
        "emailAddress": {
          "address": "danas@contoso.onmicrosoft.com"
        }
      }
    ]
  },
  "saveToSentItems": "false"
}"""


def recipient(address: str = "adele@contoso.test", **more: Any) -> dict[str, Any]:
    return {"emailAddress": {"address": address} | more}


def body(**message: Any) -> dict[str, Any]:
    return {"message": {"toRecipients": [recipient()]} | message}


def headers(*names: str, value: str = "1") -> dict[str, Any]:
    return body(internetMessageHeaders=[{"name": name, "value": value} for name in names])


def files(*attachments: Any) -> dict[str, Any]:
    return body(attachments=list(attachments))


def without(name: str, of: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in of.items() if key != name}


def extended(property_id: str, kind: str = "single", value: Any = "1") -> dict[str, Any]:
    return {f"{kind}ValueExtendedProperties": [{"id": property_id, "value": value}]}


def attached(item: Any, times: int = 1) -> dict[str, Any]:
    for _ in range(times):
        item = MESSAGE | {"attachments": [ITEM | {"item": item}]}
    return body(attachments=item["attachments"])


def written(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def refusal(value: Any, read: Any = send_mail) -> Malformed:
    with pytest.raises(Malformed) as caught:
        read(written(value))
    return caught.value


NOT_JSON = [
    b"", b" \n\t", b"To: adele@contoso.test", b'{"message": {"subject": "x', b"{} {}", b'{"a": "\xff"}',
    '{"message": {}}'.encode("utf-16")[:-1], b'{"message": NaN}', b'{"message": ' + b"9" * 5000 + b"}",
    b'{"message": \x01{}}', b"[" * 50_000, b'{"a":' * 50_000,
    b'{"message": {"toRecipients": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
]  # fmt: skip
FIRST, ITEM_AT, HEADER = ".attachments[0]", ".attachments[0].item", ".internetMessageHeaders[0]"
# By the code: what is wrong, the body, the path
MALFORMED: dict[str, dict[str, tuple[Any, str]]] = {
    "BadRequest": {
        **{f"not JSON, {at}": (text, "$") for at, text in enumerate(NOT_JSON)},
        "a forged marker": (body(**extended(MARKER_PROPERTY)), ".singleValueExtendedProperties[0].id"),
        "a forged marker of many values": (
            body(**extended(MARKER_PROPERTY, "multi", ["1"])), ".multiValueExtendedProperties[0].id",
        ),
        "a forged marker in other letters": (
            body(**extended(f"string  {MARKER_GUID.upper()} NAME\u00a0mailroomid ")),
            ".singleValueExtendedProperties[0].id",
        ),
        "a forged marker in an attached message": (
            attached(MESSAGE | extended(MARKER_PROPERTY)), f"{ITEM_AT}.singleValueExtendedProperties[0].id",
        ),
        "11 items within one another": (attached(MESSAGE, 11), ITEM_AT * 11),
        "2,000 items within one another": (
            b'{"message": {"toRecipients": [{"emailAddress": {"address": "a@b.test"}}], "attachments": '
            + NESTED * 2000 + b"[]" + b"}}]" * 2000 + b"}}", "$",
        ),
        "100,000 values": (b'{"message": {"toRecipients": [' + b"0," * 100_000 + b"0]}}", "$"),
        "251 attachments": (body(attachments=[FILE] * 251), ".attachments[250]"),
        "101 categories": (body(categories=["x"] * 101), ".categories[100]"),
    },
    "ErrorMissingRecipients": {
        "UTF-16 of a message to nobody": ('{"message": {}}'.encode("utf-16"), "$.message"),
        "no recipients": ({"message": {"subject": "x"}}, "$.message"),
        "empty lists of recipients": ({"Message": {"toRecipients": []}}, "$.Message"),
        "only reply-to": ({"message": {"replyTo": [recipient()]}}, "$.message"),
    },
    OUTER: {
        "an array": ([], "$"),
        "null": (None, "$"),
        "an empty object": ({}, "$.message"),
        "a message that is null": ({"Message": None}, "$.Message"),
        "a message that is a string": ({"Message": "hello"}, "$.Message"),
        "an unknown property": (body() | {"priority": 1}, "$.priority"),
        "an odd property": (body() | {"x y": 1}, '$["x y"]'),
        "a long property": (body() | {"x" * 500: 1}, f'$["{"x" * 60}\\u2026"]'),
        "another case of a property": (body() | {"savetosentitems": True}, "$.savetosentitems"),
        "both spellings of message": (body() | {"Message": {}}, "$.Message"),
        "both spellings of saveToSentItems": (
            {"SaveToSentItems": True, "saveToSentItems": True} | body(), "$.saveToSentItems",
        ),
        "saveToSentItems as another word": (body() | {"saveToSentItems": "no"}, "$.saveToSentItems"),
        "saveToSentItems as a number": (body() | {"SaveToSentItems": 0}, "$.SaveToSentItems"),
    },
    RECIPIENTS: {
        "a recipient without emailAddress": (body(toRecipients=[recipient(), {}]), ".toRecipients[1].emailAddress"),
        "a recipient without address": (
            body(toRecipients=[{"emailAddress": {"name": "A"}}]), ".toRecipients[0].emailAddress.address",
        ),
        "from without address": (body(**{"from": {"emailAddress": {}}}), ".from.emailAddress.address"),
        "501 recipients": (body(toRecipients=[recipient()] * 501), ".toRecipients[500]"),
        "501 recipients in all": (
            body(toRecipients=[recipient()] * 200, ccRecipients=[recipient()] * 200, bccRecipients=[recipient()] * 101),
            ".bccRecipients[100]",
        ),
        "a bad address of an attendee": (
            attached(EVENT | {"attendees": [recipient("x")]}), f"{ITEM_AT}.attendees[0].emailAddress.address",
        ),
        "2,001 addresses in all": (
            attached(EVENT | {"attendees": [recipient()] * 2001}), f"{ITEM_AT}.attendees[1999].emailAddress",
        ),
    },
    HEADERS: {
        "6 headers": (headers(*(f"x-{n}" for n in range(6))), ".internetMessageHeaders[5]"),
        "a header without x-": (headers("x-a", "Received"), ".internetMessageHeaders[1].name"),
        "a header of x- alone": (headers("x-"), f"{HEADER}.name"),
        "a header name with a colon": (headers("x-a:b"), f"{HEADER}.name"),
        "a header name of two lines": (headers("x-a\n"), f"{HEADER}.name"),
        "a header value of two lines": (headers("x-a", value="1\r\nBcc: x@y.test"), f"{HEADER}.value"),
        "a header without value": (body(internetMessageHeaders=[{"name": "x-a"}]), f"{HEADER}.value"),
        "a forged header": (headers("X-MailRoom-Id"), f"{HEADER}.name"),
    },
    SHAPE: {
        # types at every level
        "a property named like an error": (body(**{"x - at `$x y`": 1}), '$.message["x - at `$x y`"]'),
        "an unknown property": (body(colour="red"), ".colour"),
        "a capital property": (body(Subject="x"), ".Subject"),
        "a path as it was written": ({"Message": {"colour": 1}}, "$.Message.colour"),
        "the first of two faults": (b'{"message": {"zzz": 1, "subject": 2}}', ".zzz"),
        "a subject that is a number": (body(subject=1), ".subject"),
        "content that is a list": (body(body={"content": ["x"]}), ".body.content"),
        "an unknown importance": (body(importance="urgent"), ".importance"),
        "importance as a number": (body(importance=1), ".importance"),
        "a boolean as a string": (body(isReadReceiptRequested="true"), ".isReadReceiptRequested"),
        "categories that are a string": (body(categories="red"), ".categories"),
        "a category that is null": (body(categories=["red", None]), ".categories[1]"),
        "an empty category": (body(categories=[""]), ".categories[0]"),
        "a flag's unknown status": (body(flag={"flagStatus": "red"}), ".flag.flagStatus"),
        "a flag's date as text": (body(flag={"dueDateTime": "2026-01-01"}), ".flag.dueDateTime"),
        "the type of something else": (body(**EVENT), ".@odata.type"),
        "an unknown type": (body(sender=recipient() | {"@odata.type": "#x.y"}), ".sender.@odata.type"),
        "a recipient that is a string": (body(ccRecipients=["a@b.test"]), ".ccRecipients[0]"),
        "a recipient that is null": (body(bccRecipients=[None]), ".bccRecipients[0]"),
        "an address that is null": (
            body(replyTo=[{"emailAddress": {"address": None}}]), ".replyTo[0].emailAddress.address",
        ),
        "a name of two lines": (body(sender=recipient(name="A\r\nBcc: x@y.test")), ".sender.emailAddress.name"),
        "an extended property whose value is no string": (
            body(**extended("Integer 0x0E07", value=1)), ".singleValueExtendedProperties[0].value",
        ),
        # attachments
        "an attachment without type": (files({"name": "a", "contentBytes": "QQ=="}), f"{FIRST}.@odata.type"),
        "an attachment of another type": (files(FILE | MESSAGE), f"{FIRST}.@odata.type"),
        "an attachment by reference": (
            files({"@odata.type": "microsoft.graph.ReferenceAttachment", "name": "a"}), f"{FIRST}.@odata.type",
        ),
        "a file without name": (files(without("name", FILE)), f"{FIRST}.name"),
        "a file without content": (files(FILE, without("contentBytes", FILE)), ".attachments[1].contentBytes"),
        **{f"base64 that is none, {text!r}": (files(FILE | {"contentBytes": text}), f"{FIRST}.contentBytes")
           for text in ("QQ==QQ==", "\x0bQQ==", "!", "QQ", "-_-_")},
        "a file name of two lines": (files(FILE | {"name": "a\nb"}), f"{FIRST}.name"),
        "a file's unsupported contentLocation": (files(FILE | {"contentLocation": "x"}), f"{FIRST}.contentLocation"),
        "a blob by a name that could be another's": (files(BLOB | {"blob": "reports/../mail-dead/x"}), f"{FIRST}.blob"),
        "a blob without name": (files(without("name", BLOB)), f"{FIRST}.name"),
        "a blob whose size is said": (files(FILE, BLOB | {"size": 1}), ".attachments[1].size"),
        "a blob whose version is said": (files(BLOB | {"etag": "1"}), f"{FIRST}.etag"),
        "a blob with content": (files(BLOB | {"contentBytes": "QQ=="}), f"{FIRST}.contentBytes"),
        "a blob in an attached message": (attached(MESSAGE | {"attachments": [BLOB]}), f"{ITEM_AT}.attachments[0]"),
        "an attached item without type": (attached({"subject": "x"}), f"{ITEM_AT}.@odata.type"),
        "an attached item of another type": (
            attached({"@odata.type": "#microsoft.graph.post"}), f"{ITEM_AT}.@odata.type",
        ),
        "an attached event's unknown property": (attached(EVENT | {"colour": "red"}), f"{ITEM_AT}.colour"),
        "an attached contact's birthday without offset": (
            attached(CONTACT | {"birthday": "2000-01-01T00:00:00"}), f"{ITEM_AT}.birthday",
        ),
        "an infinite latitude": (
            written(attached(EVENT | {"location": {"coordinates": {"latitude": 0}}})).replace(b": 0}", b": 1e999}"),
            f"{ITEM_AT}.location.coordinates.latitude",
        ),
        "a fault within ten items": (attached(MESSAGE | {"a": 1}, 10), ITEM_AT * 10 + ".a"),
        # what readers of JSON pass over
        "a property twice": (b'{"message": {"body": {"content": "1", "content": "2"}}}', ".body.content"),
        "a property twice beside a raw line end": (
            b'{"message": {"body": {"content": "a\nb", "content": "2"}}}', ".body.content",
        ),
        "message twice": (b'{"message": {"subject": "1"}, "message": {"subject": "2"}}', "$.message"),
        "a hidden property twice": (b'{"message": {"a": {"b": 1, "b": 2}, "a": 1}}', ".a"),
        "half of a surrogate pair": (rb'{"message": {"subject": "\ud83d"}}', ".subject"),
        "half of a surrogate pair in a name": (rb'{"message": {"\udc00": 1}}', "$.message"),
        "an annotation that binds": (body(**{"attachments@odata.bind": ["x"]}), ".attachments@odata.bind"),
        "an annotation of the outer object that removes": (body() | {"@odata.removed": {}}, "$.@odata.removed"),
    },
}  # fmt: skip


def rows(table: dict[str, dict[str, tuple[Any, str]]]) -> list[Any]:
    return [
        pytest.param(wrong, code, path, id=name)
        for code, faults in table.items()
        for name, (wrong, path) in faults.items()
    ]


@pytest.mark.parametrize(("wrong", "code", "path"), rows(MALFORMED))
def test_a_malformed_body_is_refused_with_graphs_code_and_the_path_of_the_fault(
    wrong: Any, code: str, path: str
) -> None:
    error = refusal(wrong)
    assert (error.status, error.code, error.path) == (400, code, path if path.startswith("$") else f"$.message{path}")
    assert len(str(error)) < 600


@pytest.mark.parametrize("address", ["", "a@b.test\n", "Adele <a@b.test>", "a@b.test;c@d.test", "a" * 400 + "@b.test"])
def test_what_is_no_address_is_refused_wherever_it_stands(address: str) -> None:
    for name, value, at in [("toRecipients", [recipient(address)], "[0]"), ("from", recipient(address), "")]:
        error = refusal(body(**{name: value}))
        assert (error.code, error.path) == (RECIPIENTS, f"$.message.{name}{at}.emailAddress.address")


def test_every_address_goes_on_in_its_canonical_form_in_attached_items_too() -> None:
    there = recipient("Jane.Doe@B\u00fccher.Example")
    event = {"@odata.type": "#microsoft.graph.event", "attendees": [there]}
    attached = {"@odata.type": "#microsoft.graph.itemAttachment", "name": "a", "item": event}
    names = ("toRecipients", "ccRecipients", "bccRecipients", "replyTo")
    mail = send_mail(
        written(body(**{name: [there] for name in names}, **{"from": there, "sender": there}, attachments=[attached]))
    )
    found = re.findall(r'"address":"([^"]*)"', msgspec.json.encode(mail).decode())
    assert found == ["Jane.Doe@xn--bcher-kva.example"] * 7


@pytest.mark.parametrize("sender", ["a@\uff43ontoso.com", "a@contoso.com.", "a@b@c.test", "a@", "@b.test"])
def test_a_message_names_its_mailbox_in_one_way(sender: str) -> None:
    for spelling in ("Alerts@B\u00dcCHER.example", "alerts@XN--bcher-kva.example"):
        assert outbox_mail(written({"sender": spelling} | body())).sender == "alerts@xn--bcher-kva.example"
    with pytest.raises(Malformed) as caught:
        outbox_mail(written({"sender": sender} | body()))
    assert caught.value.path == "$.sender"


def test_the_answer_says_what_is_expected() -> None:
    refused = str(refusal(body(importance="secret words")))
    assert "low, normal, high" in refused
    assert "secret" not in refused, "no value of the body"
    assert "text, html" in str(refusal(body(body={"contentType": "rtf"})))
    assert "#microsoft.graph.fileAttachment, #microsoft.graph.itemAttachment" in str(refusal(body(attachments=[{}])))
    assert "Found integer, expected string" in str(refusal(body(subject=1)))
    assert "Found string, expected array" in str(refusal(body(toRecipients="a@b.test")))
    assert "one line" in str(refusal(body(attachments=[FILE | {"name": "a\nb"}])))
    assert "line 2, column 3 (character 4)" in str(refusal(b"{\n  message}"))
    assert "cannot attach by reference" in str(
        refusal(body(attachments=[{"@odata.type": "#microsoft.graph.referenceAttachment"}]))
    )


def test_a_body_of_5_mb_is_refused_unread_with_413() -> None:
    error = refusal(b"[" * 5_000_000)
    assert (error.status, error.code, error.path) == (413, "RequestEntityTooLarge", "$")
    assert str(limits.MAX_REQUEST) in str(error)


@pytest.mark.parametrize("kind", ["#mailroom.blobAttachment", "mailroom.blobattachment", "#MAILROOM.BLOBATTACHMENT"])
def test_an_attachment_by_reference_is_read_with_its_type_in_any_case(kind: str) -> None:
    attachment = BLOB | {"@odata.type": kind, "contentType": "x/y", "isInline": True, "contentId": "c", "size": None}
    [read] = send_mail(written(body(attachments=[attachment]))).message.attachments or ()
    assert read == BlobAttachment(name="x", blob="reports/x", content_type="x/y", is_inline=True, content_id="c")


def test_a_larger_body_is_read_where_the_caller_of_send_mail_allows_it() -> None:
    large = body(attachments=[FILE | {"contentBytes": base64.b64encode(bytes(3_000_000)).decode()}])
    assert send_mail(written(large), max_size=10_000_000).message.attachments


def test_microsofts_example_is_read_with_its_false_as_a_string() -> None:
    mail = send_mail(MICROSOFTS_EXAMPLE)
    assert mail.save_to_sent_items is False
    assert mail.message.subject == "Meet for lunch?"
    assert mail.message.cc_recipients is not None


@pytest.mark.parametrize(
    ("value", "saved"),
    [(True, True), (False, False), ("true", True), ("FALSE", False), ("False", False), (None, True), (..., True)],
)
@pytest.mark.parametrize("name", ["saveToSentItems", "SaveToSentItems"])
def test_save_to_sent_items_is_a_boolean_or_its_name_and_true_unless_said(name: str, value: Any, saved: bool) -> None:  # noqa: FBT001 - a value of the table
    given_body = body() if value is ... else body() | {name: value}
    assert send_mail(written(given_body)).save_to_sent_items is saved


def test_case_of_names_order_blanks_nulls_and_annotations_make_no_difference() -> None:
    plain = send_mail(written(body(importance="high", subject="x")))
    other = {
        "SaveToSentItems": "True",
        "@odata.context": "x",
        "Message": {
            "@odata.type": "MICROSOFT.GRAPH.MESSAGE", "@odata.etag": "x", "subject": "x",
            "importance@odata.type": "#microsoft.graph.importance", "importance": "HIGH",
            "toRecipients@odata.type": "#Collection(microsoft.graph.recipient)", "toRecipients": [recipient()],
            "ccRecipients": None,
        },
    }  # fmt: skip
    assert send_mail(b"\xef\xbb\xbf" + json.dumps(other, indent=3).encode()) == plain


def described(text: bytes) -> str:
    """The path of the fault, `$` if there is none; its sentence can be written to a log."""
    try:
        send_mail(text)
    except Malformed as error:
        str(error).encode()
        return error.path or ""
    return "$"


@given(st.data())
def test_a_body_with_one_value_replaced_by_any_other_is_read_or_refused_and_never_fails(data: st.DataObject) -> None:
    """No exception but Malformed, whatever stands where."""
    whole = {
        "message": {
            "subject": "x",
            "body": {"contentType": "text", "content": "y"},
            "toRecipients": [recipient()],
            "flag": {"flagStatus": "flagged", "startDateTime": {"dateTime": "2026-01-01", "timeZone": "UTC"}},
            "internetMessageHeaders": [{"name": "x-a", "value": "1"}],
            "singleValueExtendedProperties": [{"id": "String 0x1042", "value": "1"}],
            "attachments": [FILE, ITEM | {"item": {"@odata.type": "#microsoft.graph.message", "subject": "x"}}],
        },
        "saveToSentItems": True,
    }
    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.text(max_size=3) | st.just("@odata.type"), inner, max_size=2)
        ),
        max_leaves=4,
    )
    wrong = copy.deepcopy(whole)
    node: Any = wrong
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if isinstance(node[key], dict | list) and node[key] and data.draw(st.booleans()):
            node = node[key]
        else:
            node[key] = data.draw(json_values)
            break
    assert described(json.dumps(wrong).encode()).startswith("$")


@given(st.binary(max_size=30))
def test_any_bytes_are_refused_and_nothing_else_happens(noise: bytes) -> None:
    for read in (send_mail, outbox_mail):
        with pytest.raises(Malformed):
            read(noise)


RAW = [
    # where it stands, how clients write it, and whether that place takes it
    (body(subject="%b"), rb"\n", True),
    (body(body={"content": "%b"}), rb"a\r\n\tb", True),
    (body(toRecipients=[recipient(name="A%b")]), rb"\n", False),
    (body(toRecipients=[recipient("a@b.test%b")]), rb"\n", False),
    (headers("x-a", value="1%b"), rb"\r\nBcc: c@d.test", False),
]


@pytest.mark.parametrize(("whole", "escaped", "taken"), RAW)
def test_a_control_character_is_taken_or_refused_raw_as_it_is_escaped(
    whole: Any, escaped: bytes, *, taken: bool
) -> None:
    """Here-strings and templates put line ends into strings as they are; there is one reading of that."""

    def outcome(body: bytes) -> Any:
        try:
            return send_mail(body)
        except Malformed as error:
            return error.code, error.path, error.message

    text, raw = written(whole), escaped.replace(rb"\r", b"\r").replace(rb"\n", b"\n").replace(rb"\t", b"\t")
    assert outcome(text % raw) == outcome(text % escaped)
    assert isinstance(outcome(text % raw), tuple) is not taken


def test_a_body_that_is_broken_otherwise_has_the_place_of_the_strict_reader() -> None:
    for wrong, place in (
        (b'{"message": {"subject": "a\nb"}, }', "line 1, column 27"),  # the line end, which comes first
        (b'{"message": , "subject": "a\nb"}', "line 1, column 13"),
        (b'{\n  "message": {"subject": "a', "line 2, column 26"),
    ):
        assert place in str(refusal(wrong))
        assert "line" in str(refusal(b'{"sender": "x", ' + wrong[1:], outbox_mail))


# The queue


def outbox(**more: Any) -> dict[str, Any]:
    return {"sender": "alerts@contoso.test"} | body(subject="x") | more


def test_a_message_of_mail_outbox_gives_sender_mail_key_and_time() -> None:
    told = {"saveToSentItems": False, "key": "order-1", "notBefore": "2026-07-01T08:00:00+02:00", "thread": "é"}
    read = outbox_mail(written(outbox(**told)))
    assert (read.sender, read.key, read.mail.save_to_sent_items) == ("alerts@contoso.test", "order-1", False)
    assert read.thread == "é"
    assert read.not_before == datetime(2026, 7, 1, 6, tzinfo=UTC)
    assert read.not_before.tzinfo is UTC
    assert read.mail.message == send_mail(written(body(subject="x"))).message
    assert outbox_mail(written(outbox(key=None, notBefore=None, thread=None))) == outbox_mail(written(outbox()))


def wrong_outbox(name: str, values: list[Any]) -> dict[str, tuple[Any, str]]:
    return {f"{name}: {str(value)[:20]!r}": (outbox(**{name: value}), f"$.{name}") for value in values}


MALFORMED_OUTBOX: dict[str, dict[str, tuple[Any, str]]] = {
    "BadRequest": {
        "empty": (b"", "$"),
        "neither": (b"hello, world", "$"),
        "base64 of noise": (base64.b64encode(b"\xff\xfe"), "$"),
        "two names for one property": (outbox(key="a") | {"Key": "a"}, "$.Key"),
        "two names deep within": (outbox(message={"subject": "x", "Subject": "y"}), "$.message.Subject"),
    },
    OUTER: {
        "base64 of a list": (base64.b64encode(b"[]"), "$"),
        "no sender": (body(), "$.sender"),
        "no message": ({"sender": "a@b.test"}, "$.message"),
        "a key with a line end as it is": (written(outbox(key="k")).replace(b'"k"', b'"a\nb"'), "$.key"),
        **wrong_outbox("sender", ["", None, "a b@c.test", "a@c.test\n"]),
        **wrong_outbox("key", ["", "a\nb", "k" * 257, 1.5, True, 10**300]),
        **wrong_outbox("thread", [" ", "two\nlines", "\x07", "x" * 257]),
        **wrong_outbox("notBefore", ["2026-07-01T08:00:00", "2026-07-01", 1_782_000_000, "0001-01-01T00:00:00+14:00"]),
        **{
            f"the field {name} of mail-work": (outbox(**{name: value}), f"$.{name}")
            for name, value in {
                "v": 1,
                "id": "0" * 32,
                "payload": "x",
                "released": "x",
                "replay": 1,
                "mail": {},
            }.items()
        },
    },
    SHAPE: {"a fault in the message": (outbox(message={"colour": 1}), "$.message.colour")},
}


@pytest.mark.parametrize(("wrong", "code", "path"), rows(MALFORMED_OUTBOX))
def test_a_malformed_message_of_mail_outbox_is_refused_with_code_and_path(wrong: Any, code: str, path: str) -> None:
    error = refusal(wrong, outbox_mail)
    assert (error.status, error.code, error.path) == (400, code, path)
