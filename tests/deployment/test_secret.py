"""`make secret`: a route's secret is made, stored in the vault alone, and printed for whoever sets up the sender."""

import base64
import hmac
import io
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from deployment import secret
from shared.webhooks.routing.catalog import load
from shared.webhooks.sources.source import RawRequest, Unverified
from tests.deployment.cloud import FakeAzure
from tests.deployment.machine import Machine

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
READY = load().routes


class Desk:
    """Somebody who sets up senders of the environment `prod`. secrets: what its vault stores."""

    def __init__(self, machine: Machine, cloud: FakeAzure, patch: pytest.MonkeyPatch) -> None:
        self.machine, self.cloud, self._patch = machine, cloud, patch
        cloud.settings, cloud.vault = {}, True
        self.secrets = cloud.secrets
        machine.parameters(environmentName="prod")

    def types(self, text: str) -> None:
        self._patch.setattr("sys.stdin", io.StringIO(text))

    def secret(self, route: str, *more: str, environment: str = "--environment=prod") -> str:
        """What a command prints that works."""
        where = [*([environment] if environment else []), "--infra", str(self.machine.infra)]
        done = self.machine.run("secret", *where, "--route", route, *more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, route: str, *more: str, environment: str = "--environment=prod") -> str:
        where = [*([environment] if environment else []), "--infra", str(self.machine.infra)]
        return self.machine.refused("secret", *where, "--route", route, *more)

    def route(self, name: str, text: str) -> list[str]:
        """Make a route of one's own; returns the arguments that name its folder."""
        folder = self.machine.infra / "routes"
        (folder / name).mkdir(parents=True)
        (folder / name / "route.toml").write_text(text)
        return ["--routes", str(folder)]


@pytest.fixture
def desk(machine: Machine, cloud: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(machine, cloud, monkeypatch)


def test_a_secret_is_made_stored_and_printed_once(desk: Desk) -> None:
    """It is on no command line and in no address, where `ps` and the logs of proxies would show it."""
    said = desk.secret("github")
    stored = desk.secrets["mail-secret-github"]
    assert re.fullmatch("[0-9a-f]{64}", stored)
    address = f"https://{urlsplit(desk.cloud.url).netloc}/api/events/github"
    assert re.search(rf"Payload URL +{re.escape(address)}\n", said)
    assert re.search(rf"Secret +{stored}\n", said)
    assert "docs/sources/github.md" in said
    assert said.count(stored) == 1
    assert stored not in desk.machine.log.read_text()
    assert not any(stored in path or stored in str(headers) for _, path, headers, _ in desk.cloud.asked)


def test_another_one_is_made_only_to_rotate_and_the_old_one_stays_until_it_is_dropped(desk: Desk) -> None:
    for option in ("--rotate", "--drop-old"):
        assert "mail-secret-grafana" in desk.refused("grafana", option)
    assert desk.secrets == {}
    desk.secret("grafana")
    first = desk.secrets["mail-secret-grafana"]
    assert "make secret ROUTE=grafana ENV=prod ROTATE=1" in desk.refused("grafana")
    said = desk.secret("grafana", "--rotate")
    second, old = desk.secrets["mail-secret-grafana"].split()
    assert old == first != second
    assert second in said
    assert first not in said
    assert "only then give it to the sender" in said
    assert "make secret ROUTE=grafana ENV=prod DROP_OLD=1" in said
    assert "Remove the old one first" in desk.refused("grafana", "--rotate")
    assert second not in desk.secret("grafana", "--drop-old")
    assert desk.secrets["mail-secret-grafana"] == second
    desk.refused("grafana", "--drop-old")
    assert desk.secrets["mail-secret-grafana"] == second


@pytest.mark.parametrize(
    ("route", "options", "typed", "why"),
    [
        ("stripe", [], "whsec_hush\n", None),
        ("github", ["--given"], "hush-chosen-elsewhere\n", None),
        ("stripe", [], "\n", "one word"),
        ("stripe", [], "", "one word"),
        ("stripe", [], "hush b\n", "one word"),
        ("stripe", [], "sk_live_hush\n", "cannot be used"),
    ],
)
def test_a_secret_that_the_sender_makes_is_asked_for_checked_and_not_repeated(
    desk: Desk, route: str, options: list[str], typed: str, why: str | None
) -> None:
    desk.types(typed)
    said = desk.refused(route, *options) if why else desk.secret(route, *options)
    assert (why or "Stored as") in said
    assert "hush" not in said or not why
    assert desk.secrets == ({} if why else {f"mail-secret-{route}": typed.strip()})


def test_a_route_of_ones_own_is_found_in_its_folder_and_the_nearest_is_named_otherwise(desk: Desk) -> None:
    own = desk.route("backup", 'source = "key"\n[options]\naccept = ["header"]\nheader = "X-Backup"\n')
    said = desk.secret("backup", *own)
    assert f"X-Backup: {desk.secrets['mail-secret-backup']}\n" in said
    assert "the nearest is github" in desk.refused("githib")


def test_a_route_that_takes_tokens_needs_none(desk: Desk) -> None:
    own = desk.route("alerts", 'source = "azure-monitor"\n[options]\naudience = "api://x"\n')
    assert "needs no secret" in desk.refused("alerts", *own)
    assert desk.secrets == {}


def refusal(code: str) -> tuple[int, Any]:
    return 403, {"error": {"innererror": {"code": code}}}


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([refusal("ForbiddenByRbac")] * 100, "the role Key Vault Secrets Officer"),
        ([refusal("ForbiddenByConnection")], "run this inside it"),
        ([(500, {"error": {"message": "Busy."}})], "does not show mail-secret-github: 500 Busy."),
    ],
)
def test_a_vault_that_refuses_is_told_with_what_to_do(desk: Desk, answers: list[tuple[int, Any]], said: str) -> None:
    desk.cloud.vault_answers = answers
    assert said in desk.refused("github")


def test_a_role_on_the_vault_that_does_not_work_yet_is_waited_for(desk: Desk) -> None:
    desk.cloud.vault_answers = [refusal("ForbiddenByRbac")] * 2
    desk.secret("github")
    assert len(desk.machine.clock.pauses) == 2


def test_a_setting_that_takes_precedence_is_told_with_the_command_that_removes_it(desk: Desk) -> None:
    desk.cloud.settings = {"MAIL_SECRET_GITHUB": "hush"}
    said = desk.secret("github")
    assert "--name mail-1 --setting-names MAIL_SECRET_GITHUB" in said
    assert "hush" not in said


def test_without_a_name_the_environment_is_azds_and_without_azd_it_asks(desk: Desk) -> None:
    assert "ENV=prod" in desk.refused("github", environment="")
    desk.machine.azd(AZURE_SUBSCRIPTION_ID="sub-1", AZURE_RESOURCE_GROUP="rg-mail", AZURE_ENV_NAME="prod")
    desk.secret("github", environment="")
    assert "mail-secret-github" in desk.secrets


@pytest.mark.parametrize("name", sorted(READY))
def test_what_the_sender_is_told_proves_its_requests(name: str) -> None:
    """For each ready route: the secret that was made can be used, and no other one proves a request."""
    source = READY[name].source
    if secret.given_by_sender(source):
        assert "Secret" not in dict(secret.told(source, "https://x.test/", "whsec_c2VjcmV0"))
        return
    one = secret.made(source)
    assert source.unusable(one) is None
    lines = dict(secret.told(source, f"https://x.test/api/events/{name}", one))
    request = _request(lines)
    source.authenticate(request, [one], NOW)
    with pytest.raises(Unverified):
        source.authenticate(request, [secret.made(source)], NOW)


def _request(lines: dict[str, str]) -> RawRequest:
    """A request that proves itself by what was printed; a secret as GitHub, Jira and GitLab use it."""
    headers = {}
    if "Secret" in lines:
        signature = f"sha256={hmac.digest(lines['Secret'].encode(), b'{}', 'sha256').hex()}"
        headers = {"x-hub-signature-256": signature, "x-hub-signature": signature, "x-gitlab-token": lines["Secret"]}
        return RawRequest(b"{}", headers, {})
    if "Header" in lines:
        name, _, value = lines["Header"].partition(": ")
        headers[name.lower()] = value
    if "Password" in lines:
        pair = f"{lines['User name']}:{lines['Password']}"
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return RawRequest(b"{}", headers, dict(parse_qsl(urlsplit(lines["URL"]).query)))
