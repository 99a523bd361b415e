"""`python -m deployment.check`: whether Azure has found exactly the functions that the package has.

A package whose function_app.py does not import has no functions in Azure: it answers 404 to everything, without a word
in the log (https://github.com/Azure/azure-functions-python-worker/issues/1338). So a deployment ends with this check.
Then it asks what comes through to them (deployment/probe.py). Exit status 1, with a sentence that says what is missing.
"""

import argparse
import json
import sys
import time
from collections.abc import Collection
from pathlib import Path

from deployment.archive import MANIFEST
from deployment.azure import App, add_arguments, app_from, get, request
from deployment.errors import DeploymentError
from deployment.probe import probe

__all__ = ["check", "main"]

_LOOKS = 60  # in the time given: every five seconds for five minutes
# What the app's front says when it lets nobody in from here; whether functions answer cannot be seen then.
_SHUT = frozenset({401, 403})


def check(app: App, functions: Collection[str], within: float) -> None:
    """Wait until the app has these functions, no others, and answers. Raises DeploymentError after `within` seconds.

    Azure learns of an app's functions some time after it took the package; until then it may show the last one's.
    """
    deadline = time.monotonic() + within
    while (wrong := _wrong(app, set(functions))) and time.monotonic() < deadline:
        time.sleep(within / _LOOKS)
    if wrong:
        raise DeploymentError(wrong)


def _wrong(app: App, wanted: set[str]) -> str:
    """What is wrong now, or nothing."""
    found = {str(each["name"]).rpartition("/")[2] for each in get(app, "/functions")}
    if not found:
        return (
            f"Azure has found none of the {len(wanted)} functions in {app.name}: function_app.py does not import "
            "there, or its packages are not where they belong. Look for exceptions of the worker in Application "
            "Insights (traces, while the app starts), and deploy the package that worked before."
        )
    if found != wanted:
        missing, unknown = sorted(wanted - found), sorted(found - wanted)
        return (
            f"Azure shows other functions in {app.name} than this package has"
            + (f"; missing: {', '.join(missing)}" if missing else "")
            + (f"; not of this package: {', '.join(unknown)}" if unknown else "")
            + ". Was another package deployed meanwhile, or is dist/manifest.json not the one of the deployed package?"
        )
    return _silent(app)


def _silent(app: App) -> str:
    """What is wrong when the app's list of functions is a good one: the list may be that of the last package."""
    [site] = get(app)
    url = f"{app.scheme}://{site['properties']['defaultHostName']}/api/health"
    status = request(app, url, audience=None).status
    if status == 200 or status in _SHUT:  # noqa: PLR2004 - OK
        return ""
    return f"{app.name} has its functions, but {url} answers {status} where 200 is expected."


def main(arguments: list[str] | None = None) -> int:
    """Check, and say what was found. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deployment.check", description=(__doc__ or "").partition("\n")[0])
    add_arguments(parser)
    parser.add_argument(
        "--manifest",
        type=Path,
        default=Path("dist", MANIFEST),
        metavar="FILE",
        help=f"of the package (dist/{MANIFEST})",
    )
    parser.add_argument("--within", type=float, default=300.0, metavar="SECONDS", help="how long to wait (300)")
    given = parser.parse_args(arguments)
    try:
        functions = json.loads(given.manifest.read_text(encoding="utf-8"))["functions"]
        app = app_from(given)
        check(app, functions, given.within)
        found = list(probe(app, given.within / _LOOKS))
    except FileNotFoundError:
        print(f"deployment.check: {given.manifest} is missing; `make package` writes it.", file=sys.stderr)
        return 1
    except DeploymentError as error:
        print(f"deployment.check: {error}", file=sys.stderr)
        return 1
    print(f"{given.name} runs: all {len(functions)} functions of the package are there.", *found, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
