"""Azure Resource Manager and a function app's deployment endpoint over HTTPS, with the token of az or azd.

It uses the standard library alone, and no secret: the token is that of whoever is logged in.

Azure tells nobody when a role assignment has reached every server: a first deployment asks minutes after its roles were
made, and is answered 403 for up to half an hour (https://github.com/Azure/azure-dev/issues/8026). So a request that is
answered 403, and no other, is repeated for longer than that, with growing pauses, and each time the missing role is
named.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage
from typing import IO, Any, Final, override
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from deployment import DeploymentError

PUBLIC_CLOUD: Final = "https://management.azure.com"
API_VERSION: Final = "2024-04-01"
MANAGER: Final = ""  # the audience that az and azd take when none is given: Resource Manager
INSTALL: Final = (
    "Install the Azure CLI (https://learn.microsoft.com/cli/azure/install-azure-cli) and log in with `az login`, "
    "or azd (https://aka.ms/azd) and `azd auth login`."
)
PATIENCE_VARIABLE: Final = "MAILROOM_ROLES_WITHIN"
PATIENCE: Final = 2400.0  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 60.0  # seconds; shorter when the patience is short
_TIMEOUT: Final = 60.0
_UPLOAD_TIMEOUT: Final = 900.0  # for twenty megabytes over a slow line
_TOKEN_KEPT: Final = 120.0  # seconds; az gives no token that expires within five minutes
_TOKENS: dict[tuple[str, str], tuple[str, float]] = {}


class RoleMissing(DeploymentError):  # noqa: N818 - often not for long
    """Azure answered 403. The text says to what, and which role is missing."""


def patience() -> float:
    """Seconds to wait for roles, from the environment. Raises DeploymentError."""
    given = os.environ.get(PATIENCE_VARIABLE, "").strip()
    try:
        seconds = float(given) if given else PATIENCE
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        raise DeploymentError(f"{PATIENCE_VARIABLE}: found {given!r}, expected a number of seconds, such as 2400.")
    return seconds


def until_allowed[T](action: Callable[[], T], seconds: float) -> T:
    """Repeat `action` while it raises RoleMissing. Raises DeploymentError when so many seconds are over."""
    deadline = time.monotonic() + seconds
    pause, longest = min(_FIRST_PAUSE, seconds / 50), min(_LONGEST_PAUSE, seconds / 10)
    hint = "A role that was just assigned takes up to 30 minutes to work"
    while True:
        try:
            return action()
        except RoleMissing as refused:
            left = deadline - time.monotonic()
            if left <= 0:
                waited = f"It was tried for {seconds / 60:.0f} minutes. Was the role assigned?"
                raise DeploymentError(f"{refused} {waited if seconds else f'{hint}; then try again.'}") from None
            again = f"{hint}; trying again for {left / 60:.0f} minutes more."
            print(f"{refused} {again}", file=sys.stderr, flush=True)
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, longest)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceGroup:
    """manager: the URL of Resource Manager, another one in national clouds. patience: seconds to wait for roles."""

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
class FunctionApp(ResourceGroup):
    name: str

    @property
    def url(self) -> str:
        """Its URL as a resource, not the one it answers at."""
        return f"{self.group_url}/providers/Microsoft.Web/sites/{quote(self.name, safe='')}"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What an HTTP server answered, whatever its status."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body; None when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def __str__(self) -> str:
        answered = self.json()
        error = answered.get("error", {}) if isinstance(answered, dict) else {}
        said = error.get("message") or self.body.decode(errors="replace")
        return f"{self.status} {' '.join(str(said).split())[:500]}".strip()


def add_manager(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--manager", default=PUBLIC_CLOUD, metavar="URL", help=f"Resource Manager ({PUBLIC_CLOUD})")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which app. azd's hooks find them in the environment: outputs of the Bicep file."""
    for option, variable, what in (
        ("--subscription", "AZURE_SUBSCRIPTION_ID", "its subscription; else the one that az is set to"),
        ("--resource-group", "AZURE_RESOURCE_GROUP", "its resource group"),
        ("--name", "AZURE_FUNCTION_APP_NAME", "the function app"),
    ):
        value = os.environ.get(variable)
        needed = not value and option != "--subscription"
        parser.add_argument(option, default=value, required=needed, help=f"{what} (${variable})")
    add_manager(parser)


def app_from(given: argparse.Namespace) -> FunctionApp:
    """The app that the arguments name. Raises DeploymentError when nothing says in which subscription it is."""
    subscription = given.subscription
    if not subscription:
        account, said = asked(("az", "account", "show", "--output", "json"))
        if account is None:
            raise DeploymentError(f"In which subscription? Give --subscription, or log in with `az login`.{said}")
        subscription = str(account["id"])
    return FunctionApp(
        subscription=subscription,
        resource_group=given.resource_group,
        name=given.name,
        manager=given.manager,
        patience=patience(),
    )


def site_of(app: FunctionApp) -> Mapping[str, Any]:
    """The app's properties in Resource Manager. Raises DeploymentError."""
    site = read(app, f"{app.url}?api-version={API_VERSION}", f"{app.name} in {app.resource_group}")
    properties: Mapping[str, Any] = site["properties"]
    return properties


def functions_of(app: FunctionApp) -> set[str]:
    """The names of the functions that Azure found in the app. Raises DeploymentError."""
    url = f"{app.url}/functions?api-version={API_VERSION}"
    found = items(app, url, f"{app.name} in {app.resource_group}")
    return {str(each["name"]).rpartition("/")[2] for each in found}


def items(group: ResourceGroup, url: str, what: str) -> Iterator[Mapping[str, Any]]:
    """The items of a collection, page by page. what: its name in errors. Raises DeploymentError."""
    following: str | None = url
    while following:
        page = read(group, following, what)
        yield from page.get("value", ())
        following = page.get("nextLink")
        if following and not following.startswith(f"{group.manager.rstrip('/')}/"):
            host = urlsplit(following).netloc
            raise DeploymentError(f"The next page of {what} is at {host}, which must not get the token.")


def read(group: ResourceGroup, url: str, what: str, method: str = "GET") -> Mapping[str, Any]:
    """A resource, or the answer to a POST that changes nothing. Raises DeploymentError."""
    return _content(_asked_for(group, url, what, method), what)


def read_if_any(group: ResourceGroup, url: str, what: str) -> Mapping[str, Any] | None:
    """A resource; None when there is none."""
    answer = _asked_for(group, url, what, "GET")
    return None if answer.status == HTTPStatus.NOT_FOUND else _content(answer, what)


def _asked_for(group: ResourceGroup, url: str, what: str, method: str) -> HttpAnswer:
    def ask() -> HttpAnswer:
        answer = request(group, url, method, b"" if method == "POST" else None)
        if answer.status == HTTPStatus.FORBIDDEN:
            needed = f"Whoever deploys needs the role Contributor on {group.resource_group}."
            raise RoleMissing(f"Azure does not show {what}: {answer}. {needed}")
        return answer

    return until_allowed(ask, group.patience)


def _content(answer: HttpAnswer, what: str) -> Mapping[str, Any]:
    found = answer.json()
    if answer.status != HTTPStatus.OK or not isinstance(found, dict):
        raise DeploymentError(f"Azure does not show {what}: {answer}")
    return found


def request(
    group: ResourceGroup,
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    audience: str | None = MANAGER,
    **headers: str,
) -> HttpAnswer:
    """Send one request. Raises DeploymentError when there is no answer; an answer of any status is returned.

    audience: whom the token is for; None: send no token.
    """
    if urlsplit(url).scheme != group.scheme:
        raise DeploymentError(f"{url} is not a {group.scheme} address; a token must not be sent there.")
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if audience is not None:
        fields["Authorization"] = f"Bearer {_token(group, audience)}"
    sent = Request(url, data=body, headers=fields, method=method)  # noqa: S310 - the scheme was compared above
    try:
        with _opener().open(sent, timeout=_UPLOAD_TIMEOUT if body else _TIMEOUT) as response:
            return HttpAnswer(response.status, response.read())
    except HTTPError as error:
        with error:
            return HttpAnswer(error.code, error.read())
    except (OSError, HTTPException) as error:
        raise DeploymentError(f"{urlsplit(url).netloc} does not answer: {error}") from None


class _NoRedirects(HTTPRedirectHandler):
    """A redirect is an answer like any other: to follow it would send the token to wherever it points."""

    @override
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


@cache
def _opener() -> OpenerDirector:
    return build_opener(_NoRedirects)  # reads the certificates of all authorities, which takes a moment


def _token(group: ResourceGroup, audience: str) -> str:
    """A token of whoever is logged in, kept for a while, since az and azd take a second to give one."""
    known, until = _TOKENS.get((group.subscription, audience), ("", 0.0))
    if time.monotonic() < until:
        return known
    token = _new_token(group, audience)
    _TOKENS[group.subscription, audience] = token, time.monotonic() + _TOKEN_KEPT
    return token


def _new_token(group: ResourceGroup, audience: str) -> str:
    """From azd in one of azd's hooks, else from az."""
    az: tuple[str, ...] = (
        "az",
        "account",
        "get-access-token",
        "--output",
        "json",
        "--subscription",
        group.subscription,
    )
    azd: tuple[str, ...] = ("azd", "auth", "token", "--output", "json")
    if audience:
        az, azd = (*az, "--resource", audience), (*azd, "--scope", f"{audience}/.default")
    if not any(shutil.which(name) for name in ("az", "azd")):
        raise DeploymentError(f"Neither az nor azd is installed here. {INSTALL}")
    complaints = ""
    for command in (azd, az) if os.environ.get("AZURE_ENV_NAME") else (az, azd):
        answer, said = asked(command)
        if answer is not None:
            return str(answer.get("accessToken") or answer["token"])
        complaints += said
    raise DeploymentError(f"No token for Azure: log in with `az login` or `azd auth login`.{complaints}")


def asked(command: Sequence[str]) -> tuple[Any, str]:
    """The JSON that az or azd prints; or None, and its error text."""
    program = shutil.which(command[0])  # on Windows these are scripts, which start only by their full path
    if program is None:
        return None, ""
    result = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    if result.returncode:
        return None, f" {command[0]} says: {result.stderr.strip()}"
    return json.loads(result.stdout), ""
