"""Which parts the environment replaces, and the environment that each part gets."""

import json
from collections.abc import Mapping
from pathlib import Path

from sandbox.options import PARTS, Options
from sandbox.parts import Graph, Storage
from shared.settings.config import secret_setting

_ROUTES = Path(__file__).parent.parent / "shared" / "webhooks" / "routes"

SETTINGS = (
    "AzureWebJobsStorage",
    "GRAPH_BASE_URL",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "MAIL_API_TENANT",
    "MAIL_API_CLIENT_ID",
    "MAIL_API_AUTHORITY",
    "MAIL_CALLERS",
    "MAIL_ALLOWED_SENDERS",
    "MAIL_SENDER",
    "MAIL_TO",
    *(secret_setting(folder.name) for folder in sorted(_ROUTES.glob("[a-z]*"))),
)
"""The settings that the sandbox gives the host. Every ready route is on."""

# Of every ready route: one for signatures and bearers, one for basic authentication, one of Standard Webhooks.
_BASIC = "sandbox:secret"
_SECRETS = f"sandbox-secret {_BASIC} whsec_c2FuZGJveC1zZWNyZXQ="
_BASIC_ONLY = secret_setting("azure-devops")  # a secret that a route cannot use would be a fault

_ONLY_HOST_NEEDS = ("GRAPH_BASE_URL", "IDENTITY_ENDPOINT", "IDENTITY_HEADER")


def wanted(options: Options, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Name the parts to start, in order: what is neither left out nor replaced by the environment."""
    if options.only:
        return ("host",)
    left_out = set(options.without)
    if _storage_given(environ):
        left_out.add("storage")
    if environ.get("GRAPH_BASE_URL") and environ.get("IDENTITY_ENDPOINT"):
        left_out.add("graph")
    if "graph" in left_out:
        left_out.add("mail")
    return tuple(part for part in PARTS if part not in left_out)


def unmet(options: Options, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Name what `--only host` has to find in the environment and does not."""
    if not options.only:
        return ()
    storage = () if _storage_given(environ) else ("AzureWebJobsStorage",)
    return (*storage, *(name for name in _ONLY_HOST_NEEDS if not environ.get(name)))


def for_part(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would change Azurite or MailDev or send loopback through a proxy."""
    # AZURITE_ACCOUNTS would change the account key, MAILDEV_OUTGOING_… would send mails into the world.
    kept = {name: value for name, value in environ.items() if not name.startswith(("AZURITE_", "MAILDEV_"))}
    direct = ",".join(filter(None, [environ.get("no_proxy") or environ.get("NO_PROXY"), "127.0.0.1", "localhost"]))
    return kept | {"no_proxy": direct, "NO_PROXY": direct}


def for_host(environ: Mapping[str, str], storage: Storage | None, graph: Graph | None) -> dict[str, str]:
    """The host's environment: the sandbox's own settings, and over them what was set from outside."""
    defaults = {}
    host = for_part(environ)
    host["PYTHONUNBUFFERED"] = "1"
    # It says that this is Azure, where GRAPH_BASE_URL may not be loopback.
    host.pop("WEBSITE_SITE_NAME", None)
    if storage:
        host["AzureWebJobsStorage"] = storage.connection_string
    if graph:
        defaults = {
            "MAIL_API_TENANT": graph.tenant,
            "MAIL_API_CLIENT_ID": graph.api_client_id,
            "MAIL_API_AUTHORITY": graph.authority,
            "MAIL_CALLERS": json.dumps(
                {
                    graph.caller_client_id: {
                        "senders": [graph.sender, graph.sender_oid],
                        "attachments": ["mail-attachments"],
                    }
                }
            ),
            "MAIL_ALLOWED_SENDERS": f"{graph.sender} {graph.sender_oid}",
            "MAIL_SENDER": graph.sender,
            "MAIL_TO": "ops@example.com",
            **{
                name: _BASIC if name == _BASIC_ONLY else _SECRETS
                for name in SETTINGS
                if name.startswith("MAIL_SECRET_")
            },
        }
        host["GRAPH_BASE_URL"] = environ.get("GRAPH_BASE_URL") or graph.graph
        # The header is the endpoint's secret: one is no use with another's.
        if not environ.get("IDENTITY_ENDPOINT"):
            host |= {"IDENTITY_ENDPOINT": graph.identity, "IDENTITY_HEADER": graph.identity_header}
    return defaults | host


def _storage_given(environ: Mapping[str, str]) -> bool:
    """By a connection string, or by the settings of an identity, AzureWebJobsStorage__accountName and its like."""
    return any(
        value and (name == "AzureWebJobsStorage" or name.startswith("AzureWebJobsStorage__"))
        for name, value in environ.items()
    )
