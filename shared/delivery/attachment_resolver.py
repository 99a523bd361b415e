"""Resolves attachments by reference: checks that the blob may be attached, that it exists, and notes its version.

The blob's size and ETag are written into the mail, so that a later change is noticed. A blob that may not be attached
and one that does not exist get the same answer after the same single request to storage, so a caller learns nothing
about containers that it may not use.
"""

import secrets
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from shared.delivery.ledger import Ledger
from shared.errors import Malformed
from shared.mail.addresses import split_blob
from shared.mail.model import BlobAttachment
from shared.mail.outgoing import OutgoingMail
from shared.settings.caller_rules import NO_BLOBS, BlobRules
from shared.settings.config import Settings
from shared.storage.files import Files

DECOY: Final = "mail-attachments"


@dataclass(frozen=True, slots=True)
class AttachmentResolver:
    """One for a process."""

    settings: Settings
    files: Files
    ledger: Ledger

    async def resolved(self, mail: OutgoingMail) -> OutgoingMail:
        """The mail; its references have the size and the version of their blobs.

        A mail whose id is known already is not stopped by what has become of its files since: it stays unchanged, and
        its row decides. Raises Malformed, 400 ErrorItemNotFound, with the path; AzureError.
        """
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

    async def _resolved(self, mail: OutgoingMail, one: BlobAttachment, at: int) -> BlobAttachment:
        container, name = split_blob(one.blob)
        allowed = self._allowed(mail).allow(container, name)
        found = await self.files.find(*((container, name) if allowed else (DECOY, secrets.token_hex(16))))
        if not allowed or found is None:
            text = "There is no such blob, or it may not be attached here."
            raise Malformed(400, "ErrorItemNotFound", text, f"$.message.attachments[{at}].blob")
        return msgspec.structs.replace(one, size=found.size, etag=found.etag)

    def _allowed(self, mail: OutgoingMail) -> BlobRules:
        if mail.origin.kind == "queue":
            return self.settings.attachment_containers
        caller = self.settings.callers.get(mail.origin.name.lower()) if mail.origin.kind != "route" else None
        return caller.attachments if caller is not None else NO_BLOBS
