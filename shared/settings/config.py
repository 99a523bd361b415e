"""Reads all settings once from the environment, into one frozen object.

Problems are collected, not raised: after an exception during indexing, Azure finds no functions and answers 404 to
every request. So `read` always returns, and each function checks `Settings.problems` before it acts.
"""

# ruff: noqa: RUF009 - the functions of values.py make dataclass fields

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from shared.mail.addresses import mailbox_name
from shared.mail.limits import MAX_RECIPIENTS
from shared.settings import brand, values
from shared.settings.address_patterns import Patterns
from shared.settings.caller_rules import PRODUCERS, BlobRules, CallerRule, read_callers
from shared.settings.clouds import (
    CLOUDS,
    GRAPH_HOSTS,
    LOOPBACK_HOSTS,
    Cloud,
    GraphEndpoint,
    Registration,
    cloud_of,
    owner,
)
from shared.settings.environ import SECRETS, Problem, Reader
from shared.settings.extended_properties import ExtendedProperties
from shared.settings.storage_connection import STORAGE, Storage, read_storage
from shared.telemetry import LogEvent, emit

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo
OnUnknown = Literal["resend", "review"]
Mode = Literal["live", "redirect", "capture"]  # see policy/pre_send.py

PACKED_ROUTES: Final = brand.APP / "routes"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. The fields named in `problems` have their defaults and must not be used."""

    storage: Storage = Storage()
    identity_client_id: str | None = None
    graph: GraphEndpoint = GraphEndpoint.parse(f"https://{GRAPH_HOSTS[0]}/v1.0")
    authority: str = CLOUDS[0].authority  # where tenants' metadata is
    api: Registration | None = None
    # Application ids, in lower case, with which users may operate.
    operator_apps: frozenset[str] = values.setting(
        "MAIL_OPERATOR_APPS", frozenset(), values.applications, "GUIDs of applications, separated by spaces or commas"
    )
    operator_keys: bool = values.switch("MAIL_OPERATOR_KEYS", default=True)  # a function key opens /api/operator
    callers: Mapping[str, CallerRule] = values.setting(
        "MAIL_CALLERS",
        MappingProxyType({}),
        read_callers,
        f'{{"<application id, or {PRODUCERS}>": {{"senders": ["…"], "recipients": ["…"], "ratePerMinute": 60, '
        '"attachments": ["container/folder"], "results": true}}',
    )
    allowed_senders: Patterns = values.patterns("MAIL_ALLOWED_SENDERS", "")
    sender_pools: Mapping[str, tuple[str, ...]] = values.setting(
        "MAIL_SENDER_POOLS",
        MappingProxyType({}),
        values.pools,
        '{"<pool>": ["<mailbox>", "…"]}, a pool of letters, digits and dashes',
    )
    allowed_recipients: Patterns = values.patterns("MAIL_ALLOWED_RECIPIENTS", "*")
    extended_properties: ExtendedProperties = values.setting(
        "MAIL_EXTENDED_PROPERTIES",
        ExtendedProperties(),
        values.extended,
        "tags, 0x0036, and GUIDs of namespaces of your own, separated by spaces",
    )
    mode: Mode = values.choice("MAIL_MODE", Mode, "live")
    redirect_to: str | None = values.setting(
        "MAIL_REDIRECT_TO", None, values.one_address, "one mail address", shown=False
    )
    on_unknown: OnUnknown = values.choice("MAIL_ON_UNKNOWN", OnUnknown, "resend")
    send_timeout: float = values.number("MAIL_SEND_TIMEOUT", 30.0, 1, 120)
    lease_margin: float = values.number("MAIL_LEASE_MARGIN", 30.0, 1, 300)
    verify_sent: bool = values.switch("MAIL_VERIFY_SENT", default=True)
    verify_delays: tuple[float, ...] = values.setting(
        "MAIL_VERIFY_DELAYS", (15.0, 60.0, 180.0), values.delays, "seconds in rising order: 15 60 180"
    )
    max_attempts: int = values.integer("MAIL_MAX_ATTEMPTS", 20, 1, 1000)
    max_age_hours: float = values.number("MAIL_MAX_AGE_HOURS", 72.0, 1, 720)
    rate_per_minute: int = values.integer("MAIL_RATE_PER_MINUTE", 30, 1, 1_000_000)
    # With less than Graph takes in one mail, some mails could never be sent.
    recipients_per_day: int = values.integer("MAIL_RECIPIENTS_PER_DAY", 10_000, MAX_RECIPIENTS, 10_000_000)
    concurrency: int = values.integer("MAIL_CONCURRENCY", 4, 1, 64)
    # Queued duplicates may arrive for a week; without its row a duplicate would be a new mail.
    retention_days: int = values.integer("MAIL_RETENTION_DAYS", 14, 8, 3650)
    large_attachments: bool = values.switch("MAIL_LARGE_ATTACHMENTS", default=False)
    results: bool = values.switch("MAIL_RESULTS", default=False)  # of every mail, in mail-results
    send_at_once: bool = values.switch("MAIL_SEND_AT_ONCE", default=True)  # before the webhook is answered
    attachment_containers: BlobRules = values.setting(  # for queues
        "MAIL_ATTACHMENT_CONTAINERS",
        BlobRules.of(["mail-attachments"]),
        lambda value: BlobRules.of(value.replace(",", " ").split()),
        "container or container/folder, several separated by spaces; none of Mailroom's or the platform's own",
    )
    bounces: bool = values.switch("MAIL_BOUNCES", default=False)  # read by functions/triggers.py as well
    suppress_bounced: bool = values.switch("MAIL_SUPPRESS_BOUNCED", default=False)
    max_request_mb: int = values.integer("MAIL_MAX_REQUEST_MB", 35, 1, 100)  # Azure itself takes 100 at most
    sender: str | None = field(default=None, repr=False)  # the mailbox, or the pool, of every route that names none
    to: tuple[str, ...] = values.setting(  # and its recipients
        "MAIL_TO", (), values.addresses, "mail addresses, separated by spaces or commas", shown=False
    )
    # A relative path is one within the app: that of `make package ROUTES=…` needs no setting.
    routes_dir: Path | None = values.setting(
        "MAIL_ROUTES_DIR", PACKED_ROUTES if PACKED_ROUTES.is_dir() else None, brand.APP.joinpath, "a folder"
    )
    brand_name: str = values.setting(
        "MAIL_BRAND_NAME", "", brand.brand_name, f"a name of at most {brand.LONGEST_BRAND} characters"
    )
    brand_color: str = values.setting(
        "MAIL_BRAND_COLOR",
        "",
        brand.brand_color,
        f"a colour as #rrggbb, dark enough for white text on it (a contrast of {brand.LEAST_CONTRAST})",
    )
    brand_logo: brand.Logo | None = values.setting(
        "MAIL_BRAND_LOGO",
        None,
        brand.logo,
        f"a PNG, JPEG or GIF file of at most {brand.LARGEST_LOGO:,} bytes in the app's folder",
        shown=False,
    )
    time_zone: "ZoneInfo | None" = values.setting(
        "MAIL_TIME_ZONE", None, brand.time_zone, "the name of a time zone, such as Europe/Berlin"
    )
    vault_url: str | None = values.setting(
        "MAIL_VAULT_URL", None, values.vault, "the vault's URL, https://….vault.azure.net"
    )
    route_senders: Patterns | None = None  # what mails of routes may be sent as; None: the allowed senders
    # Of routes, by the variable's name; several, so that one can be replaced by another.
    secrets: Mapping[str, tuple[str, ...]] = field(default=MappingProxyType({}), repr=False)
    unresolved_secrets: frozenset[str] = frozenset()  # of these variables: references that Azure has not resolved
    unused: tuple[Problem, ...] = ()  # what is set and nothing reads; everything works all the same
    problems: tuple[Problem, ...] = ()

    def tells(self, caller: str) -> bool:
        """Whether results are wanted for the mails of this application (by its id) or queue."""
        rule = self.callers.get(caller.lower())
        return self.results or (rule is not None and rule.results)

    @property
    def max_request(self) -> int:
        """Bytes of a body over HTTP."""
        return self.max_request_mb * 1_000_000


def read(environ: Mapping[str, str]) -> Settings:
    """Read every setting. Never raises; see `Settings.problems`."""
    reader = Reader(environ)
    plain: dict[str, Any] = {}
    for one in fields(Settings):
        if one.metadata:
            name, parse, expected = one.metadata["setting"]
            plain[one.name] = reader.parsed(name, one.default, parse, expected)
    _check_mode(reader, plain["mode"], plain["redirect_to"])
    if plain["suppress_bounced"] and not plain["bounces"]:
        reader.wrong("MAIL_BOUNCES", "not true", "true, since MAIL_SUPPRESS_BOUNCED is true")
    graph = _graph(reader)
    cloud = cloud_of(graph.host)
    authority = reader.url("MAIL_API_AUTHORITY", cloud.authority)
    sender = _sender(reader)
    _check_cloud(reader, cloud)
    return Settings(
        **plain,
        storage=read_storage(reader, cloud),
        identity_client_id=reader.guid("AZURE_CLIENT_ID"),
        graph=graph,
        authority=authority,
        api=_api(reader, authority),
        sender=sender,
        route_senders=_route_senders(reader, plain["sender_pools"], sender),
        secrets=reader.secrets(),
        unresolved_secrets=reader.unresolved_secrets(),
        unused=(*reader.unused, *reader.unknown()),
        problems=tuple(reader.problems),
    )


def report_problems(settings: Settings) -> None:
    """Log which settings cannot be used, and which nothing reads."""
    for problem in settings.problems:
        emit(LogEvent.SETTING_REFUSED, setting=problem.setting, expected=problem.expected)
    for problem in settings.unused:
        emit(LogEvent.SETTING_UNUSED, setting=problem.setting, expected=problem.expected)


def secret_setting(route: str) -> str:
    """The name of the variable with a route's secrets: `uptime-kuma` has MAIL_SECRET_UPTIME_KUMA."""
    return SECRETS + re.sub(r"[^A-Z0-9]", "_", route.upper())


def _check_mode(reader: Reader, mode: Mode, redirect_to: str | None) -> None:
    """MAIL_MODE and MAIL_REDIRECT_TO go together. An address without a mode must not count as live: the mode was
    probably forgotten, and mail would reach those whom it was to be kept from.
    """
    if mode == "redirect" and not reader.given("MAIL_REDIRECT_TO"):
        reader.wrong("MAIL_REDIRECT_TO", "nothing", "one mail address, since MAIL_MODE is redirect")
    if redirect_to is not None and not reader.given("MAIL_MODE"):
        reader.wrong("MAIL_MODE", "nothing", f"one of {', '.join(get_args(Mode))}, since MAIL_REDIRECT_TO is set")


def _graph(reader: Reader) -> GraphEndpoint:
    def parse(value: str) -> GraphEndpoint:
        endpoint = GraphEndpoint.parse(value)
        if reader.in_azure and endpoint.host in LOOPBACK_HOSTS:
            raise ValueError
        return endpoint

    expected = "https:// and one of " + ", ".join(GRAPH_HOSTS) + ", with the version: …/v1.0"
    return reader.parsed("GRAPH_BASE_URL", Settings().graph, parse, expected)


def _check_cloud(reader: Reader, cloud: Cloud) -> None:
    """All hosts must be of Graph's cloud: its identity gets no token for another cloud, nor takes that one's tokens."""
    storage = [f"{STORAGE}__{kind}ServiceUri" for kind in ("blob", "queue", "table")]
    for name in ("MAIL_API_AUTHORITY", "MAIL_VAULT_URL", *storage):
        other = owner(reader.environ.get(name, ""))
        if other and other is not cloud:
            reader.wrong(name, f"a host of {other.name}", f"one of {cloud.name}, where GRAPH_BASE_URL is")


def _api(reader: Reader, authority: str) -> Registration | None:
    tenant, client = reader.guid("MAIL_API_TENANT"), reader.guid("MAIL_API_CLIENT_ID")
    for name, other in (("MAIL_API_TENANT", "MAIL_API_CLIENT_ID"), ("MAIL_API_CLIENT_ID", "MAIL_API_TENANT")):
        if reader.given(other) and not reader.given(name):
            reader.wrong(name, "nothing", f"a GUID, since {other} is set")
    return Registration(tenant, client, authority) if tenant and client else None


def _sender(reader: Reader) -> str | None:
    """The mailbox or the pool, as it is compared. `_route_senders` checks it."""
    text = reader.text("MAIL_SENDER")
    try:
        return mailbox_name(text) if text else None
    except ValueError:
        return text


def _route_senders(reader: Reader, pools: Mapping[str, tuple[str, ...]], sender: str | None) -> Patterns | None:
    """What routes may send as: MAIL_SENDER allows itself, unless MAIL_ALLOWED_SENDERS is set, which then decides."""
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
