"""Every setting, read once from the environment into one frozen object.

What is wrong is collected, not raised: an exception while Azure indexes the functions makes it find none and answer 404
without a word. So `read` always returns; whoever is about to act looks at `Settings.problems` first.
"""

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, cast, get_args
from urllib.parse import urlsplit

import msgspec

from shared.clouds import Cloud, cloud_of, owner
from shared.entra import Registration
from shared.graph.endpoint import GRAPH_HOSTS, LOOPBACK_HOSTS, GraphEndpoint
from shared.policy.admit import CallerRule
from shared.policy.patterns import Patterns

__all__ = ["OnUnknown", "Problem", "Settings", "Storage", "Threads", "read", "secret_setting"]

OnUnknown = Literal["resend", "hold"]
Threads = Literal["properties", "mime"]

GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
ADDRESS: Final = re.compile(r"[^\s@<>()\[\],;:\"\\]+@[^\s@<>()\[\],;:\"\\]+")
POOL: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_DELAY: Final = 86_400.0  # seconds
SECRET: Final = frozenset({"AzureWebJobsStorage"})  # never shown
SECRETS: Final = "MAIL_SECRET_"  # and never these
UNRESOLVED: Final = "@Microsoft.KeyVault("
# What `UseDevelopmentStorage=true` stands for: Azurite's published account, on its default ports.
DEVELOPMENT_STORAGE: Final = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One setting that cannot be used. `found` never holds a secret."""

    setting: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.setting}: found {self.found}, expected {self.expected}"


@dataclass(frozen=True, slots=True)
class Storage:
    """The storage account: by connection string (a laptop) or by endpoints and the app's identity (Azure)."""

    connection_string: str | None = field(default=None, repr=False)
    blob_endpoint: str = ""
    queue_endpoint: str = ""
    table_endpoint: str = ""
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. With `problems`, the fields they are about hold defaults and must not be used."""

    storage: Storage = Storage()
    identity_client_id: str | None = None
    graph: GraphEndpoint = field(default_factory=lambda: GraphEndpoint.parse("https://graph.microsoft.com/v1.0"))
    authority: str = "https://login.microsoftonline.com"  # where tenants' metadata is
    api: Registration | None = None
    callers: Mapping[str, CallerRule] = field(default_factory=lambda: MappingProxyType({}))
    allowed_senders: Patterns = field(default_factory=lambda: Patterns.parse(""))
    sender_pools: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    allowed_recipients: Patterns = field(default_factory=lambda: Patterns.parse("*"))
    on_unknown: OnUnknown = "resend"
    send_timeout: float = 30.0
    lease_margin: float = 30.0
    verify_sent: bool = True
    verify_delays: tuple[float, ...] = (15.0, 60.0, 180.0)
    max_attempts: int = 20
    max_age_hours: float = 72.0
    rate_per_minute: int = 30
    concurrency: int = 4
    retention_days: int = 14
    sender: str | None = field(default=None, repr=False)  # the mailbox, or the pool, of every route that names none
    to: tuple[str, ...] = field(default=(), repr=False)  # and its recipients
    routes_dir: Path | None = None
    vault_url: str | None = None
    threads: Threads = "properties"
    route_senders: Patterns | None = None  # what mails of routes may be sent as; None: the allowed senders
    # Of routes, by the variable's name; several, so that one can be replaced by another.
    secrets: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    problems: tuple[Problem, ...] = ()


class _Caller(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    senders: list[str]
    recipients: list[str] | None = None


class _Reader:
    """Takes values out of the environment, noting what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[Problem] = []
        self.in_azure = bool(environ.get("WEBSITE_SITE_NAME"))

    def given(self, name: str) -> bool:
        return bool(self.environ.get(name, "").strip())

    def text(self, name: str) -> str | None:
        value = self.environ.get(name, "").strip()
        if value.startswith(UNRESOLVED):
            # Azure hands a reference that it could not resolve to the app as it stands. It is no value.
            self.wrong(name, "a Key Vault reference that was not resolved", "the value itself, or nothing")
            return None
        return value or None

    def wrong(self, name: str, found: str, expected: str) -> None:
        self.problems.append(Problem(name, found, expected))

    def parsed[D](self, name: str, default: D, parse: Callable[[str], D], expected: str) -> D:
        value = self.text(name)
        if value is None:
            return default
        try:
            return parse(value)
        except (ValueError, KeyError):
            self.wrong(name, "a value (not shown)" if name in SECRET else repr(value), expected)
            return default

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        return self.parsed(name, default, _between(int, low, high), f"a whole number from {low} to {high}")

    def number(self, name: str, default: float, low: float, high: float) -> float:
        return self.parsed(name, default, _between(float, low, high), f"a number from {low:g} to {high:g}")

    def guid(self, name: str) -> str | None:
        def parse(value: str) -> str | None:
            if not GUID.fullmatch(value):
                raise ValueError
            return value.lower()

        return self.parsed(name, None, parse, "a GUID, 00000000-0000-0000-0000-000000000000")

    def graph(self) -> GraphEndpoint:
        def parse(value: str) -> GraphEndpoint:
            endpoint = GraphEndpoint.parse(value)
            if self.in_azure and endpoint.host in LOOPBACK_HOSTS:
                raise ValueError
            return endpoint

        expected = "https:// and one of " + ", ".join(GRAPH_HOSTS) + ", with the version: …/v1.0"
        default = GraphEndpoint.parse("https://graph.microsoft.com/v1.0")
        return self.parsed("GRAPH_BASE_URL", default, parse, expected)

    def authority(self, name: str, default: str) -> str:
        """An https URL; outside Azure also http on loopback."""

        def parse(value: str) -> str:
            parts = urlsplit(value)
            bare = not (parts.query or parts.fragment or parts.username or parts.password)
            loopback = parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS and not self.in_azure
            if not bare or not parts.hostname or not (parts.scheme == "https" or loopback):
                raise ValueError
            return value.rstrip("/")

        return self.parsed(name, default, parse, f"an https URL, such as {default or 'https://….core.windows.net'}")

    def patterns(self, name: str, default: str) -> Patterns:
        try:
            return Patterns.parse(self.text(name) or default)
        except ValueError as error:
            self.wrong(name, f"a pattern that is none: {error}", "addresses; * as a whole local part or first label")
            return Patterns.parse("")


def read(environ: Mapping[str, str]) -> Settings:
    """Read every setting. Never raises; see `Settings.problems`."""
    reader = _Reader(environ)
    pools = _pools(reader)
    graph = reader.graph()
    cloud = cloud_of(graph.host)
    authority = reader.authority("MAIL_API_AUTHORITY", cloud.authority)
    _of_one_cloud(reader, cloud)
    return Settings(
        storage=_storage(reader, cloud),
        identity_client_id=reader.guid("AZURE_CLIENT_ID"),
        graph=graph,
        authority=authority,
        api=_api(reader, authority),
        callers=_callers(reader),
        allowed_senders=reader.patterns("MAIL_ALLOWED_SENDERS", ""),
        sender_pools=pools,
        allowed_recipients=reader.patterns("MAIL_ALLOWED_RECIPIENTS", "*"),
        on_unknown=reader.parsed("MAIL_ON_UNKNOWN", "resend", _on_unknown, "resend or hold"),
        send_timeout=reader.number("MAIL_SEND_TIMEOUT", 30, 1, 120),
        lease_margin=reader.number("MAIL_LEASE_MARGIN", 30, 1, 300),
        verify_sent=reader.parsed("MAIL_VERIFY_SENT", True, _switch, "true or false"),  # noqa: FBT003 - the default
        verify_delays=reader.parsed(
            "MAIL_VERIFY_DELAYS", (15.0, 60.0, 180.0), _delays, "seconds in rising order: 15 60 180"
        ),
        max_attempts=reader.integer("MAIL_MAX_ATTEMPTS", 20, 1, 1000),
        max_age_hours=reader.number("MAIL_MAX_AGE_HOURS", 72, 1, 720),
        rate_per_minute=reader.integer("MAIL_RATE_PER_MINUTE", 30, 1, 1_000_000),
        concurrency=reader.integer("MAIL_CONCURRENCY", 4, 1, 64),
        # Queued duplicates may come for a week; a row that had gone by then would let them through as new.
        retention_days=reader.integer("MAIL_RETENTION_DAYS", 14, 8, 3650),
        sender=(reader.text("MAIL_SENDER") or "").lower() or None,
        to=reader.parsed("MAIL_TO", (), _addresses, "mail addresses, separated by spaces or commas"),
        routes_dir=reader.parsed("MAIL_ROUTES_DIR", None, Path, "a folder"),
        vault_url=reader.parsed("MAIL_VAULT_URL", None, _vault, "the vault's URL, https://….vault.azure.net"),
        threads=reader.parsed("MAIL_THREADS", "properties", _threads, "properties or mime"),
        route_senders=_route_senders(reader, pools),
        secrets=_secrets(reader),
        problems=tuple(reader.problems),
    )


def _of_one_cloud(reader: _Reader, cloud: Cloud) -> None:
    """Hosts of another cloud than Graph's: the identity gets no token for them, nor do its tokens pass for ours."""
    storage = [f"AzureWebJobsStorage__{kind}ServiceUri" for kind in ("blob", "queue", "table")]
    for name in ("MAIL_API_AUTHORITY", "MAIL_VAULT_URL", *storage):
        other = owner(reader.environ.get(name, ""))
        if other and other is not cloud:
            reader.wrong(name, f"a host of {other.name}", f"one of {cloud.name}, where GRAPH_BASE_URL is")


def _storage(reader: _Reader, cloud: Cloud) -> Storage:
    # Azure's own names: https://learn.microsoft.com/azure/azure-functions/functions-reference (identity)
    name = "AzureWebJobsStorage"
    if reader.given(name):
        return Storage(reader.parsed(name, None, _connection_string, "AccountName=…;… or UseDevelopmentStorage=true"))
    account = reader.text(f"{name}__accountName")
    endpoints = {
        kind: reader.authority(f"{name}__{kind}ServiceUri", "")
        or (f"https://{account}.{kind}.{cloud.storage}" if account else "")
        for kind in ("blob", "queue", "table")
    }
    if not any(endpoints.values()):
        reader.wrong(name, "nothing", f"a connection string, or {name}__accountName for the identity's connection")
    else:
        for kind in (kind for kind, endpoint in endpoints.items() if not endpoint):
            reader.wrong(f"{name}__{kind}ServiceUri", "nothing", f"the service's URL (or {name}__accountName for all)")
    return Storage(
        blob_endpoint=endpoints["blob"],
        queue_endpoint=endpoints["queue"],
        table_endpoint=endpoints["table"],
        client_id=reader.guid(f"{name}__clientId"),
    )


def _connection_string(value: str) -> str:
    if value.rstrip(";").lower() == "usedevelopmentstorage=true":
        return DEVELOPMENT_STORAGE
    fields = {part.partition("=")[0].strip().lower() for part in value.split(";")}
    by_key = {"accountname", "accountkey"} <= fields
    by_signature = "sharedaccesssignature" in fields and ("accountname" in fields or "queueendpoint" in fields)
    if not by_key and not by_signature:
        raise ValueError
    return value


def _api(reader: _Reader, authority: str) -> Registration | None:
    tenant, client = reader.guid("MAIL_API_TENANT"), reader.guid("MAIL_API_CLIENT_ID")
    for name, other in (("MAIL_API_TENANT", "MAIL_API_CLIENT_ID"), ("MAIL_API_CLIENT_ID", "MAIL_API_TENANT")):
        if reader.given(other) and not reader.given(name):
            reader.wrong(name, "nothing", f"a GUID, since {other} is set")
    return Registration(tenant, client, authority) if tenant and client else None


def _callers(reader: _Reader) -> Mapping[str, CallerRule]:
    name = "MAIL_CALLERS"
    text = reader.text(name)
    if text is None:
        return MappingProxyType({})
    shape = '{"<application id>": {"senders": ["…"], "recipients": ["…"]}}'
    try:
        entries = msgspec.json.decode(text, type=dict[str, _Caller])
    except (ValueError, RecursionError) as error:
        reader.wrong(name, f"JSON of another shape ({error})", shape)
        return MappingProxyType({})
    callers: dict[str, CallerRule] = {}
    for application, entry in entries.items():
        if not GUID.fullmatch(application):
            reader.wrong(name, repr(application), "the GUID of an application as each key")
            continue
        try:
            senders = Patterns.of(entry.senders)
            recipients = None if entry.recipients is None else Patterns.of(entry.recipients)
        except ValueError as error:
            reader.wrong(name, f"a pattern that is none, for {application}: {error}", shape)
            continue
        callers[application.lower()] = CallerRule(senders, recipients)
    return MappingProxyType(callers)


def _pools(reader: _Reader) -> Mapping[str, tuple[str, ...]]:
    name = "MAIL_SENDER_POOLS"
    shape = '{"<pool>": ["<mailbox>", "…"]}, a pool of letters, digits and dashes'
    text = reader.text(name)
    if text is None:
        return MappingProxyType({})
    try:
        pools = msgspec.json.decode(text, type=dict[str, list[str]])
    except (ValueError, RecursionError) as error:
        reader.wrong(name, f"JSON of another shape ({error})", shape)
        return MappingProxyType({})
    for pool, members in pools.items():
        # A pool must not be taken for a mailbox, nor a mailbox for a pool.
        if not POOL.fullmatch(pool) or GUID.fullmatch(pool) or not members or not all("@" in one for one in members):
            reader.wrong(name, f"the pool {pool!r}", shape)
            return MappingProxyType({})
    return MappingProxyType({pool: tuple(one.lower() for one in members) for pool, members in pools.items()})


def secret_setting(route: str) -> str:
    """The name of the variable with a route's secrets: `uptime-kuma` has MAIL_SECRET_UPTIME_KUMA."""
    return SECRETS + re.sub(r"[^A-Z0-9]", "_", route.upper())


def _secrets(reader: _Reader) -> Mapping[str, tuple[str, ...]]:
    """Secrets that are set. One that is a reference which Azure could not resolve is missing: its route says so."""
    given = {name: value.split() for name, value in reader.environ.items() if name.startswith(SECRETS)}
    return MappingProxyType(
        {name: tuple(words) for name, words in given.items() if words and not words[0].startswith(UNRESOLVED)}
    )


def _addresses(value: str) -> tuple[str, ...]:
    """Recognised by their shape here; whether mail can be sent there is said when a route uses them."""
    addresses = tuple(value.replace(",", " ").replace(";", " ").split())
    if not addresses or not all(ADDRESS.fullmatch(address) for address in addresses):
        raise ValueError
    return addresses


def _route_senders(reader: _Reader, pools: Mapping[str, tuple[str, ...]]) -> Patterns | None:
    """What routes may send as: MAIL_SENDER opens itself, unless MAIL_ALLOWED_SENDERS is set, which then holds."""
    sender = reader.environ.get("MAIL_SENDER", "").strip().lower()
    if not sender:
        return None
    mailboxes = pools.get(sender, (sender,))
    try:
        patterns = Patterns.of(mailboxes)
    except ValueError:
        patterns = Patterns.of("*")
    if patterns.everything or patterns.wild:
        expected = "a mail address, a mailbox's object id, or a name in MAIL_SENDER_POOLS"
        reader.wrong("MAIL_SENDER", repr(sender), expected)
    return None if reader.given("MAIL_ALLOWED_SENDERS") else patterns


def _vault(value: str) -> str | None:
    parts = urlsplit(value)
    bare = not (parts.query or parts.fragment or parts.username or parts.password or parts.path.strip("/"))
    if parts.scheme != "https" or not parts.hostname or not bare:
        raise ValueError
    return value.rstrip("/")


def _threads(value: str) -> Threads:
    if value.lower() not in get_args(Threads):
        raise ValueError
    return cast("Threads", value.lower())


def _on_unknown(value: str) -> OnUnknown:
    if value.lower() not in get_args(OnUnknown):
        raise ValueError
    return cast("OnUnknown", value.lower())


def _switch(value: str) -> bool:
    return {"true": True, "false": False}[value.lower()]


def _delays(value: str) -> tuple[float, ...]:
    delays = tuple(float(part) for part in value.replace(",", " ").split())
    if not delays or not all(
        0 < early < late <= LONGEST_DELAY for early, late in itertools.pairwise((*delays, LONGEST_DELAY))
    ):
        raise ValueError
    return delays


def _between[N: (int, float)](kind: Callable[[str], N], low: N, high: N) -> Callable[[str], N]:
    def parse(value: str) -> N:
        number = kind(value)
        if not low <= number <= high:  # NaN too
            raise ValueError
        return number

    return parse
