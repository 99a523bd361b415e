"""Resource providers that a deployment needs and does not name.

Resource Manager registers by itself those whose resources are in a template. Microsoft.App is not one: a network's
subnet is only delegated to it, and without it the deployment of the app fails.
"""

import time
from http import HTTPStatus
from typing import Any, Final

from deployment.azure import Answer, Group, request
from deployment.errors import DeploymentError
from deployment.parameters import Parameters

__all__ = ["register"]

VERSION: Final = "2021-04-01"
FOR_NETWORKS: Final = "Microsoft.App"
WITHIN, PAUSE = 600.0, 5.0  # seconds


def register(group: Group, parameters: Parameters) -> None:
    """Register what the parameters need, and wait until it is. Raises DeploymentError."""
    if parameters.values.get("network") != "private":
        return
    url = f"{group.subscription_url}/providers/{FOR_NETWORKS}"
    command = f"az provider register --namespace {FOR_NETWORKS} --subscription {group.subscription} --wait"
    seen = request(group, f"{url}?api-version={VERSION}")
    if seen.status == HTTPStatus.FORBIDDEN:
        # Rights on the resource group are enough to deploy, and show nothing of the subscription.
        print(f"Whether {FOR_NETWORKS} is registered cannot be seen. A private network needs it: {command}", flush=True)
        return
    if _is_registered(seen):
        return
    print(f"Registering {FOR_NETWORKS} in the subscription, which a private network needs.", flush=True)
    answer = request(group, f"{url}/register?api-version={VERSION}", "POST", b"")
    if answer.status != HTTPStatus.OK:
        raise DeploymentError(
            f"The network is private, which needs {FOR_NETWORKS} registered in the subscription: {answer}. "
            f"Somebody with the role Contributor on the subscription has to run: {command}"
        )
    deadline = time.monotonic() + WITHIN
    while not _is_registered(request(group, f"{url}?api-version={VERSION}")):
        if time.monotonic() > deadline:
            raise DeploymentError(f"{FOR_NETWORKS} is not registered after {WITHIN:.0f} s. Look at it with: {command}")
        time.sleep(PAUSE)


def _is_registered(answer: Answer) -> bool:
    found: Any = answer.json()
    if answer.status != HTTPStatus.OK or not isinstance(found, dict):
        raise DeploymentError(f"Azure does not show {FOR_NETWORKS}: {answer}")
    return bool(found.get("registrationState") == "Registered")
