"""The secrets of routes: from MAIL_SECRET_<ROUTE>, or out of the vault of MAIL_VAULT_URL.

The vault is read by the app itself, under its identity, so that a secret is never in a setting, and is read anew every
ten minutes, so that rotation needs no restart. While the vault cannot be reached what was read before stays in use.
Whoever sends a request causes a reading, before it has proved anything: so there is one at a time of each secret, for
all who wait, and one that fails is not tried again for seconds.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from azure.core.exceptions import ResourceNotFoundError

from shared.runtime.deadline import within
from shared.settings.config import Settings, secret_setting
from shared.telemetry import LogEvent, emit

__all__ = ["Secrets", "SecretsUnavailable", "Vault", "vault_name"]

KEPT: Final = 600.0  # seconds
AGAIN: Final = 10.0  # seconds until the vault is asked again after it has failed, or had nothing
PATIENCE: Final = 5.0  # seconds; the sender's patience ends after ten
Fetch = Callable[[str], Awaitable[str | None]]


class SecretsUnavailable(Exception):  # noqa: N818 - it passes
    """The vault cannot be reached, and nothing is known of before."""


@dataclass(slots=True)
class _Read:
    secrets: tuple[str, ...]
    good_until: float
    known: bool  # the vault has answered


def vault_name(route: str) -> str:
    """The name of a route's secret in the vault; names there have letters, digits and dashes."""
    return "mail-secret-" + re.sub(r"[^a-z0-9-]", "-", route)


class Secrets:
    """One for a process. fetch: reads a secret of the vault and raises azure.core's errors; None: there is no vault."""

    def __init__(
        self,
        settings: Settings,
        fetch: Fetch | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._fetch = fetch
        self._clock = clock
        self._read: dict[str, _Read] = {}
        self._reading: dict[str, asyncio.Task[_Read]] = {}

    async def of(self, route: str) -> tuple[str, ...]:
        """The secrets that are good for a route; none when it has none. Raises SecretsUnavailable.

        None is certain: no variable holds any, and the vault, where there is one, has answered that it has none.
        """
        given = self._settings.secrets.get(secret_setting(route))
        if given or self._fetch is None:
            return given or ()
        before = self._read.get(route)
        if before is not None and self._clock() < before.good_until:
            return self._answer(before)
        reading = self._reading.get(route)
        if reading is None:
            reading = self._reading[route] = asyncio.create_task(self._read_anew(route, self._fetch, before))
            reading.add_done_callback(lambda _: self._reading.pop(route, None))
        return self._answer(await asyncio.shield(reading))  # who goes away leaves it to the others

    async def _read_anew(self, route: str, fetch: Fetch, before: _Read | None) -> _Read:
        try:
            text = await fetch(vault_name(route))
            # One that is there and blank is a secret that nobody can use, and not a route without one.
            found = () if text is None else tuple(text.split()) or ("",)
            now = _Read(found, self._clock() + (KEPT if found else AGAIN), known=True)
        except ResourceNotFoundError:
            now = _Read((), self._clock() + AGAIN, known=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, the secret is not known and may be in a while
            emit(LogEvent.VAULT_UNREACHED, route=route, code=type(error).__name__)
            old = before.secrets if before else ()
            # That there was none a while ago does not say that there is none now: who has just set one is not told 404.
            now = _Read(old, self._clock() + AGAIN, known=bool(old))
        self._read[route] = now
        return now

    def _answer(self, read: _Read) -> tuple[str, ...]:
        if not read.known:
            raise SecretsUnavailable
        return read.secrets


class Vault:
    """Key Vault, under the managed identity. options: of the client."""

    def __init__(self, url: str, client_id: str | None, **options: Any) -> None:
        from azure.keyvault.secrets.aio import SecretClient

        from shared.auth.managed_identity import Identity

        self._credential = Identity(client_id)
        self._client = SecretClient(url, self._credential, retry_total=1, **options)

    async def fetch(self, name: str) -> str | None:
        """The value of a secret. Raises AzureError, ResourceNotFoundError where there is none, TimeoutError."""
        async with within(PATIENCE):
            secret = await self._client.get_secret(name)
        return secret.value or ""

    async def close(self) -> None:
        await self._client.close()
        await self._credential.close()
