"""`python -m deployment.publish`: put dist/mailroom.zip into a Flex Consumption app as it is, then check it.

For those who deploy with az instead of azd. `az functionapp deployment source config-zip` cannot do it: for Python on
Flex Consumption it always asks for a remote build, whatever --build-remote says (azure-cli 2.91, appservice/custom.py,
enable_zip_deploy_flex), and so installs requirements.txt anew over the package. This is the same request, One Deploy's
/api/publish, with RemoteBuild=false, as azd makes it. Exit status 1, with a sentence that says what to do.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployment.archive import ARCHIVE, MANIFEST
from deployment.azure import App, add_arguments, app_from, get, request
from deployment.check import check
from deployment.errors import DeploymentError
from deployment.probe import probe

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["main", "publish"]

DIST = Path("dist")
_AGAIN_AFTER = 1.0  # what the service team recommends, says azd
_WITHIN = 900.0
_OK, _ACCEPTED, _NOT_FOUND, _CONFLICT = 200, 202, 404, 409
_SUCCESS = 4
_ENDS = {-1: "was cancelled", 3: "failed", 5: "gave way to another one that is under way", 6: "succeeded only in part"}
"""Kudu's states of a deployment in which it has ended, other than well."""


def publish(app: App, archive: bytes) -> None:
    """Send the package and wait until Azure has taken it. Raises DeploymentError."""
    [site] = get(app)
    sku = site["properties"].get("sku")
    if sku != "FlexConsumption":
        raise DeploymentError(f"{app.name} is on the plan {sku}; this way to deploy is that of FlexConsumption.")
    host = next(each["name"] for each in site["properties"]["hostNameSslStates"] if each["hostType"] == "Repository")
    base = f"{app.scheme}://{host}/api"
    url = f"{base}/publish?RemoteBuild=false&Deployer=mailroom"
    answer = request(app, url, "POST", archive, Content_Type="application/zip", Cache_Control="no-cache")
    if answer.status == _CONFLICT:
        raise DeploymentError(f"Another deployment of {app.name} is under way; try again when it has ended.")
    if answer.status != _ACCEPTED:
        raise DeploymentError(
            f"{app.name} does not take the package: {answer}. Right after the first provisioning the app's identity "
            "may not yet have its role on the deployment container; try again in a few minutes then."
        )
    _wait(app, f"{base}/deployments/{answer.json()}")


def _wait(app: App, url: str) -> None:
    seen: Mapping[str, Any] | None = None
    deadline = time.monotonic() + _WITHIN
    while time.monotonic() < deadline:
        answer = request(app, url)
        if answer.status == _NOT_FOUND and seen:
            return  # whoever deployed has ended its work, and its memory; the check that follows says whether well
        if answer.status in {_OK, _ACCEPTED}:
            seen = answer.json() or {}
            state = seen.get("status")
            if state == _SUCCESS:
                return
            if state in _ENDS:
                raise DeploymentError(f"The deployment {_ENDS[state]}: {seen.get('status_text') or seen}")
        elif answer.status != _NOT_FOUND:
            raise DeploymentError(f"How the deployment goes cannot be seen: {answer}")
        time.sleep(_AGAIN_AFTER)
    raise DeploymentError(f"The deployment has not ended within {_WITHIN:.0f} s; look at it in the portal.")


def main(arguments: list[str] | None = None) -> int:
    """Deploy, check, and say so. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deployment.publish", description="Deploy the package with az.")
    add_arguments(parser)
    parser.add_argument("--dist", type=Path, default=DIST, metavar="DIR", help="where `make package` has put it (dist)")
    parser.add_argument("--within", type=float, default=300.0, metavar="SECONDS", help="how long the check waits (300)")
    given = parser.parse_args(arguments)
    try:
        app = app_from(given)
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
