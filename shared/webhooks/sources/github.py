"""GitHub, on github.com and Enterprise Server: https://docs.github.com/en/webhooks/webhook-events-and-payloads.

GitHub waits ten seconds for an answer and never retries by itself. A delivery that somebody resends by hand has the
same `X-GitHub-Delivery`. Headers are not signed, so whoever has seen a delivery can send it again with another id. Some
events have the same bytes when they happen again, so such a delivery is mailed and the operator is told
(SourceEvent.signed).

The type of an event consists of `X-GitHub-Event`, the `action` and the outcome, as far as they exist:
`push`, `issues.opened`, `workflow_run.completed.failure`, `deployment_status.created.success`, `status.pending`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from shared.errors import Malformed
from shared.webhooks.sources.json_values import (
    FORM,
    first_text,
    form_field,
    moment,
    pick,
    read_object,
    same_bytes,
    text,
)
from shared.webhooks.sources.signatures import signed_body
from shared.webhooks.sources.source import MEGABYTE, RawRequest, Source, SourceEvent, WebhookReply

HOME: Final = "https://github.com"

# Where the payload has the outcome; a conclusion counts with the action "completed" only.
OUTCOMES: Final = {
    "check_run": ("check_run", "conclusion"),
    "check_suite": ("check_suite", "conclusion"),
    "deployment_status": ("deployment_status", "state"),
    "status": ("state",),
    "workflow_job": ("workflow_job", "conclusion"),
    "workflow_run": ("workflow_run", "conclusion"),
}

# Objects with a number; issues, pull requests and discussions of a repository share one sequence.
NUMBERED: Final = ("pull_request", "issue", "discussion")

# Where all other events have the name of what they are about; the first that is there counts.
NAMED: Final = (
    "release.tag_name", "workflow_job.name", "deployment.environment", "workflow_run.name", "workflow.name",
    "check_run.name", "check_suite.app.name", "alert.security_advisory.summary", "alert.rule.description",
    "alert.secret_type_display_name", "alert.secret_type", "alert.affected_package_name", "security_advisory.summary",
    "repository_advisory.summary", "milestone.title", "label.name", "package.name", "registry_package.name",
    "team.name", "rule.name", "key.title", "project.name", "project_column.name", "projects_v2.title",
    "pages.0.title", "forkee.full_name", "member.login", "membership.user.login", "blocked_user.login",
    "installation.account.login", "context", "comment.commit_id",
)  # fmt: skip


class GitHub(Source, frozen=True, kw_only=True):
    """Webhooks of repositories, organisations and GitHub Apps, as JSON or as a form."""

    name: ClassVar[str] = "github"
    largest: ClassVar[int] = 25 * MEGABYTE  # "Payload cap" in the document above

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:  # noqa: ARG002
        """`X-Hub-Signature-256`, over the raw body. The older X-Hub-Signature, SHA-1, is ignored."""
        signed_body(request, "X-Hub-Signature-256", "sha256=", secrets)

    def handshake(self, request: RawRequest) -> WebhookReply | None:
        """`ping`, which GitHub sends when a webhook is created, is answered and gives no mail."""
        return WebhookReply(self.done) if _kind(request) == "ping" else None

    def event(self, request: RawRequest) -> SourceEvent:
        kind, data = _kind(request), read_object(*_payload(request))
        delivery = request.headers.get("x-github-delivery", "").strip()
        return SourceEvent(
            **self.known(delivery, request),
            source=_source(data),
            type=_type(kind, data),
            signed=same_bytes(request.body),
            data=data,
            subject=_subject(data),
            time=_time(kind, data),
            thread=_thread(kind, data),
        )


def _kind(request: RawRequest) -> str:
    kind = request.headers.get("x-github-event", "").strip()
    if not kind:
        raise Malformed(400, "BadRequest", "The header X-GitHub-Event is missing: GitHub sends it with every event.")
    return kind


def _payload(request: RawRequest) -> tuple[bytes, str]:
    """The JSON and its charset."""
    return (
        (form_field(request.body, "payload"), "utf-8")
        if request.media_type == FORM
        else (request.body, request.charset)
    )


def _type(kind: str, data: dict[str, Any]) -> str:
    parts, action = [kind], text(data, "action")
    if action:
        parts.append(action)
    path = OUTCOMES.get(kind, ())
    if path and (path[-1] == "state" or action == "completed") and (outcome := text(data, *path)):
        parts.append(outcome)
    return ".".join(parts)


def _source(data: dict[str, Any]) -> str:
    """The page of the repository, or else of the organisation, or of the person who acted."""
    if page := text(data, "repository", "html_url"):
        return page
    sender = text(data, "sender", "html_url")
    if organization := text(data, "organization", "login"):
        # Payloads lack an organisation's page: it is beside that of the person who acted, on Enterprise Server too.
        return f"{sender.rpartition('/')[0] if sender else HOME}/{organization}"
    return sender or HOME


def _subject(data: dict[str, Any]) -> str | None:
    for name in NUMBERED:
        if number := text(data, name, "number"):
            return f"#{number} {text(data, name, 'title') or ''}".strip()
    ref = (text(data, "ref") or "").removeprefix("refs/heads/").removeprefix("refs/tags/")
    return first_text(data, *NAMED) or ref or None


def _time(kind: str, data: dict[str, Any]) -> datetime | None:
    """When it happened, if the payload says so: most of its times belong to the objects in it, not to the event."""
    for name in ("comment", "review", kind, kind.removesuffix("s"), "alert"):
        for field in ("updated_at", "submitted_at", "completed_at", "started_at"):
            if (found := moment(pick(data, name, field))) is not None:
                return found
    return moment(pick(data, "updated_at")) or moment(pick(data, "repository", "pushed_at") if kind == "push" else None)


def _thread(kind: str, data: dict[str, Any]) -> str | None:
    """One conversation for each issue, pull request, discussion, alert and deployment.

    And one for all the runs of a workflow or a check on one branch, so that the successful run follows the failed one.
    """
    repository = text(data, "repository", "full_name")
    if repository is None:
        return None
    for name in NUMBERED:
        if number := text(data, name, "number"):
            return f"{repository}#{number}"
    match kind:
        case "workflow_run" | "workflow_job":
            workflow = text(data, kind, "name" if kind == "workflow_run" else "workflow_name")
            return _joined(repository, workflow or text(data, "workflow", "name"), _head(data, kind, repository))
        case "check_run":
            branch = text(data, "check_run", "check_suite", "head_branch") or text(data, "check_run", "head_sha")
            return _joined(repository, text(data, "check_run", "name"), branch)
        case "check_suite":
            return _joined(repository, text(data, "check_suite", "app", "name"), _head(data, kind, repository))
        case "status":
            branch = text(data, "branches", 0, "name") or text(data, "sha")
            return _joined(repository, text(data, "context"), branch)
        case "deployment" | "deployment_status":
            return _joined(repository, "deployment", text(data, "deployment", "id"))
    alert = text(data, "alert", "number") or text(data, "alert", "id")
    return _joined(repository, kind.removesuffix("_location"), alert)


def _head(data: dict[str, Any], name: str, repository: str) -> str | None:
    """The branch of a run, with its repository if that is a fork: a fork's `main` is not the repository's own."""
    branch = text(data, name, "head_branch") or text(data, name, "head_sha")
    fork = text(data, name, "head_repository", "full_name")
    return f"{fork}:{branch}" if branch and fork and fork != repository else branch


def _joined(*parts: str | None) -> str | None:
    """The parts as one name; None if one of them is unknown."""
    return " ".join(part for part in parts if part) if all(parts) else None
