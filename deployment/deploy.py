"""`python -m deployment.deploy --environment prod`: deploy Mailroom into a resource group, by infra/prod.bicepparam.

The first time it makes that file and stops, so that it can be filled in. From then on, and for each upgrade: it refuses
to lose what is deployed (preflight.py), shows a preview (what-if) that has to be confirmed, deploys the resources and
then the package of dist/, and checks the app. Exit status 1, with a sentence that says what to do.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from deployment import DeploymentError, publish
from deployment.azure import INSTALL, ResourceGroup, add_manager, request
from deployment.deployed import RESOURCES, is_there
from deployment.environments import INFRA, EnvironmentFile, environment, make, path_of
from deployment.parameters import CompiledParameters, compiled
from deployment.preflight import refuse_losses, register_provider


def main(arguments: list[str] | None = None) -> int:
    """Deploy, or say what is missing. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deployment.deploy", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--environment", required=True, metavar="NAME", help="its parameters: infra/NAME.bicepparam")
    parser.add_argument("--group", default="", help="the resource group of a new environment (mailroom-NAME)")
    parser.add_argument("--location", default="", metavar="REGION", help="where a new resource group is made")
    parser.add_argument("--allow-empty", default="", metavar="NAMES", help="what may be lost, separated by commas")
    parser.add_argument("--yes", action="store_true", help="do not ask after the preview")
    parser.add_argument("--ready", action="store_true", help="only check that az and the parameter file are there")
    parser.add_argument("--dist", type=Path, default=publish.DIST, metavar="DIR", help="the package (dist)")
    parser.add_argument("--infra", type=Path, default=INFRA, metavar="DIR", help=argparse.SUPPRESS)
    add_manager(parser)
    given = parser.parse_args(arguments)
    try:
        return _run(given)
    except DeploymentError as error:
        print(f"deployment.deploy: {error}", file=sys.stderr)
        return 1


def _run(given: argparse.Namespace) -> int:
    file = path_of(given.environment, given.infra)
    if shutil.which("az") is None:
        raise DeploymentError(f"az is not installed here. {INSTALL} (azd deploys with `azd up` instead.)")
    if not file.exists():
        make(given.environment, given.group, given.infra)
        raise DeploymentError(_made(file, given.environment))
    place = environment(given.environment, given.infra)
    if given.group not in ("", place.resource_group):
        raise DeploymentError(f"{file} says that the resource group is {place.resource_group}; change it there.")
    return 0 if given.ready else _deploy(place, given)


def _made(file: Path, name: str) -> str:
    return (
        f"{file} is new, and git ignores it. Check the subscription and resource group at its head, fill in "
        "mailSender, mailTo, allowedSenders and alertEmail, and run the same again; for a new resource group, with its "
        f"region: make deploy ENV={name} LOCATION=westeurope"
    )


def _deploy(place: EnvironmentFile, given: argparse.Namespace) -> int:
    # Without patience for roles: none is new before the deployment, and a misspelt group is answered 403, too.
    group = ResourceGroup(subscription=place.subscription, resource_group=place.resource_group, manager=given.manager)
    parameters = compiled(place.file)
    print(f"{given.environment}: resource group {group.resource_group}, subscription {group.subscription}", flush=True)
    _group(group, given.location)
    refuse_losses(group, parameters, given.allow_empty)
    register_provider(group, parameters)
    _notes(parameters)
    _az("deployment", "group", "what-if", *_which(place))
    _confirm(yes=given.yes)
    outputs = _created(given.environment, place)
    url = outputs["MAILROOM_URL"]["value"]
    app = ["--subscription", group.subscription, "--resource-group", group.resource_group, "--manager", group.manager]
    name = outputs["AZURE_FUNCTION_APP_NAME"]["value"]
    status = publish.main([*app, "--name", name, "--dist", str(given.dist)])
    if status == 0:
        print(*(f"{name}={one['value']}" for name, one in sorted(outputs.items())), sep="\n")
        print(f"Mailroom runs at {url}. Next: the mailboxes (docs/sender-mailboxes.md), then a route's secret:")
        print(f"make secret ROUTE=generic ENV={given.environment}")
    return status


def _group(group: ResourceGroup, location: str) -> None:
    """Make the resource group if it is missing and a location was given. Raises DeploymentError."""
    if is_there(group):
        return
    if not location:
        raise DeploymentError(
            f"There is no resource group {group.resource_group} in the subscription {group.subscription}. If the "
            "name is right, say where to make it: LOCATION=westeurope"
        )
    print(f"Making the resource group {group.resource_group} in {location}.", flush=True)
    body = json.dumps({"location": location}).encode()
    answer = request(group, f"{group.group_url}?api-version={RESOURCES}", "PUT", body, Content_Type="application/json")
    if answer.status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
        raise DeploymentError(f"Azure does not make the resource group {group.resource_group}: {answer}")


def _notes(parameters: CompiledParameters) -> None:
    values = parameters.values
    if not values.get("alertEmail") and not values.get("actionGroupIds"):
        print("Nobody will be alerted when something is wrong: alertEmail and actionGroupIds are empty.", flush=True)
    if not values.get("mailSender") or not values.get("mailTo"):
        print("Webhook routes will answer 503: mailSender or mailTo is empty.", flush=True)


def _which(place: EnvironmentFile) -> tuple[str, ...]:
    where = ("--subscription", place.subscription, "--resource-group", place.resource_group)
    return (*where, "--parameters", str(place.file))


def _confirm(*, yes: bool) -> None:
    """Ask. Raises DeploymentError when the answer is not yes, or when there is no terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise DeploymentError("Nothing was changed. The preview is above; to deploy without being asked, say YES=1")
    try:
        said = input("Deploy this? [y/N] ")
    except EOFError:
        said = ""
    if said.strip().casefold() not in {"y", "yes"}:
        raise DeploymentError("Nothing was changed.")


def _created(name: str, place: EnvironmentFile) -> Mapping[str, Any]:
    """Deploy the resources, under a new name, so that earlier deployments stay there to compare with."""
    called = f"mailroom-{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"[-64:].lstrip("-._")
    query = ("--query", "properties.outputs", "--output", "json")
    said = _az("deployment", "group", "create", *_which(place), "--name", called, *query, capture=True)
    outputs: Mapping[str, Any] = json.loads(said)
    return outputs


def _az(*arguments: str, capture: bool = False) -> str:
    """Run az, which reports on standard error. Raises DeploymentError."""
    found = shutil.which("az") or "az"
    done = subprocess.run([found, *arguments], stdout=subprocess.PIPE if capture else None, text=True, check=False)
    if done.returncode:
        raise DeploymentError(f"az {' '.join(arguments[:3])} failed; its own message is above.")
    return done.stdout or ""


if __name__ == "__main__":
    sys.exit(main())
