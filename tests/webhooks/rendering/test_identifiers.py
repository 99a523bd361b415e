"""Names that programs give to things, as people would write them."""

import pytest

from shared.webhooks.rendering.identifiers import operation, phrase


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("threatStatus", "Threat status"),
        ("threatID", "Threat ID"),
        ("publicIPAddresses", "Public IP addresses"),
        ("wasSSHSessionInitiated", "Was SSH session initiated"),
        ("snake_case-and.dots", "Snake case and dots"),
        ("UserInitiated", "User initiated"),
        ("", ""),
        (7, "7"),
        (None, None),
    ],
)
def test_camel_case_becomes_words_and_abbreviations_stay(identifier: object, words: str | None) -> None:
    assert phrase(identifier) == words


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("Microsoft.Compute/virtualMachines/write", "Create or update virtual machine"),
        ("MICROSOFT.COMPUTE/VIRTUALMACHINES/WRITE", "Create or update virtual machine"),
        ("Microsoft.Compute/virtualMachines/deallocate/action", "Deallocate virtual machine"),
        ("Microsoft.Network/networkSecurityGroups/securityRules/delete", "Delete security rule"),
        ("Microsoft.Network/publicIPAddresses/write", "Create or update public IP address"),
        ("Microsoft.Storage/storageAccounts/listKeys/action", "List keys of storage account"),
        ("Microsoft.Authorization/policies/audit/action", "Audit policy"),
        ("Microsoft.Web/sites/restart/Action", "Restart web app"),
        ("a/delete", "a/delete"),
        ("Microsoft.ServiceHealth/incident/action", "Action incident"),
        ("no operation", "no operation"),
        (None, None),
    ],
)
def test_an_operation_of_azure_says_what_is_done_to_what(code: object, words: str | None) -> None:
    assert operation(code) == words
