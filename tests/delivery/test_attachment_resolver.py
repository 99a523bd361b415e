"""Attachments by reference, taken in: who may, what is there, which version."""

from dataclasses import dataclass, field, replace

import msgspec
import pytest

from shared.delivery.attachment_resolver import AttachmentResolver
from shared.delivery.queue_messages import work_of
from shared.errors import Malformed
from shared.mail.model import BlobAttachment, FileAttachment
from shared.mail.outgoing import Origin, OutgoingMail
from shared.settings.address_patterns import Patterns
from shared.settings.caller_rules import BlobRules, CallerRule
from shared.settings.config import Settings
from shared.storage.files import Files, FoundBlob
from tests.delivery.memory import MemoryLedger
from tests.delivery.samples import NOON, first_claim, outgoing_mail

APP = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-2222-3333-4444-555555555555"


@dataclass
class Blobs(Files):
    """What is there, and what was asked for."""

    there: dict[str, FoundBlob] = field(default_factory=lambda: {"reports/a/x.pdf": FoundBlob(3, "1")})
    asked: list[str] = field(default_factory=list)

    async def find(self, container: str, name: str) -> FoundBlob | None:
        self.asked.append(f"{container}/{name}")
        return self.there.get(f"{container}/{name}")

    async def read(self, file: BlobAttachment, start: int, length: int) -> bytes:
        raise AssertionError


SETTINGS = Settings(
    callers={
        APP: CallerRule(Patterns.of(["*"]), None, None, BlobRules.of(["reports/a"])),
        OTHER: CallerRule(Patterns.of(["*"])),
    },
    attachment_containers=BlobRules.of(["reports"]),
)


def mail(blob: str = "reports/a/x.pdf", origin: Origin | None = None) -> OutgoingMail:
    made = outgoing_mail()
    attached = (FileAttachment(name="f", content_bytes=b""), BlobAttachment(name="x", blob=blob))
    message = msgspec.structs.replace(made.request.message, attachments=attached)
    return replace(
        made,
        request=msgspec.structs.replace(made.request, message=message),
        origin=origin or Origin(kind="application", name=APP.upper()),
    )


def attachment_resolver(blobs: Blobs) -> AttachmentResolver:
    return AttachmentResolver(SETTINGS, blobs, MemoryLedger())


async def test_size_and_version_are_written_into_the_mail() -> None:
    found = await attachment_resolver(Blobs()).resolved(mail("reports/a%2Fx.pdf"))
    _, attached = found.request.message.attachments or ()
    assert attached == BlobAttachment(name="x", blob="reports/a%2Fx.pdf", size=3, etag="1")


ORIGINS = {
    "another folder": (mail("reports/b/x.pdf"), FoundBlob(3, "1")),
    "another container": (mail("mail-attachments/x.pdf"), FoundBlob(3, "1")),
    "Mailroom's own": (mail("mail-dead/x.pdf"), FoundBlob(3, "1")),
    "a caller without any": (mail(origin=Origin(kind="application", name=OTHER)), FoundBlob(3, "1")),
    "a user of such a caller": (mail(origin=Origin(kind="user", name=OTHER, user="u")), FoundBlob(3, "1")),
    "a route": (mail(origin=Origin(kind="route", name="github")), FoundBlob(3, "1")),
    "not there": (mail("reports/a/y.pdf"), None),
}


@pytest.mark.parametrize(("mail", "there"), ORIGINS.values(), ids=ORIGINS)
async def test_not_allowed_and_not_there_are_one_answer_and_one_request(
    mail: OutgoingMail, there: FoundBlob | None
) -> None:
    [*_, attached] = mail.request.message.attachments or ()
    assert isinstance(attached, BlobAttachment)
    blobs = Blobs({attached.blob: there} if there else {})
    with pytest.raises(Malformed) as caught:
        await attachment_resolver(blobs).resolved(mail)
    answer = (caught.value.status, caught.value.code, str(caught.value))
    text = "There is no such blob, or it may not be attached here. - at `$.message.attachments[1].blob`"
    assert answer == (400, "ErrorItemNotFound", text)
    assert len(blobs.asked) == 1
    assert there is None or blobs.asked != [attached.blob]


async def test_a_queue_has_its_own_containers() -> None:
    found = await attachment_resolver(Blobs({"reports/b/x": FoundBlob(1, "2")})).resolved(
        mail("reports/b/x", Origin(kind="queue", name="mail-outbox"))
    )
    [*_, attached] = found.request.message.attachments or ()
    assert isinstance(attached, BlobAttachment)
    assert (attached.size, attached.etag) == (1, "2")


async def test_a_mail_that_is_known_already_is_not_review_up_by_what_became_of_its_files() -> None:
    """Its key came again, or its message, after the file was cleared away: what its row says counts."""
    gone = attachment_resolver(Blobs({}))
    row = first_claim(work_of(mail()), NOON, SETTINGS, "t", queued=True)
    await gone.ledger.write(row)
    assert await gone.resolved(mail()) == mail()
    with pytest.raises(Malformed):
        await gone.resolved(replace(mail(), fingerprint="another"))


async def test_a_mail_without_references_asks_for_nothing() -> None:
    blobs = Blobs()
    assert await attachment_resolver(blobs).resolved(outgoing_mail()) == outgoing_mail()
    assert blobs.asked == []
