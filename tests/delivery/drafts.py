"""Drafts and uploads of the small world of world.py: a mailbox at the far end of a network."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shared.graph.outcome import Draft, FileItem, Interrupted, Outcome, Stopped, Unknown
from shared.graph.upload import Uploaded
from shared.mail.model import Attachment, BlobAttachment
from shared.mail.outgoing import OutgoingMail
from tests.delivery.plan import LOST, Point

if TYPE_CHECKING:
    from tests.delivery.world import World

__all__ = ["Drafts"]

FILES: Final[tuple[Attachment, ...]] = tuple(
    BlobAttachment(name=name, blob=f"mail-attachments/{name}", size=4_000_000, etag="1") for name in ("one", "two")
)
CHUNK: Final = 25.0  # seconds for one; two of them outlive a claim that is not renewed


@dataclass
class Made:
    """subject: tells whose mail it is. gone: from when on it is no draft any more."""

    id: str
    subject: str
    files: list[str] = field(default_factory=list)
    gone: float = float("inf")


class Drafts:
    """Box and uploader in one. Every request may fail, or lose its answer."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._made: dict[str, Made] = {}
        self._numbers = count(1)
        self.sent_incomplete = False

    @staticmethod
    def large(mail: OutgoingMail) -> OutgoingMail:
        """The mail with files that do not fit into a request."""
        message = msgspec.structs.replace(mail.request.message, attachments=FILES)
        return replace(mail, request=msgspec.structs.replace(mail.request, message=message))

    def left(self) -> list[Made]:
        return [made for made in self._made.values() if made.gone > self._world.now]

    async def create(self, mailbox: str, message: Any) -> Draft:
        made = Made(f"draft-{next(self._numbers)}", message.subject)

        def effect() -> None:
            self._made[made.id] = made

        await self._request("create draft", effect)
        return Draft(made.id, is_draft=True, folder="drafts")

    async def find(self, mailbox: str, property_id: str, value: str) -> list[Draft]:
        await self._request("find drafts")
        return [Draft(made.id, is_draft=True, folder="drafts") for made in self.left()]

    async def read(self, mailbox: str, draft: str) -> Draft | None:
        await self._request("look at draft")
        return Draft(draft, is_draft=True, folder="drafts") if self._there(draft) else None

    async def names(self, mailbox: str, draft: str) -> list[str]:
        await self._request("names of files")
        return list(self._get(draft).files)

    async def add(self, mailbox: str, draft: str, attachment: Any) -> None:
        raise AssertionError("all files are large")

    async def open_session(self, mailbox: str, draft: str, file: FileItem) -> str | None:
        await self._request("open session")
        self._get(draft)
        return f"{draft}/{file.name}"

    async def upload(self, url: str, size: int, read: Any, stay: Callable[[], Awaitable[None]]) -> Uploaded:
        draft, _, name = url.partition("/")
        for _ in range(2):
            await stay()
            await Point("chunk", self._world.now + CHUNK)
        if not self._there(draft):
            return Uploaded.UNSURE
        try:
            await self._request("last chunk", lambda: self._get(draft).files.append(name))
        except Stopped:
            return Uploaded.UNSURE
        return Uploaded.WHOLE

    async def send(self, mailbox: str, draft: str, still_ours: Callable[[], bool]) -> Outcome:
        made = self._made.get(draft)
        if made is None or made.gone <= self._world.now:
            await Point("send: draft gone")
            return Unknown("draft-gone", 404)

        def accept(at: float) -> None:
            if made.gone > at:  # one of two requests for one draft
                made.gone = at
                self._world.take(made.subject, at)
                self.sent_incomplete |= sorted(made.files) != ["one", "two"]

        return await self._world.ask_to_send(still_ours, accept)

    async def delete(self, mailbox: str, draft: str) -> None:
        await self._request("delete draft", lambda: self._made.pop(draft, None) if self._there(draft) else None)

    def _there(self, draft: str) -> bool:
        return draft in self._made and self._made[draft].gone > self._world.now

    def _get(self, draft: str) -> Made:
        if not self._there(draft):
            raise Stopped(Interrupted("draft", 404))
        return self._made[draft]

    async def _request(self, name: str, effect: Callable[[], object] = lambda: None) -> None:
        trouble = await Point(name)
        if trouble is None or trouble.kind != "fail":
            effect()
        if trouble and trouble.kind in LOST:
            raise Stopped(Interrupted("draft"))
        await Point(f"answer to {name}")
