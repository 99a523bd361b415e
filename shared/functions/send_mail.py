"""Microsoft Graph's sendMail, at Mailroom's address: any Graph client works with its base URL swapped.

Reference of the call: https://learn.microsoft.com/graph/api/user-sendmail.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import azure.functions as func
import msgspec

from shared.app import Services, services
from shared.auth.callers import authenticated, origin_of, report_refused, scope_of
from shared.auth.entra import Caller, KeysUnavailable, require
from shared.errors import Malformed, NotAllowed, Refused, Unauthenticated
from shared.functions.answers import BODY_LOST, graph_error, lost_its_body, request_ids, settings_refused
from shared.mail import limits, parse, request_size
from shared.mail.addresses import mailbox_name
from shared.mail.model import BlobAttachment, SendMail
from shared.mail.outgoing import OutgoingMail, fingerprint, identity, new_id
from shared.mail.sizes import check_size
from shared.mail.threading import LONGEST_THREAD
from shared.parsing.charsets import CODECS, charset_of
from shared.policy.admit import admit, admit_sender
from shared.runtime.long_work import aside
from shared.telemetry import LogEvent, emit

if TYPE_CHECKING:
    from shared.graph.outcome import Rejected

__all__ = ["send_mail", "send_my_mail"]

LONGEST_KEY: Final = 256
OVER_RATE: Final = ("TooManyRequests", "This caller is over its rate, ratePerMinute in MAIL_CALLERS; nothing was sent.")
DAY_SPENT: Final = (
    "ErrorExceededMessageLimit",
    "The mailbox has mailed its recipients of the day, MAIL_RECIPIENTS_PER_DAY; nothing was sent.",
)
WITH_OFFSET: Final[type[datetime]] = Annotated[datetime, msgspec.Meta(tz=True)]  # type: ignore[assignment] # as annotated


async def send_mail(req: func.HttpRequest) -> func.HttpResponse:
    return await _answer(req, req.route_params["id"])


async def send_my_mail(req: func.HttpRequest) -> func.HttpResponse:
    return await _answer(req, None)


async def _answer(req: func.HttpRequest, mailbox: str | None) -> func.HttpResponse:
    ids = request_ids(req)
    if lost_its_body(req, "send_mail" if mailbox else "send_my_mail"):
        return graph_error(411, "LengthRequired", BODY_LOST, ids)
    app = services()
    if app.settings.problems:
        return graph_error(503, "ServiceUnavailable", settings_refused(app.settings.problems), ids)
    caller: Caller | None = None
    try:
        # Length, who it is, whether it may send from here: in this order, and the body is read after that. So what a
        # body costs to read nobody can cause who may not send, and a stranger learns nothing of what is wrong with it.
        _check_length(app, req)
        caller = await authenticated(app, req)
        require(caller, "Mail.Send")
        sender = _sender(caller, mailbox)
        admit_sender(origin_of(caller), sender, app.settings)
        mail = await aside(len(req.get_body()), _mail, req, caller, sender)
        admit(mail, app.settings)
        whole = await _with_files(app, mail, len(req.get_body()))
    except KeysUnavailable:
        emit(LogEvent.INTAKE_UNAVAILABLE, code="KeysUnavailable")
        message = "The tenant's signing keys cannot be fetched; nothing was sent."
        return graph_error(503, "ServiceUnavailable", message, ids, {"Retry-After": "10"})
    except Refused as refusal:
        return _refused(refusal, caller, ids)
    if whole is None:
        return _no_storage(mail.id, ids)
    return await _sent(app, req, whole, ids)


async def _with_files(app: Services, mail: OutgoingMail, size: int) -> OutgoingMail | None:
    """The mail with what its references stand for, its size checked. None: storage cannot be reached.

    size: bytes that it was read of.
    """
    if any(isinstance(one, BlobAttachment) for one in mail.request.message.attachments or ()):
        from azure.core.exceptions import AzureError

        try:
            mail = await app.attachment_resolver.resolved(mail)
        except AzureError:
            return None
    await aside(size, check_size, mail, large=app.settings.large_attachments)
    return mail


def _check_length(app: Services, req: func.HttpRequest) -> None:
    """Raises Malformed, 413."""
    size = len(req.get_body())
    if _media_type(req.headers) == "text/plain":
        if size > limits.MAX_ENCODED:
            raise limits.too_large(size)
        return
    large = app.settings.large_attachments
    most = app.settings.max_request if large else limits.MAX_REQUEST
    if size > most:
        raise request_size.body_too_large(size, most, large=large)


def _sender(caller: Caller, mailbox: str | None) -> str:
    """The mailbox or the pool that the path names, or the user's own."""
    if mailbox is not None:
        try:
            return mailbox_name(mailbox)
        except ValueError:
            raise NotAllowed("The sender is neither a mailbox nor a pool.", "ErrorSendAsDenied") from None
    if caller.user is None:
        raise Malformed(400, "BadRequest", "/me request is only valid with delegated authentication flow.")
    return caller.user


def _mail(req: func.HttpRequest, caller: Caller, sender: str) -> OutgoingMail:
    body = req.get_body()
    mail, mime = _mime(body) if _is_mime(req.headers) else (_json(body, req.headers), None)
    scope = scope_of(caller)
    key = _key(req.headers)
    thread = _text_of(req.headers, "Mailroom-Thread", LONGEST_THREAD)
    return OutgoingMail(
        id=identity(scope, f"idempotency-key:{key}") if key else new_id(),
        scope=scope,
        fingerprint=fingerprint(sender, mail, thread, mime),
        sender=sender,
        request=mail,
        origin=origin_of(caller),
        accepted_at=datetime.now(UTC),
        not_before=_not_before(req.headers),
        thread=thread,
        mime=mime,
    )


def _json(body: bytes, headers: Mapping[str, str]) -> SendMail:
    charset = charset_of(headers.get("content-type", ""))
    if charset and charset not in CODECS:
        text = f"Content-Type has the charset {charset[:40]}, which is unknown here; expected utf-8."
        raise Malformed(415, "BadRequest", text)
    return parse.send_mail(body, charset, max_size=len(body))


def _mime(body: bytes) -> tuple[SendMail, bytes]:
    from shared.mime.read import decode_mime, read_mime  # few mails need the readers of Python's email

    mime = decode_mime(body)
    return read_mime(mime), mime


def _is_mime(headers: Mapping[str, str]) -> bool:
    """Whether the body is MIME in base64, as Graph wants it, or JSON. Raises Malformed for anything else."""
    kind = _media_type(headers)
    if kind not in ("application/json", "text/plain"):
        text = f"Content-Type is {kind[:80] or 'missing'}, expected application/json, or text/plain for MIME."
        raise Malformed(415, "BadRequest", text)
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Malformed(415, "BadRequest", "Content-Encoding is not supported; send the body as it is.")
    return kind == "text/plain"


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _key(headers: Mapping[str, str]) -> str | None:
    """What names the mail (draft-ietf-httpapi-idempotency-key-header).

    Not client-request-id: clients give one to several requests of an operation, and it is not unique.
    https://github.com/microsoft/api-guidelines/blob/vNext/graph/GuidelinesGraph.md
    """
    return _text_of(headers, "Idempotency-Key", LONGEST_KEY)


def _text_of(headers: Mapping[str, str], name: str, longest: int) -> str | None:
    """The text that a header holds, without the quotes that it may have. Raises Malformed for another one."""
    given = headers.get(name.lower())
    if given is None:
        return None
    text = given.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':  # the draft has a quoted string; most senders leave the quotes out
        text = text[1:-1]
    if not text or len(text) > longest or not text.isprintable():
        raise Malformed(400, "BadRequest", f"{name} must have 1 to {longest} printable characters.")
    return text


def _not_before(headers: Mapping[str, str]) -> datetime | None:
    """Mailroom-Not-Before: a time of RFC 3339, with its offset."""
    given = headers.get("mailroom-not-before")
    if given is None:
        return None
    try:
        time = msgspec.convert(given, WITH_OFFSET).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        text = "Mailroom-Not-Before must be a time with its offset (RFC 3339), such as 2026-07-01T08:00:00+02:00."
        raise Malformed(400, "BadRequest", text) from None
    return limits.waiting_until(time, datetime.now(UTC), "Mailroom-Not-Before")


async def _sent(app: Services, req: func.HttpRequest, mail: OutgoingMail, ids: Mapping[str, str]) -> func.HttpResponse:
    from shared.delivery.request import Busy, Done, Mismatch, Rejection, Spent, TooMany, Unavailable

    later = "respond-async" in [item.strip().lower() for item in req.headers.get("prefer", "").split(",")]
    waits = later or mail.not_before is not None
    answer = await (app.requests.accept(mail) if waits else app.requests.send_now(mail))
    match answer:
        case Done():
            headers = {**ids, "Mailroom-State": answer.state, "Location": f"/api/messages/{answer.mail}"}
            if answer.request_id:
                headers["request-id"] = answer.request_id
            if later:
                headers["Preference-Applied"] = "respond-async"
            return func.HttpResponse(b"", status_code=202, headers=headers)
        case Rejection():
            return _rejected(answer.outcome, ids)
        case Busy():
            message = "A request with this key is being sent at this moment."
            return graph_error(409, "Conflict", message, ids, _again_after(answer.retry_after))
        case Mismatch():
            message = "This key was used for another mail. A key names one mail; use a new one."
            return graph_error(422, "UnprocessableEntity", message, ids)
        case TooMany() | Spent():
            code, message = OVER_RATE if isinstance(answer, TooMany) else DAY_SPENT
            return graph_error(429, code, message, ids, _again_after(answer.retry_after))
        case Unavailable():
            return _maybe_sent(req, mail.id, ids) if answer.maybe_sent else _no_storage(mail.id, ids)


def _maybe_sent(req: func.HttpRequest, mail: str, ids: Mapping[str, str]) -> func.HttpResponse:
    emit(LogEvent.INTAKE_UNAVAILABLE, id=mail, code="UnknownOutcome")
    headers = {"Mailroom-State": "unknown", "Location": f"/api/messages/{mail}"}
    message = "Mailroom's storage cannot be reached, and it is not known whether this mail was sent. "
    if _key(req.headers) is not None:
        message += "Repeat it only with the same Idempotency-Key."
    else:
        message += (
            "It has no Idempotency-Key, so to repeat it would be to send another mail: ask for Location, and repeat it "
            "only if there is nothing, or its state is failed."
        )
    return graph_error(503, "UnknownOutcome", message, ids, headers)


def _again_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(0, int(seconds)) + 1)}


def _no_storage(mail: str, ids: Mapping[str, str]) -> func.HttpResponse:
    emit(LogEvent.INTAKE_UNAVAILABLE, id=mail, code="ServiceUnavailable")
    message = "Mailroom's storage cannot be reached; nothing was sent and nothing stored."
    return graph_error(503, "ServiceUnavailable", message, ids, {"Retry-After": "10"})


def _rejected(outcome: "Rejected", ids: Mapping[str, str]) -> func.HttpResponse:
    """Graph's own words, where it had some."""
    headers = {**ids, "Mailroom-State": "failed"}
    if outcome.request_id:
        headers["request-id"] = outcome.request_id
    if outcome.body is None:
        return graph_error(outcome.status, outcome.code or "BadRequest", outcome.message, headers, headers)
    return func.HttpResponse(outcome.body, status_code=outcome.status, headers=headers, mimetype="application/json")


def _refused(refusal: Refused, caller: Caller | None, ids: Mapping[str, str]) -> func.HttpResponse:
    headers = {}
    if isinstance(refusal, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'  # RFC 6750
    report_refused(refusal, caller)
    return graph_error(refusal.status, refusal.code, str(refusal), ids, headers)
