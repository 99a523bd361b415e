"""National clouds, by configuration: GRAPH_BASE_URL says which one it is, and all else follows or is refused."""

import json
from typing import Any

import pytest

from shared.auth.entra_keys import SigningKeys
from shared.graph.client import open_client
from shared.settings.clouds import CLOUDS, Cloud, GraphEndpoint, cloud_of
from shared.settings.config import read

GUID = "11111111-2222-3333-4444-555555555555"
GRAPHS = [(cloud, host) for cloud in CLOUDS for host in cloud.graph_hosts]
PUBLIC, GOVERNMENT, CHINA = CLOUDS


def settings(host: str, **environ: str) -> dict[str, str]:
    registration = {"MAIL_API_TENANT": GUID, "MAIL_API_CLIENT_ID": GUID}
    return {
        "GRAPH_BASE_URL": f"https://{host}/v1.0",
        "AzureWebJobsStorage__accountName": "mail",
        **registration,
        **environ,
    }


@pytest.mark.parametrize(("cloud", "host"), GRAPHS, ids=lambda value: value if isinstance(value, str) else value.name)
def test_scope_authority_and_storage_are_the_clouds_own(cloud: Cloud, host: str) -> None:
    found = read(settings(host, MAIL_VAULT_URL=f"https://mail.{cloud.vaults}"))
    assert found.problems == ()
    assert found.graph.scope == f"https://{host}/.default"
    assert found.api
    assert found.api.authority == found.authority == cloud.authority
    assert found.storage.queue_endpoint == f"https://mail.queue.{cloud.storage}"
    assert found.storage.table_endpoint == f"https://mail.table.{cloud.storage}"


@pytest.mark.parametrize(
    ("base_url", "host"),
    [("http://127.0.0.1:8080", "127.0.0.1"), ("https://localhost:1/v1.0", "localhost"), ("http://[::1]:9/x", "::1")],
)
def test_loopback_where_the_sandbox_is_takes_the_public_clouds_tokens(base_url: str, host: str) -> None:
    assert GraphEndpoint.parse(base_url) == GraphEndpoint(base_url, host, "https://graph.microsoft.com/.default")


def test_the_documented_hosts() -> None:
    """https://learn.microsoft.com/graph/deployments and .../entra/identity-platform/authentication-national-cloud."""
    assert {host: cloud_of(host).authority for _, host in GRAPHS} == {
        "graph.microsoft.com": "https://login.microsoftonline.com",
        "graph.microsoft.us": "https://login.microsoftonline.us",
        "dod-graph.microsoft.us": "https://login.microsoftonline.us",
        "microsoftgraph.chinacloudapi.cn": "https://login.partner.microsoftonline.cn",
    }
    assert [(cloud.storage, cloud.vaults) for cloud in CLOUDS] == [
        ("core.windows.net", "vault.azure.net"),
        ("core.usgovcloudapi.net", "vault.usgovcloudapi.net"),
        ("core.chinacloudapi.cn", "vault.azure.cn"),
    ]


@pytest.mark.parametrize("host", ["graph.microsoft.us", "microsoftgraph.chinacloudapi.cn"])
async def test_the_sdks_client_asks_for_the_clouds_token_and_goes_to_its_host(host: str) -> None:
    connection = open_client(f"https://{host}/v1.0", None)
    builder = connection.client.users.by_user_id("a").send_mail
    assert str(connection.client.request_adapter.base_url) == f"https://{host}/v1.0"
    assert connection.scope == f"https://{host}/.default"
    assert builder.request_adapter is connection.client.request_adapter
    await connection.close()


@pytest.mark.parametrize("cloud", CLOUDS, ids=lambda cloud: cloud.name)
@pytest.mark.parametrize("other", CLOUDS, ids=lambda cloud: cloud.name)
def test_a_host_of_another_cloud_is_named(cloud: Cloud, other: Cloud) -> None:
    given = {
        "MAIL_API_AUTHORITY": other.authority,
        "MAIL_VAULT_URL": f"https://mail.{other.vaults}",
        **{
            f"AzureWebJobsStorage__{kind}ServiceUri": f"https://mail.{kind}.{other.storage}"
            for kind in ("blob", "queue", "table")
        },
    }
    found = {problem.setting for problem in read(settings(cloud.graph_hosts[0], **given)).problems}
    assert found == (set() if cloud is other else set(given))


def test_hosts_of_nobodys_cloud_are_the_operators_business() -> None:
    """Private names of storage and vault, a proxy before the authority."""
    given = {
        f"AzureWebJobsStorage__{kind}ServiceUri": f"https://{kind}.contoso.example"
        for kind in ("blob", "queue", "table")
    }
    assert read(settings("graph.microsoft.us", MAIL_VAULT_URL="https://vault.contoso.example", **given)).problems == ()


ISSUERS = {  # as the tenants' metadata names them, by version of the token
    (PUBLIC, "1.0"): f"https://sts.windows.net/{GUID}/",
    (PUBLIC, "2.0"): f"https://login.microsoftonline.com/{GUID}/v2.0",
    (GOVERNMENT, "1.0"): f"https://sts.windows.net/{GUID}/",
    (GOVERNMENT, "2.0"): f"https://login.microsoftonline.us/{GUID}/v2.0",
    (CHINA, "1.0"): f"https://sts.chinacloudapi.cn/{GUID}/",
    (CHINA, "2.0"): f"https://login.partner.microsoftonline.cn/{GUID}/v2.0",
}


@pytest.mark.parametrize(("cloud", "version"), ISSUERS, ids=lambda value: getattr(value, "name", value))
async def test_the_issuer_of_each_version_is_what_the_clouds_metadata_says(cloud: Cloud, version: str) -> None:
    asked: list[str] = []
    host = cloud.login_hosts[-1]  # China's metadata names keys at either of its hosts
    key = {"kty": "RSA", "kid": "k", "n": NUMBER, "e": "AQAB"}

    async def fetch(url: str) -> bytes:
        asked.append(url)
        answer: dict[str, Any] = {
            "issuer": ISSUERS[cloud, version],
            "jwks_uri": f"https://{host}/{GUID}/discovery/keys",
        }
        return json.dumps({"keys": [key]} if url.endswith("/keys") else answer).encode()

    found = await SigningKeys(GUID, cloud.authority, fetch, lambda: 0.0).find(version, "k")
    assert found
    assert found[1] == ISSUERS[cloud, version]
    assert asked[0].startswith(f"{cloud.authority}/{GUID}/")


# The public number of a key of 2048 bits that signs nothing.
NUMBER = "w" + "A" * 340 + "Q"


@pytest.mark.parametrize(
    "base_url",
    [
        "", "graph.microsoft.com", "http://graph.microsoft.com/v1.0", "https://graph.microsoft.com.evil.example/v1.0",
        "https://evilgraph.microsoft.com/v1.0", "https://evil.graph.microsoft.com/v1.0",
        "https://evil.example/graph.microsoft.com", "https://graph.microsoft.com@evil.example/",
        "https://user:pw@graph.microsoft.com/v1.0", "https://graph.microsoft.com:8443/v1.0",
        "https://graph.microsoft.com:port/v1.0", "https://graph.microsoft.com/v1.0?x=y",
        "https://graph.microsoft.com/v1.0#x", "ftp://127.0.0.1/", "http://10.0.0.1/v1.0",
    ],
)  # fmt: skip
def test_a_token_goes_nowhere_else(base_url: str) -> None:
    with pytest.raises(ValueError, match=r"GRAPH_BASE_URL|[Pp]ort"):
        GraphEndpoint.parse(base_url)
