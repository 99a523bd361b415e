"""The package goes to Azure as it is."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.deployment.cloud import Azure, run


def publish(cloud: Azure, tools: Path, dist: Path) -> tuple[int, str, str]:
    result = run("publish", cloud, tools, "--dist", str(dist), "--within", "0")
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
    ],
)
def test_a_package_that_is_not_taken_is_told(
    cloud: Azure, tools: Path, dist: Path, answer: tuple[int, object], said: str
) -> None:
    cloud.publish = answer
    status, _, complained = publish(cloud, tools, dist)
    assert status == 1
    assert said in complained


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
