"""Rules and templates of a route for types of events that its source never gives, or that another rule takes."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, Final

from shared.webhooks.rendering.environment import SUFFIX
from shared.webhooks.routing.route import Route
from shared.webhooks.routing.route_file import fault_at

ALERT_KINDS: Final = (
    "activity", "autoscale", "cost", "log", "metric", "other", "prometheus", "resourcehealth", "servicehealth",
    "smartdetector",
)  # fmt: skip
# https://docs.github.com/en/webhooks/webhook-events-and-payloads
GITHUB: Final = """
    branch_protection_configuration branch_protection_rule cache_sync check_run check_suite code_scanning_alert
    commit_comment content_reference create custom_property custom_property_values delete dependabot_alert deploy_key
    deployment deployment_protection_rule deployment_review deployment_status discussion discussion_comment enterprise
    fork github_app_authorization gollum installation installation_repositories installation_target issue_comment
    issue_dependencies issues label marketplace_purchase member membership merge_group meta milestone org_block
    organization package page_build personal_access_token_request ping project project_card project_column projects_v2
    projects_v2_item projects_v2_status_update public pull_request pull_request_review pull_request_review_comment
    pull_request_review_thread push registry_package release repository repository_advisory repository_dispatch
    repository_import repository_ruleset repository_vulnerability_alert secret_scanning_alert
    secret_scanning_alert_location secret_scanning_scan security_advisory security_and_analysis sponsorship star status
    sub_issues team team_add user watch workflow_dispatch workflow_job workflow_run
"""
# By source, the types of its events; `a.*` is a and whatever follows a dot. Other sources may give any type.
TYPES: Final = {
    "alertmanager": ("alertmanager", "alertmanager.firing", "alertmanager.resolved"),
    "azure-monitor": ("azure-monitor.own", *(f"azure-monitor.{kind}.*" for kind in ALERT_KINDS)),
    "github": tuple(f"{name}.*" for name in GITHUB.split()),
    "grafana": ("grafana", "grafana.firing", "grafana.resolved"),
    "slack": ("message",),
}


def types_of(source: Any) -> tuple[str, ...] | None:
    """The types that a route's source gives; None: any."""
    if "type" in source.__struct_fields__ and source.type is None:
        return ("event",)
    return TYPES.get(source.name)


def unreachable(route: Route) -> Iterator[str]:
    """A sentence with file and line for each rule and template that no event reaches."""
    types = types_of(route.source)
    expected = f"its source gives {shown(types)}" if types else ""
    for pattern, rules in route.events.items():
        place = ("events", pattern)
        if types and not any(matches(kind, pattern) for kind in types):
            yield str(fault_at(route, place, f"no event has this type; {expected}"))
        elif rules.skip is None and (taken := taking(route, (pattern,), "skip")):
            yield str(fault_at(route, place, f'this has no effect, since [events."{taken}"] skips these events'))
    folder = route.folder / "templates"
    texts = {file.name: file.read_text("utf-8", "replace") for file in sorted(folder.glob(f"*{SUFFIX}"))}
    chosen = {(rules.template or "").removesuffix(SUFFIX) for _, rules in route.every_rules()}
    for file in texts:
        name = file.removesuffix(SUFFIX)
        used = any(f"{quote}{file}{quote}" in text for text in texts.values() for quote in "\"'")
        if name[0] == "_" or name in chosen or used:
            continue
        plain = re.sub(r"[^a-z0-9._-]", "-", name.lower())
        if name != plain:
            yield f"{folder / file}:1: No event has this template; expected {plain}{SUFFIX}, the type in lower case."
        elif types and not any(matches(re.sub(r"[^a-z0-9._*-]", "-", kind.lower()), f"{name}.*") for kind in types):
            yield f"{folder / file}:1: No event has this template; {expected}."
        elif taken := taking(route, (name, f"{name}.x"), "skip") or taking(route, (name, f"{name}.x"), "template"):
            yield f'{folder / file}:1: No event has this template, since [events."{taken}"] takes them.'


def taking(route: Route, kinds: tuple[str, ...], entry: str) -> str | None:
    """The rule that skips all events of these types, or gives them another template."""
    if not all(getattr(route.rules_for(kind), entry) for kind in kinds):
        return None
    others = [
        (pattern, value) for pattern, rules in route.events.items() if (value := getattr(rules, entry)) is not None
    ]
    if any(pattern.startswith(f"{kinds[0]}.") and not value for pattern, value in others):
        return None  # an exception
    return next((pattern for pattern, value in others if value and fnmatchcase(kinds[-1], pattern)), None)


def matches(kind: str, pattern: str) -> bool:
    """Whether an event can have both. kind: as in TYPES."""
    if kind == pattern or not kind.endswith(".*"):
        return fnmatchcase(kind, pattern) or (pattern.endswith(".*") and kind == pattern[:-2])
    begin, fixed = kind[:-2], re.split(r"[*?\[]", pattern)[0]
    within = fixed == begin or fixed.startswith(f"{begin}.")
    return within or fnmatchcase(begin, pattern) or (fixed != pattern and begin.startswith(fixed))


def shown(types: tuple[str, ...]) -> str:
    """Some of them, for a sentence."""
    return ", ".join(types[:12]) + (" and others" if len(types) > 12 else "")  # noqa: PLR2004
