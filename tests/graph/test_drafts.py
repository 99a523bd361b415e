"""Drafts through the SDK: one request each, and what its answer stands for."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from shared.graph.client import GraphConnection
from shared.graph.outcome import (
    Accepted,
    Draft,
    FileItem,
    Interrupted,
    NotConnected,
    Rejected,
    Stopped,
    Throttled,
    Unknown,
)
from shared.mail.graph_types import ItemBody
from shared.mail.model import FileAttachment, Message
from shared.mail.sdk_message import attachment_to_sdk, to_sdk
from tests.graph.service import Service

if TYPE_CHECKING:
    from shared.graph.drafts import Drafts

BOX = "mailroom@sandbox.example"
ONE = "/v1.0/users/mailroom%40sandbox.example/messages/AAMk1%3D"


@pytest.fixture
def drafts(connection: GraphConnection) -> "Drafts":
    from shared.graph.drafts import Drafts

    return Drafts(connection, 5)


def says(service: Service, status: int, body: Any = None, **headers: str) -> None:
    service.say(status, body=b"" if body is None else json.dumps(body).encode(), headers=headers)


def error(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "m"}}


DRAFT = {"id": "AAMk1=", "isDraft": True, "parentFolderId": "F"}


async def test_a_draft_is_made_of_the_whole_message(service: Service, drafts: "Drafts") -> None:
    says(service, 201, DRAFT)
    message = to_sdk(
        Message(
            subject="Lunch",
            body=ItemBody(content="x"),
            attachments=(FileAttachment(name="a", content_bytes=b"abc", is_inline=True, content_id="c"),),
        )
    )
    assert await drafts.create(BOX, message) == Draft("AAMk1=", is_draft=True, folder="F")
    [request] = service.requests
    assert request.line == "POST /v1.0/users/mailroom%40sandbox.example/messages HTTP/1.1"
    assert request.headers["authorization"].startswith("Bearer ")
    [attached] = json.loads(request.body)["attachments"]
    assert (attached["contentBytes"], attached["isInline"], attached["contentId"]) == ("YWJj", True, "c")


async def test_the_session_is_asked_for_with_all_that_is_known_of_the_file(service: Service, drafts: "Drafts") -> None:
    says(service, 201, {"uploadUrl": "https://outlook.office.com/x", "nextExpectedRanges": ["0-"]})
    item = FileItem(name="a.zip", size=5_000_000, content_type="application/zip", is_inline=False, content_id="c")
    assert await drafts.open_session(BOX, "AAMk1=", item) == "https://outlook.office.com/x"
    [request] = service.requests
    assert request.line == f"POST {ONE}/attachments/createUploadSession HTTP/1.1"
    assert json.loads(request.body)["AttachmentItem"] == {
        "attachmentType": "file", "name": "a.zip", "size": 5_000_000, "contentType": "application/zip",
        "isInline": False, "contentId": "c",
    }  # fmt: skip


async def test_a_file_that_is_too_small_for_a_session_is_wanted_whole(service: Service, drafts: "Drafts") -> None:
    says(service, 400, error("ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"))
    assert await drafts.open_session(BOX, "AAMk1=", FileItem(name="a", size=1)) is None


async def test_the_names_of_all_pages_are_those_of_the_draft(service: Service, drafts: "Drafts") -> None:
    following = f"{service.base_url}/users/x/messages/y/attachments?$skip=2"
    says(service, 200, {"value": [{"name": "a"}, {"name": None}], "@odata.nextLink": following})
    says(service, 200, {"value": [{"id": "1", "name": "b", "size": 7}]})
    assert await drafts.names(BOX, "AAMk1=") == ["a", "", "b"]
    assert "skip" in service.requests[1].line


async def test_the_marker_finds_drafts_only(service: Service, drafts: "Drafts") -> None:
    says(service, 200, {"value": [{**DRAFT, "isDraft": False}, DRAFT]})
    assert await drafts.find(BOX, "String {x} Name MailroomId", "1") == [Draft("AAMk1=", is_draft=True, folder="F")]


async def test_a_message_is_looked_at_be_it_still_a_draft_or_not_there(service: Service, drafts: "Drafts") -> None:
    says(service, 200, {**DRAFT, "isDraft": False})
    says(service, 404, error("ErrorItemNotFound"))
    assert await drafts.read(BOX, "AAMk1=") == Draft("AAMk1=", is_draft=False, folder="F")
    assert await drafts.read(BOX, "AAMk1=") is None


async def test_what_is_gone_is_deleted(service: Service, drafts: "Drafts") -> None:
    says(service, 204)
    says(service, 404, error("ErrorItemNotFound"))
    await drafts.delete(BOX, "AAMk1=")
    await drafts.delete(BOX, "AAMk1=")
    assert [request.line.split()[0] for request in service.requests] == ["DELETE", "DELETE"]


MET = {
    "no permission": (403, "ErrorAccessDenied", Rejected(403, "ErrorAccessDenied", "permission", "m")),
    "not this mail": (400, "ErrorInvalidRecipients", Rejected(400, "ErrorInvalidRecipients", "permanent", "m")),
    "too large": (413, "RequestEntityTooLarge", Rejected(413, "RequestEntityTooLarge", "permanent", "m")),
    "throttled": (429, "TooManyRequests", Throttled(None, 429, "TooManyRequests")),
    "an outage": (503, "ErrorServerBusy", Interrupted("draft", 503, "ErrorServerBusy")),
    "a conflict": (409, "ErrorIrresolvableConflict", Interrupted("draft", 409, "ErrorIrresolvableConflict")),
    "202": (202, None, Interrupted("draft", 202)),
    "a redirect": (302, None, Interrupted("draft", 302)),
}


@pytest.mark.parametrize(("status", "code", "outcome"), MET.values(), ids=MET)
async def test_what_a_request_that_only_prepares_has_met_is_never_unknown(
    service: Service, drafts: "Drafts", status: int, code: str | None, outcome: Any
) -> None:
    says(service, status, error(code) if code else None)
    with pytest.raises(Stopped) as caught:
        await drafts.add(BOX, "AAMk1=", attachment_to_sdk(FileAttachment(name="a", content_bytes=b"")))
    met = caught.value.outcome
    if isinstance(met, Rejected):
        assert (met.status, met.code, met.kind) == (outcome.status, outcome.code, outcome.kind)
    else:
        assert met == outcome


async def test_a_mailbox_that_is_not_there_is_for_ever_and_a_draft_that_is_gone_is_not(
    service: Service, drafts: "Drafts"
) -> None:
    for _ in range(2):
        says(service, 404, error("ErrorInvalidUser"))
    with pytest.raises(Stopped) as caught:
        await drafts.create(BOX, to_sdk(Message()))
    assert isinstance(caught.value.outcome, Rejected)
    with pytest.raises(Stopped) as caught:
        await drafts.names(BOX, "AAMk1=")
    assert isinstance(caught.value.outcome, Interrupted)


async def test_a_broken_connection_or_no_answer_in_time_is_an_interruption(
    service: Service, connection: GraphConnection
) -> None:
    from shared.graph.drafts import Drafts

    service.say(201, body=b"{}", cut=10)
    service.say(201, body=b"{}", delay=5)
    for _ in range(2):
        with pytest.raises(Stopped) as caught:
            await Drafts(connection, 0.5).create(BOX, to_sdk(Message()))
        assert isinstance(caught.value.outcome, Interrupted)


async def test_sending_asks_once_and_leaves_open_what_is_open(service: Service, drafts: "Drafts") -> None:
    says(service, 202)
    says(service, 503, error("ErrorServerBusy"))
    says(service, 404, error("ErrorItemNotFound"))
    assert isinstance(await drafts.send(BOX, "AAMk1=", lambda: True), Accepted)
    assert isinstance(await drafts.send(BOX, "AAMk1=", lambda: True), Unknown)
    gone = await drafts.send(BOX, "AAMk1=", lambda: True)
    assert isinstance(gone, Unknown)
    assert gone.reason == "draft-gone"  # it may have been sent before
    assert {request.line for request in service.requests} == {f"POST {ONE}/send HTTP/1.1"}
    assert await drafts.send(BOX, "AAMk1=", lambda: False) == NotConnected("lease")
    assert len(service.requests) == 3
