"""A source is one kind of sender, such as GitHub; it turns the sender's requests into events.

routing/intake.py calls these methods of a request's source, in this order:

    preflight     OPTIONS: answers a handshake that precedes any secret
    authenticate  checks the raw bytes before anything parses them; raises Unverified
    handshake     answers a request that is no event, such as the validation of a subscription
    events        returns what has happened, in the terms of CloudEvents; raises Malformed
    for_mail      returns the same event, reduced to what a mail can show
    reply         returns the answer, with the status that makes this sender retry or not

Sources are pure: they do no I/O and do not use Azure. Their fields are the options of a route, its table `[options]`. A
new sender is a subclass of Source in a module of its own, a line in SOURCES, a folder in ../routes, a page in
docs/sources, a signer in the tests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from importlib import import_module
from typing import Any, ClassVar, Final

import msgspec

from shared.mail.outgoing import KnownBy
from shared.parsing.charsets import charset_of
from shared.webhooks.sources.json_values import same_bytes, unique_key

MEGABYTE: Final = 1024 * 1024
QUOTED: Final = ('""', "''", "``", "\u201c\u201d", "\u2018\u2019")  # how a quoted text begins and ends
SCHEMES: Final = ("bearer", "basic")  # of the header Authorization

# By the name that route.toml gives them: module and class. A module is loaded when a route needs it.
SOURCES: Final = {
    "alertmanager": "alertmanager:Alertmanager",
    "azure-devops": "azure_devops:AzureDevOps",
    "azure-monitor": "azure_monitor:AzureMonitor",
    "cloudevents": "cloudevents:CloudEvents",
    "eventgrid": "eventgrid:EventGrid",
    "github": "github:GitHub",
    "gitlab": "gitlab:GitLab",
    "grafana": "grafana:Grafana",
    "hmac": "hmac_signed:Hmac",
    "jira": "jira:Jira",
    "key": "key:Key",
    "pagerduty": "pagerduty:PagerDuty",
    "sentry": "sentry:Sentry",
    "slack": "slack:Slack",
    "standard-webhooks": "standard_webhooks:StandardWebhooks",
    "stripe": "stripe:Stripe",
    "teams": "teams:Teams",
}


class Unverified(Exception):  # noqa: N818 - the verdict, not a fault of ours
    """The request does not prove that it comes from the sender, for whatever reason."""


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it was received. headers: by lower-case name; repeated ones are joined by a comma."""

    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"

    @property
    def media_type(self) -> str:
        """In lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """As the Content-Type declares it, in lower case; "" without."""
        return charset_of(self.headers.get("content-type", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEvent:
    """Something that has happened, with the attributes of CloudEvents 1.0.

    key: identifies the event within its route; a second event with the same key is a copy and gives no mail. known_by:
    what the key is made of. window: seconds for which the key counts, where the request or its sender's documentation
    says so; None: the route decides. thread: the incident, within the route, whose mails form one conversation.
    data: a JSON value, as the sender wrote it. signed: a digest of the signed bytes, where these do not include the
    key: whoever has seen the request can send it again with another key, and the operator is told.
    """

    id: str
    source: str
    type: str
    key: str
    data: Any
    subject: str | None = None
    time: datetime | None = None
    thread: str | None = None
    window: float | None = None
    known_by: KnownBy = "sender-id"
    signed: str | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)

    def as_object(self) -> dict[str, Any]:
        """The event as the JMESPath expressions of a route see it."""
        return {
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.time.isoformat().replace("+00:00", "Z") if self.time else None,
            "thread": self.thread,
            "data": self.data,
            "extensions": dict(self.extensions),
        }


class Result(Enum):
    """What became of a request."""

    DONE = auto()  # every event is durable, filtered out or known already
    OVERLOADED = auto()  # the outbox cannot be written now; the sender has to retry
    UNAVAILABLE = auto()  # the route cannot be used: a setting, its secret or its folder is missing or wrong
    UNVERIFIED = auto()
    MALFORMED = auto()  # not what this source sends
    TOO_LARGE = auto()
    UNSUPPORTED = auto()  # a content type that this source does not read


@dataclass(frozen=True, slots=True)
class WebhookReply:
    """An answer over HTTP. detail: for a person; the HTTP trigger puts it into a problem document (RFC 9457)."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TokenRule:
    """Which Entra tokens prove a request, instead of a secret.

    audience: the registration's client id, or `api://…`. allowed_apps: application ids of the callers. app_role: one
    that the token must have; None: none. tenant: None means that of MAIL_API_TENANT.
    """

    audience: str
    allowed_apps: frozenset[str]
    app_role: str | None = None
    tenant: str | None = None


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of sender, with the behaviour of most senders as the default."""

    name: ClassVar[str]
    largest: ClassVar[int] = 2 * MEGABYTE  # bytes of a body
    # Seconds for which a key that the source derives from the content counts; None: for ever.
    repeat_window: ClassVar[float | None] = None
    # Seconds from the first to the last try, by the sender's documentation; None: it does not retry, or says no time.
    # docs/decisions/0013-copies.md has the references.
    retries_for: ClassVar[float | None] = None
    done: ClassVar[int] = 202
    body_allowed: ClassVar[bool] = True  # the answer to a finished request may have a body
    overloaded: ClassVar[int] = 503
    unverified: ClassVar[int] = 401
    retry_after: ClassVar[int] = 30  # seconds

    @property
    def token_rule(self) -> TokenRule | None:
        """Set where Entra tokens replace secrets; `authenticate` is not called then."""
        return None

    def given(self, *names: str) -> list[str]:
        """Those of these options that the route sets to something other than their default."""
        fields, defaults = self.__struct_fields__, self.__struct_defaults__
        plain = dict(zip(fields[len(fields) - len(defaults) :], defaults, strict=True))
        return [name for name in names if getattr(self, name) != plain.get(name)]

    def preflight(self, request: RawRequest) -> WebhookReply | None:  # noqa: ARG002
        """Answer OPTIONS. None: this sender has no handshake."""
        return None

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:
        """Return if one of the secrets proves the request; raise Unverified, and nothing else, otherwise."""
        raise NotImplementedError

    def unusable(self, secret: str) -> str | None:
        """Why no request can be proved with this secret, without quoting it; None if one can.

        What was copied along with a secret counts as a part of it, and every request would be turned away.
        """
        if not secret:
            return "it is blank; expected the secret alone"
        if not secret.isprintable():
            return "it contains an invisible character, such as a byte order mark; expected the secret alone"
        if len(secret) > 1 and secret[0] + secret[-1] in QUOTED:
            return "it is in quotes; expected the secret alone"
        if secret.lower() in SCHEMES:
            return "it is the scheme that precedes a secret in a header; expected the secret alone"
        return self.fault_of(secret)

    def fault_of(self, secret: str) -> str | None:  # noqa: ARG002
        """The same, for the form of secret that this source expects."""
        return None

    def handshake(self, request: RawRequest) -> WebhookReply | None:  # noqa: ARG002
        """Answer a verified request that is no event; None: it has events. Raises Malformed."""
        return None

    def events(self, request: RawRequest) -> list[SourceEvent]:
        """The events of a verified request; an empty list asks for no mail. Raises Malformed."""
        return [self.event(request)]

    def event(self, request: RawRequest) -> SourceEvent:
        """The event of a verified request, for senders of which each request tells one. Raises Malformed."""
        raise NotImplementedError

    def known(self, key: str | None, request: RawRequest, by: KnownBy = "sender-id") -> dict[str, Any]:
        """What identifies an event, in the terms of SourceEvent; key: None where the request does not name it.

        Then its bytes do, for as long as the sender tries again, or nothing does: equal bytes are two events.
        """
        if key:
            return {"id": key, "key": key, "known_by": by}
        if self.retries_for is None:
            key = unique_key()
            return {"id": key, "key": key, "known_by": "nothing"}
        key = same_bytes(request.body)
        return {"id": key, "key": key, "known_by": "same-bytes", "window": self.retries_for}

    def for_mail(self, event: SourceEvent) -> SourceEvent:
        """The event as the templates of its mail see it: of long lists only what is shown, with what was counted."""
        return event

    def reply(self, result: Result, detail: str = "") -> WebhookReply:
        """The answer in the sender's own terms."""
        if result is Result.DONE:
            return WebhookReply(self.done)
        status = {
            Result.OVERLOADED: self.overloaded,
            Result.UNAVAILABLE: 503,
            Result.UNVERIFIED: self.unverified,
            Result.MALFORMED: 400,
            Result.TOO_LARGE: 413,
            Result.UNSUPPORTED: 415,
        }[result]
        retried = result in (Result.OVERLOADED, Result.UNAVAILABLE)
        return WebhookReply(status, {"Retry-After": str(self.retry_after)} if retried else {}, detail=detail)


def source_named(name: str) -> type[Source]:
    """The class of a source; its fields are the table `[options]`. Raises KeyError."""
    module, _, kind = SOURCES[name].partition(":")
    found: type[Source] = getattr(import_module(f"shared.webhooks.sources.{module}"), kind)
    return found
