"""Readers of whole mails: JSON over HTTP and out of the queue, MIME, and what is done with a mail that was read."""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from shared.bounces import delivery_report
from shared.bounces.delivery_report import read_report
from shared.delivery.outbox_mail import named, outbox_mail
from shared.delivery.queue_messages import of_some_version, parse_work
from shared.mail import limits, parse, threading
from shared.mail.limits import LONGEST_ID, LONGEST_LINE, LONGEST_NAME, LONGEST_SUBJECT
from shared.mail.outgoing import decode, encode, fingerprint
from shared.mail.sdk_message import send_mail_body
from shared.mime import read, write
from shared.parsing import json_text, producer_messages, strict_json
from shared.policy.redirect import redirected, redirected_mail
from shared.policy.size_limits import check_size
from tests.mail.samples import outgoing
from tests.readers.reader import MEGABYTE, Reader
from tests.readers.shapes import HOSTILE, TEXTS, VALUES, Shape, as_json, bound, documents

NOW: Final = datetime(2026, 11, 22, 10, tzinfo=UTC)
QUEUE: Final = 64 * 1024  # bytes of a message
REQUEST: Final = limits.MAX_REQUEST


def _mail(**properties: Any) -> bytes:
    return as_json({"message": {"subject": "a", "toRecipients": [_person("a@b.test")], **properties}})


def _person(address: str, name: str | None = None) -> dict[str, Any]:
    return {"emailAddress": {"address": address, **({"name": name} if name else {})}}


def _copies(address: str, size: int, most: int = 499) -> bytes:
    """A mail to as many as there is room for: `#` in the address is the number of each."""
    number = min(most, size // max(60, len(address)))
    return _mail(ccRecipients=[_person(address.replace("#", str(n))) for n in range(number)])


def _file(name: str, content: str = "") -> dict[str, Any]:
    return {"@odata.type": "#microsoft.graph.fileAttachment", "name": name, "contentBytes": content}


def _item(item: dict[str, Any]) -> dict[str, Any]:
    return {"@odata.type": "#microsoft.graph.itemAttachment", "name": "a", "item": item}


def _event(**properties: Any) -> bytes:
    return _mail(attachments=[_item({"@odata.type": "#microsoft.graph.event", **properties})])


def _nested(size: int) -> bytes:
    item: dict[str, Any] = {"@odata.type": "#microsoft.graph.message", "body": {"content": "a" * (size - 1_500)}}
    for _ in range(9):
        item = {"@odata.type": "#microsoft.graph.message", "attachments": [_item(item)]}
    return _mail(attachments=item["attachments"])


def _texts(kind: str, size: int, longest: int) -> list[str]:
    """As many texts of the longest allowed length as come to the size."""
    longest = min(longest, size)
    return [TEXTS[kind](longest)] * max(1, size // longest)


def _each(what: str, make: Callable[[str, int], bytes], *kinds: str) -> dict[str, Shape]:
    return {f"{what} of {kind}": bound(make, kind) for kind in kinds}


def _properties(kind: str, size: int) -> bytes:
    ids = _texts(kind, size, LONGEST_ID)[:1_000]
    return _mail(singleValueExtendedProperties=[{"id": one, "value": ""} for one in ids])


MARKS: Final = "combining marks, unsorted"
# As much of each as a mail may have, or as has room.
MAILS: Final[Mapping[str, Shape]] = {
    **_each("a body", lambda kind, size: _mail(body={"content": TEXTS[kind](size - 150)}), *HOSTILE[:8]),
    **_each("properties", _properties, MARKS, "ligatures that grow", "em spaces", "full-width letters", "letters"),
    **_each(
        "names",
        lambda kind, size: _mail(ccRecipients=[_person("a@b.test", n) for n in _texts(kind, size, LONGEST_NAME)[:499]]),
        *(MARKS, "quotes", "em spaces", "words"),
    ),
    **_each(
        "files with names",
        lambda kind, size: _mail(attachments=[_file(name) for name in _texts(kind, size, LONGEST_LINE)[:250]]),
        *("letters", "quotes", "percents", "em spaces"),
    ),
    "a subject": lambda size: _mail(subject=TEXTS["status prefixes"](min(size, LONGEST_SUBJECT))),
    "a longer subject": lambda size: _mail(subject=TEXTS["status prefixes"](size - 200)),
    "recipients": lambda size: _copies("a#@b.test", size),
    "too many recipients": lambda size: _copies("a#@b.test", size, 10**6),
    "international recipients": lambda size: _copies("a@b\u00fc#.test", size),
    "long international recipients": lambda size: _copies(f"a@{'.'.join(['\u00fca' * 12] * 6)}.t#", size // 2),
    "an address of marks": lambda size: _mail(ccRecipients=[_person(TEXTS[MARKS](size - 300) + "@b.test")]),
    "addresses in items": lambda size: _event(
        attendees=[_person(f"a{n}@b.test") for n in range(min(1_990, size // 60))]
    ),
    "international addresses in items": lambda size: _event(
        attendees=[_person(f"a@\u00fc{n}.test") for n in range(min(1_990, size // 60))]
    ),
    "headers": lambda size: _mail(
        internetMessageHeaders=[{"name": "x-a", "value": "v" * min(LONGEST_LINE, size // 5)}] * 5
    ),
    "too many properties": lambda size: _mail(
        singleValueExtendedProperties=[{"id": "String 0x0070", "value": ""}] * (size // 40)
    ),
    "values in items": lambda size: _event(categories=["a"] * min(99_000, size // 4)),
    "items within items": _nested,
    "a file": lambda size: _mail(attachments=[_file("a", "AAAA" * (size // 4 - 50))]),
    "a file in lines": lambda size: _mail(attachments=[_file("a", "AAA\nA" * (size // 6 - 50))]),
    "an unknown property": lambda size: _mail(**{"n" * (size - 200): 1}),
    "an unknown type": lambda size: _mail(attachments=[{"@odata.type": "n" * (size - 200)}]),
    "an enumeration": lambda size: _mail(importance="n" * (size - 200)),
    "properties named twice": lambda size: b'{"message":{' + b'"a":1,' * (size // 6 - 10) + b'"a":1}}',
    "annotations": lambda size: (
        b'{"message":{' + b",".join(b'"a%d@odata.count":1' % n for n in range(size // 24)) + b"}}"
    ),
    "raw line ends": lambda size: b'{"message":{"subject":"' + b"\n" * (size - 40) + b'"}}',
    "escapes": lambda size: b'{"message":{"subject":"' + b"\\ud83d\\ude00" * (size // 12 - 4) + b'"}}',
}


def _whole(body: bytes) -> None:
    """All that happens to a mail of JSON until it goes out."""
    mail = parse.send_mail(body)
    whole = outgoing(mail, thread="t")
    fingerprint("a@b.test", mail)
    check_size(whole, large=False)
    send_mail_body(redirected(threading.threaded(whole), "b@b.test"))
    decode(encode(whole))


def _as_outbox(shape: Shape) -> Shape:
    return lambda size: shape(size - 40).replace(b'{"message"', b'{"sender":"a@b.test","message"', 1)


def _lines(unit: bytes, size: int) -> bytes:
    return b"\r\n ".join([unit * max(1, 900 // len(unit))] * (size // 905))


def _headed(*fields: bytes) -> bytes:
    return b"\r\n".join([b"To: a@b.test", *fields, b"", b"body"])


def _parts(size: int, head: Callable[[int], bytes], most: int = 500) -> bytes:
    """A multipart; head makes the headers of each part."""
    one = len(head(0)) + 20
    count = max(1, min(most, size // one))
    inner = b"".join(b"--b\r\n" + head(n) + b"\r\n\r\nx\r\n" for n in range(count))
    return _headed(b"Content-Type: multipart/mixed; boundary=b").removesuffix(b"body") + inner + b"--b--\r\n"


def _people(person: Callable[[int], str], size: int, most: int = 500) -> bytes:
    """Recipients, each on a line of its own, up to the 256 KB that headers may have."""
    size = min(size, 250_000)
    count = max(1, min(most, size // (len(person(0)) + 4)))
    return b"To: " + ",\r\n ".join(person(n) for n in range(count)).encode() + b"\r\n\r\nbody"


def _named(name: str | Callable[[int], str], size: int) -> bytes:
    """Recipients, each with this name, in which `#` is the number."""
    text = (lambda n: name.replace("#", str(n))) if isinstance(name, str) else name
    return _people(lambda n: f"{text(n)} <a{n}@b.test>", size)


def _of_type(parameters: bytes) -> Shape:
    """Parts whose header of the content is this, again and again in lines."""
    return lambda size: _parts(size, lambda _: b"Content-Type: text/plain " + _lines(parameters, 14_000))


def _of_name(name: bytes) -> Shape:
    """Parts whose file name is this, again and again in lines."""
    return lambda size: _parts(
        size, lambda _: b'Content-Disposition: attachment; filename="' + _lines(name, 14_000) + b'"'
    )


BARE: Final = _headed().removesuffix(b"body")
MIMES: Final[Mapping[str, Shape]] = {
    **_each(
        "a body",
        lambda kind, size: BARE + TEXTS[kind](size - 50).encode(),
        *("letters", "line breaks", "dashes", MARKS),
    ),
    "quoted names of many words": lambda size: _named(f'"{" ".join(["ab"] * 300)}"', size),
    "quoted names of few words": lambda size: _named('"Family #, Name (Dept)"', size),
    "names of many words": lambda size: _named(" ".join(["ab"] * 300), size),
    "names of encoded words": lambda size: _named(" ".join(["=?utf-8?q?a?="] * 60), size),
    "names of quoted pairs": lambda size: _named(lambda n: f'"{chr(92) + "a"}{chr(92) * 2 * (n % 400)}"', size),
    "names of quotes": lambda size: _named(lambda n: chr(34) * 2 * (n % 90 + 1), size),
    "names of all signs": lambda size: _named(lambda n: f'"{",;:()"[: n % 6] * (n % 30)}"', size),
    "international domains": lambda size: _people(lambda n: f"a@xn--bcher-{n}kva.test", size),
    "many headers": lambda size: (
        b"To: a@b.test\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(199)) + b"\r\n" + b"a" * size
    ),
    "a long header": lambda size: _headed(b"X-A: " + _lines(b"a ", min(size, 250_000))),
    "long references": lambda size: _headed(b"References: " + _lines(b"<a@b.test> ", min(size, 250_000))),
    "a subject of encoded words": lambda size: _headed(b"Subject: " + _lines(b"=?utf-8?q?a?= ", 5_500)) + b"a" * size,
    "parts of many parameters": _of_type(b"; aaaaaaaaaaaaaaaaaa=b"),
    "parts with comments": _of_type(b"(a) "),
    "parts with quoted pairs": _of_name(rb"\a"),
    "parts with encoded words": _of_name(b"=?utf-8?b?YQ==?= "),
    "parts with file names": lambda size: _parts(
        size,
        lambda n: (
            b'Content-Type: application/pdf; name="%d.pdf"\r\nContent-Disposition: attachment; filename="%d.pdf"'
            % (n, n)
        ),
    ),
    "parts with names in pieces": lambda size: _parts(
        size,
        lambda n: (
            b"Content-Disposition: attachment;" + b";".join(b"\r\n filename*%d*=%%41%%42" % at for at in range(200))
        ),
    ),
    "parts with many headers": lambda size: _parts(size, lambda n: b"\r\n".join(b"X-%d: a" % at for at in range(199))),
    "empty parts": lambda size: _parts(size, lambda _: b""),
    "boundaries that begin alike": lambda size: (
        _headed(b"Content-Type: multipart/mixed; boundary=a").removesuffix(b"body")
        + b"".join(
            b"--%s\r\nContent-Type: multipart/mixed; boundary=%s\r\n\r\n" % (b"a" * n, b"a" * (n + 1))
            for n in range(1, 10)
        )
        + (b"--" + b"a" * 30 + b"\r\n") * (size // 34)
        + b"".join(b"--%s--\r\n" % (b"a" * n) for n in range(10, 0, -1))
    ),
    "messages within messages": lambda size: BARE + b"Content-Type: message/rfc822\r\n\r\n" * (size // 32),
    "a header of blanks and commas": lambda size: b"To: " + b",\r\n " * (min(size, 250_000) // 4) + b"\r\n\r\n",
    "a line without end": lambda size: b"A" * size,
    "headers without end": lambda size: b"A: x\r\n" * (size // 6),
    "lines like a boundary": lambda size: (
        _parts(100, lambda _: b"").removesuffix(b"--b--\r\n") + b"--bb\r\n" * (size // 6)
    ),
    "base64 of a file": lambda size: (
        _headed(b"Content-Transfer-Encoding: base64").removesuffix(b"body") + (b"A" * 76 + b"\r\n") * (size // 78)
    ),
    "multiparts in each other": lambda size: (
        _headed(b"Content-Type: multipart/mixed; boundary=b0").removesuffix(b"body")
        + b"".join(b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(9))
        + b"a" * size
        + b"".join(b"\r\n--b%d--\r\n" % n for n in range(9, -1, -1))
    ),
}


def _whole_mime(raw: bytes) -> None:
    """All that happens to a mail of MIME until it goes out."""
    mail = outgoing(read.read_mime(raw), thread="t", mime=raw)
    write.as_sent(mail, "a@b.test")
    write.as_sent(redirected_mail(mail, "b@b.test"), "a@b.test")


def _json_text(body: bytes) -> None:
    text = body.decode("utf-8", "surrogatepass")
    json_text.check_json(body, values=MEGABYTE, levels=200)
    json_text.load(text, values=MEGABYTE, levels=200)


def _report(
    *, head: bytes = b"", status: bytes = b"", returned: bytes = b"", kind: bytes = b"text/rfc822-headers"
) -> bytes:
    parts = (b"message/delivery-status\r\n\r\nX: y\r\n\r\n" + status, kind + b"\r\n\r\n" + returned)
    body = b"".join(b"--b\r\nContent-Type: " + part + b"\r\n" for part in parts)
    return (
        head + b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n" + body + b"--b--\r\n"
    )


def _statuses(group: bytes) -> Shape:
    return lambda size: _report(status=b"".join(group % n + b"\r\n\r\n" for n in range(size // (len(group) + 8))))


REPORTS: Final[Mapping[str, Shape]] = {
    "recipients": _statuses(b"Final-Recipient: rfc822;a%d@b.test\r\nAction: failed\r\nStatus: 5.1.1"),
    "international recipients": _statuses("Final-Recipient: utf-8;a@bü%d.test\r\nAction: failed".encode()),
    "international domains": lambda size: _report(
        status=("Final-Recipient: utf-8;a@" + "ü" * 60 + "%d.test\r\nAction: failed\r\n\r\n").encode() * (size // 150)
    ),
    "codes that are none": _statuses(
        b"Final-Recipient: rfc822;a@b.test\r\nAction: failed\r\nDiagnostic-Code: %d" + b"5.1.1." * 40
    ),
    "blank lines": lambda size: _report(status=b"\r\n" * (size // 2)),
    "blanks before a line end": lambda size: _report(status=b"\n" + b" " * size + b"x"),
    "folded fields": lambda size: _report(status=b"Action: a" + b"\r\n b" * (size // 4)),
    "headers": lambda size: b"a: b\r\n" * (size // 6) + b"\r\n",
    "a folded header": lambda size: _report(head=b"References: " + b"<a@b>\r\n " * (size // 8) + b"\r\n"),
    "parameters": lambda size: b"Content-Type: multipart/report" + b"; a=b" * (size // 5) + b"\r\n\r\n",
    "lines like boundaries": lambda size: _report(returned=b"--bx\r\n" * (size // 6)),
    "boundaries": lambda size: _report(returned=b"--b\r\n" * (size // 5)),
    "headers that are returned": lambda size: _report(returned=b"a: b\r\n" * (size // 6)),
    "a mail that is returned": lambda size: _report(
        kind=b"message/rfc822", returned=b"a: b\r\n\r\n" + b"x" * 70 * (size // 70)
    ),
    "ids": lambda size: _report(returned=b"Message-ID: " + b"<" * size),
    "base64": lambda size: _report(
        kind=b"message/rfc822\r\nContent-Transfer-Encoding: base64", returned=b"AAAA\r\n" * (size // 6)
    ),
    "quoted-printable": lambda size: _report(
        kind=b"message/rfc822\r\nContent-Transfer-Encoding: quoted-printable", returned=b"=3D=\r\n" * (size // 6)
    ),
    "levels": lambda size: b"".join(
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=%d\r\n\r\n--%d\r\n" % (n, n)
        for n in range(size // 80)
    ),
}


def _queued(body: bytes) -> None:
    named(body)
    outbox_mail(body)


READERS: Final = [
    Reader("a mail over HTTP", _whole, MEGABYTE, MAILS),
    Reader(
        "the largest mail over HTTP",
        _whole,
        REQUEST,
        {name: MAILS[name] for name in ("a body of letters", "a body of quotes", "a file", "a file in lines")},
        bounded=True,
    ),
    Reader(
        "a mail in the queue",
        _queued,
        QUEUE,
        {name: _as_outbox(shape) for name, shape in MAILS.items()}
        | {
            "in base64": lambda size: base64.b64encode(_mail(subject="a" * (size * 3 // 4 - 200))),
            "in base64 with blanks": lambda size: b" \n".join(
                base64.b64encode(_mail(body={"content": "a" * (size // 5)})).split(b"A")
            ),
            "strings in strings": lambda size: json.dumps(json.dumps('{"a":"' + "\\\\" * (size // 8) + '"}')).encode(),
            "mime": lambda size: as_json(
                {"sender": "a@b.test", "mime": base64.b64encode(_headed() + b"a" * (size // 2)).decode()}
            ),
        },
    ),
    Reader(
        "the JSON of a mail",
        strict_json.read_json,
        MEGABYTE,
        documents()
        | {
            "long names above 100,000": lambda _: as_json(VALUES["a fault behind many"](110000)),
            "escaped halves": lambda size: as_json(VALUES["a text of halves of pairs"](size // 6), ascii_only=True),
        },
    ),
    Reader(
        "JSON as it is counted and read",
        _json_text,
        2 * MEGABYTE,
        {
            "backslashes": lambda size: b'"' + b"\\" * size,
            "quotes": lambda size: b'"' * size,
            "brackets": lambda size: b"[" * size,
            "closed brackets": lambda size: b"[]," * (size // 3),
            "brackets in a text": lambda size: b'"' + b"[" * size + b'"',
            "line ends in a text": lambda size: b'"' + b"\n" * size + b'"',
            "line ends in many texts": lambda size: b"[" + b'"\n",' * (size // 4) + b'""]',
            "a line end at the end": lambda size: b"[" + b"0," * (size // 2) + b'"\n"',
        },
    ),
    Reader("MIME", _whole_mime, MEGABYTE, MIMES),
    Reader(
        "MIME in base64",
        read.decode_mime,
        REQUEST,
        {
            "one line": lambda size: b"AAAA" * (size // 4),
            "lines": lambda size: (b"A" * 76 + b"\r\n") * (size // 78),
            "line ends": lambda size: b"A\n" * (size // 2),
            "no base64": lambda size: b"=" * size,
        },
        bounded=True,
    ),
    Reader(
        "a queue message of any form",
        lambda body: (
            producer_messages.elements(body),
            producer_messages.renamed(json.loads(producer_messages.unwrapped(body)), {"a": "A"}),
        ),
        QUEUE,
        documents(without="fault")
        | {
            "in base64 twice": lambda size: base64.b64encode(base64.b64encode(b'{"a":"' + b"a" * (size // 2) + b'"}')),
            "UTF-16": lambda size: ('{"a":"' + "a" * (size // 2) + '"}').encode("utf-16"),
        },
    ),
    Reader(
        "a message of Mailroom's own",
        lambda body: (of_some_version(body), parse_work(body)),
        QUEUE,
        documents(without="fault"),
    ),
    Reader("a non-delivery report", read_report, delivery_report.LARGEST_STATUS, REPORTS),
]
