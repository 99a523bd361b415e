"""What no source may accept, whatever its scheme: every way of proving a request runs through these cases.

Ways that are proved by Entra tokens are not here: no source verifies those.
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
from hypothesis import example, given
from hypothesis import strategies as st

import shared.webhooks.sources
from shared.webhooks.sources.source import MEGABYTE, SOURCES, RawRequest, Source, Unverified, source_named
from tests.webhooks.sources.signers import NOW, SIGNERS, Signer, basic_header, digest_of, source_of, standard

SIGNED = [signer for signer in SIGNERS if signer.forged]
every = pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.name)
every_signature = pytest.mark.parametrize("signer", SIGNED, ids=lambda signer: signer.name)
every_timed = pytest.mark.parametrize("signer", [one for one in SIGNERS if one.tolerance], ids=lambda one: one.name)


def proves(source: Source, request: RawRequest, secrets: tuple[str, ...], now: datetime = NOW) -> bool:
    """Whether the source accepts the request; any error but Unverified fails the test."""
    try:
        source.authenticate(request, secrets, now)
    except Unverified:
        return False
    return True


def proved(signer: Signer, request: RawRequest, secrets: tuple[str, ...], now: datetime = NOW) -> bool:
    return proves(signer.source, request, secrets, now)


def signed(signer: Signer, secret: str | None = None, body: bytes | None = None, at: datetime = NOW) -> RawRequest:
    return signer.sign(signer.body if body is None else body, secret or signer.secrets[0], at)


def changed(request: RawRequest, headers: Mapping[str, str], query: Mapping[str, str] | None = None) -> RawRequest:
    return replace(request, headers={**request.headers, **headers}, query={**request.query, **(query or {})})


def classes() -> Iterator[type[Source]]:
    """Every kind of source that there is a module for, whether SOURCES has it or not."""
    for module in iter_modules(shared.webhooks.sources.__path__):
        for value in vars(import_module(f"shared.webhooks.sources.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Source) and hasattr(value, "name"):
                yield value


def test_every_source_is_here_and_in_the_table() -> None:
    assert {signer.source.name for signer in SIGNERS} == {kind.name for kind in classes()} == set(SOURCES)
    assert {name for name, _, _ in ACCEPTED} == set(SOURCES)
    assert all(source_named(name).name == name for name in SOURCES)


@every
def test_what_the_sender_signs_is_verified_and_read(signer: Signer) -> None:
    request = signed(signer)
    assert proved(signer, request, signer.secrets[:1])
    assert signer.source.handshake(request) is None
    assert signer.source.events(request)


@every
def test_an_empty_secret_proves_nothing(signer: Signer) -> None:
    """Not even what is signed with an empty secret, as anybody could; and it spoils no other secret."""
    request = signed(signer)
    assert not proved(signer, request, ())
    assert not proved(signer, request, ("",))
    assert not proved(signer, RawRequest(signer.body), ("",))
    assert not proved(
        signer, changed(request, dict.fromkeys(signer.headers, ""), dict.fromkeys(signer.query, "")), ("",)
    )
    if signer.forged and signer.sign is not standard:  # its library signs with no empty secret
        assert not proved(signer, signer.sign(signer.body, "", NOW), ("",))
    assert proved(signer, request, ("", signer.secrets[0]))


@every
def test_another_secret_proves_nothing(signer: Signer) -> None:
    """Nor does a part of the secret, or more than it. Either of two is valid while one replaces the other."""
    first, second, stranger = signer.secrets
    assert not proved(signer, signed(signer, stranger), (first, second))
    for other in (first[:-4], first + "BBBB", first[:-1] + chr(ord(first[-1]) ^ 1)):
        assert not proved(signer, signed(signer), (other,)), other
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


SECRET = "mail:s3cret"
PLACES = {
    "bearer": ({"authorization": f"Bearer {SECRET}"}, {}),
    "basic": ({"authorization": basic_header(SECRET)}, {}),
    "bare authorization": ({"authorization": SECRET}, {}),
    "x-api-key": ({"x-api-key": SECRET}, {}),
    "x-own": ({"x-own": SECRET}, {}),
    "x-gitlab-token": ({"x-gitlab-token": SECRET}, {}),
    **{f"?{name}": ({}, {name: SECRET}) for name in ("secret", "access_token", "key", "code", "token", "x-api-key")},
}
# What a source takes, with the options of its route.
ACCEPTED: list[tuple[str, Mapping[str, object], set[str]]] = [
    *((name, {}, set[str]()) for name in ("github", "hmac", "pagerduty", "standard-webhooks", "stripe")),
    ("gitlab", {}, {"x-gitlab-token"}),
    ("jira", {}, {"bearer", "?secret"}),
    *((name, {}, {"?secret"}) for name in ("azure-monitor", "eventgrid", "sentry", "slack", "teams")),
    *((name, {}, {"bearer", "basic"}) for name in ("alertmanager", "grafana")),
    ("cloudevents", {}, {"bearer", "?access_token"}),
    ("azure-devops", {}, {"basic"}),
    *((name, {"header": "X-Own"}, {"x-own"}) for name in ("azure-devops", "eventgrid")),
    *((name, {"header": "Authorization"}, {"bearer"}) for name in ("azure-devops", "eventgrid")),
    *((name, {"audience": "api://mailroom"}, set[str]()) for name in ("azure-monitor", "eventgrid")),
    ("key", {}, {"bearer", "basic", "x-api-key"}),
    *(("key", {"accept": [way]}, {way}) for way in ("bearer", "basic")),
    ("key", {"accept": ["header"]}, {"x-api-key"}),
    ("key", {"accept": ["basic", "header"], "header": "X-Own"}, {"basic", "x-own"}),
]


@pytest.mark.parametrize(("name", "options", "accepted"), ACCEPTED)
def test_a_secret_counts_in_the_places_that_the_source_or_the_route_names_and_nowhere_else(
    name: str, options: Mapping[str, object], accepted: set[str]
) -> None:
    source = source_of(name, **options)
    requests = {place: RawRequest(b"{}", headers, query) for place, (headers, query) in PLACES.items()}
    assert {place for place, request in requests.items() if proves(source, request, ("old", SECRET))} == accepted


WRONG = digest_of("wrong", b"{}").hex()
BEARER = {"authorization": f"Bearer {SECRET}"}


@pytest.mark.parametrize(
    ("name", "headers", "query"),
    [
        ("cloudevents", {"authorization": "Bearer wrong"}, {"access_token": SECRET}),
        ("grafana", {**BEARER, "x-grafana-alerting-signature": WRONG}, {}),
        ("gitlab", {**standard(b"{}", "whsec_d3Jvbmc=", NOW).headers, "x-gitlab-token": SECRET}, {}),
        ("sentry", {"sentry-hook-signature": WRONG}, {"secret": SECRET}),
        ("jira", {**BEARER, "x-hub-signature": f"sha256={WRONG}"}, {"secret": SECRET}),
        ("jira", {"authorization": "Bearer wrong"}, {"secret": SECRET}),
    ],
)
def test_a_wrong_proof_is_not_made_good_by_a_right_one_in_a_weaker_place(
    name: str, headers: dict[str, str], query: dict[str, str]
) -> None:
    assert not proves(source_of(name), RawRequest(b"{}", headers, query), (SECRET, "whsec_c2VjcmV0"))


@pytest.mark.parametrize(
    ("headers", "secret", "right"),
    [
        ({"authorization": "Bearer of-a-proxy", "x-api-key": SECRET}, SECRET, True),
        ({"authorization": f"Bearer {SECRET}", "x-api-key": "other"}, SECRET, True),
        ({"authorization": "Bearer of-a-proxy", "x-api-key": "other"}, SECRET, False),
        ({"authorization": "Bearer s3cret"}, "s3cret", True),
        ({"authorization": basic_header("s3cret")}, "s3cret", False),  # without a colon it is no password
    ],
)
def test_one_right_way_is_enough_beside_a_proxys_authorization(
    headers: dict[str, str],
    secret: str,
    right: bool,  # noqa: FBT001
) -> None:
    request = RawRequest(b"{}", headers)
    assert proves(source_of("key"), request, (secret,)) == right
    with pytest.raises(Unverified, match="accepts: bearer, header, basic") as caught:
        source_of("key").authenticate(request, ["other secret"], NOW)
    assert "s3cret" not in str(caught.value)


@every_timed
def test_a_request_is_valid_for_as_long_as_its_timestamp_and_no_longer(signer: Signer) -> None:
    """To both sides: a request from the future could be kept until then."""
    assert signer.tolerance is not None
    request, tolerance = signed(signer), timedelta(seconds=signer.tolerance)
    for sign in (-1, 1):
        assert proved(signer, request, signer.secrets[:1], NOW + sign * tolerance)
        assert not proved(signer, request, signer.secrets[:1], NOW + sign * (tolerance + timedelta(seconds=0.1)))


@every_timed
def test_an_old_signature_under_a_new_timestamp_proves_nothing(signer: Signer) -> None:
    old = signed(signer, at=NOW - timedelta(hours=1))
    differing = {name for name in signer.headers if old.headers[name] != signed(signer).headers[name]}
    before, after = (str(int((NOW - timedelta(hours=hours)).timestamp())) for hours in (1, 0))
    renewed = {name: old.headers[name].replace(before, after) for name in differing}
    assert renewed != {name: old.headers[name] for name in differing}, "the timestamp is in a header"
    assert not proved(signer, changed(old, renewed), signer.secrets[:1])


@every
def test_a_body_that_was_serialised_anew_is_not_what_was_signed(signer: Signer) -> None:
    """Nor is one that was cut off or continued. The signature is over bytes, whether these are text or not."""
    request = signed(signer)
    anew = json.dumps(json.loads(request.body)).encode()
    assert anew != request.body
    for body in (anew, request.body[:-1], request.body[1:], request.body + b"\n", request.body + b" ", b""):
        assert proved(signer, replace(request, body=body), signer.secrets[:1]) is not bool(signer.forged), body
    if signer.forged and signer.sign is not standard:  # its library signs text; test_standard_webhooks.py has bytes
        request = signed(signer, body=b'{"a": "\xff\xfe\x00"}')
        assert proved(signer, request, signer.secrets[:1])
        assert not proved(signer, replace(request, body=b'{"a": "\xff\xff\x00"}'), signer.secrets[:1])


@every_signature
def test_the_right_secret_with_another_algorithm_proves_nothing(signer: Signer) -> None:
    assert signer.forged is not None
    assert not proved(signer, signer.forged(signer.body, signer.secrets[0], NOW), signer.secrets[:1])


@every
def test_a_header_that_comes_twice_proves_nothing(signer: Signer) -> None:
    """The host joins them by a comma: neither a right one among others counts, nor one of two right ones."""
    good, other = signed(signer), signed(signer, signer.secrets[2])
    for name in signer.headers:
        right, wrong = good.headers[name], other.headers[name]
        for joined in (f"{right},{right}", f"{right}, {right}", f"{wrong},{right}", f"{right},{wrong}"):
            assert proved(signer, changed(good, {name: joined}), signer.secrets[:2]) is signer.many, joined


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
    assert not proved(signer, RawRequest(signer.body), signer.secrets[:2])


# Header values as they can be, and as a host could make of them: halves of surrogate pairs too.
CHARACTERS = st.characters(exclude_categories=())
PIECES = st.sampled_from([
    "sha256=", "sha1=", "t=", "v1=", "v0=", "v1,", "v1a,", "Bearer ", "Basic ", "=", ",", " ", ":", "deadbeef", "zz",
    "=====", "AAAA", "QQ==", "-1", "1e9", "NaN", "inf", "9" * 20, "٣", "²", "é", "\udc80", "\x00", "\r\n", "0" * 64,
])  # fmt: skip
GARBAGE = st.one_of(st.text(CHARACTERS, max_size=40), st.lists(PIECES, max_size=8).map("".join))


@given(garbage=GARBAGE, where=st.integers(0, 5_000), inserted=st.booleans())
def test_every_malformed_proof_is_unverified_and_nothing_else(garbage: str, where: int, *, inserted: bool) -> None:
    """One of the places of the proof is replaced, or something is inserted into it."""
    for signer in SIGNERS:
        good = signed(signer)
        places = [*signer.headers, *signer.query]
        place, value = places[where % len(places)], garbage
        in_header = place in signer.headers
        right = (good.headers if in_header else good.query)[place]
        if inserted:
            at = where % (len(right) + 1)
            value = right[:at] + value + right[at:]
        request = changed(good, {place: value}) if in_header else changed(good, {}, {place: value})
        if proved(signer, request, signer.secrets[:2]):
            assert parts(good) <= parts(request), f"{signer.name}: what was added is what the scheme ignores"


def parts(request: RawRequest) -> set[tuple[str, str]]:
    """The words of headers and query, between commas and white space."""
    items = [*request.headers.items(), *request.query.items()]
    return {(name, part) for name, value in items for part in re.split(r"[\s,]+", value) if part}


@given(value=GARBAGE, secret=st.text(CHARACTERS, max_size=20))
@example(value="\udc80", secret="\udc80")
def test_every_secret_can_be_compared_with_every_header(value: str, secret: str) -> None:
    """A secret is the operator's, and may be anything too: a wrong one is Unverified, and no error of ours."""
    for signer in SIGNERS:
        request = changed(signed(signer), dict.fromkeys(signer.headers, value), dict.fromkeys(signer.query, value))
        if proved(signer, request, (secret,)):
            assert secret, signer.name
            assert not signer.forged, signer.name


@every
def test_ten_megabytes_are_judged_in_less_than_a_second(signer: Signer) -> None:
    """Bodies that are larger than a source's `largest` are refused before that."""
    body = b'"' + b"x" * (10 * MEGABYTE - 2) + b'"'
    request = signed(signer, body=body)
    began = time.process_time()
    assert proved(signer, request, signer.secrets[:2])
    if signer.forged:
        assert not proved(signer, replace(request, body=body + b" "), signer.secrets[:2])
    assert time.process_time() - began < 1
    largest = {"github": 25, "gitlab": 25, "alertmanager": 10, "grafana": 10, "azure-monitor": 10}
    assert signer.source.largest == largest.get(signer.source.name, 2) * MEGABYTE
