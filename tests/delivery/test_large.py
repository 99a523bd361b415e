"""Large mails, step by step: what the draft becomes, what the row remembers, and who goes on after whom."""

from collections.abc import Awaitable, Callable
from copy import replace
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from shared.delivery.cancel_replay_retry import Cannot
from shared.delivery.engine import Engine
from shared.delivery.large import LargeMails
from shared.delivery.queue import Kept
from shared.delivery.retries import ended
from shared.delivery.row import Row
from shared.graph.outcome import Accepted, Draft, FileItem, Interrupted, Outcome, Stopped, Throttled, Unknown
from shared.graph.upload import Uploaded
from shared.mail.graph_types import EmailAddress, Recipient
from shared.mail.model import BlobAttachment, FileAttachment
from shared.mail.outgoing import OutgoingMail
from shared.settings.config import Settings
from tests.delivery.memory import MemoryFiles
from tests.delivery.samples import ACCEPTED, BAD_RECIPIENT, MAIL, SENDER, Office, outgoing_mail

UNAVAILABLE = Interrupted("draft", 503)
BIG = b"big" * 1_400_000
REFERENCE = BlobAttachment(name="big", blob="mail-attachments/big", size=len(BIG), etag="1")
SMALL = FileAttachment(name="small", content_bytes=b"small")


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

    async def deliver(self, mail: OutgoingMail | None = None, **changes: Any) -> None:
        await super().deliver(mail or large(), **changes)

    def one_whole(self) -> dict[str, Any]:
        """The one mail that was sent, with all its files; and no draft is left."""
        [sent] = self.mailbox.sent
        assert (sent["files"], self.mailbox.drafts) == (WHOLE, {})
        return sent

    async def outcome(self) -> tuple[str, int | None, str | None]:
        row = await self.row()
        return row.state, row.status, row.code


def large(*, sender: str = SENDER, **message: Any) -> OutgoingMail:
    return replace(outgoing_mail(attachments=(SMALL, REFERENCE), **message), sender=sender)


def interrupted(step: str, outcome: Outcome = UNAVAILABLE, **mailbox: Any) -> LargeOffice:
    """An office whose mailbox fails once at this step."""
    return LargeOffice(mailbox=Mailbox(trouble={step: outcome}, **mailbox))


WHOLE = {"small": b"small", "big": BIG}


async def test_a_large_mail_is_one_draft_with_all_its_files_then_sent() -> None:
    office = LargeOffice()
    await office.deliver()
    assert office.one_whole()["marker"] == MAIL
    assert await office.end() == ("sent", []), "no sendMail beside it"
    assert office.outbox.messages == []


@pytest.mark.parametrize("step", ["create", "create, and lose the answer", "session", "upload", "names"])
async def test_what_an_attempt_had_done_the_next_one_goes_on_from(step: str) -> None:
    """One draft, whatever step was interrupted."""
    office = interrupted(step)
    await office.deliver()
    row = await office.row()
    assert (row.state, row.attempts, row.code, row.may_have_gone) == ("accepted", 1, "draft", False)
    await office.deliver_next()
    office.one_whole()
    # Counted under its first name in this mailbox.
    assert office.mailbox.asked.count("create, and lose the answer") == (2 if step == "create" else 1)


async def test_a_draft_made_for_other_recipients_is_not_sent() -> None:
    """They were redirected between two attempts, say."""
    office = interrupted("session")
    await office.deliver()
    office.outbox.messages.clear()
    office.clock.move(minutes=5)
    other = (Recipient(email_address=EmailAddress(address="test@contoso.com")),)
    changed = replace(large(to_recipients=other), fingerprint=large().fingerprint)
    await office.deliver(changed)
    assert office.one_whole()["to"] == ["test@contoso.com"]


async def test_a_draft_that_somebody_has_changed_is_not_sent() -> None:
    office = interrupted("session")
    await office.deliver()
    [draft] = office.mailbox.drafts.values()
    draft["files"]["another"] = b""
    await office.deliver_next()
    office.one_whole()


async def test_a_draft_in_which_a_file_is_exchanged_while_it_is_filled_is_not_sent() -> None:
    office = LargeOffice()
    original = office.mailbox.upload

    async def exchanged(url: str, *given: Any) -> Uploaded:
        uploaded = await original(url, *given)
        draft, _, name = url.partition("/")
        files = office.mailbox.drafts[draft]["files"]
        files["another"] = files.pop(name)
        del vars(office.mailbox)["upload"]
        return uploaded

    vars(office.mailbox)["upload"] = exchanged
    await office.deliver()
    assert office.mailbox.sent == []
    await office.deliver_next()
    office.one_whole()


async def test_a_mail_of_a_pool_stays_with_the_mailbox_that_has_its_draft() -> None:
    settings = Settings(large_attachments=True, sender_pools={"team": ("a@contoso.com", "b@contoso.com")})
    office = LargeOffice(settings=settings, mailbox=Mailbox(trouble={"session": Throttled(60)}))
    await office.deliver(large(sender="team"))
    first = (await office.row()).mailbox
    # Now the other one is free soonest.
    office.settings = replace(settings, sender_pools={"team": ("b@contoso.com", "a@contoso.com")})
    office.clock.move(minutes=5)
    await office.deliver(large(sender="team"))  # the producer's message came again; it knows of no mailbox
    assert office.one_whole()["mailbox"] == first


async def test_an_unknown_send_waits_for_its_last_look_and_sends_the_same_draft() -> None:
    office = LargeOffice(mailbox=Mailbox(outcomes=[Unknown("timeout")]))
    await office.deliver()
    for _ in office.settings.verify_delays:
        assert (await office.row()).state == "unknown"
        await office.deliver_next()
    assert (await office.row()).state == "sent"
    assert [office.mailbox.asked.count(step) for step in ("create", "send")] == [1, 2]


async def test_a_second_draft_does_not_let_an_operator_send_what_the_first_attempt_may_have_sent() -> None:
    office = LargeOffice(mailbox=Mailbox(outcomes=[Unknown("timeout")]))
    await office.deliver()
    row = ended(replace(await office.row(), resends=1), "review", office.clock.now())
    row = await office.engine.end(row, Kept.of(large(), row))
    found = await office.control.replay(row)
    assert isinstance(found, Cannot)
    assert found.reason == "cannot-be-asked"


@pytest.mark.parametrize("looks", [0, 6])
async def test_after_an_unknown_send_a_draft_in_another_folder_is_on_its_way_and_not_sent_again(looks: int) -> None:
    """When it is gone, it is looked for by its marker."""
    office = LargeOffice(mailbox=Mailbox(outcomes=[Unknown("timeout")]))
    await office.deliver()
    office.mailbox.folder = "outbox"
    for _ in range(looks):
        await office.deliver_next()
        assert (await office.row()).state == "unknown"
    office.mailbox.sent.append(office.mailbox.drafts.popitem()[1])
    await office.deliver_next()
    assert (await office.row()).state == "sent"
    assert office.mailbox.asked.count("send") == 1


async def test_a_claim_that_ran_out_before_sending_was_asked_for_need_not_wait() -> None:
    """A process died in the middle of an upload: nothing of it can have been sent."""
    office = interrupted("session")
    await office.deliver()
    await office.ledger.write(replace(await office.row(), state="sending", lease_until=office.clock.now()))
    office.clock.move(minutes=1)
    await office.deliver_next()
    row = await office.row()
    assert (row.state, row.verifications, office.mailbox.asked.count("create")) == ("sent", 0, 1)


@pytest.mark.parametrize("step", ["create", "session", "upload", "send"])
async def test_a_refusal_leaves_no_draft(step: str) -> None:
    office = interrupted(step, BAD_RECIPIENT, outcomes=[BAD_RECIPIENT] if step == "send" else [])
    await office.deliver()
    row = await office.row()
    assert (row.state, row.code, row.progress) == ("failed", "ErrorInvalidRecipients", None)
    assert office.mailbox.drafts == {}
    assert MAIL in office.outbox.dead


async def test_a_draft_that_cannot_be_deleted_now_is_deleted_by_maintenance() -> None:
    office = interrupted("delete", outcomes=[BAD_RECIPIENT])
    await office.deliver()
    for left in (True, False):
        assert ((await office.row()).progress is not None, len(office.mailbox.drafts)) == (left, left)
        await office.maintain()


async def test_the_draft_of_a_cancelled_mail_goes_with_its_message() -> None:
    office = interrupted("session", Throttled(60))
    await office.deliver()
    await office.ledger.write(replace(await office.row(), state="cancelled", settled_at=office.clock.now()))
    await office.deliver_next()
    assert (office.mailbox.drafts, (await office.row()).progress) == ({}, None)


async def test_a_file_that_has_changed_fails_the_mail() -> None:
    office = LargeOffice()
    office.files.blobs["mail-attachments/big"] = (BIG, "2")
    await office.deliver()
    assert await office.outcome() == ("failed", 400, "AttachmentChanged")
    assert (office.mailbox.sent, office.mailbox.drafts, [*office.outbox.dead]) == ([], {}, [MAIL])


async def test_a_file_that_graph_wants_whole_is_added_whole() -> None:
    """Where a session begins is documented in round figures."""
    office = LargeOffice(mailbox=Mailbox(smallest=len(BIG) + 1))
    await office.deliver()
    office.one_whole()
    assert "upload" not in office.mailbox.asked


async def test_a_long_upload_renews_its_claim() -> None:
    office = LargeOffice()
    original = office.mailbox.upload

    async def slowly(url: str, size: int, read: Any, stay: Callable[[], Awaitable[None]]) -> Uploaded:
        for _ in range(10):
            office.clock.move(seconds=20)
            await stay()
            until = (await office.row()).lease_until
            assert until
            assert until - office.clock.now() >= timedelta(seconds=45), "a whole request, and half the margin"
        return await original(url, size, read, stay)

    vars(office.mailbox)["upload"] = slowly
    await office.deliver()
    assert (await office.row()).state == "sent"


async def test_a_mail_that_waits_while_large_attachments_are_switched_off_fails_with_its_files_kept() -> None:
    office = LargeOffice(settings=Settings())
    await office.deliver()
    assert await office.outcome() == ("failed", 413, "LargeAttachmentsOff")
    assert ([*office.outbox.dead], office.mailbox.asked) == ([MAIL], [])


async def test_but_one_whose_draft_is_there_is_brought_to_its_end() -> None:
    office = interrupted("session", Throttled(60))
    await office.deliver()
    office.settings = Settings()
    await office.deliver_next()
    assert (await office.row()).state == "sent"
