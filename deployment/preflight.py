"""`python -m deployment.preflight`: what azd runs before it provisions.

azd takes its parameters from its environment (`azd env set`), by way of infra/main.bicepparam. Where that environment
is a new one, or not all of it was set, a deployment would blank what is deployed: that is named and refused, as by
`make deploy`. Exit status 1, with a sentence that says what to do.
"""

import argparse
import os
import sys
from pathlib import Path

from deployment.azure import PUBLIC_CLOUD, Group
from deployment.deployed import groups_of
from deployment.environments import INFRA
from deployment.errors import DeploymentError
from deployment.losses import refuse_losses
from deployment.parameters import compiled
from deployment.providers import register

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Look, and say what is wrong. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m deployment.preflight", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--parameters", type=Path, default=INFRA / "main.bicepparam", metavar="FILE")
    parser.add_argument("--manager", default=PUBLIC_CLOUD, metavar="URL", help=f"Resource Manager ({PUBLIC_CLOUD})")
    given = parser.parse_args(arguments)
    try:
        _look(given)
    except DeploymentError as error:
        print(f"deployment.preflight: {error}", file=sys.stderr)
        return 1
    return 0


def _look(given: argparse.Namespace) -> None:
    subscription = os.environ.get("AZURE_SUBSCRIPTION_ID", "")
    if not subscription:
        raise DeploymentError(
            "In which subscription, and where? `azd up` asks before it comes here. Or say it: azd env set "
            "AZURE_SUBSCRIPTION_ID <id>; and, where Mailroom is there already, azd env set AZURE_RESOURCE_GROUP <name>"
        )
    parameters = compiled(given.parameters)
    name = os.environ.get("AZURE_RESOURCE_GROUP", "")
    group = Group(subscription=subscription, resource_group=name, manager=given.manager)
    environment = str(parameters.values["environmentName"])
    if not name:
        there = groups_of(group, environment)
        if there:
            raise DeploymentError(
                f"There is a Mailroom called {environment} in {', '.join(there)} already. If it is the one that is "
                f"meant: azd env set AZURE_RESOURCE_GROUP {there[0]}; else take another name: azd env new <name>"
            )
    else:
        refuse_losses(group, parameters, os.environ.get("ALLOW_EMPTY", ""))
    register(group, parameters)


if __name__ == "__main__":
    sys.exit(main())
