"""`make deploy`: nothing is lost unasked, a preview comes first, and nobody has to edit a file that git keeps."""

import io
import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from tests.deployment.cloud import GROUP, FakeAzure, recorded
from tests.deployment.machine import Machine
from tests.deployment.test_preflight import GIVEN, SETTINGS
from tests.infra.deployed import ROOT


class Deployer:
    """Somebody at a checkout of an environment `prod`, which was deployed by GIVEN."""

    def __init__(self, machine: Machine, cloud: FakeAzure) -> None:
        self.machine, self.cloud = machine, cloud
        cloud.settings, cloud.deployments = dict(SETTINGS), {"mailroom-prod-1": recorded(GIVEN)}
        machine.parameters(**GIVEN)
        self.file = machine.infra / "prod.bicepparam"
        self.where = ["--dist", str(machine.dist), "--infra", str(machine.infra)]

    def deploy(self, *arguments: str, environment: str = "prod") -> subprocess.CompletedProcess[str]:
        return self.machine.run("deploy", f"--environment={environment}", *self.where, *arguments)

    def refused(self, *arguments: str, environment: str = "prod") -> str:
        """What is said by a deployment that fails before it changes anything."""
        done = self.deploy(*arguments, environment=environment)
        assert done.returncode == 1
        assert not self.changed()
        return done.stderr

    def changed(self) -> bool:
        """Whether anything was deployed, made or registered."""
        writes = [path for path in self.cloud.paths() if path.startswith(("PUT", "POST"))]
        reads = ("/appsettings/list", "/exportTemplate")
        return any(not path.endswith(reads) for path in writes) or any(
            "create" in line for line in self.machine.asked_az()
        )


@pytest.fixture
def deployer(machine: Machine, cloud: FakeAzure) -> Deployer:
    return Deployer(machine, cloud)


def test_the_first_time_it_makes_the_parameter_file_and_stops(deployer: Deployer) -> None:
    """With subscription, group and the object id of whoever is logged in. It deploys nothing, and makes it once."""
    deployer.file.unlink()
    said = deployer.refused()
    assert "prod.bicepparam is new, and git ignores it" in said
    assert "LOCATION=westeurope" in said
    text = deployer.file.read_text()
    assert "// subscription: sub-1\n// resource group: mailroom-prod\n" in text
    assert "param environmentName = 'prod'\n" in text
    assert "secretsOfficerPrincipalIds = ['me-1']" in text
    assert "<" not in text.replace("<application (client) id>", "").replace("<object id of its identity>", "")
    deployer.file.write_text(f"{text}// mine\n")
    deployer.deploy("--ready")
    assert deployer.file.read_text() == f"{text}// mine\n"


def test_in_ci_the_parameter_file_is_made_without_a_person(deployer: Deployer) -> None:
    deployer.machine.az(person=False)
    deployer.refused("--group", "rg-2", environment="stage")
    text = (deployer.machine.infra / "stage.bicepparam").read_text()
    assert "// resource group: rg-2\n" in text
    assert "secretsOfficerPrincipalIds = []" in text


@pytest.mark.parametrize("name", ["", "main", "example", "../prod", "a/b", "-x", "x" * 65, "prod;ls", "prod\n"])
def test_a_name_that_cannot_be_one_is_refused_before_anything_is_written(deployer: Deployer, name: str) -> None:
    before = sorted(deployer.machine.infra.iterdir())
    assert "make deploy ENV=prod" in deployer.refused(environment=name)
    assert sorted(deployer.machine.infra.iterdir()) == before
    assert not deployer.machine.asked_az()


def test_what_is_missing_on_the_machine_is_said_first(deployer: Deployer) -> None:
    assert "says that the resource group is rg-mail; change it there" in deployer.refused("--group", "rg-other")
    deployer.file.write_text("using 'main.bicep'\n// subscription: sub-1\n")
    assert "there is no line `// resource group: …` that says where prod is" in deployer.refused()
    (deployer.machine.path / "az").unlink()
    said = deployer.refused("--ready")
    assert "az is not installed here" in said
    assert "https://learn.microsoft.com/cli/azure/install-azure-cli" in said


def test_a_deployment_previews_then_deploys_then_publishes_and_checks(deployer: Deployer) -> None:
    done = deployer.deploy("--yes")
    assert done.returncode == 0, done.stderr
    _, preview, create = (line for line in deployer.machine.asked_az() if not line.startswith("account"))
    where = f"--subscription sub-1 --resource-group rg-mail --parameters {deployer.file}"
    assert preview == f"deployment group what-if {where}"
    assert create.startswith(f"deployment group create {where} --name mailroom-prod-20")
    assert deployer.cloud.paths().count("POST /api/publish") == 1
    for said in (
        "What would change",
        "all 3 functions",
        "URL=https://mail-1.example",
        "make secret ROUTE=generic ENV=prod",
    ):
        assert said in done.stdout


@pytest.mark.parametrize(("typed", "deployed"), [("yes\n", True), ("\n", False), ("n\n", False), (None, False)])
def test_at_a_terminal_it_asks_and_elsewhere_it_wants_yes(
    deployer: Deployer, monkeypatch: pytest.MonkeyPatch, typed: str | None, *, deployed: bool
) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal, os.fdopen(ours, "w") as keyboard:
        if typed is not None:
            keyboard.write(typed)
            keyboard.flush()
        monkeypatch.setattr(sys, "stdin", terminal if typed is not None else io.StringIO())
        done = deployer.deploy()
    assert "What would change" in done.stdout
    assert ("Deploy this? [y/N]" in done.stdout) is (typed is not None)
    assert ("YES=1" in done.stderr) is (typed is None)
    assert (done.returncode == 0) is deployed, done.stderr
    assert deployer.changed() is deployed


def test_a_deployment_that_fails_publishes_nothing(deployer: Deployer) -> None:
    deployer.machine.az(deploys=False)
    done = deployer.deploy("--yes")
    assert done.returncode == 1
    assert "RoleAssignmentUpdateNotPermitted" in done.stderr
    assert "POST /api/publish" not in deployer.cloud.paths()


def test_a_loss_is_refused_before_anything_is_changed_unless_it_is_allowed_by_name(deployer: Deployer) -> None:
    deployer.cloud.settings = SETTINGS | {"MAIL_SECRET_STRIPE": "whsec_hush"}
    deployer.cloud.deployments["mailroom-prod-2"] = recorded(GIVEN | {"network": "private"})
    for allowed in ("", "network", "MAIL_SECRET_STRIPE,MAIL_TO"):
        said = deployer.refused("--yes", "--allow-empty", allowed)
        for name in {"network", "MAIL_SECRET_STRIPE"} - set(allowed.split(",")):
            assert f"\n  {name}: " in said
        assert "hush" not in said
    assert "say ALLOW_EMPTY=MAIL_SECRET_STRIPE,network\n" in deployer.refused("--yes")
    assert deployer.deploy("--yes", "--allow-empty", "MAIL_SECRET_STRIPE,network").returncode == 0


def test_the_same_again_or_another_value_is_no_loss(deployer: Deployer) -> None:
    more: dict[str, Any] = {
        "maximumInstanceCount": 100,
        "callers": {"1": {"senders": ["a@contoso.com"]}},
        "tags": {"team": "x"},
    }
    deployer.cloud.settings = SETTINGS | {"MAIL_CALLERS": "{}", "MAIL_MODE": "", "AZURE_CLIENT_ID": "1"}
    deployer.cloud.deployments["mailroom-prod-2"] = recorded(GIVEN | more)
    deployer.machine.parameters(**GIVEN | more | {"mailTo": "sre@contoso.com", "maximumInstanceCount": 50})
    done = deployer.deploy("--yes")
    assert done.returncode == 0, done.stderr


def test_only_the_environments_own_last_deployment_counts(deployer: Deployer) -> None:
    """Not a module's, which has no environment, nor another environment's, nor an earlier one."""
    deployer.cloud.deployments = {
        "prod-1": recorded(GIVEN | {"network": "private"}),
        "prod-2": recorded(GIVEN),
        "test-1": recorded({"network": "private"}, "test"),
        "alerts-x": {"email": "sre@contoso.com"},
    }
    assert deployer.deploy("--yes").returncode == 0


def test_a_default_that_a_new_version_changes_is_no_loss(deployer: Deployer) -> None:
    old = json.loads(json.dumps(deployer.cloud.template))
    old["parameters"]["maximumInstanceCount"]["defaultValue"] = 20
    deployer.cloud.template = old
    deployer.cloud.deployments = {"prod-1": recorded(GIVEN | {"maximumInstanceCount": 20})}
    assert deployer.deploy("--yes").returncode == 0


def test_when_the_app_is_gone_the_last_deployment_says_what_was_set(deployer: Deployer) -> None:
    deployer.cloud.settings = None
    deployer.cloud.deployments["mailroom-prod-2"] = recorded(GIVEN | {"allowedSenders": "a@contoso.com"})
    assert "\n  allowedSenders: " in deployer.refused("--yes")


def test_a_new_group_is_made_only_if_somebody_says_where(deployer: Deployer) -> None:
    """A misspelt name must not become a second Mailroom."""
    deployer.cloud.there = False
    deployer.cloud.settings, deployer.cloud.deployments = None, {}
    assert "There is no resource group rg-mail in the subscription sub-1" in deployer.refused("--yes")
    assert deployer.deploy("--yes", "--location", "westeurope").returncode == 0
    assert [json.loads(body) for body in deployer.cloud.bodies(GROUP) if body] == [{"location": "westeurope"}]


def test_before_a_deployment_no_role_is_waited_for(deployer: Deployer) -> None:
    """None is new then; and a misspelt group is answered as one of somebody else's."""
    deployer.cloud.refusals = {GROUP: 1}
    said = deployer.refused("--yes")
    assert "needs the role Contributor on rg-mail" in said
    assert "trying again" not in said


def test_it_says_that_nobody_will_be_alerted(deployer: Deployer) -> None:
    deployer.cloud.deployments = {}
    deployer.machine.parameters(**GIVEN | {"alertEmail": ""})
    assert "Nobody will be alerted when something is wrong" in deployer.deploy("--yes").stdout


def test_a_private_network_registers_its_provider(deployer: Deployer) -> None:
    deployer.cloud.registered, deployer.cloud.may_register = ["NotRegistered"], False
    deployer.machine.parameters(**GIVEN | {"network": "private"})
    done = deployer.deploy("--yes")
    assert (done.returncode, "az provider register" in done.stderr) == (1, True)
    assert not any("create" in line for line in deployer.machine.asked_az())


def test_what_does_not_compile_is_told_in_the_compilers_words(deployer: Deployer) -> None:
    deployer.file.with_name("prod.bicepparam.json").unlink()
    said = deployer.refused("--yes")
    assert "prod.bicepparam does not compile" in said
    assert "No such file" in said


def test_deploy_and_preflight_start_with_pythons_own_library() -> None:
    """So what is missing is said at once, without minutes of set-up; and azd's hook runs before the set-up."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import deployment.deploy, deployment.preflight"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=60)
