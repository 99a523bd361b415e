"""What the supervisor prints: a line for each part, how to send the first mail, or one line of JSON for programs."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from sandbox.environment import SETTINGS
from sandbox.parts import Graph, Host, Mail, Storage

type Facts = Storage | Mail | Graph | Host

_MESSAGE = {
    "message": {
        "subject": "Meet for lunch?",
        "body": {"contentType": "Text", "content": "The new cafeteria is open."},
        "toRecipients": [{"emailAddress": {"address": "fannyd@contoso.onmicrosoft.com"}}],
        "ccRecipients": [{"emailAddress": {"address": "danas@contoso.onmicrosoft.com"}}],
    },
}
"""Microsoft's own example, with a copy in Sent Items: https://learn.microsoft.com/graph/api/user-sendmail."""


@dataclass(frozen=True, slots=True)
class Ready:
    """All that runs. A part that was left out or replaced is None; `environment` is the host's."""

    host: Host
    storage: Storage | None
    mail: Mail | None
    graph: Graph | None
    environment: Mapping[str, str]
    pids: Mapping[str, int]
    ca: Path | None


def say(text: str) -> None:
    """Print for whoever started the sandbox."""
    _print(text, sys.stdout)


def complain(text: str) -> None:
    """Print what went wrong."""
    _print(f"sandbox: {text}", sys.stderr)


def lines(facts: Facts) -> list[str]:
    """Say where a part is, one aligned line for each address."""
    match facts:
        case Storage():
            return [_line("storage", facts.blob, f"queues {facts.queue}, tables {facts.table}")]
        case Mail():
            return [_line("mail", facts.web, f"in the browser; SMTP on {facts.smtp}")]
        case Graph():
            return [
                _line("graph", facts.graph, f"faults: {facts.control}"),
                _line("identity", facts.identity, "managed identity"),
                _line("token", facts.token, "tokens for callers"),
            ]
        case Host():
            keys = ", ".join(f"{name} key {key}" for name, key in facts.keys.items())
            return [_line("host", facts.url, f"{len(facts.functions)} functions; {keys}")]


def first_mail(ready: Ready) -> str:
    """Show the two commands that send a mail, and where to look at it."""
    if ready.graph is None:
        return ""
    graph, trust = ready.graph, f"--cacert {ready.ca} " if ready.ca else ""
    form = f"-d client_id={graph.caller_client_id} -d scope=api://{graph.api_client_id}/.default"
    take = """sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/'"""
    commands = [
        "Send the first mail:",
        "",
        f"  token=$(curl -s {form} {graph.token} | {take})",
        f"  curl -i {trust}{ready.host.url}/api/v1.0/users/{graph.sender}/sendMail \\",
        """    -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \\""",
        f"    -d '{json.dumps(_MESSAGE)}'",
        "",
    ]
    if ready.mail:
        commands += [f"and read it at {ready.mail.web}", ""]
    return "\n".join(commands)


def machine_line(ready: Ready) -> str:
    """Everything a program needs, as one line of JSON; what the sandbox does not have is null.

    `environment` is what another host needs to work on the same storage and Graph: `--only host`.
    """
    given = ready.environment
    graph = asdict(ready.graph) if ready.graph else {}
    return json.dumps(
        {
            "host": ready.host.url,
            "graph": given.get("GRAPH_BASE_URL"),
            "identity": given.get("IDENTITY_ENDPOINT"),
            "identity_header": given.get("IDENTITY_HEADER"),
            "token": graph.get("token"),
            "jwks": graph.get("jwks"),
            "mail": ready.mail.web if ready.mail else None,
            "smtp": ready.mail.smtp if ready.mail else None,
            "storage": given.get("AzureWebJobsStorage"),
            "keys": dict(ready.host.keys),
            "pids": dict(ready.pids),
            "control": graph.get("control"),
            "tenant": given.get("MAIL_API_TENANT"),
            "api_client_id": given.get("MAIL_API_CLIENT_ID"),
            "caller_client_id": graph.get("caller_client_id"),
            "sender": graph.get("sender"),
            "sender_oid": graph.get("sender_oid"),
            "functions": list(ready.host.functions),
            "environment": {name: given[name] for name in SETTINGS if name in given},
        }
        | ({"ca": str(ready.ca)} if ready.ca else {})
        | ({"error": ready.host.error} if ready.host.error else {})
    )


def _line(name: str, url: str, more: str) -> str:
    return f"  {name:<9} {url:<34} {more}"


def _print(text: str, stream: TextIO) -> None:
    """Print, and do without when nobody reads any more: the parts still have to be ended in order."""
    try:
        print(text, file=stream, flush=True)
    except OSError:
        # Also for what the interpreter flushes at its end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
