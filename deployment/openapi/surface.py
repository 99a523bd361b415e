"""The HTTP surface as a table: what each function takes and answers. A test fails when a function is missing here.

A row's path is the function's route; document.py makes OpenAPI of the rows, and of the types that they name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from deployment.openapi.answers import (
    GraphError,
    Health,
    MailState,
    Page,
    ProblemDetails,
    Readiness,
    Suppression,
    SuppressionPage,
)
from shared.delivery.record import State
from shared.mail.parse import MAX_KEY, SendMailBody
from shared.mail.threading import LONGEST_THREAD
from shared.policy.suppression import NewSuppression

__all__ = ["JSON", "OPERATIONS", "Answer", "Body", "Operation", "Parameter"]

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
Access = Literal["open", "token", "key"]


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
    """content: its type; None: no body that is promised. headers: by name, what each says."""

    text: str
    content: type | None = None
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    function: str
    method: str
    path: str
    summary: str
    answers: Mapping[int, Answer]
    access: Access = "open"
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None


EXAMPLE: Final = {
    "message": {
        "subject": "Your invoice",
        "body": {"contentType": "html", "content": "<p>It is due in 14 days.</p>"},
        "toRecipients": [{"emailAddress": {"address": "customer@contoso.example"}}],
    },
    "saveToSentItems": True,
}
MADE: Final = {"Location": "where to ask what becomes of the mail, where there is one"}
AGAIN: Final = {"Retry-After": "seconds after which it may be tried again"}
CHALLENGE: Final = {"WWW-Authenticate": "Bearer, as RFC 6750 has it"}
MAILBOX: Final = Parameter("id", "path", "the mailbox: an address, an object id, or the name of a pool")
MAIL: Final = Parameter("id", "path", "the mail's id, the last part of `Location`")
ROUTE: Final = Parameter("route", "path", "the route's name")
KEY: Final = {"type": "string", "minLength": 1, "maxLength": MAX_KEY}
SENDING: Final = (
    Parameter("Idempotency-Key", "header", "names the mail: the same key again is no second mail", KEY),
    Parameter("client-request-id", "header", "a correlation id, given back; it names no mail"),
    Parameter("Prefer", "header", "`respond-async`: into the outbox without trying now"),
    Parameter(
        "Mailroom-Not-Before", "header", "a time before which it is not sent", {"type": "string", "format": "date-time"}
    ),
    Parameter(
        "Mailroom-Thread",
        "header",
        "names the conversation that the mail belongs to",
        {"type": "string", "minLength": 1, "maxLength": LONGEST_THREAD},
    ),
)
ENTRY: Final = Parameter("id", "path", "the SHA-256 of the address in lower case, its domain in A-labels")
FORCE: Final = Parameter(
    "force",
    "query",
    "send it although it may have gone and its mailbox cannot be asked; it may then arrive twice",
    {"type": "string", "enum": ["true", "false"]},
)
PAGING: Final = (
    Parameter("top", "query", "how many at most", {"type": "integer", "minimum": 1, "maximum": 1000}),
    Parameter("after", "query", "what the page before gave as `next`"),
)
LISTING: Final = (
    Parameter("state", "query", "mails in this state only", {"type": "string", "enum": list(get_args(State))}),
    *PAGING,
)


def _graph(text: str, **headers: str) -> Answer:
    ids = {"request-id": "names the request", "client-request-id": "as the caller gave it"}
    return Answer(text, GraphError, headers={**ids, **{name.replace("_", "-"): said for name, said in headers.items()}})


def _problem(text: str, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(text, ProblemDetails, PROBLEM, headers or {})


SENT: Final = {
    202: Answer(
        "Sent, or durable. The body is empty.",
        headers={
            "Location": "where to ask what becomes of it",
            "Mailroom-State": f"one of {', '.join(get_args(State))}",
            "request-id": "names the request",
            "client-request-id": "as the caller gave it",
            "Preference-Applied": "respond-async",
        },
    ),
    400: _graph("Not a mail that Graph takes; the message ends with the JSON path of the fault."),
    401: _graph("No token, or none that proves who calls.", WWW_Authenticate=CHALLENGE["WWW-Authenticate"]),
    403: _graph("The caller may not send this, or Graph does not let the mailbox send it."),
    404: _graph("Graph knows no such mailbox."),
    409: _graph("A mail with this key is being sent at this moment.", Retry_After=AGAIN["Retry-After"]),
    411: _graph("It came with Transfer-Encoding, and the platform has handed on no body."),
    413: _graph("More than Graph takes."),
    415: _graph("Another content type, or a packed body."),
    422: _graph("The key was used for another mail."),
    429: _graph(
        "The caller is over its own rate, or the mailbox has mailed all its recipients of the day.",
        Retry_After=AGAIN["Retry-After"],
    ),
    503: _graph(
        "Nothing was stored and nothing sent, unless the code is UnknownOutcome.", Retry_After=AGAIN["Retry-After"]
    ),
}
MIME: Final = {"type": "string", "contentEncoding": "base64", "contentMediaType": "message/rfc822"}
MAIL_BODY: Final = Body(
    "As Graph's sendMail takes it: JSON, or a whole MIME mail in base64. Properties that Graph fills in itself, such "
    "as hasAttachments, are ignored.",
    {JSON: SendMailBody, "text/plain": MIME},
    EXAMPLE,
)
UNCONFIGURED: Final = _problem("Mailroom is not configured, or storage cannot be reached.", AGAIN)
NO_LENGTH: Final = _problem("It came with Transfer-Encoding, and the platform has handed on no body.")
PROBE: Final = {
    200: Answer("The route is there, and has probe = true."),
    405: _problem("Events come by POST; the same for every name.", {"Allow": "methods"}),
    503: UNCONFIGURED,
}
EVENT_BODY: Final = Body(
    "What the route's source sends.",
    {JSON: None, "application/cloudevents+json": None, "application/x-www-form-urlencoded": None},
    required=False,
)


def _sending(suffix: str, action: str, how: str) -> tuple[Operation, ...]:
    """The two functions that send, under one of the action's names."""
    all_, own = "Send a mail, as Graph's sendMail", "The same from the user's own mailbox"
    users = (MAILBOX, *SENDING)
    return (
        Operation(
            f"send_mail{suffix}", "POST", f"v1.0/users/{{id}}/{action}", all_ + how, SENT, "token", users, MAIL_BODY
        ),
        Operation(f"send_my_mail{suffix}", "POST", f"v1.0/me/{action}", own + how, SENT, "token", SENDING, MAIL_BODY),
    )


def _messages(access: Access, prefix: str, function: str) -> tuple[Operation, ...]:
    """The same four functions for those who bring a token, and for an operator with a function key."""
    none = _problem("No mail of this id is known, or it is not the caller's.")
    refused = _refused(access)
    path = f"{prefix}messages"
    row = {200: Answer("Its state.", MailState), **refused, 404: none, 503: UNCONFIGURED}
    return (
        Operation(f"{function}message", "GET", f"{path}/{{id}}", "What became of a mail", row, access, (MAIL,)),
        Operation(
            f"{function}message",
            "DELETE",
            f"{path}/{{id}}",
            "Cancel a mail that is not sent yet",
            {**row, 409: _problem("It is being sent, may have gone, or has ended.")},
            access,
            (MAIL,),
        ),
        Operation(
            f"{function}message_replay",
            "POST",
            f"{path}/{{id}}/replay",
            "Put a mail back that has ended unsent",
            {
                200: Answer("It was found in its mailbox: it is sent, and is not sent again.", MailState),
                202: Answer(
                    "Its state before. It is on its way again; if it may have gone, it is looked for first.", MailState
                ),
                **refused,
                400: _problem("force is neither true nor false."),
                404: none,
                409: _problem(
                    "It has not ended unsent, nothing is kept of it, or it may have gone and its mailbox cannot be "
                    "asked: force=true."
                ),
                411: NO_LENGTH,
                503: UNCONFIGURED,
            },
            access,
            (MAIL, FORCE),
        ),
        Operation(
            f"{function}message_retry",
            "POST",
            f"{path}/{{id}}/retry",
            "Try a mail at once that waits for its next attempt",
            {
                200: Answer("It was found in its mailbox: it is sent, and is not sent again.", MailState),
                202: Answer(
                    "Its state. It is tried as soon as its mailbox may send; one that may have gone was looked for, "
                    "not found, and is looked for again when it is due.",
                    MailState,
                ),
                **refused,
                404: none,
                409: _problem(
                    "It has ended or is being sent, it waits for the time that its sender has asked for, or its "
                    "mailbox gave no answer. The detail names the time at which it is tried."
                ),
                411: NO_LENGTH,
                503: UNCONFIGURED,
            },
            access,
            (MAIL,),
        ),
        Operation(
            f"{function}messages",
            "GET",
            path,
            "List mails, by state",
            {
                200: Answer("A page.", Page),
                **refused,
                400: _problem("A parameter that is none; the detail names it."),
                503: UNCONFIGURED,
            },
            access,
            LISTING,
        ),
    )


def _suppressions(access: Access, prefix: str, function: str) -> tuple[Operation, ...]:
    """The same two functions for those who bring a token, and for an operator with a function key."""
    refused = _refused(access)
    path = f"{prefix}suppressions"
    one = {**refused, 404: _problem("There is no such entry."), 503: UNCONFIGURED}
    wrong = _problem("A parameter that is none, or a body that names no address; the detail says which.")
    entry, entries = f"{function}suppression", f"{function}suppressions"
    return (
        Operation(
            entries,
            "GET",
            path,
            "Addresses that are not mailed",
            {200: Answer("A page.", SuppressionPage), **refused, 400: wrong, 503: UNCONFIGURED},
            access,
            PAGING,
        ),
        Operation(
            entries,
            "POST",
            path,
            "Mail an address no more",
            {
                200: Answer("It was there already.", Suppression),
                201: Answer("It is there now.", Suppression, headers={"Location": "the entry"}),
                **refused,
                400: wrong,
                411: NO_LENGTH,
                413: _problem("The body is too large."),
                503: UNCONFIGURED,
            },
            access,
            body=Body("The address, and why.", {JSON: NewSuppression}, {"address": "customer@contoso.example"}),
        ),
        Operation(
            entry,
            "GET",
            f"{path}/{{id}}",
            "One entry",
            {200: Answer("It is there.", Suppression), **one},
            access,
            (ENTRY,),
        ),
        Operation(
            entry, "DELETE", f"{path}/{{id}}", "Mail it again", {204: Answer("It is gone."), **one}, access, (ENTRY,)
        ),
    )


def _refused(access: Access) -> dict[int, Answer]:
    if access == "key":
        return {
            401: Answer("No function key, or a wrong one."),
            403: _problem("Function keys are switched off (MAIL_OPERATOR_KEYS)."),
        }
    return {
        401: _problem("No token, or none that proves who calls.", CHALLENGE),
        403: _problem("The token has not the app role that this takes."),
    }


OPERATIONS: Final = (
    *_sending("", "sendMail", ""),
    *_sending("_qualified", "microsoft.graph.sendMail", ", by the action's qualified name, as older SDKs call it"),
    Operation(
        "events",
        "POST",
        "events/{route}",
        "A webhook: what proves it, and what it is answered, is the source's (docs/sources)",
        {
            200: Answer("Done, with the ids of several mails as a JSON list; or a handshake.", headers=MADE),
            202: Answer("Done, with the ids of several mails as a JSON list.", headers=MADE),
            400: _problem("Not what this source sends; or, from Stripe, not signed with the route's secret."),
            401: _problem("Nothing proves where it comes from."),
            404: _problem("There is no such route."),
            411: NO_LENGTH,
            413: _problem("The body is too large, or has too many events."),
            415: _problem("A content type that the source does not have, or a packed body."),
            429: _problem("Storage cannot be reached now (CloudEvents).", AGAIN),
            503: _problem("Storage cannot be reached now, or the route cannot be used.", AGAIN),
        },
        parameters=(ROUTE,),
        body=EVENT_BODY,
    ),
    Operation("events", "GET", "events/{route}", "A probe; it delivers nothing", PROBE, parameters=(ROUTE,)),
    Operation("events", "HEAD", "events/{route}", "A probe; it delivers nothing", PROBE, parameters=(ROUTE,)),
    Operation(
        "events",
        "OPTIONS",
        "events/{route}",
        "The handshake of CloudEvents",
        {
            200: Answer(
                "It may send, if it has the secret.",
                headers={
                    "Allow": "methods",
                    "WebHook-Allowed-Origin": "as it was asked",
                    "WebHook-Allowed-Rate": "requests a minute, or *",
                },
            ),
            503: UNCONFIGURED,
        },
        parameters=(ROUTE, Parameter("WebHook-Request-Origin", "header", "who asks")),
    ),
    *_messages("token", "", ""),
    *_messages("key", "operator/", "operator_"),
    *_suppressions("token", "", ""),
    *_suppressions("key", "operator/", "operator_"),
    Operation("health", "GET", "health", "Whether this process lives", {200: Answer("It does.", Health)}),
    Operation(
        "health_ready",
        "GET",
        "health/ready",
        "Every setting and dependency",
        {
            200: Answer("All is well; or degraded: all works, and something was lost.", Readiness),
            401: Answer("No function key, or a wrong one."),
            503: Answer("Something is not.", Readiness),
        },
        "key",
    ),
    Operation("openapi", "GET", "openapi.json", "This document", {200: Answer("OpenAPI 3.1.")}),
)
