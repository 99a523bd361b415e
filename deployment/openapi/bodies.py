"""The bodies of answers, as types for the OpenAPI document. A test compares real answers with them."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from shared.delivery.ledger import State


class InnerError(msgspec.Struct, rename="kebab", omit_defaults=True):
    """The names of the request in the logs."""

    date: str | None = None
    request_id: str | None = None
    client_request_id: str | None = None


class ErrorDetails(msgspec.Struct, rename="camel", omit_defaults=True):
    """code: one of Graph's. message: for a person; it ends with the JSON path of the fault, if any."""

    code: str
    message: str
    inner_error: InnerError | None = None


class GraphError(msgspec.Struct):
    """Graph's error JSON, https://learn.microsoft.com/graph/errors. Graph's own refusals come as Graph wrote them."""

    error: ErrorDetails


class ProblemDetails(msgspec.Struct):
    """RFC 9457. detail: for a person."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str


class MailState(msgspec.Struct, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """What became of a mail, without addresses. Unknown properties are absent.

    keysMayBeForgotten: the ledger was deleted before; a mail with the same key may have been sent then.
    """

    id: str
    state: State
    accepted_at: datetime
    attempts: int
    may_have_gone: bool
    may_have_gone_twice: bool
    replays: int
    route: str | None = None
    not_before: datetime | None = None
    due_at: datetime | None = None
    settled_at: datetime | None = None
    status: int | None = None
    code: str | None = None
    request_id: str | None = None
    client_request_id: str | None = None
    suppressed_recipients: int | None = None
    keys_may_be_forgotten: bool | None = None


class Page(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A page of mails; it may be empty although there is a `next`, the value of `after` for the next page."""

    messages: list[MailState]
    next: str | None = None


class Suppression(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """An address that is not mailed. id: the SHA-256 of it in lower case, its domain in A-labels.

    addedBy: an application id, or `key`.
    """

    id: str
    address: str
    reason: str
    added_by: str
    added_at: datetime


class SuppressionPage(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A page of the list; `next` is the value of `after` for the next page."""

    suppressions: list[Suppression]
    next: str | None = None


class Health(msgspec.Struct, forbid_unknown_fields=True):
    """Liveness."""

    status: Literal["pass"]


class Readiness(msgspec.Struct, forbid_unknown_fields=True):
    """Every setting and dependency, each with its status and what is wrong.

    degraded: everything works, but something was lost before that needs an operator.
    """

    status: Literal["pass", "degraded", "fail"]
    checks: dict[str, dict[str, Any]]
