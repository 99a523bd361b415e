"""Attachments by reference: which blobs who may attach, whether they are there, and in which version.

A place is a container, or `container/folder` for every blob below a folder. Mailroom's own containers and those of the
platform are never among them, whoever asks: they contain other people's mails, keys and code.

What is found is written into the mail: the size, and the ETag, by which a later change is noticed. "Not allowed" and
"not there" get the same answer and take one request to storage each: without access to a container, a caller learns
nothing about it.
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from shared.errors import Malformed
from shared.mail.blob_names import CONTAINER, split

if TYPE_CHECKING:
    from shared.delivery.ledger import Ledger
    from shared.mail.model import BlobAttachment
    from shared.mail.outgoing import OutgoingMail
    from shared.settings.config import Settings
    from shared.storage.files import Files

# Of the host, and the names under which Azure, its portal and its tools keep the code of an app.
RESERVED: Final = re.compile(r"mail-payloads|mail-dead|azure-.*|app-package.*|deployment.*|function-releases")
DECOY: Final = "mail-attachments"


@dataclass(frozen=True, slots=True)
class BlobRules:
    """places: container and the folder in it, with a slash at its end, or empty for the whole container."""

    places: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Raises ValueError for what names no container, or one that may never be attached from."""
        places = set[tuple[str, str]]()
        for text in texts:
            bare = text.rstrip("/")
            container, name = split(bare) if "/" in bare else (bare, "")
            if not CONTAINER.fullmatch(container):
                raise ValueError(f"{text!r} names no container")
            if RESERVED.fullmatch(container):
                raise ValueError(f"the container {container} is Mailroom's own, or the platform's")
            places.add((container, f"{name}/" if name else ""))
        return cls(frozenset(places))

    def allow(self, container: str, name: str) -> bool:
        """Both decoded, as `split` gives them."""
        if RESERVED.fullmatch(container):
            return False
        return any(container == allowed and name.startswith(folder) for allowed, folder in self.places)


NO_BLOBS: Final = BlobRules()


@dataclass(frozen=True, slots=True)
class AttachmentResolver:
    """One for a process."""

    settings: "Settings"
    files: "Files"
    ledger: "Ledger"

    async def resolved(self, mail: "OutgoingMail") -> "OutgoingMail":
        """The mail; its references have the size and the version of their blobs.

        A mail whose id is known already is not stopped by what has become of its files since: it stays unchanged, and
        its row decides. Raises Malformed, 400 ErrorItemNotFound, with the path; AzureError.
        """
        import msgspec

        from shared.mail.model import BlobAttachment

        attachments = list(mail.request.message.attachments or ())
        if not any(isinstance(one, BlobAttachment) for one in attachments):
            return mail
        try:
            for at, one in enumerate(attachments):
                if isinstance(one, BlobAttachment):
                    attachments[at] = await self._resolved(mail, one, at)
        except Malformed:
            row = await self.ledger.read(mail.id)
            if row is not None and row.fingerprint == mail.fingerprint:
                return mail
            raise
        message = msgspec.structs.replace(mail.request.message, attachments=tuple(attachments))
        return replace(mail, request=msgspec.structs.replace(mail.request, message=message))

    async def _resolved(self, mail: "OutgoingMail", one: "BlobAttachment", at: int) -> "BlobAttachment":
        import msgspec

        container, name = split(one.blob)
        allowed = self._allowed(mail).allow(container, name)
        found = await self.files.find(*((container, name) if allowed else (DECOY, secrets.token_hex(16))))
        if not allowed or found is None:
            text = "There is no such blob, or it may not be attached here."
            raise Malformed(400, "ErrorItemNotFound", text, f"$.message.attachments[{at}].blob")
        return msgspec.structs.replace(one, size=found.size, etag=found.etag)

    def _allowed(self, mail: "OutgoingMail") -> BlobRules:
        if mail.origin.kind == "queue":
            return self.settings.attachment_containers
        caller = self.settings.callers.get(mail.origin.name.lower()) if mail.origin.kind != "route" else None
        return caller.attachments if caller is not None else NO_BLOBS
