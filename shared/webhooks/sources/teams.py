"""Microsoft Teams' incoming webhooks: a channel's connector, and the workflow that has replaced it.

Such senders can be configured with an address only, so the address contains the secret: `?secret=…`. Senders for the
connector expect the body `1`, senders for a workflow any 2xx. They send no ids, and whether they retry is unknown.
https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
"""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from shared.webhooks.sources import signatures
from shared.webhooks.sources.json_values import read_object, text
from shared.webhooks.sources.source import RawRequest, Result, Source, SourceEvent, WebhookReply


class Teams(Source, frozen=True, kw_only=True):
    """A MessageCard, an Adaptive Card, or a message with Adaptive Cards. Types are its `@type` or `type`."""

    name: ClassVar[str] = "teams"
    done: ClassVar[int] = 200
    body_allowed: ClassVar[bool] = False

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:  # noqa: ARG002
        signatures.in_query(request, "secret", secrets)

    def event(self, request: RawRequest) -> SourceEvent:
        data = read_object(request.body, request.charset)
        kind = text(data, "@type") or text(data, "type") or "message"
        return SourceEvent(**self.known(None, request), source=self.name, type=kind, data=data)

    def reply(self, result: Result, detail: str = "") -> WebhookReply:
        plain = super().reply(result, detail)
        return WebhookReply(plain.status, {"Content-Type": "text/plain"}, b"1") if result is Result.DONE else plain
