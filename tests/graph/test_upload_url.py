"""Where a file may be uploaded to."""

import asyncio
import socket
import ssl
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.certificate import issue
from shared.graph.transport import AiohttpTransport
from shared.graph.upload_url import UploadRefusedError, resolved

GRAPH = "graph.microsoft.com"
PUBLIC = "52.96.0.1"


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to; what is not here is an address already, or has none."""
    known: dict[str, list[str]] = {}

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        addresses = known.get(host) or [host.strip("[]")]
        try:
            return [found for one in addresses for found in socket.getaddrinfo(one, port, flags=socket.AI_NUMERICHOST)]
        except socket.gaierror as error:
            raise OSError(str(error)) from error

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return known


async def test_the_connection_goes_to_the_address_that_was_checked(names: dict[str, list[str]]) -> None:
    """The name is asked for once: what it says a moment later makes no difference."""
    names["outlook.office.com"] = ["2603:1036::1", PUBLIC]
    target = await resolved("https://outlook.office.com/api/v2.0/Users('x')/AttachmentSessions('y')?authtoken=z", GRAPH)
    assert str(target.url) == f"https://{PUBLIC}/api/v2.0/Users('x')/AttachmentSessions('y')?authtoken=z"
    assert (target.host, target.name) == ("outlook.office.com", "outlook.office.com")
    assert "authtoken" not in repr(target)


REFUSED = {
    "http": "http://outlook.office.com/x",
    "another scheme": "ftp://outlook.office.com/x",
    "a user": "https://graph@outlook.office.com/x",
    "no host": "https:///x",
    "no URL": "https://[::1",
    "too long": "https://outlook.office.com/" + "x" * 9000,
    "loopback": "https://127.0.0.1/x",
    "loopback by name": "https://localhost.example/x",
    "loopback of IPv6": "https://[::1]/x",
    "any address": "https://0.0.0.0/x",
    "a private network": "https://10.0.0.4/x",
    "another one": "https://172.16.0.1/x",
    "a third one": "https://192.168.1.1/x",
    "carriers' own": "https://100.64.0.1/x",
    "the instance metadata": "https://169.254.169.254/metadata/identity",
    "a link of IPv6": "https://[fe80::1]/x",
    "a private network of IPv6": "https://[fd00::1]/x",
    "IPv4 in IPv6": "https://[::ffff:10.0.0.4]/x",
    "IPv4 in NAT64": "https://[64:ff9b::a00:4]/x",
    "IPv4 in 6to4": "https://[2002:a00:4::1]/x",
    "multicast": "https://224.0.0.1/x",
    "a name with one private address": "https://two.example/x",
}


@pytest.mark.parametrize("url", REFUSED.values(), ids=REFUSED)
async def test_a_url_that_is_none_to_upload_to_is_refused_without_being_quoted(
    names: dict[str, list[str]], url: str
) -> None:
    names |= {"localhost.example": ["127.0.0.1"], "two.example": [PUBLIC, "10.0.0.4"], "outlook.office.com": [PUBLIC]}
    with pytest.raises(UploadRefusedError) as caught:
        await resolved(url, GRAPH)
    assert "/x" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:7072/upload/1", "https://127.0.0.1/x", "http://[::1]:7072/x"])
async def test_in_the_sandbox_loopback_will_do(names: dict[str, list[str]], url: str) -> None:
    assert (await resolved(url, "127.0.0.1")).url.path.startswith(("/upload", "/x"))


async def test_in_the_sandbox_a_private_network_will_not(names: dict[str, list[str]]) -> None:
    with pytest.raises(UploadRefusedError):
        await resolved("https://10.0.0.4/x", "127.0.0.1")


async def test_a_name_that_cannot_be_resolved_is_trouble_of_the_moment(names: dict[str, list[str]]) -> None:
    with pytest.raises(OSError, match=r".+"):
        await resolved("https://outlook.office.com/x", GRAPH)


async def test_tls_names_and_verifies_the_host_though_the_connection_goes_to_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate of another host is refused, so a name that resolves to a stranger gets nothing."""
    issued, named = issue(tmp_path), list[str | None]()
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(issued.certificate, issued.key)
    own.sni_callback = lambda _socket, name, _context: named.append(name)
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", ssl.create_default_context(cafile=issued.ca))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    transport = AiohttpTransport()
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=own) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
        for name, refused in (("localhost", nullcontext()), ("outlook.office.com", pytest.raises(httpx.ConnectError))):
            with refused:
                request = httpx.Request("PUT", url, content=b"x", extensions={"sni_hostname": name})
                assert (await transport.handle_async_request(request)).status_code == 201
    await transport.aclose()
    assert named == ["localhost", "outlook.office.com"]
