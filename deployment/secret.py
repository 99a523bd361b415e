"""`python -m deployment.secret --route github --environment prod`: a route's secret, made, stored and told.

It goes into the vault and nowhere else: the next deployment would remove an app setting, and whoever may read the app
could read it. It is printed once, with what its sender has to be told. Exit status 1, with a sentence that says why.
"""

import argparse
import getpass
import os
import shutil
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from deployment.azure import PUBLIC_CLOUD, Group, asked, get
from deployment.deployed import app_in, settings_of, vault_in
from deployment.environments import INFRA, environment, path_of
from deployment.errors import DeploymentError
from deployment.parameters import compiled
from deployment.patience import within
from deployment.senders import given_by_sender, made, told
from deployment.vault import Vault
from shared.settings.config import secret_setting
from shared.webhooks.routing.catalog import load
from shared.webhooks.routing.secrets import vault_name
from shared.webhooks.sources.source import Source

__all__ = ["main", "where"]

MOST = 2  # secrets of a route that are valid at a time: the new one, and the one that it takes the place of


def main(arguments: list[str] | None = None) -> int:
    """Make and store it, and print what the sender needs. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deployment.secret", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--route", required=True, help="its name: the last part of its address")
    parser.add_argument("--environment", default="", metavar="NAME", help="else the one that azd is set to")
    parser.add_argument("--given", action="store_true", help="ask for a secret that the sender has made")
    parser.add_argument("--rotate", action="store_true", help="add a new one; the old one stays valid")
    parser.add_argument("--drop-old", action="store_true", help="take the old one out")
    parser.add_argument("--routes", type=Path, metavar="DIR", help="a folder of routes of your own")
    parser.add_argument("--infra", type=Path, default=INFRA, metavar="DIR", help=argparse.SUPPRESS)
    parser.add_argument("--manager", default=PUBLIC_CLOUD, metavar="URL", help=f"Resource Manager ({PUBLIC_CLOUD})")
    given = parser.parse_args(arguments)
    try:
        for line in _run(given):
            print(line)
    except DeploymentError as error:
        print(f"deployment.secret: {error}", file=sys.stderr)
        return 1
    return 0


def _run(given: argparse.Namespace) -> Sequence[str]:
    route, source = _route(given.route, given.routes)
    if given.rotate and given.drop_old:
        raise DeploymentError("First ROTATE=1, then the sender, then DROP_OLD=1: one at a time.")
    group, name = where(given)
    app, url = app_in(group, name), vault_in(group, name)
    if app is None or url is None:
        raise DeploymentError(
            f"There is no Mailroom called {name} in {group.resource_group}: it has no app, or no vault."
        )
    vault, stored = Vault(group, url, within()), vault_name(route)
    before = (vault.read(stored) or "").split()
    again = f"make secret ROUTE={route}{f' ENV={given.environment}' if given.environment else ''}"
    if given.drop_old:
        return _dropped(vault, stored, before)
    _may_add(stored, before, again, rotate=given.rotate)
    secret = _asked_for(source, route) if given.given or given_by_sender(source) else made(source)
    if secret in before:
        raise DeploymentError(f"{stored} in {vault.name} has this secret already.")
    # Everything else is asked first: what is stored has to be printed, or nobody knows it.
    [site] = get(app)
    settings = settings_of(app)
    lines = list(told(source, f"https://{site['properties']['defaultHostName']}/api/events/{route}", secret))
    width = max(len(label) for label, _ in lines)
    shadow = secret_setting(route)
    vault.write(stored, " ".join([secret, *before]))
    return [
        f"Stored as {stored} in the vault {vault.name}.",
        f"This is shown once. Its sender needs (docs/sources/{source.name}.md has where):",
        *(f"  {label:<{width}}  {value}" for label, value in lines),
        "Mailroom knows it in ten minutes at most."
        + (" Until then it would refuse it: only then give it to the sender." if before else ""),
        *([f"The old one stays valid. When the sender has the new one: {again} DROP_OLD=1"] if before else []),
        *([_shadowed(shadow, app.resource_group, app.name)] if settings.get(shadow, "").strip() else []),
    ]


def _route(name: str, folder: Path | None) -> tuple[str, Source]:
    """The route as it is called, and its source. Raises DeploymentError."""
    catalog = load(folder)
    if catalog.missing:
        raise DeploymentError(f"ROUTES={folder}: there is no such folder.")
    known = catalog.named(name)
    if known in catalog.problems:
        raise DeploymentError(f"The route {known} cannot be used: {catalog.problems[known]}")
    if known not in catalog.routes:
        nearest = get_close_matches(name, catalog.routes, 1, 0.0)[0]
        raise DeploymentError(
            f"There is no route {name!r}; the nearest is {nearest}. One of your own: ROUTES=<folder of MAIL_ROUTES_DIR>"
        )
    source = catalog.routes[known].source
    if source.token_rule is not None:
        raise DeploymentError(f"The route {known} takes Entra tokens (audience), and needs no secret.")
    return known, source


def where(given: argparse.Namespace) -> tuple[Group, str]:
    """The resource group, and what the environment is called in its tags. Raises DeploymentError."""
    name = given.environment
    if name and (path_of(name, given.infra).is_file() or shutil.which("azd") is None):
        place = environment(name, given.infra)
        called = str(compiled(place.file).values["environmentName"])
        return _group(place.subscription, place.resource_group, given.manager), called
    values, said = asked(("azd", "env", "get-values", *(("--environment", name) if name else ()), "--output", "json"))
    if not isinstance(values, dict):
        raise DeploymentError(f"In which environment? Say ENV=prod, as to make deploy, or choose one with azd.{said}")
    wanted = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZURE_ENV_NAME")
    if missing := [each for each in wanted if not values.get(each)]:
        raise DeploymentError(f"azd's environment does not say {', '.join(missing)}: deploy first, with azd up.")
    os.environ.setdefault("AZURE_ENV_NAME", values["AZURE_ENV_NAME"])  # so azd is asked for tokens, as in its hooks
    return _group(values["AZURE_SUBSCRIPTION_ID"], values["AZURE_RESOURCE_GROUP"], given.manager), values[
        "AZURE_ENV_NAME"
    ]


def _group(subscription: str, resource_group: str, manager: str) -> Group:
    return Group(subscription=subscription, resource_group=resource_group, manager=manager)


def _may_add(stored: str, before: list[str], again: str, *, rotate: bool) -> None:
    """Raise DeploymentError unless one more secret is what is meant."""
    if before and not rotate:
        raise DeploymentError(
            f"{stored} is there already, and its sender uses it. To replace it without a gap: {again} ROTATE=1"
        )
    if rotate and not before:
        raise DeploymentError(f"There is no {stored} yet, so there is nothing to rotate: {again}")
    if len(before) >= MOST:
        raise DeploymentError(
            f"{stored} has {len(before)} secrets already. Take the old one out first: {again} DROP_OLD=1"
        )


def _dropped(vault: Vault, stored: str, before: list[str]) -> Sequence[str]:
    if len(before) < MOST:
        raise DeploymentError(f"{stored} has {len(before) or 'no'} secret, and no old one to take out.")
    vault.write(stored, before[0])
    return [
        f"{stored} in the vault {vault.name} has the newest secret alone; Mailroom knows it in ten minutes at most."
    ]


def _asked_for(source: Source, route: str) -> str:
    """The secret that the sender shows: typed unseen, or from standard input. Raises DeploymentError."""
    question = f"The secret that the sender of {route} shows (it is not printed): "
    secret = (getpass.getpass(question) if sys.stdin.isatty() else sys.stdin.readline()).strip()
    if not secret or len(secret.split()) > 1:
        raise DeploymentError("That is no secret: expected one word, without blanks.")
    if (fault := source.unusable(secret)) is not None:
        raise DeploymentError(f"That secret cannot be used: {fault}.")
    return secret


def _shadowed(setting: str, group: str, app: str) -> str:
    remove = f"az functionapp config appsettings delete --resource-group {group} --name {app} --setting-names {setting}"
    return f"The app has the setting {setting}, which it uses instead. Remove it: {remove}"


if __name__ == "__main__":
    sys.exit(main())
