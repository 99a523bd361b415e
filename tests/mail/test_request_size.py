"""How a mail gets into a draft, and which ones cannot."""

from typing import Any

import pytest

from shared.errors import Malformed
from shared.mail import limits
from shared.mail.graph_types import EmailAddress, ItemBody, Recipient
from shared.mail.model import Attachment, BlobAttachment, Event, FileAttachment, ItemAttachment, Message, SendMail
from shared.mail.request_size import MAX_FILES, check_sizes, needs_draft, plan_of

TO = (Recipient(email_address=EmailAddress(address="a@b.test")),)


def message(*attachments: Attachment, body: str = "") -> Message:
    return Message(body=ItemBody(content=body), to_recipients=TO, attachments=attachments or None)


def blob(size: int, name: str = "b") -> BlobAttachment:
    return BlobAttachment(name=name, blob="mail-attachments/b", size=size, etag="1")


def file(size: int, name: str = "f") -> FileAttachment:
    return FileAttachment(name=name, content_bytes=bytes(size))


def test_a_mail_that_fits_into_one_request_needs_no_draft() -> None:
    """Wherever its files lie: one in a blob counts as what it will be in the request."""
    assert not needs_draft(SendMail(message=message(file(2_900_000))))
    assert needs_draft(SendMail(message=message(file(3_000_000))))
    largest = (
        next(size for size in range(2_999_000, 3_000_001) if needs_draft(SendMail(message=message(file(size))))) - 1
    )
    assert not needs_draft(SendMail(message=message(blob(largest, "f"))))
    assert needs_draft(SendMail(message=message(blob(largest + 1, "f"))))


def test_the_draft_takes_what_fits_in_order_and_the_rest_follows_in_order() -> None:
    attachments = (file(1000, "a"), blob(5_000_000, "b"), file(1_500_000, "c"), blob(1_600_000, "d"), file(10, "e"))
    plan = plan_of(message(*attachments))
    assert [one.name for one in plan.first.attachments or ()] == ["a", "c", "e"]
    assert [one.name for one in plan.rest] == ["b", "d"]
    assert plan.names == ["a", "c", "e", "b", "d"]
    assert limits.json_size(plan.first) <= limits.MAX_REQUEST


@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize("spare", [0, -1])
def test_the_request_that_makes_the_draft_is_within_the_limit_to_the_byte(spare: int, files: int) -> None:
    attachments = [file(0)] * files
    around = limits.json_size(message(*attachments)) + spare
    plan = plan_of(message(*attachments, body="." * (limits.MAX_REQUEST - around)))
    assert len(plan.first.attachments or ()) == files + spare
    assert limits.json_size(plan.first) <= limits.MAX_REQUEST


def test_a_draft_of_large_files_only_has_none_at_first() -> None:
    assert plan_of(message(blob(9_000_000))).first.attachments is None


def refused(mail: SendMail, *, large: bool = True) -> Malformed:
    with pytest.raises(Malformed) as caught:
        check_sizes(mail, large=large)
    return caught.value


def test_without_the_setting_the_refusal_names_it_and_the_permission() -> None:
    refusal = refused(SendMail(message=message(blob(5_000_000))), large=False)
    assert (refusal.status, refusal.code) == (413, "RequestEntityTooLarge")
    assert "MAIL_LARGE_ATTACHMENTS" in str(refusal)
    assert "Mail.ReadWrite" in str(refusal)


TOO_LARGE: dict[str, tuple[tuple[Attachment, ...], str]] = {
    "a file": ((file(1), blob(MAX_FILES + 1)), "$.message.attachments[1]"),
    "all files": ((blob(80_000_000), blob(70_000_001)), "$.message.attachments[1]"),
    "an attached item": (
        (ItemAttachment(name="i", item=Event(subject="x" * limits.MAX_REQUEST)),),
        "$.message.attachments[0]",
    ),
}


@pytest.mark.parametrize(("attachments", "path"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_what_no_draft_can_carry_is_refused_with_its_place(attachments: Any, path: str) -> None:
    refusal = refused(SendMail(message=message(*attachments)))
    assert (refusal.status, refusal.path) == (413, path)


def test_a_body_that_is_too_large_is_not_for_its_attachments() -> None:
    refusal = refused(SendMail(message=message(file(1), body="x" * limits.MAX_REQUEST)))
    assert (refusal.status, refusal.path) == (413, "$")
    assert "MAIL_LARGE_ATTACHMENTS" not in str(refusal)


def test_a_large_mail_that_is_not_to_be_kept_is_refused() -> None:
    """What is sent as a draft is always kept, and nothing is changed silently."""
    refusal = refused(SendMail(message=message(blob(5_000_000)), save_to_sent_items=False))
    assert (refusal.status, refusal.path) == (400, "$.saveToSentItems")


def test_the_largest_that_may_go_goes() -> None:
    check_sizes(SendMail(message=message(blob(MAX_FILES))), large=True)
