"""One mail and Microsoft Graph: how it is written and sent by one request, and how its copy is found again.

Loads the SDK, and opens the connection, with the first mail.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
from azure.core.exceptions import AzureError

from shared.delivery.payloads import FileGone, Files, filled
from shared.delivery.record import Row
from shared.errors import Malformed
from shared.event_loop import aside
from shared.graph.outcome import NotConnected, Outcome, Rejected
from shared.mail.marker import MARKER_PROPERTY, message_id, with_marker
from shared.mail.outgoing import OutgoingMail
from shared.mail.sizes import weight
from shared.mail.threading import threaded

if TYPE_CHECKING:
    from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody

    from shared.delivery.transitions import Finding
    from shared.graph.client import GraphConnection


@dataclass(frozen=True, slots=True)
class GraphMailer:
    """One for a process. timeout: seconds for one request, its token and its connection included."""

    connection: Callable[[], "GraphConnection"]
    files: Files
    timeout: float

    async def send(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
        """Send a mail by one request, from the row's mailbox. still_ours: asked immediately before it goes out."""
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
            body = await aside(size, _body, mail, row.mailbox)
        except Malformed as error:  # of an address that policy has put in, or by the rules of a later version
            return Rejected(error.status, error.code, "permanent", str(error))
        return await send_mail(
            self.connection(),
            row.mailbox,
            body,
            client_request_id=str(uuid.uuid4()),
            deadline=self.timeout,
            still_ours=still_ours,
            size=size,
        )

    async def verify(self, row: Row) -> "Finding":
        """Ask the mailbox whether the mail has gone. Never raises."""
        from shared.graph.find import Marker, MessageId, find_copy

        known = MessageId(message_id(row.id, row.mailbox)) if row.mime else Marker(MARKER_PROPERTY, row.id)
        return await find_copy(self.connection(), row.mailbox, known, self.timeout, row.new_token_from)


def _body(mail: OutgoingMail, mailbox: str) -> "SendMailPostRequestBody | bytes":
    """What goes to Graph. Raises Malformed."""
    if mail.mime is not None:
        from shared.mime.write import as_sent

        return as_sent(mail, mailbox)
    from shared.mail.sdk_message import send_mail_body

    marked = threaded(mail)
    return send_mail_body(msgspec.structs.replace(marked, message=with_marker(marked.message, mail.id)))
