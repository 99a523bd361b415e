"""CloudEvents over HTTP, as the official SDK for Python sends them."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Malformed
from shared.webhooks.sources.cloudevents import CloudEvents
from shared.webhooks.sources.eventgrid import EventGrid
from shared.webhooks.sources.source import RawRequest, Result, SourceEvent, WebhookReply
from tests.webhooks.sources.anything import events_or_malformed

SOURCE = CloudEvents()
ORDER = {"order": {"number": "A-1001", "total": 12.5, "note": "grüße"}}
ENVELOPE = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "https://shop.example.com/orders",
    "type": "com.example.order.placed",
    "subject": "A-1001",
    "time": "2026-11-22T09:59:58.123456789Z",
    "datacontenttype": "application/json",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "sequence": 7,
    "data": ORDER,
}


def sdk_event(data: Any = ORDER, **others: Any) -> BaseCloudEvent:
    attributes = {
        "id": "e-1",
        "source": "https://shop.example.com/orders",
        "type": "com.example.order.placed",
        "subject": "Bestellung „A 1001“ 100%",
        "time": datetime(2026, 11, 22, 9, 59, 58, tzinfo=UTC),
        "datacontenttype": "application/json",
        "partitionkey": "größe 5",
        **others,
    }
    return CloudEvent({name: value for name, value in attributes.items() if value is not None}, data)


def posted(message: HTTPMessage) -> RawRequest:
    return RawRequest(message.body, {name.lower(): value for name, value in message.headers.items()})


def read(body: bytes, headers: Mapping[str, str]) -> list[SourceEvent]:
    return SOURCE.events(RawRequest(body, headers))


def structured(value: Any) -> list[SourceEvent]:
    return read(json.dumps(value).encode(), {"content-type": "application/cloudevents+json; charset=utf-8"})


@pytest.mark.parametrize("send", [to_binary_event, to_structured_event])
def test_the_official_sdks_event_arrives_whole_in_binary_and_structured_mode(send: Any) -> None:
    (event,) = SOURCE.events(posted(send(sdk_event())))
    assert (event.id, event.source, event.type) == (
        "e-1",
        "https://shop.example.com/orders",
        "com.example.order.placed",
    )
    assert event.subject == "Bestellung „A 1001“ 100%"
    assert event.time == datetime(2026, 11, 22, 9, 59, 58, tzinfo=UTC)
    assert event.data == ORDER
    assert event.extensions == {"partitionkey": "größe 5", "datacontenttype": "application/json"}
    assert event.thread is None
    assert event.window is None


def test_a_batch_of_the_sdks_events_gives_one_event_each_in_their_order() -> None:
    format_ = JSONFormat()
    batch = [json.loads(format_.write(sdk_event(id=name))) for name in ("e-1", "e-2", "e-3")]
    events = read(json.dumps(batch).encode(), {"content-type": "application/cloudevents-batch+json"})
    assert [event.id for event in events] == ["e-1", "e-2", "e-3"]
    assert len({event.key for event in events}) == 3
    assert read(b"[]", {"content-type": "application/cloudevents-batch+json"}) == []


@pytest.mark.parametrize(
    ("data", "content_type", "expected"),
    [
        ("plain tëxt\n", "text/plain; charset=utf-8", "plain tëxt\n"),
        ("<a>ü</a>".encode("latin-1"), 'application/xml; charset="ISO-8859-1"', "<a>ü</a>"),
        (b"\x89PNG\r\n\x1a\n\x00", "image/png", {"data_base64": "iVBORw0KGgoA"}),
        (b"nul\x00", "text/plain", {"data_base64": "bnVsAA=="}),
        (b"\xff\xfd", "application/x-any; charset=rot13", {"data_base64": "//0="}),
        (b"caf\xe9", "text/plain; charset=rot13", "café"),
        ('{"a": "ü"}'.encode("latin-1"), "application/json; charset=iso-8859-1", {"a": "ü"}),
        ("ü".encode("utf-16"), "text/plain; charset=utf-16", "ü"),
        (b'{"a": 1}', "application/vnd.contoso+json", {"a": 1}),
        ({"a": 1}, None, {"a": 1}),
        (b"\x00\x01", None, {"data_base64": "AAE="}),
        (None, "application/json", None),
    ],
)
def test_binary_mode_takes_data_by_its_content_type_json_text_or_base64(
    data: Any, content_type: str | None, expected: Any
) -> None:
    (event,) = SOURCE.events(posted(to_binary_event(sdk_event(data, datacontenttype=content_type))))
    assert event.data == expected


@pytest.mark.parametrize(
    ("data", "content_type", "expected"),
    [
        (b'{"a": 1}', "application/json", {"a": 1}),
        (b"text", "text/plain", "text"),
        (b"\x89PNG\x00", "image/png", {"data_base64": "iVBORwA="}),
        (b"1", None, {"data_base64": "MQ=="}),
        ("text", "text/plain", "text"),
        (None, None, None),
    ],
)
def test_structured_mode_reads_data_base64_by_its_content_type_and_assumes_nothing_without(
    data: Any, content_type: str | None, expected: Any
) -> None:
    (event,) = SOURCE.events(posted(to_structured_event(sdk_event(data, datacontenttype=content_type))))
    assert event.data == expected


def test_the_key_is_source_id_and_type_and_all_that_the_event_says() -> None:
    """Some senders give one id to different events; what was only on its way in another way is the same."""

    def key(**changes: Any) -> str:
        return structured({**ENVELOPE, **changes})[0].key

    said = [key(type="other"), key(data=None), key(time="2026-11-22T11:00:00Z"), key(subject="other"), key(sequence=8)]
    assert len({key(), *said}) == len(said) + 1
    assert key() == key(traceparent="00-1-1-00", tracestate="a=b", datacontenttype="application/json; charset=utf-8")
    sent = [SOURCE.events(posted(send(sdk_event())))[0].key for send in (to_binary_event, to_structured_event)]
    assert sent[0] == sent[1] != key()
    assert (
        len({key(), key(id="e-2"), key(source="other"), key(source="e-1", id="https://shop.example.com/orders")}) == 4
    )


def test_extension_attributes_keep_their_types_and_what_cannot_be_read_is_kept_beside_them() -> None:
    (event,) = structured({**ENVELOPE, "dataschema": "https://example.com/s", "time": "yesterday"})
    assert event.time is None
    assert event.extensions == {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "sequence": 7,
        "datacontenttype": "application/json",
        "dataschema": "https://example.com/s",
        "time": "yesterday",
    }


@pytest.mark.parametrize("name", ["id", "source", "type", "specversion"])
def test_a_missing_required_attribute_is_malformed_and_named_in_each_mode(name: str) -> None:
    less = {key: value for key, value in ENVELOPE.items() if key != name}
    headers = {f"ce-{key}": str(value) for key, value in less.items() if key != "data"}
    batch = json.dumps([ENVELOPE, less]).encode()
    for expected, body, sent in (
        (f"$.{name}", json.dumps(less).encode(), {"content-type": "application/cloudevents+json"}),
        (f"$[1].{name}", batch, {"content-type": "application/cloudevents-batch+json"}),
        (f"ce-{name}", b"{}", {**headers, "content-type": "application/json"}),
    ):
        with pytest.raises(Malformed, match=name) as error:
            read(body, sent)
        assert (error.value.status, error.value.path) == (400, expected)


@pytest.mark.parametrize("value", ["", None, {}, [], True])
def test_an_empty_attribute_or_one_of_another_type_is_a_missing_one(value: Any) -> None:
    with pytest.raises(Malformed, match="no id"):
        structured({**ENVELOPE, "id": value})
    with pytest.raises(Malformed, match=r"Expected CloudEvents 1\.0"):
        structured({**ENVELOPE, "specversion": "0.3"})


def test_header_values_may_be_quoted_as_older_senders_do_and_are_percent_decoded_once() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": '"a \\"b\\""', "ce-source": "/x", "ce-type": "t%2520%c3%bc"}
    (event,) = read(b"", headers)
    assert (event.id, event.type) == ('a "b"', "t%20ü")
    with pytest.raises(Malformed, match="ce-id"):
        read(b"", {**headers, "ce-id": "%C0%A0"})  # no UTF-8


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/json"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/cloudevents+xml", "ce-id": "1"},
        {"content-type": "application/cloudevents-batch+avro"},
    ],
)
def test_a_content_type_that_is_none_of_the_three_modes_is_415_unless_the_body_is_an_event(
    headers: Mapping[str, str],
) -> None:
    """Many senders write whole events as application/json."""
    for body in (b"", b"{}", b"[]", b"[1]", json.dumps([ENVELOPE, {}]).encode()):
        with pytest.raises(Malformed, match=r"application/cloudevents\+json") as error:
            read(body, headers)
        assert error.value.status == 415
    assert SOURCE.reply(Result.UNSUPPORTED).status == 415
    assert read(json.dumps(ENVELOPE).encode(), headers) == structured(ENVELOPE)
    assert len(read(json.dumps([ENVELOPE, ENVELOPE]).encode(), headers)) == 2
    with pytest.raises(Malformed, match="line 1, column 2" if "json" in str(headers) else r"cloudevents\+json"):
        read(b"{", headers)
    with pytest.raises(Malformed, match="no type"):
        read(json.dumps({name: value for name, value in ENVELOPE.items() if name != "type"}).encode(), headers)


def test_an_event_in_headers_counts_before_one_in_its_body() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "outer", "ce-source": "/x", "ce-type": "t"}
    (event,) = read(json.dumps(ENVELOPE).encode(), {**headers, "content-type": "application/json"})
    assert (event.id, event.data) == ("outer", ENVELOPE)


@pytest.mark.parametrize(
    "written",
    [
        "naïve 日本",
        "naïve 日本".encode().decode("latin-1"),
        "naïve 日本".encode().decode("ascii", "surrogateescape"),
    ],
)
def test_utf_8_in_a_header_that_is_not_percent_encoded_is_read_whatever_the_server_made_of_it(written: str) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "t"}
    (event,) = read(b"", headers | {"ce-subject": written, "ce-owner": written})
    assert (event.subject, event.extensions["owner"]) == ("naïve 日本", "naïve 日本")
    (plain,) = read(b"", headers | {"ce-subject": "na\xefve"})
    assert plain.subject == "naïve", "what is no UTF-8 stays as it is"


def test_json_that_is_none_is_malformed_and_says_where() -> None:
    with pytest.raises(Malformed, match="line 1, column 2"):
        read(b"{", {"content-type": "application/cloudevents+json"})
    for value in ([ENVELOPE], "text", None):
        with pytest.raises(Malformed, match="a JSON object"):
            structured(value)
    with pytest.raises(Malformed, match="a JSON array"):
        read(json.dumps(ENVELOPE).encode(), {"content-type": "application/cloudevents-batch+json"})
    for broken in ("!", "é", 7, "AAA"):
        with pytest.raises(Malformed, match="data_base64"):
            structured({name: other for name, other in ENVELOPE.items() if name != "data"} | {"data_base64": broken})


def test_base64_in_lines_is_base64() -> None:
    """Ruby's `Base64.encode64` and `openssl base64` write it so."""
    data = base64.encodebytes(json.dumps({"text": "a" * 100}).encode()).decode()
    bare = {name: other for name, other in ENVELOPE.items() if name != "data"}
    for lines in (data, data.replace("\n", "\r\n")):
        (event,) = structured(bare | {"data_base64": lines, "datacontenttype": "application/json"})
        assert event.data == {"text": "a" * 100}


@pytest.mark.parametrize("source", [CloudEvents, EventGrid])
def test_options_grants_the_origin_that_asks_and_no_rate_is_no_limit(source: type[CloudEvents | EventGrid]) -> None:
    request = RawRequest(
        headers={"webhook-request-origin": "eventemitter.example.com", "webhook-request-rate": "120"}, method="OPTIONS"
    )
    granted = {"Allow": "POST", "WebHook-Allowed-Origin": "eventemitter.example.com", "WebHook-Allowed-Rate": "*"}
    assert source().preflight(request) == WebhookReply(200, granted)
    limited = source(allowed_rate=60).preflight(request)
    assert limited == WebhookReply(200, {**granted, "WebHook-Allowed-Rate": "60"})


@pytest.mark.parametrize("origin", [None, "", "a b", "x\r\nSet-Cookie: a=b", "é.example.com", "x" * 254])
def test_options_without_an_origin_grants_nothing_and_harms_nothing(origin: str | None) -> None:
    headers = {} if origin is None else {"webhook-request-origin": origin}
    assert SOURCE.preflight(RawRequest(headers=headers, method="OPTIONS")) == WebhookReply(200, {"Allow": "POST"})


@given(
    headers=st.dictionaries(
        st.sampled_from(["ce-id", "ce-source", "ce-type", "ce-specversion", "ce-time", "ce-x", "ce-data", "ce-"]),
        st.text() | st.just("1.0"),
        min_size=1,
    ),
    content_type=st.none() | st.text() | st.sampled_from(["application/json", "text/x;charset=utf-16", "a/b;charset"]),
    body=st.binary(),
)
def test_any_headers_and_bytes_give_events_or_malformed(
    headers: dict[str, str], content_type: str | None, body: bytes
) -> None:
    if content_type is not None:
        headers["content-type"] = content_type
    events_or_malformed(SOURCE, body, headers)


@given(data=st.binary(min_size=1))
def test_no_byte_of_data_is_lost(data: bytes) -> None:
    """What is neither JSON nor text comes back from base64 as it was."""
    (event,) = SOURCE.events(posted(to_binary_event(sdk_event(data, datacontenttype="image/png"))))
    kept = event.data.encode() if isinstance(event.data, str) else base64.b64decode(event.data["data_base64"])
    assert kept == data
