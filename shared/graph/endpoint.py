"""Where Microsoft Graph is, and which token it takes.

A managed identity's token is worth a mailbox: it goes to Microsoft's own hosts over https, and to loopback, where the
sandbox is; nowhere else. Importing this module loads no SDK.
"""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from shared.settings.clouds import CLOUDS

__all__ = ["GRAPH_HOSTS", "LOOPBACK_HOSTS", "GraphEndpoint"]

GRAPH_HOSTS = tuple(host for cloud in CLOUDS for host in cloud.graph_hosts)
"""Microsoft Graph's hosts: https://learn.microsoft.com/graph/deployments."""

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
"""The hosts to which the SDK sends a token over plain http."""

_PUBLIC_CLOUD = "graph.microsoft.com"


@dataclass(frozen=True, slots=True)
class GraphEndpoint:
    """One Graph service root. base_url has no trailing slash; scope is what its tokens are asked for."""

    base_url: str
    host: str
    scope: str

    @classmethod
    def parse(cls, base_url: str) -> Self:
        """`https://graph.microsoft.com/v1.0` and its like.

        Raises ValueError for any URL that is not one of Microsoft's Graph hosts over https or a loopback host.
        """
        parts = urlsplit(base_url)
        host = parts.hostname or ""
        plain = parts.username is None and parts.password is None and not parts.query and not parts.fragment
        published = host in GRAPH_HOSTS and parts.scheme == "https" and parts.port in {None, 443}
        loopback = host in LOOPBACK_HOSTS and parts.scheme in {"http", "https"}
        if not plain or not (published or loopback):
            raise ValueError(f"GRAPH_BASE_URL must be https and one of {', '.join(GRAPH_HOSTS)}, or loopback")
        cloud = host if published else _PUBLIC_CLOUD  # the sandbox stands in for the public cloud
        return cls(base_url.rstrip("/"), host, f"https://{cloud}/.default")
