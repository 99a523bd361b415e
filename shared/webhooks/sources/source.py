"""What a source is: one kind of sender, such as GitHub, and how its requests become events.

A request goes through a source in this order; the trigger does the rest.

    preflight     OPTIONS: the answer to a handshake that comes before any secret
    authenticate  the raw bytes, before anything reads them; raises Unverified
    handshake     the answer to a question that is no event, such as a subscription's validation
    events        what has happened, in the terms of CloudEvents; raises Malformed
    reply         the answer in the sender's own terms: what makes it try again, and what must not

Sources are pure: no I/O, no Azure. Their fields are the table `[options]` of a route.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any, ClassVar, Final

import msgspec

from shared.mail.outgoing import KnownBy
from shared.parsing.charsets import charset_of

__all__ = ["MEGABYTE", "Event", "RawRequest", "Reply", "Result", "Source", "TokenRule", "Unverified"]

MEGABYTE: Final = 1024 * 1024
QUOTED: Final = ('""', "''", "``", "\u201c\u201d", "\u2018\u2019")  # how a text in quotes begins and ends
SCHEMES: Final = ("bearer", "basic")  # of the header Authorization


class Unverified(Exception):  # noqa: N818 - the verdict, not a fault of ours
    """The request does not prove that it comes from the sender. One error for everything that can be wrong with it."""


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it came. headers: by name in lower case; those that came twice are joined by a comma."""

    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"

    @property
    def media_type(self) -> str:
        """Of the content, in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """As the Content-Type declares it, in lower case; "" without."""
        return charset_of(self.headers.get("content-type", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that has happened, with the attributes of CloudEvents 1.0.

    key: names the event within its route; the same again is no second mail. known_by: what the key is made of.
    window: seconds in which the same key is no second mail, where the request or its sender's documentation says; None:
    as the route has it. thread: names the incident that mails of one conversation belong to, within the route. data: a
    JSON value, as the sender wrote it. signed: a digest of what the sender has signed, where that does not hold the
    key: whoever has seen the request can send it again under another one, and the operator is told.
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


class Result(Enum):
    """What became of a request."""

    DONE = auto()  # every event is durable, filtered out or known already
    OVERLOADED = auto()  # the outbox cannot be written now: nothing is lost if it comes again
    UNAVAILABLE = auto()  # the route cannot be used: a setting, its secret or its folder is missing or wrong
    UNVERIFIED = auto()  # see Unverified
    MALFORMED = auto()  # not what this source sends
    TOO_LARGE = auto()
    UNSUPPORTED = auto()  # a content type that this source does not have


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer over HTTP. detail: for a person; the trigger makes a problem of it (RFC 9457) where it is given."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TokenRule:
    """Which Entra tokens prove a request, instead of a secret.

    audience: the registration's client id, or `api://…`. allowed_apps: application ids that may call. app_role: one
    that the token must have, None: none. tenant: None is the one of MAIL_API_TENANT.
    """

    audience: str
    allowed_apps: frozenset[str]
    app_role: str | None = None
    tenant: str | None = None


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of sender. What a subclass does not say is what most senders do."""

    name: ClassVar[str]
    largest: ClassVar[int] = 2 * MEGABYTE  # bytes of a body
    repeat_window: ClassVar[float | None] = None  # seconds; None: the same key is the same mail for ever
    done: ClassVar[int] = 202
    body_allowed: ClassVar[bool] = True  # its terms allow a body in the answer that all is done
    overloaded: ClassVar[int] = 503
    unverified: ClassVar[int] = 401
    retry_after: ClassVar[int] = 30  # seconds

    @property
    def token_rule(self) -> TokenRule | None:
        """Given where Entra tokens take the place of secrets; `authenticate` is not called then."""
        return None

    def given(self, *names: str) -> list[str]:
        """Those of these options that the route sets to something else than their default."""
        fields, defaults = self.__struct_fields__, self.__struct_defaults__
        plain = dict(zip(fields[len(fields) - len(defaults) :], defaults, strict=True))
        return [name for name in names if getattr(self, name) != plain.get(name)]

    def preflight(self, request: RawRequest) -> Reply | None:  # noqa: ARG002 - most have none
        """Answer OPTIONS. None: nothing is expected."""
        return None

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:
        """Return if one of the secrets proves the request; raise Unverified for everything else, nothing else."""
        raise NotImplementedError

    def unusable(self, secret: str) -> str | None:
        """Why no request can prove itself by this secret, without a part of it; None: one can.

        What was copied along with a secret is taken for a part of it, and then no request of its sender is right.
        """
        if not secret:
            return "it is blank; expected the secret alone"
        if not secret.isprintable():
            return "it has an invisible character in it, such as a byte order mark; expected the secret alone"
        if len(secret) > 1 and secret[0] + secret[-1] in QUOTED:
            return "it stands in quotes; expected the secret alone"
        if secret.lower() in SCHEMES:
            return "it is the scheme that stands before a secret in a header; expected the secret alone"
        return self.fault_of(secret)

    def fault_of(self, secret: str) -> str | None:  # noqa: ARG002 - most take any
        """The same, for what a source has to say of it."""
        return None

    def handshake(self, request: RawRequest) -> Reply | None:  # noqa: ARG002 - most have none
        """Answer a verified request that is no event; None: it has events. Raises Malformed."""
        return None

    def events(self, request: RawRequest, now: datetime) -> list[Event]:
        """What a verified request tells. An empty list is a request that wants no mail. Raises Malformed."""
        raise NotImplementedError

    def reply(self, result: Result, detail: str = "") -> Reply:
        """The answer in the sender's own terms."""
        again = {"Retry-After": str(self.retry_after)}
        match result:
            case Result.DONE:
                return Reply(self.done)
            case Result.OVERLOADED:
                return Reply(self.overloaded, again, detail=detail)
            case Result.UNAVAILABLE:
                return Reply(503, again, detail=detail)
            case Result.UNVERIFIED:
                return Reply(self.unverified, detail=detail)
            case Result.MALFORMED:
                return Reply(400, detail=detail)
            case Result.TOO_LARGE:
                return Reply(413, detail=detail)
            case Result.UNSUPPORTED:
                return Reply(415, detail=detail)
