"""`python -m deployment.secret --route github --environment prod`: make a route's secret, store it, and print it once.

It is stored in the vault and nowhere else: the next deployment would remove an app setting, and whoever may read the
app could read it. It is printed together with what its sender needs: the address, and the secret in the form in which
that sender takes it; the pages in docs/sources say where to enter them. Exit status 1, with a sentence that says why.
"""

import argparse
import getpass
import secrets
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from deployment import DeploymentError
from deployment.azure import add_manager, patience, site_of
from deployment.deployed import app_in, settings_of, vault_in
from deployment.environments import INFRA, located
from deployment.vault import KeyVault
from shared.settings.config import secret_setting
from shared.webhooks.routing.catalog import load
from shared.webhooks.routing.secrets import vault_name
from shared.webhooks.sources.source import Source

MOST: Final = 2  # valid secrets of a route: the new one, and the one that it replaces
USER: Final = "mailroom"  # for senders that take a user name and a password
_BEARER: Final = ("alertmanager", "cloudevents", "grafana", "key")


def main(arguments: list[str] | None = None) -> int:
    """Make and store the secret, and print what the sender needs. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deployment.secret", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--route", required=True, help="its name: the last part of its address")
    parser.add_argument("--environment", default="", metavar="NAME", help="else the one that azd is set to")
    parser.add_argument("--given", action="store_true", help="ask for a secret that the sender has made")
    parser.add_argument("--rotate", action="store_true", help="add a new one; the old one stays valid")
    parser.add_argument("--drop-old", action="store_true", help="remove the old one")
    parser.add_argument("--routes", type=Path, metavar="DIR", help="a folder of routes of your own")
    parser.add_argument("--infra", type=Path, default=INFRA, metavar="DIR", help=argparse.SUPPRESS)
    add_manager(parser)
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
        raise DeploymentError("Not both at once: first ROTATE=1, then change the sender, then DROP_OLD=1.")
    group, name = located(given.environment, given.infra, given.manager)
    app, url = app_in(group, name), vault_in(group, name)
    if app is None or url is None:
        raise DeploymentError(
            f"There is no Mailroom called {name} in {group.resource_group}: it has no app, or no vault."
        )
    vault, stored = KeyVault(group, url, patience()), vault_name(route)
    before = (vault.read(stored) or "").split()
    again = f"make secret ROUTE={route}{f' ENV={given.environment}' if given.environment else ''}"
    if given.drop_old:
        return _dropped(vault, stored, before)
    _may_add(stored, before, again, rotate=given.rotate)
    secret = _asked_for(source, route) if given.given or given_by_sender(source) else made(source)
    if secret in before:
        raise DeploymentError(f"{stored} in {vault.name} has this secret already.")
    # Whatever can fail comes before the secret is stored: a stored secret that is not printed is known to nobody.
    address = f"https://{site_of(app)['defaultHostName']}/api/events/{route}"
    settings = settings_of(app)
    lines = list(told(source, address, secret))
    width = max(len(label) for label, _ in lines)
    shadow = secret_setting(route)
    vault.write(stored, " ".join([secret, *before]))
    return [
        f"Stored as {stored} in the vault {vault.name}.",
        f"This is shown once. Its sender needs (docs/sources/{source.name}.md says where):",
        *(f"  {label:<{width}}  {value}" for label, value in lines),
        "Mailroom knows it in ten minutes at most."
        + (" Until then it refuses the new one: only then give it to the sender." if before else ""),
        *([f"The old one stays valid. When the sender has the new one: {again} DROP_OLD=1"] if before else []),
        *([_shadowed(shadow, app.resource_group, app.name)] if settings.get(shadow, "").strip() else []),
    ]


def _route(name: str, folder: Path | None) -> tuple[str, Source]:
    """The route's name, and its source. Raises DeploymentError."""
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


def _may_add(stored: str, before: list[str], again: str, *, rotate: bool) -> None:
    """Raise DeploymentError unless one more secret makes sense."""
    if before and not rotate:
        raise DeploymentError(
            f"{stored} is there already, and its sender uses it. To replace it without a gap: {again} ROTATE=1"
        )
    if rotate and not before:
        raise DeploymentError(f"There is no {stored} yet, so there is nothing to rotate: {again}")
    if len(before) >= MOST:
        raise DeploymentError(
            f"{stored} has {len(before)} secrets already. Remove the old one first: {again} DROP_OLD=1"
        )


def _dropped(vault: KeyVault, stored: str, before: list[str]) -> Sequence[str]:
    if len(before) < MOST:
        raise DeploymentError(f"{stored} has {len(before) or 'no'} secret, and no old one to remove.")
    vault.write(stored, before[0])
    return [
        f"{stored} in the vault {vault.name} has only the newest secret now; Mailroom follows in ten minutes at most."
    ]


def _asked_for(source: Source, route: str) -> str:
    """The sender's secret: typed without echo, or from standard input. Raises DeploymentError."""
    question = f"The secret that the sender of {route} shows (it is not printed): "
    secret = (getpass.getpass(question) if sys.stdin.isatty() else sys.stdin.readline()).strip()
    if not secret or len(secret.split()) > 1:
        raise DeploymentError("That is not a secret: expected one word, without blanks.")
    if (fault := source.unusable(secret)) is not None:
        raise DeploymentError(f"That secret cannot be used: {fault}.")
    return secret


def _shadowed(setting: str, group: str, app: str) -> str:
    remove = f"az functionapp config appsettings delete --resource-group {group} --name {app} --setting-names {setting}"
    return f"The app has the setting {setting}, and uses that instead. Remove it: {remove}"


def given_by_sender(source: Source) -> bool:
    """Whether the sender makes the secret itself, and shows it."""
    return source.name in {"pagerduty", "sentry", "standard-webhooks", "stripe"}


def made(source: Source) -> str:
    """A new secret of 256 bits, in the form that a source needs."""
    secret = secrets.token_hex(32)
    return f"{USER}:{secret}" if _only_basic(source) else secret


def told(source: Source, url: str, secret: str) -> Iterator[tuple[str, str]]:
    """What to enter at the sender: its names for it, and the values."""
    options: Any = source  # each kind of source has its own
    user, _, password = secret.partition(":")
    match source.name:
        case "azure-monitor" | "eventgrid" | "slack" | "teams" if not getattr(source, "header", None):
            yield "URL", f"{url}?secret={quote(secret, safe='')}"
        case "github":
            yield from (("Payload URL", url), ("Content type", "application/json"), ("Secret", secret))
        case "pagerduty" | "sentry" | "standard-webhooks" | "stripe":
            yield "URL", url
        case "hmac":
            yield from (("URL", url), ("Secret", secret))
            yield "Signature", f"HMAC of {options.algorithm}, in the header {options.header}"
        case "azure-monitor" | "eventgrid" | "azure-devops" if options.header:
            bearer = "Bearer " if options.header.lower() == "authorization" else ""
            yield from (("URL", url), ("Header", f"{options.header}: {bearer}{secret}"))
        case "key" if "bearer" not in options.accept and "header" in options.accept:
            yield from (("URL", url), ("Header", f"{options.header}: {secret}"))
        case _ if password:
            yield from (("URL", url), ("User name", user), ("Password", password))
        case name if name in _BEARER:
            yield from (("URL", url), ("Header", f"Authorization: Bearer {secret}"))
        case _:
            yield from (("URL", url), ("Secret", secret))


def _only_basic(source: Source) -> bool:
    """Whether the source takes nothing but a user name with a password."""
    return source.unusable("a") is not None and source.unusable("a:b") is None


if __name__ == "__main__":
    sys.exit(main())
