"""Gets what a webhook must prove: a route's secrets, from MAIL_SECRET_<ROUTE> or the vault; or checks an Entra token.

The app reads the vault with its own identity, so that no secret has to be in a setting. It reads a secret again after
ten minutes, so rotation needs no restart. While the vault cannot be reached, the last known secret stays in use.

Strangers can cause reads, because a secret is read before a request has proved anything. So all requests share one read
of a secret at a time, and a failed read is not repeated for some seconds.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from azure.core.exceptions import ResourceNotFoundError

from shared.auth.entra import TokenVerifier, require
from shared.errors import NotAllowed, Unauthenticated
from shared.event_loop import within
from shared.settings.clouds import Registration
from shared.settings.config import Settings, secret_setting
from shared.telemetry import LogEvent, emit
from shared.webhooks.sources.source import TokenRule

KEPT: Final = 600.0  # seconds
AGAIN: Final = 10.0  # seconds until the next read, after the vault failed or had no secret
PATIENCE: Final = 5.0  # seconds; most senders wait ten
Fetch = Callable[[str], Awaitable[str | None]]


class SecretsUnavailable(Exception):  # noqa: N818 - it passes
    """The vault cannot be reached, and no secret is known from before."""


@dataclass(slots=True)
class _VaultRead:
    secrets: tuple[str, ...]
    good_until: float
    known: bool  # the vault has answered


def vault_name(route: str) -> str:
    """The name of a route's secret in the vault, where names consist of letters, digits and dashes."""
    return "mail-secret-" + re.sub(r"[^a-z0-9-]", "-", route)


class Secrets:
    """One for a process. fetch: reads a secret from the vault, raises azure.core's errors; None: there is no vault."""

    def __init__(
        self, settings: Settings, fetch: Fetch | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._fetch = fetch
        self._clock = clock
        self._read: dict[str, _VaultRead] = {}
        self._reading: dict[str, asyncio.Task[_VaultRead]] = {}

    async def of(self, route: str) -> tuple[str, ...]:
        """The valid secrets of a route; empty when it certainly has none. Raises SecretsUnavailable."""
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
        return self._answer(await asyncio.shield(reading))  # a caller that goes away does not end it for the others

    async def _read_anew(self, route: str, fetch: Fetch, before: _VaultRead | None) -> _VaultRead:
        try:
            text = await fetch(vault_name(route))
            # A blank secret is a secret that nobody can use; the route is not without one.
            found = () if text is None else tuple(text.split()) or ("",)
            now = _VaultRead(found, self._clock() + (KEPT if found else AGAIN), known=True)
        except ResourceNotFoundError:
            now = _VaultRead((), self._clock() + AGAIN, known=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, the secret is unknown, and a later read may succeed
            emit(LogEvent.VAULT_UNREACHED, route=route, code=type(error).__name__)
            old = before.secrets if before else ()
            # There was none a while ago, but an operator may just have set one: so this is not answered 404.
            now = _VaultRead(old, self._clock() + AGAIN, known=bool(old))
        self._read[route] = now
        return now

    def _answer(self, read: _VaultRead) -> tuple[str, ...]:
        if not read.known:
            raise SecretsUnavailable
        return read.secrets


class SecretVault:
    """Key Vault, under the managed identity. options: of its client."""

    def __init__(self, url: str, client_id: str | None, **options: Any) -> None:
        from azure.keyvault.secrets.aio import SecretClient

        from shared.auth.managed_identity import Identity

        self._credential = Identity(client_id)
        self._client = SecretClient(url, self._credential, retry_total=1, **options)

    async def fetch(self, name: str) -> str | None:
        """The value of a secret. Raises ResourceNotFoundError where there is none, other AzureErrors, TimeoutError."""
        async with within(PATIENCE):
            secret = await self._client.get_secret(name)
        return secret.value or ""

    async def close(self) -> None:
        await self._client.close()
        await self._credential.close()


class WebhookTokens:
    """Verifies the Entra tokens of webhooks, whose routes name tenant, audience and applications."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._verifiers: dict[tuple[str | None, str], TokenVerifier] = {}  # by tenant and audience: they keep keys

    async def verify(self, rule: TokenRule, authorization: str | None) -> None:
        """Return if the token satisfies the route's rule. Raises Unauthenticated, NotAllowed, KeysUnavailable."""
        verifier = self._verifiers.get((rule.tenant, rule.audience))
        if verifier is None:
            tenant = rule.tenant or (self._settings.api.tenant if self._settings.api else None)
            if tenant is None:
                raise Unauthenticated("The route has no tenant, and MAIL_API_TENANT is not set.")
            verifier = TokenVerifier(
                Registration(tenant, rule.audience.removeprefix("api://"), self._settings.authority)
            )
            self._verifiers[rule.tenant, rule.audience] = verifier
        caller = await verifier.verify(authorization)
        if caller.delegated or caller.application_id not in {app.lower() for app in rule.allowed_apps}:
            raise NotAllowed("The token's application is not among the route's allowed_apps.")
        if rule.app_role is not None:
            require(caller, rule.app_role)
