"""What comes back into the mailbox that a mail was sent from, for recipients at `bounce.example`.

    5.1.1@             Exchange's own report that it did not reach them; any code (RFC 3463), and `+…` behind it
    4.4.7-delayed@     it is only late                 5.1.1-outside@   the report is another server's
    5.1.1-bare@        a report without the mail       5.1.1-full@      with the whole mail, not its headers alone
    delivered@ read@   receipts                        absent@          an absence note
    forged@            a report of somebody who was mailed, about somebody who was not
    anything else      nothing comes back

Layout: [MS-OXCMAIL] 2.1.3.6 for the fields of a report, and what users have published of reports of Exchange Online
for the headers around them. docs/decisions/0026-bounces.md says what of it nobody has seen.
"""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from sandbox.cloud import mime
from sandbox.cloud.directory import DOMAIN, TENANT

BOUNCING = "bounce.example"
SERVER = "SANDBOX0001.prod.outlook.com"
SYSTEM_MAILBOX = f"MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@{DOMAIN}"
_CODE = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(-delayed|-outside|-bare|-full)?(?:\+.*)?")
_NOTES = {"absent", "read", "delivered", "forged"}
_FOR_PEOPLE = "Delivery has failed to these recipients or groups."


@dataclass(frozen=True, slots=True)
class Returned:
    """A message for the Inbox: its MAPI class, what Graph shows of it, and the whole as MIME."""

    message_class: str
    message: dict[str, Any]
    mime: bytes


def reports_for(
    sent: dict[str, Any], raw: bytes | None, mailbox: str, recipients: list[str], at: datetime
) -> Iterator[Returned]:
    """What comes back of a completed message, or of one that was sent as MIME. One report names all that it can."""
    original = raw if raw is not None else mime.compose(sent, format_datetime(at))
    kinds: dict[str, list[tuple[str, str]]] = {}
    for address in recipients:
        local, _, domain = address.rpartition("@")
        if domain.lower() != BOUNCING:
            continue
        if match := _CODE.fullmatch(local):
            kinds.setdefault(match[2] or "-headers", []).append((address, match[1]))
        elif (note := local.partition("+")[0]) in _NOTES:
            kinds.setdefault(note, []).append((address, "2.0.0"))
    for kind, failed in kinds.items():
        yield _Report(kind, failed, sent, original, mailbox, at).made()


@dataclass(frozen=True, slots=True)
class _Report:
    kind: str
    failed: list[tuple[str, str]]
    sent: dict[str, Any]
    original: bytes
    mailbox: str
    at: datetime

    def made(self) -> Returned:
        message_class, kind, parts = self._content()
        boundary = f"_000_{uuid.uuid4().hex.upper()}_"
        lines = [*self._head(kind.format(boundary=boundary)), ""]
        for part in parts:
            lines += [f"--{boundary}", part]
        whole = "\r\n".join([*lines, f"--{boundary}--", ""]) if parts else "\r\n".join([*lines, "I am away.", ""])
        message = {
            "subject": f"Undeliverable: {self.sent.get('subject') or ''}",
            "internetMessageId": f"<{uuid.uuid4()}@{SERVER}>",
            "from": {"emailAddress": {"name": "Microsoft Outlook", "address": self._author}},
            "toRecipients": [{"emailAddress": {"name": self.mailbox, "address": self.mailbox}}],
            "body": {"contentType": "text", "content": _FOR_PEOPLE},
        }
        return Returned(message_class, message, whole.encode())

    @property
    def _by_exchange(self) -> bool:
        return self.kind in {"-headers", "-bare", "-full", "-delayed", "delivered"}

    @property
    def _author(self) -> str:
        return SYSTEM_MAILBOX if self._by_exchange else f"postmaster@{BOUNCING}"

    def _head(self, content_type: str) -> Iterator[str]:
        yield f"From: Microsoft Outlook <{self._author}>"
        yield f"To: <{self.mailbox}>"
        yield f"Date: {format_datetime(self.at)}"
        yield f"Message-ID: <{uuid.uuid4()}@{SERVER}>"
        yield f"In-Reply-To: {self.sent['internetMessageId']}"
        yield f"References: {self.sent['internetMessageId']}"
        yield "Subject: Undeliverable: a mail"
        yield "Auto-Submitted: auto-replied"
        if self.kind == "forged":  # it claims all that its author can: what Exchange keeps for itself is taken out
            yield "X-MS-Exchange-Message-Is-Ndr: "
        if self._by_exchange:
            yield "X-MS-Exchange-Message-Is-Ndr: "
            yield "X-MS-Exchange-Organization-AuthAs: Internal"
            yield "X-MS-Exchange-Organization-AuthMechanism: 05"
            yield f"X-MS-Exchange-Organization-AuthSource: {SERVER}"
        else:
            yield "X-MS-Exchange-Organization-AuthAs: Anonymous"
            yield f"X-MS-Exchange-Organization-AuthSource: {SERVER}"
        yield f"X-MS-Exchange-CrossTenant-Id: {TENANT}"
        yield f"Content-Type: {content_type}"
        yield "MIME-Version: 1.0"

    def _content(self) -> tuple[str, str, list[str]]:
        """Message class, content type and parts."""
        report = 'multipart/report; report-type={};\r\n\tboundary="{{boundary}}"'
        text = f"Content-Type: text/plain; charset=us-ascii\r\n\r\n{_FOR_PEOPLE}\r\n"
        if self.kind == "absent":
            return "IPM.Note.Rules.OofTemplate.Microsoft", "text/plain; charset=us-ascii", []
        if self.kind == "read":
            reader = f"Final-Recipient: rfc822;{self.failed[0][0]}"
            note = f"Content-Type: message/disposition-notification\r\n\r\n{reader}\r\n"
            return "REPORT.IPM.Note.IPNRN", report.format("disposition-notification"), [text, note]
        action = {"-delayed": "delayed", "delivered": "delivered"}.get(self.kind, "failed")
        message_class = {"delayed": "REPORT.IPM.Note.Delayed.DR", "delivered": "REPORT.IPM.Note.DR"}.get(action)
        head, _, _ = self.original.partition(b"\r\n\r\n")
        shown = self.original if self.kind == "-full" else head + b"\r\n\r\n"
        kind = "message/rfc822" if self.kind in {"-full", "-outside"} else "text/rfc822-headers"
        parts = [text, self._status(action)]
        if self.kind != "-bare":
            parts.append(f"Content-Type: {kind}\r\n\r\n{shown.decode('utf-8', 'replace')}\r\n")
        return message_class or "REPORT.IPM.Note.NDR", report.format("delivery-status"), parts

    def _status(self, action: str) -> str:
        reporter = SERVER if self._by_exchange else f"mx.{BOUNCING}"
        lines = [
            "Content-Type: message/delivery-status",
            "",
            f"Reporting-MTA: dns;{reporter}",
            f"Received-From-MTA: dns;{SERVER}",
            f"Arrival-Date: {format_datetime(self.at)}",
            "",
        ]
        failed = [(f"somebody-else@{BOUNCING}", "5.1.1")] if self.kind == "forged" else self.failed
        for address, code in failed:
            kind, subject, detail = code.split(".")
            # Exchange keeps no detail above 9 of a status ([MS-OXCMAIL] 2.2.3.7.1.3).
            kept = detail if len(detail) == 1 else "0"
            lines += [
                f"Final-Recipient: rfc822;{address}",
                f"Action: {action}",
                f"Status: {kind}.{subject}.{kept}",
                f"Diagnostic-Code: smtp;{kind}50 {code} RESOLVER.ADR.RecipientNotFound; not found at [10.5.1.1]",
                f"Remote-MTA: dns;mx.{BOUNCING}",
                f"X-Display-Name: {address}",
                "",
            ]
        return "\r\n".join(lines)
