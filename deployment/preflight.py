"""`python -m deployment.preflight`: what azd runs before it provisions. `make deploy` checks the same.

1. A deployment refuses to lose what is deployed now. Settings are compared with those that the app has, whoever set
   them, since a deployment replaces them all. Parameters that become no setting (the alert address, the network, sizes)
   are compared with those of the last deployment: one that was given then and is now empty or the template's default
   was probably forgotten. A change to another value is no loss; the preview of a deployment shows it.
2. A private network needs the resource provider Microsoft.App, which is not registered automatically: Resource Manager
   registers the providers of the template's resources, and a subnet is only delegated to this one.

azd takes its parameters from its environment (`azd env set`), by way of infra/main.bicepparam; a new environment, or
one where not everything was set, would overwrite what is deployed with empty values. Exit status 1, with a sentence
that says what to do.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

from deployment import DeploymentError
from deployment.azure import HttpAnswer, ResourceGroup, add_manager, request
from deployment.deployed import (
    RESOURCES,
    LastDeployment,
    app_in,
    groups_of,
    is_there,
    last_deployment,
    settings_of,
)
from deployment.environments import INFRA
from deployment.parameters import CompiledParameters, compiled, defaults_of, is_empty

ROUTE_SECRET: Final = "MAIL_SECRET_"  # noqa: S105 - the beginning of names
ONE_TIME: Final = frozenset({"vaultCreateMode"})  # parameters that are meant to go back to their defaults
PROVIDER: Final = "Microsoft.App"
REGISTERED_WITHIN, PAUSE = 600.0, 5.0  # seconds


def refuse_losses(group: ResourceGroup, parameters: CompiledParameters, allowed: str) -> None:
    """Raise DeploymentError that names what would be lost, except for the names, separated by commas, in `allowed`."""
    if not is_there(group):
        return
    environment = str(parameters.values["environmentName"])
    app = app_in(group, environment)
    found = losses(settings_of(app) if app else None, last_deployment(group, environment), parameters)
    lost = {name: why for name, why in found.items() if name not in allowed.replace(",", " ").split()}
    if lost:
        lines = "\n".join(f"  {name}: {why}" for name, why in lost.items())
        raise DeploymentError(
            f"The deployment in {group.resource_group} would lose:\n{lines}\n"
            f"Nothing was changed. Add them to the parameters; or, to lose them, say ALLOW_EMPTY={','.join(lost)}"
        )


def losses(
    settings: Mapping[str, str] | None, last: LastDeployment | None, parameters: CompiledParameters
) -> dict[str, str]:
    """What would be lost: names, and why. settings: those of the app, if there is one."""
    found: dict[str, str] = {}
    coming = parameters.settings()
    for name, value in sorted((settings or {}).items()):
        if value.strip() and coming.get(name, True):
            found[name] = _why(name, known=name in coming)
    if last is None:
        return found
    compared = last.values.keys() - ONE_TIME - (parameters.in_settings() if settings is not None else set())
    now, defaults, then = parameters.values, defaults_of(parameters.template), defaults_of(last.template)
    for name in sorted(compared & parameters.template["parameters"].keys()):
        before = last.values[name]
        if is_empty(before) or before == then.get(name) or before == now.get(name):
            continue
        if name not in now and name not in then:
            continue  # Azure computes it
        if is_empty(now.get(name)):
            found[name] = "a parameter of the last deployment that is empty now"
        elif now[name] == defaults.get(name):
            found[name] = f"{_shown(before)} in the last deployment, and {_shown(now[name])}, the default, now"
    return found


def _why(name: str, *, known: bool) -> str:
    if name.startswith(ROUTE_SECRET):
        return "a secret in a setting; put it into the vault (make secret), then remove it from the app"
    return "a setting that would be empty" if known else "a setting of the app that the template does not have"


def _shown(value: object) -> str:
    text = str(value)
    return text if isinstance(value, str | int | bool) and len(text) <= 40 else "another value"  # noqa: PLR2004 - a line


def register_provider(group: ResourceGroup, parameters: CompiledParameters) -> None:
    """Register the provider that a private network needs, and wait until it is registered. Raises DeploymentError."""
    if parameters.values.get("network") != "private":
        return
    url = f"{group.subscription_url}/providers/{PROVIDER}"
    command = f"az provider register --namespace {PROVIDER} --subscription {group.subscription} --wait"
    seen = request(group, f"{url}?api-version={RESOURCES}")
    if seen.status == HTTPStatus.FORBIDDEN:
        # Rights on the resource group are enough to deploy, and show nothing of the subscription.
        print(f"Cannot see whether {PROVIDER} is registered. A private network needs it: {command}", flush=True)
        return
    if _is_registered(seen):
        return
    print(f"Registering {PROVIDER} in the subscription, which a private network needs.", flush=True)
    answer = request(group, f"{url}/register?api-version={RESOURCES}", "POST", b"")
    if answer.status != HTTPStatus.OK:
        raise DeploymentError(
            f"The network is private, which needs {PROVIDER} registered in the subscription: {answer}. "
            f"Somebody with the role Contributor on the subscription has to run: {command}"
        )
    deadline = time.monotonic() + REGISTERED_WITHIN
    while not _is_registered(request(group, f"{url}?api-version={RESOURCES}")):
        if time.monotonic() > deadline:
            raise DeploymentError(f"{PROVIDER} is not registered after {REGISTERED_WITHIN:.0f} s. Try: {command}")
        time.sleep(PAUSE)


def _is_registered(answer: HttpAnswer) -> bool:
    found = answer.json()
    if answer.status != HTTPStatus.OK or not isinstance(found, dict):
        raise DeploymentError(f"Azure does not show {PROVIDER}: {answer}")
    return found.get("registrationState") == "Registered"


def main(arguments: list[str] | None = None) -> int:
    """Check, and say what is wrong. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m deployment.preflight", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--parameters", type=Path, default=INFRA / "main.bicepparam", metavar="FILE")
    add_manager(parser)
    given = parser.parse_args(arguments)
    try:
        _check(given)
    except DeploymentError as error:
        print(f"deployment.preflight: {error}", file=sys.stderr)
        return 1
    return 0


def _check(given: argparse.Namespace) -> None:
    subscription = os.environ.get("AZURE_SUBSCRIPTION_ID", "")
    if not subscription:
        raise DeploymentError(
            "In which subscription, and where? `azd up` asks for them first. Or set them: azd env set "
            "AZURE_SUBSCRIPTION_ID <id>; and, if Mailroom is deployed already, azd env set AZURE_RESOURCE_GROUP <name>"
        )
    parameters = compiled(given.parameters)
    name = os.environ.get("AZURE_RESOURCE_GROUP", "")
    group = ResourceGroup(subscription=subscription, resource_group=name, manager=given.manager)
    environment = str(parameters.values["environmentName"])
    if name:
        refuse_losses(group, parameters, os.environ.get("ALLOW_EMPTY", ""))
    elif there := groups_of(group, environment):
        raise DeploymentError(
            f"There is a Mailroom called {environment} in {', '.join(there)} already. If you mean that one: "
            f"azd env set AZURE_RESOURCE_GROUP {there[0]}; otherwise take another name: azd env new <name>"
        )
    register_provider(group, parameters)


if __name__ == "__main__":
    sys.exit(main())
