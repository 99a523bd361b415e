"""Creates, reads, fills, sends and deletes drafts in a mailbox, through the SDK. Each method makes one request.

Each request has a deadline of its own and is made once. A failed request that only prepares is Interrupted, never
Unknown, because the mail was not sent. Only the outcome of `send` can be Unknown.

Needs Mail.ReadWrite on the mailbox, and Mail.Send for `send`.
"""

import importlib
import warnings
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import msgspec

from shared.graph.client import GraphConnection
from shared.graph.outcome import (
    Accepted,
    Draft,
    FileItem,
    Interrupted,
    NotConnected,
    Outcome,
    Rejected,
    Stopped,
    Unknown,
)
from shared.graph.sdk_request import Configure, asked

with warnings.catch_warnings():
    # The SDK's modules warn of their own deprecated classes; see client.py. All that is needed is loaded here.
    warnings.simplefilter("ignore", DeprecationWarning)
    from msgraph.generated.models.attachment_item import AttachmentItem
    from msgraph.generated.models.attachment_type import AttachmentType
    from msgraph.generated.users.item.messages.item.attachments import attachments_request_builder as attachments
    from msgraph.generated.users.item.messages.item.attachments.create_upload_session import (
        create_upload_session_post_request_body as upload_session,
    )
    from msgraph.generated.users.item.messages.item.message_item_request_builder import MessageItemRequestBuilder
    from msgraph.generated.users.item.messages.messages_request_builder import MessagesRequestBuilder

    for _module in ("attachments.create_upload_session.create_upload_session", "send.send"):
        importlib.import_module(f"msgraph.generated.users.item.messages.item.{_module}_request_builder")

if TYPE_CHECKING:
    import httpx
    from msgraph.generated.models.attachment import Attachment
    from msgraph.generated.models.message import Message

OK: Final = 200
CREATED: Final = 201
GONE: Final = frozenset({404, 410})
# Conflicts between two changes of one draft, and a draft that is gone: another attempt makes a new one.
CONFLICTS: Final = frozenset({409, 412, 423})
PASSING: Final = CONFLICTS | GONE
TOO_SMALL: Final = "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"
PAGES: Final = 10  # of attachments, at most; Graph gives some hundred in one


class _Messages(msgspec.Struct):
    value: list[Draft]


class _Attachment(msgspec.Struct):
    name: str | None = None


class _Attachments(msgspec.Struct):
    value: list[_Attachment]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")


class _Session(msgspec.Struct):
    upload_url: str = msgspec.field(name="uploadUrl")


class Drafts:
    """One for a process. deadline: seconds for each request, its token included.

    Every method raises Stopped with the outcome of a request that failed, except `send`, which returns it.
    """

    def __init__(self, connection: GraphConnection, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    async def create(self, mailbox: str, message: "Message") -> Draft:
        """Create a draft from a message and its attachments."""
        answer = await self._prepared(
            lambda configure: self._messages(mailbox).post(message, configure(None)), {CREATED}, CONFLICTS
        )
        return _read(answer, Draft)

    async def find(self, mailbox: str, property_id: str, value: str) -> list[Draft]:
        """The drafts that have this extended property."""
        wanted = f"singleValueExtendedProperties/Any(ep: ep/id eq '{property_id}' and ep/value eq '{value}')"
        query = MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters(
            filter=wanted, select=["isDraft", "parentFolderId"]
        )
        answer = await self._prepared(lambda configure: self._messages(mailbox).get(configure(query)), {OK}, CONFLICTS)
        return [one for one in _read(answer, _Messages).value if one.is_draft]

    async def read(self, mailbox: str, draft: str) -> Draft | None:
        """Read the message with this id, draft or not; None if there is none."""
        query = MessageItemRequestBuilder.MessageItemRequestBuilderGetQueryParameters(
            select=["isDraft", "parentFolderId"]
        )
        answer = await self._prepared(lambda configure: self._one(mailbox, draft).get(configure(query)), {OK, *GONE})
        return None if answer.status_code in GONE else _read(answer, Draft)

    async def names(self, mailbox: str, draft: str) -> list[str]:
        """The names of the draft's complete attachments, in any order."""
        parameters = attachments.AttachmentsRequestBuilder.AttachmentsRequestBuilderGetQueryParameters

        def page(builder: attachments.AttachmentsRequestBuilder, query: object) -> Awaitable["httpx.Response"]:
            return self._prepared(lambda configure: builder.get(configure(query)), {OK})

        builder = self._one(mailbox, draft).attachments
        answer = await page(builder, parameters(select=["name"]))
        names = list[str]()
        for _ in range(PAGES):
            found = _read(answer, _Attachments)
            names += [one.name or "" for one in found.value]
            if found.next_link is None:
                return names
            answer = await page(builder.with_url(found.next_link), None)
        raise Stopped(Interrupted("attachments"))

    async def add(self, mailbox: str, draft: str, attachment: "Attachment") -> None:
        """Add one attachment, whole, in one request."""
        builder = self._one(mailbox, draft).attachments
        await self._prepared(lambda configure: builder.post(attachment, configure(None)), {CREATED})

    async def open_session(self, mailbox: str, draft: str, file: FileItem) -> str | None:
        """Begin to upload a file: the URL to upload it to, or None when Graph wants it whole, by `add`."""
        item = AttachmentItem(
            attachment_type=AttachmentType.File,
            name=file.name,
            size=file.size,
            content_type=file.content_type,
            is_inline=file.is_inline,
            content_id=file.content_id,
        )
        body = upload_session.CreateUploadSessionPostRequestBody(attachment_item=item)
        builder = self._one(mailbox, draft).attachments.create_upload_session
        try:
            answer = await self._prepared(lambda configure: builder.post(body, configure(None)), {OK, CREATED})
        except Stopped as stopped:
            if isinstance(stopped.outcome, Rejected) and stopped.outcome.code == TOO_SMALL:
                return None
            raise
        return _read(answer, _Session).upload_url

    async def send(self, mailbox: str, draft: str, still_ours: Callable[[], bool]) -> Outcome:
        """Send the draft. After Graph's 202 it is gone, so a missing draft may have been sent before."""

        async def ask(configure: Configure) -> object:
            if not still_ours():
                raise Stopped(NotConnected("lease"))
            return await self._one(mailbox, draft).send.post(configure(None))  # type: ignore[func-returns-value]  # NativeResponseHandler's

        outcome = (await asked(self._connection, ask, self._deadline))[1]
        if isinstance(outcome, Rejected) and outcome.status in GONE:
            return Unknown("draft-gone", outcome.status, outcome.code, None, outcome.request_id)
        return outcome

    async def delete(self, mailbox: str, draft: str) -> None:
        """Delete the draft, if it still exists."""
        await self._prepared(lambda configure: self._one(mailbox, draft).delete(configure(None)), {204, *GONE})

    def _messages(self, mailbox: str) -> MessagesRequestBuilder:
        return self._connection.client.users.by_user_id(mailbox).messages

    def _one(self, mailbox: str, draft: str) -> MessageItemRequestBuilder:
        return self._messages(mailbox).by_message_id(draft)

    async def _prepared(
        self,
        ask: Callable[[Configure], Awaitable[object]],
        expected: set[int],
        passing: frozenset[int] = PASSING,
    ) -> "httpx.Response":
        """The answer to a request that sends nothing. Raises Stopped for every status that is not expected."""
        answer, outcome = await asked(self._connection, ask, self._deadline)
        if answer is not None and answer.status_code in expected:
            return answer
        raise Stopped(_preparing(outcome, passing))


def _preparing(outcome: Outcome, passing: frozenset[int]) -> Outcome:
    """What an outcome of sendMail means for a request that sends nothing."""
    match outcome:
        case Unknown():
            return Interrupted(
                "draft", outcome.status, outcome.code, outcome.after, outcome.request_id, outcome.client_request_id
            )
        case Accepted():  # 202, which none of them documents
            return Interrupted("draft", 202, None, None, outcome.request_id, outcome.client_request_id)
        case Rejected() if outcome.status in passing:
            return Interrupted("draft", outcome.status, outcome.code, outcome.after, outcome.request_id)
    return outcome


def _read[T](answer: "httpx.Response", shape: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.content, type=shape)
    except msgspec.DecodeError:
        raise Stopped(Interrupted("draft", answer.status_code)) from None
