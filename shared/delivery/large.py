"""Sends large mails: creates a draft with a marker, uploads its files one by one, then sends the draft.

After a crash the next attempt continues. The row's `progress` records each step that must not be taken twice, before
it is taken:

    made, doubt          the draft is about to be created; if the answer is lost, its marker finds it
    draft, folder, made  the draft exists. Its attachments show how far the upload has come. A file whose upload had
                         begun is uploaded again: an upload URL is a secret, so it is not stored
    asked                Graph is about to be asked to send the draft; from now on only the mailbox knows

If the draft holds another message (because its recipients were redirected since, for example) or unexpected
attachments, it is deleted and created again. A draft is sent only when it has every attachment.

If the outcome of `send` is unknown and the draft is still where it was created, it has not been sent yet. It is checked
again after each delay, and sent after the last one. If the draft is gone, the mailbox is searched for the marker, as
for every mail.
"""

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from azure.core.exceptions import AzureError

from shared.delivery.lease import Lease
from shared.delivery.ledger import Conflict
from shared.delivery.row import Row
from shared.delivery.verification import Finding
from shared.graph.outcome import FileItem, Interrupted, NotConnected, Outcome, Rejected, Stopped, Unanswered
from shared.graph.upload import Uploaded
from shared.mail.marker import MARKER_PROPERTY, with_marker
from shared.mail.model import Attachment, BlobAttachment, FileAttachment, ItemAttachment, Message
from shared.mail.outgoing import OutgoingMail
from shared.mail.sdk_message import attachment_to_sdk, to_sdk
from shared.mail.sizes import DraftPlan, file_size, in_one_request, plan_of
from shared.mail.threading import threaded
from shared.storage.files import FileGone, Files, filled

if TYPE_CHECKING:
    from shared.graph.drafts import Drafts
    from shared.graph.upload import Uploader

SESSIONS: Final = 2  # for one file in one attempt


class _DraftProgress(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """As it stands in the row. made: what the draft was made of. doubt: there may be another one, of a lost answer."""

    draft: str | None = None
    folder: str = ""
    made: str = ""
    doubt: bool = False
    asked: bool = False


@dataclass(frozen=True, slots=True)
class LargeMails:
    """One for a process. find: searches for the marker where a draft is gone."""

    box: "Drafts"
    uploader: "Uploader"
    files: Files
    find: Callable[[Row], Awaitable[Finding]]

    async def send(self, mail: OutgoingMail, claim: Lease) -> Outcome:
        """Send a mail by way of a draft, under a claim; goes on with the draft that there is.

        Raises Conflict when the claim was lost: another one goes on.
        """
        plan = plan_of(with_marker(threaded(mail).message, mail.id))
        try:
            progress = await self._draft(mail, plan, claim)
            await self._fill(plan, progress, claim)
            return await self._send(mail, progress, claim)
        except Stopped as stopped:
            return stopped.outcome
        except FileGone as gone:
            return Rejected(400, gone.code, "permanent", str(gone))
        except AzureError:
            return NotConnected("storage")

    async def verify(self, row: Row) -> Finding:
        """Whether a mail has gone that was to be sent by way of a draft. Never raises."""
        seen = _read(row)
        if not seen.asked or seen.draft is None:
            return "unsent"
        try:
            there = await self.box.read(row.mailbox, seen.draft)
        except Stopped as stopped:
            return Unanswered(stopped.outcome)
        if there is None:
            return await self.find(row)
        if not there.is_draft:
            return "sent"
        return "absent" if there.folder == seen.folder else "waiting"

    async def discard(self, row: Row) -> None:
        """Leave no draft behind of a mail that will not be sent. Raises Stopped when that cannot be done now."""
        seen = _read(row)
        drafts = {seen.draft} if seen.draft is not None else set()
        if seen.doubt:
            drafts |= {found.id for found in await self.box.find(row.mailbox, MARKER_PROPERTY, row.id)}
        for draft in drafts:
            there = await self.box.read(row.mailbox, draft)
            if there is not None and there.is_draft:
                await self.box.delete(row.mailbox, draft)

    async def _draft(self, mail: OutgoingMail, plan: DraftPlan, claim: Lease) -> _DraftProgress:
        """The draft that there is, if it is the right one; else a new one."""
        seen, made = _read(claim.row), _digest(plan)
        mailbox = claim.row.mailbox
        if seen.draft is not None:
            there = await self.box.read(mailbox, seen.draft)
            found = [there] if there is not None and there.is_draft else []
        else:
            found = await self.box.find(mailbox, MARKER_PROPERTY, mail.id) if seen.doubt else []
        for draft in found:
            if seen.made == made and _begun(plan, await self.box.names(mailbox, draft.id)):
                return msgspec.structs.replace(seen, draft=draft.id, folder=draft.folder)
            await self.box.delete(mailbox, draft.id)
        message = await filled(plan.first, self.files)
        # Of an earlier draft nothing is left to be known: it is gone, or it was deleted here.
        await claim.keep(_write(_DraftProgress(made=made, doubt=True)))
        draft = await self.box.create(mailbox, to_sdk(message))
        progress = _DraftProgress(draft=draft.id, folder=draft.folder, made=made, doubt=seen.doubt)
        try:
            await claim.keep(_write(progress))
        except Conflict:  # it took so long that another one has the mail, with a draft of its own
            await self.box.delete(mailbox, draft.id)
            raise
        return progress

    async def _fill(self, plan: DraftPlan, progress: _DraftProgress, claim: Lease) -> None:
        mailbox, draft = claim.row.mailbox, progress.draft or ""
        there = await self.box.names(mailbox, draft)
        begun = len(there) - len(plan.first.attachments or ())
        for attachment in plan.rest[begun:]:
            await claim.stay()
            await self._attach(attachment, mailbox, draft, claim)
        if Counter(await self.box.names(mailbox, draft)) != Counter(plan.names):
            raise Stopped(Interrupted("attachments"))

    async def _attach(self, one: Attachment, mailbox: str, draft: str, claim: Lease) -> None:
        if not isinstance(one, ItemAttachment) and not in_one_request(one):
            for _ in range(SESSIONS):
                url = await self.box.open_session(mailbox, draft, _item(one))
                if url is None:
                    break
                before = (await self.box.names(mailbox, draft)).count(one.name)
                whole = await self._uploaded(url, one, claim)
                if whole or (await self.box.names(mailbox, draft)).count(one.name) > before:
                    return
            else:
                raise Stopped(Interrupted("upload"))
        if isinstance(one, BlobAttachment):
            one = one.filled(await self.files.read(one, 0, one.size or 0))
        await claim.stay()
        await self.box.add(mailbox, draft, attachment_to_sdk(one))

    async def _uploaded(self, url: str, file: FileAttachment | BlobAttachment, claim: Lease) -> bool:
        async def read(start: int, length: int) -> bytes:
            if isinstance(file, FileAttachment):
                return file.content_bytes[start : start + length]
            return await self.files.read(file, start, length)

        return await self.uploader.upload(url, file_size(file), read, claim.stay) is Uploaded.WHOLE

    async def _send(self, mail: OutgoingMail, progress: _DraftProgress, claim: Lease) -> Outcome:
        mailbox, draft = claim.row.mailbox, progress.draft or ""
        if progress.doubt:
            for other in await self.box.find(mailbox, MARKER_PROPERTY, mail.id):
                if other.id != draft:
                    await self.box.delete(mailbox, other.id)
        await claim.keep(_write(msgspec.structs.replace(progress, asked=True)))
        return await self.box.send(mailbox, draft, claim.may_start)


def _read(row: Row) -> _DraftProgress:
    return msgspec.json.decode(row.progress, type=_DraftProgress) if row.progress else _DraftProgress()


def _write(progress: _DraftProgress) -> str:
    return msgspec.json.encode(progress).decode()


def _digest(plan: DraftPlan) -> str:
    """Of the message, its recipients and the names of its files; the files themselves do not change."""
    bare: Message = msgspec.structs.replace(plan.first, attachments=None)
    return hashlib.sha256(msgspec.json.encode((bare, plan.names))).hexdigest()[:32]


def _begun(plan: DraftPlan, names: list[str]) -> bool:
    """Whether a draft holds what it was made with, and of the rest as many as follow: files come in their order."""
    least = len(plan.first.attachments or ())
    return least <= len(names) and Counter(names) == Counter(plan.names[: len(names)])


def _item(file: FileAttachment | BlobAttachment) -> FileItem:
    return FileItem(
        name=file.name,
        size=file_size(file),
        content_type=file.content_type,
        is_inline=file.is_inline,
        content_id=file.content_id,
    )
