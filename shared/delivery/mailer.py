"""Sends a mail through Microsoft Graph, in one request or as a draft, and finds its copy in the mailbox again.

The first mail loads the SDK and opens the connection; the first mail that needs a draft loads the code for drafts.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
from azure.core.exceptions import AzureError

from shared.delivery.lease import Lease
from shared.delivery.row import Row
from shared.delivery.verification import Finding
from shared.errors import Malformed
from shared.event_loop import aside
from shared.graph.outcome import NotConnected, Outcome, Rejected
from shared.mail.marker import MARKER_PROPERTY, message_id, with_marker
from shared.mail.outgoing import OutgoingMail
from shared.mail.sizes import needs_draft, weight
from shared.mail.threading import threaded
from shared.settings.config import Settings
from shared.storage.files import FileGone, Files, filled

if TYPE_CHECKING:
    from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody

    from shared.delivery.large import LargeMails
    from shared.graph.client import GraphConnection


@dataclass(frozen=True, slots=True)
class GraphMailer:
    """One for a process."""

    settings: Settings
    files: Files
    connection: Callable[[], "GraphConnection"]
    drafts: Callable[[], "LargeMails"]

    async def send(self, mail: OutgoingMail, lease: Lease) -> Outcome:
        """Send a mail from the mailbox of its claimed row, if the claim still holds when the request goes out.

        Raises Conflict when the claim on a mail that goes by way of a draft was lost.
        """
        if lease.row.progress is None and not (mail.request.message.attachments and needs_draft(mail.request)):
            return await self._by_one_request(mail, lease)
        if lease.row.progress is None and not self.settings.large_attachments:
            text = "The mail does not fit into one request, and MAIL_LARGE_ATTACHMENTS is not true."
            return Rejected(413, "LargeAttachmentsOff", "permanent", text)
        return await self.drafts().send(mail, lease)

    async def verify(self, mail: OutgoingMail | None, row: Row) -> Finding | None:
        """What the mailbox says of a mail that may have gone. None: nothing could be found in it, so it is not asked.

        mail None: it is not at hand; whether it left a copy at all is not known then.
        """
        if row.progress is not None:
            return await self.drafts().verify(row)
        if self.settings.verify_sent and (mail is None or mail.request.save_to_sent_items):
            return await self.find(row)
        return None

    async def discard(self, row: Row) -> None:
        """Leave no draft behind of a mail that will not be sent. Raises Stopped when that cannot be done now."""
        await self.drafts().discard(row)

    async def find(self, row: Row) -> Finding:
        """Ask the mailbox whether it has a copy. Never raises."""
        from shared.graph.find import Marker, MessageId, find_copy

        known = MessageId(message_id(row.id, row.mailbox)) if row.mime else Marker(MARKER_PROPERTY, row.id)
        timeout = self.settings.send_timeout
        return await find_copy(self.connection(), row.mailbox, known, timeout, row.new_token_from)

    async def _by_one_request(self, mail: OutgoingMail, lease: Lease) -> Outcome:
        from shared.graph.send import send_mail

        if mail.request.message.attachments:
            try:
                message = await filled(mail.request.message, self.files)
            except FileGone as gone:
                return Rejected(400, gone.code, "permanent", str(gone))
            except AzureError:
                return NotConnected("storage")
            mail = replace(mail, request=msgspec.structs.replace(mail.request, message=message))
        size = weight(mail)
        try:
            body = await aside(size, _body, mail, lease.row.mailbox)
        except Malformed as error:  # of an address that policy has put in, or by the rules of a later version
            return Rejected(error.status, error.code, "permanent", str(error))
        return await send_mail(
            self.connection(),
            lease.row.mailbox,
            body,
            client_request_id=str(uuid.uuid4()),
            deadline=self.settings.send_timeout,
            still_ours=lease.may_start,
            size=size,
        )


def _body(mail: OutgoingMail, mailbox: str) -> "SendMailPostRequestBody | bytes":
    """What goes to Graph. Raises Malformed."""
    if mail.mime is not None:
        from shared.mime.write import as_sent

        return as_sent(mail, mailbox)
    from shared.mail.sdk_message import send_mail_body

    request = mail.request if mail.thread is None else threaded(mail)
    return send_mail_body(msgspec.structs.replace(request, message=with_marker(request.message, mail.id)))
