"""scripts/limit-sender-mailboxes.ps1: what it refuses, with a sentence and an exit code that say what to do."""

from typing import Any

import pytest

from tests.scripts.exchange import ALERTS, APPLICATION, IDENTITY, MAILROOM, Exchange, assignment, identifier

SESSION = {"State": "Connected", "TenantID": identifier(0xFFFF), "IsEopSession": False}


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"connections": []}, "Run Connect-ExchangeOnline, then this again."),
        ({"connections": [], "forbidden": ["Get-ConnectionInformation"]}, "Install-Module ExchangeOnlineManagement."),
        ({"connections": [{**SESSION, "State": "Broken"}]}, "Run Connect-ExchangeOnline, then this again."),
        ({"connections": [{**SESSION, "IsEopSession": True}]}, "Run Connect-ExchangeOnline, then this again."),
        ({"connections": [SESSION, {**SESSION, "TenantID": identifier(0xEEEE)}]}, "Run Disconnect-ExchangeOnline"),
        (
            {"forbidden": ["New-ManagementScope", "Set-ManagementScope"]},
            "may not run New-ManagementScope, Set-ManagementScope. Connect with one in the role group Organization",
        ),
    ],
    ids=["not", "no module", "lost", "another service", "two tenants", "not allowed"],
)
def test_not_connected_is_one_sentence_with_the_command_to_run(
    exchange: Exchange, state: dict[str, Any], sentence: str
) -> None:
    exchange.state.update(state)
    run = exchange.limit(MAILROOM)
    assert run.code == 1
    assert sentence in run.output
    assert len(run.output.splitlines()) == 1
    assert {cmdlet for cmdlet, _ in run.calls} <= {"Get-ConnectionInformation"}


def test_an_identity_that_entra_does_not_have_is_named_with_the_command_that_shows_it(exchange: Exchange) -> None:
    """And nothing more is written."""
    run = exchange.limit(MAILROOM, ObjectId=identifier(0xBAD))
    assert (run.code, run.written) == (4, ["New-ServicePrincipal"])
    assert identifier(0xBAD) in run.output
    assert f"az ad sp show --id {APPLICATION}" in run.output
    assert exchange.assigned() == {}


@pytest.mark.parametrize(
    ("application", "identity"),
    [(APPLICATION, identifier(0xB3)), (identifier(0xB3), IDENTITY)],
    ids=["object", "application"],
)
def test_ids_that_do_not_belong_together_change_nothing(limited: Exchange, application: str, identity: str) -> None:
    run = limited.limit(MAILROOM, ALERTS, ApplicationId=application, ObjectId=identity)
    assert (run.code, run.written) == (4, [])
    assert f"Exchange knows application {APPLICATION} with the object id {IDENTITY}" in run.output


def test_the_application_id_is_not_taken_for_the_object_id(exchange: Exchange) -> None:
    run = exchange.limit(MAILROOM, ObjectId=APPLICATION)
    assert (run.code, run.written) == (2, [])
    assert f"az ad sp show --id {APPLICATION} --query id" in run.output


@pytest.mark.parametrize(
    "arguments",
    [
        {"Mailbox": [MAILROOM, "nobody@contoso.com"]},
        {"Mailbox": [MAILROOM], "TestInScope": "nobody@contoso.com"},
        {"Mailbox": [MAILROOM], "TestOutOfScope": "nobody@contoso.com"},
    ],
    ids=" ".join,
)
def test_a_mailbox_that_is_not_there_is_named_before_anything_is_written(
    exchange: Exchange, arguments: dict[str, Any]
) -> None:
    run = exchange.limit(**arguments)
    assert (run.code, run.written) == (3, [])
    assert "There is no mailbox 'nobody@contoso.com'" in run.output


def test_a_name_that_fits_two_mailboxes_is_not_guessed(exchange: Exchange) -> None:
    exchange.state["mailboxes"][1]["UserPrincipalName"] = MAILROOM
    run = exchange.limit(MAILROOM)
    assert (run.code, run.written) == (3, [])
    assert f"'{MAILROOM}' is an address of one mailbox and the user principal name of another" in run.output


def test_a_mailbox_without_a_user_is_not_put_in_a_scope(exchange: Exchange) -> None:
    exchange.state["mailboxes"][0]["ExternalDirectoryObjectId"] = ""
    run = exchange.limit(MAILROOM)
    assert (run.code, run.written) == (3, [])
    assert f"'{MAILROOM}' has no user in Entra" in run.output


@pytest.mark.parametrize(
    ("mailboxes", "more", "sentence"),
    [
        (("*@contoso.com",), {}, "'*@contoso.com' is neither an email address nor an object id"),
        (("Mailroom",), {}, "'Mailroom' is neither"),
        ((" ; ",), {}, "-Mailbox names no mailbox"),
        ((MAILROOM,), {"TestInScope": ALERTS}, f"-TestInScope '{ALERTS}' is not one of -Mailbox"),
        ((MAILROOM, ALERTS), {"TestOutOfScope": ALERTS}, f"-TestOutOfScope '{ALERTS}' is one of -Mailbox"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    exchange: Exchange, mailboxes: tuple[str, ...], more: dict[str, str], sentence: str
) -> None:
    run = exchange.limit(*mailboxes, **more)
    assert (run.code, run.written) == (2, [])
    assert sentence in run.output


@pytest.mark.parametrize(
    "scope",
    [
        {"RecipientFilter": "Name -eq 'ceo'", "Exclusive": False},
        {
            "RecipientFilter": f"(ExternalDirectoryObjectId -eq '{identifier(1)}') -or (Name -eq 'ceo')",
            "Exclusive": False,
        },
        {"RecipientFilter": f"-not (ExternalDirectoryObjectId -eq '{identifier(1)}')", "Exclusive": False},
        {"RecipientFilter": f"ExternalDirectoryObjectId -eq '{identifier(1)}'", "Exclusive": True},
    ],
    ids=["another filter", "a wider filter", "the opposite", "exclusive"],
)
def test_a_scope_that_is_not_the_scripts_is_left_alone(exchange: Exchange, scope: dict[str, Any]) -> None:
    exchange.state["scopes"].append({"Name": "Mailroom senders", **scope})
    run = exchange.limit(MAILROOM)
    assert (run.code, run.written) == (5, [])
    assert "'Mailroom senders' was not made by this script" in run.output


@pytest.mark.parametrize("field", ["CustomResourceScope", "CustomRecipientWriteScope"])
def test_a_scope_that_others_use_is_left_alone(limited: Exchange, field: str) -> None:
    """Changing it would change what they reach."""
    theirs = assignment("Their grant", "Application Mail.Read", "", identifier(0xB2))
    limited.state["assignments"].append({**theirs, field: "Mailroom senders"})
    run = limited.limit(MAILROOM, ALERTS)
    assert (run.code, run.written) == (5, [])
    assert "serves others too (Their grant)" in run.output


def test_a_name_that_others_have_taken_is_left_alone(exchange: Exchange) -> None:
    theirs = assignment("Mailroom senders Mail.Read", "Application Mail.Read", "Rooms", identifier(0xB2))
    exchange.state["assignments"].append(theirs)
    run = exchange.limit(MAILROOM)
    assert (run.code, run.written) == (5, [])
    assert "'Mailroom senders Mail.Read' is not this identity's" in run.output


@pytest.mark.parametrize(
    ("cmdlet", "words"),
    [
        ("Get-ManagementRoleAssignment", "Exchange refused to show what is there: The server side is busy."),
        (
            "New-ManagementScope",
            "Exchange refused New-ManagementScope for 'Mailroom senders': The server side is busy.",
        ),
        (
            "Test-ServicePrincipalAuthorization",
            f"Exchange refused to test the identity on '{MAILROOM}': The server side",
        ),
    ],
)
def test_what_exchange_refuses_is_passed_on(exchange: Exchange, cmdlet: str, words: str) -> None:
    exchange.state["failing"] = [cmdlet]
    run = exchange.limit(MAILROOM)
    assert run.code == 6
    assert words in run.output
    assert run.calls[-1][0] == cmdlet


def test_a_refusal_that_ends_nothing_by_itself_ends_the_script(exchange: Exchange) -> None:
    """Exchange's cmdlets do not heed a script's $ErrorActionPreference."""
    exchange.state["roles"].remove("Application Mail.Send")
    run = exchange.limit(MAILROOM)
    assert run.code == 6
    assert "The management role 'Application Mail.Send' couldn't be found." in run.output
    assert exchange.assigned() == {}
