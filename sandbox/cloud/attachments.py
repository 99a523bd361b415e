"""Attachments of a draft: added in one request, or piece by piece through an upload session."""

import base64
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.cloud import wire
from sandbox.cloud.calls import Call
from sandbox.cloud.errors import Refusal
from sandbox.cloud.mailboxes import new_id
from sandbox.cloud.messages import draft
from sandbox.cloud.uploads import UploadSession

if TYPE_CHECKING:
    from sandbox.cloud.state import Cloud

_PROPERTIES = frozenset({"id", "name", "contentType", "size", "isInline", "lastModifiedDateTime"})
"""What $select may name: the properties of `attachment`, not those of what is derived from it."""


async def list_attachments(call: Call) -> Response:
    """`GET …/messages/{id}/attachments`: those that are whole; content only without $select."""
    item = call.cloud.mailboxes.get(call.mailbox, call.params["message"])
    options = dict(call.request.query_params)
    selected = frozenset(name.strip() for name in options.pop("$select", "").split(",") if name.strip())
    if unknown := [*options, *(selected - _PROPERTIES)]:
        raise Refusal(400, "BadRequest", f"The query option or property '{unknown[0]}' is not supported.")
    shown = [
        {**attachment, "size": _size(attachment), "lastModifiedDateTime": _now()} for attachment in item.attachments()
    ]
    if selected:
        kept = selected | {"id", "@odata.type"}
        shown = [{name: value for name, value in one.items() if name in kept} for one in shown]
    context = f"{call.request.base_url}v1.0/$metadata#users('{call.mailbox}')/messages('{item.id}')/attachments"
    return JSONResponse({"@odata.context": context, "value": shown})


async def add(call: Call) -> Response:
    """`POST …/messages/{id}/attachments`: 201."""
    item = draft(call)
    value = call.json()
    wire.check_attachment(value)
    attachment = {**value, "id": new_id()}
    item.attachments().append(attachment)
    return JSONResponse({**attachment, "size": _size(value), "lastModifiedDateTime": _now()}, 201)


async def create_upload_session(call: Call) -> Response:
    """`POST …/messages/{id}/attachments/createUploadSession`: 201 with the URL to PUT to."""
    item = draft(call)
    call.json()
    session = UploadSession.open(call.caller.app_id, call.mailbox, item.id, wire.read_attachment_item(call.body))
    token = uuid.uuid4().hex + uuid.uuid4().hex
    call.cloud.uploads[token] = session
    return JSONResponse(session.first_answer(f"{call.request.base_url}upload/{token}"), 201)


async def upload(request: Request, body: bytes) -> Response:
    """`PUT`, `GET` and `DELETE` of an upload URL, which is itself the permission: a bearer token beside it is refused.

    `GET` says where the session stands.
    """
    if "authorization" in request.headers:
        text = "The upload URL is already authorized; an Authorization header is not allowed."
        raise Refusal(401, "InvalidAuthenticationToken", text)
    cloud: Cloud = request.app.state.cloud
    token = request.path_params["token"]
    session = cloud.uploads.get(token)
    if session is None or session.expires < datetime.now(UTC):
        raise Refusal(404, "ErrorItemNotFound", "The upload session was not found, has ended or has expired.")
    if request.method == "GET":
        return JSONResponse(session.next_answer())
    if request.method == "DELETE":
        del cloud.uploads[token]
        return Response(status_code=204)
    message = cloud.mailboxes.get(session.mailbox, session.message_id)
    if not message.is_draft:
        raise Refusal(400, "ErrorInvalidOperation", "The message has been sent.")
    if not session.put(request.headers.get("content-range"), body):
        return JSONResponse(session.next_answer())
    del cloud.uploads[token]
    attachment = _attachment(session)
    message.attachments().append(attachment)
    place = f"v1.0/users/{session.mailbox}/messages/{message.id}/attachments/{attachment['id']}"
    return Response(status_code=201, headers={"Location": f"{request.base_url}{place}"})


def _attachment(session: UploadSession) -> dict[str, Any]:
    names = ("name", "contentType", "isInline", "contentId")
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        **{name: session.item[name] for name in names if session.item.get(name) is not None},
        "contentBytes": base64.b64encode(session.data).decode(),
        "id": new_id(),
    }


def _size(attachment: dict[str, Any]) -> int:
    content: str = attachment.get("contentBytes", "")
    return len(content) * 3 // 4 - content.count("=", -2)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
