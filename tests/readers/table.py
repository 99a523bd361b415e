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
from shared.webhooks.sources.source import SOURCES
from tests.readers import events, mails, texts
from tests.readers.reader import Reader

__all__ = ["NO_READERS", "READERS", "public"]

READERS: Final[list[Reader]] = [*texts.READERS, *mails.READERS, *events.READERS]
PACKAGES: Final = (
    "auth.callers", "auth.entra", "delivery.queue_messages", "functions.answers", "functions.paging", "mail", "mime",
    "parsing", "policy", "rendering", "routing", "sources",
)  # fmt: skip

# What is public and reads no foreign text, or reads what another reader has read and bounded.
NO_READERS: Final[dict[str, str]] = {
    "the operator's own files and settings": """
        rendering.checks:faults_in rendering.checks:faults_of routing.catalog:load routing.compose:templates_of
        routing.recipients:check_fixed routing.route:read_route routing.secrets:vault_name sources.source:source_named
        sources.expressions:compiled auth.entra_keys:fetch routing.route_status:secret_fault
        routing.route_status:faults_of_secrets routing.route_status:status_of routing.route_status:shadows_of_vault
        routing.route_status:tenant_fault
    """,
    "made by Mailroom itself, of what was read": """
        routing.batches:packed routing.batches:unpacked functions.answers:lost_its_body
        delivery.queue_messages:apart delivery.queue_messages:work_of mail.outgoing:new_id mime.head:malformed
        functions.answers:graph_error functions.answers:json_answer functions.answers:problem
        functions.answers:settings_refused auth.callers:scope_of auth.entra:require routing.repeated_events:mail_id_of
        routing.repeated_events:scope_of sources.json_values:unique_key sources.json_values:same_bytes
        sources.json_values:canonical routing.event_messages:as_message rendering.bounds:size_of
        auth.callers:origin_of auth.callers:operates
        functions.answers:unavailable auth.callers:report_refused
    """,
    "a mail that a reader has read, gone through once for each recipient, header, file or property": """
        mail.request_size:body_too_large mail.request_size:check_sizes mail.request_size:file_size
        mail.request_size:in_one_request mail.request_size:needs_draft mail.request_size:plan_of mail.limits:too_large
        mail.sdk_message:attachment_to_sdk mail.sdk_message:sdk_class mail.sdk_message:to_sdk mail.sizes:check_size
        mail.sizes:weight
        policy.admit:admit policy.admit:admit_sender policy.admit:known policy.pre_send:before_send
        policy.pre_send:count_of policy.pre_send:recipients_of policy.extended_properties:refused
        mail.limits:waiting_until
        routing.recipients:parts_of routing.recipients:recipients_of routing.recipients:people
    """,
    "a header that the platform bounds, compared with a few characters": """
        functions.answers:request_ids functions.paging:top_of auth.callers:authenticated auth.callers:key_refused
        functions.answers:length_required functions.answers:lost_its_body
    """,
}  # fmt: skip


def public() -> Iterator[str]:
    """The public functions of these packages, `mail.parse:send_mail`, and the sources, `sources:github`."""
    for module in pkgutil.walk_packages(shared.__path__, "shared."):
        name = module.name.removeprefix("shared.").removeprefix("webhooks.")
        if name.startswith(PACKAGES):
            found = import_module(module.name)
            for one, value in vars(found).items():
                own = getattr(value, "__module__", None) == module.name and not one.startswith("_")
                if own and isfunction(getattr(value, "__wrapped__", value)):
                    yield f"{name}:{one}"
    yield from (f"sources:{name}" for name in SOURCES)
