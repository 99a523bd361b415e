"""scripts/limit-sender-mailboxes.ps1: the identity reaches the mailboxes given, as asked for, and no others."""

import json
import os
import re
import shutil
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.scripts.shells import (
    ALERTS,
    APPLICATION,
    CEO,
    GRANTED,
    HERE,
    IDENTITY,
    LIMIT,
    MAILROOM,
    ROOT,
    Exchange,
    assignment,
    identifier,
    mailbox,
)

SESSION = {"State": "Connected", "TenantID": identifier(0xFFFF), "IsEopSession": False}
SCOPE = "Mailroom senders"


# What it does


def test_the_first_run_makes_everything(exchange: Exchange) -> None:
    """The identity is made known, a scope holds the mailboxes, and sending and reading are granted in it."""
    before = deepcopy(exchange.others())
    run = exchange.limit(MAILROOM, ALERTS, TestOutOfScope=CEO)
    assert run.code == 0, run.output
    clauses = [f"(ExternalDirectoryObjectId -eq '{identifier(number)}')" for number in (1, 2)]
    grant = {"App": IDENTITY, "CustomResourceScope": SCOPE}
    made = [(cmdlet, given) for cmdlet, given in run.cmdlets if cmdlet in run.written]
    assert made == [
        (cmdlet, {**given, "ErrorAction": "Stop"})
        for cmdlet, given in [
            ("New-ServicePrincipal", {"AppId": APPLICATION, "DisplayName": "Mailroom", "ObjectId": IDENTITY}),
            ("New-ManagementScope", {"Name": SCOPE, "RecipientRestrictionFilter": " -or ".join(clauses)}),
            (
                "New-ManagementRoleAssignment",
                {**grant, "Name": f"{SCOPE} Mail.Send", "Role": "Application Mail.Send"},
            ),
            (
                "New-ManagementRoleAssignment",
                {**grant, "Name": f"{SCOPE} Mail.Read", "Role": "Application Mail.Read"},
            ),
        ]
    ]
    assert (exchange.scoped(), exchange.assigned()) == ({1, 2}, GRANTED)
    assert f"reaches '{MAILROOM}', as it should" in run.output
    assert f"does not reach '{CEO}', as it should not" in run.output
    assert exchange.others() == before


def test_the_second_run_changes_nothing_and_says_how_to_look_for_permissions_in_entra(limited: Exchange) -> None:
    """They add up with these and cannot be seen from Exchange."""
    run = limited.limit(MAILROOM)
    assert (run.code, run.written) == (0, []), run.output
    assert "Nothing to change." in run.output
    url = f"https://graph.microsoft.com/v1.0/servicePrincipals/{IDENTITY}/appRoleAssignments"
    assert f'az rest --url "{url}"' in run.output


def test_mailboxes_are_a_set_whatever_they_are_called(exchange: Exchange) -> None:
    """Order, repetition, aliases, object ids, user principal names and case; nor do Exchange's own brackets matter."""
    exchange.state["mailboxes"][1]["UserPrincipalName"] = "a.lerts@contoso.onmicrosoft.com"
    assert exchange.limit(MAILROOM, ALERTS, "d'arcy.o'neil@contoso.com").code == 0
    names = ["D'Arcy.O'Neil@Contoso.com", identifier(2), "alias@contoso.com", MAILROOM]
    run = exchange.limit(*names, "a.lerts@contoso.onmicrosoft.com")
    assert (run.code, run.written) == (0, []), run.output


@pytest.mark.parametrize(
    ("mailboxes", "numbers"),
    [((MAILROOM, ALERTS), {1, 2}), ((ALERTS,), {2}), ((ALERTS, "d'arcy.o'neil@contoso.com"), {2, 3})],
    ids=["added", "exchanged", "exchanged and added"],
)
def test_another_mailbox_changes_the_scope_and_nothing_else(
    limited: Exchange, mailboxes: tuple[str, ...], numbers: set[int]
) -> None:
    run = limited.limit(*mailboxes, **({} if MAILROOM in mailboxes else {"TestOutOfScope": MAILROOM}))
    assert (run.code, run.written) == (0, ["Set-ManagementScope"]), run.output
    assert limited.scoped() == numbers
    assert (f"does not reach '{MAILROOM}'" in run.output) is (1 not in numbers)


def test_permissions_come_and_go_with_the_switches(limited: Exchange) -> None:
    """Verification is on unless switched off, large attachments off unless switched on; only what differs is called."""
    changes = ["Remove-ManagementRoleAssignment", "New-ManagementRoleAssignment"]
    run = limited.limit(MAILROOM, WithoutVerification=True, LargeAttachments=True)
    assert (run.code, run.written) == (0, changes), run.output
    assert limited.assigned() == {"Application Mail.Send": SCOPE, "Application Mail.ReadWrite": SCOPE}
    run = limited.limit(MAILROOM)
    assert (run.code, run.written) == (0, changes), run.output
    assert limited.assigned() == GRANTED


def test_what_if_writes_nothing(exchange: Exchange) -> None:
    """Neither at first nor later; it says what would be done, and tests nothing, since there is nothing yet to test."""
    run = exchange.limit(MAILROOM, WhatIf=True)
    assert (run.code, run.written) == (0, []), run.output
    assert re.findall(r'"([^"]+)" on target "([^"]+)"', run.output) == [
        ("Make the identity known to Exchange", f"Mailroom ({APPLICATION})"),
        ("Make a scope (mailboxes: 1)", SCOPE),
        ("Grant Mail.Send in the scope", f"{SCOPE} Mail.Send"),
        ("Grant Mail.Read in the scope", f"{SCOPE} Mail.Read"),
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
    assert not [cmdlet for cmdlet, _ in run.cmdlets if cmdlet.startswith("Test-")]


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


def test_two_mailrooms_have_a_scope_each(limited: Exchange) -> None:
    """Under the same name the second is refused; under its own it leaves the first as it is."""
    second = {"ApplicationId": identifier(0xC1), "ObjectId": identifier(0xC2)}
    limited.state["entra"].append({"AppId": identifier(0xC1), "ObjectId": identifier(0xC2)})
    run = limited.limit(ALERTS, **second)
    assert (run.code, run.written) == (5, [])
    assert "serves others too" in run.output
    run = limited.limit(ALERTS, **second, ScopeName="Mailroom test")
    assert run.code == 0, run.output
    assert (limited.scoped(), limited.scoped("Mailroom test")) == ({1}, {2})
    assert limited.assigned() == GRANTED


def test_an_assignment_of_ours_that_was_widened_or_disabled_is_put_right(limited: Exchange) -> None:
    grants = {each["Name"]: each for each in limited.state["assignments"]}
    grants[f"{SCOPE} Mail.Send"]["CustomResourceScope"] = ""
    grants[f"{SCOPE} Mail.Read"]["Enabled"] = False
    run = limited.limit(MAILROOM)
    assert (run.code, run.written) == (0, ["Set-ManagementRoleAssignment"] * 2), run.output
    assert limited.assigned() == GRANTED
    assert limited.limit(MAILROOM).written == []


# What it finds at the end


def test_a_mailbox_that_is_not_reached_ends_with_an_error(exchange: Exchange) -> None:
    """The default is the first mailbox; every permission that was asked for is tested."""
    exchange.state["slow"] = True
    run = exchange.limit(MAILROOM, ALERTS)
    assert (run.code, f"does not reach '{MAILROOM}' with Mail.Send, Mail.Read" in run.output) == (7, True)
    run = exchange.limit(MAILROOM, ALERTS, TestInScope=ALERTS)
    assert (run.code, f"does not reach '{ALERTS}'" in run.output) == (7, True)


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
    limited.state["assignments"].append(assignment("Somebody's grant", "Application Mail.ReadBasic", "Rooms"))
    assert limited.limit(MAILROOM).code == 8
    assert limited.limit(MAILROOM, WhatIf=True).code == 8
    limited.state["assignments"][-1]["Enabled"] = False
    assert limited.limit(MAILROOM).code == 0


# What it refuses


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
    assert (run.code, len(run.output.splitlines())) == (1, 1)
    assert sentence in run.output
    assert {cmdlet for cmdlet, _ in run.cmdlets} <= {"Get-ConnectionInformation"}


NOBODY = "nobody@contoso.com"
TAKEN = assignment(f"{SCOPE} Mail.Read", "Application Mail.Read", "Rooms", identifier(0xB2))
REFUSED: dict[str, tuple[int, dict[str, Any], dict[str, Any], str]] = {
    # Exit code, changes of the organisation, arguments, and words. Nothing is written.
    "the application id as the object id": (
        2, {}, {"ObjectId": APPLICATION}, f"az ad sp show --id {APPLICATION} --query id"),
    "a pattern": (
        2, {}, {"Mailbox": ["*@contoso.com"]}, "'*@contoso.com' is neither an email address nor an object id"),
    "a name": (2, {}, {"Mailbox": ["Mailroom"]}, "'Mailroom' is neither"),
    "no mailbox": (2, {}, {"Mailbox": [" ; "]}, "-Mailbox names no mailbox"),
    "a test of another mailbox": (2, {}, {"TestInScope": ALERTS}, f"-TestInScope '{ALERTS}' is not one of -Mailbox"),
    "a test of one's own": (2, {}, {"TestOutOfScope": MAILROOM}, f"-TestOutOfScope '{MAILROOM}' is one of -Mailbox"),
    "an unknown mailbox": (3, {}, {"Mailbox": [MAILROOM, NOBODY]}, f"There is no mailbox '{NOBODY}'"),
    "an unknown mailbox to test": (3, {}, {"TestInScope": NOBODY}, f"There is no mailbox '{NOBODY}'"),
    "an unknown mailbox outside": (3, {}, {"TestOutOfScope": NOBODY}, f"There is no mailbox '{NOBODY}'"),
    "an ambiguous mailbox": (
        3, {"mailboxes": [mailbox(1, MAILROOM), mailbox(2, ALERTS) | {"UserPrincipalName": MAILROOM}]}, {},
        f"'{MAILROOM}' is an address of one mailbox and the user principal name of another"),
    "a mailbox without a user": (
        3, {"mailboxes": [mailbox(1, MAILROOM) | {"ExternalDirectoryObjectId": ""}]}, {},
        f"'{MAILROOM}' has no user in Entra"),
    "a name that others have taken": (
        5, {"assignments": [TAKEN]}, {}, f"'{SCOPE} Mail.Read' is not this identity's"),
    **{
        f"a scope that is {how}": (
            5, {"scopes": [{"Name": SCOPE, "RecipientFilter": text, "Exclusive": how == "exclusive"}]}, {},
            f"'{SCOPE}' was not made by this script")
        for how, text in {
            "somebody's": "Name -eq 'ceo'",
            "wider": f"(ExternalDirectoryObjectId -eq '{identifier(1)}') -or (Name -eq 'ceo')",
            "the opposite": f"-not (ExternalDirectoryObjectId -eq '{identifier(1)}')",
            "exclusive": f"ExternalDirectoryObjectId -eq '{identifier(1)}'",
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused_with_a_sentence_and_nothing_is_written(exchange: Exchange, case: str) -> None:
    code, changes, arguments, words = REFUSED[case]
    exchange.state.update(deepcopy(changes))
    run = exchange.limit(**{"Mailbox": [MAILROOM], **arguments})
    assert (run.code, run.written) == (code, []), run.output
    assert words in run.output


@pytest.mark.parametrize("wrong", ["ObjectId", "ApplicationId"])
def test_ids_that_do_not_belong_together_change_nothing(limited: Exchange, wrong: str) -> None:
    run = limited.limit(MAILROOM, ALERTS, **{wrong: identifier(0xB3)})
    assert (run.code, run.written) == (4, [])
    assert f"Exchange knows application {APPLICATION} with the object id {IDENTITY}" in run.output


@pytest.mark.parametrize("field", ["CustomResourceScope", "CustomRecipientWriteScope"])
def test_a_scope_that_others_use_is_left_alone(limited: Exchange, field: str) -> None:
    """Changing it would change what they reach."""
    theirs = assignment("Their grant", "Application Mail.Read", "", identifier(0xB2))
    limited.state["assignments"].append({**theirs, field: SCOPE})
    run = limited.limit(MAILROOM, ALERTS)
    assert (run.code, run.written) == (5, [])
    assert "serves others too (Their grant)" in run.output


def test_an_identity_that_entra_does_not_have_is_named_with_the_command_that_shows_it(exchange: Exchange) -> None:
    """And nothing more is written."""
    run = exchange.limit(MAILROOM, ObjectId=identifier(0xBAD))
    assert (run.code, run.written) == (4, ["New-ServicePrincipal"])
    assert identifier(0xBAD) in run.output
    assert f"az ad sp show --id {APPLICATION}" in run.output
    assert exchange.assigned() == {}


@pytest.mark.parametrize(
    ("cmdlet", "words"),
    [
        ("Get-ManagementRoleAssignment", "to show what is there"),
        ("New-ManagementScope", f"New-ManagementScope for '{SCOPE}'"),
        ("Test-ServicePrincipalAuthorization", f"to test the identity on '{MAILROOM}'"),
    ],
)
def test_what_exchange_refuses_is_passed_on(exchange: Exchange, cmdlet: str, words: str) -> None:
    exchange.state["failing"] = [cmdlet]
    run = exchange.limit(MAILROOM)
    assert (run.code, run.cmdlets[-1][0]) == (6, cmdlet)
    assert f"Exchange refused {words}: The server side is busy." in run.output


def test_a_refusal_that_ends_nothing_by_itself_ends_the_script(exchange: Exchange) -> None:
    """Exchange's cmdlets do not heed a script's $ErrorActionPreference."""
    exchange.state["roles"].remove("Application Mail.Send")
    run = exchange.limit(MAILROOM)
    assert run.code == 6
    assert "The management role 'Application Mail.Send' couldn't be found." in run.output
    assert exchange.assigned() == {}


# As it is written


def test_as_a_command_of_its_own(exchange: Exchange, tmp_path: Path) -> None:
    """From any shell, where a list of mailboxes is one argument: it is split. The exit code is the process's."""
    pwsh = shutil.which("pwsh")
    assert pwsh
    state = tmp_path / "exchange.json"
    state.write_text(json.dumps(exchange.state))
    senders = f"{MAILROOM}, {ALERTS}"
    given = ["-ApplicationId", APPLICATION, "-ObjectId", IDENTITY, "-Mailbox", senders, "-TestOutOfScope", ALERTS]
    done = subprocess.run(
        [pwsh, "-NoProfile", "-File", str(LIMIT), *given], capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "EXCHANGE_STATE": str(state), "PSModulePath": str(HERE / "modules")},
    )  # fmt: skip
    sentence = f"-TestOutOfScope '{ALERTS}' is one of -Mailbox, so Mailroom is meant to reach it."
    assert (done.returncode, done.stderr.strip()) == (2, sentence)


def commands(section: str) -> str:
    """The PowerShell in a section of the page that tells a reader what to run, with the ids of these tests."""
    page = (ROOT / "docs" / "sender-mailboxes.md").read_text()
    within = page.split(f"\n## {section}\n")[1].split("\n## ")[0]
    [block] = re.findall(r"```powershell\n(.*?)```", within, re.DOTALL)
    meant = {"./scripts/limit-sender-mailboxes.ps1": f"& '{LIMIT}'"}
    meant |= {"<application id>": APPLICATION, "<object id>": IDENTITY}
    for written, value in meant.items():
        block = block.replace(written, value)
    assert "<" not in block
    return str(block)


def test_what_the_page_says_can_be_run(exchange: Exchange, tmp_path: Path) -> None:
    """Setting it up, looking at it, and undoing it, which leaves nothing behind and takes nothing of others."""
    before = deepcopy(exchange.others())
    script = tmp_path / "page.ps1"
    script.write_text(commands("Do it"))
    run = exchange.run(script)
    assert run.code == 0, run.output
    assert (exchange.scoped(), exchange.assigned()) == ({1, 2}, GRANTED)
    script.write_text(commands("See it"))
    run = exchange.run(script)
    assert (run.code, run.written, identifier(2) in run.output) == (0, [], True)
    script.write_text(commands("Undo it"))
    run = exchange.run(script)
    assert (run.code, "couldn't" in run.output) == (0, False), run.output
    assert exchange.state["principals"] + exchange.state["scopes"] + exchange.state["assignments"] == before


def test_windows_powershell_can_read_it(exchange: Exchange) -> None:
    """5.1 lacks the syntax that came with 7, and takes a file without a mark for the machine's old code page."""
    run = exchange.run(HERE / "syntax.ps1", Path=str(LIMIT))
    assert (run.code, run.output) == (0, "")
    assert LIMIT.read_bytes().isascii()


def test_every_exit_code_is_documented() -> None:
    notes, code = LIMIT.read_text().split("#>", 1)
    documented = set(re.findall(r"^    (\d)  ", notes, re.MULTILINE))
    assert documented == {"0", *re.findall(r"(?:Stop-Here|exit|\$code =) (\d)", code)}


def _scope(text: str, name: str = "A", parameter: str = "RecipientRestrictionFilter") -> tuple[str, dict[str, str]]:
    return "New-ManagementScope", {"Name": name, parameter: text}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (_scope("Name -eq 'a'", parameter="RecipientFilter"), "parameter name 'RecipientFilter'"),
        (_scope("Name -eq 'o'neil'"), "Invalid filter syntax"),
        (_scope("Name -eq a"), "Invalid filter syntax"),
        (_scope("(Name -eq 'a'"), "not closed"),
        (_scope("Name -eq 'a' or Name -eq 'b'"), "Invalid"),
        (_scope("Mail -eq 'a'"), "filterable property"),
        (_scope("Name -eq 'a'", "Rooms"), "already exists"),
        (_scope("Name -eq 'a'", "A" * 65), "64"),
        (("Get-Mailbox", {"Filter": "Guid -eq 'mailroom'"}), "to the type Guid"),
        (
            ("New-ManagementRoleAssignment", {"Role": "Mail.Send", "App": identifier(0xB2)}),
            "role 'Mail.Send' couldn't be found",
        ),
        (("New-ManagementRoleAssignment", {"Role": "Application Mail.Send", "App": IDENTITY}), "couldn't be found"),
        (("Remove-ManagementRoleAssignment", {"Identity": "Rooms read"}), "Are you sure"),
    ],
)
def test_the_fake_refuses_what_exchange_refuses(
    exchange: Exchange, call: tuple[str, dict[str, str]], words: str
) -> None:
    """So that a script which it takes stands a chance with the real one."""
    before = deepcopy(exchange.state)
    run = exchange.run(call[0], **call[1], ErrorAction="Stop")
    assert (run.code, words in run.output) == (99, True), run.output
    assert exchange.state == before
