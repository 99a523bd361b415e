"""Requests that nobody sends in good faith: bodies and headers."""

import gzip
import json
from typing import Any

MANY = 60_000


def _mail(**message: Any) -> bytes:
    return json.dumps({"message": message}).encode()


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "a NUL": b"\x00",
    "a NUL in a text": _mail(subject="a\x00b"),
    "UTF-16": '{"message": {}}'.encode("utf-16"),
    "bytes that are no text": bytes(range(256)),
    "brackets": b"[" * MANY,
    "braces": b'{"message":' * MANY,
    "whole brackets in a message": b'{"message": ' + b"[" * MANY + b"]" * MANY + b"}",
    "small objects": b'{"message": {"toRecipients": [' + b"{}," * MANY + b"{}]}}",
    "small arrays": b"[" + b"[]," * MANY + b"[]]",
    "numbers": b"[" + b"0," * MANY + b"0]",
    "names": b"{" + b",".join(b'"%d":0' % number for number in range(MANY)) + b"}",
    "one name again and again": b"{" + b'"message":0,' * MANY + b'"message":0}',
    "two messages": b'{"message": {}, "message": {}}',
    "two messages in two spellings": b'{"message": {}, "Message": {}}',
    "a number of many digits": b'{"message": ' + b"9" * MANY + b"}",
    "a number of many decimals": b'{"message": 0.' + b"1" * MANY + b"}",
    "an exponent": b'{"message": 1e999999999}',
    "infinity": b'{"message": Infinity}',
    "half of a pair": b'{"message": {"subject": "\\ud800"}}',
    "halves in the wrong order": b'{"message": {"\\udc00\\ud800": 1}}',
    "a pair in two ways": b'{"message": {"subject": "\\ud83d\xf0\x9f\x98\x80"}}',
    "a text without an end": b'{"message": {"subject": "' + b'\\"' * MANY,
    "a text of backslashes": b'{"message": {"subject": "' + b"\\" * MANY + b'"}}',
    "quotes": b'"' * MANY,
    "an unknown name that is long": json.dumps({"message": {"x" * MANY: 1}}).encode(),
    "an address that is long": _mail(toRecipients=[{"emailAddress": {"address": "a@" + "b" * MANY}}]),
    "an address of dots": _mail(toRecipients=[{"emailAddress": {"address": "a@" + "b." * 2000 + "c"}}]),
    "addresses": _mail(toRecipients=[{"emailAddress": {"address": "a@b.test"}}] * 20_000),
    "a file of brackets": _mail(attachments=["[" * MANY]),
    "types within types": b'{"message": {"attachments": [' + b'{"@odata.type": "#microsoft.graph.itemAttachment", '
    b'"name": "a", "item": {"@odata.type": "#microsoft.graph.message", "attachments": [' * 2000,
    "a body that a prototype would be lost to": b'{"__proto__": {"message": 1}, "constructor": 1}',
    "packed zeros": gzip.compress(bytes(10_000_000)),
    "XML with entities": b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><a>&b;</a>',
    "a form": b"a=" + b"%" * MANY,
}

HEADERS: dict[str, dict[str, str]] = {
    "gzip": {"Content-Encoding": "gzip"},
    "gzip twice": {"Content-Encoding": "gzip, gzip"},
    "a charset": {"Content-Type": "application/json; charset=utf-7"},
    "a content type without end": {"Content-Type": "application/json;" + "a=b;" * 2000},
    "a key without end": {"Idempotency-Key": "k" * 10_000},
    "a key of quotes": {"Idempotency-Key": '"' * 300},
    "a key of bytes": {"Idempotency-Key": "\u00e4\u00ff"},
    "a request id without end": {"client-request-id": "r" * 10_000},
    "preferences": {"Prefer": "respond-async," * 2000},
    "a time that is none": {"Mailroom-Not-Before": "9" * 10_000},
    "the end of time": {"Mailroom-Not-Before": "9999-12-31T23:59:59-23:59"},
    "the beginning of time": {"Mailroom-Not-Before": "0001-01-01T00:00:00+23:59"},
    "a thread without end": {"Mailroom-Thread": "t" * 10_000},
    "a thread of nothing": {"Mailroom-Thread": '""'},
    "a token of nothing": {"Authorization": "Bearer a.b.c"},
    "a token without end": {"Authorization": "Bearer " + "a" * 20_000},
    "a token of bytes": {"Authorization": "Bearer \u00e4.\u00e4.\u00e4"},
    "a token of brackets": {"Authorization": "Bearer W1tbW1tbW1tbW1tb." + "W1tb" * 3000 + ".a"},
    "basic without a colon": {"Authorization": "Basic YQ=="},
    "a traceparent that is none": {"traceparent": "00-" + "z" * 5000},
    "an origin of line breaks": {"WebHook-Request-Origin": "a%0d%0ab"},
    "an event's name in bytes": {"X-GitHub-Event": "\u00e4" * 1000, "ce-id": "%ff", "ce-specversion": "1.0"},
}
