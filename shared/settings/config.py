"""Every setting, read once from the environment into one frozen object.

What is wrong is collected, not raised: an exception while Azure indexes the functions makes it find none and answer 404
without a word. So `read` always returns; whoever is about to act looks at `Settings.problems` first.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final, Literal, cast, get_args
from urllib.parse import urlsplit

import msgspec

from shared.graph.endpoint import GraphEndpoint
from shared.mail.addresses import canonical, checked, mailbox_name
from shared.mail.limits import MAX_RECIPIENTS
from shared.policy.address_patterns import Patterns
from shared.policy.admit import PRODUCERS, CallerRule
from shared.policy.attachment_references import BlobRules
from shared.policy.extended_properties import ExtendedProperties
from shared.registration import Registration
from shared.settings.clouds import Cloud, cloud_of, owner
from shared.settings.environ import GUID, SECRETS, Problem, no_twins, secret_setting
from shared.settings.environ import Reader as _Reader

if TYPE_CHECKING:
    from shared.mail.outgoing import Origin

__all__ = ["SECRETS", "OnUnknown", "Problem", "Settings", "Storage", "read", "secret_setting"]

Mode = Literal["live", "redirect", "capture"]  # see policy/pre_send.py
OnUnknown = Literal["resend", "review"]

POOL: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_DELAY: Final = 86_400.0  # seconds
# What `UseDevelopmentStorage=true` stands for: Azurite's published account, on its default ports.
DEVELOPMENT_STORAGE: Final = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)


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
    operator_apps: frozenset[str] = frozenset()  # application ids, in lower case, with which users may operate
    operator_keys: bool = True  # whether a function key opens /api/operator
    callers: Mapping[str, CallerRule] = field(default_factory=lambda: MappingProxyType({}))
    allowed_senders: Patterns = field(default_factory=lambda: Patterns.parse(""))
    sender_pools: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    allowed_recipients: Patterns = field(default_factory=lambda: Patterns.parse("*"))
    extended_properties: ExtendedProperties = field(default_factory=ExtendedProperties)
    mode: Mode = "live"
    redirect_to: str | None = field(default=None, repr=False)  # given where mode is redirect
    on_unknown: OnUnknown = "resend"
    send_timeout: float = 30.0
    lease_margin: float = 30.0
    verify_sent: bool = True
    verify_delays: tuple[float, ...] = (15.0, 60.0, 180.0)
    max_attempts: int = 20
    max_age_hours: float = 72.0
    rate_per_minute: int = 30
    recipients_per_day: int = 10_000
    concurrency: int = 4
    retention_days: int = 14
    large_attachments: bool = False
    send_at_once: bool = True  # the mails of webhooks, before these are answered
    attachment_containers: BlobRules = field(default_factory=lambda: BlobRules.of(["mail-attachments"]))  # for queues
    max_request: int = 35_000_000  # bytes of a body over HTTP
    sender: str | None = field(default=None, repr=False)  # the mailbox, or the pool, of every route that names none
    to: tuple[str, ...] = field(default=(), repr=False)  # and its recipients
    routes_dir: Path | None = None
    vault_url: str | None = None
    route_senders: Patterns | None = None  # what mails of routes may be sent as; None: the allowed senders
    # Of routes, by the variable's name; several, so that one can be replaced by another.
    secrets: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    unresolved_secrets: frozenset[str] = frozenset()  # of these variables: references that Azure has not resolved
    unused: tuple[Problem, ...] = ()  # what is set and nothing reads; everything works all the same
    problems: tuple[Problem, ...] = ()

    def rate_of(self, origin: "Origin") -> int | None:
        """Mails a minute of whoever asks for a mail, where MAIL_CALLERS says so."""
        rule = self.callers.get(origin.name.lower()) if origin.kind != "route" else None
        return rule.rate_per_minute if rule else None


class _Caller(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    senders: list[str]
    recipients: list[str] | None = None
    rate_per_minute: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    attachments: list[str] = []


def read(environ: Mapping[str, str]) -> Settings:
    """Read every setting. Never raises; see `Settings.problems`."""
    reader = _Reader(environ)
    pools, sender = _pools(reader), _sender(reader)
    mode, redirect_to = _mode(reader)
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
        operator_apps=reader.parsed(
            "MAIL_OPERATOR_APPS", frozenset(), _applications, "GUIDs of applications, separated by spaces or commas"
        ),
        operator_keys=reader.parsed("MAIL_OPERATOR_KEYS", True, _switch, "true or false"),  # noqa: FBT003 - the default
        callers=_callers(reader),
        allowed_senders=reader.patterns("MAIL_ALLOWED_SENDERS", ""),
        sender_pools=pools,
        allowed_recipients=reader.patterns("MAIL_ALLOWED_RECIPIENTS", "*"),
        extended_properties=_extended(reader),
        mode=mode,
        redirect_to=redirect_to,
        on_unknown=reader.parsed("MAIL_ON_UNKNOWN", "resend", _on_unknown, "resend or review"),
        send_timeout=reader.number("MAIL_SEND_TIMEOUT", 30, 1, 120),
        lease_margin=reader.number("MAIL_LEASE_MARGIN", 30, 1, 300),
        verify_sent=reader.parsed("MAIL_VERIFY_SENT", True, _switch, "true or false"),  # noqa: FBT003 - the default
        verify_delays=reader.parsed(
            "MAIL_VERIFY_DELAYS", (15.0, 60.0, 180.0), _delays, "seconds in rising order: 15 60 180"
        ),
        max_attempts=reader.integer("MAIL_MAX_ATTEMPTS", 20, 1, 1000),
        max_age_hours=reader.number("MAIL_MAX_AGE_HOURS", 72, 1, 720),
        rate_per_minute=reader.integer("MAIL_RATE_PER_MINUTE", 30, 1, 1_000_000),
        # Less than Graph takes in one mail would keep some for ever.
        recipients_per_day=reader.integer("MAIL_RECIPIENTS_PER_DAY", 10_000, MAX_RECIPIENTS, 10_000_000),
        concurrency=reader.integer("MAIL_CONCURRENCY", 4, 1, 64),
        # Queued duplicates may come for a week; a row that had gone by then would let them through as new.
        retention_days=reader.integer("MAIL_RETENTION_DAYS", 14, 8, 3650),
        send_at_once=reader.parsed("MAIL_SEND_AT_ONCE", True, _switch, "true or false"),  # noqa: FBT003
        large_attachments=reader.parsed("MAIL_LARGE_ATTACHMENTS", False, _switch, "true or false"),  # noqa: FBT003
        attachment_containers=reader.parsed(
            "MAIL_ATTACHMENT_CONTAINERS",
            BlobRules.of(["mail-attachments"]),
            lambda value: BlobRules.of(value.replace(",", " ").split()),
            "container or container/folder, several separated by spaces; none of Mailroom's or the platform's own",
        ),
        # Azure's front end itself takes 100 MB at most.
        max_request=reader.integer("MAIL_MAX_REQUEST_MB", 35, 1, 100) * 1_000_000,
        sender=sender,
        to=reader.parsed("MAIL_TO", (), _addresses, "mail addresses, separated by spaces or commas"),
        routes_dir=reader.parsed("MAIL_ROUTES_DIR", None, Path, "a folder"),
        vault_url=reader.parsed("MAIL_VAULT_URL", None, _vault, "the vault's URL, https://….vault.azure.net"),
        route_senders=_route_senders(reader, pools, sender),
        secrets=reader.secrets(),
        unresolved_secrets=reader.unresolved_secrets(),
        unused=(*reader.unused, *reader.unknown()),
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
        for other in sorted(other for other in reader.environ if other.startswith(f"{name}__") and reader.given(other)):
            reader.unused.append(Problem(other, "a value", f"nothing, since {name} is set and takes its place"))
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


def _applications(value: str) -> frozenset[str]:
    applications = value.replace(",", " ").split()
    if not all(map(GUID.fullmatch, applications)):
        raise ValueError
    return frozenset(map(str.lower, applications))


def _callers(reader: _Reader) -> Mapping[str, CallerRule]:
    name = "MAIL_CALLERS"
    text = reader.text(name)
    if text is None:
        return MappingProxyType({})
    shape = (
        '{"<application id>": {"senders": ["…"], "recipients": ["…"], "ratePerMinute": 60, '
        '"attachments": ["container/folder"]}}'
    )
    try:
        no_twins(text)
        entries = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError) as error:
        reader.wrong(name, f"JSON of another shape ({error})", shape)
        return MappingProxyType({})
    callers: dict[str, CallerRule] = {}
    for application, raw in entries.items():
        try:
            entry = msgspec.json.decode(raw, type=_Caller)
        except (ValueError, RecursionError) as error:
            reader.wrong(name, f"JSON of another shape ({error}), for {application}", shape)
            continue
        if not GUID.fullmatch(application) and application != PRODUCERS:
            reader.wrong(name, repr(application), f"the GUID of an application, or {PRODUCERS}, as each key")
            continue
        if application.lower() in callers:
            reader.wrong(name, f"{application} twice", "each application once, in capitals or not")
            continue
        if application == PRODUCERS and entry.attachments:
            reader.wrong(name, f"attachments of {PRODUCERS}", "MAIL_ATTACHMENT_CONTAINERS, which says it of that queue")
            continue
        try:
            senders = Patterns.of(entry.senders)
            recipients = None if entry.recipients is None else Patterns.of(entry.recipients)
            attachments = BlobRules.of(entry.attachments)
        except ValueError as error:
            reader.wrong(name, f"a pattern that is none, for {application}: {error}", shape)
            continue
        callers[application.lower()] = CallerRule(senders, recipients, entry.rate_per_minute, attachments)
    return MappingProxyType(callers)


def _pools(reader: _Reader) -> Mapping[str, tuple[str, ...]]:
    name = "MAIL_SENDER_POOLS"
    shape = '{"<pool>": ["<mailbox>", "…"]}, a pool of letters, digits and dashes'
    text = reader.text(name)
    if text is None:
        return MappingProxyType({})
    try:
        no_twins(text)
        pools = msgspec.json.decode(text, type=dict[str, list[str]])
    except (ValueError, RecursionError) as error:
        reader.wrong(name, f"JSON of another shape ({error})", shape)
        return MappingProxyType({})
    for pool, members in pools.items():
        # A pool must not be taken for a mailbox, nor a mailbox for a pool.
        if not POOL.fullmatch(pool) or GUID.fullmatch(pool) or not members:
            reader.wrong(name, f"the pool {pool!r}", shape)
            return MappingProxyType({})
    try:
        return MappingProxyType({pool: tuple(map(canonical, members)) for pool, members in pools.items()})
    except ValueError as error:
        reader.wrong(name, f"a mailbox that is no address: {error}", shape)
        return MappingProxyType({})


def _addresses(value: str) -> tuple[str, ...]:
    addresses = tuple(map(checked, value.replace(",", " ").replace(";", " ").split()))
    if not addresses:
        raise ValueError
    return addresses


def _sender(reader: _Reader) -> str | None:
    """The mailbox or the pool, as it is compared. What it may be `_route_senders` says."""
    text = reader.text("MAIL_SENDER")
    try:
        return mailbox_name(text) if text else None
    except ValueError:
        return text


def _route_senders(reader: _Reader, pools: Mapping[str, tuple[str, ...]], sender: str | None) -> Patterns | None:
    """What routes may send as: MAIL_SENDER opens itself, unless MAIL_ALLOWED_SENDERS is set, which then holds."""
    if sender is None:
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


def _extended(reader: _Reader) -> ExtendedProperties:
    name = "MAIL_EXTENDED_PROPERTIES"
    try:
        return ExtendedProperties.parse(reader.text(name) or "")
    except ValueError as error:
        reader.wrong(name, str(error), "tags, 0x0036, and GUIDs of namespaces of your own, separated by spaces")
        return ExtendedProperties()


def _mode(reader: _Reader) -> tuple[Mode, str | None]:
    """What is done with mail, and where it goes to. Whoever sets an address and no mode has forgotten the mode: taken
    for live, mail would reach those whom it was to be kept from.
    """
    expected = ", ".join(get_args(Mode)[:-1]) + f" or {get_args(Mode)[-1]}"
    mode: Mode = reader.parsed("MAIL_MODE", "live", _one_mode, expected)
    address = reader.parsed("MAIL_REDIRECT_TO", None, _one_address, "one mail address")
    if mode == "redirect" and not reader.given("MAIL_REDIRECT_TO"):
        reader.wrong("MAIL_REDIRECT_TO", "nothing", "one mail address, since MAIL_MODE is redirect")
    if address is not None and not reader.given("MAIL_MODE"):
        reader.wrong("MAIL_MODE", "nothing", f"{expected}, since MAIL_REDIRECT_TO is set")
    return mode, address


def _one_mode(value: str) -> Mode:
    if value.lower() not in get_args(Mode):
        raise ValueError
    return cast("Mode", value.lower())


def _one_address(value: str) -> str:
    if "*" in value:  # an address by the letter of RFC 5322; here more likely a pattern
        raise ValueError
    address = checked(value)
    if not address.isascii():  # a MIME mail could not name it
        raise ValueError
    return address


def _vault(value: str) -> str | None:
    parts = urlsplit(value)
    bare = not (parts.query or parts.fragment or parts.username or parts.password or parts.path.strip("/"))
    if parts.scheme != "https" or not parts.hostname or not bare:
        raise ValueError
    return value.rstrip("/")


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
