"""Azure for the tests of deployment: Resource Manager, a function app, its deployment endpoint and a vault on loopback.

https://learn.microsoft.com/rest/api/appservice/web-apps/list-functions shows the list of functions; the deployment
endpoint's answers are those that azd reads (Azure/azure-dev, cli/azd/pkg/azsdk/funcapp_host_client.go).
"""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, override
from urllib.parse import parse_qs, urlsplit

from tests.infra.deployed import TEMPLATE

FUNCTIONS: Final = ["events", "health", "send_mail"]
TOKEN: Final = "token-of-the-deployer"
SUBSCRIPTION: Final = "/subscriptions/sub-1"
GROUP: Final = f"{SUBSCRIPTION}/resourceGroups/rg-mail"
PROVIDERS: Final = f"{GROUP}/providers"
SITE: Final = f"{PROVIDERS}/Microsoft.Web/sites/mail-1"
REGISTRATION: Final = f"{SUBSCRIPTION}/providers/Microsoft.App"
IDENTITY: Final = f"{PROVIDERS}/Microsoft.ManagedIdentity/userAssignedIdentities/id-1"
PACKAGES: Final = {
    "type": "blobContainer",
    "value": "https://st1.blob.core.windows.net/app-package",
    "authentication": {"type": "UserAssignedIdentity", "userAssignedIdentityResourceId": IDENTITY},
}
OPEN: Final = ("/api/health", "/api/events/", "/api/v1.0/")  # answered without a token
HttpReply = tuple[int, Any]


def refusal(code: str, message: str = "No.") -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


@dataclass
class FakeAzure:
    """What Azure knows, changed by tests, and what it was asked."""

    url: str = ""
    asked: list[tuple[str, str, Mapping[str, str], bytes]] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    """By path: how often it is answered 403, as before a role works."""
    redirect: str | None = None
    """Where Azure redirects every request to."""

    # The app. Of the lists of answers the last one stays.
    functions: list[Sequence[str]] = field(default_factory=lambda: [FUNCTIONS])
    page: int = 1000
    next_page: str | None = None
    """Where the list of functions continues, instead of here."""
    sku: str = "FlexConsumption"
    health: int = 200
    most: int = 1 << 30
    """Bytes of a request that the app's worker takes; the host answers a larger one 500."""
    keeps_bodies: bool = True
    route: int = 401
    """What the route `generic` answers to a request without a proof."""
    mixed: bool = False
    """Whether the app answers a request as if it were another one."""
    publish: list[HttpReply] = field(default_factory=lambda: [(202, "deployment-1")])
    states: list[HttpReply] = field(default_factory=lambda: [(200, {"status": 4})])

    # The resource group.
    there: bool = True
    settings: dict[str, str] | None = None
    """The app's; None: Resource Manager lists no app."""
    deployments: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Names and parameters, oldest first."""
    template: Mapping[str, Any] = field(default_factory=lambda: TEMPLATE)
    registered: list[str] = field(default_factory=lambda: ["Registered"])
    may_register: bool = True

    # The vault.
    vault: bool = False
    secrets: dict[str, str] = field(default_factory=dict)
    vault_answers: list[HttpReply] = field(default_factory=list)
    """Given before the vault does what it is asked."""

    def paths(self) -> list[str]:
        return [f"{method} {urlsplit(path).path}" for method, path, _, _ in self.asked]

    def bodies(self, path: str) -> list[bytes]:
        return [body for _, at, _, body in self.asked if urlsplit(at).path == path]

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> HttpReply:
        at = urlsplit(path).path
        if len(body) > self.most:
            return 500, None
        if at.startswith("/secrets/"):
            return self._secret(method, at.removeprefix("/secrets/"), body)
        answer = self._of_the_app(method, path, headers, body) or self._of_the_subscription(method, path)
        if not answer and self.there and at.startswith(f"{PROVIDERS}/"):
            answer = self._of_the_group(method, at.removeprefix(f"{PROVIDERS}/"))
        return answer or (404, refusal("ResourceNotFound", f"The resource {path} was not found."))

    def _of_the_app(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> HttpReply | None:
        match f"{method} {urlsplit(path).path}".replace(SITE, "SITE"):
            case "GET SITE":
                host = urlsplit(self.url).netloc
                hosts = [{"name": "mail-1.example", "hostType": "Standard"}, {"name": host, "hostType": "Repository"}]
                config = {"deployment": {"storage": PACKAGES}}
                site = {"sku": self.sku, "defaultHostName": host, "hostNameSslStates": hosts}
                return 200, {"properties": site | {"functionAppConfig": config}}
            case "GET SITE/functions":
                return 200, self._page(path)
            case "GET /api/health":
                return self.health, {}
            case "POST /api/events/generic":
                too_large = self.keeps_bodies and len(body) > 2 * 1024 * 1024 and self.route not in (404, 503)
                return (413 if too_large else self.route), {"type": "about:blank"}
            case "POST /api/v1.0/users/nobody/sendMail":
                mine = "another" if self.mixed else headers["Client-Request-Id"]
                return 401, {"error": {"code": "InvalidAuthenticationToken", "innerError": {"client-request-id": mine}}}
            case "POST /api/publish":
                return _next(self.publish)
            case "GET /api/deployments/deployment-1":
                return _next(self.states)
        return None

    def _page(self, path: str) -> dict[str, Any]:
        start = int(parse_qs(urlsplit(path).query).get("skip", ["0"])[0])
        names = self.functions[0]
        end = start + self.page
        if end >= len(names):
            _next(self.functions)
        value = [{"name": f"mail-1/{name}", "properties": {"name": name}} for name in names[start:end]]
        following = f"{self.url}{path}&skip={end}" if end < len(names) else None
        return {"value": value, "nextLink": self.next_page or following}

    def _of_the_subscription(self, method: str, path: str) -> HttpReply | None:
        match f"{method} {urlsplit(path).path}".replace(GROUP, "GROUP").replace(REGISTRATION, "REGISTRATION"):
            case "GET GROUP" if self.there:
                return 200, {"name": "rg-mail"}
            case "PUT GROUP":
                self.there = True
                return 201, {"name": "rg-mail"}
            case "GET /subscriptions/sub-1/resources":
                assert "tagValue eq 'prod'" in parse_qs(urlsplit(path).query)["$filter"][0]
                return 200, {"value": [{"id": SITE}] if self.settings is not None else []}
            case "GET REGISTRATION":
                return 200, {"registrationState": _next(self.registered)}
            case "POST REGISTRATION/register":
                refused = refusal("AuthorizationFailed", "Not allowed to register.")
                return (200, {}) if self.may_register else (403, refused)
        return None

    def _of_the_group(self, method: str, below: str) -> HttpReply | None:
        tags = {"azd-env-name": "prod"}
        match method, below:
            case "GET", "Microsoft.Web/sites":
                other = {"name": "another", "tags": {"azd-env-name": "test", "azd-service-name": "api"}}
                mine = {"name": "mail-1", "tags": tags | {"azd-service-name": "api"}}
                return 200, {"value": [other, mine] if self.settings is not None else [other]}
            case "POST", "Microsoft.Web/sites/mail-1/config/appsettings/list":
                return 200, {"properties": self.settings}
            case "GET", "Microsoft.KeyVault/vaults":
                vault = {"name": "kv-1", "tags": tags, "properties": {"vaultUri": f"{self.url}/"}}
                return 200, {"value": [vault] if self.vault else []}
            case "GET", "Microsoft.Resources/deployments":
                return 200, {"value": [self._deployment(number, name) for number, name in enumerate(self.deployments)]}
            case "POST", path if path.startswith("Microsoft.Resources/deployments/"):
                name = path.removesuffix("/exportTemplate").rpartition("/")[2]
                return (200, {"template": self.template}) if name in self.deployments else None
        return None

    def _deployment(self, number: int, name: str) -> dict[str, Any]:
        given = {parameter: {"type": "x", "value": value} for parameter, value in self.deployments[name].items()}
        time = f"2026-11-{number + 1:02}T09:00:00.0000000Z"
        return {"name": name, "properties": {"parameters": given, "timestamp": time}}

    def _secret(self, method: str, name: str, body: bytes) -> HttpReply:
        if self.vault_answers:
            return self.vault_answers.pop(0)
        if method == "PUT":
            self.secrets[name] = json.loads(body)["value"]
        elif name not in self.secrets:
            return 404, refusal("SecretNotFound")
        return 200, {"value": self.secrets[name]}


def _next[T](answers: list[T]) -> T:
    return answers.pop(0) if len(answers) > 1 else answers[0]


@contextmanager
def azure() -> Iterator[FakeAzure]:
    """Azure, until the block ends."""
    cloud = FakeAzure()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            cloud.asked.append((self.command, self.path, dict(self.headers), body))
            at = urlsplit(self.path).path
            if cloud.refusals.get(at, 0) > 0:
                cloud.refusals[at] -= 1
                status, answer = 403, refusal("AuthorizationFailed", "No authorization.")
            elif self.path.startswith(OPEN) or self.headers.get("Authorization") == f"Bearer {TOKEN}":
                status, answer = cloud.answer(self.command, self.path, dict(self.headers), body)
            else:
                status, answer = 401, refusal("InvalidAuthenticationToken")
            content = json.dumps(answer).encode()
            self.send_response(302 if cloud.redirect else status)
            if cloud.redirect:
                self.send_header("Location", cloud.redirect)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the names that http.server calls

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        cloud.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield cloud
        finally:
            server.shutdown()
            thread.join()


def recorded(values: Mapping[str, Any], environment: str = "prod") -> dict[str, Any]:
    """The parameters of a deployment as Resource Manager remembers them: with the template's defaults."""
    defaults = {name: one.get("defaultValue") for name, one in TEMPLATE["parameters"].items()}
    known = {name: value for name, value in defaults.items() if not str(value).startswith("[")}
    return {**known, "location": "westeurope", "environmentName": environment, **values}
