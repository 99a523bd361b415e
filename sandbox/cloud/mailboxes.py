"""The mail that lies in the mailboxes: drafts and sent copies, by folder, in memory."""

import base64
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.cloud.errors import Refusal

# Well-known folder names (mailFolder in Graph's reference) that mail can get into here.
FOLDERS = ("drafts", "outbox", "sentitems", "inbox")


def new_id() -> str:
    """An id in the alphabet of Exchange's, different from every other."""
    return "AAMkSandbox" + base64.urlsafe_b64encode(uuid.uuid4().bytes + uuid.uuid4().bytes[:8]).decode() + "="


def folder_id(mailbox: str, folder: str) -> str:
    """The id of a folder, the same in every run."""
    return (
        "AQMkSandbox" + base64.urlsafe_b64encode(uuid.uuid5(uuid.NAMESPACE_URL, f"{mailbox}/{folder}").bytes).decode()
    )


@dataclass(slots=True)
class Item:
    """One message. `message` holds its writable properties as they were received, each attachment with an id.

    due: when it gets into its folder, on the clock of the mailboxes. mime: of what came from outside. created: also
    when it was received.
    """

    mailbox: str
    folder: str
    message: dict[str, Any]
    due: float = 0.0
    message_class: str = "IPM.Note"
    mime: bytes | None = None
    id: str = field(default_factory=new_id)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def is_draft(self) -> bool:
        return self.folder == "drafts"

    def attachments(self) -> list[dict[str, Any]]:
        """The attachments, to be read and added to."""
        found: list[dict[str, Any]] = self.message.setdefault("attachments", [])
        return found


class Mailboxes:
    """All messages of all mailboxes.

    in_outbox: whether a sent copy that is not due yet can be seen, in the Outbox, or not at all.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.in_outbox = False
        self._items: dict[str, Item] = {}

    def add(self, item: Item) -> Item:
        self._items[item.id] = item
        return item

    def get(self, mailbox: str, item_id: str) -> Item:
        """Raises Refusal 404."""
        item = self._items.get(item_id)
        if item is None or item.mailbox != mailbox or self.folder(item) is None:
            raise Refusal(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        return item

    def remove(self, item: Item) -> None:
        self._items.pop(item.id, None)

    def folder(self, item: Item) -> str | None:
        """Where the message can be seen now."""
        if item.due <= self.clock():
            return item.folder
        return "outbox" if self.in_outbox and item.folder == "sentitems" else None

    def list(self, mailbox: str, folder: str | None = None) -> list[Item]:
        """The messages that can be seen, the newest first. folder: a well-known name or an id; None: all folders.

        Raises Refusal 404 for another folder.
        """
        name = None if folder is None else self._folder_name(mailbox, folder)
        found = [item for item in self._items.values() if item.mailbox == mailbox]
        seen = [item for item in found if (place := self.folder(item)) is not None and name in {None, place}]
        return seen[::-1]

    def drafts(self) -> tuple[Item, ...]:
        """Every draft of every mailbox."""
        return tuple(item for item in self._items.values() if item.is_draft)

    def clear(self) -> None:
        self._items.clear()

    def _folder_name(self, mailbox: str, folder: str) -> str:
        for name in (*FOLDERS, "deleteditems"):
            if folder.lower() == name or folder == folder_id(mailbox, name):
                return name
        raise Refusal(404, "ErrorItemNotFound", "The specified folder could not be found in the store.")
