"""Attachments by reference, taken in: whether the origin may attach them, whether they are there, and which version.

What is found is written into the mail: the size, and the ETag, by which a later change is noticed. "Not allowed" and
"not there" are one answer, and take one request to storage each: who may not see a container learns nothing of it.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

import msgspec

from shared.delivery.ledger import Ledger
from shared.delivery.payloads import Files
from shared.errors import Malformed
from shared.mail.blob_names import split
from shared.mail.model import Attachment, BlobAttachment
from shared.mail.outgoing import OutgoingMail
from shared.policy.admit import CallerRule
from shared.policy.allowed_blobs import NO_BLOBS, BlobRules

__all__ = ["AttachmentResolver"]

DECOY: Final = "mail-attachments"


class Rules(Protocol):
    """The settings that decide; config.Settings is one."""

    @property
    def callers(self) -> Mapping[str, CallerRule]:
        """By application id, in lower case."""

    @property
    def attachment_containers(self) -> BlobRules:
        """What mails of queues may attach."""


@dataclass(frozen=True, slots=True)
class AttachmentResolver:
    """One for a process."""

    rules: Rules
    files: Files
    ledger: Ledger

    async def resolved(self, mail: OutgoingMail) -> OutgoingMail:
        """The mail, its references with what they stand for; as it is where it has none.

        A mail that is known by its id already is not held up by what has become of its files since: it is as it is, and
        its row says what is to be done. Raises Malformed, 400 ErrorItemNotFound, with the path; AzureError.
        """
        attachments = mail.request.message.attachments or ()
        if not any(isinstance(one, BlobAttachment) for one in attachments):
            return mail
        try:
            found = [await self._resolved(mail, one, at) for at, one in enumerate(attachments)]
        except Malformed:
            row = await self.ledger.read(mail.id)
            if row is not None and row.fingerprint == mail.fingerprint:
                return mail
            raise
        message = msgspec.structs.replace(mail.request.message, attachments=tuple(found))
        return replace(mail, request=msgspec.structs.replace(mail.request, message=message))

    async def _resolved(self, mail: OutgoingMail, one: Attachment, at: int) -> Attachment:
        if not isinstance(one, BlobAttachment):
            return one
        container, name = split(one.blob)
        allowed = self._allowed(mail).allow(container, name)
        found = await self.files.find(*((container, name) if allowed else (DECOY, secrets.token_hex(16))))
        if not allowed or found is None:
            text = "There is no such blob, or it may not be attached here."
            raise Malformed(400, "ErrorItemNotFound", text, f"$.message.attachments[{at}].blob")
        return msgspec.structs.replace(one, size=found.size, etag=found.etag)

    def _allowed(self, mail: OutgoingMail) -> BlobRules:
        if mail.origin.kind == "queue":
            return self.rules.attachment_containers
        caller = self.rules.callers.get(mail.origin.name.lower()) if mail.origin.kind != "route" else None
        return caller.attachments if caller is not None else NO_BLOBS
