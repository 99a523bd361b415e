"""Secrets of routes: settings first, then the vault, which is read anew every ten minutes."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from sandbox.certificate import Certificate, issue
from shared.webhooks.routing.secrets import AGAIN, KEPT, Secrets, SecretsUnavailable, SecretVault, vault_name
from tests.webhooks.routing.samples import settings

type Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class FakeVault:
    """What a vault says, and how often it was asked."""

    def __init__(self) -> None:
        self.now = 0.0
        self.answers: dict[str, str | Exception | None] = {}
        self.asked = 0

    async def fetch(self, name: str) -> str | None:
        self.asked += 1
        answer = self.answers.get(name, ResourceNotFoundError("none"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def secrets(self, **environ: str) -> Secrets:
        return Secrets(settings(**environ), self.fetch, lambda: self.now)


async def test_a_setting_holds_several_secrets_and_the_vault_is_not_asked() -> None:
    vault = FakeVault()
    assert await vault.secrets(MAIL_SECRET_MY_SHOP="old new").of("my-shop") == ("old", "new")
    assert not vault.asked


async def test_a_reference_that_azure_could_not_resolve_is_no_secret() -> None:
    """It would be one that everybody knows."""
    reference = "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s)"
    assert await Secrets(settings(MAIL_SECRET_SHOP=reference)).of("shop") == ()
    assert await Secrets(settings()).of("shop") == ()


async def test_the_vault_is_read_once_in_ten_minutes_and_rotation_needs_no_restart() -> None:
    vault = FakeVault()
    vault.answers["mail-secret-shop"] = "one"
    secrets = vault.secrets()
    assert [await secrets.of("shop"), await secrets.of("shop")] == [("one",), ("one",)]
    assert vault.asked == 1
    vault.answers["mail-secret-shop"] = "one two"
    vault.now = 601
    assert await secrets.of("shop") == ("one", "two")
    del vault.answers["mail-secret-shop"]
    vault.now *= 2
    assert await secrets.of("shop") == ()


async def test_a_vault_that_has_no_secret_yet_is_asked_again_soon() -> None:
    vault = FakeVault()
    vault.answers["mail-secret-shop"] = None
    secrets = vault.secrets()
    assert await secrets.of("shop") == ()
    vault.answers["mail-secret-shop"] = "one"
    vault.now = AGAIN + 1
    assert await secrets.of("shop") == ("one",)


async def test_while_the_vault_is_away_what_was_read_before_stays_in_use() -> None:
    vault = FakeVault()
    vault.answers["mail-secret-shop"] = "one"
    secrets = vault.secrets()
    await secrets.of("shop")
    vault.answers["mail-secret-shop"] = HttpResponseError("away")
    vault.now = KEPT + 1
    assert await secrets.of("shop") == ("one",)
    vault.now += AGAIN - 1
    await secrets.of("shop")
    assert vault.asked == 2  # and it is not asked at each request


def test_the_name_in_the_vault_has_only_what_a_vault_takes() -> None:
    assert vault_name("my_shop.eu-1") == "mail-secret-my-shop-eu-1"


@asynccontextmanager
async def listening(handler: Handler, certificate: Certificate | None = None) -> AsyncIterator[str]:
    """The address of a server that answers every request by this handler."""
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate.certificate, certificate.key)
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def a_vault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[tuple[Secrets, list[str], list[str]]]:
    """Secrets by the real client; what the identity endpoint and the vault were asked."""
    asked: list[str] = []
    reads: list[str] = []

    async def token(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path_qs)
        token = {"access_token": "a-token", "expires_on": "4102444800", "token_type": "Bearer"}
        return web.json_response({**token, "resource": "https://vault.azure.net"})

    async def secret(request: web.BaseRequest) -> web.StreamResponse:
        reads.append(request.path)
        if request.headers.get("Authorization") != "Bearer a-token":
            challenge = 'Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"'
            return web.json_response({}, status=401, headers={"WWW-Authenticate": challenge})
        if not request.path.startswith("/secrets/mail-secret-shop/"):
            return web.json_response({"error": {"code": "SecretNotFound", "message": "none"}}, status=404)
        return web.json_response({"value": "one two", "id": f"http://{request.host}/secrets/mail-secret-shop/1"})

    certificate = issue(tmp_path)
    async with listening(token) as identity, listening(secret, certificate) as url:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{identity}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "header")
        # Only here: loopback has no name of Azure's, which the client would insist on before it shows its token.
        vault = SecretVault(url, None, connection_verify=str(certificate.ca), verify_challenge_resource=False)
        try:
            yield Secrets(settings(MAIL_VAULT_URL=url), vault.fetch), asked, reads
        finally:
            await vault.close()


async def test_many_requests_at_once_are_one_reading_of_the_vault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the real client, under the managed identity. Anybody may cause a read, before anything is proved."""
    async with a_vault(monkeypatch, tmp_path) as (secrets, asked, read):
        found = await asyncio.gather(*(secrets.of("shop") for _ in range(500)))
        none = await asyncio.gather(*(secrets.of("other") for _ in range(500)))
    assert set(found) == {("one", "two")}
    assert set(none) == {()}
    assert len(asked) == 1
    assert "vault.azure.net" in asked[0]
    # The first one twice: the client shows its token to a vault that asks for one.
    reads = [sum(path.startswith(f"/secrets/mail-secret-{name}/") for path in read) for name in ("shop", "other")]
    assert reads == [2, 1]


@pytest.mark.parametrize(
    "error", [HttpResponseError("away"), TimeoutError(), ValueError("another vault's challenge"), OSError()]
)
async def test_a_read_that_fails_is_one_for_all_who_wait_and_not_taken_for_none(error: Exception) -> None:
    vault = FakeVault()
    vault.answers["mail-secret-shop"] = error
    secrets = vault.secrets()
    for asked in (1, 1, 2):
        answers = await asyncio.gather(*(secrets.of("shop") for _ in range(100)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {SecretsUnavailable}
        assert vault.asked == asked
        vault.now += AGAIN * 0.6
    vault.now += AGAIN
    vault.answers["mail-secret-shop"] = "one"
    assert await secrets.of("shop") == ("one",)


async def test_a_request_that_goes_away_ends_the_read_for_nobody() -> None:
    answered = asyncio.Event()

    async def fetch(name: str) -> str:
        await answered.wait()
        return "one"

    secrets = Secrets(settings(), fetch)
    first, second = (asyncio.create_task(secrets.of("shop")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    answered.set()
    assert await second == ("one",)
