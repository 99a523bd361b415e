"""What the sender of a route has to be told: its address, and the secret in the form in which it takes it.

The pages in docs/sources say where each of these goes.
"""

import secrets
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from shared.webhooks.sources.source import Source

__all__ = ["given_by_sender", "made", "told"]

USER: Final = "mailroom"  # for senders that take a user's name and a password
_CARRIED: Final = ("alertmanager", "cloudevents", "grafana", "key")


def given_by_sender(source: Source) -> bool:
    """Whether the sender makes the secret and shows it, and takes no other one."""
    return source.name in {"stripe", "standard-webhooks"}


def made(source: Source) -> str:
    """A new secret of the form that a source needs; 256 bits."""
    secret = secrets.token_hex(32)
    return f"{USER}:{secret}" if _only_basic(source) else secret


def told(source: Source, url: str, secret: str) -> Iterator[tuple[str, str]]:
    """What to enter at the sender, line by line: what it is called there, and its value."""
    options: Any = source  # each kind has its own
    user, _, password = secret.partition(":")
    match source.name:
        case "azure-monitor" | "eventgrid" if not options.header:
            yield "URL", f"{url}?secret={quote(secret, safe='')}"
        case "github":
            yield from (("Payload URL", url), ("Content type", "application/json"), ("Secret", secret))
        case "stripe" | "standard-webhooks":
            yield "URL", url
        case "hmac":
            yield from (("URL", url), ("Secret", secret))
            yield "Signature", f"HMAC of {options.algorithm}, in the header {options.header}"
        case "azure-monitor" | "eventgrid" | "azure-devops" if options.header:
            bearer = "Bearer " if options.header.lower() == "authorization" else ""
            yield from (("URL", url), ("Header", f"{options.header}: {bearer}{secret}"))
        case "key" if "bearer" not in options.accept and "header" in options.accept:
            yield from (("URL", url), ("Header", f"{options.header}: {secret}"))
        case _ if password:
            yield from (("URL", url), ("User name", user), ("Password", password))
        case name if name in _CARRIED:
            yield from (("URL", url), ("Header", f"Authorization: Bearer {secret}"))
        case _:
            yield from (("URL", url), ("Secret", secret))


def _only_basic(source: Source) -> bool:
    """Whether nothing but a user's name and a password proves a request."""
    return source.unusable("a") is not None and source.unusable("a:b") is None
