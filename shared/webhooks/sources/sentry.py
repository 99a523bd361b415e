"""Sentry: webhooks of an integration, and of the older plugin WebHooks.

Sentry waits one second. If it gets no answer, it retries three times, five minutes apart, each time with another
`Request-ID`. A 4xx is final. After 1,000 time-outs within a day, an unpublished integration is unsubscribed.
https://docs.sentry.io/integrations/integration-platform/webhooks/
https://github.com/getsentry/sentry/blob/master/src/sentry/sentry_apps/tasks/sentry_apps.py
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from shared.webhooks.sources import signatures
from shared.webhooks.sources.json_values import first_text, moment, pick, read_object, text
from shared.webhooks.sources.source import RawRequest, Source, SourceEvent

SIGNATURE: Final = "Sentry-Hook-Signature"
# What `data` holds, by the resource that the request is about; `event` is in alerts of issues, too.
RESOURCES: Final = {"event": "event_alert", "metric_alert": "metric_alert", "issue": "issue", "error": "error"}


class Sentry(Source, frozen=True, kw_only=True):
    """Types are the resource and the action, `issue.created`; those of the plugin are `plugin`.

    An integration signs; the plugin can be given an address and nothing else, so that carries the secret: `?secret=…`.
    A request with a signature is judged by the signature alone.
    """

    name: ClassVar[str] = "sentry"
    retries_for: ClassVar[float | None] = 905.0

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:  # noqa: ARG002
        if SIGNATURE.lower() in request.headers:
            signatures.signed_body(request, SIGNATURE, "", secrets)
        else:
            signatures.in_query(request, "secret", secrets)

    def event(self, request: RawRequest) -> SourceEvent:
        value = read_object(request.body, request.charset)
        about = _about(value)
        return SourceEvent(
            **self.known(None, request),
            source=first_text(about, "web_url", "permalink") or first_text(value, "data.web_url", "url") or self.name,
            type=_type(request, value),
            data=value,
            subject=text(about, "title") or first_text(value, "data.description_title", "message"),
            time=moment(pick(about, "datetime") or pick(about, "lastSeen") or pick(value, "data", "timestamp")),
            thread=_thread(value, about),
        )


def _about(value: dict[str, Any]) -> Any:
    data = pick(value, "data")
    return next((found for name in RESOURCES if isinstance(found := pick(data, name), dict)), pick(value, "event"))


def _type(request: RawRequest, value: dict[str, Any]) -> str:
    data, action = pick(value, "data"), text(value, "action")
    if not isinstance(data, dict) or not action:
        return "plugin" if "event" in value else "sentry"
    named = request.headers.get("sentry-hook-resource", "").strip()
    return f"{named or next((kind for name, kind in RESOURCES.items() if name in data), 'sentry')}.{action}"


def _thread(value: dict[str, Any], about: Any) -> str | None:
    """One conversation for each issue, and for each incident of a metric."""
    if alert := text(value, "data", "metric_alert", "id"):
        return f"metric {alert}"
    issue = first_text(about, "issue_id", "groupID") or first_text(value, "data.issue_id", "data.issue.id", "id")
    return f"issue {issue}" if issue else None
