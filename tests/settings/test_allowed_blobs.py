"""Which blobs may be attached by whom."""

import pytest

from shared.settings.caller_rules import NO_BLOBS, BlobRules


def test_a_container_gives_all_in_it_and_a_folder_only_what_is_below_it() -> None:
    rules = BlobRules.of(["mail-attachments", "reports/2026/july"])
    assert rules.allow("mail-attachments", "any/thing.pdf")
    assert rules.allow("reports", "2026/july/x.pdf")
    assert not rules.allow("reports", "2026/july-secret/x.pdf")
    assert not rules.allow("reports", "2026/july")
    assert not rules.allow("reports", "x.pdf")
    assert not rules.allow("mail-attachments-2", "x.pdf")


def test_nothing_is_given_by_default() -> None:
    assert not NO_BLOBS.allow("mail-attachments", "x.pdf")


OWN = ["mail-payloads", "mail-dead", "azure-webjobs-secrets", "azure-webjobs-hosts", "app-package-mailroom-1a2b"]


@pytest.mark.parametrize("container", [*OWN, "mail-dead/a", "deployments"])
def test_mailrooms_own_containers_and_the_platforms_cannot_be_given_away(container: str) -> None:
    with pytest.raises(ValueError, match="own"):
        BlobRules.of([container])


@pytest.mark.parametrize("container", OWN)
def test_nor_are_they_read_whatever_the_rules_say(container: str) -> None:
    assert not BlobRules(frozenset({(container, "")})).allow(container, "x")


@pytest.mark.parametrize("text", ["", "/", "Reports", "reports/../mail-dead", "a", "reports?x", "*"])
def test_what_names_no_container_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        BlobRules.of([text])
