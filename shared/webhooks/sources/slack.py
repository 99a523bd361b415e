"""Slack's incoming webhooks: any program that can post to an address of Slack can post here.

Such senders can be configured with an address only, so the address contains the secret: `?secret=…`. They understand
Slack's own answers: `ok`, or one word for an error. They send no ids, and whether they retry is unknown.
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final

from shared.errors import Malformed
from shared.webhooks.sources import signatures
from shared.webhooks.sources.json_values import FORM, form_field, read_object, text
from shared.webhooks.sources.source import RawRequest, Result, Source, SourceEvent, WebhookReply

LISTS: Final = ("attachments", "blocks")
NO_TEXT: Final = "no_text"
WORDS: Final = {
    Result.OVERLOADED: "rate_limited",
    Result.UNAVAILABLE: "no_service",
    Result.UNVERIFIED: "invalid_token",
    Result.MALFORMED: "invalid_payload",
    Result.TOO_LARGE: "too_large",
    Result.UNSUPPORTED: "invalid_payload",
}


class Slack(Source, frozen=True, kw_only=True):
    """A message with `text`, `attachments` or `blocks`, as JSON or as the field `payload` of a form."""

    name: ClassVar[str] = "slack"
    done: ClassVar[int] = 200
    body_allowed: ClassVar[bool] = False
    unverified: ClassVar[int] = 403

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:  # noqa: ARG002
        signatures.in_query(request, "secret", secrets)

    def event(self, request: RawRequest) -> SourceEvent:
        data = read_object(*_payload(request))
        if not (text(data, "text") or any(isinstance(data.get(name), list) and data[name] for name in LISTS)):
            raise Malformed(400, "BadRequest", NO_TEXT)
        source = text(data, "username") or self.name
        return SourceEvent(**self.known(None, request), source=source, type="message", data=data)

    def reply(self, result: Result, detail: str = "") -> WebhookReply:
        word = "ok" if result is Result.DONE else NO_TEXT if detail == NO_TEXT else WORDS[result]
        plain = super().reply(result)
        return WebhookReply(plain.status, {**plain.headers, "Content-Type": "text/plain"}, word.encode())


def _payload(request: RawRequest) -> tuple[bytes, str]:
    """The JSON and its charset. `curl --data` calls JSON a form, too."""
    if request.media_type == FORM and not request.body.lstrip().startswith(b"{"):
        return form_field(request.body, "payload"), "utf-8"
    return request.body, request.charset
