"""The four parts: how each is called, and how it says that it is ready."""

import asyncio
import contextlib
import re
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sandbox.options import ROOT, Options
from sandbox.process import Failed, Part

# Loaded into both: no page in the browser may reach them under a name of its own.
_OWN_NAMES = ("--require", str(ROOT / "sandbox" / "own_names.cjs"))
# Into Azurite only: it does what the roles of Mailroom's identity allow, and nothing that only a key could do.
_ROLES = ("--require", str(ROOT / "sandbox" / "storage_roles.cjs"))
_LEAN = ("--require", str(ROOT / "sandbox" / "lean_azurite.cjs"))
_NODE_MODULES = ROOT / "sandbox" / "node_modules"

COMMANDS: Mapping[str, tuple[str, ...]] = {
    # Node on the script itself, not npx or a shim: the pid is the part's own.
    "storage": ("node", *_OWN_NAMES, *_ROLES, *_LEAN, str(_NODE_MODULES / "azurite" / "dist" / "src" / "azurite.js")),
    "mail": ("node", *_OWN_NAMES, str(_NODE_MODULES / "maildev" / "bin" / "maildev")),
    "graph": (sys.executable, "-m", "sandbox.cloud"),
    "host": (sys.executable, "-m", "sandbox.host"),
}
"""The program of each part; what follows is added to it."""

# Azurite's account, the same everywhere and published, so no secret:
# https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
_ACCOUNT = "devstoreaccount1"
_ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

AZURITE_LISTENS = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at (http://\S+)")
_AGAIN_AFTER = 0.05


@dataclass(frozen=True, slots=True)
class Storage:
    """URLs of Azurite's services, without the account."""

    blob: str
    queue: str
    table: str

    @property
    def connection_string(self) -> str:
        services = {"Blob": self.blob, "Queue": self.queue, "Table": self.table}
        endpoints = ";".join(f"{service}Endpoint={url}/{_ACCOUNT}" for service, url in services.items())
        return f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_ACCOUNT_KEY};{endpoints};"


@dataclass(frozen=True, slots=True)
class Mail:
    """MailDev: the URL for the browser, and host:port of its SMTP server."""

    web: str
    smtp: str


@dataclass(frozen=True, slots=True)
class Graph:
    """What `python -m sandbox.cloud` says of itself when it is ready: URLs, and who may do what."""

    graph: str
    identity: str
    identity_header: str
    authority: str
    token: str
    jwks: str
    tenant: str
    api_client_id: str
    caller_client_id: str
    sender: str
    sender_oid: str
    control: str


@dataclass(frozen=True, slots=True)
class Host:
    """What `python -m sandbox.host` says of itself. error: the traceback when function_app.py did not import."""

    url: str
    keys: Mapping[str, str]
    functions: Sequence[object]
    error: str | None = None


def missing(command: Sequence[str]) -> str | None:
    """Say what is not installed of `command`, or None."""
    program, *arguments = command
    if shutil.which(program) is None:
        return f"{program} is not installed."
    for path in map(Path, arguments):
        if path.is_absolute() and not path.exists():
            return f"{path} is missing; `make run` installs it."
    return None


def storage(options: Options, program: tuple[str, ...], environment: Mapping[str, str], folder: Path) -> Part[Storage]:
    """Azurite, its data in `--data` or else in `folder`."""
    first = options.storage_port
    command = [*program, "--location", str(options.data or folder / "storage")]
    for offset, service in enumerate(("blob", "queue", "table")):
        command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(first and first + offset)]
    # The SDKs are newer than the API versions this Azurite knows; it serves them all the same.
    command += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]

    async def ready(lines: AsyncIterator[str]) -> Storage:
        urls: dict[str, str] = {}
        async for line in lines:
            if found := AZURITE_LISTENS.search(line):
                urls[found[1].lower()] = found[2]
            if len(urls) == len(("blob", "queue", "table")):
                break
        return Storage(**urls)

    return Part("storage", tuple(command), environment, ready)


def mail(ports: tuple[int, int], program: tuple[str, ...], environment: Mapping[str, str], folder: Path) -> Part[Mail]:
    """MailDev on `ports`: the browser's, and SMTP's. It cannot tell which port it got for 0, so none may be 0."""
    web, smtp = ports
    command = [*program, "--ip", "127.0.0.1", "--web-ip", "127.0.0.1", "--mail-directory", str(folder / "mail")]
    command += ["--web", str(web), "--smtp", str(smtp)]

    async def ready(_: AsyncIterator[str]) -> Mail:
        # It says that it runs before it listens, so it is asked.
        await _until_answer(smtp, b"", b"220 ")
        await _until_answer(web, b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 200 ")
        return Mail(f"http://127.0.0.1:{web}", f"127.0.0.1:{smtp}")

    return Part("mail", tuple(command), environment, ready)


def graph(options: Options, program: tuple[str, ...], environment: Mapping[str, str], smtp: str | None) -> Part[Graph]:
    """The Graph and managed-identity emulator, which hands mails to `smtp` (host:port) when there is one."""
    command = [*program, "--port", str(options.graph_port), *options.faults]
    if smtp:
        command += ["--smtp", smtp]

    async def ready(lines: AsyncIterator[str]) -> Graph:
        return await _said("graph", lines, Graph)

    return Part("graph", tuple(command), environment, ready)


def host(
    options: Options, program: tuple[str, ...], environment: Mapping[str, str], certificate: tuple[Path, Path] | None
) -> Part[Host]:
    """The functions host; its log, which has the functions' own, goes to the terminal. certificate: PEM, with key."""
    command = [*program, "--app", str(options.app), "--port", str(options.port), "--loop", options.loop]
    if certificate:
        command += ["--tls", *map(str, certificate)]
    for name in options.host_name:
        command += ["--host-name", name]
    if options.queue_lease is not None:
        command += ["--queue-lease", str(options.queue_lease)]
    command += ["--verbose"] * options.verbose

    async def ready(lines: AsyncIterator[str]) -> Host:
        return await _said("host", lines, Host)

    return Part("host", tuple(command), environment, ready, grace=12.0, shown=True)


async def _said[Facts](name: str, lines: AsyncIterator[str], facts: type[Facts]) -> Facts:
    """Read the first line that is a JSON object; others are what an app prints while it is imported."""
    async for line in lines:
        if line.startswith("{"):
            try:
                return msgspec.json.decode(line, type=facts)
            except msgspec.DecodeError as error:
                raise Failed(f"{name} is ready with a line that is not understood: {error}\n    {line}") from None
    raise AssertionError("lines end only with the part, and the supervisor before that")  # pragma: no cover


async def _until_answer(port: int, question: bytes, answer: bytes) -> None:
    """Try until what listens on `port` answers the question with something that begins with `answer`."""
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(question)
                if await reader.readexactly(len(answer)) == answer:
                    return
            finally:
                writer.close()
        await asyncio.sleep(_AGAIN_AFTER)
