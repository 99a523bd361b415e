"""In what encoding a body is."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Malformed
from shared.mail.parse import send_mail
from shared.parsing.charsets import CODECS, charset_of, decode
from shared.webhooks.sources.cloudevents import content
from shared.webhooks.sources.json_values import read_json

SUBJECT = "Tür: größer als 5 €"
MAIL: Any = {"message": {"subject": SUBJECT, "toRecipients": [{"emailAddress": {"address": "a@b.test"}}]}}


def written(encoding: str, value: Any = MAIL) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(encoding)


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("application/json", ""), ("application/json; charset=utf-8", "utf-8"),
        ('application/json;charset="ISO-8859-1"', "iso-8859-1"),
        ("application/json; charset=ISO_8859-15", "iso_8859-15"),
        ("application/json; odata.metadata=minimal; Charset = UTF-16 ", "utf-16"), ("application/json; charset", ""),
        ("charset=latin1", ""), ("", ""), (";" * 5_000 + "charset=latin1", ""),
    ],
)  # fmt: skip
def test_the_charset_of_a_content_type_is_its_parameter(content_type: str, charset: str) -> None:
    assert charset_of(content_type) == charset


@pytest.mark.parametrize(
    ("encoding", "charset"),
    [
        ("utf-8", ""),
        ("utf-8", "utf-8"),
        ("utf-8", "us-ascii"),
        ("utf-8-sig", ""),
        ("utf-8-sig", "iso-8859-1"),  # the mark wins: it cannot be anything else
        ("utf-16", ""),
        ("utf-16", "utf-8"),
        ("utf-16-le", "utf-16"),
        ("utf-16-be", "utf-16"),
        ("utf-16-be", "utf-16be"),
        ("utf-16-le", ""),
        ("utf-8", "utf-16"),  # what some proxies declare for everything
    ],
)
def test_a_mail_is_read_in_the_encoding_that_it_tells_of(encoding: str, charset: str) -> None:
    assert send_mail(written(encoding), charset).message.subject == SUBJECT


@pytest.mark.parametrize(
    ("encoding", "label", "text"),
    [
        *(("latin-1", one, "größe") for one in ("iso-8859-1", "ISO_8859-1", "latin1", "latin-1", "l1", "iso8859-1")),
        *(("iso8859-15", one, "5 €") for one in ("iso-8859-15", "iso_8859-15")), ("cp1252", "windows-1252", "5 €"),
        ("cp1251", "windows-1251", "привет"), ("cp932", "shift_jis", "日本語"),
    ],
)  # fmt: skip
def test_a_declared_charset_is_read_by_sendmail_and_webhooks(encoding: str, label: str, text: str) -> None:
    charset = charset_of(f"application/json; charset={label}")
    mail = send_mail(written(encoding, {"message": {**MAIL["message"], "subject": text}}), charset)
    assert mail.message.subject == text
    assert read_json(written(encoding, {"a": text}), charset) == {"a": text}


def test_a_mail_that_is_not_in_its_encoding_is_refused_with_the_byte() -> None:
    for charset, name in (("", "UTF-8"), ("utf-8", "UTF-8"), ("us-ascii", "UTF-8"), ("utf-16", "UTF-8")):
        with pytest.raises(Malformed, match=rf"byte \d+ is not {name}"):
            send_mail(written("cp1252"), charset)
    with pytest.raises(Malformed, match=r"byte \d+ is not"):
        send_mail(b'{"a": "\x81"}', "windows-1252")


@pytest.mark.parametrize("charset", ["", "utf-8", "us-ascii", "x-unknown"])
def test_a_webhook_in_latin_1_that_does_not_say_so_is_read_as_windows_1252(charset: str) -> None:
    """Its sender does not send again; a mail with question marks in it is a mail that says less."""
    assert read_json(written("cp1252", [SUBJECT, "“quoted”, 5 €"]), charset) == [SUBJECT, "“quoted”, 5 €"]
    assert read_json('["ü, '.encode() + b"\xfc, \x93\x94" + '", "ü"]'.encode(), charset) == ["ü, ü, “”", "ü"]


def test_every_byte_is_a_character_where_nothing_may_be_lost() -> None:
    every = bytes(range(0x80, 0x100))
    assert len(decode(b"a" + every, repair=True)) == 129
    assert "\ufffd" not in decode(b"a" + every + "ü".encode(), repair=True)


@given(st.binary(max_size=60), st.sampled_from(["", "nonsense", *CODECS]))
def test_any_bytes_are_text_or_no_text_and_repaired_always_text(body: bytes, charset: str) -> None:
    with suppress(UnicodeDecodeError):
        decode(body, charset)
    assert decode(body, charset, repair=True).encode() or len(body) <= 3, "at most a mark"


@given(st.text(max_size=30), st.sampled_from(["utf-8", "utf-16-le", "utf-16-be"]))
def test_what_json_says_is_the_same_in_each_encoding_of_unicode(text: str, encoding: str) -> None:
    body = json.dumps({"a": text}, ensure_ascii=False).encode(encoding)
    assert read_json(body) == {"a": text}
    assert read_json(body, "utf-16") == {"a": text}


@pytest.mark.parametrize(
    ("body", "kind", "charset", "expected"),
    [
        (b"caf\xe9", "text/plain", "", "café"),
        ("日本".encode("utf-16-le"), "text/plain", "utf-16", "日本"),
        ("日本".encode("utf-16"), "text/plain", "utf-16le", "日本"),
        ("<ü/>".encode("cp1252"), "application/xml", "windows-1252", "<ü/>"),
        (b"\x89\x00PN", "image/png", "", {"data_base64": "iQBQTg=="}),
        (b"\xfcber", "application/octet-stream", "", {"data_base64": "/GJlcg=="}),
    ],
)
def test_data_that_is_text_is_text_and_what_is_not_keeps_its_bytes(
    body: bytes, kind: str, charset: str, expected: Any
) -> None:
    assert content(body, kind, charset) == expected
