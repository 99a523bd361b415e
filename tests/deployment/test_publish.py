"""`python -m deployment.publish`: the package goes to Azure as it is."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from deployment import DeploymentError
from deployment import azure as client
from tests.deployment.cloud import FUNCTIONS, SITE, FakeAzure
from tests.deployment.machine import WHICH, Machine

PUBLISH = "/api/publish"
# The deployment endpoint's words when storage refuses it: https://github.com/Azure/azure-dev/issues/8026
STORAGE = (
    "InaccessibleStorageException: Failed to access storage account for deployment: BlobUploadFailedException: Failed "
    "to upload blob to storage account: Response status code does not indicate success: 403 (This request is not "
    "authorized to perform this operation{}.)."
)
ROLE, FIREWALL = STORAGE.format(" using this permission"), STORAGE.format("")


def failed(status: int, text: str = "no space") -> dict[str, Any]:
    return {"states": [(200, {"status": status, "status_text": text})]}


def refused_with(status: int, message: str = "") -> dict[str, Any]:
    return {"publish": [(status, {"error": {"message": message}})]}


@pytest.fixture
def publish(machine: Machine) -> list[str]:
    return [*WHICH, "--dist", str(machine.dist), "--within", "0"]


def test_the_package_is_sent_without_a_remote_build_and_then_checked(
    machine: Machine, cloud: FakeAzure, publish: list[str]
) -> None:
    cloud.states = [(404, None), (202, {"status": 1}), (200, {"status": 2}), (200, {"status": 4})]
    done = machine.run("publish", *publish)
    assert (done.returncode, done.stderr) == (0, "")
    assert "all 3 functions" in done.stdout
    assert "5 MB reach the functions" in done.stdout
    [(_, path, headers, body)] = [asked for asked in cloud.asked if asked[1].startswith(PUBLISH)]
    assert parse_qs(urlsplit(path).query)["RemoteBuild"] == ["false"]
    assert headers["Content-Type"] == "application/zip"
    assert body == (machine.dist / "mailroom.zip").read_bytes()
    assert cloud.paths().index("GET /api/health") > cloud.paths().index(f"POST {PUBLISH}")


def test_a_deployment_that_azure_has_forgotten_has_ended(
    machine: Machine, cloud: FakeAzure, publish: list[str]
) -> None:
    """Flex Consumption recycles the instance that deployed; azd takes it for the end, too."""
    cloud.states = [(200, {"status": 2}), (404, None)]
    assert machine.run("publish", *publish).returncode == 0


@pytest.mark.parametrize(
    ("azures", "said"),
    [
        (failed(-1), "was cancelled"),
        (failed(3), "failed: no space"),
        (failed(5), "gave way"),
        (failed(6), "succeeded only in part"),
        (refused_with(409), "Another deployment of mail-1 is under way"),
        (refused_with(400, "BlobUploadFailedException"), "400 BlobUploadFailedException"),
        (refused_with(500, FIREWALL), "Storage's firewall blocks the deployment"),
        (refused_with(500, "403 licences exceeded"), "does not take the package: 500 403 licences"),
        ({"functions": [[]]}, "found none of the 3 functions"),
        ({"sku": "Dynamic"}, "on the plan Dynamic"),
    ],
)
def test_a_deployment_that_fails_is_said_and_not_repeated(
    machine: Machine, cloud: FakeAzure, publish: list[str], azures: dict[str, Any], said: str
) -> None:
    vars(cloud).update(azures)
    assert said in machine.refused("publish", *publish)
    assert len(cloud.bodies(PUBLISH)) == (0 if "sku" in azures else 1)


@pytest.mark.parametrize(
    ("azures", "role"),
    [
        ({"refusals": {SITE: 2}}, "the role Contributor on rg-mail"),
        ({"refusals": {PUBLISH: 2}}, "the role Website Contributor or Contributor on it"),
        ({"publish": [(500, {"error": {"message": ROLE}})] * 2 + [(202, "deployment-1")]}, "the identity id-1 needs"),
        (
            {"states": [*failed(3, ROLE)["states"] * 2, (200, {"status": 4})]},
            "Storage Blob Data Owner or Contributor on https://st1.blob.core.windows.net/app-package",
        ),
    ],
)
def test_a_role_that_does_not_work_yet_is_waited_for_and_named(
    machine: Machine, cloud: FakeAzure, publish: list[str], azures: dict[str, Any], role: str
) -> None:
    """Whoever deploys may not yet ask or send, or the app may not yet write its package."""
    vars(cloud).update(azures)
    done = machine.run("publish", *publish)
    assert done.returncode == 0, done.stderr
    waits = done.stderr.splitlines()
    assert len(waits) == 2
    assert all(role in wait and "up to 30 minutes to work; trying again" in wait for wait in waits)


def test_a_role_that_is_never_given_ends_the_deployment_after_more_than_half_an_hour(
    machine: Machine, cloud: FakeAzure, publish: list[str]
) -> None:
    """With pauses that grow from seconds to a minute."""
    cloud.publish = [(500, {"error": {"message": ROLE}})]
    *waits, last = machine.refused("publish", *publish).splitlines()
    assert len(waits) == len(cloud.bodies(PUBLISH)) - 1
    assert "id-1 needs the role Storage Blob Data Owner" in last
    assert "tried for 40 minutes. Was the role assigned?" in last
    pauses = machine.clock.pauses
    assert (pauses[0], max(pauses), machine.clock.now) == (5.0, 60.0, client.PATIENCE)
    assert pauses[:-1] == sorted(pauses[:-1])


def test_without_patience_a_missing_role_is_said_at_once(machine: Machine) -> None:
    def refuse() -> None:
        raise client.RoleMissing("No.")

    with pytest.raises(DeploymentError, match="up to 30 minutes to work; then try again"):
        client.until_allowed(refuse, 0)
    assert machine.clock.pauses == []


@pytest.mark.parametrize("seconds", ["soon", "-1", "nan", "inf"])
def test_a_patience_that_is_no_time_is_named(
    machine: Machine, cloud: FakeAzure, publish: list[str], monkeypatch: pytest.MonkeyPatch, seconds: str
) -> None:
    monkeypatch.setenv("MAILROOM_ROLES_WITHIN", seconds)
    said = machine.refused("publish", *publish)
    assert f"MAILROOM_ROLES_WITHIN: found {seconds!r}, expected a number of seconds" in said
    assert not cloud.asked


def test_before_azds_first_deployment_the_package_is_published_and_never_again(
    machine: Machine, cloud: FakeAzure, publish: list[str]
) -> None:
    """Azd gives up at the first 403; this waits for roles."""
    cloud.functions = [[], FUNCTIONS]
    assert machine.run("publish", *publish, "--first").returncode == 0
    again = machine.run("publish", *publish, "--first")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert len(cloud.bodies(PUBLISH)) == 1


def test_without_a_package_it_says_how_to_make_one(machine: Machine, cloud: FakeAzure, publish: list[str]) -> None:
    (machine.dist / "mailroom.zip").unlink()
    assert "`make package`" in machine.refused("publish", *publish)
    assert not cloud.asked
