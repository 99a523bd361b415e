"""`make deploy`: nothing is lost unasked, a preview comes first, and nobody has to edit a file that git keeps."""

import json
import os
import pty
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from deployment.losses import losses

from deployment import deploy, providers
from deployment.deployed import Recorded
from deployment.parameters import Parameters
from tests.deployment.cloud import ROOT, Azure
from tests.deployment.group import GROUP, PROVIDER, TEMPLATE, GroupOfResources, az, recorded

HEAD = "using 'main.bicep'\n\n// subscription: sub-1\n// resource group: rg-mail\n"
GIVEN = {
    "environmentName": "prod",
    "mailSender": "alerts@contoso.com",
    "mailTo": "ops@contoso.com",
    "alertEmail": "ops@contoso.com",
}
SETTINGS = {"MAIL_SENDER": "alerts@contoso.com", "MAIL_TO": "ops@contoso.com", "MAIL_RETENTION_DAYS": "14"}


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@dataclass
class Deployer:
    """Somebody at a checkout, with az."""

    cloud: Azure
    tools: Path
    dist: Path
    infra: Path
    log: Path
    capture: pytest.CaptureFixture[str]

    @property
    def group(self) -> GroupOfResources:
        assert self.cloud.group
        return self.cloud.group

    def parameters(self, **values: Any) -> None:
        (self.infra / "prod.bicepparam").write_text(HEAD)
        (self.infra / "prod.bicepparam.json").write_text(json.dumps(values))

    def deploy(self, *arguments: str, environment: str = "prod") -> Done:
        where = ["--dist", str(self.dist), "--infra", str(self.infra), "--manager", self.cloud.url]
        self.capture.readouterr()
        status = deploy.main([f"--environment={environment}", *where, *arguments])
        return Done(status, *self.capture.readouterr())

    def asked_az(self) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if not line.startswith("account get-access-token")]

    def changed(self) -> bool:
        """Whether anything was deployed, made or registered."""
        writes = [path for path in self.cloud.paths() if path.startswith(("PUT", "POST"))]
        reads = ("/appsettings/list", "/exportTemplate")
        return any(not path.endswith(reads) for path in writes) or any("create" in line for line in self.asked_az())


@pytest.fixture
def here(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with az alone, and a checkout's infra/ with nothing but the example; returns that."""
    for name, value in {"PATH": tools, "HOME": tools, "MAILROOM_ROLES_WITHIN": 0.5}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(providers, "PAUSE", 0.01)
    infra = tmp_path / "infra"
    infra.mkdir()
    shutil.copy(ROOT / "infra" / "example.bicepparam", infra)
    return infra


@pytest.fixture
def deployer(cloud: Azure, tools: Path, dist: Path, here: Path, capfd: pytest.CaptureFixture[str]) -> Deployer:
    """A group with an app in it, which was deployed by GIVEN."""
    cloud.group = GroupOfResources(settings=dict(SETTINGS), deployments={"mailroom-prod-1": recorded(GIVEN)})
    one = Deployer(cloud, tools, dist, here, az(tools), capfd)
    one.parameters(**GIVEN)
    return one


def test_the_first_time_it_makes_the_parameter_file_and_stops(deployer: Deployer) -> None:
    """With subscription, group and the object id of whoever is logged in. It deploys nothing, and makes it once."""
    (deployer.infra / "prod.bicepparam").unlink()
    done = deployer.deploy()
    assert done.returncode == 1
    assert "prod.bicepparam is new, and git ignores it" in done.stderr
    assert "LOCATION=westeurope" in done.stderr
    text = (deployer.infra / "prod.bicepparam").read_text()
    assert "// subscription: sub-1\n// resource group: mailroom-prod\n" in text
    assert "param environmentName = 'prod'\n" in text
    assert "secretsOfficerPrincipalIds = ['me-1']" in text
    assert "<" not in text.replace("<application (client) id>", "").replace("<object id of its identity>", "")
    assert not deployer.changed()
    (deployer.infra / "prod.bicepparam").write_text(f"{text}// mine\n")
    deployer.deploy("--ready")
    assert (deployer.infra / "prod.bicepparam").read_text() == f"{text}// mine\n"


def test_in_ci_the_parameter_file_is_made_without_a_person(deployer: Deployer) -> None:
    az(deployer.tools, person=False)
    assert deployer.deploy("--group", "rg-2", environment="stage").returncode == 1
    text = (deployer.infra / "stage.bicepparam").read_text()
    assert "// resource group: rg-2\n" in text
    assert "secretsOfficerPrincipalIds = []" in text


@pytest.mark.parametrize("name", ["", "main", "example", "../prod", "a/b", "-x", "x" * 65, "prod;ls", "prod\n"])
def test_a_name_that_is_none_is_refused_before_anything_is_written(deployer: Deployer, name: str) -> None:
    before = sorted(deployer.infra.iterdir())
    done = deployer.deploy(environment=name)
    assert done.returncode == 1
    assert "make deploy ENV=prod" in done.stderr
    assert sorted(deployer.infra.iterdir()) == before
    assert not deployer.asked_az()


def test_without_az_it_says_what_to_install(deployer: Deployer) -> None:
    (deployer.tools / "az").unlink()
    done = deployer.deploy("--ready")
    assert done.returncode == 1
    assert "az is not installed here" in done.stderr
    assert "https://learn.microsoft.com/cli/azure/install-azure-cli" in done.stderr


def test_a_file_whose_head_does_not_say_where_is_refused(deployer: Deployer) -> None:
    (deployer.infra / "prod.bicepparam").write_text("using 'main.bicep'\n// subscription: sub-1\n")
    done = deployer.deploy()
    assert done.returncode == 1
    assert "there is no line `// resource group: …` that says where prod is" in done.stderr


def test_another_group_than_the_files_is_refused(deployer: Deployer) -> None:
    done = deployer.deploy("--group", "rg-other")
    assert done.returncode == 1
    assert "says that the resource group is rg-mail; change it there" in done.stderr


def test_a_deployment_previews_then_deploys_then_publishes_and_checks(deployer: Deployer) -> None:
    done = deployer.deploy("--yes")
    assert done.returncode == 0, done.stderr
    _, preview, create = (line for line in deployer.asked_az() if not line.startswith("account"))
    where = f"--subscription sub-1 --resource-group rg-mail --parameters {deployer.infra / 'prod.bicepparam'}"
    assert preview == f"deployment group what-if {where}"
    assert create.startswith(f"deployment group create {where} --name mailroom-prod-20")
    assert "What would change" in done.stdout
    assert deployer.cloud.paths().count("POST /api/publish") == 1
    assert "all 3 functions" in done.stdout
    assert "MAILROOM_URL=https://mail-1.example" in done.stdout
    assert "make secret ROUTE=generic ENV=prod" in done.stdout


def test_without_yes_and_without_a_terminal_nothing_is_changed(deployer: Deployer) -> None:
    done = deployer.deploy()
    assert done.returncode == 1
    assert "What would change" in done.stdout
    assert "YES=1" in done.stderr
    assert not deployer.changed()


@pytest.mark.parametrize(("typed", "deployed"), [("y\n", True), ("yes\n", True), ("\n", False), ("n\n", False)])
def test_at_a_terminal_it_asks(deployer: Deployer, typed: str, deployed: bool) -> None:  # noqa: FBT001 - of the table
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    where = ["--dist", str(deployer.dist), "--infra", str(deployer.infra), "--manager", deployer.cloud.url]
    done = subprocess.run(
        [sys.executable, "-m", "deployment.deploy", "--environment", "prod", *where],
        stdin=theirs, env={"PATH": str(deployer.tools), "HOME": str(deployer.tools)}, cwd=ROOT, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    assert "Deploy this? [y/N]" in done.stdout
    assert (done.returncode == 0) is deployed, done.stderr
    assert deployer.changed() is deployed


def test_a_deployment_that_fails_publishes_nothing(deployer: Deployer) -> None:
    az(deployer.tools, works=False)
    done = deployer.deploy("--yes")
    assert done.returncode == 1
    assert "RoleAssignmentUpdateNotPermitted" in done.stderr
    assert "POST /api/publish" not in deployer.cloud.paths()


LOST: list[tuple[str, dict[str, Any], dict[str, Any], set[str]]] = [
    ("the senders, in a setting", {"MAIL_ALLOWED_SENDERS": "a@contoso.com"}, {}, {"MAIL_ALLOWED_SENDERS"}),
    ("callers", {"MAIL_CALLERS": '{"1": {"senders": []}}'}, {}, {"MAIL_CALLERS"}),
    ("recipients", {"MAIL_ALLOWED_RECIPIENTS": "*@contoso.com"}, {}, {"MAIL_ALLOWED_RECIPIENTS"}),
    ("one of the other settings", {"MAIL_MODE": "redirect"}, {}, {"MAIL_MODE"}),
    ("a secret put by hand", {"MAIL_SECRET_GITHUB": "x"}, {}, {"MAIL_SECRET_GITHUB"}),
    ("a setting put by hand", {"MY_OWN": "x", "BLANK": " "}, {}, {"MY_OWN"}),
    ("what depends on another", {"MAIL_API_CLIENT_ID": "1", "MAIL_API_TENANT": "2"}, {},
     {"MAIL_API_CLIENT_ID", "MAIL_API_TENANT"}),
    ("the alert address", {}, {"alertEmail": "sre@contoso.com"}, {"alertEmail"}),
    ("action groups", {}, {"actionGroupIds": ["/x"]}, {"actionGroupIds"}),
    ("the network", {}, {"network": "private"}, {"network"}),
    ("subnets that were there", {}, {"existingSubnets": {"app": "/a", "endpoints": "/b"}}, {"existingSubnets"}),
    ("the lock", {}, {"lockStorage": True}, {"lockStorage"}),
    ("who may reach it", {}, {"siteAccess": [{"name": "x", "ipAddress": "203.0.113.7/32"}]}, {"siteAccess"}),
    ("nothing: a vault came back", {}, {"vaultCreateMode": "recover"}, set()),
    ("a size", {}, {"maximumInstanceCount": 100}, {"maximumInstanceCount"}),
    ("producers", {}, {"producers": [{"principalId": "1", "queue": "mail-outbox"}]}, {"producers"}),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "values", "names"), [row[1:] for row in LOST], ids=[row[0] for row in LOST])
def test_what_would_be_lost_is_named(settings: dict[str, str], values: dict[str, Any], names: set[str]) -> None:
    """Whoever set it, and wherever: in the app, or as a parameter of the last deployment."""
    given = {name: value for name, value in GIVEN.items() if name not in values}
    last = Recorded(recorded(GIVEN | values), TEMPLATE)
    found = losses(SETTINGS | settings, last, Parameters(given, TEMPLATE))
    assert found.keys() == names
    assert not any(value in str(found) for value in settings.values() if len(value) > 2)
    kept = Parameters({**GIVEN, **values}, TEMPLATE)
    assert losses(SETTINGS, last, kept) == {}


def test_a_loss_is_refused_before_anything_is_changed_unless_it_is_allowed_by_name(deployer: Deployer) -> None:
    deployer.group.settings = SETTINGS | {"MAIL_SECRET_STRIPE": "whsec_hush"}
    deployer.group.deployments["mailroom-prod-2"] = recorded(GIVEN | {"network": "private"})
    for allowed in ("", "network", "MAIL_SECRET_STRIPE,MAIL_TO"):
        refused = deployer.deploy("--yes", "--allow-empty", allowed)
        assert refused.returncode == 1
        for name in {"network", "MAIL_SECRET_STRIPE"} - set(allowed.split(",")):
            assert f"\n  {name}: " in refused.stderr
        assert "hush" not in refused.stderr + refused.stdout
    assert "say ALLOW_EMPTY=MAIL_SECRET_STRIPE,network\n" in deployer.deploy("--yes").stderr
    assert not deployer.changed()
    assert deployer.deploy("--yes", "--allow-empty", "MAIL_SECRET_STRIPE,network").returncode == 0


def test_nothing_is_lost_by_the_same_again_or_by_another_value(deployer: Deployer) -> None:
    more = {"maximumInstanceCount": 100, "callers": {"1": {"senders": ["a@contoso.com"]}}, "tags": {"team": "x"}}
    deployer.group.settings = SETTINGS | {"MAIL_CALLERS": "{}", "MAIL_MODE": "", "AZURE_CLIENT_ID": "1"}
    deployer.group.deployments["mailroom-prod-2"] = recorded(GIVEN | more)
    deployer.parameters(**GIVEN | more | {"mailTo": "sre@contoso.com", "maximumInstanceCount": 50})
    done = deployer.deploy("--yes")
    assert done.returncode == 0, done.stderr


def test_only_the_environments_own_last_deployment_counts(deployer: Deployer) -> None:
    """A module's has no environment, another environment is another Mailroom, and what is over is over."""
    deployer.group.deployments = {
        "prod-1": recorded(GIVEN | {"network": "private"}),
        "prod-2": recorded(GIVEN),
        "test-1": recorded({"network": "private"}, "test"),
        "alerts-x": {"email": "sre@contoso.com"},
    }
    assert deployer.deploy("--yes").returncode == 0


def test_a_default_that_a_new_version_changes_is_no_loss(deployer: Deployer) -> None:
    old = json.loads(json.dumps(deployer.group.template))
    old["parameters"]["maximumInstanceCount"]["defaultValue"] = 20
    deployer.group.template = old
    deployer.group.deployments = {"prod-1": recorded(GIVEN | {"maximumInstanceCount": 20})}
    assert deployer.deploy("--yes").returncode == 0


def test_where_the_app_is_gone_the_last_deployment_says_what_was_set(deployer: Deployer) -> None:
    deployer.group.settings = None
    deployer.group.deployments["mailroom-prod-2"] = recorded(GIVEN | {"allowedSenders": "a@contoso.com"})
    done = deployer.deploy("--yes")
    assert done.returncode == 1
    assert "\n  allowedSenders: " in done.stderr


def test_a_new_group_is_made_only_where_somebody_says_where(deployer: Deployer) -> None:
    """A name that is misspelt must not become a second Mailroom."""
    deployer.group.there = False
    deployer.group.settings, deployer.group.deployments = None, {}
    done = deployer.deploy("--yes")
    assert done.returncode == 1
    assert "There is no resource group rg-mail in the subscription sub-1" in done.stderr
    assert not deployer.changed()
    assert deployer.deploy("--yes", "--location", "westeurope").returncode == 0
    [body] = [body for method, path, _, body in deployer.cloud.asked if method == "PUT" and path.startswith(GROUP)]
    assert json.loads(body) == {"location": "westeurope"}


def test_a_private_network_registers_its_provider_and_waits(deployer: Deployer) -> None:
    deployer.group.registered = ["NotRegistered", "Registered"]
    deployer.parameters(**GIVEN | {"network": "private"})
    done = deployer.deploy("--yes")
    assert done.returncode == 0, done.stderr
    assert deployer.cloud.paths().count(f"POST {PROVIDER}/register") == 1
    deployer.parameters(**GIVEN)
    deployer.group.registered = ["NotRegistered"]
    assert deployer.deploy("--yes").returncode == 0  # a public one needs none
    assert deployer.cloud.paths().count(f"POST {PROVIDER}/register") == 1


def test_who_may_not_register_is_told_what_to_ask_for(deployer: Deployer) -> None:
    deployer.group.registered, deployer.group.may_register = ["NotRegistered"], False
    deployer.parameters(**GIVEN | {"network": "private"})
    done = deployer.deploy("--yes")
    assert done.returncode == 1
    assert "az provider register --namespace Microsoft.App --subscription sub-1" in done.stderr
    assert not any("create" in line for line in deployer.asked_az())


def test_rights_on_the_group_alone_are_enough(deployer: Deployer) -> None:
    """They show nothing of the subscription's providers: that is said, with what somebody else may have to run."""
    deployer.cloud.refusals = {PROVIDER: 100}
    deployer.parameters(**GIVEN | {"network": "private"})
    done = deployer.deploy("--yes")
    assert done.returncode == 0, done.stderr
    assert "az provider register --namespace Microsoft.App --subscription sub-1" in done.stdout


def test_before_a_deployment_no_role_is_waited_for(deployer: Deployer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is new then; and a group that is misspelt is answered as one that is somebody else's."""
    monkeypatch.setenv("MAILROOM_ROLES_WITHIN", "1000")
    deployer.cloud.refusals = {GROUP: 1}
    done = deployer.deploy("--yes")
    assert done.returncode == 1
    assert "needs the role Contributor on rg-mail" in done.stderr
    assert "trying again" not in done.stderr


def test_it_says_that_nobody_will_be_told(deployer: Deployer) -> None:
    deployer.group.deployments = {}
    deployer.parameters(**GIVEN | {"alertEmail": ""})
    assert "Nobody will be told when something is wrong" in deployer.deploy("--yes").stdout


def test_what_does_not_compile_is_told_in_the_compilers_words(deployer: Deployer) -> None:
    (deployer.infra / "prod.bicepparam.json").unlink()
    done = deployer.deploy("--yes")
    assert done.returncode == 1
    assert "prod.bicepparam does not compile" in done.stderr
    assert "No such file" in done.stderr
