"""Secrets of routes: settings first, then the vault, which is read anew every ten minutes."""

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from sandbox.certificate import Certificate, issue
from shared.webhooks.routing.secrets import AGAIN, KEPT, Secrets, SecretsUnavailable, SecretVault, vault_name
from tests.webhooks.routing.samples import settings


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


class Endpoint(BaseHTTPRequestHandler):
    """Key Vault's and the managed identity's HTTP, as the SDK speaks it."""

    seen: list[str]

    def do_GET(self) -> None:
        type(self).seen.append(self.path)
        if self.path.startswith("/token"):
            token = {"access_token": "a-token", "expires_on": "4102444800", "token_type": "Bearer"}
            return self._json(200, {**token, "resource": "https://vault.azure.net"})
        if self.headers.get("Authorization") != "Bearer a-token":
            challenge = 'Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"'
            return self._json(401, {"error": {"code": "Unauthorized"}}, {"WWW-Authenticate": challenge})
        if self.path.startswith("/secrets/mail-secret-shop/"):
            return self._json(
                200, {"value": "one two", "id": f"http://{self.headers['Host']}/secrets/mail-secret-shop/1"}
            )
        return self._json(404, {"error": {"code": "SecretNotFound", "message": "none"}})

    def _json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        every = {**(headers or {}), "Content-Length": str(len(content)), "Content-Type": "application/json"}
        for name, value in every.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None: ...


@contextmanager
def endpoint(certificate: Certificate | None = None) -> Iterator[tuple[str, list[str]]]:
    seen: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Endpoint,), {"seen": seen}))
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate.certificate, certificate.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@asynccontextmanager
async def a_vault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[tuple[Secrets, list[str], list[str]]]:
    """Secrets by the real client; what the identity endpoint and the vault were asked."""
    certificate = issue(tmp_path)
    with endpoint() as (identity, asked), endpoint(certificate) as (url, read):
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{identity}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "header")
        # Only here: loopback has no name of Azure's, which the client would insist on before it shows its token.
        vault = SecretVault(url, None, connection_verify=str(certificate.ca), verify_challenge_resource=False)
        try:
            yield Secrets(settings(MAIL_VAULT_URL=url), vault.fetch), asked, read
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


async def test_a_vault_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(name: str) -> str | None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
        return None

    with pytest.raises(SecretsUnavailable):
        await Secrets(settings(), never).of("shop")
