"""`make secret`: a route's secret is made, stored in the vault alone, and told to whoever sets up the sender."""

import base64
import hmac
import io
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from deployment import secret, senders
from shared.webhooks.routing.catalog import load
from shared.webhooks.sources.source import RawRequest, Unverified
from tests.deployment.cloud import Azure, tool
from tests.deployment.group import GroupOfResources, az

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
HEAD = "using 'main.bicep'\n// subscription: sub-1\n// resource group: rg-mail\n"


@dataclass
class Keeper(GroupOfResources):
    """A group with a vault in it. secrets: what the vault holds. refusal: what it says to everybody."""

    secrets: dict[str, str] = field(default_factory=dict)
    refusal: tuple[int, Any] | None = None

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any] | None:
        at = urlsplit(path).path
        if not at.startswith("/secrets/"):
            return super().answer(method, path, body)
        name = at.removeprefix("/secrets/")
        if self.refusal:
            return self.refusal
        if method == "PUT":
            self.secrets[name] = json.loads(body)["value"]
        elif name not in self.secrets:
            return 404, {"error": {"code": "SecretNotFound"}}
        return 200, {"value": self.secrets[name]}


@dataclass
class Desk:
    """Somebody who sets up senders."""

    cloud: Azure
    tools: Path
    infra: Path
    capture: pytest.CaptureFixture[str]

    @property
    def keeper(self) -> Keeper:
        assert isinstance(self.cloud.group, Keeper)
        return self.cloud.group

    def secret(self, *arguments: str, environment: str = "--environment=prod") -> tuple[int, str, str]:
        where = [*([environment] if environment else []), "--infra", str(self.infra), "--manager", self.cloud.url]
        self.capture.readouterr()
        return secret.main([*where, *arguments]), *self.capture.readouterr()


@pytest.fixture
def desk(
    cloud: Azure, tools: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    for name, value in {"PATH": tools, "HOME": tools, "MAILROOM_ROLES_WITHIN": 0.5}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("AZURE_ENV_NAME", "")
    az(tools)
    cloud.group = Keeper(settings={}, vault=cloud.url)
    (tmp_path / "prod.bicepparam").write_text(HEAD)
    (tmp_path / "prod.bicepparam.json").write_text('{"environmentName": "prod"}')
    return Desk(cloud, tools, tmp_path, capfd)


def test_a_secret_is_made_stored_and_told_once(desk: Desk) -> None:
    status, said, complained = desk.secret("--route", "github")
    assert (status, complained) == (0, "")
    stored = desk.keeper.secrets["mail-secret-github"]
    assert re.fullmatch("[0-9a-f]{64}", stored)
    address = f"https://{urlsplit(desk.cloud.url).netloc}/api/events/github"
    assert re.search(rf"Payload URL +{re.escape(address)}\n", said)
    assert re.search(rf"Secret +{stored}\n", said)
    assert "docs/sources/github.md" in said
    assert said.count(stored) == 1


def test_a_secret_is_on_no_command_line_and_in_no_address(desk: Desk) -> None:
    """Where `ps` and the logs of proxies would show it."""
    desk.secret("--route", "eventgrid")
    stored = desk.keeper.secrets["mail-secret-eventgrid"]
    assert stored not in (desk.tools / "az.log").read_text()
    assert not any(stored in path or stored in str(headers) for _, path, headers, _ in desk.cloud.asked)


def test_another_one_is_made_only_to_rotate_and_the_old_one_stays_until_it_is_dropped(desk: Desk) -> None:
    desk.secret("--route", "grafana")
    first = desk.keeper.secrets["mail-secret-grafana"]
    status, _, complained = desk.secret("--route", "grafana")
    assert status == 1
    assert "make secret ROUTE=grafana ENV=prod ROTATE=1" in complained
    status, said, _ = desk.secret("--route", "grafana", "--rotate")
    assert status == 0
    second, old = desk.keeper.secrets["mail-secret-grafana"].split()
    assert old == first != second
    assert second in said
    assert first not in said
    assert "only then give it to the sender" in said
    assert "make secret ROUTE=grafana ENV=prod DROP_OLD=1" in said
    status, _, complained = desk.secret("--route", "grafana", "--rotate")
    assert status == 1
    assert "Take the old one out first" in complained
    status, said, _ = desk.secret("--route", "grafana", "--drop-old")
    assert (status, desk.keeper.secrets["mail-secret-grafana"]) == (0, second)
    assert second not in said
    assert desk.secret("--route", "grafana", "--drop-old")[0] == 1
    assert desk.keeper.secrets["mail-secret-grafana"] == second


def test_nothing_is_rotated_where_there_is_nothing(desk: Desk) -> None:
    for option in ("--rotate", "--drop-old"):
        status, _, complained = desk.secret("--route", "grafana", option)
        assert status == 1
        assert "mail-secret-grafana" in complained
    assert desk.keeper.secrets == {}


def test_a_secret_that_the_sender_makes_is_asked_for_and_not_repeated(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("whsec_hush\n"))
    status, said, complained = desk.secret("--route", "stripe")
    assert (status, desk.keeper.secrets) == (0, {"mail-secret-stripe": "whsec_hush"})
    assert "hush" not in said + complained


@pytest.mark.parametrize(
    ("typed", "why"),
    [("\n", "one word"), ("a b\n", "one word"), ("sk_live_hush\n", "cannot be used"), ("", "one word")],
)
def test_what_is_no_secret_of_the_sender_is_refused_and_not_stored(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, typed: str, why: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    status, said, complained = desk.secret("--route", "stripe")
    assert status == 1
    assert why in complained
    assert "hush" not in said + complained
    assert desk.keeper.secrets == {}


def test_a_secret_of_ones_own_choice_can_be_given_to_any_route(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("chosen-elsewhere\n"))
    assert desk.secret("--route", "github", "--given")[0] == 0
    assert desk.keeper.secrets == {"mail-secret-github": "chosen-elsewhere"}


def test_a_route_of_ones_own_is_found_in_its_folder_and_the_nearest_is_named_elsewhere(
    desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / "routes" / "backup").mkdir(parents=True)
    text = 'source = "key"\n[options]\naccept = ["header"]\nheader = "X-Backup"\n'
    (tmp_path / "routes" / "backup" / "route.toml").write_text(text)
    status, said, _ = desk.secret("--route", "backup", "--routes", str(tmp_path / "routes"))
    assert status == 0
    assert f"X-Backup: {desk.keeper.secrets['mail-secret-backup']}\n" in said
    status, _, complained = desk.secret("--route", "githib")
    assert status == 1
    assert "the nearest is github" in complained


def test_a_route_that_takes_tokens_needs_none(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "routes" / "alerts").mkdir(parents=True)
    text = 'source = "azure-monitor"\n[options]\naudience = "api://x"\n'
    (tmp_path / "routes" / "alerts" / "route.toml").write_text(text)
    status, _, complained = desk.secret("--route", "alerts", "--routes", str(tmp_path / "routes"))
    assert status == 1
    assert "needs no secret" in complained
    assert desk.keeper.secrets == {}


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ((403, {"error": {"innererror": {"code": "ForbiddenByRbac"}}}), "the role Key Vault Secrets Officer"),
        ((403, {"error": {"innererror": {"code": "ForbiddenByConnection"}}}), "run this inside it"),
        ((500, {"error": {"message": "Busy."}}), "does not show mail-secret-github: 500 Busy."),
    ],
)
def test_a_vault_that_refuses_is_told_with_what_to_do(desk: Desk, refusal: tuple[int, Any], said: str) -> None:
    desk.keeper.refusal = refusal
    status, printed, complained = desk.secret("--route", "github")
    assert (status, printed) == (1, "")
    assert said in complained


def test_a_role_on_the_vault_that_does_not_work_yet_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILROOM_ROLES_WITHIN", "30")
    refusals = [(403, {"error": {"innererror": {"code": "ForbiddenByRbac"}}})] * 2
    answer = desk.keeper.answer
    monkeypatch.setattr(
        desk.keeper, "answer",
        lambda *asked: refusals.pop() if refusals and asked[1].startswith("/secrets/") else answer(*asked),
    )  # fmt: skip
    status, _, complained = desk.secret("--route", "github")
    assert status == 0
    assert complained.count("trying again") == 2


def test_a_setting_that_takes_the_vaults_place_is_told_with_the_command_that_removes_it(desk: Desk) -> None:
    desk.keeper.settings = {"MAIL_SECRET_GITHUB": "hush"}
    _, said, _ = desk.secret("--route", "github")
    assert "--name mail-1 --setting-names MAIL_SECRET_GITHUB" in said
    assert "hush" not in said


def test_with_azd_the_environment_is_azds(desk: Desk) -> None:
    values = {"AZURE_SUBSCRIPTION_ID": "sub-1", "AZURE_RESOURCE_GROUP": "rg-mail", "AZURE_ENV_NAME": "prod"}
    tool(desk.tools, "azd", values | {"token": "token-of-the-deployer"})
    assert desk.secret("--route", "github", environment="")[0] == 0
    assert "mail-secret-github" in desk.keeper.secrets


def test_without_an_environment_it_asks_for_one(desk: Desk) -> None:
    status, _, complained = desk.secret("--route", "github", environment="")
    assert status == 1
    assert "ENV=prod" in complained


READY = load().routes


def _carrying(lines: dict[str, str]) -> RawRequest:
    """A request that proves itself by what was told: a header, a query, or basic authentication."""
    query = dict(parse_qsl(urlsplit(lines["URL"]).query))
    headers = {}
    if "Header" in lines:
        name, _, value = lines["Header"].partition(": ")
        headers[name.lower()] = value
    if "Password" in lines:
        pair = f"{lines['User name']}:{lines['Password']}"
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return RawRequest(b"{}", headers, query)


def _signed(secret: str) -> RawRequest:
    """As GitHub signs, which is the only ready route of these that does."""
    signature = hmac.digest(secret.encode(), b"{}", "sha256").hex()
    return RawRequest(b"{}", {"x-hub-signature-256": f"sha256={signature}"})


@pytest.mark.parametrize("name", sorted(READY))
def test_what_the_sender_is_told_proves_its_requests(name: str) -> None:
    """For each ready route: what was made can be used, and a request that carries it as told is believed."""
    source = READY[name].source
    if senders.given_by_sender(source):
        assert "Secret" not in dict(senders.told(source, "https://x.test/", "whsec_c2VjcmV0"))
        return
    one = senders.made(source)
    assert source.unusable(one) is None
    lines = dict(senders.told(source, f"https://x.test/api/events/{name}", one))
    request = _signed(lines["Secret"]) if "Secret" in lines else _carrying(lines)
    source.authenticate(request, [one], NOW)
    with pytest.raises(Unverified):
        source.authenticate(request, [senders.made(source)], NOW)
