"""`python -m deployment.publish`: put dist/mailroom.zip into a Flex Consumption app as it is, then check it.

For those who deploy with az instead of azd. `az functionapp deployment source config-zip` cannot do it: for Python on
Flex Consumption it always asks for a remote build, whatever --build-remote says (azure-cli 2.91, appservice/custom.py,
enable_zip_deploy_flex), and so installs requirements.txt anew over the package. This is the same request, One Deploy's
/api/publish, with RemoteBuild=false, as azd sends it. Exit status 1, with a sentence that says what to do.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from deployment import DeploymentError
from deployment.archive import ARCHIVE, MANIFEST
from deployment.azure import (
    FunctionApp,
    RoleMissing,
    add_arguments,
    app_from,
    functions_of,
    request,
    site_of,
    until_allowed,
)
from deployment.check import check, probe

DIST: Final = Path("dist")
_POLL: Final = 1.0  # seconds; what the service team recommends, according to azd
_WITHIN: Final = 900.0
_SUCCESS: Final = 4
# Kudu's other states of a deployment that has ended.
_ENDS: Final = {-1: "was cancelled", 3: "failed", 5: "gave way to another deployment", 6: "succeeded only in part"}


def publish(app: FunctionApp, archive: bytes) -> None:
    """Send the package and wait until Azure has taken it. Raises DeploymentError."""
    site = site_of(app)
    sku = site.get("sku")
    if sku != "FlexConsumption":
        raise DeploymentError(f"{app.name} is on the plan {sku}; this way to deploy works on FlexConsumption only.")
    host = next(each["name"] for each in site["hostNameSslStates"] if each["hostType"] == "Repository")
    until_allowed(lambda: _deploy(app, f"{app.scheme}://{host}/api", archive, _writer(site)), app.patience)


def _deploy(app: FunctionApp, base: str, archive: bytes, writer: str) -> None:
    """Try once. Raises RoleMissing, and DeploymentError for everything else that goes wrong."""
    url = f"{base}/publish?RemoteBuild=false&Deployer=mailroom"
    answer = request(app, url, "POST", archive, Content_Type="application/zip", Cache_Control="no-cache")
    if answer.status == HTTPStatus.CONFLICT:
        raise DeploymentError(f"Another deployment of {app.name} is under way; try again when it has ended.")
    if answer.status == HTTPStatus.FORBIDDEN:
        raise RoleMissing(
            f"{app.name} does not take the package: {answer}. Whoever deploys needs the role Website Contributor or "
            "Contributor on it, and its deployment endpoint must be reachable from here."
        )
    if answer.status != HTTPStatus.ACCEPTED:
        _raise_storage_refused(str(answer), writer)
        raise DeploymentError(f"{app.name} does not take the package: {answer}")
    _wait(app, f"{base}/deployments/{answer.json()}", writer)


def _writer(site: Mapping[str, Any]) -> str:
    """A sentence about who writes the package to storage, and which role that needs."""
    storage = site.get("functionAppConfig", {}).get("deployment", {}).get("storage", {})
    identity = storage.get("authentication", {}).get("userAssignedIdentityResourceId", "")
    who = f"the identity {identity.rpartition('/')[2]}" if identity else "the app's identity"
    return f"{who} needs the role Storage Blob Data Owner or Contributor on {storage.get('value', 'its container')}"


def _raise_storage_refused(said: str, writer: str) -> None:
    """Raise RoleMissing when storage has refused the app, as it does until the app's role works.

    https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes: storage says "using this permission"
    when a role is missing, and does not when its firewall refuses; then waiting does not help.
    """
    text = said.casefold()
    if "storage" not in text and "blob" not in text and "not authorized" not in text:
        return
    if "authorizationpermissionmismatch" in text or "using this permission" in text:
        raise RoleMissing(f"Storage does not take the package: {said}. So {writer}.")
    if "authorizationfailure" in text or "not authorized to perform this operation" in text:
        raise DeploymentError(f"Storage's firewall blocks the deployment: {said}. Is its network configured correctly?")
    if re.search(r"\b403\b|forbidden", text):
        raise RoleMissing(f"Storage does not take the package: {said}. So {writer}.")


def _wait(app: FunctionApp, url: str, writer: str) -> None:
    seen: Mapping[str, Any] | None = None
    deadline = time.monotonic() + _WITHIN
    while time.monotonic() < deadline:
        answer = request(app, url)
        if answer.status == HTTPStatus.NOT_FOUND and seen:
            return  # the instance that deployed has ended, and its record with it; the check that follows decides
        if answer.status in {HTTPStatus.OK, HTTPStatus.ACCEPTED}:
            seen = answer.json() or {}
            state = seen.get("status")
            if state == _SUCCESS:
                return
            if state in _ENDS:
                said = f"The deployment {_ENDS[state]}: {seen.get('status_text') or seen}"
                _raise_storage_refused(said, writer)
                raise DeploymentError(said)
        elif answer.status != HTTPStatus.NOT_FOUND:
            raise DeploymentError(f"The state of the deployment cannot be read: {answer}")
        time.sleep(_POLL)
    raise DeploymentError(f"The deployment has not ended within {_WITHIN:.0f} s; look at it in the portal.")


def main(arguments: list[str] | None = None) -> int:
    """Deploy, check, and say so. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deployment.publish", description="Deploy the package with az.")
    add_arguments(parser)
    parser.add_argument("--dist", type=Path, default=DIST, metavar="DIR", help="where `make package` has put it (dist)")
    parser.add_argument("--within", type=float, default=300.0, metavar="SECONDS", help="how long the check waits (300)")
    parser.add_argument("--first", action="store_true", help="do nothing when the app has functions already")
    given = parser.parse_args(arguments)
    try:
        app = app_from(given)
        if given.first and functions_of(app):
            return 0
        functions = json.loads((given.dist / MANIFEST).read_text(encoding="utf-8"))["functions"]
        publish(app, (given.dist / ARCHIVE).read_bytes())
        check(app, functions, given.within)
        found = list(probe(app, _POLL))
    except FileNotFoundError as error:
        print(f"deployment.publish: {error.filename} is missing; `make package` writes it.", file=sys.stderr)
        return 1
    except DeploymentError as error:
        print(f"deployment.publish: {error}", file=sys.stderr)
        return 1
    print(f"{app.name} runs: all {len(functions)} functions of {given.dist / ARCHIVE} are there.", *found, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
