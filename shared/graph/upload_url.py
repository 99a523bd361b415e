"""Checks the upload URL that Graph returned, before a file is sent there.

The URL itself is the permission, and the file is a customer's. So the URL must be https and have no user name or
password; redirects are not followed (upload.py); and the host must not have a private, loopback or link-local address.
The host name is resolved here, and the connection goes to the address that was checked, not to what the name resolves
to a moment later. In the sandbox, where Graph itself is on loopback, http and loopback are allowed.
"""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

import httpx

from shared.settings.clouds import LOOPBACK_HOSTS

_LONGEST: Final = 8192
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class UploadRefusedError(Exception):
    """A file must not be sent to this URL. The text quotes nothing of the URL."""


@dataclass(frozen=True, slots=True)
class Target:
    """url: with the address in place of the name. host: the name, for the Host header and for TLS."""

    url: httpx.URL
    host: str
    name: str

    def __repr__(self) -> str:
        return "Target(…)"  # the URL is a secret


async def resolved(text: str, graph_host: str) -> Target:
    """The target that an upload URL names. graph_host: of GRAPH_BASE_URL.

    Raises UploadRefusedError; OSError when the name cannot be resolved now.
    """
    sandbox = graph_host in LOOPBACK_HOSTS
    if len(text) > _LONGEST:
        raise UploadRefusedError("The upload URL is too long.")
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        raise UploadRefusedError("The upload URL is not a URL.") from None
    if url.scheme != "https" and not (sandbox and url.scheme == "http"):
        raise UploadRefusedError("The upload URL is not https.")
    if url.userinfo or not url.host:
        raise UploadRefusedError("The upload URL has a user name, or has no host.")
    port = url.port or (443 if url.scheme == "https" else 80)
    addresses = await _addresses(url.host, port)
    for address in addresses:
        public = address.is_global and not address.is_multicast
        if not (public or (sandbox and address.is_loopback)):
            raise UploadRefusedError("The upload URL leads into a private network.")
    # IPv4 first: not every network in which functions run has the other one.
    chosen = min(addresses, key=lambda address: address.version)
    return Target(url.copy_with(host=str(chosen)), url.netloc.decode("ascii"), url.host)


async def _addresses(host: str, port: int) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [_unmapped(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found]
    if not addresses:
        raise OSError("no address")
    return addresses


def _unmapped(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address that an IPv6 address embeds, or the address itself."""
    address = ipaddress.ip_address(text)
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
