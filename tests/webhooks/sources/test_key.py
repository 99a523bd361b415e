"""The row "key" of the table of senders, each cell."""

from typing import Any

import msgspec
import pytest

from shared.webhooks.sources.key import Key
from shared.webhooks.sources.source import RawRequest, Result, Unverified
from tests.webhooks.sources.moments import NOW
from tests.webhooks.sources.signers import basic_header

SECRET = "shop:s3cret"
WAYS = {
    "bearer": {"authorization": f"Bearer {SECRET}"},
    "header": {"x-api-key": SECRET},
    "basic": {"authorization": basic_header(SECRET)},
}


def proved(source: Key, headers: dict[str, str], *secrets: str) -> bool:
    try:
        source.authenticate(RawRequest(b"{}", headers), secrets or [SECRET], NOW)
    except Unverified:
        return False
    return True


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_may_come_in_any_of_three_ways(way: str) -> None:
    assert proved(Key(), WAYS[way])


@pytest.mark.parametrize("accepted", [["bearer"], ["header"], ["basic"], ["basic", "header"]])
def test_a_route_may_take_some_of_the_ways_only(accepted: list[str]) -> None:
    source = msgspec.convert({"accept": accepted}, Key)
    assert {way for way in WAYS if proved(source, WAYS[way])} == set(accepted)


def test_the_header_may_have_another_name() -> None:
    source = msgspec.convert({"accept": ["header"], "header": "X-Gitlab-Token"}, Key)
    assert proved(source, {"x-gitlab-token": SECRET})
    assert not proved(source, {"x-api-key": SECRET})


def test_one_way_that_is_right_is_enough() -> None:
    """A proxy may put an Authorization of its own beside the key."""
    assert proved(Key(), {"authorization": "Bearer of-a-proxy", "x-api-key": SECRET})
    assert proved(Key(), {"authorization": f"Bearer {SECRET}", "x-api-key": "other"})
    assert not proved(Key(), {"authorization": "Bearer of-a-proxy", "x-api-key": "other"})


def test_a_secret_without_a_colon_is_no_password() -> None:
    assert not proved(Key(), {"authorization": basic_header("s3cret")}, "s3cret")
    assert proved(Key(), {"authorization": "Bearer s3cret"}, "s3cret")


def test_what_is_wrong_says_which_ways_there_are_and_no_more() -> None:
    with pytest.raises(Unverified, match="takes: bearer, header, basic") as caught:
        Key().authenticate(RawRequest(b"{}"), [SECRET], NOW)
    assert "s3cret" not in str(caught.value)


def test_the_secret_is_not_taken_from_the_url() -> None:
    for name in ("key", "code", "secret", "access_token", "x-api-key"):
        request = RawRequest(b"{}", query={name: SECRET})
        with pytest.raises(Unverified):
            Key().authenticate(request, [SECRET], NOW)


@pytest.mark.parametrize(
    "options", [{"accept": []}, {"accept": ["query"]}, {"header": "X Key"}, {"header": ""}, {"accept": "bearer"}]
)
def test_options_that_cannot_be_are_an_error_when_the_route_is_read(options: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError, match=next(iter(options))):
        msgspec.convert(options, Key)


@pytest.mark.parametrize(
    ("result", "status"),
    [(Result.DONE, 202), (Result.OVERLOADED, 503), (Result.UNVERIFIED, 401), (Result.MALFORMED, 400)],
)
def test_the_answers_are_those_of_the_table(result: Result, status: int) -> None:
    assert Key().reply(result).status == status


def test_there_is_no_handshake() -> None:
    assert Key().handshake(RawRequest(b"{}")) is None
