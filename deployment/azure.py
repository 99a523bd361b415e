"""Azure Resource Manager and a function app's deployment endpoint over HTTPS, with the token of az or azd.

Nothing but the standard library, and nobody's secret: the token is that of whoever has logged in.
"""

import argparse
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from typing import IO, Any, override
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from deployment.errors import DeploymentError

__all__ = ["Answer", "App", "add_arguments", "app_from", "get", "request"]

PUBLIC_CLOUD = "https://management.azure.com"
API_VERSION = "2024-04-01"
_TIMEOUT = 60.0
_UPLOAD_TIMEOUT = 900.0  # twenty megabytes, from wherever

# What each says to be asked for a token, and how it is read from what is printed.
_AZ = ("az", "account", "get-access-token", "--output", "json")
_AZD = ("azd", "auth", "token", "--output", "json")
_AZ_ACCOUNT = ("az", "account", "show", "--output", "json")


@dataclass(frozen=True, slots=True)
class App:
    """A function app in Azure. manager: the URL of Resource Manager, another one in national clouds."""

    subscription: str
    resource_group: str
    name: str
    manager: str = PUBLIC_CLOUD

    @property
    def url(self) -> str:
        """Of the app as a resource."""
        path = ("subscriptions", self.subscription, "resourceGroups", self.resource_group)
        below = "/".join(quote(part, safe="") for part in path)
        return f"{self.manager.rstrip('/')}/{below}/providers/Microsoft.Web/sites/{quote(self.name, safe='')}"

    @property
    def scheme(self) -> str:
        return urlsplit(self.manager).scheme


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
    subscription = given.subscription
    if not subscription:
        account, said = _asked(_AZ_ACCOUNT)
        if account is None:
            raise DeploymentError(f"In which subscription? Give --subscription, or log in with `az login`.{said}")
        subscription = account["id"]
    return App(subscription, given.resource_group, given.name, given.manager)


def get(app: App, below: str = "") -> Iterator[Mapping[str, Any]]:
    """The app as Resource Manager has it, or the items of a collection below it. Raises DeploymentError."""
    url: str | None = f"{app.url}{below}?api-version={API_VERSION}"
    while url:
        answer = request(app, url)
        found = answer.json()
        if answer.status != 200 or not isinstance(found, dict):  # noqa: PLR2004 - OK
            raise DeploymentError(f"Azure does not show {app.name} in {app.resource_group}: {answer}")
        if not below:
            yield found
            return
        yield from found.get("value", ())
        url = found.get("nextLink")
        if url and not url.startswith(f"{app.manager.rstrip('/')}/"):
            raise DeploymentError(f"Azure's list goes on at {urlsplit(url).netloc}, where its token does not belong.")


def request(
    app: App, url: str, method: str = "GET", body: bytes | None = None, *, authorized: bool = True, **headers: str
) -> Answer:
    """Ask once. Any HTTP status is an answer; raises DeploymentError when there is none."""
    if urlsplit(url).scheme != app.scheme:
        raise DeploymentError(f"{url} is no {app.scheme} address, and a token goes nowhere else.")
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if authorized:
        fields["Authorization"] = f"Bearer {_token(app)}"
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


def _token(app: App) -> str:
    """A token of whoever has logged in: with azd where azd has called us, else with az."""
    az = (*_AZ, "--subscription", app.subscription)
    tools = (_AZD, az) if os.environ.get("AZURE_ENV_NAME") else (az, _AZD)
    complaints = ""
    for command in tools:
        answer, said = _asked(command)
        if answer is not None:
            return str(answer.get("accessToken") or answer["token"])
        complaints += said
    raise DeploymentError(f"No token for Azure: log in with `az login` or `azd auth login`.{complaints}")


def _asked(command: Sequence[str]) -> tuple[Mapping[str, Any] | None, str]:
    """The JSON that az or azd prints; or nothing, and what it says instead."""
    program = shutil.which(command[0])  # on Windows these are scripts, which only a full path starts
    if program is None:
        return None, ""
    result = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    if result.returncode:
        return None, f" {command[0]} says: {result.stderr.strip()}"
    return json.loads(result.stdout), ""
