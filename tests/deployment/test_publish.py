"""The package goes to Azure as it is."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from deployment.errors import DeploymentError

from deployment import patience
from tests.deployment.cloud import SITE, Azure, run
from tests.deployment.conftest import FUNCTIONS

# What the deployment endpoint says when storage refuses it: https://github.com/Azure/azure-dev/issues/8026
STORAGE = (
    "InaccessibleStorageException: Failed to access storage account for deployment: BlobUploadFailedException: Failed "
    "to upload blob to storage account: Response status code does not indicate success: 403 (This request is not "
    "authorized to perform this operation{}.)."
)
ROLE, FIREWALL = STORAGE.format(" using this permission"), STORAGE.format("")


def publish(cloud: Azure, tools: Path, dist: Path, *arguments: str, **more: str) -> tuple[int, str, str]:
    result = run("publish", cloud, tools, "--dist", str(dist), "--within", "0", *arguments, **more)
    return result.returncode, result.stdout, result.stderr


def test_the_package_is_sent_without_a_remote_build_and_then_checked(cloud: Azure, tools: Path, dist: Path) -> None:
    cloud.states = [(404, None), (202, {"status": 1}), (200, {"status": 2}), (200, {"status": 4})]
    status, said, complained = publish(cloud, tools, dist)
    assert (status, complained) == (0, "")
    assert "all 3 functions" in said
    [(_, path, headers, body)] = [asked for asked in cloud.asked if asked[1].startswith("/api/publish")]
    assert "5 MB reach the functions" in said
    assert parse_qs(urlsplit(path).query)["RemoteBuild"] == ["false"]
    assert headers["Content-Type"] == "application/zip"
    assert body == (dist / "mailroom.zip").read_bytes()
    assert cloud.paths().index("GET /api/health") > cloud.paths().index("POST /api/publish")


def test_a_deployment_that_azure_has_forgotten_has_ended(cloud: Azure, tools: Path, dist: Path) -> None:
    """Flex Consumption recycles what has deployed; azd takes it for the end, too."""
    cloud.states = [(200, {"status": 2}), (404, None)]
    assert publish(cloud, tools, dist)[0] == 0


@pytest.mark.parametrize(
    ("state", "said"),
    [(-1, "was cancelled"), (3, "failed: no space"), (5, "gave way"), (6, "succeeded only in part")],
)
def test_a_deployment_that_ends_otherwise_fails(cloud: Azure, tools: Path, dist: Path, state: int, said: str) -> None:
    cloud.states = [(200, {"status": state, "status_text": "no space"})]
    status, _, complained = publish(cloud, tools, dist)
    assert status == 1
    assert said in complained


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((409, None), "Another deployment of mail-1 is under way"),
        ((400, {"error": {"message": "BlobUploadFailedException"}}), "400 BlobUploadFailedException"),
        ((500, {"error": {"message": FIREWALL}}), "Storage's firewall does not let the deployment in"),
        ((500, {"error": {"message": "403 licences exceeded"}}), "does not take the package: 500 403 licences"),
    ],
)
def test_a_package_that_is_not_taken_is_told(
    cloud: Azure, tools: Path, dist: Path, answer: tuple[int, object], said: str
) -> None:
    cloud.publish = [answer]
    status, _, complained = publish(cloud, tools, dist)
    assert status == 1
    assert said in complained
    assert cloud.paths().count("POST /api/publish") == 1


@pytest.mark.parametrize(
    ("azures", "role"),
    [
        ({"refusals": {SITE: 2}}, "the role Contributor on rg-mail"),
        ({"refusals": {"/api/publish": 2}}, "the role Website Contributor or Contributor on it"),
        ({"publish": [(500, {"error": {"message": ROLE}})] * 2 + [(202, "deployment-1")]}, "the identity id-1 needs"),
        (
            {"states": [(200, {"status": 3, "status_text": ROLE})] * 2 + [(200, {"status": 4})]},
            "Storage Blob Data Owner or Contributor on https://st1.blob.core.windows.net/app-package",
        ),
    ],
)
def test_a_role_that_does_not_work_yet_is_waited_for_and_named(
    cloud: Azure, tools: Path, dist: Path, azures: dict[str, Any], role: str
) -> None:
    """Whoever deploys may not yet ask or send, or the app may not yet write its package."""
    for name, value in azures.items():
        setattr(cloud, name, value)
    status, said, complained = publish(cloud, tools, dist, MAILROOM_ROLES_WITHIN="30")
    assert status == 0, complained
    assert "all 3 functions" in said
    waits = complained.splitlines()
    assert len(waits) == 2
    assert all(role in wait and "up to 30 minutes to work; trying again" in wait for wait in waits)


def test_a_role_that_is_never_given_ends_the_deployment(cloud: Azure, tools: Path, dist: Path) -> None:
    """Later than half an hour, unless told otherwise."""
    assert patience.WITHIN > 30 * 60
    cloud.publish = [(500, {"error": {"message": ROLE}})]
    status, _, complained = publish(cloud, tools, dist, MAILROOM_ROLES_WITHIN="1")
    assert status == 1
    *waits, last = complained.splitlines()
    assert len(waits) == cloud.paths().count("POST /api/publish") - 1 > 3  # with pauses that grow
    assert "id-1 needs the role Storage Blob Data Owner" in last
    assert "Was the role given?" in last


def test_pauses_grow_from_seconds_to_a_minute_over_more_than_half_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    now, pauses = 0.0, list[float]()

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        pauses.append(seconds)

    def refuse() -> None:
        raise patience.Refused("No.")

    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr("time.sleep", sleep)
    with pytest.raises(DeploymentError, match="40 minutes"):
        patience.until_allowed(refuse, patience.WITHIN)
    assert (pauses[0], max(pauses), now) == (5.0, 60.0, patience.WITHIN)
    assert pauses[:-1] == sorted(pauses[:-1])


@pytest.mark.parametrize("seconds", ["soon", "-1", "nan", "inf"])
def test_a_time_that_is_none_is_named(cloud: Azure, tools: Path, dist: Path, seconds: str) -> None:
    status, _, complained = publish(cloud, tools, dist, MAILROOM_ROLES_WITHIN=seconds)
    assert status == 1
    assert f"MAILROOM_ROLES_WITHIN: found {seconds!r}, expected a number of seconds" in complained
    assert not cloud.asked


def test_before_azds_first_deployment_the_package_is_put_with_patience_and_never_again(
    cloud: Azure, tools: Path, dist: Path
) -> None:
    """Azd gives up at the first 403."""
    cloud.functions = [[], FUNCTIONS]
    assert publish(cloud, tools, dist, "--first")[0] == 0
    assert cloud.paths().count("POST /api/publish") == 1
    assert publish(cloud, tools, dist, "--first") == (0, "", "")
    assert cloud.paths().count("POST /api/publish") == 1


def test_an_app_on_another_plan_gets_nothing(cloud: Azure, tools: Path, dist: Path) -> None:
    cloud.sku = "Dynamic"
    status, _, complained = publish(cloud, tools, dist)
    assert status == 1
    assert "on the plan Dynamic" in complained
    assert "POST /api/publish" not in cloud.paths()


def test_a_package_whose_functions_azure_does_not_find_fails(cloud: Azure, tools: Path, dist: Path) -> None:
    cloud.functions = [[]]
    status, _, complained = publish(cloud, tools, dist)
    assert status == 1
    assert "found none of the 3 functions" in complained


def test_without_a_package_it_says_how_to_make_one(cloud: Azure, tools: Path, dist: Path) -> None:
    (dist / "mailroom.zip").unlink()
    status, _, complained = publish(cloud, tools, dist)
    assert status == 1
    assert "`make package`" in complained
    assert not cloud.asked
