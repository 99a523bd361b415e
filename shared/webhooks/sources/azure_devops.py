"""Azure DevOps: service hooks for work items, code, pull requests, pipelines and releases.

410 disables a subscription at once, other errors put it on probation; after 408, 502, 503 and 504 the same notification
is sent again.
https://learn.microsoft.com/azure/devops/service-hooks/events
https://learn.microsoft.com/azure/devops/service-hooks/services/webhooks
https://learn.microsoft.com/azure/devops/service-hooks/troubleshoot
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from shared.webhooks.sources import signatures
from shared.webhooks.sources.json_values import digest, moment, read_object, same_bytes, text, unique_key
from shared.webhooks.sources.source import RawRequest, Source, SourceEvent

# Where a resource has its number, by its kind. The first that is there counts.
WORK_ITEM: Final = (("revision", "id"), ("workItemId",))
OTHERS: Final = (
    ("pullrequest", ("pullRequestId",)),
    ("pullrequest", ("pullRequest", "pullRequestId")),  # of a comment
    ("build", ("run", "id")),  # a run is its build: both have one number
    ("release", ("release", "id")),
    ("release", ("environment", "releaseId")),
    ("release", ("environment", "release", "id")),
    ("release", ("deployment", "release", "id")),
    ("release", ("approval", "release", "id")),
    ("approval", ("approval", "id")),
    ("push", ("pushId",)),
    ("changeset", ("changesetId",)),
)
# Samples, and minimal resources, have these for "none".
NONE: Final = ("0", "00000000-0000-0000-0000-000000000000")


class AzureDevOps(Source, frozen=True, kw_only=True):
    """Azure DevOps, with basic or a secret in a header of the subscription; header: its name. Types are its own."""

    name: ClassVar[str] = "azure-devops"
    retries_for: ClassVar[float | None] = 183.0  # after 1, 2, 4, 8, 16, 32, 60 and 60 seconds
    done: ClassVar[int] = 200

    header: str | None = None

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:  # noqa: ARG002
        if self.header:
            signatures.in_chosen_header(request, self.header, secrets)
        else:
            signatures.basic(request, secrets)

    def fault_of(self, secret: str) -> str | None:
        if not self.header and ":" not in secret:
            return "expected user:password, since the route takes basic authentication only"
        return None

    def event(self, request: RawRequest) -> SourceEvent:
        value = read_object(request.body, request.charset)
        name, kind = text(value, "id"), text(value, "eventType") or self.name
        # "Test" sends the same sample with the same id each time, for no subscription; only notificationId differs.
        count = text(value, "notificationId") or unique_key() if text(value, "subscriptionId") in NONE else ""
        key = digest(name, kind, count) if name else same_bytes(request.body)
        subject = _resource(kind, value.get("resource"))
        collection = text(value, "resourceContainers", "collection", "id")
        return SourceEvent(
            id=name or key,
            source=text(value, "resourceContainers", "collection", "baseUrl")
            or text(value, "publisherId")
            or self.name,
            type=kind,
            key=key,
            known_by="sender-id" if name else "same-bytes",
            window=None if name else self.retries_for,
            data=value,
            subject=subject,
            time=moment(value.get("createdDate")),
            thread="/".join(filter(None, [collection, subject])) if subject else None,
        )


def _resource(kind: str, resource: Any) -> str | None:
    """The subject of an event, `pullrequest/1`: kind and number, unique within a collection of projects."""
    if kind.startswith("workitem."):
        number = _work_item(kind, resource)
        return f"workitem/{number}" if number else None
    for what, path in OTHERS:
        number = text(resource, *path)
        if number and number not in NONE:
            return f"{what}/{number}"
    number = text(resource, "id")
    family = "build" if kind == "build.complete" else kind
    return f"{family}/{number}" if number and number not in NONE else None


def _work_item(kind: str, resource: Any) -> str | None:
    """The number of a work item. An update's own id counts the item's changes; a minimal update has it in its URL."""
    found = [text(resource, *path) for path in WORK_ITEM]
    found.append((text(resource, "url") or "").partition("/workItems/")[2].partition("/")[0])
    if kind != "workitem.updated":
        found.append(text(resource, "id"))
    return next((number for number in found if number and number.isdecimal() and number not in NONE), None)
