"""An upload session for one large attachment, with the ranges Outlook uses (not OneDrive's).

Source: "Attach large files to Outlook messages or events" in Graph's documentation: 3 to 150 MB, PUTs of at most 4 MB,
in order, `nextExpectedRanges` first as `0-` and then as a bare offset.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from sandbox.cloud.errors import Refusal

_MB = 1024 * 1024
MIN_SIZE = 3 * _MB
MAX_SIZE = 150 * _MB
MAX_CHUNK = 4 * _MB
_LIFETIME = timedelta(hours=2)
_RANGE = re.compile(r"bytes (\d{1,12})-(\d{1,12})/(\d{1,12})", re.ASCII)


@dataclass(slots=True)
class UploadSession:
    """What has arrived so far. app_id: who has opened it. item: the checked AttachmentItem of createUploadSession."""

    app_id: str
    mailbox: str
    message_id: str
    item: dict[str, Any]
    data: bytearray = field(default_factory=bytearray)
    expires: datetime = field(default_factory=lambda: datetime.now(UTC) + _LIFETIME)

    @classmethod
    def open(cls, app_id: str, mailbox: str, message_id: str, item: dict[str, Any]) -> Self:
        """Raises Refusal 400 for a kind or size that has no upload session."""
        if item["attachmentType"].lower() != "file":
            raise Refusal(400, "BadRequest", "Only attachments of type 'file' can be uploaded in an upload session.")
        if item["size"] < MIN_SIZE:
            code = "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"
            raise Refusal(
                400, code, f"The size {item['size']} is less than {MIN_SIZE}: attach the file in one request."
            )
        if item["size"] > MAX_SIZE:
            text = f"The size {item['size']} is more than {MAX_SIZE}."
            raise Refusal(400, "ErrorAttachmentSizeLimitExceeded", text)
        return cls(app_id, mailbox, message_id, item)

    def put(self, content_range: str | None, chunk: bytes) -> bool:
        """Takes the next chunk; True when it was the last. Raises Refusal 400, 413 or 416."""
        match = _RANGE.fullmatch(content_range or "")
        if match is None:
            raise Refusal(400, "BadRequest", "The Content-Range header is missing or not 'bytes start-end/total'.")
        start, end, total = map(int, match.groups())
        if len(chunk) > MAX_CHUNK:
            raise Refusal(413, "RequestEntityTooLarge", f"A chunk may have {MAX_CHUNK} bytes.")
        if total != self.item["size"] or end >= total:
            raise Refusal(400, "BadRequest", f"The range does not fit the size {self.item['size']} of the session.")
        if end - start + 1 != len(chunk):
            raise Refusal(400, "BadRequest", f"The range says {end - start + 1} bytes, the body has {len(chunk)}.")
        if start != len(self.data):
            raise Refusal(416, "ErrorInvalidRange", f"Expected the range that starts at {len(self.data)}.")
        self.data += chunk
        return len(self.data) == total

    def first_answer(self, url: str) -> dict[str, Any]:
        """What createUploadSession answers."""
        return {"uploadUrl": url, "expirationDateTime": self._expiration(), "nextExpectedRanges": ["0-"]}

    def next_answer(self) -> dict[str, Any]:
        """What a chunk that is not the last is answered with: the offset has no dash."""
        return {"expirationDateTime": self._expiration(), "nextExpectedRanges": [str(len(self.data))]}

    def _expiration(self) -> str:
        return self.expires.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
