"""Who reaches what: access restrictions, the private network with its names, and what a redeployment leaves of it."""

import json
import re
from typing import Any

import pytest

from tests.infra.deployed import (
    MADE_NETWORK,
    PARAMETERS,
    PRIVATE,
    ROOT,
    STORAGE,
    deployed,
    mail_account,
    package_account,
)


def test_only_who_the_parameters_name_reaches_app_and_deployment_endpoint(name: str) -> None:
    site = deployed(name).one("Microsoft.Web/sites")["properties"]["siteConfig"]
    rules, scm = site["ipSecurityRestrictions"], site["scmIpSecurityRestrictions"]
    assert site["scmIpSecurityRestrictionsUseMain"] is False
    if name != "everything":
        assert (rules, scm) == ([], [])
        assert site["ipSecurityRestrictionsDefaultAction"] == site["scmIpSecurityRestrictionsDefaultAction"] == "Allow"
        return
    assert site["ipSecurityRestrictionsDefaultAction"] == site["scmIpSecurityRestrictionsDefaultAction"] == "Deny"
    assert {rule["action"] for rule in (*rules, *scm)} == {"Allow"}
    assert len({rule["priority"] for rule in rules}) == len(rules)
    by_name = {rule["name"]: (rule["tag"], rule["ipAddress"]) for rule in rules}
    assert by_name == {
        "front-door": ("ServiceTag", "AzureFrontDoor.Backend"),
        "azure-monitor": ("ServiceTag", "ActionGroup"),
        "office": ("Default", "203.0.113.0/24"),
    }
    assert rules[0]["headers"] == {"x-azure-fdid": ["77777777-7777-7777-7777-777777777777"]}
    assert not any(rule["headers"] for rule in rules[1:])
    assert [rule["vnetSubnetResourceId"].rpartition("/")[2] for rule in scm] == ["agents"]


@pytest.mark.parametrize("name", MADE_NETWORK)
def test_on_a_private_network_nothing_keeps_the_app_from_graph_entra_and_the_upload_host(name: str) -> None:
    """Rules of a network security group know no host names; a firewall's do, so the example and the pages name them."""
    [guard] = deployed(name).all("Microsoft.Network/networkSecurityGroups")
    rules = guard.get("properties", {}).get("securityRules", [])
    assert [rule for rule in rules if rule["properties"]["direction"] == "Outbound"] == []
    pages = (PARAMETERS / "private.bicepparam", ROOT / "docs" / "deploy.md", ROOT / "docs" / "operations.md")
    for host in ("graph.microsoft.com", "login.microsoftonline.com", "outlook.office.com"):
        assert [page.name for page in pages if host not in page.read_text()] == [], host


def test_the_network_is_as_open_as_its_parameter_says(name: str) -> None:
    here = deployed(name)
    private = name in PRIVATE
    for resource in (one["properties"] for kind in (STORAGE, "Microsoft.KeyVault/vaults") for one in here.all(kind)):
        assert resource["publicNetworkAccess"] == ("Disabled" if private else "Enabled")
        assert resource["networkAcls"]["defaultAction"] == ("Deny" if private else "Allow")
    site = here.one("Microsoft.Web/sites")["properties"]
    assert bool(site["virtualNetworkSubnetId"]) is private
    groups = {
        (connection["properties"]["privateLinkServiceId"], *connection["properties"]["groupIds"])
        for endpoint in here.all("Microsoft.Network/privateEndpoints")
        for connection in endpoint["properties"]["privateLinkServiceConnections"]
    }
    mail, package, vault = mail_account(name), package_account(name), here.one("Microsoft.KeyVault/vaults")
    to_mail = {(mail["id"], kind) for kind in ("blob", "queue", "table")}
    assert groups == (to_mail | {(package["id"], "blob"), (vault["id"], "vault")} if private else set())


def test_azures_own_services_reach_storage_since_lifecycle_rules_come_from_there(name: str) -> None:
    """https://learn.microsoft.com/azure/storage/blobs/lifecycle-management-overview."""
    assert {one["properties"]["networkAcls"]["bypass"] for one in deployed(name).all(STORAGE)} == {"AzureServices"}


def subnets_of(name: str) -> dict[str, dict[str, Any]]:
    return {one["id"]: one["properties"] for one in deployed(name).all("Microsoft.Network/virtualNetworks/subnets")}


@pytest.mark.parametrize("name", MADE_NETWORK)
def test_on_a_private_network_each_service_is_found_by_its_zone(name: str) -> None:
    here = deployed(name)
    zones = here.all("Microsoft.Network/privateDnsZones")
    links = here.all("Microsoft.Network/privateDnsZones/virtualNetworkLinks")
    assert len(zones) == len(links) == 4
    text = json.dumps(zones)
    assert all(f"privatelink.{kind}." in text for kind in ("blob", "queue", "table"))
    assert ".vaultcore." in text
    subnet = subnets_of(name)[here.one("Microsoft.Web/sites")["properties"]["virtualNetworkSubnetId"]]
    assert [one["properties"]["serviceName"] for one in subnet["delegations"]] == ["Microsoft.App/environments"]


@pytest.mark.parametrize("name", PRIVATE)
def test_every_private_endpoint_has_its_record_in_the_zone_of_its_service(name: str) -> None:
    here = deployed(name)
    endpoints = {
        one["name"]: one["properties"]["privateLinkServiceConnections"][0]["properties"]["groupIds"]
        for one in here.all("Microsoft.Network/privateEndpoints")
    }
    records = {
        one["name"].partition("/")[0]: one["properties"]["privateDnsZoneConfigs"]
        for one in here.all("Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
    }
    assert records.keys() == endpoints.keys()
    for endpoint, zones in records.items():
        (zone,) = zones
        (group,) = endpoints[endpoint]
        expected = "keyvaultDns|vaultcore" if group == "vault" else rf"privatelink\.{group}\."
        assert re.search(expected, zone["properties"]["privateDnsZoneId"]), endpoint


@pytest.mark.parametrize("name", MADE_NETWORK)
def test_a_redeployment_takes_nothing_from_the_network(name: str) -> None:
    """A network that lists subnets deletes the others; one without, since 2023-11-01, keeps them (bicep-types-az 1687).

    A subnet is set as a whole, so what is attached to it is a parameter.
    """
    here = deployed(name)
    network = here.one("Microsoft.Network/virtualNetworks")
    assert "subnets" not in network["properties"]
    assert network["apiVersion"] >= "2023-11-01"
    app = here.one("Microsoft.Web/sites")["properties"]["virtualNetworkSubnetId"]
    attached = {key: subnets_of(name)[app][key] for key in ("natGateway", "routeTable")}
    ids = {key: value["id"].rpartition("/")[2] for key, value in attached.items() if value}
    assert ids == ({"natGateway": "out", "routeTable": "spokes"} if name == "everything" else {})
    # Graph is outside: without a NAT gateway only Azure's default access leads there.
    assert subnets_of(name)[app]["defaultOutboundAccess"] is not bool(attached["natGateway"])
    assert len(subnets_of(name)) == 2


def test_networks_that_are_there_already_are_used_as_they_are() -> None:
    here = deployed("existing-network")
    kinds = {one["type"] for one in here.resources if one["type"].startswith("Microsoft.Network/")}
    assert kinds == {"Microsoft.Network/privateEndpoints", "Microsoft.Network/privateEndpoints/privateDnsZoneGroups"}
    assert here.one("Microsoft.Web/sites")["properties"]["virtualNetworkSubnetId"].endswith("/spoke/subnets/mailroom")
    endpoints = here.all("Microsoft.Network/privateEndpoints")
    assert all(one["properties"]["subnet"]["id"].endswith("/spoke/subnets/endpoints") for one in endpoints)
    zones = json.dumps(
        [one["properties"] for one in here.all("Microsoft.Network/privateEndpoints/privateDnsZoneGroups")]
    )
    assert zones.count("/resourceGroups/dns/") == len(endpoints)


def test_whoever_makes_a_private_network_is_told_to_register_its_provider() -> None:
    """No template can do it for a resource that it does not have; without it the app does not join the subnet."""
    command = "az provider register --namespace Microsoft.App --wait"
    pages = (
        PARAMETERS / "private.bicepparam",
        PARAMETERS / "existing-network.bicepparam",
        ROOT / "infra" / "modules" / "network.bicep",
        ROOT / "docs" / "deploy.md",
    )
    assert [page.name for page in pages if command not in page.read_text()] == []
