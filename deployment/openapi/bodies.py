"""The bodies of answers, as types for the OpenAPI document. A test compares real answers with them."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from shared.delivery.row import State


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


class Bounced(msgspec.Struct, rename={"kind": "class"}, forbid_unknown_fields=True):
    """A non-delivery report. recipient: the SHA-256 of the address. code, class: as RFC 3463 has it."""

    recipient: str
    code: str
    kind: str
    at: datetime


class MailState(msgspec.Struct, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """What became of a mail: no content, and no address but the sending mailbox's. Unknown properties are absent.

    caller: the application id, or the name of the queue or route. keyHash: the SHA-256 of the key. nextStep: what is
    done next, at dueAt if that is there: send it, verify in its mailbox whether it was sent, record what an attempt
    that runs is answered; or nothing, unless an operator replays it. reason: why it has ended so, or waits.
    attentionSince: its place in the list of what needs attention. keysMayBeForgotten: the ledger was deleted before; a
    mail with the same key may have been sent then.
    """

    id: str
    state: State
    intake: Literal["http", "queue", "route"]
    caller: str
    accepted_at: datetime
    attempts: int
    may_have_gone: bool
    may_have_gone_twice: bool
    replays: int
    sender: str | None = None
    route: str | None = None
    key_hash: str | None = None
    not_before: datetime | None = None
    last_attempt_at: datetime | None = None
    next_step: Literal["send", "verify", "record", "operator"] | None = None
    due_at: datetime | None = None
    settled_at: datetime | None = None
    attention_since: datetime | None = None
    status: int | None = None
    code: str | None = None
    reason: str | None = None
    bounces: list[Bounced] | None = None
    request_id: str | None = None
    client_request_id: str | None = None
    suppressed_recipients: int | None = None
    results_told: bool | None = None
    keys_may_be_forgotten: bool | None = None


class Searched(msgspec.Struct, forbid_unknown_fields=True):
    """How far a search got: partitions of 256 that are gone through; rows that were read, in so many requests."""

    partitions: int
    rows: int
    requests: int


class Page(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A page of mails; it may be empty although there is a `next`, the value of `after` for the next page."""

    messages: list[MailState]
    searched: Searched | None = None
    next: str | None = None


class Replayed(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What was done with one mail. found: it was in its mailbox, and is sent. reason: why it is not replayed."""

    id: str
    result: Literal["replayed", "found", "not-replayed"]
    reason: str | None = None


class ReplayedPage(msgspec.Struct, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """What was done with the mails of a page. dryRun: nothing was; this is what would be."""

    dry_run: bool
    messages: list[Replayed]
    searched: Searched
    next: str | None = None


class Count(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Mails in a state, of a route or of none, that were accepted within the last hour, day and week."""

    state: State
    route: str | None = None
    hour: int = 0
    day: int = 0
    week: int = 0


class WaitingMail(msgspec.Struct, forbid_unknown_fields=True):
    """since: when it was accepted, or the later time that its sender asked for."""

    id: str
    state: State
    since: datetime


class QueueFigures(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """oldest: when the first message was put that could be taken."""

    queue: str
    messages: int
    oldest: datetime | None = None


class BlockedMailbox(msgspec.Struct, forbid_unknown_fields=True):
    """A mailbox that Graph takes nothing from until then. code: of its last answer. hash: names its row."""

    hash: str
    until: datetime
    code: str
    mailbox: str | None = None


class MailboxFigures(msgspec.Struct, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """A mailbox that mails were sent from, or wait for."""

    mailbox: str
    last_success: datetime | None = None


class BounceFigures(msgspec.Struct, forbid_unknown_fields=True):
    """Recipients that non-delivery reports have named."""

    day: int
    week: int


class LeftOut(msgspec.Struct, forbid_unknown_fields=True):
    """How many routes and mailboxes are not in the figures; one that several parts left out counts several times."""

    routes: int
    mailboxes: int


class Summary(msgspec.Struct, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """Figures of maintenance: parts of twelve, each of another part of the mails and made anew each hour.

    measuredAt: when queues and blocks were read, every five minutes.
    """

    parts: int
    counts: list[Count]
    waiting: int
    bounces: BounceFigures
    queues: list[QueueFigures]
    blocked: list[BlockedMailbox]
    mailboxes: list[MailboxFigures]
    left_out: LeftOut
    oldest_part: datetime | None = None
    newest_part: datetime | None = None
    oldest_waiting: WaitingMail | None = None
    measured_at: datetime | None = None


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
