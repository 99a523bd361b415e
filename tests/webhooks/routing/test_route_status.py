"""What an operator is told of routes: which are on, and what keeps the others, or a part of their settings, idle."""

from pathlib import Path

from azure.core.exceptions import ServiceRequestError

from shared.webhooks.rendering.mails import Renderer
from shared.webhooks.routing.catalog import BUILT_IN, load
from shared.webhooks.routing.compose import Composer
from shared.webhooks.routing.route_status import RouteStatus, status_of
from shared.webhooks.routing.secrets import Secrets
from tests.webhooks.routing.samples import settings

RENDERER = Renderer(BUILT_IN / "_layout")
TENANTLESS = 'source = "azure-monitor"\n[options]\naudience = "api://mailroom"\n'
ENTRA = f'{TENANTLESS}tenant = "11111111-1111-1111-1111-111111111111"\n'


async def status(
    folder: Path, routes: dict[str, str], vault: dict[str, str] | None = None, **environ: str
) -> RouteStatus:
    for name, text in routes.items():
        (folder / name).mkdir()
        (folder / name / "route.toml").write_text(text)
    given = settings(**environ)

    async def fetch(name: str) -> str | None:
        if vault is None:
            raise ServiceRequestError("away")
        return vault.get(name)

    secrets = Secrets(given, fetch if vault is not None or "MAIL_VAULT_URL" in environ else None)
    return await status_of(load(folder, RENDERER), Composer(given, RENDERER), secrets)


async def test_a_route_is_on_with_a_secret_that_it_can_use_and_off_without_one(tmp_path: Path) -> None:
    found = await status(tmp_path, {}, MAIL_SECRET_GITHUB="a", MAIL_SECRET_AZURE_DEVOPS="user:password")
    assert (found.on, found.problems) == (["azure-devops", "github"], {})
    assert {"stripe", "grafana", "generic"} <= set(found.off)
    assert not set(found.off) & set(found.on)


async def test_a_secret_that_cannot_be_used_is_named_whether_another_can_or_not(tmp_path: Path) -> None:
    found = await status(
        tmp_path, {}, MAIL_SECRET_STANDARD_WEBHOOKS="whsec_c2VjcmV0 whsec_hush?", MAIL_SECRET_AZURE_DEVOPS="hush"
    )
    assert found.on == ["standard-webhooks"]
    assert found.problems.keys() == {"standard-webhooks", "azure-devops"}
    assert "MAIL_SECRET_STANDARD_WEBHOOKS: secret 2 of 2" in found.problems["standard-webhooks"]
    assert "user:password" in found.problems["azure-devops"]
    assert "hush" not in str(found)


async def test_the_same_holds_for_what_lies_in_the_vault(tmp_path: Path) -> None:
    found = await status(tmp_path, {}, {"mail-secret-azure-devops": "hush", "mail-secret-github": "a"})
    assert found.on == ["github"]
    assert "azure-devops" not in found.off
    assert found.problems.keys() == {"azure-devops"}


async def test_a_secret_of_no_route_is_reported_with_the_nearest(tmp_path: Path) -> None:
    routes = {"my-shop": 'source = "key"'}
    found = await status(tmp_path, routes, MAIL_SECRET_MYSHOP="hush", MAIL_SECRET_GITHIB="hush")
    assert found.on == []
    assert "MAIL_SECRET_MY_SHOP" in found.problems["MAIL_SECRET_MYSHOP"]
    assert "MAIL_SECRET_GITHUB" in found.problems["MAIL_SECRET_GITHIB"]
    assert "hush" not in str(found)


async def test_a_secret_of_a_route_that_takes_tokens_is_reported_and_the_route_is_on(tmp_path: Path) -> None:
    found = await status(tmp_path, {"alerts": ENTRA}, MAIL_SECRET_ALERTS="a")
    assert found.on == ["alerts"]
    assert "Entra" in found.problems["alerts"]


async def test_a_route_of_tokens_without_a_tenant_is_reported(tmp_path: Path) -> None:
    found = await status(tmp_path, {"alerts": TENANTLESS})
    assert "alerts" not in (*found.on, *found.off)
    assert "MAIL_API_TENANT" in found.problems["alerts"]


async def test_a_reference_that_was_not_resolved_is_reported(tmp_path: Path) -> None:
    found = await status(tmp_path, {}, MAIL_SECRET_GITHUB="@Microsoft.KeyVault(SecretUri=https://x.example/hush)")
    assert (found.on, list(found.problems)) == ([], ["github"])
    assert "MAIL_SECRET_GITHUB is a Key Vault reference" in found.problems["github"]


async def test_a_vault_that_is_away_is_what_keeps_each_route_that_needs_it(tmp_path: Path) -> None:
    found = await status(
        tmp_path, {"alerts": ENTRA}, MAIL_VAULT_URL="https://contoso.vault.azure.net", MAIL_SECRET_GITHUB="a"
    )
    assert found.on == ["alerts", "github"]
    assert "vault" in found.problems["stripe"]


async def test_a_setting_that_takes_the_vaults_place_is_noted_and_nothing_is_wrong(tmp_path: Path) -> None:
    """It works until the next deployment removes it. Without a vault there is nothing else to use."""
    vault = {"mail-secret-github": "a", "mail-secret-stripe": "whsec_c2VjcmV0"}
    away = {"MAIL_VAULT_URL": "https://kv-1.vault.azure.net"}
    found = await status(tmp_path, {}, vault, MAIL_SECRET_GITHUB="hush", **away)
    assert (found.on, found.problems) == (["github", "stripe"], {})
    assert found.notes.keys() == {"MAIL_SECRET_GITHUB"}
    assert "mail-secret-github" in found.notes["MAIL_SECRET_GITHUB"]
    assert "hush" not in str(found)
    assert (await status(tmp_path, {}, vault, MAIL_SECRET_GITHUB="hush")).notes == {}
