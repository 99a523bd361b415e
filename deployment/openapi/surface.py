"""The HTTP surface as a table: what each function takes and answers. A test fails when a function is missing here.

document.py makes OpenAPI of the rows, of the types that they name, and of the routes in shared/functions/triggers.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from deployment.openapi.bodies import (
    GraphError,
    Health,
    MailState,
    Page,
    ProblemDetails,
    Readiness,
    ReplayedPage,
    Summary,
    Suppression,
    SuppressionPage,
)
from shared.delivery.row import State
from shared.delivery.search import INTAKES
from shared.functions.access import LONGEST_PAGE
from shared.functions.triggers import HTTP
from shared.mail.limits import LONGEST_THREAD, MAX_KEY
from shared.mail.parse import SendMailBody
from shared.policy.suppression import NewSuppression

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
Access = Literal["open", "token", "key"]
PATHS: Final = {name: route for name, _, route, *_ in HTTP}


@dataclass(frozen=True, slots=True)
class Parameter:
    """schema: JSON Schema of its value."""

    name: str
    place: Literal["path", "query", "header"]
    text: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Body:
    """kinds: the type of each content type's content; None: any."""

    text: str
    kinds: Mapping[str, Any]
    example: Any = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """content: its type; None: no body is promised. headers: by name, what each says."""

    text: str
    content: type | None = None
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of a function."""

    method: str
    function: str
    summary: str
    answers: Mapping[int, Answer]
    access: Access = "open"
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None

    @property
    def path(self) -> str:
        return PATHS[self.function]


def _text(longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}


EXAMPLE: Final = {
    "message": {
        "subject": "Your invoice",
        "body": {"contentType": "html", "content": "<p>It is due in 14 days.</p>"},
        "toRecipients": [{"emailAddress": {"address": "customer@contoso.example"}}],
    },
    "saveToSentItems": True,
}
MADE: Final = {"Location": "the URL of the mail's state, if there is a mail"}
AGAIN: Final = {"Retry-After": "seconds to wait before another try"}
CHALLENGE: Final = {"WWW-Authenticate": "Bearer, as in RFC 6750"}
IDS: Final = {"request-id": "names the request", "client-request-id": "as the caller gave it"}
MAILBOX: Final = Parameter("id", "path", "the mailbox: an address, an object id, or the name of a pool")
MAIL: Final = Parameter("id", "path", "the mail's id, the last part of `Location`")
ENTRY: Final = Parameter("id", "path", "the SHA-256 of the address in lower case, its domain in A-labels")
ROUTE: Final = Parameter("route", "path", "the route's name")
SENDING: Final = (
    Parameter("Idempotency-Key", "header", "names the mail: a repeated key makes no second mail", _text(MAX_KEY)),
    Parameter("client-request-id", "header", "a correlation id, returned; it does not name the mail"),
    Parameter("Prefer", "header", "`respond-async`: into the outbox, without trying now"),
    Parameter(
        "Mailroom-Not-Before", "header", "the mail is not sent before this", {"type": "string", "format": "date-time"}
    ),
    Parameter("Mailroom-Thread", "header", "names the mail's conversation", _text(LONGEST_THREAD)),
)
FORCE: Final = Parameter(
    "force",
    "query",
    "send the mail although it may have been sent and its mailbox cannot be asked; it may then arrive twice",
    {"type": "string", "enum": ["true", "false"]},
)
PAGING: Final = (
    Parameter("top", "query", "entries at most", {"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE}),
    Parameter("after", "query", "what the previous page gave as `next`"),
)
TIME: Final = {"type": "string", "format": "date-time"}
HASH: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
FILTERS: Final = (
    Parameter("state", "query", "only mails in this state", {"type": "string", "enum": list(get_args(State))}),
    Parameter("since", "query", "accepted at this time or later", TIME),
    Parameter("until", "query", "accepted before this time", TIME),
    Parameter("route", "query", "that this route made"),
    Parameter("sender", "query", "from this mailbox"),
    Parameter("caller", "query", "of this application, queue or route"),
    Parameter("code", "query", "with this code; a function key must then come in the header x-functions-key"),
    Parameter("intake", "query", "that came this way", {"type": "string", "enum": list(INTAKES)}),
    Parameter("recipient", "query", "to the address with this SHA-256, as suppressions are named", HASH),
    Parameter("keyHash", "query", "of the key with this SHA-256", HASH),
)
KEY: Final = Parameter("key", "query", "of this key; a caller that is no operator must name it", _text(MAX_KEY))
DRY: Final = Parameter("dryRun", "query", "say what would be done", {"type": "string", "enum": ["true", "false"]})


def _graph(text: str, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(text, GraphError, headers={**IDS, **(headers or {})})


def _problem(text: str, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(text, ProblemDetails, PROBLEM, headers or {})


SENT: Final = {
    202: Answer(
        "Sent, or durable. The body is empty.",
        headers={
            "Location": "the URL of the mail's state",
            "Mailroom-State": f"one of {', '.join(get_args(State))}",
            **IDS,
            "Preference-Applied": "respond-async",
        },
    ),
    400: _graph("Not a mail that Graph takes; the message ends with the JSON path of the fault."),
    401: _graph("The token is missing or does not prove who calls.", CHALLENGE),
    403: _graph("The caller may not send this, or Graph does not allow the mailbox to send it."),
    404: _graph("Graph knows no such mailbox."),
    409: _graph("A mail with this key is being sent at this moment.", AGAIN),
    411: _graph("The request has Transfer-Encoding, and the platform passed on no body."),
    413: _graph("The mail is larger than Graph takes."),
    415: _graph("Another content type, or a compressed body."),
    422: _graph("The key was used for another mail."),
    429: _graph("The caller reached its rate, or the mailbox its daily recipient limit.", AGAIN),
    503: _graph("Nothing was stored and nothing sent, unless the code is UnknownOutcome.", AGAIN),
}
MIME: Final = {"type": "string", "contentEncoding": "base64", "contentMediaType": "message/rfc822"}
MAIL_BODY: Final = Body(
    "As Graph's sendMail takes it: JSON, or a whole MIME mail in base64. Properties that Graph sets itself, such as "
    "hasAttachments, are ignored.",
    {JSON: SendMailBody, "text/plain": MIME},
    EXAMPLE,
)
UNCONFIGURED: Final = _problem("Mailroom has invalid settings, or storage cannot be reached.", AGAIN)
NO_LENGTH: Final = _problem("The request has Transfer-Encoding, and the platform passed on no body.")
PROBE: Final = {
    200: Answer("The route exists, and has probe = true."),
    405: _problem("Events come by POST; the same for every name.", {"Allow": "methods"}),
    503: UNCONFIGURED,
}
EVENT: Final = {
    200: Answer("Done, with the ids of several mails as a JSON list; or a handshake.", headers=MADE),
    202: Answer("Done, with the ids of several mails as a JSON list.", headers=MADE),
    400: _problem("Not what this source sends; or, from Stripe, not signed with the route's secret."),
    401: _problem("Nothing proves where the request comes from."),
    404: _problem("There is no such route."),
    411: NO_LENGTH,
    413: _problem("The body is too large, or has too many events."),
    415: _problem("A content type that the source does not use, or a compressed body."),
    429: _problem("Storage cannot be reached now (CloudEvents).", AGAIN),
    503: _problem("Storage cannot be reached now, or the route cannot be used.", AGAIN),
}
EVENT_BODY: Final = Body(
    "What the route's source sends.",
    {JSON: None, "application/cloudevents+json": None, "application/x-www-form-urlencoded": None},
    required=False,
)
HANDSHAKE: Final = {
    200: Answer(
        "The sender may send, if it has the secret.",
        headers={
            "Allow": "methods",
            "WebHook-Allowed-Origin": "as it was requested",
            "WebHook-Allowed-Rate": "requests a minute, or *",
        },
    ),
    503: UNCONFIGURED,
}
REPLAYED: Final = {
    200: Answer("The mail was found in its mailbox: it is sent, and is not sent again.", MailState),
    202: Answer(
        "The state before. It will be sent again; if it may have been sent, its mailbox is asked first.",
        MailState,
    ),
    400: _problem("force is neither true nor false."),
    404: _problem("No mail has this id, or it is not the caller's."),
    422: _problem("Its message would be refused again, for the reason that the detail names. Nothing was changed."),
    409: _problem(
        "The mail did not end unsent, nothing is kept of it, or it may have been sent and its mailbox cannot be asked: "
        "force=true."
    ),
    411: NO_LENGTH,
}
RETRIED: Final = {
    200: REPLAYED[200],
    202: Answer(
        "Its state. It is tried as soon as its mailbox may send; if it may have been sent, its mailbox was asked, did "
        "not have it, and is asked again when the mail is due.",
        MailState,
    ),
    404: REPLAYED[404],
    409: _problem(
        "The mail has ended or is being sent, it waits for the time that its sender has asked for, or its mailbox gave "
        "no answer. The detail names the time at which it is tried."
    ),
    411: NO_LENGTH,
}
ADDED: Final = {
    200: Answer("The address was on the list already.", Suppression),
    201: Answer("The address is on the list now.", Suppression, headers={"Location": "the entry"}),
    411: NO_LENGTH,
    413: _problem("The body is too large."),
}
NEW: Final = Body("The address, and the reason.", {JSON: NewSuppression}, {"address": "customer@contoso.example"})


def _operators(access: Access, prefix: str) -> tuple[Operation, ...]:
    """The functions on mails and suppressions, for callers with a token and for operators with a function key."""
    if access == "key":
        refused = {
            401: Answer("The function key is missing or wrong."),
            403: _problem("Function keys are switched off (MAIL_OPERATOR_KEYS)."),
        }
    else:
        refused = {
            401: _problem("The token is missing or does not prove who calls.", CHALLENGE),
            403: _problem("The token does not have the app role that this needs."),
        }
    always = {**refused, 503: UNCONFIGURED}
    row = {200: Answer("Its state.", MailState), **always, 404: REPLAYED[404]}
    cancelled = {**row, 409: _problem("It is being sent, may have been sent, or has ended.")}
    page = {200: Answer("A page.", Page), **always, 400: _problem("A wrong parameter; the detail names it.")}
    figures = {**page, 200: Answer("The figures.", Summary)}
    many = {**page, 200: Answer("What was done with each mail of the page.", ReplayedPage), 411: NO_LENGTH}
    wrong = _problem("A wrong parameter, or a body that names no address; the detail says which.")
    entries = {200: Answer("A page.", SuppressionPage), **always, 400: wrong}
    entry = {200: Answer("The entry.", Suppression), **always, 404: _problem("There is no such entry.")}
    removed = {204: Answer("The entry was removed."), **always, 404: entry[404]}
    message, suppression = f"{prefix}message", f"{prefix}suppression"
    return (
        Operation("GET", message, "What became of a mail", row, access, (MAIL,)),
        Operation("DELETE", message, "Cancel a mail that is not sent yet", cancelled, access, (MAIL,)),
        Operation(
            "POST",
            f"{message}_replay",
            "Replay a mail that has ended unsent",
            {**REPLAYED, **always},
            access,
            (MAIL, FORCE),
        ),
        Operation("POST", f"{message}_retry", "Try a waiting mail at once", {**RETRIED, **always}, access, (MAIL,)),
        Operation("GET", f"{message}s", "Search mails", page, access, (KEY, *FILTERS, *PAGING)),
        Operation("GET", f"{prefix}summary", "Figures of mails, queues and mailboxes", figures, access),
        Operation("GET", f"{prefix}attention", "What needs attention, the newest first", page, access, PAGING),
        Operation(
            "POST",
            f"{message}_replays",
            "Replay the mails that a filter finds, page by page",
            many,
            access,
            (DRY, KEY, *FILTERS, *PAGING),
        ),
        Operation("GET", f"{suppression}s", "Addresses that are not mailed", entries, access, PAGING),
        Operation("POST", f"{suppression}s", "Add an address", {**ADDED, **always, 400: wrong}, access, body=NEW),
        Operation("GET", suppression, "One entry", entry, access, (ENTRY,)),
        Operation("DELETE", suppression, "Remove an entry", removed, access, (ENTRY,)),
    )


def _sending(suffix: str, how: str) -> tuple[Operation, ...]:
    """The two functions that send, under one of the action's names."""
    users, own = "Send a mail, as Graph's sendMail", "The same from the user's own mailbox"
    return (
        Operation("POST", f"send_mail{suffix}", users + how, SENT, "token", (MAILBOX, *SENDING), MAIL_BODY),
        Operation("POST", f"send_my_mail{suffix}", own + how, SENT, "token", SENDING, MAIL_BODY),
    )


OPERATIONS: Final = (
    *_sending("", ""),
    *_sending("_qualified", ", by the action's qualified name, as older SDKs call it"),
    Operation(
        "POST",
        "events",
        "A webhook: the source decides what proves it and how it is answered (docs/sources)",
        EVENT,
        parameters=(ROUTE,),
        body=EVENT_BODY,
    ),
    Operation("GET", "events", "A probe; it delivers nothing", PROBE, parameters=(ROUTE,)),
    Operation("HEAD", "events", "A probe; it delivers nothing", PROBE, parameters=(ROUTE,)),
    Operation(
        "OPTIONS",
        "events",
        "The handshake of CloudEvents",
        HANDSHAKE,
        parameters=(ROUTE, Parameter("WebHook-Request-Origin", "header", "the sender")),
    ),
    *_operators("token", ""),
    *_operators("key", "operator_"),
    Operation("GET", "health", "Whether this process is alive", {200: Answer("It is.", Health)}),
    Operation(
        "GET",
        "health_ready",
        "Every setting and dependency",
        {
            200: Answer("All is well; or degraded: everything works, but something was lost.", Readiness),
            401: Answer("The function key is missing or wrong."),
            503: Answer("A setting or dependency fails.", Readiness),
        },
        "key",
    ),
    Operation("GET", "openapi", "This document", {200: Answer("OpenAPI 3.1.")}),
)
