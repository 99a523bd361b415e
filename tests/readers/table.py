"""Every reader of foreign text, with what costs it most; and what is public beside them and reads none.

A function that is public in the packages below is in one of the two. Whoever writes a new one says here what a stranger
can make it do: a row in texts.py, mails.py or events.py, or an entry in NO_READERS.
"""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from inspect import isfunction
from typing import Final

import shared
from shared.sources.registry import SOURCES
from tests.readers import events, mails, texts
from tests.readers.reader import Reader

__all__ = ["NO_READERS", "READERS", "public"]

READERS: Final[list[Reader]] = [*texts.READERS, *mails.READERS, *events.READERS]
PACKAGES: Final = (
    "charsets", "delivery.suppressions", "delivery.work", "entra", "json_limits", "json_text", "letters", "policy",
    "queue_text", "rendering", "routing", "sources", "triggers.paging", "triggers.answers", "triggers.callers",
)  # fmt: skip

# What is public and reads no foreign text, or reads what another reader has read and bounded.
NO_READERS: Final[dict[str, str]] = {
    "the operator's own files and settings": """
        rendering.checks:problems_in rendering.checks:problems_of rendering.paths:fault_of routing.catalog:load
        routing.compose:templates_of routing.route:read_route routing.secrets:vault_name sources.registry:source_named
        sources.expressions:compiled entra_keys:fetch
        routing.status:secret_fault routing.status:faults_of_secrets routing.status:status_of
        routing.status:shadows_of_vault routing.status:tenant_fault
    """,
    "made by Mailroom itself, of what was read": """
        routing.batches:packed routing.batches:unpacked triggers.answers:lost_its_body
        delivery.work:apart delivery.work:work_of letters.letter:new_id letters.mime_head:malformed
        triggers.answers:graph_error triggers.answers:json_answer triggers.answers:problem
        triggers.answers:settings_refused triggers.callers:scope_of entra:require routing.naming:name_of
        routing.naming:scope_of sources.copies:fresh sources.copies:same_bytes
        sources.copies:canonical rendering.bounds:size_of triggers.callers:origin_of triggers.callers:operates
        delivery.worker:spread triggers.answers:unavailable triggers.callers:report_refused
    """,
    "a mail that a reader has read, gone through once for each recipient, header, file or property": """
        letters.draft:body_too_large letters.draft:check_sizes letters.draft:file_size
        letters.draft:in_one_request letters.draft:needs_draft letters.draft:plan_of letters.limits:too_large
        letters.model:attachment_to_sdk letters.model:sdk_class letters.model:to_sdk letters.sizes:check_size
        letters.sizes:weight
        policy.admit:admit policy.admit:admit_sender policy.admit:known policy.before_send:before_send
        policy.before_send:count_of policy.before_send:recipients_of policy.extended:refused
        routing.split:check_count routing.split:parts_of
    """,
    "a header that the platform bounds, compared with a few characters": """
        triggers.answers:request_ids triggers.paging:top_of triggers.callers:authenticated triggers.callers:key_refused
        triggers.answers:length_required triggers.answers:lost_its_body
    """,
}  # fmt: skip


def public() -> Iterator[str]:
    """The public functions of these packages, `letters.parse:send_mail`, and the sources, `sources:github`."""
    for module in pkgutil.walk_packages(shared.__path__, "shared."):
        name = module.name.removeprefix("shared.")
        if name.startswith(PACKAGES):
            found = import_module(module.name)
            for one in getattr(found, "__all__", ()):
                value = getattr(found, one, None)
                if isfunction(getattr(value, "__wrapped__", value)) and value.__module__ == module.name:
                    yield f"{name}:{one}"
    yield from (f"sources:{name}" for name in SOURCES)
