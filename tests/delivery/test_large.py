"""Large mails, step by step: what the draft becomes, what the row remembers, and who goes on after whom."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from shared.delivery.engine import Engine
from shared.delivery.large import LargeMails
from shared.delivery.ledger import partition
from shared.delivery.maintenance import Maintenance
from shared.delivery.queue_messages import work_of
from shared.delivery.row import Row
from shared.delivery.worker import Worker
from shared.graph.outcome import Accepted, Draft, FileItem, Interrupted, Outcome, Stopped, Throttled, Unknown
from shared.graph.upload import Uploaded
from shared.mail.graph_types import EmailAddress, Recipient
from shared.mail.model import Attachment, BlobAttachment, FileAttachment
from shared.mail.outgoing import OutgoingMail
from shared.settings.config import Settings
from tests.delivery.memory import MemoryFiles
from tests.delivery.samples import ACCEPTED, BAD_RECIPIENT, NO_PERMISSION, SENDER, Office, outgoing_mail

BIG = b"big" * 1_400_000
REFERENCE = BlobAttachment(name="big", blob="mail-attachments/big", size=len(BIG), etag="1")
SMALL = FileAttachment(name="small", content_bytes=b"small")
MAIL = "0" * 32


@dataclass
class Mailbox:
    """Drafts in memory: box and uploader in one. trouble: what the next request of a name meets."""

    drafts: dict[str, dict[str, Any]] = field(default_factory=dict)
    sent: list[dict[str, Any]] = field(default_factory=list)
    trouble: dict[str, Outcome] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    smallest: int = 0  # of an upload session
    outcomes: list[Outcome] = field(default_factory=list)  # of sending
    folder: str = "drafts"  # where its drafts are when they are looked at

    def _meet(self, name: str, mailbox: str) -> None:
        self.asked.append(name)
        if name in self.trouble:
            raise Stopped(self.trouble.pop(name))

    async def create(self, mailbox: str, message: Any) -> Draft:
        made = {
            "mailbox": mailbox,
            "to": [one.email_address.address for one in message.to_recipients],
            "marker": message.single_value_extended_properties[0].value,
            "files": {one.name: one.content_bytes for one in message.attachments or ()},
        }
        name = f"draft {len(self.asked)}"
        if "create, and lose the answer" in self.trouble:
            self.drafts[name] = made
        self._meet("create, and lose the answer", mailbox)
        self._meet("create", mailbox)
        self.drafts[name] = made
        return Draft(name, is_draft=True, folder="drafts")

    async def find(self, mailbox: str, property_id: str, value: str) -> list[Draft]:
        self._meet("find", mailbox)
        return [Draft(name, is_draft=True, folder="drafts") for name in self.drafts if self._has(mailbox, name)]

    def _has(self, mailbox: str, draft: str) -> bool:
        return self.drafts.get(draft, {}).get("mailbox") == mailbox

    async def read(self, mailbox: str, draft: str) -> Draft | None:
        self._meet("look", mailbox)
        return Draft(draft, is_draft=True, folder=self.folder) if self._has(mailbox, draft) else None

    async def names(self, mailbox: str, draft: str) -> list[str]:
        self._meet("names", mailbox)
        return list(self.drafts[draft]["files"])

    async def add(self, mailbox: str, draft: str, attachment: Any) -> None:
        self._meet("add", mailbox)
        self.drafts[draft]["files"][attachment.name] = attachment.content_bytes

    async def open_session(self, mailbox: str, draft: str, file: FileItem) -> str | None:
        self._meet("session", mailbox)
        return None if file.size < self.smallest else f"{draft}/{file.name}"

    async def upload(
        self,
        url: str,
        size: int,
        read: Callable[[int, int], Awaitable[bytes]],
        stay: Callable[[], Awaitable[None]],
    ) -> Uploaded:
        self._meet("upload", "")
        content = b"".join([await read(start, min(1000_000, size - start)) for start in range(0, size, 1000_000)])
        draft, _, name = url.partition("/")
        self.drafts[draft]["files"][name] = content
        return Uploaded.WHOLE

    async def send(self, mailbox: str, draft: str, still_ours: Callable[[], bool]) -> Outcome:
        self.asked.append("send")
        outcome = self.outcomes.pop(0) if self.outcomes else ACCEPTED
        if isinstance(outcome, Accepted):
            self.sent.append(self.drafts.pop(draft))
        return outcome

    async def delete(self, mailbox: str, draft: str) -> None:
        self._meet("delete", mailbox)
        self.drafts.pop(draft, None)


@dataclass
class LargeOffice(Office):
    """With a mailbox that has drafts."""

    settings: Settings = field(default_factory=lambda: Settings(large_attachments=True))
    mailbox: Mailbox = field(default_factory=Mailbox)
    files: MemoryFiles = field(init=False)

    def __post_init__(self) -> None:
        self.files = MemoryFiles(self.outbox)
        self.files.blobs["mail-attachments/big"] = (BIG, "1")

    @property
    def engine(self) -> Engine:
        async def look(row: Row) -> Any:
            return "sent" if self.mailbox.sent else "absent"

        box: Any = self.mailbox
        engine = super().engine
        return replace(engine, mailer=replace(engine.mailer, drafts=lambda: LargeMails(box, box, self.files, look)))

    async def deliver(self, made: OutgoingMail | None = None) -> None:
        made = made or large()
        await Worker(self.engine).deliver(work_of(made), made)

    async def deliver_next(self) -> None:
        due, work = self.outbox.messages.pop(0)
        self.clock.at = max(self.clock.at, due)
        await Worker(self.engine).deliver(work)


def large(*attachments: Attachment, sender: str = SENDER) -> OutgoingMail:
    made = outgoing_mail()
    message = msgspec.structs.replace(made.request.message, attachments=attachments or (SMALL, REFERENCE))
    return replace(made, sender=sender, request=msgspec.structs.replace(made.request, message=message))


WHOLE = {"small": b"small", "big": BIG}


async def test_a_large_mail_is_one_draft_with_all_its_files_then_sent() -> None:
    office = LargeOffice()
    await office.deliver()
    [sent] = office.mailbox.sent
    assert sent["files"] == WHOLE
    assert sent["marker"] == MAIL
    assert (await office.row()).state == "sent"
    assert office.mailbox.drafts == {}
    assert office.outbox.messages == []
    assert office.graph.sent == []  # no sendMail beside it


@pytest.mark.parametrize("step", ["create", "create, and lose the answer", "session", "upload", "names"])
async def test_what_an_attempt_had_done_the_next_one_goes_on_from(step: str) -> None:
    """One draft, whatever step was interrupted."""
    office = LargeOffice(mailbox=Mailbox(trouble={step: Interrupted("draft", 503)}))
    await office.deliver()
    row = await office.row()
    assert (row.state, row.attempts, row.code) == ("accepted", 1, "draft")
    assert not row.may_have_gone
    await office.deliver_next()
    [sent] = office.mailbox.sent
    assert sent["files"] == WHOLE
    assert office.mailbox.drafts == {}
    # Counted under its first name in this mailbox.
    assert office.mailbox.asked.count("create, and lose the answer") == (2 if step == "create" else 1)


async def test_a_draft_made_for_other_recipients_is_not_sent() -> None:
    """They were redirected between two attempts, say."""
    office = LargeOffice(mailbox=Mailbox(trouble={"session": Interrupted("draft", 503)}))
    await office.deliver()
    office.outbox.messages.clear()
    changed = large()
    other = (Recipient(email_address=EmailAddress(address="test@contoso.com")),)
    message = msgspec.structs.replace(changed.request.message, to_recipients=other)
    office.clock.move(minutes=5)
    await office.deliver(replace(changed, request=msgspec.structs.replace(changed.request, message=message)))
    [sent] = office.mailbox.sent
    assert sent["to"] == ["test@contoso.com"]
    assert office.mailbox.drafts == {}


async def test_a_draft_that_somebody_has_changed_is_not_sent() -> None:
    office = LargeOffice(mailbox=Mailbox(trouble={"session": Interrupted("draft", 503)}))
    await office.deliver()
    [draft] = office.mailbox.drafts.values()
    draft["files"]["another"] = b""
    await office.deliver_next()
    [sent] = office.mailbox.sent
    assert sent["files"] == WHOLE
    assert office.mailbox.drafts == {}


async def test_a_draft_in_which_a_file_is_exchanged_while_it_is_filled_is_not_sent() -> None:
    office = LargeOffice()
    original = office.mailbox.upload

    async def exchanged(url: str, size: int, read: Any, stay: Callable[[], Awaitable[None]]) -> Uploaded:
        uploaded = await original(url, size, read, stay)
        draft, _, name = url.partition("/")
        files = office.mailbox.drafts[draft]["files"]
        files["another"] = files.pop(name)
        office.mailbox.upload = original  # type: ignore[method-assign]
        return uploaded

    office.mailbox.upload = exchanged  # type: ignore[method-assign]
    await office.deliver()
    assert office.mailbox.sent == []
    await office.deliver_next()
    [sent] = office.mailbox.sent
    assert sent["files"] == WHOLE


async def test_a_mail_of_a_pool_stays_with_the_mailbox_that_has_its_draft() -> None:
    settings = Settings(large_attachments=True, sender_pools={"team": ("a@contoso.com", "b@contoso.com")})
    office = LargeOffice(settings=settings, mailbox=Mailbox(trouble={"session": Throttled(60)}))
    await office.deliver(large(sender="team"))
    first = (await office.row()).mailbox
    swapped = replace(settings, sender_pools={"team": ("b@contoso.com", "a@contoso.com")})
    office.settings = swapped  # now the other one is free soonest
    office.clock.move(minutes=5)
    await office.deliver(large(sender="team"))  # the producer's message came again; it knows of no mailbox
    [sent] = office.mailbox.sent
    assert sent["mailbox"] == first
    assert office.mailbox.drafts == {}


async def test_an_unknown_send_waits_for_its_last_look_and_sends_the_same_draft() -> None:
    office = LargeOffice(mailbox=Mailbox(outcomes=[Unknown("timeout")]))
    await office.deliver()
    assert (await office.row()).state == "unknown"
    for _ in office.settings.verify_delays[:-1]:
        await office.deliver_next()
        assert (await office.row()).state == "unknown"
    await office.deliver_next()
    assert (await office.row()).state == "sent"
    assert office.mailbox.asked.count("create") == 1
    assert office.mailbox.asked.count("send") == 2


async def test_after_an_unknown_send_a_draft_in_another_folder_is_on_its_way_and_not_sent_again() -> None:
    office = LargeOffice(mailbox=Mailbox(outcomes=[Unknown("timeout")]))
    await office.deliver()
    office.mailbox.folder = "outbox"
    for _ in range(2 * len(office.settings.verify_delays)):
        await office.deliver_next()
        assert (await office.row()).state == "unknown"
    office.mailbox.sent.append(office.mailbox.drafts.popitem()[1])
    await office.deliver_next()
    assert (await office.row()).state == "sent"
    assert office.mailbox.asked.count("send") == 1


async def test_after_an_unknown_send_a_draft_that_is_gone_is_looked_for_by_its_marker() -> None:
    office = LargeOffice(mailbox=Mailbox(outcomes=[Unknown("timeout")]))
    await office.deliver()
    office.mailbox.sent.append(office.mailbox.drafts.popitem()[1])
    await office.deliver_next()
    assert (await office.row()).state == "sent"
    assert office.mailbox.asked.count("send") == 1


async def test_a_claim_that_ran_out_before_sending_was_asked_for_need_not_wait() -> None:
    """A process died in the middle of an upload: nothing of it can have been sent."""
    office = LargeOffice(mailbox=Mailbox(trouble={"session": Interrupted("draft", 503)}))
    await office.deliver()
    row = await office.row()
    await office.ledger.write(replace(row, state="sending", lease_until=office.clock.now()))
    office.clock.move(minutes=1)
    await office.deliver_next()
    row = await office.row()
    assert (row.state, row.verifications) == ("sent", 0)
    assert office.mailbox.asked.count("create") == 1


@pytest.mark.parametrize("step", ["create", "session", "upload", "send"])
async def test_a_refusal_leaves_no_draft(step: str) -> None:
    outcomes: list[Outcome] = [BAD_RECIPIENT] if step == "send" else []
    office = LargeOffice(mailbox=Mailbox(trouble={step: BAD_RECIPIENT}, outcomes=outcomes))
    await office.deliver()
    row = await office.row()
    assert (row.state, row.code, row.progress) == ("failed", "ErrorInvalidRecipients", None)
    assert office.mailbox.drafts == {}
    assert MAIL in office.outbox.dead


async def test_a_missing_permission_is_the_operators_business_and_tried_again() -> None:
    office = LargeOffice(mailbox=Mailbox(trouble={"create": NO_PERMISSION}))
    await office.deliver()
    row = await office.row()
    assert (row.state, row.status, row.code) == ("accepted", 403, "ErrorAccessDenied")


async def test_a_draft_that_cannot_be_deleted_now_is_deleted_by_upkeep() -> None:
    office = LargeOffice(mailbox=Mailbox(trouble={"delete": Interrupted("draft", 503)}, outcomes=[BAD_RECIPIENT]))
    await office.deliver()
    assert (await office.row()).progress is not None
    assert len(office.mailbox.drafts) == 1
    number = int(partition(MAIL), 16)
    await Maintenance(office.engine).run(range(number, number + 1))
    assert (await office.row()).progress is None
    assert office.mailbox.drafts == {}


async def test_the_draft_of_a_cancelled_mail_goes_with_its_message() -> None:
    office = LargeOffice(mailbox=Mailbox(trouble={"session": Throttled(60)}))
    await office.deliver()
    row = await office.row()
    await office.ledger.write(replace(row, state="cancelled", settled_at=office.clock.now()))
    await office.deliver_next()
    assert office.mailbox.drafts == {}
    assert (await office.row()).progress is None


async def test_a_file_that_has_changed_fails_the_mail() -> None:
    office = LargeOffice()
    office.files.blobs["mail-attachments/big"] = (BIG, "2")
    await office.deliver()
    row = await office.row()
    assert (row.state, row.code) == ("failed", "AttachmentChanged")
    assert office.mailbox.sent == []
    assert office.mailbox.drafts == {}
    assert MAIL in office.outbox.dead


async def test_a_file_that_graph_wants_whole_is_added_whole() -> None:
    """Where a session begins is documented in round figures."""
    office = LargeOffice(mailbox=Mailbox(smallest=len(BIG) + 1))
    await office.deliver()
    assert office.mailbox.sent[0]["files"] == WHOLE
    assert "upload" not in office.mailbox.asked


async def test_a_long_upload_renews_its_claim() -> None:
    office = LargeOffice()
    original = office.mailbox.upload

    async def slowly(url: str, size: int, read: Any, stay: Callable[[], Awaitable[None]]) -> Uploaded:
        for _ in range(10):
            office.clock.move(seconds=20)
            await stay()
            held = await office.row()
            assert held.lease_until
            assert held.lease_until - office.clock.now() >= timedelta(
                seconds=45
            )  # a whole request, and half the margin
        return await original(url, size, read, stay)

    office.mailbox.upload = slowly  # type: ignore[method-assign]
    await office.deliver()
    assert (await office.row()).state == "sent"


async def test_a_mail_that_waits_while_large_attachments_are_switched_off_fails_with_its_files_kept() -> None:
    office = LargeOffice(settings=Settings())
    await office.deliver()
    row = await office.row()
    assert (row.state, row.status, row.code) == ("failed", 413, "LargeAttachmentsOff")
    assert MAIL in office.outbox.dead
    assert office.mailbox.asked == []


async def test_but_one_whose_draft_is_there_is_brought_to_its_end() -> None:
    office = LargeOffice(mailbox=Mailbox(trouble={"session": Throttled(60)}))
    await office.deliver()
    office.settings = Settings()
    await office.deliver_next()
    assert (await office.row()).state == "sent"


async def test_interruptions_count_and_end() -> None:
    """They are answers of Graph, so the bound holds for them."""
    office = LargeOffice(settings=Settings(large_attachments=True, max_attempts=3))
    for _ in range(3):
        office.mailbox.trouble["create"] = Interrupted("draft", 503, "ErrorServerBusy")
        await (office.deliver_next() if office.outbox.messages else office.deliver())
    row = await office.row()
    assert (row.state, row.attempts, row.code) == ("failed", 3, "ErrorServerBusy")
    assert row.settled_at
    assert row.settled_at - row.accepted_at < timedelta(hours=1)
