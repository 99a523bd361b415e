"""scripts/limit-sender-mailboxes.ps1: the identity reaches the mailboxes given, as asked for, and no others."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.scripts.exchange import (
    APPLICATION,
    HERE,
    IDENTITY,
    SCRIPT,
    Exchange,
    assignment,
    identifier,
    mailbox,
    organisation,
    powershell,
)

PWSH = shutil.which("pwsh")

MAILROOM, ALERTS, CEO = "mailroom@contoso.com", "alerts@contoso.com", "ceo@contoso.com"
BOTH = {"Application Mail.Send": "Mailroom senders", "Application Mail.Read": "Mailroom senders"}


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    if PWSH is None:
        pytest.skip("there is no pwsh on PATH to run the script with")
    with powershell(PWSH, tmp_path_factory.mktemp("exchange")) as running:
        yield running


@pytest.fixture
def exchange(shell: Exchange) -> Exchange:
    """An organisation in which the script has never run."""
    shell.state = organisation()
    return shell


@pytest.fixture(scope="module")
def after_a_run(shell: Exchange) -> dict[str, Any]:
    shell.state = organisation()
    assert shell.limit(MAILROOM).code == 0
    return shell.state


@pytest.fixture
def limited(exchange: Exchange, after_a_run: dict[str, Any]) -> Exchange:
    """An organisation in which the script has limited the identity to one mailbox."""
    exchange.state = deepcopy(after_a_run)
    return exchange


def of_others(exchange: Exchange) -> list[dict[str, Any]]:
    """The scopes and role assignments that are not of the script's making."""
    every = exchange.state["principals"] + exchange.state["scopes"] + exchange.state["assignments"]
    return [each for each in every if IDENTITY not in each.values() and each.get("Name") != "Mailroom senders"]


def test_the_first_run_makes_everything(exchange: Exchange) -> None:
    """The identity is made known, a scope holds the mailboxes, and sending and reading are granted in it."""
    before = deepcopy(of_others(exchange))
    run = exchange.limit(MAILROOM, ALERTS, TestOutOfScope=CEO)
    assert run.code == 0, run.output
    clause = "(ExternalDirectoryObjectId -eq '{}')"
    grant = {"App": IDENTITY, "CustomResourceScope": "Mailroom senders", "ErrorAction": "Stop"}
    assert [call for call in run.calls if call[0] in run.written] == [
        (
            "New-ServicePrincipal",
            {"AppId": APPLICATION, "DisplayName": "Mailroom", "ErrorAction": "Stop", "ObjectId": IDENTITY},
        ),
        (
            "New-ManagementScope",
            {
                "ErrorAction": "Stop",
                "Name": "Mailroom senders",
                "RecipientRestrictionFilter": f"{clause.format(identifier(1))} -or {clause.format(identifier(2))}",
            },
        ),
        (
            "New-ManagementRoleAssignment",
            {**grant, "Name": "Mailroom senders Mail.Send", "Role": "Application Mail.Send"},
        ),
        (
            "New-ManagementRoleAssignment",
            {**grant, "Name": "Mailroom senders Mail.Read", "Role": "Application Mail.Read"},
        ),
    ]
    assert exchange.scoped() == {1, 2}
    assert exchange.assigned() == BOTH
    assert f"reaches '{MAILROOM}', as it should" in run.output
    assert f"does not reach '{CEO}', as it should not" in run.output
    assert of_others(exchange) == before


def test_the_second_run_changes_nothing(limited: Exchange) -> None:
    """It calls no cmdlet that writes; one mailbox."""
    run = limited.limit(MAILROOM)
    assert (run.code, run.written) == (0, []), run.output
    assert "Nothing to change." in run.output


def test_mailboxes_are_a_set_whatever_they_are_called(exchange: Exchange) -> None:
    """Order, repetition, aliases, object ids, user principal names and case; nor do Exchange's own brackets matter."""
    exchange.state["mailboxes"][1]["UserPrincipalName"] = "a.lerts@contoso.onmicrosoft.com"
    assert exchange.limit(MAILROOM, ALERTS, "d'arcy.o'neil@contoso.com").code == 0
    renamed = [
        "D'Arcy.O'Neil@Contoso.com",
        identifier(2),
        "letters@contoso.com",
        MAILROOM,
        "a.lerts@contoso.onmicrosoft.com",
    ]
    run = exchange.limit(*renamed)
    assert (run.code, run.written) == (0, []), run.output


@pytest.mark.parametrize(
    ("mailboxes", "numbers"),
    [((MAILROOM, ALERTS), {1, 2}), ((ALERTS,), {2}), ((ALERTS, "d'arcy.o'neil@contoso.com"), {2, 3})],
    ids=["added", "exchanged", "exchanged and added"],
)
def test_another_mailbox_changes_the_scope_and_nothing_else(
    limited: Exchange, mailboxes: tuple[str, ...], numbers: set[int]
) -> None:
    run = limited.limit(*mailboxes)
    assert (run.code, run.written) == (0, ["Set-ManagementScope"]), run.output
    assert limited.scoped() == numbers


def test_a_mailbox_left_out_is_out_of_reach(exchange: Exchange) -> None:
    exchange.limit(MAILROOM, ALERTS)
    run = exchange.limit(MAILROOM, TestOutOfScope=ALERTS)
    assert (run.code, run.written) == (0, ["Set-ManagementScope"]), run.output
    assert exchange.scoped() == {1}
    assert f"does not reach '{ALERTS}'" in run.output


def test_permissions_come_and_go_with_the_switches(limited: Exchange) -> None:
    """Verification is on unless switched off, large attachments off unless switched on; only what differs is called."""
    run = limited.limit(MAILROOM, WithoutVerification=True, LargeAttachments=True)
    assert (run.code, run.written) == (0, ["Remove-ManagementRoleAssignment", "New-ManagementRoleAssignment"]), (
        run.output
    )
    assert limited.assigned() == {
        "Application Mail.Send": "Mailroom senders",
        "Application Mail.ReadWrite": "Mailroom senders",
    }
    run = limited.limit(MAILROOM)
    assert (run.code, run.written) == (0, ["Remove-ManagementRoleAssignment", "New-ManagementRoleAssignment"]), (
        run.output
    )
    assert limited.assigned() == BOTH


def test_what_if_writes_nothing(exchange: Exchange) -> None:
    """Neither at first nor later; it says what would be done, and tests nothing as there is nothing yet to test."""
    run = exchange.limit(MAILROOM, WhatIf=True)
    assert (run.code, run.written) == (0, []), run.output
    assert re.findall(r'"([^"]+)" on target "([^"]+)"', run.output) == [
        ("Make the identity known to Exchange", f"Mailroom ({APPLICATION})"),
        ("Make a scope (mailboxes: 1)", "Mailroom senders"),
        ("Grant Mail.Send in the scope", "Mailroom senders Mail.Send"),
        ("Grant Mail.Read in the scope", "Mailroom senders Mail.Read"),
    ]
    exchange.limit(MAILROOM)
    before = deepcopy(exchange.state)
    run = exchange.limit(ALERTS, WithoutVerification=True, LargeAttachments=True, WhatIf=True)
    assert (run.code, run.written) == (0, []), run.output
    assert re.findall(r'"([^"]+)" on target', run.output) == [
        "Change the scope (mailboxes in: 1, out: 1)",
        "Take Mail.Read away",
        "Grant Mail.ReadWrite in the scope",
    ]
    assert exchange.state == before
    assert not [cmdlet for cmdlet, _ in run.calls if cmdlet.startswith("Test-")]


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


def test_an_apostrophe_in_an_address_or_a_name_is_only_a_character(exchange: Exchange) -> None:
    names = {"ScopeName": "Mailroom's senders", "DisplayName": "Mailroom's"}
    run = exchange.limit("d'arcy.o'neil@contoso.com", **names)
    assert run.code == 0, run.output
    assert exchange.scoped("Mailroom's senders") == {3}
    assert exchange.limit("d'arcy.o'neil@contoso.com", **names).written == []


def test_25_mailboxes_fit_in_the_longest_documented_filter_and_no_more(exchange: Exchange) -> None:
    """2048 characters, with the brackets that Exchange adds."""
    pool = [identifier(number) for number in range(10, 36)]
    exchange.state["mailboxes"] = [mailbox(number, f"pool-{number}@contoso.com") for number in range(10, 36)]
    run = exchange.limit(*pool)
    assert (run.code, run.written) == (2, [])
    assert "26 mailboxes are too many: a recipient filter has room for 25" in run.output
    assert exchange.limit(*pool[:25]).code == 0
    assert exchange.scoped() == set(range(10, 35))
    assert len(exchange.state["scopes"][-1]["RecipientFilter"]) <= 2048


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


def test_two_mailrooms_have_a_scope_each(limited: Exchange) -> None:
    """Under the same name the second is refused; under its own it leaves the first as it is."""
    second = {"ApplicationId": identifier(0xC1), "ObjectId": identifier(0xC2)}
    limited.state["entra"].append({"AppId": identifier(0xC1), "ObjectId": identifier(0xC2)})
    assert limited.limit(ALERTS, **second).code == 5
    run = limited.limit(ALERTS, **second, ScopeName="Mailroom test")
    assert run.code == 0, run.output
    assert (limited.scoped(), limited.scoped("Mailroom test")) == ({1}, {2})
    assert limited.assigned() == BOTH


def test_an_assignment_of_ours_that_was_widened_or_disabled_is_put_right(limited: Exchange) -> None:
    grants = {each["Name"]: each for each in limited.state["assignments"]}
    grants["Mailroom senders Mail.Send"]["CustomResourceScope"] = ""
    grants["Mailroom senders Mail.Read"]["Enabled"] = False
    run = limited.limit(MAILROOM)
    assert (run.code, run.written) == (0, ["Set-ManagementRoleAssignment"] * 2), run.output
    assert limited.assigned() == BOTH
    assert limited.limit(MAILROOM).written == []


def test_a_mailbox_that_is_not_reached_ends_with_an_error(exchange: Exchange) -> None:
    """The default is the first mailbox; every permission that was asked for is tested."""
    exchange.state["slow"] = True
    run = exchange.limit(MAILROOM, ALERTS)
    assert run.code == 7
    assert f"does not reach '{MAILROOM}' with Mail.Send, Mail.Read" in run.output
    run = exchange.limit(MAILROOM, ALERTS, TestInScope=ALERTS)
    assert run.code == 7
    assert f"does not reach '{ALERTS}'" in run.output


@pytest.mark.parametrize(("scope", "through"), [("Rooms", "Rooms"), ("", "Organization")])
def test_a_mailbox_that_is_reached_and_should_not_ends_with_an_error(
    limited: Exchange, scope: str, through: str
) -> None:
    """Through a grant that the script did not make: named, with the command that takes it away, and not taken away."""
    grant = assignment("Somebody's grant", "Application Mail.Read", scope)
    limited.state["assignments"].append(grant)
    run = limited.limit(MAILROOM, TestOutOfScope=CEO)
    assert (run.code, run.written) == (8, [])
    assert f"reaches '{CEO}' with Application Mail.Read, through the scope '{through}'" in run.output
    assert "Remove-ManagementRoleAssignment -Identity 'Somebody''s grant'" in run.output
    assert grant in limited.state["assignments"]


def test_a_grant_beside_the_scope_is_an_error_without_a_test_too(limited: Exchange) -> None:
    """Unless it is disabled."""
    grant = assignment("Somebody's grant", "Application Mail.ReadBasic", "Rooms")
    limited.state["assignments"].append(grant)
    assert limited.limit(MAILROOM).code == 8
    assert limited.limit(MAILROOM, WhatIf=True).code == 8
    limited.state["assignments"][-1]["Enabled"] = False
    assert limited.limit(MAILROOM).code == 0


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


def test_each_run_says_how_to_look_for_permissions_in_entra(limited: Exchange) -> None:
    """They add up with these and cannot be seen from Exchange."""
    run = limited.limit(MAILROOM)
    assert (
        f'az rest --url "https://graph.microsoft.com/v1.0/servicePrincipals/{IDENTITY}/appRoleAssignments"'
        in run.output
    )


def test_as_a_command_of_its_own(exchange: Exchange, tmp_path: Path) -> None:
    """From any shell, where a list of mailboxes is one argument: it is taken apart. The exit code is the process's."""
    assert PWSH
    state = tmp_path / "exchange.json"
    state.write_text(json.dumps(exchange.state))
    senders = f"{MAILROOM}, {ALERTS}"
    given = ["-ApplicationId", APPLICATION, "-ObjectId", IDENTITY, "-Mailbox", senders, "-TestOutOfScope", ALERTS]
    done = subprocess.run(
        [PWSH, "-NoProfile", "-File", str(SCRIPT), *given],
        env={**os.environ, "EXCHANGE_STATE": str(state), "PSModulePath": str(HERE / "modules")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    sentence = f"-TestOutOfScope '{ALERTS}' is one of -Mailbox, so Mailroom is meant to reach it."
    assert (done.returncode, done.stderr.strip()) == (2, sentence)


def test_windows_powershell_can_read_it(exchange: Exchange) -> None:
    """5.1 knows none of the syntax that came with 7."""
    run = exchange.run(str(HERE / "syntax.ps1"), Path=str(SCRIPT))
    assert (run.code, run.output) == (0, ""), run.output


def test_it_is_ascii() -> None:
    """Windows PowerShell takes a file without a mark for the machine's old code page."""
    assert SCRIPT.read_bytes().isascii()


def test_every_exit_code_is_documented() -> None:
    text = SCRIPT.read_text()
    notes, code = text.split("#>", 1)
    documented = set(re.findall(r"^    (\d)  ", notes, re.MULTILINE))
    assert documented == {"0", *re.findall(r"(?:Stop-Here|exit|\$code =) (\d)", code)}


@pytest.mark.parametrize(
    ("cmdlet", "parameters", "words"),
    [
        ("New-ManagementScope", {"Name": "A", "RecipientFilter": "Name -eq 'a'"}, "parameter name 'RecipientFilter'"),
        (
            "New-ManagementScope",
            {"Name": "A", "RecipientRestrictionFilter": "Name -eq 'o'neil'"},
            "Invalid filter syntax",
        ),
        ("New-ManagementScope", {"Name": "A", "RecipientRestrictionFilter": "Name -eq a"}, "Invalid filter syntax"),
        ("New-ManagementScope", {"Name": "A", "RecipientRestrictionFilter": "(Name -eq 'a'"}, "not closed"),
        ("New-ManagementScope", {"Name": "A", "RecipientRestrictionFilter": "Name -eq 'a' or Name -eq 'b'"}, "Invalid"),
        ("New-ManagementScope", {"Name": "A", "RecipientRestrictionFilter": "Mail -eq 'a'"}, "filterable property"),
        ("New-ManagementScope", {"Name": "Rooms", "RecipientRestrictionFilter": "Name -eq 'a'"}, "already exists"),
        ("New-ManagementScope", {"Name": "A" * 65, "RecipientRestrictionFilter": "Name -eq 'a'"}, "64"),
        ("Get-Mailbox", {"Filter": "Guid -eq 'mailroom'"}, "to the type Guid"),
        (
            "New-ManagementRoleAssignment",
            {"Role": "Mail.Send", "App": identifier(0xB2)},
            "role 'Mail.Send' couldn't be found",
        ),
        ("New-ManagementRoleAssignment", {"Role": "Application Mail.Send", "App": IDENTITY}, "couldn't be found"),
        ("Remove-ManagementRoleAssignment", {"Identity": "Rooms read"}, "Are you sure"),
    ],
)
def test_the_fake_refuses_what_exchange_refuses(
    exchange: Exchange, cmdlet: str, parameters: dict[str, str], words: str
) -> None:
    """So that a script which it takes stands a chance with the real one."""
    before = deepcopy(exchange.state)
    run = exchange.run(cmdlet, **parameters, ErrorAction="Stop")
    assert run.code == 99
    assert words in run.output
    assert exchange.state == before
