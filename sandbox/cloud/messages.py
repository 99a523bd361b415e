"""Messages in a mailbox: drafts and their sending, reading and listing."""

import copy
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response

from sandbox.cloud import mime, wire
from sandbox.cloud.calls import Call
from sandbox.cloud.errors import Refusal
from sandbox.cloud.mailboxes import Item, new_id
from sandbox.cloud.query import Query, matches, render
from sandbox.cloud.sendmail import check_can_be_sent
from sandbox.cloud.state import Submission, completed

_READ_ONLY = frozenset(
    {
        "id",
        "changeKey",
        "bodyPreview",
        "conversationId",
        "conversationIndex",
        "createdDateTime",
        "hasAttachments",
        "isDraft",
        "lastModifiedDateTime",
        "parentFolderId",
        "receivedDateTime",
        "sentDateTime",
        "uniqueBody",
        "webLink",
    }
)


async def create(call: Call) -> Response:
    """`POST …/messages`: a draft, 201."""
    message = _message(call)
    message["internetMessageId"] = completed(message, call.mailbox)["internetMessageId"]
    for attachment in message.get("attachments", ()):
        attachment["id"] = new_id()
    item = call.cloud.mailboxes.add(Item(call.mailbox, "drafts", message))
    return _shown(call, item, Query(), 201)


async def read(call: Call) -> Response:
    """`GET …/messages/{id}`."""
    item = call.cloud.mailboxes.get(call.mailbox, call.params["message"])
    return _shown(call, item, Query.parse(call.request.query_params))


async def content(call: Call) -> Response:
    """`GET …/messages/{id}/$value`: the message as MIME."""
    item = call.cloud.mailboxes.get(call.mailbox, call.params["message"])
    whole = item.mime
    if whole is None:
        whole = mime.compose(completed(item.message, item.mailbox), format_datetime(item.created))
    return Response(whole, media_type="text/plain")


async def content_in_a_folder(_: Call) -> Response:
    """The same below a folder, which Graph documents and does not have (microsoft-graph-docs-contrib, issue 776)."""
    raise Refusal(405, "ErrorInvalidRequest", "The OData request is not supported.")


async def update(call: Call) -> Response:
    """`PATCH …/messages/{id}` of a draft; extended properties are replaced one by one."""
    item = draft(call)
    changes = _message(call)
    if "attachments" in changes:
        raise Refusal(400, "BadRequest", "Attachments are added and removed one by one, not by PATCH of the message.")
    for name in ("singleValueExtendedProperties", "multiValueExtendedProperties"):
        if name in changes:
            merged = {prop["id"]: prop for prop in (*item.message.get(name, ()), *changes[name])}
            changes[name] = list(merged.values())
    item.message.update(changes)
    return _shown(call, item, Query())


async def delete(call: Call) -> Response:
    """`DELETE …/messages/{id}`: 204."""
    call.cloud.remove(call.cloud.mailboxes.get(call.mailbox, call.params["message"]))
    return Response(status_code=204)


async def send(call: Call) -> Response:
    """`POST …/messages/{id}/send`: 202; the draft is gone, the copy comes to Sent Items in its time."""
    if call.body:
        raise Refusal(400, "BadRequest", "The action 'send' takes no body.")
    item = draft(call)
    check_can_be_sent(call, item.message)
    message = copy.deepcopy(item.message)
    for attachment in message.get("attachments", ()):
        del attachment["id"]
    call.cloud.remove(item)
    call.cloud.accept(Submission(call.mailbox, message, save=True, via="draft"), call.ids, call.headers())
    return Response(status_code=202)


async def list_messages(call: Call) -> Response:
    """`GET …/messages` and `GET …/mailFolders/{folder}/messages`."""
    query = Query.parse(call.request.query_params)
    mailboxes = call.cloud.mailboxes
    if query.by_property and query.by_time and not call.cloud.settings.class_filters:
        raise Refusal(400, "InefficientFilter", "The restriction or sort order is too complex for this operation.")
    found = [item for item in mailboxes.list(call.mailbox, call.params.get("folder")) if matches(query, item)]
    if query.ordered:
        found.sort(key=lambda item: item.created, reverse=query.ordered == "desc")
    page = found[query.skip : query.skip + query.top]
    answer: dict[str, Any] = {"@odata.context": f"{call.request.base_url}v1.0/$metadata#messages"}
    if query.count:
        answer["@odata.count"] = len(found)
    answer["value"] = [render(item, mailboxes, query) for item in page]
    if query.skip + query.top < len(found):
        options = dict(call.request.query_params) | {"$skip": str(query.skip + query.top)}
        answer["@odata.nextLink"] = str(call.request.url.replace(query=urlencode(options, safe="$")))
    return JSONResponse(answer)


def draft(call: Call) -> Item:
    """The message in the path, which has to be a draft. Raises Refusal 400 or 404."""
    item = call.cloud.mailboxes.get(call.mailbox, call.params["message"])
    if not item.is_draft:
        raise Refusal(400, "ErrorInvalidOperation", "The message has been sent; only a draft can be changed or sent.")
    return item


def _message(call: Call) -> dict[str, Any]:
    """The body as a message without what is read-only."""
    value = call.json()
    wire.check_message(value)
    return {name: item for name, item in value.items() if name not in _READ_ONLY}


def _shown(call: Call, item: Item, query: Query, status: int = 200) -> Response:
    context = f"{call.request.base_url}v1.0/$metadata#users('{call.mailbox}')/messages/$entity"
    return JSONResponse({"@odata.context": context, **render(item, call.cloud.mailboxes, query)}, status)
