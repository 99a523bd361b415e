"""Microsoft Graph's sendMail at Mailroom's address: any Graph client works after its base URL is changed.

Reference: https://learn.microsoft.com/graph/api/user-sendmail.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import azure.functions as func

from shared.app import App, current_app
from shared.auth.entra import Caller, require
from shared.auth.entra_keys import KeysUnavailable
from shared.errors import Malformed, NotAllowed, Refused
from shared.event_loop import aside
from shared.functions.access import authenticated
from shared.functions.http_answers import lost_its_body, request_ids, time_of
from shared.functions.send_mail_answers import (
    answered,
    body_lost,
    keys_unavailable,
    no_storage,
    not_configured,
    refused,
)
from shared.mail import limits, parse
from shared.mail.addresses import mailbox_name
from shared.mail.model import BlobAttachment, SendMail
from shared.mail.outgoing import Origin, OutgoingMail, fingerprint, identity, key_hash, new_id
from shared.parsing.charsets import CODECS, charset_of
from shared.policy.admit import admit, admit_sender
from shared.policy.size_limits import body_too_large, check_size
from shared.settings.config import Settings


async def send_mail(req: func.HttpRequest) -> func.HttpResponse:
    return await _answer(req, req.route_params["id"])


async def send_my_mail(req: func.HttpRequest) -> func.HttpResponse:
    return await _answer(req, None)


async def _answer(req: func.HttpRequest, mailbox: str | None) -> func.HttpResponse:
    ids = request_ids(req)
    if lost_its_body(req, "send_mail" if mailbox else "send_my_mail"):
        return body_lost(ids)
    app = current_app()
    if app.settings.problems:
        return not_configured(app.settings.problems, ids)
    caller: Caller | None = None
    try:
        # Length, caller, sender: in this order, and the body is read only after that. So only those who may send can
        # make Mailroom read a body, and nobody else learns what is wrong with one.
        _check_length(app, req)
        caller = await authenticated(app, req)
        require(caller, "Mail.Send")
        sender = _sender(caller, mailbox)
        admit_sender(_origin(caller), sender, app.settings)
        mail = await aside(len(req.get_body()), _mail, req, caller, sender, app.settings)
        admit(mail, app.settings)
        whole = await _with_files(app, mail, len(req.get_body()))
    except KeysUnavailable:
        return keys_unavailable(ids)
    except Refused as refusal:
        return refused(refusal, caller, ids)
    if whole is None:
        return no_storage(mail.id, ids)
    later = "respond-async" in [item.strip().lower() for item in req.headers.get("prefer", "").split(",")]
    waits = later or mail.not_before is not None
    answer = await (app.requests.accept(whole) if waits else app.requests.send_now(whole))
    return answered(answer, mail.id, ids, later=later, keyed=_key(req.headers) is not None)


async def _with_files(app: App, mail: OutgoingMail, size: int) -> OutgoingMail | None:
    """The mail with its attachments resolved and its size checked. None: storage cannot be reached.

    size: bytes of the request's body.
    """
    if any(isinstance(one, BlobAttachment) for one in mail.request.message.attachments or ()):
        from azure.core.exceptions import AzureError

        try:
            mail = await app.attachment_resolver.resolved(mail)
        except AzureError:
            return None
    await aside(size, check_size, mail, large=app.settings.large_attachments)
    return mail


def _check_length(app: App, req: func.HttpRequest) -> None:
    """Check the length of the body. Raises Malformed, 413."""
    size = len(req.get_body())
    if _media_type(req.headers) == "text/plain":
        if size > limits.MAX_ENCODED:
            raise limits.too_large(size)
        return
    large = app.settings.large_attachments
    most = app.settings.max_request if large else limits.MAX_REQUEST
    if size > most:
        raise body_too_large(size, most, large=large)


def _origin(caller: Caller) -> Origin:
    return Origin(
        kind="user" if caller.delegated else "application",
        name=caller.application_id,
        tenant=caller.tenant,
        user=caller.user,
    )


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


def _mail(req: func.HttpRequest, caller: Caller, sender: str, settings: Settings) -> OutgoingMail:
    body = req.get_body()
    mail, mime = _mime(body) if _is_mime(req.headers) else (_json(body, req.headers), None)
    scope = caller.scope
    key = _key(req.headers)
    thread = _text_of(req.headers, "Mailroom-Thread", limits.LONGEST_THREAD)
    return OutgoingMail(
        id=identity(scope, f"idempotency-key:{key}") if key else new_id(),
        scope=scope,
        fingerprint=fingerprint(sender, mail, thread, mime),
        sender=sender,
        request=mail,
        origin=_origin(caller),
        accepted_at=datetime.now(UTC),
        not_before=_not_before(req.headers),
        thread=thread,
        mime=mime,
        key=key_hash(key) if key else None,
        wants_results=settings.tells(caller.application_id),
    )


def _json(body: bytes, headers: Mapping[str, str]) -> SendMail:
    charset = charset_of(headers.get("content-type", ""))
    if charset and charset not in CODECS:
        text = f"Content-Type has the unknown charset {charset[:40]}, expected utf-8."
        raise Malformed(415, "BadRequest", text)
    return parse.send_mail(body, charset, max_size=len(body))


def _mime(body: bytes) -> tuple[SendMail, bytes]:
    from shared.mime.read import decode_mime, read_mime  # few mails need the readers of Python's email

    mime = decode_mime(body)
    return read_mime(mime), mime


def _is_mime(headers: Mapping[str, str]) -> bool:
    """Whether the body is MIME in base64; otherwise it is JSON. Raises Malformed for other content types."""
    kind = _media_type(headers)
    if kind not in ("application/json", "text/plain"):
        text = f"Content-Type is {kind[:80] or 'missing'}, expected application/json, or text/plain for MIME."
        raise Malformed(415, "BadRequest", text)
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Malformed(415, "BadRequest", "Content-Encoding is not supported; expected an uncompressed body.")
    return kind == "text/plain"


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _key(headers: Mapping[str, str]) -> str | None:
    """The name that the caller gives the mail (draft-ietf-httpapi-idempotency-key-header).

    Not client-request-id: clients give one to several requests of an operation, and it is not unique.
    https://github.com/microsoft/api-guidelines/blob/vNext/graph/GuidelinesGraph.md
    """
    return _text_of(headers, "Idempotency-Key", limits.MAX_KEY)


def _text_of(headers: Mapping[str, str], name: str, longest: int) -> str | None:
    """The text of a header, without its quotes, if any. Raises Malformed."""
    given = headers.get(name.lower())
    if given is None:
        return None
    text = given.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':  # the draft wants quotes; most senders omit them
        text = text[1:-1]
    if not text or len(text) > longest or not text.isprintable():
        raise Malformed(
            400, "BadRequest", f"{name} has {len(text)} characters, expected 1 to {longest}, all of them printable."
        )
    return text


def _not_before(headers: Mapping[str, str]) -> datetime | None:
    """Mailroom-Not-Before: a time of RFC 3339, with its offset."""
    given = headers.get("mailroom-not-before")
    if given is None:
        return None
    time = time_of(given)
    if time is None:
        text = (
            f"Mailroom-Not-Before is {given[:40]!r}, expected a time with its offset (RFC 3339), such as "
            "2026-07-01T08:00:00+02:00."
        )
        raise Malformed(400, "BadRequest", text)
    return limits.waiting_until(time, datetime.now(UTC), "Mailroom-Not-Before")
