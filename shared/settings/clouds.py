"""Microsoft's clouds: which hosts belong together. Which of them this is, GRAPH_BASE_URL says.

https://learn.microsoft.com/graph/deployments, https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud.
Tokens of version 1 are issued by another host than the one that has the keys (sts.windows.net, in China
sts.chinacloudapi.cn); the tenant's metadata says so, and nothing here has to.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

__all__ = ["CLOUDS", "LOGIN_HOSTS", "Cloud", "cloud_of", "owner"]


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
        """Whether a host can be of this cloud and of no other one."""
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
# One of them may name another's keys.
LOGIN_HOSTS: Final = tuple(host for cloud in CLOUDS for host in cloud.login_hosts)


def cloud_of(graph_host: str) -> Cloud:
    """The cloud of a Graph host; the public one where it is loopback, which stands in for that."""
    return next((cloud for cloud in CLOUDS if graph_host in cloud.graph_hosts), CLOUDS[0])


def owner(url: str) -> Cloud | None:
    """The cloud that the host of a URL can only be of; None for a private name, and for what is no URL."""
    try:
        host = (urlsplit(url.strip()).hostname or "").lower()
    except ValueError:
        return None
    return next((cloud for cloud in CLOUDS if cloud.owns(host)), None)
