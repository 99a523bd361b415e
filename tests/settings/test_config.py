"""Settings: read once, never raised, each fault named."""

import json
import re
from pathlib import Path

import pytest

from shared.settings.config import read, secret_setting
from shared.settings.storage_connection import DEVELOPMENT_STORAGE

GUID = "11111111-2222-3333-4444-5555abcdef55"
MINIMAL = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}


def problems(**environ: str) -> list[str]:
    return [problem.setting for problem in read(MINIMAL | environ).problems]


def test_a_number_may_be_the_least_and_the_most_that_is_allowed() -> None:
    assert problems(MAIL_CONCURRENCY="1", MAIL_SEND_TIMEOUT="120") == []
    assert problems(MAIL_CONCURRENCY="64", MAIL_SEND_TIMEOUT="1") == []
    assert problems(MAIL_CONCURRENCY="65", MAIL_SEND_TIMEOUT="121") == ["MAIL_SEND_TIMEOUT", "MAIL_CONCURRENCY"]


def test_storage_alone_is_enough_to_start() -> None:
    """Nobody may send yet, and nothing is wrong."""
    settings = read(MINIMAL)
    assert settings.problems == ()
    assert settings.storage.connection_string == DEVELOPMENT_STORAGE
    assert settings.api is None
    assert not settings.callers
    assert not settings.allowed_senders.allow("a@contoso.com")
    assert settings.allowed_recipients.allow("a@contoso.com")
    assert (settings.mode, settings.recipients_per_day, settings.on_unknown) == ("live", 10_000, "resend")
    assert (settings.send_timeout, settings.lease_margin) == (30, 30)
    assert (settings.max_attempts, settings.max_age_hours) == (20, 72)
    assert settings.graph.base_url == "https://graph.microsoft.com/v1.0"
    assert not settings.large_attachments, "they need a permission that nothing else needs"
    assert read(MINIMAL | {"MAIL_MAX_REQUEST_MB": "50"}).max_request == 50_000_000


WRONG = [
    ("AzureWebJobsStorage", ""), ("AzureWebJobsStorage", "no connection string"),
    ("AzureWebJobsStorage", "AccountName=contoso"), ("AZURE_CLIENT_ID", "mine"),
    ("GRAPH_BASE_URL", "https://graph.example.com/v1.0"), ("GRAPH_BASE_URL", "http://graph.microsoft.com/v1.0"),
    ("GRAPH_BASE_URL", "https://graph.microsoft.com@evil.example/v1.0"),
    ("GRAPH_BASE_URL", "https://graph.microsoft.com:444/v1.0"), ("MAIL_API_TENANT", "contoso.com"),
    ("MAIL_API_CLIENT_ID", GUID + "0"), ("MAIL_API_AUTHORITY", "http://login.example.com"),
    ("MAIL_API_AUTHORITY", "login.microsoftonline.com"), ("MAIL_CALLERS", "{"), ("MAIL_CALLERS", "[" * 50_000),
    ("MAIL_CALLERS", json.dumps({"my app": {"senders": ["a@contoso.com"]}})),
    ("MAIL_CALLERS", json.dumps({GUID: {"senders": "a@contoso.com"}})),
    ("MAIL_CALLERS", json.dumps({GUID: {"senders": ["al*@contoso.com"]}})),
    ("MAIL_CALLERS", json.dumps({GUID: {"senders": ["a@contoso.com"], "sender": "b@contoso.com"}})),
    ("MAIL_SENDER_POOLS", "team"), ("MAIL_SENDER_POOLS", '{"team": []}'), ("MAIL_SENDER_POOLS", '{"team": ["alerts"]}'),
    ("MAIL_SENDER_POOLS", '{"team@contoso.com": ["a@contoso.com"]}'),
    ("MAIL_SENDER_POOLS", f'{{"{GUID}": ["a@contoso.com"]}}'), ("MAIL_ALLOWED_SENDERS", "a@*"),
    ("MAIL_ALLOWED_RECIPIENTS", "a@con*so.com"), ("MAIL_ON_UNKNOWN", "retry"), ("MAIL_SEND_TIMEOUT", "soon"),
    ("MAIL_SEND_TIMEOUT", "nan"), ("MAIL_LEASE_MARGIN", "0"), ("MAIL_VERIFY_SENT", "maybe"),
    ("MAIL_VERIFY_DELAYS", "60 15"), ("MAIL_VERIFY_DELAYS", ","), ("MAIL_RATE_PER_MINUTE", "many"),
    ("MAIL_CONCURRENCY", "0"), ("MAIL_RETENTION_DAYS", "7"), ("MAIL_MAX_ATTEMPTS", "1.5"), ("MAIL_MAX_AGE_HOURS", "-1"),
    ("MAIL_SENDER", "mailroom"), ("MAIL_SENDER", "*"), ("MAIL_SENDER", "*@contoso.com"), ("MAIL_TO", "ops"),
    ("MAIL_TO", "Ops <ops@contoso.com>"), ("MAIL_TO", "ops@contoso.com ops@\uff43ontoso.com"),
    ("MAIL_SENDER", "ops@\uff43ontoso.com"), ("MAIL_REDIRECT_TO", "ops@contoso.com."),
    ("MAIL_REDIRECT_TO", "\u00fc@contoso.com"), ("MAIL_SENDER_POOLS", '{"team": ["a@contoso..com"]}'),
    ("MAIL_ALLOWED_RECIPIENTS", "*@\uff43ontoso.com"),
    ("MAIL_CALLERS", json.dumps({GUID: {"senders": ["a@xn--contoso-.com"]}})), ("MAIL_OPERATOR_APPS", "portal"),
    ("MAIL_OPERATOR_APPS", f"{GUID} *"), ("MAIL_OPERATOR_KEYS", "off"),
    ("MAIL_VAULT_URL", "http://contoso.vault.azure.net"),
    ("MAIL_VAULT_URL", "https://contoso.vault.azure.net/secrets/mine"),
    ("MAIL_CALLERS", json.dumps({GUID: {"senders": ["a@contoso.com"], "ratePerMinute": 0}})),
    ("MAIL_CALLERS", json.dumps({"mail-events": {"senders": ["a@contoso.com"]}})), ("MAIL_RECIPIENTS_PER_DAY", "499"),
    ("MAIL_EXTENDED_PROPERTIES", "Colour"), ("MAIL_EXTENDED_PROPERTIES", "0x0042"),
    ("MAIL_EXTENDED_PROPERTIES", "00020386-0000-0000-C000-000000000046"), ("MAIL_MODE", "test"),
    ("MAIL_REDIRECT_TO", "catcher"), ("MAIL_REDIRECT_TO", "*@contoso.com"),
    ("MAIL_REDIRECT_TO", "a@contoso.com b@contoso.com"), ("MAIL_LARGE_ATTACHMENTS", "yes"),
    ("MAIL_MAX_REQUEST_MB", "0"), ("MAIL_BRAND_NAME", "a" * 61), ("MAIL_BRAND_NAME", "a\nb"),
    ("MAIL_BRAND_COLOR", "blue"), ("MAIL_BRAND_COLOR", "#ffcc00"), ("MAIL_BRAND_LOGO", "shared/webhooks/routes"),
    ("MAIL_BRAND_LOGO", "no-such-logo.png"), ("MAIL_BRAND_LOGO", "README.md"),
    ("MAIL_TIME_ZONE", "W. Europe Standard Time"), ("MAIL_TIME_ZONE", "../UTC"), ("MAIL_TIME_ZONE", "Europe"),
    ("MAIL_MAX_REQUEST_MB", "101"), ("MAIL_ATTACHMENT_CONTAINERS", "mail-attachments Reports"),
    ("MAIL_ATTACHMENT_CONTAINERS", "mail-dead"), ("MAIL_ATTACHMENT_CONTAINERS", "azure-webjobs-secrets"),
    ("MAIL_CALLERS", json.dumps({GUID: {"senders": ["a@contoso.com"], "attachments": ["mail-payloads/x"]}})),
    ("MAIL_CALLERS", json.dumps({GUID: {"senders": ["a@contoso.com"], "attachments": ["reports/../x"]}})),
    # what readers would read once, or not at all
    ("MAIL_CALLERS", f'{{"{GUID}": {{"senders": ["a@b.example"]}}, "{GUID}": {{"senders": ["*"]}}}}'),
    ("MAIL_CALLERS", f'{{"{GUID}": {{"senders": ["a@b.example"], "senders": ["*"]}}}}'),
    ("MAIL_CALLERS", json.dumps({one: {"senders": ["*"]} for one in (GUID[:-1] + "a", GUID[:-1] + "A")})),
    ("MAIL_CALLERS", '{"mail-outbox": {"senders": ["*"], "attachments": ["files"]}}'),
    ("MAIL_SENDER_POOLS", '{"team": ["a@b.example"], "team": ["c@b.example"]}'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_setting_is_named_with_what_was_expected(name: str, value: str) -> None:
    found = [problem for problem in read(MINIMAL | {name: value}).problems if problem.setting == name]
    assert len(found) == 1
    assert found[0].expected
    assert str(found[0]).startswith(f"{name}: found ")


@pytest.mark.parametrize(
    "name", ["AzureWebJobsStorage", "AZURE_CLIENT_ID", "MAIL_API_AUTHORITY", "MAIL_CALLERS", "MAIL_ALLOWED_SENDERS"]
)
def test_an_unresolved_key_vault_reference_is_no_value(name: str) -> None:
    """Azure hands it to the app as it stands; taken for a secret it would open the door to whoever guesses it."""
    settings = read(MINIMAL | {name: "@Microsoft.KeyVault(SecretUri=https://contoso.vault.azure.net/secrets/x)"})
    assert [problem.setting for problem in settings.problems] == [name]
    assert "Key Vault" in settings.problems[0].found


def test_attachments_by_reference_are_given_container_by_container() -> None:
    """By default queues have mail-attachments, and a caller over HTTP has none."""
    given = {GUID: {"senders": ["a@contoso.com"], "attachments": ["reports/2026"]}, f"{GUID[:-1]}6": {"senders": []}}
    settings = read(MINIMAL | {"MAIL_CALLERS": json.dumps(given)})
    assert settings.problems == ()
    assert settings.attachment_containers.allow("mail-attachments", "x")
    assert settings.callers[GUID].attachments.allow("reports", "2026/x")
    assert not settings.callers[GUID].attachments.allow("mail-attachments", "x")
    assert not settings.callers[f"{GUID[:-1]}6"].attachments.allow("reports", "2026/x")
    settings = read(MINIMAL | {"MAIL_ATTACHMENT_CONTAINERS": "reports, files/mail"})
    assert settings.attachment_containers.allow("files", "mail/x")
    assert not settings.attachment_containers.allow("mail-attachments", "x")


def test_a_connection_string_is_never_shown() -> None:
    settings = read({"AzureWebJobsStorage": "AccountKey=c2VjcmV0"})
    assert "c2VjcmV0" not in str(settings.problems)
    assert "c2VjcmV0" not in repr(read({"AzureWebJobsStorage": "AccountName=a;AccountKey=c2VjcmV0"}))


def test_storage_by_identity() -> None:
    """As Azure names such a connection: an account, or each service's URL."""
    settings = read({"AzureWebJobsStorage__accountName": "contoso", "AzureWebJobsStorage__clientId": GUID})
    assert settings.problems == ()
    assert settings.storage.connection_string is None
    assert settings.storage.table_endpoint == "https://contoso.table.core.windows.net"
    assert settings.storage.client_id == GUID


PARTS = {f"AzureWebJobsStorage__{kind}ServiceUri": "https://contoso.example" for kind in ("queue", "table")}
BLOBS = "AzureWebJobsStorage__blobServiceUri"


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        (PARTS, BLOBS),
        *(({**PARTS, BLOBS: url}, BLOBS) for url in ("contoso", "http://", "http://contoso.example", "https://")),
        ({"MAIL_API_TENANT": GUID}, "MAIL_API_CLIENT_ID"), ({"MAIL_API_CLIENT_ID": GUID}, "MAIL_API_TENANT"),
        ({"MAIL_CALLERS": "\udcff{}"}, "MAIL_CALLERS"), ({"MAIL_SENDER_POOLS": "\udcff{}"}, "MAIL_SENDER_POOLS"),
        ({"GRAPH_BASE_URL": "https://graph.microsoft.us", "MAIL_API_AUTHORITY": "https://["}, "MAIL_API_AUTHORITY"),
    ],
)  # fmt: skip
def test_what_is_missing_or_no_url_or_no_text_is_one_problem(environ: dict[str, str], named: str) -> None:
    base = {} if named == BLOBS else MINIMAL
    assert {problem.setting for problem in read(base | environ).problems} == {named}


def test_loopback_is_for_a_laptop_only() -> None:
    local = {"GRAPH_BASE_URL": "http://127.0.0.1:7072/v1.0", "MAIL_API_AUTHORITY": "http://127.0.0.1:7072"}
    assert problems(**local) == []
    assert problems(**local, WEBSITE_SITE_NAME="mailroom") == ["GRAPH_BASE_URL", "MAIL_API_AUTHORITY"]


def test_all_faults_are_collected() -> None:
    everything = {name: value for name, value in WRONG if value}
    assert set(problems(**everything)) == set(everything)


def test_redirect_needs_an_address() -> None:
    settings = read(MINIMAL | {"MAIL_MODE": "Redirect", "MAIL_REDIRECT_TO": "Catcher@contoso.com"})
    assert (settings.problems, settings.mode, settings.redirect_to) == ((), "redirect", "Catcher@contoso.com")
    assert problems(MAIL_MODE="redirect") == ["MAIL_REDIRECT_TO"]


def test_an_address_to_redirect_to_without_a_mode_is_not_taken_for_live() -> None:
    """Whoever forgot the mode would mail those whom it was to be kept from."""
    assert problems(MAIL_REDIRECT_TO="catcher@contoso.com") == ["MAIL_MODE"]
    for mode in ("live", "capture"):
        assert problems(MAIL_REDIRECT_TO="catcher@contoso.com", MAIL_MODE=mode) == []


def test_each_caller_whose_rule_is_wrong_is_named_and_nothing_of_the_others() -> None:
    other = GUID[:-1] + "f"
    rules = {GUID: {"senders": ["a@contoso.com"], "sendrs": []}, other: {"senders": ["a@contoso.com"], "recipients": 5}}
    misspelt, typed = read(MINIMAL | {"MAIL_CALLERS": json.dumps(rules)}).problems
    assert GUID in misspelt.found
    assert "sendrs" in misspelt.found
    assert other in typed.found
    assert "$.recipients" in typed.found


def test_rates_of_callers_and_of_the_queues_producers() -> None:
    rule = {"senders": ["a@contoso.com"], "recipients": ["*@contoso.com"], "ratePerMinute": 5}
    settings = read(MINIMAL | {"MAIL_CALLERS": json.dumps({GUID.upper(): rule, "mail-outbox": rule})})
    assert settings.problems == ()
    assert settings.callers[GUID].senders.allow("A@contoso.com"), "an id in any case"
    assert settings.callers[GUID].recipients
    for name in (GUID, "mail-outbox"):
        assert settings.callers[name].rate_per_minute == 5


def test_the_mailbox_of_routes_opens_itself_until_senders_are_listed() -> None:
    alone = read(MINIMAL | {"MAIL_SENDER": "Shop@contoso.com"})
    assert alone.sender == "shop@contoso.com"
    assert alone.route_senders
    assert alone.route_senders.allow("shop@contoso.com")
    assert not alone.allowed_senders.allow("shop@contoso.com")
    listed = read(MINIMAL | {"MAIL_SENDER": "shop@contoso.com", "MAIL_ALLOWED_SENDERS": "a@contoso.com"})
    assert listed.route_senders is None


def test_addresses_of_settings_have_their_canonical_form() -> None:
    settings = read(
        MINIMAL
        | {
            "MAIL_SENDER": "Shop@B\u00fccher.Example",
            "MAIL_TO": "Ops@B\u00dcCHER.example",
            "MAIL_MODE": "redirect",
            "MAIL_REDIRECT_TO": "Tests@bu\u0308cher.example",
            "MAIL_SENDER_POOLS": '{"team": ["A@b\u00fccher.example"]}',
            "MAIL_ALLOWED_RECIPIENTS": "*@b\u00fccher.example",
        }
    )
    assert not settings.problems
    assert settings.sender == "shop@xn--bcher-kva.example"
    assert settings.to == ("Ops@xn--bcher-kva.example",)
    assert settings.redirect_to == "Tests@xn--bcher-kva.example"
    assert settings.sender_pools == {"team": ("a@xn--bcher-kva.example",)}
    assert settings.route_senders is not None
    assert settings.route_senders.allow("SHOP@XN--BCHER-KVA.example")
    assert settings.allowed_recipients.allow("x@xn--bcher-kva.example")


def test_secrets_of_routes_are_words_and_an_unresolved_reference_is_none() -> None:
    given = {
        "MAIL_SECRET_MY_SHOP": " old  new ",
        "MAIL_SECRET_OTHER": "@Microsoft.KeyVault(SecretUri=x)",
        "MAIL_SECRET_BOTH": "old @Microsoft.KeyVault(SecretUri=x y)",
        "MAIL_SECRET_": "",
    }
    settings = read(MINIMAL | given)
    assert dict(settings.secrets) == {"MAIL_SECRET_MY_SHOP": ("old", "new"), "MAIL_SECRET_BOTH": ("old",)}
    assert settings.unresolved_secrets == {"MAIL_SECRET_OTHER", "MAIL_SECRET_BOTH"}
    assert "old" not in repr(settings)
    assert secret_setting("my-shop") == "MAIL_SECRET_MY_SHOP"


def test_a_name_that_nothing_reads_is_reported_with_the_nearest_and_stops_nothing() -> None:
    """A misspelt setting is otherwise silently not there."""
    lost = {
        "MAIL_ALLOWED_RECIPIENT": "MAIL_ALLOWED_RECIPIENTS", "MAIL_ALOWED_SENDERS": "MAIL_ALLOWED_SENDERS",
        "MAIL_REDIRECTTO": "MAIL_REDIRECT_TO", "MAIL_RATE": "MAIL_RATE_PER_MINUTE",
        "MAIL_RECIPIENTS": "MAIL_RECIPIENTS_PER_DAY", "MAIL_SECRET": "MAIL_SECRET_<ROUTE>",
        "MAIL_SECRETS_GITHUB": "MAIL_SECRET_<ROUTE>", "mail_secret_github": "MAIL_SECRET_GITHUB",
        "mail_mode": "MAIL_MODE", "MAIL_": "MAIL_",
    }  # fmt: skip
    settings = read(MINIMAL | dict.fromkeys(lost, "hush") | {"MAIL_SECRET_GITHUB": "a", "MAIL": "/var/mail/me"})
    assert not settings.problems
    assert {one.setting for one in settings.unused} == set(lost)
    for one in settings.unused:
        assert one.expected.partition("nearest is ")[2].startswith(lost[one.setting]), one
        assert "hush" not in str(one)


def test_every_setting_that_the_readme_names_is_read() -> None:
    table = Path(__file__).parents[2].joinpath("README.md").read_text().partition("\n## Settings\n")[2]
    names = set(re.findall(r"`(MAIL_[A-Z_]+[A-Z])`", table))
    assert len(names) > 25
    assert [one.setting for one in read(MINIMAL | dict.fromkeys(names, " ")).unused] == []


def test_a_connection_string_takes_the_place_of_the_accounts_name_and_says_so() -> None:
    settings = read(MINIMAL | {"AzureWebJobsStorage__accountName": "contoso", "AzureWebJobsStorage__clientId": ""})
    assert not settings.problems
    assert [one.setting for one in settings.unused] == ["AzureWebJobsStorage__accountName"]
