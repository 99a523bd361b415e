"""Fetches and caches the keys with which Microsoft Entra signs a tenant's tokens.

https://openid.net/specs/openid-connect-discovery-1_0.html. Importing this module loads no cryptography and no HTTP
client; the first token does.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.event_loop import within
from shared.settings.clouds import LOGIN_HOSTS, LOOPBACK_HOSTS
from shared.telemetry import LogEvent, emit

if TYPE_CHECKING:
    from jwt import PyJWK

type Fetch = Callable[[str], Awaitable[bytes]]
"""Gets a URL's content. Raises any exception when it cannot."""

KEYS_AGE = 86400.0  # seconds after which keys are fetched again
UNKNOWN_KEY_PAUSE = 60.0  # seconds between two fetches that unknown key ids cause
NO_KEYS_PAUSE = 5.0  # seconds between two tries when there are no keys at all
FETCH_TIMEOUT = 5.0
LARGEST_FETCH = 1024 * 1024  # bytes
SMALLEST_KEY = 2048  # bits, RFC 7518 section 3.3

# The `ver` claim, and where the metadata for such tokens is.
_METADATA = {"1.0": "/.well-known/openid-configuration", "2.0": "/v2.0/.well-known/openid-configuration"}


class KeysUnavailable(Exception):  # noqa: N818 - a state of the tenant's metadata, answered with 503
    """No token can be verified: the tenant's keys were never fetched and cannot be fetched now."""


@dataclass(frozen=True, slots=True)
class _KeySet:
    issuer: str
    keys: Mapping[str, "PyJWK"]
    fetched_at: float


class SigningKeys:
    """The tenant's signing keys, for each version of token.

    Fetched on first use, when they are a day old, and when a token names an unknown key, but for that at most once a
    minute: anyone can invent key ids. Old keys stay in use when a fetch fails, and for whoever need not wait for it.
    """

    def __init__(self, tenant: str, authority: str, fetch: Fetch, clock: Callable[[], float]) -> None:
        self._tenant = tenant
        self._authority = authority.rstrip("/")
        self._fetch = fetch
        self._clock = clock
        self._known: dict[str, _KeySet] = {}
        self._asked_at: dict[str, float] = {}
        self._locks = {version: asyncio.Lock() for version in _METADATA}

    async def find(self, version: str, key_id: str) -> "tuple[PyJWK, str] | None":
        """The key and the issuer of the tokens that it signs, or None when the tenant has no such key."""
        lock = self._locks[version]
        known = self._known.get(version)
        if known is None or key_id not in known.keys or (self._is_old(known) and not lock.locked()):
            async with lock:
                if self._is_due(version, key_id):
                    await self._ask(version)
            known = self._known.get(version)
        if known is None:
            raise KeysUnavailable(f"no signing keys from {self._authority}")
        key = known.keys.get(key_id)
        return (key, known.issuer) if key else None

    async def load(self, version: str) -> None:
        """Return if there are keys for this version, of whatever age. Raises KeysUnavailable."""
        if version not in self._known:
            await self.find(version, "")

    def _is_old(self, known: _KeySet) -> bool:
        return self._clock() - known.fetched_at >= KEYS_AGE

    def _is_due(self, version: str, key_id: str) -> bool:
        known = self._known.get(version)
        asked_at = self._asked_at.get(version)
        if asked_at is None:
            return True
        passed = self._clock() - asked_at
        if known is None:
            return passed >= NO_KEYS_PAUSE
        return passed >= UNKNOWN_KEY_PAUSE and (key_id not in known.keys or self._is_old(known))

    async def _ask(self, version: str) -> None:
        try:
            metadata = _object(await self._fetch(f"{self._authority}/{self._tenant}{_METADATA[version]}"))
            issuer, keys_url = self._checked(metadata)
            keys = _signing_keys(_object(await self._fetch(keys_url)), self._tenant)
        except Exception as error:  # noqa: BLE001 - whatever failed, the old keys are still good
            emit(LogEvent.KEYS_UNREACHED, code=type(error).__name__)
        else:
            self._known[version] = _KeySet(issuer, keys, self._clock())
        self._asked_at[version] = self._clock()

    def _checked(self, metadata: Mapping[str, Any]) -> tuple[str, str]:
        """Issuer and URL of the keys. Raises ValueError when the metadata names another tenant or an unknown host."""
        issuer, keys_url = metadata["issuer"], metadata["jwks_uri"]
        if self._tenant not in urlsplit(issuer).path.lower().split("/"):
            raise ValueError("the issuer is of another tenant")
        own, other = urlsplit(self._authority), urlsplit(keys_url)
        if own.hostname in LOOPBACK_HOSTS:
            trusted = other.hostname in LOOPBACK_HOSTS and other.scheme in {"http", "https"}
        else:
            trusted = other.scheme == "https" and other.hostname in {own.hostname, *LOGIN_HOSTS}
        if not trusted:
            raise ValueError("the keys are on an unknown host")
        return issuer, keys_url


async def fetch(url: str) -> bytes:
    """The content at `url`: status 200 only, no redirects, at most LARGEST_FETCH bytes within FETCH_TIMEOUT.

    Raises OSError, TimeoutError, aiohttp.ClientError.
    """
    import aiohttp

    async with (
        within(FETCH_TIMEOUT),
        aiohttp.ClientSession(auto_decompress=False) as client,
        client.get(url, headers={"Accept-Encoding": "identity"}, allow_redirects=False) as response,
    ):
        if response.status != HTTPStatus.OK:
            raise OSError(f"status {response.status}")
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > LARGEST_FETCH:
                raise OSError("too large")
    return bytes(content)


def _signing_keys(key_set: Mapping[str, Any], tenant: str) -> dict[str, "PyJWK"]:
    """The usable RSA keys of a JWK set (RFC 7517) by key id. Raises ValueError when there is none."""
    keys = {
        entry["kid"]: key
        for entry in key_set["keys"]
        if isinstance(entry, dict) and isinstance(entry.get("kid"), str) and (key := _signing_key(entry, tenant))
    }
    if not keys:
        raise ValueError("no signing keys")
    return keys


def _signing_key(entry: Mapping[str, Any], tenant: str) -> "PyJWK | None":
    import jwt

    issuer = entry.get("issuer", tenant)  # Entra marks keys that sign for one issuer only; `{tenantid}` is any tenant
    ours = isinstance(issuer, str) and (tenant in issuer.lower() or "{tenantid}" in issuer.lower())
    if entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig" or not ours:
        return None
    try:
        # Only the public numbers; the algorithm is set here, and neither token nor key set can change it.
        key = jwt.PyJWK({"kty": "RSA", "n": entry["n"], "e": entry["e"]}, algorithm="RS256")
    except (jwt.PyJWTError, LookupError, TypeError, ValueError):
        return None
    return key if key.key.key_size >= SMALLEST_KEY else None


def _object(content: bytes) -> Mapping[str, Any]:
    value = json.loads(content)
    if not isinstance(value, dict):
        raise TypeError("not a JSON object")
    return value
