"""The sandbox answers its own names only, and pages of its own only where anybody may ask."""

from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from sandbox.own_names import OwnNames, named

OWN = "http://127.0.0.1:7072"
HOSTS = [
    ("127.0.0.1", 200),
    ("127.0.0.1:7072", 200),
    ("LocalHost:1", 200),
    ("[::1]:7072", 200),
    ("tunnel.example", 200),
    ("Tunnel.Example:443", 200),
    ("rebound.example", 421),
    ("127.0.0.1.rebound.example", 421),
    ("localhost.rebound.example:7072", 421),
    ("rebound.example@127.0.0.1", 421),
    ("127.0.0.1@rebound.example", 421),
    ("127.0.0.2", 421),
    ("0.0.0.0", 421),
    ("2130706433", 421),
    ("[::1", 421),
    ("", 421),
]


async def ask(headers: list[tuple[str, str]], path: str = "/v1.0/me", method: str = "GET", **options: Any) -> int:
    app = OwnNames(PlainTextResponse("here"), **options)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=OWN) as client:
        return (await client.request(method, path, headers=headers)).status_code


@pytest.mark.parametrize(("host", "status"), HOSTS)
async def test_only_the_names_of_loopback_are_answered_and_those_that_were_added(host: str, status: int) -> None:
    assert await ask([("Host", host)], names=["TUNNEL.example"]) == status


async def test_two_hosts_are_none() -> None:
    assert await ask([("Host", "127.0.0.1"), ("Host", "rebound.example")]) == 421


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    ("origin", "status"),
    [(OWN, 200), ("https://page.example", 403), ("null", 403), ("http://127.0.0.1:1080", 403), ("", 403)],
)
async def test_what_is_guarded_takes_no_request_of_a_page_of_another_origin(
    origin: str, status: int, method: str
) -> None:
    headers = [("Host", "127.0.0.1:7072"), ("Origin", origin)]
    assert await ask(headers, "/_control/reset", method, guarded="/_control") == status
    assert await ask(headers, "/v1.0/me", method, guarded="/_control") == 200
    assert await ask(headers[:1], "/_control/reset", method, guarded="/_control") == 200


def test_a_name_is_read_without_its_port() -> None:
    assert [named(host) for host in ("A.example:80", "[::1]:80", "[::1", "")] == ["a.example", "::1", None, None]
