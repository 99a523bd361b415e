"""Microsoft's clouds and the hosts of each. GRAPH_BASE_URL selects the cloud.

https://learn.microsoft.com/graph/deployments, https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud.
The issuer of tokens of version 1 is not the host that serves the keys (sts.windows.net; in China sts.chinacloudapi.cn).
The tenant's metadata names it.
"""

from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Cloud:
    """login_hosts: the first is the one in use. Suffixes are those of the hosts of storage accounts and key vaults."""

    name: str
    graph_hosts: tuple[str, ...]
    login_hosts: tuple[str, ...]
    storage: str
    vaults: str

    @property
    def authority(self) -> str:
        """Where tenants' metadata is."""
        return f"https://{self.login_hosts[0]}"

    def owns(self, host: str) -> bool:
        """Whether a host can only belong to this cloud."""
        suffixes = (f".{self.storage}", f".{self.vaults}")
        return host in self.login_hosts or host in self.graph_hosts or host.endswith(suffixes)


CLOUDS: Final = (
    Cloud(
        "Azure",
        ("graph.microsoft.com",),
        ("login.microsoftonline.com", "login.windows.net"),
        "core.windows.net",
        "vault.azure.net",
    ),
    Cloud(
        "Azure Government",
        ("graph.microsoft.us", "dod-graph.microsoft.us"),
        ("login.microsoftonline.us",),
        "core.usgovcloudapi.net",
        "vault.usgovcloudapi.net",
    ),
    Cloud(
        "Azure operated by 21Vianet",
        ("microsoftgraph.chinacloudapi.cn",),
        ("login.partner.microsoftonline.cn", "login.chinacloudapi.cn"),
        "core.chinacloudapi.cn",
        "vault.azure.cn",
    ),
)
# The metadata at one of them may name keys at another.
LOGIN_HOSTS: Final = tuple(host for cloud in CLOUDS for host in cloud.login_hosts)
GRAPH_HOSTS: Final = tuple(host for cloud in CLOUDS for host in cloud.graph_hosts)
LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
"""Where the sandbox is; the SDK sends a token to these hosts over plain http."""


def cloud_of(graph_host: str) -> Cloud:
    """The cloud of a Graph host. Loopback, where the sandbox is, stands for the public cloud."""
    return next((cloud for cloud in CLOUDS if graph_host in cloud.graph_hosts), CLOUDS[0])


def owner(url: str) -> Cloud | None:
    """The cloud to which the host of a URL must belong; None for a private name, and for a text that is not a URL."""
    try:
        host = (urlsplit(url.strip()).hostname or "").lower()
    except ValueError:
        return None
    return next((cloud for cloud in CLOUDS if cloud.owns(host)), None)


@dataclass(frozen=True, slots=True)
class GraphEndpoint:
    """One Graph service root. base_url has no trailing slash; scope is what its tokens are asked for."""

    base_url: str
    host: str
    scope: str

    @classmethod
    def parse(cls, base_url: str) -> Self:
        """`https://graph.microsoft.com/v1.0` and its like.

        A managed identity's token gives access to mailboxes, so it may go only to Microsoft's Graph hosts over https,
        and to loopback. Raises ValueError for any other URL.
        """
        parts = urlsplit(base_url)
        host = parts.hostname or ""
        plain = parts.username is None and parts.password is None and not parts.query and not parts.fragment
        published = host in GRAPH_HOSTS and parts.scheme == "https" and parts.port in {None, 443}
        loopback = host in LOOPBACK_HOSTS and parts.scheme in {"http", "https"}
        if not plain or not (published or loopback):
            raise ValueError(f"GRAPH_BASE_URL must be https and one of {', '.join(GRAPH_HOSTS)}, or loopback")
        return cls(base_url.rstrip("/"), host, f"https://{host if published else CLOUDS[0].graph_hosts[0]}/.default")


@dataclass(frozen=True, slots=True)
class Registration:
    """An app registration in Entra. tenant, client_id: GUIDs. authority: where the tenant's metadata is."""

    tenant: str
    client_id: str
    authority: str
