"""`python -m deployment.check`: whether Azure has found the package's functions, and requests reach them."""

from typing import Any

import pytest

from tests.deployment.cloud import FUNCTIONS, SITE, FakeAzure, azure
from tests.deployment.machine import WHICH, Machine


@pytest.fixture
def check(machine: Machine) -> list[str]:
    return [*WHICH, "--manifest", str(machine.dist / "manifest.json"), "--within", "0"]


def test_a_complete_app_passes_and_the_platform_is_probed(machine: Machine, cloud: FakeAzure, check: list[str]) -> None:
    """The query at the end finds the log lines of both requests. Only Resource Manager gets the token."""
    cloud.page = 2
    done = machine.run("check", *check)
    assert (done.returncode, done.stderr) == (0, "")
    first, large, two = done.stdout.splitlines()
    assert first == "mail-1 runs: all 3 functions of the package are there."
    assert large.startswith(f"5 MB reach the functions: {cloud.url}/api/events/generic answers 413")
    assert [len(body) for body in cloud.bodies("/api/events/generic")] == [1, 5 * 1024 * 1024]
    traces = [headers["Traceparent"].split("-")[1] for _, path, headers, _ in cloud.asked if path.endswith("sendMail")]
    assert len(set(traces)) == 2
    assert all(trace in two for trace in traces)
    assert cloud.paths().count(f"GET {SITE}/functions") == 2
    assert "--subscription sub-1" in machine.log.read_text()
    with_token = {path.partition("?")[0] for _, path, headers, _ in cloud.asked if "Authorization" in headers}
    assert with_token == {SITE, f"{SITE}/functions"}


def test_functions_that_appear_late_are_waited_for(machine: Machine, cloud: FakeAzure, check: list[str]) -> None:
    cloud.functions = [[], ["health"], FUNCTIONS]
    assert machine.run("check", *check, "--within", "300").returncode == 0
    assert 0 < machine.clock.now < 300


@pytest.mark.parametrize(
    ("azures", "said"),
    [
        ({"functions": [[]]}, ["found none of the 3 functions in mail-1", "Application Insights"]),
        ({"functions": [["events", "health"]]}, ["missing: send_mail."]),
        ({"functions": [[*FUNCTIONS, "old"]]}, ["not of this package: old."]),
        ({"functions": [["events", "health", "new"]]}, ["missing: send_mail; not of this package: new."]),
        # The list may be that of the package before.
        ({"health": 404}, ["/api/health answers 404 where 200 is expected"]),
        ({"most": 4 * 1024 * 1024}, ["5 MB do not reach the functions", "az functionapp restart"]),
        ({"keeps_bodies": False}, ["answers them 401", "az functionapp restart"]),
        ({"route": 413}, ["413 to one byte"]),  # to every size, which shows nothing
        ({"mixed": True}, ["not under its own client-request-id", "az functionapp restart"]),
        ({"redirect": "http://127.0.0.1:9/"}, ["302"]),
        ({"next_page": "http://127.0.0.1:9/"}, ["must not get the token"]),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(
    machine: Machine, cloud: FakeAzure, check: list[str], azures: dict[str, Any], said: list[str]
) -> None:
    vars(cloud).update(azures)
    complained = machine.refused("check", *check)
    assert all(words in complained for words in said), complained


@pytest.mark.parametrize("how", ["redirect", "next_page"])
def test_the_token_is_sent_nowhere_else(machine: Machine, cloud: FakeAzure, check: list[str], how: str) -> None:
    with azure() as elsewhere:
        setattr(cloud, how, f"{elsewhere.url}{SITE}/functions")
        machine.refused("check", *check)
        assert not elsewhere.asked


@pytest.mark.parametrize(
    ("azures", "said"),
    [
        ({"health": 403}, "accepts no request from here: neither 5 MB nor two requests at once were tried"),
        # A route of one's own may have taken its place, or settings are refused.
        ({"route": 404}, "Cannot see whether 5 MB reach the functions"),
        ({"route": 503}, "Cannot see whether 5 MB reach the functions"),
    ],
)
def test_what_cannot_be_seen_from_here_is_said_and_no_failure(
    machine: Machine, cloud: FakeAzure, check: list[str], azures: dict[str, Any], said: str
) -> None:
    vars(cloud).update(azures)
    done = machine.run("check", *check)
    assert (done.returncode, said in done.stdout) == (0, True), done.stderr


def test_a_role_that_does_not_work_yet_is_waited_for(machine: Machine, cloud: FakeAzure, check: list[str]) -> None:
    cloud.refusals = {f"{SITE}/functions": 3}
    done = machine.run("check", *check)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the role Contributor on rg-mail") == 3


def test_the_subscription_is_the_one_that_az_is_set_to(machine: Machine, check: list[str]) -> None:
    done = machine.run("check", *check[2:])
    assert done.returncode == 0, done.stderr
    assert machine.asked_az()[0].startswith("account show")
    machine.az(logged_in=False)
    assert "--subscription" in machine.refused("check", *check[2:])


def test_an_app_that_does_not_exist_is_said_in_azures_words(machine: Machine, check: list[str]) -> None:
    said = machine.refused("check", *check, "--name", "another")
    assert "Azure does not show another in rg-mail: 404 The resource" in said


def test_without_a_token_it_says_how_to_get_one(machine: Machine, cloud: FakeAzure, check: list[str]) -> None:
    machine.az(logged_in=False)
    said = machine.refused("check", *check)
    assert "`az login` or `azd auth login`" in said
    assert "Please run: login" in said
    (machine.path / "az").unlink()
    said = machine.refused("check", *check)
    assert "Neither az nor azd is installed here" in said
    assert "https://learn.microsoft.com/cli/azure/install-azure-cli" in said
    assert not cloud.asked


def test_azd_gives_the_token_without_az_and_in_its_hooks(
    machine: Machine, check: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a hook the az at hand may be logged in to another tenant, and azd's environment says which app it is."""
    machine.azd()
    outputs = {"SUBSCRIPTION_ID": "sub-1", "RESOURCE_GROUP": "rg-mail", "FUNCTION_APP_NAME": "mail-1"}
    for name, value in (outputs | {"ENV_NAME": "test"}).items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    assert machine.run("check", *check[len(WHICH) :]).returncode == 0
    assert not machine.log.exists()
    monkeypatch.setenv("AZURE_ENV_NAME", "")
    (machine.path / "az").unlink()
    assert machine.run("check", *check).returncode == 0


def test_without_a_package_it_says_how_to_make_one(machine: Machine, check: list[str]) -> None:
    manifest = machine.dist / "manifest.json"
    manifest.unlink()
    assert "`make package`" in machine.refused("check", *check)
