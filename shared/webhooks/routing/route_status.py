"""Tells the operator which routes are on, and why others, or parts of their settings, cannot be used.

A route without a secret is off, which is not a fault; it answers as if it did not exist. A secret that cannot prove any
request is a fault even if another secret works, because its sender would be refused one day and nobody would know why.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from shared.settings.config import Settings, secret_setting
from shared.webhooks.routing.catalog import Catalog
from shared.webhooks.routing.compose import Composer
from shared.webhooks.routing.route import Route, RouteUnusable
from shared.webhooks.routing.secrets import Secrets, SecretsUnavailable, vault_name


@dataclass(frozen=True, slots=True)
class RouteStatus:
    """on: routes that take events. off: those without a secret.

    problems: by the route's name, or the setting's if no route has it. notes: what works but will stop working, by the
    setting.
    """

    on: list[str] = field(default_factory=list)
    off: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


async def status_of(catalog: Catalog, composer: Composer, secrets: Secrets) -> RouteStatus:
    """The status of every route. Reads the vault for all of them at once. Never raises."""
    settings = composer.settings
    status = RouteStatus(
        problems={**faults_of_secrets(settings, catalog), **catalog.problems}, notes=shadows_of_vault(settings, catalog)
    )

    async def ask(route: Route) -> None:
        by_token = route.source.token_rule is not None
        try:
            known = () if by_token else await secrets.of(route.name)
            if (missing := tenant_fault(route, settings)) is not None:
                status.problems[route.name] = missing
                return
            if by_token or any(route.source.unusable(secret) is None for secret in known):
                composer.check(route)
                status.on.append(route.name)
            if (fault := secret_fault(route, known, settings)) is not None:  # of the vault's, too
                status.problems[route.name] = fault
            elif not by_token and not known:
                status.off.append(route.name)
        except SecretsUnavailable:
            status.problems[route.name] = "The vault of MAIL_VAULT_URL cannot be read."
        except RouteUnusable as error:
            status.problems[route.name] = str(error)

    await asyncio.gather(*map(ask, catalog.routes.values()))
    status.on.sort()
    status.off.sort()
    return status


def shadows_of_vault(settings: Settings, catalog: Catalog) -> dict[str, str]:
    """Notes on secrets in settings, which take precedence over the vault: by the setting."""
    if settings.vault_url is None:
        return {}
    return {
        setting: f"This setting is used instead of {vault_name(route)} in the vault, and the next deployment "
        f"removes it. Put the secret into the vault (make secret ROUTE={route}), then remove the setting."
        for route in catalog.routes
        if (setting := secret_setting(route)) in settings.secrets
    }


def secret_fault(route: Route, secrets: Sequence[str], settings: Settings) -> str | None:
    """What is wrong with a route's secrets, without quoting them; None: nothing."""
    name = secret_setting(route.name)
    if name in settings.unresolved_secrets:
        return f"{name} is a Key Vault reference that Azure has not resolved. Expected the secret itself."
    for number, secret in enumerate(secrets, 1):
        if (fault := route.source.unusable(secret)) is not None:
            which = "the secret" if len(secrets) == 1 else f"secret {number} of {len(secrets)}"
            return f"{name}: {which} cannot be used: {fault}."
    return None


def tenant_fault(route: Route, settings: Settings) -> str | None:
    """Why no token can prove a route's requests; None: a token can, or none is needed."""
    rule = route.source.token_rule
    if rule is None or rule.tenant is not None or settings.api is not None:
        return None
    return "The route's options name no tenant, and MAIL_API_TENANT and MAIL_API_CLIENT_ID are not set."


def faults_of_secrets(settings: Settings, catalog: Catalog) -> dict[str, str]:
    """What is wrong with the secrets in settings: by the route's name, or the setting's if no route has it."""
    if catalog.missing:
        return {}
    given = settings.secrets.keys() | settings.unresolved_secrets
    by_setting = {secret_setting(name): name for name in (*catalog.routes, *catalog.problems)}
    faults: dict[str, str] = {}
    for name in sorted(given):
        route = catalog.routes.get(by_setting.get(name, ""))
        if name not in by_setting:
            nearest = get_close_matches(name, by_setting, 1, 0.0)
            faults[name] = f"There is no route with this secret; the nearest is {', '.join(nearest) or 'none'}."
        elif route and (fault := secret_fault(route, settings.secrets.get(name, ()), settings)) is not None:
            faults[route.name] = fault
    return faults
