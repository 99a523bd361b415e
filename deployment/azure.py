"""Azure Resource Manager and a function app's deployment endpoint over HTTPS, with the token of az or azd.

Nothing but the standard library, and nobody's secret: the token is that of whoever has logged in.
"""

import argparse
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage
from typing import IO, Any, override
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from deployment.errors import DeploymentError
from deployment.patience import Refused, until_allowed, within

__all__ = [
    "API_VERSION", "INSTALL", "PUBLIC_CLOUD", "Answer", "App", "Group", "add_arguments", "app_from", "asked", "get",
    "items", "read", "read_if_any", "request", "subscription",
]  # fmt: skip

PUBLIC_CLOUD = "https://management.azure.com"
API_VERSION = "2024-04-01"
MANAGER = ""  # the audience that az and azd take where none is said
INSTALL = (
    "Install the Azure CLI (https://learn.microsoft.com/cli/azure/install-azure-cli) and log in with `az login`, "
    "or azd (https://aka.ms/azd) and `azd auth login`."
)
_TIMEOUT = 60.0
_UPLOAD_TIMEOUT = 900.0  # twenty megabytes, from wherever
_KEPT = 120.0  # seconds; az gives no token that ends within five minutes
_TOKENS: dict[tuple[str, str], tuple[str, float]] = {}

# What each says to be asked for a token, and how it is read from what is printed.
_AZ = ("az", "account", "get-access-token", "--output", "json")
_AZD = ("azd", "auth", "token", "--output", "json")
_AZ_ACCOUNT = ("az", "account", "show", "--output", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A resource group. manager: the URL of Resource Manager, another one in national clouds. patience: how many
    seconds a role may take until it works.
    """

    subscription: str
    resource_group: str
    manager: str = PUBLIC_CLOUD
    patience: float = 0.0

    @property
    def subscription_url(self) -> str:
        return f"{self.manager.rstrip('/')}/subscriptions/{quote(self.subscription, safe='')}"

    @property
    def group_url(self) -> str:
        return f"{self.subscription_url}/resourceGroups/{quote(self.resource_group, safe='')}"

    @property
    def scheme(self) -> str:
        return urlsplit(self.manager).scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class App(Group):
    """A function app in Azure."""

    name: str

    @property
    def url(self) -> str:
        """Of the app as a resource."""
        return f"{self.group_url}/providers/Microsoft.Web/sites/{quote(self.name, safe='')}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an HTTP server said, whatever its status."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body; None when it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def __str__(self) -> str:
        error = (self.json() or {}).get("error", {}) if isinstance(self.json(), dict) else {}
        said = error.get("message") or self.body.decode(errors="replace")
        return f"{self.status} {' '.join(str(said).split())[:500]}".strip()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which app; azd's hooks have them in the environment, from the Bicep file's outputs."""
    for option, variable, what in (
        ("--subscription", "AZURE_SUBSCRIPTION_ID", "its subscription; else the one that az is set to"),
        ("--resource-group", "AZURE_RESOURCE_GROUP", "its resource group"),
        ("--name", "AZURE_FUNCTION_APP_NAME", "the function app"),
    ):
        value = os.environ.get(variable)
        needed = not value and option != "--subscription"
        parser.add_argument(option, default=value, required=needed, help=f"{what} (${variable})")
    parser.add_argument("--manager", default=PUBLIC_CLOUD, metavar="URL", help=f"Resource Manager ({PUBLIC_CLOUD})")


def app_from(given: argparse.Namespace) -> App:
    """The app that the arguments name. Raises DeploymentError when nobody says in which subscription it is."""
    return App(
        subscription=given.subscription or subscription(),
        resource_group=given.resource_group,
        name=given.name,
        manager=given.manager,
        patience=within(),
    )


def subscription() -> str:
    """The one that az is set to. Raises DeploymentError."""
    account, said = asked(_AZ_ACCOUNT)
    if account is None:
        raise DeploymentError(f"In which subscription? Give --subscription, or log in with `az login`.{said}")
    return str(account["id"])


def get(app: App, below: str = "") -> Iterator[Mapping[str, Any]]:
    """The app as Resource Manager has it, or the items of a collection below it. Raises DeploymentError."""
    url = f"{app.url}{below}?api-version={API_VERSION}"
    what = f"{app.name} in {app.resource_group}"
    if below:
        yield from items(app, url, what)
    else:
        yield read(app, url, what)


def items(group: Group, url: str, what: str) -> Iterator[Mapping[str, Any]]:
    """What a collection holds, page by page. what: it is called this in errors. Raises DeploymentError."""
    following: str | None = url
    while following:
        page = read(group, following, what)
        yield from page.get("value", ())
        following = page.get("nextLink")
        if following and not following.startswith(f"{group.manager.rstrip('/')}/"):
            raise DeploymentError(
                f"Azure's list goes on at {urlsplit(following).netloc}, where its token does not belong."
            )


def read(group: Group, url: str, what: str, method: str = "GET") -> Mapping[str, Any]:
    """A resource, or what a question that changes nothing is answered (POST). Raises DeploymentError."""
    return _of(_asked_for(group, url, what, method), what)


def read_if_any(group: Group, url: str, what: str) -> Mapping[str, Any] | None:
    """A resource; None where there is none."""
    answer = _asked_for(group, url, what, "GET")
    return None if answer.status == HTTPStatus.NOT_FOUND else _of(answer, what)


def _asked_for(group: Group, url: str, what: str, method: str) -> Answer:
    def ask() -> Answer:
        answer = request(group, url, method, b"" if method == "POST" else None)
        if answer.status == HTTPStatus.FORBIDDEN:
            needed = f"Whoever deploys needs the role Contributor on {group.resource_group}."
            raise Refused(f"Azure does not show {what}: {answer}. {needed}")
        return answer

    return until_allowed(ask, group.patience)


def _of(answer: Answer, what: str) -> Mapping[str, Any]:
    found = answer.json()
    if answer.status != HTTPStatus.OK or not isinstance(found, dict):
        raise DeploymentError(f"Azure does not show {what}: {answer}")
    return found


def request(
    group: Group,
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    audience: str | None = MANAGER,
    **headers: str,
) -> Answer:
    """Ask once. Any HTTP status is an answer; raises DeploymentError when there is none.

    audience: whom the token is for; None: there is none.
    """
    if urlsplit(url).scheme != group.scheme:
        raise DeploymentError(f"{url} is no {group.scheme} address, and a token goes nowhere else.")
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if audience is not None:
        fields["Authorization"] = f"Bearer {_token(group, audience)}"
    asked = Request(url, data=body, headers=fields, method=method)  # noqa: S310 - the scheme has been compared
    try:
        with _OPENER.open(asked, timeout=_UPLOAD_TIMEOUT if body else _TIMEOUT) as response:
            return Answer(response.status, response.read())
    except HTTPError as error:
        with error:
            return Answer(error.code, error.read())
    except (OSError, HTTPException) as error:
        raise DeploymentError(f"{urlsplit(url).netloc} does not answer: {error}") from None


class _NoRedirects(HTTPRedirectHandler):
    """A redirect is an answer like any other: followed, it would take the token to wherever it points."""

    @override
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


_OPENER = build_opener(_NoRedirects)


def _token(group: Group, audience: str) -> str:
    """A token of whoever has logged in, which az and azd take a second to give: kept for a while."""
    known, until = _TOKENS.get((group.subscription, audience), ("", 0.0))
    if time.monotonic() < until:
        return known
    token = _new_token(group, audience)
    _TOKENS[group.subscription, audience] = token, time.monotonic() + _KEPT
    return token


def _new_token(group: Group, audience: str) -> str:
    """With azd where azd has called us, else with az."""
    az = (*_AZ, "--subscription", group.subscription, *(("--resource", audience) if audience else ()))
    azd = (*_AZD, *(("--scope", f"{audience}/.default") if audience else ()))
    tools = (azd, az) if os.environ.get("AZURE_ENV_NAME") else (az, azd)
    if not any(shutil.which(name) for name in ("az", "azd")):
        raise DeploymentError(f"Neither az nor azd is installed here. {INSTALL}")
    complaints = ""
    for command in tools:
        answer, said = asked(command)
        if answer is not None:
            return str(answer.get("accessToken") or answer["token"])
        complaints += said
    raise DeploymentError(f"No token for Azure: log in with `az login` or `azd auth login`.{complaints}")


def asked(command: Sequence[str]) -> tuple[Any, str]:
    """The JSON that az or azd prints; or None, and what it says instead."""
    program = shutil.which(command[0])  # on Windows these are scripts, which only a full path starts
    if program is None:
        return None, ""
    result = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    if result.returncode:
        return None, f" {command[0]} says: {result.stderr.strip()}"
    return json.loads(result.stdout), ""
