"""`python -m deployment.deploy --environment prod`: Mailroom in a resource group, as infra/prod.bicepparam has it.

The first time it makes that file and stops, so that it can be filled in. Then, and at each upgrade: what would be lost
of what is deployed is named and refused; a preview (what-if) is shown and has to be confirmed; resources, then the
package of dist/ are deployed and checked. Exit status 1, with a sentence that says what to do.
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

from deployment import publish
from deployment.azure import INSTALL, PUBLIC_CLOUD, Group, request
from deployment.deployed import RESOURCES, is_there
from deployment.environments import INFRA, Environment, environment, make, path_of
from deployment.errors import DeploymentError
from deployment.losses import refuse_losses
from deployment.parameters import Parameters, compiled
from deployment.providers import register

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Deploy, or say what is missing. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deployment.deploy", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--environment", required=True, metavar="NAME", help="its parameters: infra/NAME.bicepparam")
    parser.add_argument("--group", default="", help="the resource group of a new environment (mailroom-NAME)")
    parser.add_argument("--location", default="", metavar="REGION", help="where a new resource group is made")
    parser.add_argument("--allow-empty", default="", metavar="NAMES", help="what may be lost, separated by commas")
    parser.add_argument("--yes", action="store_true", help="do not ask after the preview")
    parser.add_argument("--ready", action="store_true", help="only see that az and the parameter file are there")
    parser.add_argument("--dist", type=Path, default=publish.DIST, metavar="DIR", help="the package (dist)")
    parser.add_argument("--infra", type=Path, default=INFRA, metavar="DIR", help=argparse.SUPPRESS)
    parser.add_argument("--manager", default=PUBLIC_CLOUD, metavar="URL", help=f"Resource Manager ({PUBLIC_CLOUD})")
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
        f"{file} is new, and git ignores it. Look at subscription and resource group at its head, fill in mailSender, "
        "mailTo, allowedSenders and alertEmail, and run the same again; for a new resource group, with its region: "
        f"make deploy ENV={name} LOCATION=westeurope"
    )


def _deploy(place: Environment, given: argparse.Namespace) -> int:
    # Before anything is deployed nothing is new, so nothing is waited for: a misspelt group is answered 403, too.
    group = Group(subscription=place.subscription, resource_group=place.resource_group, manager=given.manager)
    parameters = compiled(place.file)
    print(f"{given.environment}: resource group {group.resource_group}, subscription {group.subscription}", flush=True)
    _group(group, given.location)
    refuse_losses(group, parameters, given.allow_empty)
    register(group, parameters)
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
        print(f"Mailroom answers at {url}. Next: the mailboxes (docs/sender-mailboxes.md), then a route's secret:")
        print(f"make secret ROUTE=generic ENV={given.environment}")
    return status


def _group(group: Group, location: str) -> None:
    """See that the resource group is there, or make it where somebody has said where."""
    if is_there(group):
        return
    if not location:
        raise DeploymentError(
            f"There is no resource group {group.resource_group} in the subscription {group.subscription}. Is this the "
            "one that is meant? Then say where to make it: LOCATION=westeurope"
        )
    print(f"Making the resource group {group.resource_group} in {location}.", flush=True)
    body = json.dumps({"location": location}).encode()
    answer = request(group, f"{group.group_url}?api-version={RESOURCES}", "PUT", body, Content_Type="application/json")
    if answer.status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
        raise DeploymentError(f"Azure does not make the resource group {group.resource_group}: {answer}")


def _notes(parameters: Parameters) -> None:
    values = parameters.values
    if not values.get("alertEmail") and not values.get("actionGroupIds"):
        print("Nobody will be told when something is wrong: alertEmail and actionGroupIds are empty.", flush=True)
    if not values.get("mailSender") or not values.get("mailTo"):
        print("Routes will answer 503: mailSender or mailTo is empty.", flush=True)


def _which(place: Environment) -> tuple[str, ...]:
    where = ("--subscription", place.subscription, "--resource-group", place.resource_group)
    return (*where, "--parameters", str(place.file))


def _confirm(*, yes: bool) -> None:
    """Ask. Raises DeploymentError when the answer is not yes, or when nobody is there to give one."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise DeploymentError(
            "Nothing was changed. Above is what would be; to have it done without a question, say YES=1"
        )
    try:
        said = input("Deploy this? [y/N] ")
    except EOFError:
        said = ""
    if said.strip().casefold() not in {"y", "yes"}:
        raise DeploymentError("Nothing was changed.")


def _created(name: str, place: Environment) -> Mapping[str, Any]:
    """Deploy the resources, under a name that leaves the deployments before it to be compared with."""
    called = f"mailroom-{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"[-64:].lstrip("-._")
    query = ("--query", "properties.outputs", "--output", "json")
    said = _az("deployment", "group", "create", *_which(place), "--name", called, *query, capture=True)
    outputs: Mapping[str, Any] = json.loads(said)
    return outputs


def _az(*arguments: str, capture: bool = False) -> str:
    """Run az, which says on standard error what it does. Raises DeploymentError."""
    found = shutil.which("az") or "az"
    done = subprocess.run([found, *arguments], stdout=subprocess.PIPE if capture else None, text=True, check=False)
    if done.returncode:
        raise DeploymentError(f"az {' '.join(arguments[:3])} has failed; its own words are above.")
    return done.stdout or ""


if __name__ == "__main__":
    sys.exit(main())
