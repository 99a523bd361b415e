"""scripts/limit-sender-mailboxes.ps1: the identity reaches the mailboxes given, as asked for, and no others."""

import re
from copy import deepcopy

import pytest

from tests.scripts.exchange import (
    ALERTS,
    APPLICATION,
    CEO,
    GRANTED,
    IDENTITY,
    MAILROOM,
    Exchange,
    assignment,
    identifier,
    mailbox,
)


def test_the_first_run_makes_everything(exchange: Exchange) -> None:
    """The identity is made known, a scope holds the mailboxes, and sending and reading are granted in it."""
    before = deepcopy(exchange.others())
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
    assert exchange.assigned() == GRANTED
    assert f"reaches '{MAILROOM}', as it should" in run.output
    assert f"does not reach '{CEO}', as it should not" in run.output
    assert exchange.others() == before


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
    assert limited.assigned() == GRANTED


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
    grants["Mailroom senders Mail.Send"]["CustomResourceScope"] = ""
    grants["Mailroom senders Mail.Read"]["Enabled"] = False
    run = limited.limit(MAILROOM)
    assert (run.code, run.written) == (0, ["Set-ManagementRoleAssignment"] * 2), run.output
    assert limited.assigned() == GRANTED
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


def test_each_run_says_how_to_look_for_permissions_in_entra(limited: Exchange) -> None:
    """They add up with these and cannot be seen from Exchange."""
    run = limited.limit(MAILROOM)
    assert (
        f'az rest --url "https://graph.microsoft.com/v1.0/servicePrincipals/{IDENTITY}/appRoleAssignments"'
        in run.output
    )
