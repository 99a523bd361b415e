"""GitLab, on gitlab.com and self-managed: webhooks of projects and groups, and system hooks.

GitLab does not retry by itself. "Resend Request" repeats `Idempotency-Key`, which GitLab sends since 17.4; earlier
versions send only `X-Gitlab-Event-UUID`, which all events of one of GitLab's own jobs share. Four failures disable a
webhook: permanently after 4xx, for a time after 5xx.
https://docs.gitlab.com/user/project/integrations/webhooks/
https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from shared.webhooks.sources import signatures
from shared.webhooks.sources.json_values import digest, first_text, moment, pick, read_object, same_bytes, text
from shared.webhooks.sources.source import MEGABYTE, RawRequest, Source, SourceEvent
from shared.webhooks.sources.standard_webhooks import PREFIX, StandardWebhooks

SIGNING: Final = StandardWebhooks()
# What happened, beside the kind of event; the first that is there counts.
ACTIONS: Final = ("object_attributes.action", "object_attributes.status", "build_status", "status", "action")
TIMES: Final = (
    "object_attributes.finished_at", "object_attributes.updated_at", "build_finished_at", "status_changed_at",
    "released_at", "created_at", "object_attributes.created_at",
)  # fmt: skip
NUMBERED: Final = (("merge_request", "!"), ("issue", "#"), ("work_item", "#"))


class GitLab(Source, frozen=True, kw_only=True):
    """Types are the kind of event and what happened: `push`, `merge_request.merge`, `pipeline.failed`.

    A secret is the webhook's secret token, in `X-Gitlab-Token`, or its signing token, `whsec_…` (Standard Webhooks).
    Where Mailroom knows a signing token, a request with a signature is judged by the signature alone.
    """

    name: ClassVar[str] = "gitlab"
    largest: ClassVar[int] = 25 * MEGABYTE

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:
        keys = [secret for secret in secrets if secret.startswith(PREFIX)]
        if keys and "webhook-signature" in request.headers:
            SIGNING.authenticate(request, keys, now)
        else:
            signatures.in_header(request, "X-Gitlab-Token", secrets)

    def event(self, request: RawRequest) -> SourceEvent:
        data = read_object(request.body, request.charset)
        delivery = (request.headers.get("webhook-id") or request.headers.get("idempotency-key") or "").strip()
        job = request.headers.get("x-gitlab-event-uuid", "").strip()
        key = delivery or (digest(job, same_bytes(request.body)) if job else None)
        kind = _kind(request, data)
        action = first_text(data, *ACTIONS)
        return SourceEvent(
            **self.known(key, request),
            source=first_text(data, "project.web_url", "repository.homepage", "group.web_url") or self.name,
            type=f"{kind}.{action}" if action else kind,
            data=data,
            subject=first_text(data, "object_attributes.title", "object_attributes.name", "name", "ref"),
            time=next((time for path in TIMES if (time := _time(data, path))), None),
            thread=_thread(kind, data),
        )


def _kind(request: RawRequest, data: dict[str, Any]) -> str:
    """In the body; else as the header names it: "Emoji Hook"."""
    named = request.headers.get("x-gitlab-event", "").strip().removesuffix(" Hook")
    return first_text(data, "object_kind", "event_name") or "_".join(named.lower().split()) or "gitlab"


def _time(data: dict[str, Any], path: str) -> datetime | None:
    """GitLab writes `2026-11-29 10:23:05 UTC`, and `2026-11-29 10:23:05 +0100`, beside RFC 3339."""
    written = first_text(data, path)
    return moment(written.removesuffix(" UTC").replace(" +", "+").replace(" -", "-")) if written else None


def _thread(kind: str, data: dict[str, Any]) -> str | None:
    """One conversation for each issue, merge request and release; for the pipelines and jobs of a branch."""
    project = first_text(data, "project.path_with_namespace", "project.web_url", "project_name")
    if project is None:
        return None
    for name, sign in NUMBERED:
        about = pick(data, "object_attributes") if kind == name else pick(data, name)
        if number := text(about, "iid"):
            return f"{project}{sign}{number}"
    match kind:
        case "pipeline" | "build":
            ref = text(data, "object_attributes", "ref") or text(data, "ref")
            return f"{project} pipeline {ref}" if ref else None
        case "deployment":
            environment = text(data, "environment")
            return f"{project} deployment {environment}" if environment else None
        case "release":
            tag = text(data, "tag")
            return f"{project} release {tag}" if tag else None
    return None
