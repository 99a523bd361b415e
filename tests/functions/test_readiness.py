"""What readiness says of routes, and of what does not answer."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from shared.app import App
from shared.functions import health
from shared.settings.config import read
from tests.functions.samples import answer_of, request

VAULT = "https://kv-1.vault.azure.net"


async def _reached(_: App) -> None:
    """A dependency that answers."""


async def test_a_secret_in_a_setting_beside_the_vault_is_a_warning_and_the_app_is_ready(
    monkeypatch: pytest.MonkeyPatch, install: Callable[[App], App]
) -> None:
    """It works now; the next deployment would remove it."""
    environment = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "MAIL_VAULT_URL": VAULT}
    environment |= {"MAIL_SENDER": "a@contoso.com", "MAIL_TO": "b@contoso.com", "MAIL_SECRET_GITHUB": "hush"}
    app = App(read(environment))

    async def of(route: str) -> tuple[str, ...]:
        return app.settings.secrets.get("MAIL_SECRET_GITHUB", ()) if route == "github" else ()

    app.__dict__["secrets"] = SimpleNamespace(of=of)
    install(app)
    for name in ("_storage", "_tables", "_identity", "_callers"):
        monkeypatch.setattr(health, name, _reached)
    answer = await health.health_ready(request())
    routes = answer_of(answer)["checks"]["routes"]
    assert (answer.status_code, routes["status"], routes["on"]) == (200, "warn", ["github"])
    assert routes["notes"].keys() == {"MAIL_SECRET_GITHUB"}
    assert "hush" not in str(routes)


async def test_one_dependency_that_hangs_is_named_and_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch, install: Callable[[App], App]
) -> None:
    async def hang(_: App) -> None:
        await asyncio.Event().wait()

    install(App(read({"AzureWebJobsStorage": "UseDevelopmentStorage=true"})))
    monkeypatch.setattr(health, "PATIENCE", 0.05)
    for name in ("_storage", "_tables", "_callers"):
        monkeypatch.setattr(health, name, _reached)
    monkeypatch.setattr(health, "_identity", hang)
    async with asyncio.timeout(20):
        answer = await health.health_ready(request())
    checks = answer_of(answer)["checks"]
    assert answer.status_code == 503
    assert checks["identity"] == {"status": "fail", "error": "TimeoutError"}
    assert {checks[name]["status"] for name in ("storage", "tables", "callers")} == {"pass"}
