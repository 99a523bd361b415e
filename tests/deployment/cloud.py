"""Azure for the tests of deployment: Resource Manager, an app and its deployment endpoint on loopback, and az and azd.

https://learn.microsoft.com/rest/api/appservice/web-apps/list-functions has the list's shape; the deployment endpoint's
answers are those that azd reads (Azure/azure-dev, cli/azd/pkg/azsdk/funcapp_host_client.go).
"""

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, override
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from tests.deployment.group import GroupOfResources

ROOT = Path(__file__).parents[2]
SITE = "/subscriptions/sub-1/resourceGroups/rg-mail/providers/Microsoft.Web/sites/mail-1"
IDENTITY = "/subscriptions/sub-1/resourceGroups/rg-mail/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-1"
PACKAGES = {
    "type": "blobContainer",
    "value": "https://st1.blob.core.windows.net/app-package",
    "authentication": {"type": "UserAssignedIdentity", "userAssignedIdentityResourceId": IDENTITY},
}
TOKEN = "token-of-the-deployer"
OPEN = ("/api/health", "/api/events/", "/api/v1.0/")  # to anyone
WHICH = ("--subscription", "sub-1", "--resource-group", "rg-mail", "--name", "mail-1")


@dataclass
class Azure:
    """What Azure knows of the app, changed by tests, and what it was asked."""

    url: str = ""
    location: str | None = None
    """Where to Azure redirects whoever asks for the app."""
    next: str | None = None
    """Where the list of functions goes on, instead of here."""
    functions: list[Sequence[str]] = field(default_factory=list)
    """What the list of functions is at each question; the last one stays."""
    page: int = 1000
    health: int = 200
    most: int = 1 << 30
    """Bytes of a request that the app's worker takes; to a larger one the host answers 500."""
    keeps: bool = True
    """Whether a request comes to the function with its body."""
    route: int = 401
    """What the route `generic` answers to whoever proves nothing."""
    mixed: bool = False
    """Whether the app answers a request as if it were another one."""
    sku: str = "FlexConsumption"
    publish: list[tuple[int, Any]] = field(default_factory=lambda: [(202, "deployment-1")])
    """What the deployment endpoint answers at each package; the last one stays."""
    refusals: dict[str, int] = field(default_factory=dict)
    """By path: how often whoever asks is answered 403, as before a role works."""
    states: list[tuple[int, Any]] = field(default_factory=lambda: [(200, {"status": 4})])
    asked: list[tuple[str, str, Mapping[str, str], bytes]] = field(default_factory=list)
    group: "GroupOfResources | None" = None
    """What is in the resource group; None: there is no such group."""

    def paths(self) -> list[str]:
        return [f"{method} {urlsplit(path).path}" for method, path, _, _ in self.asked]

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        host = urlsplit(self.url).netloc
        if len(body) > self.most:
            return 500, None
        match method, urlsplit(path).path:
            case "GET", path_ if path_ == SITE:
                return 200, {"properties": self._site(host)}
            case "GET", path_ if path_ == f"{SITE}/functions":
                return 200, self._page(path)
            case "GET", "/api/health":
                return self.health, {}
            case "POST", "/api/events/generic":
                too_large = self.keeps and len(body) > 2 * 1024 * 1024 and self.route not in (404, 503)
                return (413 if too_large else self.route), {"type": "about:blank"}
            case "POST", "/api/v1.0/users/nobody/sendMail":
                mine = "another" if self.mixed else headers["Client-Request-Id"]
                return 401, {"error": {"code": "InvalidAuthenticationToken", "innerError": {"client-request-id": mine}}}
            case "POST", "/api/publish":
                return self.publish.pop(0) if len(self.publish) > 1 else self.publish[0]
            case "GET", "/api/deployments/deployment-1":
                return self.states.pop(0) if len(self.states) > 1 else self.states[0]
        none = 404, {"error": {"code": "ResourceNotFound", "message": f"The resource {path} was not found."}}
        return (self.group and self.group.answer(method, path, body)) or none

    def _site(self, host: str) -> dict[str, Any]:
        hosts = [{"name": "mail-1.example", "hostType": "Standard"}, {"name": host, "hostType": "Repository"}]
        config = {"deployment": {"storage": PACKAGES}}
        return {"sku": self.sku, "defaultHostName": host, "hostNameSslStates": hosts, "functionAppConfig": config}

    def _page(self, path: str) -> dict[str, Any]:
        start = int(parse_qs(urlsplit(path).query).get("skip", ["0"])[0])
        names = self.functions[0]
        end = start + self.page
        if end >= len(names) and len(self.functions) > 1:
            self.functions.pop(0)
        value = [{"name": f"mail-1/{name}", "properties": {"name": name}} for name in names[start:end]]
        return {"value": value, "nextLink": self.next or (f"{self.url}{path}&skip={end}" if end < len(names) else None)}


@contextmanager
def azure() -> Iterator[Azure]:
    """Azure, until the block ends."""
    cloud = Azure()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            cloud.asked.append((self.command, self.path, dict(self.headers), body))
            if cloud.refusals.get(urlsplit(self.path).path, 0) > 0:
                cloud.refusals[urlsplit(self.path).path] -= 1
                status, answer = 403, {"error": {"code": "AuthorizationFailed", "message": "No authorization."}}
            elif self.path.startswith(OPEN) or self.headers.get("Authorization") == f"Bearer {TOKEN}":
                status, answer = cloud.answer(self.command, self.path, dict(self.headers), body)
            else:
                status, answer = 401, {"error": {"code": "InvalidAuthenticationToken", "message": "No."}}
            content = json.dumps(answer).encode()
            self.send_response(302 if cloud.location else status)
            if cloud.location:
                self.send_header("Location", cloud.location)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the names that http.server calls

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        cloud.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield cloud
        finally:
            server.shutdown()
            thread.join()


def tool(folder: Path, name: str, answer: Mapping[str, str] | None) -> None:
    """Put a program into `folder` that prints `answer` as az and azd print a token, or that nobody has logged in to."""
    log = folder / f"{name}.log"
    does = f"print({json.dumps(answer)!r})" if answer else "sys.exit('ERROR: Please run: login')"
    program = folder / name
    program.write_text(
        f"#!{sys.executable}\nimport sys\nopen({str(log)!r}, 'a').write(' '.join(sys.argv[1:]))\n{does}\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def run(
    module: str, cloud: Azure, tools: Path, *arguments: str, which: Sequence[str] = WHICH, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m deployment.MODULE` where the only programs are those in `tools`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "MAIL"))}
    kept["MAILROOM_ROLES_WITHIN"] = "0.5"
    return subprocess.run(
        [sys.executable, "-m", f"deployment.{module}", *which, "--manager", cloud.url, *arguments],
        env=kept | {"PATH": str(tools)} | more, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
