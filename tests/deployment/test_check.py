"""A deployment ends with the question whether Azure has found the package's functions."""

from pathlib import Path
from typing import Any

import pytest

from tests.deployment.cloud import SITE, TOKEN, Azure, azure, run, tool
from tests.deployment.conftest import FUNCTIONS


def check(cloud: Azure, tools: Path, dist: Path, *arguments: str, **more: str) -> tuple[int, str, str]:
    manifest = ["--manifest", str(dist / "manifest.json"), "--within", "0.5", *arguments]
    result = run("check", cloud, tools, *manifest, **more)
    return result.returncode, result.stdout, result.stderr


def test_the_functions_of_the_package_and_no_others_pass(cloud: Azure, tools: Path, dist: Path) -> None:
    status, said, complained = check(cloud, tools, dist)
    assert (status, said.splitlines()[0], complained) == (
        0,
        "mail-1 runs: all 3 functions of the package are there.",
        "",
    )
    assert cloud.paths()[:3] == [f"GET {SITE}/functions", f"GET {SITE}", "GET /api/health"]
    assert "--subscription sub-1" in (tools / "az.log").read_text()


def test_a_list_in_pages_is_read_to_its_end(cloud: Azure, tools: Path, dist: Path) -> None:
    cloud.page = 2
    assert check(cloud, tools, dist)[0] == 0
    assert cloud.paths().count(f"GET {SITE}/functions") == 2


def test_azure_may_take_its_time_to_find_them(cloud: Azure, tools: Path, dist: Path) -> None:
    cloud.functions = [[], ["health"], FUNCTIONS]
    assert check(cloud, tools, dist, "--within", "5")[0] == 0


def test_none_found_is_said_with_what_to_do(cloud: Azure, tools: Path, dist: Path) -> None:
    cloud.functions = [[]]
    status, _, complained = check(cloud, tools, dist)
    assert status == 1
    assert "found none of the 3 functions in mail-1" in complained
    assert "Application Insights" in complained


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (["events", "health"], "missing: send_mail."),
        ([*FUNCTIONS, "old"], "not of this package: old."),
        (["events", "health", "other"], "missing: send_mail; not of this package: other."),
    ],
)
def test_what_differs_is_named(cloud: Azure, tools: Path, dist: Path, found: list[str], said: str) -> None:
    cloud.functions = [found]
    status, _, complained = check(cloud, tools, dist)
    assert status == 1
    assert said in complained


def test_an_app_that_has_its_functions_and_does_not_answer_fails(cloud: Azure, tools: Path, dist: Path) -> None:
    """The list may be the one of the package before."""
    cloud.health = 404
    status, _, complained = check(cloud, tools, dist)
    assert status == 1
    assert "/api/health answers 404 where 200 is expected" in complained


def test_an_app_that_lets_nobody_in_from_here_is_not_asked_for_more(cloud: Azure, tools: Path, dist: Path) -> None:
    cloud.health = 403
    status, said, _ = check(cloud, tools, dist)
    assert status == 0
    assert "nobody is let in: neither 5 MB nor two requests at once were tried" in said
    assert not any(path.startswith("POST") for path in cloud.paths())


def test_it_says_that_five_megabytes_and_two_requests_at_once_come_through(
    cloud: Azure, tools: Path, dist: Path
) -> None:
    _, said, _ = check(cloud, tools, dist)
    _, large, two = said.splitlines()
    assert large.startswith(f"5 MB reach the functions: {cloud.url}/api/events/generic answers 413")
    sizes = [len(body) for method, path, _, body in cloud.asked if path == "/api/events/generic"]
    assert sizes == [1, 5 * 1024 * 1024]
    traces = [headers["Traceparent"].split("-")[1] for _, path, headers, _ in cloud.asked if path.endswith("sendMail")]
    assert len(set(traces)) == 2
    assert all(trace in two for trace in traces)  # the query for the log lines of both


@pytest.mark.parametrize(
    ("azures", "said"),
    [
        ({"most": 4 * 1024 * 1024}, "5 MB do not reach the functions"),
        ({"keeps": False}, "answers 401"),  # as if there were no body
        ({"route": 413}, "413 to one byte"),  # whatever comes: that shows nothing
        ({"mixed": True}, "not under its own client-request-id"),
    ],
)
def test_what_does_not_come_through_is_said_with_what_to_do(
    cloud: Azure, tools: Path, dist: Path, azures: dict[str, Any], said: str
) -> None:
    for name, value in azures.items():
        setattr(cloud, name, value)
    status, printed, complained = check(cloud, tools, dist)
    assert (status, printed) == (1, "")
    assert said in complained
    assert "az functionapp restart" in complained


@pytest.mark.parametrize("route", [404, 503])
def test_where_the_route_answers_the_same_to_everything_it_says_that_it_cannot_see(
    cloud: Azure, tools: Path, dist: Path, route: int
) -> None:
    """Routes of one's own may have taken its place, or settings are refused."""
    cloud.route = route
    status, said, _ = check(cloud, tools, dist)
    assert status == 0
    assert f"cannot be seen: {cloud.url}/api/events/generic answers {route}" in said


def test_the_token_goes_to_resource_manager_only(cloud: Azure, tools: Path, dist: Path) -> None:
    check(cloud, tools, dist)
    paths = {path.partition("?")[0]: "Authorization" in headers for _, path, headers, _ in cloud.asked}
    assert {path for path, with_token in paths.items() if with_token} == {SITE, f"{SITE}/functions"}
    assert {path for path, with_token in paths.items() if not with_token} == {
        "/api/health",
        "/api/events/generic",
        "/api/v1.0/users/nobody/sendMail",
    }


def test_a_redirect_does_not_take_the_token_elsewhere(cloud: Azure, tools: Path, dist: Path) -> None:
    with azure() as elsewhere:
        cloud.location = f"{elsewhere.url}{SITE}/functions"
        status, _, complained = check(cloud, tools, dist)
        assert status == 1
        assert "302" in complained
        assert not elsewhere.asked


def test_a_list_that_goes_on_elsewhere_is_not_followed(cloud: Azure, tools: Path, dist: Path) -> None:
    with azure() as elsewhere:
        cloud.next = f"{elsewhere.url}{SITE}/functions"
        status, _, complained = check(cloud, tools, dist)
        assert status == 1
        assert "its token does not belong" in complained
        assert not elsewhere.asked


def test_the_subscription_is_the_one_that_az_is_set_to(cloud: Azure, tools: Path, dist: Path) -> None:
    manifest = ["--manifest", str(dist / "manifest.json")]
    result = run("check", cloud, tools, *manifest, which=["--resource-group", "rg-mail", "--name", "mail-1"])
    assert result.returncode == 0, result.stderr
    assert (tools / "az.log").read_text().startswith("account show")


def test_without_a_subscription_it_asks_for_one(cloud: Azure, tools: Path, dist: Path) -> None:
    tool(tools, "az", None)
    manifest = ["--manifest", str(dist / "manifest.json")]
    result = run("check", cloud, tools, *manifest, which=["--resource-group", "rg-mail", "--name", "mail-1"])
    assert result.returncode == 1
    assert "--subscription" in result.stderr


def test_azure_refusing_is_told_in_its_own_words(cloud: Azure, tools: Path, dist: Path) -> None:
    result = run("check", cloud, tools, "--manifest", str(dist / "manifest.json"), which=[
        "--subscription", "sub-1", "--resource-group", "rg-mail", "--name", "another",
    ])  # fmt: skip
    assert result.returncode == 1
    assert "Azure does not show another in rg-mail: 404 The resource" in result.stderr


def test_without_a_login_it_says_how_to_log_in(cloud: Azure, tools: Path, dist: Path) -> None:
    tool(tools, "az", None)
    status, _, complained = check(cloud, tools, dist)
    assert status == 1
    assert "`az login` or `azd auth login`" in complained
    assert "Please run: login" in complained
    assert not cloud.asked


def test_without_az_and_azd_it_says_what_to_install(cloud: Azure, tools: Path, dist: Path) -> None:
    (tools / "az").unlink()
    status, _, complained = check(cloud, tools, dist)
    assert status == 1
    assert "Neither az nor azd is installed here" in complained
    assert "https://learn.microsoft.com/cli/azure/install-azure-cli" in complained


def test_a_hook_of_azd_waits_for_roles_too(cloud: Azure, tools: Path, dist: Path) -> None:
    cloud.refusals = {f"{SITE}/functions": 3}
    status, said, complained = check(cloud, tools, dist, MAILROOM_ROLES_WITHIN="30")
    assert status == 0, complained
    assert "all 3 functions" in said
    assert complained.count("the role Contributor on rg-mail") == 3


def test_without_az_it_asks_azd(cloud: Azure, tools: Path, dist: Path) -> None:
    (tools / "az").unlink()
    tool(tools, "azd", {"token": TOKEN, "expiresOn": "2026-11-25T12:00:00Z"})
    assert check(cloud, tools, dist)[0] == 0


def test_as_azds_hook_it_asks_azd_and_reads_which_app_from_the_environment(
    cloud: Azure, tools: Path, dist: Path
) -> None:
    """The az at hand may be logged in to another tenant."""
    tool(tools, "azd", {"token": TOKEN, "expiresOn": "2026-11-25T12:00:00Z"})
    outputs = {"SUBSCRIPTION_ID": "sub-1", "RESOURCE_GROUP": "rg-mail", "FUNCTION_APP_NAME": "mail-1"}
    environment = {f"AZURE_{name}": value for name, value in (outputs | {"ENV_NAME": "test"}).items()}
    manifest = ["--manifest", str(dist / "manifest.json")]
    assert run("check", cloud, tools, *manifest, which=[], **environment).returncode == 0
    assert not (tools / "az.log").exists()


def test_without_a_package_it_says_how_to_make_one(cloud: Azure, tools: Path, dist: Path) -> None:
    (dist / "manifest.json").unlink()
    status, _, complained = check(cloud, tools, dist)
    assert status == 1
    assert "`make package`" in complained
