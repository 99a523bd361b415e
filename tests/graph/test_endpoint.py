import pytest

from shared.settings.clouds import GRAPH_HOSTS, GraphEndpoint


@pytest.mark.parametrize("host", GRAPH_HOSTS)
def test_each_cloud_has_its_own_scope(host: str) -> None:
    """A token is asked for the cloud that gets it."""
    assert GraphEndpoint.parse(f"https://{host}/v1.0/") == GraphEndpoint(
        f"https://{host}/v1.0", host, f"https://{host}/.default"
    )


@pytest.mark.parametrize(
    ("base_url", "host"),
    [("http://127.0.0.1:8080", "127.0.0.1"), ("https://localhost:1/v1.0", "localhost"), ("http://[::1]:9/x", "::1")],
)
def test_the_sandbox_stands_in_for_the_public_cloud(base_url: str, host: str) -> None:
    """Loopback takes the public cloud's tokens, over http too."""
    assert GraphEndpoint.parse(base_url) == GraphEndpoint(base_url, host, "https://graph.microsoft.com/.default")


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "graph.microsoft.com",
        "http://graph.microsoft.com/v1.0",
        "https://graph.microsoft.com.evil.example/v1.0",
        "https://evil.example/graph.microsoft.com",
        "https://evilgraph.microsoft.com/v1.0",
        "https://evil.graph.microsoft.com/v1.0",
        "https://graph.microsoft.com@evil.example/",
        "https://user:pw@graph.microsoft.com/v1.0",
        "https://graph.microsoft.com:8443/v1.0",
        "https://graph.microsoft.com:port/v1.0",
        "https://graph.microsoft.com/v1.0?x=y",
        "https://graph.microsoft.com/v1.0#x",
        "ftp://127.0.0.1/",
        "http://10.0.0.1/v1.0",
    ],
)
def test_a_token_goes_nowhere_else(base_url: str) -> None:
    """Anything but Microsoft's hosts over https and loopback is refused."""
    with pytest.raises(ValueError, match=r"GRAPH_BASE_URL|[Pp]ort"):
        GraphEndpoint.parse(base_url)
