"""`python -m deployment.check`: whether Azure has found exactly the functions of the package, and they can be reached.

A package whose function_app.py does not import has no functions in Azure: every request is answered 404, and nothing is
logged (https://github.com/Azure/azure-functions-python-worker/issues/1338). So each deployment ends with this check.

Then it probes the platform: a body of 5 MB, and two requests at once. The package pins Azure's Python library, not the
process around it, which takes requests from the functions host: that one belongs to the platform. Before the end of
2025 it lost requests above 4 MB, and wrote log lines under another request's name. The probe sends no mail, changes
nothing and needs no secret: its requests are refused. Exit status 1, with a sentence that says what is wrong.
"""

import argparse
import json
import secrets
import sys
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Final

from deployment import DeploymentError
from deployment.archive import MANIFEST
from deployment.azure import FunctionApp, HttpAnswer, add_arguments, app_from, functions_of, request, site_of

_CHECKS: Final = 60  # in the time given: every five seconds for five minutes
# The app's front answers these when it accepts no request from here; then the functions cannot be seen.
_SHUT: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_LARGE: Final = 5 * 1024 * 1024  # bytes: more than 4 MB, and more than any webhook may have
_TRIES: Final = 3  # an instance may be starting
_OLD: Final = (
    "The platform's Python worker may be one from before the end of 2025: restart the app (az functionapp restart), "
    "and if that does not help, ask Azure's support for a current one."
)


def check(app: FunctionApp, functions: Collection[str], within: float) -> None:
    """Wait until the app has exactly these functions and answers. Raises DeploymentError after `within` seconds.

    Azure finds an app's functions some time after it took the package; until then it may show those of the last one.
    """
    deadline = time.monotonic() + within
    while (wrong := _wrong(app, set(functions))) and time.monotonic() < deadline:
        time.sleep(within / _CHECKS)
    if wrong:
        raise DeploymentError(wrong)


def _wrong(app: FunctionApp, wanted: set[str]) -> str:
    """What is wrong now, or ""."""
    found = functions_of(app)
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
    # The list may still be that of the last package.
    url = f"{_base(app)}/health"
    status = request(app, url, audience=None).status
    if status == HTTPStatus.OK or status in _SHUT:
        return ""
    return f"{app.name} has its functions, but {url} answers {status} where 200 is expected."


def _base(app: FunctionApp) -> str:
    return f"{app.scheme}://{site_of(app)['defaultHostName']}/api"


def probe(app: FunctionApp, pause: float) -> Iterator[str]:
    """Probe the platform; each result is a sentence. pause: seconds before a failed probe is repeated.

    Raises DeploymentError when requests do not reach the functions as they were sent.
    """
    url = _base(app)
    if request(app, f"{url}/health", audience=None).status in _SHUT:
        yield "The app accepts no request from here: neither 5 MB nor two requests at once were tried."
        return
    yield _tried(lambda: _large(app, url), pause)
    yield _tried(lambda: _two(app, url), pause)


def _tried(question: Callable[[], str], pause: float) -> str:
    for _ in range(_TRIES - 1):
        try:
            return question()
        except DeploymentError:
            time.sleep(pause)
    return question()


def _large(app: FunctionApp, url: str) -> str:
    """A webhook's size is checked before its signature, so the answers to a small and a large one show what arrived."""
    at = f"{url}/events/generic"
    small, large = (_post(app, at, b" " * size) for size in (1, _LARGE))
    if large.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE != small.status:
        return (
            f"5 MB reach the functions: {at} answers 413, as it does above its limit, and to one byte {small.status}."
        )
    if large.status in {HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE} and large.status == small.status:
        return f"Cannot see whether 5 MB reach the functions: {at} answers {large.status} to every size."
    raise DeploymentError(
        f"5 MB do not reach the functions: {at} answers them {large} where 413 is expected, "
        f"and {small.status} to one byte. {_OLD}"
    )


def _two(app: FunctionApp, url: str) -> str:
    """Each is answered under its own id. Whether the log keeps them apart can only be seen there, and later."""
    ids = [secrets.token_hex(16) for _ in range(2)]
    at = f"{url}/v1.0/users/nobody/sendMail"

    def ask(name: str) -> HttpAnswer:
        # The trace id of https://www.w3.org/TR/trace-context is OperationId in Application Insights.
        return _post(app, at, b"{}", client_request_id=name, traceparent=f"00-{name}-{name[:16]}-01")

    with ThreadPoolExecutor(len(ids)) as pool:
        answers = list(pool.map(ask, ids))
    for name, answer in zip(ids, answers, strict=True):
        if _request_id(answer) != name:
            raise DeploymentError(
                f"One of two requests at once to {at} was answered {answer}, "
                f"not under its own client-request-id. {_OLD}"
            )
    query = f"AppTraces | where OperationId in {tuple(ids)} and Message has 'caller.refused'"
    return (
        "Two requests at once were each answered under their own id. Whether the log keeps their lines apart shows in "
        f"the workspace after some minutes; 1 for each is right: {query} | summarize count() by OperationId"
    )


def _request_id(answer: HttpAnswer) -> object:
    found = answer.json()
    for name in ("error", "innerError", "client-request-id"):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _post(app: FunctionApp, url: str, body: bytes, **headers: str) -> HttpAnswer:
    return request(app, url, "POST", body, audience=None, Content_Type="application/json", **headers)


def main(arguments: list[str] | None = None) -> int:
    """Check, and say what was found. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deployment.check", description=(__doc__ or "").partition("\n")[0])
    add_arguments(parser)
    manifest = Path("dist", MANIFEST)
    parser.add_argument("--manifest", type=Path, default=manifest, metavar="FILE", help=f"of the package ({manifest})")
    parser.add_argument("--within", type=float, default=300.0, metavar="SECONDS", help="how long to wait (300)")
    given = parser.parse_args(arguments)
    try:
        functions = json.loads(given.manifest.read_text(encoding="utf-8"))["functions"]
        app = app_from(given)
        check(app, functions, given.within)
        found = list(probe(app, given.within / _CHECKS))
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
