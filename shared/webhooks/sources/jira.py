"""Jira: webhooks of Cloud and Data Center, and Automation's "Send web request".

Cloud retries five times, 5 to 15 minutes apart, after 408, 409, 425, 429, 5xx and lost connections, with the same
`X-Atlassian-Webhook-Identifier`. Data Center and Automation document no retries.
https://developer.atlassian.com/cloud/jira/platform/webhooks/
https://support.atlassian.com/cloud-automation/docs/jira-automation-actions/
"""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final

from shared.webhooks.sources import signatures
from shared.webhooks.sources.json_values import first_text, moment, pick, read_object, same_bytes, text, unique_key
from shared.webhooks.sources.source import RawRequest, Source, SourceEvent

SIGNATURE: Final = "X-Hub-Signature"


class Jira(Source, frozen=True, kw_only=True):
    """Types are Jira's own, `jira:issue_updated`; of a body without one `automation`.

    Cloud signs; Automation sends a header; Data Center before 10 can be given an address and nothing else, so that
    carries the secret: `?secret=…`. A request with a signature is judged by the signature alone.
    """

    name: ClassVar[str] = "jira"
    done: ClassVar[int] = 200
    retries_for: ClassVar[float | None] = 4500.0

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:  # noqa: ARG002
        if SIGNATURE.lower() in request.headers:
            signatures.signed_body(request, SIGNATURE, "sha256=", secrets)
        elif "authorization" in request.headers:
            signatures.bearer(request, secrets)
        else:
            signatures.in_query(request, "secret", secrets)

    def event(self, request: RawRequest) -> SourceEvent:
        value = read_object(request.body, request.charset)
        delivery = request.headers.get("x-atlassian-webhook-identifier", "").strip()
        key = delivery or unique_key()
        address = first_text(value, "issue.self", "self", "comment.self") or ""
        issue = text(value, "issue", "key") or text(value, "key")
        stamp = pick(value, "timestamp")
        return SourceEvent(
            id=key,
            source=address.partition("/rest/")[0] or self.name,
            type=text(value, "webhookEvent") or "automation",
            key=key,
            known_by="sender-id" if delivery else "nothing",
            signed=same_bytes(request.body) if SIGNATURE.lower() in request.headers else None,
            data=value,
            subject=issue,
            time=moment(stamp // 1000) if isinstance(stamp, int) and not isinstance(stamp, bool) else None,
            thread=issue,
        )
