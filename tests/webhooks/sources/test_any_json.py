"""What senders of any JSON have in common: attributes by JMESPath, and what names an event."""

from typing import Any

import msgspec
import pytest

from shared.errors import Malformed
from shared.webhooks.sources.any_json import AnyJson
from shared.webhooks.sources.hmac_signed import Hmac
from shared.webhooks.sources.key import Key
from shared.webhooks.sources.source import RawRequest, SourceEvent
from tests.webhooks.sources.anything import event_of
from tests.webhooks.sources.signers import source_of

ORDER = {"kind": "order.paid", "id": 4711, "shop": {"name": "Läden"}, "at": "2026-11-22T09:58:20Z", "total": 12.5}


@pytest.mark.parametrize("body", [{"a": 1}, [1, 2], "text", 12.5, True, None])
def test_any_json_is_an_event(body: Any) -> None:
    event = event_of(Key(), body)
    assert event.data == body
    assert (event.type, event.source, event.subject, event.time, event.thread) == ("event", "key", None, None, None)


def test_the_attributes_stand_where_the_route_says() -> None:
    options = {
        "id": "data.id",
        "type": "data.kind",
        "source": "data.shop.name",
        "subject": "join(' ', [data.shop.name, to_string(data.id)])",
        "time": "data.at",
        "thread": "join('/', [data.shop.name, data.kind])",
        "key": 'headers."x-request-id"',
    }
    event = event_of(msgspec.convert(options, Key), ORDER, **{"x-request-id": "r-1"})
    assert event == SourceEvent(
        id="4711",
        type="order.paid",
        source="Läden",
        subject="Läden 4711",
        time=event.time,
        thread="Läden/order.paid",
        key="r-1",
        known_by="route-key",
        data=ORDER,
    )
    assert str(event.time) == "2026-11-22 09:58:20+00:00"


@pytest.mark.parametrize(
    ("value", "found"), [(1795341500, "09:58:20"), ("1795341500", "09:58:20"), ("soon", None), ([], None)]
)
def test_a_time_may_be_in_seconds_and_what_is_none_is_left_out(value: Any, found: str | None) -> None:
    time = event_of(Key(time="data"), value).time
    assert (time and f"{time:%H:%M:%S}") == found


@pytest.mark.parametrize(
    "expression", ["data.missing", "data.shop", "length(data.id)", "sum(data.shop)", "data.id.x", "join('', [data.id])"]
)
def test_what_an_expression_does_not_find_is_left_out(expression: str) -> None:
    """A function that meets a value of another type than it takes has found nothing: the mail goes all the same."""
    event = event_of(Key(subject=expression, type=expression, thread=expression), ORDER)
    assert (event.subject, event.type, event.thread) == (None, "event", None)


@pytest.mark.parametrize("option", ["key", "id", "type", "source", "subject", "time", "thread"])
@pytest.mark.parametrize("source", ["key", "hmac"])
def test_a_wrong_expression_is_an_error_when_the_route_is_read(source: str, option: str) -> None:
    """Which expressions are wrong: test_expressions.py."""
    for expression in ("data[", "data | [-1:nothing()]"):
        with pytest.raises(msgspec.ValidationError, match=rf"^{option}: (no JMESPath|JMESPath has no function)"):
            source_of(source, **{option: expression})


def test_the_key_is_what_the_route_says_or_else_idempotency_key() -> None:
    """The expression wins: some senders make a new Idempotency-Key for each attempt."""
    header = {"idempotency-key": "k-1"}
    assert event_of(Key(), ORDER, **header).key == "k-1"
    assert event_of(Key(), ORDER, **header).id == "k-1"
    assert event_of(Key(key="data.id"), ORDER, **header).key == "4711"
    assert event_of(Key(key="data.missing"), ORDER, **header).key == "k-1"
    assert event_of(Key(id="data.id"), ORDER, **header).key == "k-1"


def test_without_a_key_every_request_is_an_event_of_its_own() -> None:
    """Two bodies that are the same may be two events: the same backup can fail every night."""
    keys = {event_of(Key(), ORDER, **{"idempotency-key": " "}).key for _ in range(3)}
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (Key(subject="headers.authorization"), "authorization"),
        (Key(subject='headers."x-api-key"'), "x-api-key"),
        (Key(subject='headers."x-gitlab-token"', header="X-Gitlab-Token"), "x-gitlab-token"),
        (Key(subject='headers."x-functions-key"'), "x-functions-key"),
        (Hmac(subject='headers."x-signature"', header="X-Signature"), "x-signature"),
        (Hmac(subject="headers.cookie", header="X-Signature"), "cookie"),
    ],
)
def test_no_expression_sees_a_secret(source: AnyJson, name: str) -> None:
    """Or it would stand in mails, and in names of mails."""
    assert event_of(source, ORDER, **{name: "s3cret"}).subject is None


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "kind", "data"),
    [
        (b'{"a": 1}', FORM, {"a": 1}),  # what curl sends
        (b"a=1&b=x+y&a=%C3%BC&c=", FORM, {"a": ["1", "\u00fc"], "b": "x y", "c": ""}),
        (b"payload=%7B%22a%22%3A+1%7D", FORM, {"a": 1}),
        (b"payload=text&b=1", FORM, {"payload": "text", "b": "1"}),
        (b"Disk full", "text/plain; charset=utf-8", "Disk full"),
        (b"Gr\xf6\xdfe", "text/plain", "Größe"),
        (b'"{\\"a\\": 1}"', "application/json", {"a": 1}),
        (b'"\\"{\\\\\\"a\\\\\\": 1}\\""', "application/json", '{"a": 1}'),  # the mail reads it
        (b'"text"', "application/json", "text"),
    ],
)
def test_a_form_a_text_and_json_in_a_text_are_events_too(body: bytes, kind: str, data: Any) -> None:
    (event,) = Key().events(RawRequest(body, {"content-type": kind}))
    assert event.data == data


@pytest.mark.parametrize(
    ("body", "kind"), [(b"no json", "application/json"), (b"no json", ""), (b"", "text/plain"), (b"a=1&" * 1_001, FORM)]
)
def test_what_its_content_type_does_not_explain_is_malformed(body: bytes, kind: str) -> None:
    with pytest.raises(Malformed):
        Key().events(RawRequest(body, {"content-type": kind}))
