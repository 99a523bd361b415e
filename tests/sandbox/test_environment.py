import json

import pytest

from sandbox.environment import for_host, for_part, wanted
from sandbox.options import PARTS, parse
from sandbox.parts import Graph, Storage

STORAGE = Storage("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3")
GRAPH = Graph(
    "graph", "identity", "header", "authority", "token", "jwks", "tenant", "api", "caller", "a@b.c", "oid", "c"
)


@pytest.mark.parametrize(
    ("arguments", "environ", "parts"),
    [
        ([], {}, PARTS),
        ([], {"AzureWebJobsStorage": "x"}, ("mail", "graph", "host")),
        ([], {"AzureWebJobsStorage": ""}, PARTS),
        ([], {"AzureWebJobsStorage__accountName": "x"}, ("mail", "graph", "host")),
        ([], {"GRAPH_BASE_URL": "x"}, PARTS),
        ([], {"IDENTITY_ENDPOINT": "x"}, PARTS),
        ([], {"GRAPH_BASE_URL": "x", "IDENTITY_ENDPOINT": "x"}, ("storage", "host")),
        (["--without", "mail"], {}, ("storage", "graph", "host")),
        (["--without", "graph"], {}, ("storage", "host")),
        (["--only", "host"], {}, ("host",)),
    ],
)
def test_which_parts_start(arguments: list[str], environ: dict[str, str], parts: tuple[str, ...]) -> None:
    """What is left out or replaced from outside does not; MailDev goes with the emulator, which alone feeds it."""
    assert wanted(parse(arguments), environ) == parts


def test_the_host_gets_the_sandboxs_settings() -> None:
    settings = for_host({}, STORAGE, GRAPH)
    assert settings["AzureWebJobsStorage"] == STORAGE.connection_string
    assert (settings["IDENTITY_ENDPOINT"], settings["IDENTITY_HEADER"]) == ("identity", "header")
    assert json.loads(settings["MAIL_CALLERS"]) == {
        "caller": {"senders": ["a@b.c", "oid"], "attachments": ["mail-attachments"]}
    }
    assert settings["MAIL_ALLOWED_SENDERS"] == "a@b.c oid"
    assert "MAIL_ALLOWED_RECIPIENTS" not in settings


@pytest.mark.parametrize(
    "name",
    ["GRAPH_BASE_URL", "MAIL_API_TENANT", "MAIL_CALLERS", "MAIL_ALLOWED_SENDERS", "MAIL_MODE", "AZURE_CLIENT_ID"],
)
def test_a_setting_from_outside_wins(name: str) -> None:
    assert for_host({name: "outside"}, STORAGE, GRAPH)[name] == "outside"


def test_an_empty_setting_from_outside_wins_too() -> None:
    assert for_host({"MAIL_ALLOWED_SENDERS": ""}, STORAGE, GRAPH)["MAIL_ALLOWED_SENDERS"] == ""


def test_the_identity_header_goes_with_its_endpoint() -> None:
    assert "IDENTITY_HEADER" not in for_host({"IDENTITY_ENDPOINT": "outside"}, STORAGE, GRAPH)
    assert for_host({"IDENTITY_HEADER": "outside"}, STORAGE, GRAPH)["IDENTITY_HEADER"] == "header"


def test_the_host_is_never_told_that_it_is_in_azure() -> None:
    assert "WEBSITE_SITE_NAME" not in for_host({"WEBSITE_SITE_NAME": "leftover"}, STORAGE, GRAPH)


def test_the_parts_settings_of_their_own_and_proxies_stay_out() -> None:
    outside = {"AZURITE_ACCOUNTS": "a:b", "MAILDEV_OUTGOING_HOST": "smtp.example", "NO_PROXY": "corp.example"}
    kept = for_part(outside | {"PATH": "/bin", "HTTP_PROXY": "http://proxy.example"})
    assert kept == {
        "PATH": "/bin",
        "HTTP_PROXY": "http://proxy.example",
        "NO_PROXY": "corp.example,127.0.0.1,localhost",
        "no_proxy": "corp.example,127.0.0.1,localhost",
    }
