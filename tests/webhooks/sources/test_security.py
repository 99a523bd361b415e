"""What a source must not let in, whatever its scheme: every way of proving a request runs through these cases.

Ways that are proved by Entra tokens are not here: no source judges those.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from importlib import import_module
from pkgutil import iter_modules

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import shared.webhooks.sources
from shared.webhooks.sources.source import MEGABYTE, SOURCES, RawRequest, Result, Source, Unverified, source_named
from tests.webhooks.sources import signers, signers_b
from tests.webhooks.sources.moments import NOW
from tests.webhooks.sources.signers import Signer

ALL = [*signers.SIGNERS, *signers_b.SIGNERS]
SIGNED = [signer for signer in ALL if signer.kind == "signature"]

every = pytest.mark.parametrize("signer", ALL, ids=lambda signer: signer.name)
every_signature = pytest.mark.parametrize("signer", SIGNED, ids=lambda signer: signer.name)


def proved(signer: Signer, request: RawRequest, secrets: tuple[str, ...], now: datetime = NOW) -> bool:
    """Whether the source takes the request; any error but Unverified fails the test."""
    try:
        signer.source.authenticate(request, secrets, now)
    except Unverified:
        return False
    return True


def signed(signer: Signer, secret: str | None = None, body: bytes | None = None, at: datetime = NOW) -> RawRequest:
    return signer.sign(signer.body if body is None else body, secret or signer.secrets[0], at)


def changed(request: RawRequest, headers: Mapping[str, str], query: Mapping[str, str] | None = None) -> RawRequest:
    return replace(request, headers={**request.headers, **headers}, query={**request.query, **(query or {})})


def classes() -> Iterator[type[Source]]:
    """Every kind of source that there is a module for, whether the registry knows it or not."""
    for module in iter_modules(shared.webhooks.sources.__path__):
        for value in vars(import_module(f"shared.webhooks.sources.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Source) and hasattr(value, "name"):
                yield value


def test_every_source_is_here_and_in_the_registry() -> None:
    assert {signer.source.name for signer in ALL} == {kind.name for kind in classes()} == set(SOURCES)
    assert all(source_named(name).name == name for name in SOURCES)


@every
def test_what_the_sender_signs_is_taken_and_read(signer: Signer) -> None:
    request = signed(signer)
    assert proved(signer, request, signer.secrets[:1])
    assert signer.source.handshake(request) is None
    assert signer.source.events(request)


@every
def test_without_a_secret_nothing_is_proved(signer: Signer) -> None:
    assert not proved(signer, signed(signer), ())


@every
def test_an_empty_secret_proves_nothing(signer: Signer) -> None:
    """Not even what is signed with an empty secret, as anybody could."""
    assert not proved(signer, signed(signer), ("",))
    assert not proved(signer, RawRequest(signer.body), ("",))
    empty = dict.fromkeys(signer.headers, ""), dict.fromkeys(signer.query, "")
    assert not proved(signer, changed(signed(signer), *empty), ("",))
    if signer.kind == "signature" and signer.name != "standard-webhooks":  # its library signs with no empty secret
        assert not proved(signer, signer.sign(signer.body, "", NOW), ("",))


@every
def test_an_empty_secret_spoils_no_other(signer: Signer) -> None:
    assert proved(signer, signed(signer), ("", signer.secrets[0]))


@every
def test_another_secret_proves_nothing(signer: Signer) -> None:
    assert not proved(signer, signed(signer, signer.secrets[2]), signer.secrets[:2])


@every
def test_a_part_of_the_secret_or_more_than_it_proves_nothing(signer: Signer) -> None:
    secret = signer.secrets[0]
    for other in (secret[:-4], secret + "BBBB", secret[:-1] + chr(ord(secret[-1]) ^ 1)):
        assert not proved(signer, signed(signer), (other,)), other


@every
def test_either_of_two_secrets_is_good_while_one_replaces_the_other(signer: Signer) -> None:
    first, second, _ = signer.secrets
    for secret in (first, second):
        assert proved(signer, signed(signer, secret), (first, second))
        assert proved(signer, signed(signer, secret), (second, first))


@every
def test_a_secret_may_have_any_characters(signer: Signer) -> None:
    if signer.strange is not None:
        assert proved(signer, signed(signer, signer.strange), (signer.strange,))
        assert not proved(signer, signed(signer, signer.strange), signer.secrets[:2])
    assert not proved(signer, signed(signer), ("grüße:Ω-秘密-🔑",))
    assert proved(signer, signed(signer), ("grüße:Ω-秘密-🔑", signer.secrets[0]))


@pytest.mark.parametrize("signer", [one for one in ALL if one.tolerance], ids=lambda signer: signer.name)
def test_a_request_is_good_for_as_long_as_its_timestamp_and_no_longer(signer: Signer) -> None:
    """To both sides: one that comes from the future could be kept until then."""
    assert signer.tolerance is not None
    request = signed(signer)
    near, far = timedelta(seconds=signer.tolerance - 2), timedelta(seconds=signer.tolerance + 2)
    assert proved(signer, request, signer.secrets[:1], NOW + near)
    assert proved(signer, request, signer.secrets[:1], NOW - near)
    assert not proved(signer, request, signer.secrets[:1], NOW + far)
    assert not proved(signer, request, signer.secrets[:1], NOW - far)


@pytest.mark.parametrize("signer", [one for one in ALL if one.tolerance], ids=lambda signer: signer.name)
def test_an_old_signature_under_a_new_timestamp_proves_nothing(signer: Signer) -> None:
    old = signed(signer, at=NOW - timedelta(hours=1))
    fresh = signed(signer)
    differing = {name for name in signer.headers if old.headers[name] != fresh.headers[name]}
    before, after = (str(int((NOW - timedelta(hours=hours)).timestamp())) for hours in (1, 0))
    renewed = {name: old.headers[name].replace(before, after) for name in differing}
    assert renewed != {name: old.headers[name] for name in differing}, "the timestamp stands in a header"
    assert not proved(signer, changed(old, renewed), signer.secrets[:1])


@every_signature
def test_a_body_that_is_cut_off_or_longer_is_not_what_was_signed(signer: Signer) -> None:
    request = signed(signer)
    for body in (request.body[:-1], request.body[1:], request.body + b"\n", request.body + b" ", b""):
        assert not proved(signer, replace(request, body=body), signer.secrets[:1]), body


@every_signature
def test_a_body_that_was_serialised_anew_is_not_what_was_signed(signer: Signer) -> None:
    request = signed(signer)
    anew = json.dumps(json.loads(request.body)).encode()
    assert anew != request.body
    assert not proved(signer, replace(request, body=anew), signer.secrets[:1])


@every_signature
def test_a_body_may_be_any_bytes(signer: Signer) -> None:
    """The signature is over bytes, before anybody asks whether they are text."""
    if signer.name != "standard-webhooks":  # whose library signs text; test_standard_webhooks.py has bytes
        body = b'{"a": "\xff\xfe\x00"}'
        assert proved(signer, signed(signer, body=body), signer.secrets[:1])
        assert not proved(signer, replace(signed(signer, body=body), body=b'{"a": "\xff\xff\x00"}'), signer.secrets[:1])


@pytest.mark.parametrize("signer", [one for one in ALL if one.forged], ids=lambda signer: signer.name)
def test_the_right_secret_with_another_algorithm_proves_nothing(signer: Signer) -> None:
    assert signer.forged is not None
    assert not proved(signer, signer.forged(signer.body, signer.secrets[0], NOW), signer.secrets[:1])


def test_every_signature_knows_of_another_algorithm() -> None:
    assert [signer.name for signer in SIGNED if signer.forged is None] == []


@every
def test_a_header_that_comes_twice_proves_nothing(signer: Signer) -> None:
    """The host joins them by a comma: the right one is not picked out of them, nor is either of two right ones."""
    good, other = signed(signer), signed(signer, signer.secrets[2])
    for name in signer.headers:
        right, wrong = good.headers[name], other.headers[name]
        for joined in (f"{right},{right}", f"{right}, {right}", f"{wrong},{right}", f"{right},{wrong}"):
            assert not proved(signer, changed(good, {name: joined}), signer.secrets[:2]), joined


@every
def test_a_proof_that_is_empty_or_missing_proves_nothing(signer: Signer) -> None:
    request = signed(signer)
    for name in signer.headers:
        for value in ("", " ", ",", "=", "Bearer", "Bearer ", "Basic ", "Basic Og=="):
            assert not proved(signer, changed(request, {name: value}), signer.secrets[:2]), (name, value)
        rest = {key: value for key, value in request.headers.items() if key != name}
        assert not proved(signer, replace(request, headers=rest), signer.secrets[:2]), name
    for name in signer.query:
        assert not proved(signer, changed(request, {}, {name: ""}), signer.secrets[:2]), name
        rest = {key: value for key, value in request.query.items() if key != name}
        assert not proved(signer, replace(request, query=rest), signer.secrets[:2]), name
    assert not proved(signer, RawRequest(signer.body), signer.secrets[:2])


# Header values as they can be, and as a host could make of them: halves of surrogate pairs too.
CHARACTERS = st.characters(exclude_categories=())
PIECES = st.sampled_from([
    "sha256=", "sha1=", "t=", "v1=", "v0=", "v1,", "v1a,", "Bearer ", "Basic ", "=", ",", " ", ":", "deadbeef", "zz",
    "=====", "AAAA", "QQ==", "-1", "1e9", "NaN", "inf", "9" * 20, "٣", "²", "é", "\udc80", "\x00", "\r\n", "0" * 64,
])  # fmt: skip
GARBAGE = st.one_of(st.text(CHARACTERS, max_size=40), st.lists(PIECES, max_size=8).map("".join))


def spoil(signer: Signer, data: st.DataObject, value: str) -> RawRequest:
    """The signed request, with one of the places of its proof replaced, or with something put into the middle of it."""
    request = signed(signer)
    place = data.draw(st.sampled_from([*signer.headers, *signer.query]))
    in_header = place in signer.headers
    right = (request.headers if in_header else request.query)[place]
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(right)))
        value = right[:at] + value + right[at:]
    return changed(request, {place: value}) if in_header else changed(request, {}, {place: value})


@every
@given(data=st.data(), value=GARBAGE)
@settings(max_examples=25, deadline=None)
def test_every_malformed_proof_is_unverified_and_nothing_else(signer: Signer, data: st.DataObject, value: str) -> None:
    request = spoil(signer, data, value)
    if proved(signer, request, signer.secrets[:2]):
        assert parts(signed(signer)) <= parts(request), "what was added is what the scheme ignores"


def parts(request: RawRequest) -> set[tuple[str, str]]:
    """What stands in headers and query between commas and white space."""
    every = [*request.headers.items(), *request.query.items()]
    return {(name, part) for name, value in every for part in re.split(r"[\s,]+", value) if part}


@given(value=GARBAGE, secret=st.text(CHARACTERS, max_size=20))
@example(value="\udc80", secret="\udc80")
@settings(max_examples=100, deadline=None)
def test_every_secret_can_be_compared_with_every_header(value: str, secret: str) -> None:
    """A secret is the operator's, and may be anything too: a wrong one is Unverified, and no error of ours."""
    for signer in ALL:
        request = changed(signed(signer), dict.fromkeys(signer.headers, value), dict.fromkeys(signer.query, value))
        if proved(signer, request, (secret,)):
            assert signer.kind == "credential", signer.name
            assert secret, signer.name


@every
def test_ten_megabytes_are_judged_in_less_than_a_second(signer: Signer) -> None:
    """And a body that is far too large for a source is refused by the trigger by `largest`, before that."""
    body = b'"' + b"x" * (10 * MEGABYTE - 2) + b'"'
    request = signed(signer, body=body)
    began = time.process_time()
    assert proved(signer, request, signer.secrets[:2])
    if signer.kind == "signature":
        assert not proved(signer, replace(request, body=body + b" "), signer.secrets[:2])
    assert time.process_time() - began < 1
    assert signer.source.largest == (25 if signer.source.name == "github" else 2) * MEGABYTE


@every
def test_no_answer_makes_a_sender_give_up_or_look_elsewhere(signer: Signer) -> None:
    """Neither 410, which switches a webhook off, nor 3xx, nor 409 or 422, which are of keys."""
    for result in Result:
        status = signer.source.reply(result).status
        assert 200 <= status < 300 or 400 <= status < 600
        assert status not in {409, 410, 422}
    assert 200 <= signer.source.reply(Result.DONE).status < 300
    assert int(signer.source.reply(Result.OVERLOADED).headers["Retry-After"]) > 0
    assert int(signer.source.reply(Result.UNAVAILABLE).headers["Retry-After"]) > 0
