"""Everything the emulator knows while it runs, and what happens to a mail that is accepted."""

import copy
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from sandbox.cloud import mime
from sandbox.cloud.directory import DOMAIN, Directory
from sandbox.cloud.errors import Ids, Refusal
from sandbox.cloud.faults import Faults
from sandbox.cloud.handover import Handover, Parcel
from sandbox.cloud.journal import Journal
from sandbox.cloud.mailboxes import Item, Mailboxes, new_id
from sandbox.cloud.recipients import recipients_of
from sandbox.cloud.reports import reports_for
from sandbox.cloud.throttling import Limits, Throttling
from sandbox.cloud.tokens import Issuer
from sandbox.cloud.uploads import UploadSession


@dataclass(slots=True)
class Settings:
    """What can be set at start and over the control endpoint.

    sent_delay: seconds until the copy is in Sent Items. latency: seconds added to each request. concurrency: requests
    at a time per application and mailbox. retry_after: seconds, as text, when that is exceeded. requests: in ten
    minutes, upload_bytes: in five minutes, per application and mailbox. message_size_limit: bytes of a message with its
    attachments (Exchange's default is 35 MB). in_outbox: a copy not due yet shows in the Outbox. journal: requests are
    found by the ids in them. report_delay: seconds until a report (reports.py) is received, half as many for every
    second one, so that they come out of order. report_lag: until it can be seen after that. class_filters: messages can
    be searched by class and time at once.
    """

    sent_delay: float = 0.0
    latency: float = 0.0
    concurrency: int = 4
    retry_after: str = "2.128"
    requests: int = 10_000
    upload_bytes: int = 150 * 1024 * 1024
    message_size_limit: int = 35 * 1024 * 1024
    in_outbox: bool = False
    journal: bool = False
    report_delay: float = 0.0
    report_lag: float = 0.0
    class_filters: bool = True


@dataclass(slots=True)
class Stats:
    """Counts of requests to Graph since the last reset. throttled: by a fault, too. faults: by kind, those that hit."""

    requests: int = 0
    accepted: int = 0
    unauthorized: int = 0
    throttled: int = 0
    by_status: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Submission:
    """A mail that has passed every check. via: `sendMail`, `mime` or `draft`."""

    mailbox: str
    message: dict[str, Any]
    save: bool
    via: str
    mime: bytes | None = None


@dataclass(slots=True)
class Cloud:
    """The state of one emulator."""

    issuer: Issuer
    identity_header: str
    settings: Settings
    faults: Faults
    handover: Handover | None
    mailboxes: Mailboxes
    throttling: Throttling
    journal: Journal = field(default_factory=Journal)
    directory: Directory = field(default_factory=Directory)
    stats: Stats = field(default_factory=Stats)
    # Operations taken away, by mailbox; "*" for all.
    denied: dict[str, frozenset[str]] = field(default_factory=dict)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    uploads: dict[str, UploadSession] = field(default_factory=dict)

    def limits(self) -> Limits:
        """Of one application at one mailbox, as they are set now."""
        now = self.settings
        return Limits(now.concurrency, now.requests, now.upload_bytes, now.retry_after)

    def check_permission(self, permission: str, mailbox: str) -> None:
        """Raises Refusal 403 when the control endpoint has taken it away."""
        if permission in self.denied.get("*", frozenset()) | self.denied.get(mailbox, frozenset()):
            raise Refusal(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")

    def accept(self, submission: Submission, ids: Ids, headers: dict[str, str]) -> None:
        """Records the mail, puts the copy into Sent Items when its time comes, and hands the mail over."""
        now = datetime.now(UTC)
        self.stats.accepted += 1
        self.accepted.append(
            {
                "mailbox": submission.mailbox,
                "via": submission.via,
                "message": submission.message if submission.mime is None else None,
                "mime": None if submission.mime is None else submission.mime.decode("utf-8", "replace"),
                "saveToSentItems": submission.save,
                "requestId": ids.request_id,
                "clientRequestId": ids.client_request_id,
                "headers": {name: value for name, value in headers.items() if name != "authorization"},
                "at": now.isoformat(),
            }
        )
        sent = completed(submission.message, submission.mailbox)
        if submission.save:
            due = self.mailboxes.clock() + self.settings.sent_delay
            self.mailboxes.add(Item(submission.mailbox, "sentitems", sent, due if self.settings.sent_delay else 0.0))
        self._return(sent, submission, now)
        if self.handover is not None:
            raw, date = submission.mime, format_datetime(now)
            self.handover.put(
                Parcel(
                    reference=ids.request_id,
                    sender=submission.mailbox,
                    recipients=tuple(dict.fromkeys(map(mime.ascii_domain, recipients_of(sent)))),
                    content=lambda: mime.compose(sent, date) if raw is None else mime.complete(raw, sent, date),
                )
            )

    def _return(self, sent: dict[str, Any], submission: Submission, now: datetime) -> None:
        """Deliver what comes back of a mail into the mailbox that it was sent from."""
        box, settings = submission.mailbox, self.settings
        delay = settings.report_delay / (1 + len(self.accepted) % 2)
        for back in reports_for(sent, submission.mime, box, recipients_of(sent), now):
            due = self.mailboxes.clock() + delay + settings.report_lag if delay or settings.report_lag else 0.0
            received = now + timedelta(seconds=delay)
            item = Item(box, "inbox", back.message, due, back.message_class, back.mime, created=received)
            self.mailboxes.add(item)

    def remove(self, item: Item) -> None:
        """Takes a message out of its mailbox; the upload sessions of a draft end with it."""
        self.mailboxes.remove(item)
        self.uploads = {url: session for url, session in self.uploads.items() if session.message_id != item.id}

    def reset(self) -> None:
        """Forgets mail, counters and faults."""
        self.mailboxes.clear()
        self.accepted.clear()
        self.uploads.clear()
        self.faults.clear()
        self.throttling.reset()
        self.journal.clear()
        self.stats = Stats()


def completed(message: dict[str, Any], mailbox: str) -> dict[str, Any]:
    """A copy of the message with what Exchange adds: from, sender, internetMessageId, and an id per attachment."""
    whole = copy.deepcopy(message)
    itself = {"emailAddress": {"name": mailbox.partition("@")[0], "address": mailbox}}
    whole["from"] = whole.get("from") or itself
    whole["sender"] = whole.get("sender") or itself
    whole["internetMessageId"] = whole.get("internetMessageId") or f"<{uuid.uuid4().hex}@{DOMAIN}>"
    for attachment in whole.get("attachments", ()):
        attachment["id"] = attachment.get("id") or new_id()
    return whole
