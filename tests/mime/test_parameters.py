"""Names of files in MIME, as mail programs write them."""

import base64
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import encode_rfc2231
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.mime.header_parameters import LONGEST_HEADER, MAX_PARAMETERS, MAX_WORDS, read_parameters, words_decoded
from shared.mime.read import read_mime

NAME = "Größe (März), 5 €.pdf"


def named(value: str, key: str = "filename") -> str:
    return read_parameters(value, is_type=False).parameters[key]


# What programs write for NAME or for something like it, unfolded; the property below has more of their forms.
PROGRAMS = {
    "Nodemailer, name": (
        'application/pdf; name="=?UTF-8?Q?Gr=C3=B6=C3=9Fe_=28M=C3=A4rz=29=2C_5_=E2=82=AC=2Epdf?="', NAME,
    ),
    "go-mail": ('attachment; filename="=?UTF-8?q?Gr=C3=B6=C3=9Fe_(M=C3=A4rz),_5_=E2=82=AC.pdf?="', NAME),
    "MailKit": ("attachment; filename*0*=utf-8''Gr%C3%B6%C3%9Fe%20%28M; filename*1*=%C3%A4rz%29", "Größe (März)"),
    "Outlook": ('attachment; filename="=?iso-8859-1?Q?Gr=F6=DFe.pdf?="; creation-date="Sun, 29 Nov"', "Größe.pdf"),
    "Outlook, folded": ('attachment; filename="=?utf-8?B?R3LDtg==?=\t=?utf-8?B?w59lLnBkZg==?="', "Größe.pdf"),
    "Apple Mail": ("attachment; filename*=utf-8''Gro%CC%88%C3%9Fe.pdf", "Gro\u0308ße.pdf"),
    "Thunderbird": ("attachment; filename*0*=UTF-8''%47%72%C3%B6%C3%9F; filename*1=e.pdf", "Größe.pdf"),
    "both forms": ("attachment; filename=\"Gr__e.pdf\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.pdf", "Größe.pdf"),
    "both forms, turned": ("attachment; filename*=UTF-8''Gr%C3%B6%C3%9Fe.pdf; filename=\"Gr__e.pdf\"", "Größe.pdf"),
    "UTF-8 as it is, without quotes": ("attachment; filename=Größe.pdf", "Größe.pdf"),
    "a word without quotes": ("attachment; filename==?utf-8?B?R3LDtsOfZS5wZGY=?=", "Größe.pdf"),
    "a character cut in two": ('attachment; filename="=?utf-8?Q?Gr=C3?= =?utf-8?Q?=B6=C3=9Fe.pdf?="', "Größe.pdf"),
    "a character cut in two pieces": ("attachment; filename*0*=utf-8''Gr%C3; filename*1*=%B6%C3%9Fe.pdf", "Größe.pdf"),
    "pieces in another order": ('attachment; filename*1="e.pdf"; filename*0="fil"', "file.pdf"),
    "pieces of words": ('attachment; filename*0="=?utf-8?B?R3LDtsOf"; filename*1="ZS5wZGY=?="', "Größe.pdf"),
    "another charset": ("attachment; filename*=iso-8859-1'de'Gr%F6%DFe.pdf", "Größe.pdf"),
    "a charset with its language": ('attachment; filename="=?utf-8*de?q?Gr=C3=B6=C3=9Fe.pdf?="', "Größe.pdf"),
    "quoted against RFC 2231": ("attachment; filename*=\"utf-8''Gr%C3%B6%C3%9Fe.pdf\"", "Größe.pdf"),
    "without its charset": ("attachment; filename*=Gr%C3%B6%C3%9Fe.pdf", "Größe.pdf"),
    "a broken word before another": (
        'attachment; filename="=?utf-8?b?A?= =?x-none?q?a?= =?utf-8?q?a=2Eics?="', "=?utf-8?b?A?= =?x-none?q?a?= a.ics",
    ),
    "a charset that nobody knows": ('attachment; filename="=?x-none?q?a?= b"', "=?x-none?q?a?= b"),
    "comments": ("attachment (a (b) \\)); filename=a.pdf (c)", "a.pdf"),
    "semicolons too many": ("attachment;; filename=a.pdf ; ", "a.pdf"),
    "blanks around": ('attachment ; filename = "a.pdf"', "a.pdf"),
}  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_name_of_a_file_is_read_as_the_program_meant_it(program: str) -> None:
    value, name = PROGRAMS[program]
    key = "name" if value.startswith("application/") else "filename"
    assert read_parameters(value, is_type=key == "name").parameters[key] == name
    head = f"To: a@b.example\r\nContent-Disposition: {value}\r\n".encode()
    if key == "filename":
        read_mime(head + b"\r\nbody")


REFUSED = {
    "blanks without quotes": "attachment; filename=a b.pdf", "brackets without quotes": "attachment; filename=a(1).pdf",
    "quotes without end": 'attachment; filename="a.pdf', "text behind quotes": 'attachment; filename="a"b',
    "no value": "attachment; filename=", "no name": "attachment; =a.pdf", "no equals sign": "attachment; filename",
    "no value before": '"attachment"; filename=a.pdf', "twice": "attachment; filename=a.pdf; FILENAME=b.pdf",
    "a piece twice": "attachment; filename*0=a; filename*00=b",
    "a piece missing": "attachment; filename*0=a; filename*2=b", "the first piece missing": "attachment; filename*1=a",
    "a comment without end": "attachment; filename=a (b",
    "a line end in percent signs": "attachment; filename*=utf-8''a%0D%0AX:",
    "a line end in a word": 'attachment; filename="=?utf-8?q?a=0Ab?="',
    "NUL": 'attachment; filename="=?utf-8?b?YQBi?="', "a line separator": "attachment; filename*=utf-8''a%E2%80%A8b",
    "too many": "attachment" + "; a=b" * 301, "too long": f'attachment; filename="{"a" * LONGEST_HEADER}"',
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^(Expected|Found|A piece)"):
        read_parameters(REFUSED[name], is_type=False)


@pytest.mark.parametrize(
    "value",
    [
        "multipart/mixed; boundary*=utf-8''b", "multipart/mixed; boundary*0=a; boundary*1=b",
        "multipart/mixed; boundary=a=b", "multipart/mixed; boundary=b; name=a,b",
        "multipart/mixed; boundary=b; boundary=b", "text", "",
    ],
)  # fmt: skip
def test_what_a_mail_is_made_of_has_one_form_only(value: str) -> None:
    with pytest.raises(ValueError, match=r"^(Expected|Found)"):
        read_parameters(value, is_type=True)


@pytest.mark.parametrize(
    "value",
    [
        'multipart/related; type="text/html"; boundary="b"',
        "multipart/related; type=text/html; boundary=b",
        "Multipart/Signed; protocol=application/pkcs7-signature; micalg=sha-256; boundary=b;",
        'multipart/mixed; charset=utf-8;\tboundary="b" (a comment)',
    ],
)
def test_the_boundary_is_found_beside_whatever_else_is_said(value: str) -> None:
    read_content = read_parameters(value, is_type=True)
    assert read_content.is_multipart
    assert read_content.parameters["boundary"] == "b"


file_names = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=60
).filter(lambda name: name == " ".join(name.split()) and "=?" not in name)  # fmt: skip


def nodemailer(name: str) -> str:
    text = quote(name, safe="")
    pieces = [text[at : at + 40] for at in range(0, len(text), 40)]
    return "; ".join(
        f"filename*{at}*={'utf-8' + chr(39) * 2 if not at else ''}{piece}" for at, piece in enumerate(pieces)
    )


def in_base64(name: str) -> str:
    data = name.encode()
    words = [data[at : at + 30] for at in range(0, len(data), 30)]
    return 'filename="' + " ".join(f"=?utf-8?B?{base64.b64encode(word).decode()}?=" for word in words) + '"'


def as_it_is(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'filename="{escaped}"'


def standard_library(name: str) -> str:
    return "filename*=" + encode_rfc2231(name, "utf-8")


@given(file_names, st.sampled_from([nodemailer, in_base64, as_it_is, standard_library]))
def test_a_name_that_is_written_in_any_of_these_forms_is_read_again(name: str, write: Callable[[str], str]) -> None:
    assert named(f"attachment; {write(name)}") == name


@given(st.text(st.sampled_from("a;=\"\\ ()*0'%=?utf-8Bq_\tü,/"), max_size=60), st.booleans())
def test_any_header_is_read_or_refused(text: str, is_type: bool) -> None:  # noqa: FBT001 - a drawn value
    with suppress(ValueError):
        assert read_parameters(text, is_type=is_type).value


def test_a_header_at_its_limits_is_read_at_once() -> None:
    start = time.process_time()
    for words in ("=?utf-8?q?a?= =?latin1?q?a?= ", "=?utf-8?q?a=?=", "=?utf-8?B?A?=" + " " * 200, "=?"):
        words_decoded(words * (MAX_WORDS // words.count("=?")) + "x" * 12_000)
        with pytest.raises(ValueError, match="encoded words"):
            words_decoded(words * (MAX_WORDS + 1))
    name = "; ".join(f"filename*{at}*=%41" for at in range(MAX_PARAMETERS))
    assert named(f"attachment; {name}") == "A" * MAX_PARAMETERS
    for text in ("(" * 16_000, "(x)" * 5_000, '\\"' * 8_000, ";" * 16_000, "a; b=" + '"' * 16_000, " " * 16_000):
        for is_type in (False, True):
            try:
                read_parameters(text, is_type=is_type)
            except ValueError:
                continue
    assert time.process_time() - start < 1
