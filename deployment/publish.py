"""`python -m deployment.publish`: put dist/mailroom.zip into a Flex Consumption app as it is, then check it.

For those who deploy with az instead of azd. `az functionapp deployment source config-zip` cannot do it: for Python on
Flex Consumption it always asks for a remote build, whatever --build-remote says (azure-cli 2.91, appservice/custom.py,
enable_zip_deploy_flex), and so installs requirements.txt anew over the package. This is the same request, One Deploy's
/api/publish, with RemoteBuild=false, as azd makes it. Exit status 1, with a sentence that says what to do.
"""

import argparse
import json
import re
import sys
import time
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployment.archive import ARCHIVE, MANIFEST
from deployment.azure import App, add_arguments, app_from, get, request
from deployment.check import check
from deployment.errors import DeploymentError
from deployment.patience import Refused, until_allowed
from deployment.probe import probe

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["main", "publish"]

DIST = Path("dist")
_AGAIN_AFTER = 1.0  # what the service team recommends, says azd
_WITHIN = 900.0
_SUCCESS = 4
_ENDS = {-1: "was cancelled", 3: "failed", 5: "gave way to another one that is under way", 6: "succeeded only in part"}
"""Kudu's states of a deployment in which it has ended, other than well."""


def publish(app: App, archive: bytes) -> None:
    """Send the package and wait until Azure has taken it. Raises DeploymentError."""
    [site] = get(app)
    properties = site["properties"]
    sku = properties.get("sku")
    if sku != "FlexConsumption":
        raise DeploymentError(f"{app.name} is on the plan {sku}; this way to deploy is that of FlexConsumption.")
    host = next(each["name"] for each in properties["hostNameSslStates"] if each["hostType"] == "Repository")
    until_allowed(lambda: _deploy(app, f"{app.scheme}://{host}/api", archive, _writer(properties)), app.patience)


def _deploy(app: App, base: str, archive: bytes, writer: str) -> None:
    """Once. Raises Refused when a role is missing, and DeploymentError for everything else."""
    url = f"{base}/publish?RemoteBuild=false&Deployer=mailroom"
    answer = request(app, url, "POST", archive, Content_Type="application/zip", Cache_Control="no-cache")
    if answer.status == HTTPStatus.CONFLICT:
        raise DeploymentError(f"Another deployment of {app.name} is under way; try again when it has ended.")
    if answer.status == HTTPStatus.FORBIDDEN:
        raise Refused(
            f"{app.name} does not take the package: {answer}. Whoever deploys needs the role Website Contributor or "
            "Contributor on it, and its deployment endpoint must be open from here."
        )
    if answer.status != HTTPStatus.ACCEPTED:
        _raise_refused(str(answer), writer)
        raise DeploymentError(f"{app.name} does not take the package: {answer}")
    _wait(app, f"{base}/deployments/{answer.json()}", writer)


def _writer(properties: "Mapping[str, Any]") -> str:
    """Who puts the package into storage, by which role, for whoever has to look at it."""
    storage = properties.get("functionAppConfig", {}).get("deployment", {}).get("storage", {})
    identity = storage.get("authentication", {}).get("userAssignedIdentityResourceId", "")
    who = f"the identity {identity.rpartition('/')[2]}" if identity else "the app's identity"
    return f"{who} needs the role Storage Blob Data Owner or Contributor on {storage.get('value', 'its container')}"


def _raise_refused(said: str, writer: str) -> None:
    """Raise Refused where storage has refused the app, as it does until the app's role has reached it.

    https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes: storage says "using this permission"
    when a role is missing, and does not when its firewall has refused, where waiting helps nobody.
    """
    text = said.casefold()
    if "storage" not in text and "blob" not in text and "not authorized" not in text:
        return
    if "authorizationpermissionmismatch" in text or "using this permission" in text:
        raise Refused(f"Storage does not take the package: {said}. So {writer}.")
    if "authorizationfailure" in text or "not authorized to perform this operation" in text:
        raise DeploymentError(f"Storage's firewall does not let the deployment in: {said}. So is its network right?")
    if re.search(r"\b403\b|forbidden", text):
        raise Refused(f"Storage does not take the package: {said}. So {writer}.")


def _wait(app: App, url: str, writer: str) -> None:
    seen: Mapping[str, Any] | None = None
    deadline = time.monotonic() + _WITHIN
    while time.monotonic() < deadline:
        answer = request(app, url)
        if answer.status == HTTPStatus.NOT_FOUND and seen:
            return  # whoever deployed has ended its work, and its memory; the check that follows says whether well
        if answer.status in {HTTPStatus.OK, HTTPStatus.ACCEPTED}:
            seen = answer.json() or {}
            state = seen.get("status")
            if state == _SUCCESS:
                return
            if state in _ENDS:
                said = f"The deployment {_ENDS[state]}: {seen.get('status_text') or seen}"
                _raise_refused(said, writer)
                raise DeploymentError(said)
        elif answer.status != HTTPStatus.NOT_FOUND:
            raise DeploymentError(f"How the deployment goes cannot be seen: {answer}")
        time.sleep(_AGAIN_AFTER)
    raise DeploymentError(f"The deployment has not ended within {_WITHIN:.0f} s; look at it in the portal.")


def main(arguments: list[str] | None = None) -> int:
    """Deploy, check, and say so. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deployment.publish", description="Deploy the package with az.")
    add_arguments(parser)
    parser.add_argument("--dist", type=Path, default=DIST, metavar="DIR", help="where `make package` has put it (dist)")
    parser.add_argument("--within", type=float, default=300.0, metavar="SECONDS", help="how long the check waits (300)")
    parser.add_argument("--first", action="store_true", help="do nothing where the app has functions already")
    given = parser.parse_args(arguments)
    try:
        app = app_from(given)
        if given.first and any(get(app, "/functions")):
            return 0
        manifest = json.loads((given.dist / MANIFEST).read_text(encoding="utf-8"))
        archive = (given.dist / ARCHIVE).read_bytes()
        publish(app, archive)
        check(app, manifest["functions"], given.within)
        found = list(probe(app, _AGAIN_AFTER))
    except FileNotFoundError as error:
        print(f"deployment.publish: {error.filename} is missing; `make package` writes it.", file=sys.stderr)
        return 1
    except DeploymentError as error:
        print(f"deployment.publish: {error}", file=sys.stderr)
        return 1
    print(
        f"{app.name} runs: all {len(manifest['functions'])} functions of {given.dist / ARCHIVE} are there.",
        *found,
        sep="\n",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
