"""What comes through to the functions: a body of 5 MB, and two requests at once.

The package pins Azure's Python library, not the process around it, which takes requests from the functions host: that
is the platform's. Before the end of 2025 it lost requests above 4 MB, and wrote log lines under another request's name.
So a deployment asks. Nothing is sent and nothing changes, and no secret is needed: what is asked is refused.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from deployment.azure import Answer, App, get, request
from deployment.errors import DeploymentError

__all__ = ["probe"]

_LARGE = 5 * 1024 * 1024  # bytes: more than 4 MB, and more than any webhook may have
_TRIES = 3  # an instance may be starting
# What the app's front says when it lets nobody in from here.
_SHUT = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_OLD = (
    "The platform's Python worker may be one from before the end of 2025: restart the app (az functionapp restart), "
    "and if that does not help, ask Azure's support for a current one."
)


def probe(app: App, pause: float) -> Iterator[str]:
    """Ask, and say in a sentence each what was found. pause: seconds before a question that failed is asked again.

    Raises DeploymentError where something does not come through.
    """
    [site] = get(app)
    url = f"{app.scheme}://{site['properties']['defaultHostName']}/api"
    if request(app, f"{url}/health", audience=None).status in _SHUT:
        yield "From here nobody is let in: neither 5 MB nor two requests at once were tried."
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


def _large(app: App, url: str) -> str:
    """A webhook's size is looked at before anything else, so the answer to the same request shows whether it came."""
    at = f"{url}/events/generic"
    small, large = (_post(app, at, b" " * size) for size in (1, _LARGE))
    if large.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE != small.status:
        return (
            f"5 MB reach the functions: {at} answers 413, as it does above its limit, and to one byte {small.status}."
        )
    if large.status in {HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE} and large.status == small.status:
        return f"Whether 5 MB reach the functions cannot be seen: {at} answers {large.status} whatever comes."
    raise DeploymentError(
        f"5 MB do not reach the functions: {at} answers {large} to them, where 413 is expected, "
        f"and {small.status} to one byte. {_OLD}"
    )


def _two(app: App, url: str) -> str:
    """Each is answered under its own id. Whether the log has them apart can only be seen there, and later."""
    ids = [secrets.token_hex(16) for _ in range(2)]
    at = f"{url}/v1.0/users/nobody/sendMail"

    def ask(name: str) -> Answer:
        # The trace id of https://www.w3.org/TR/trace-context, which Application Insights has as OperationId.
        trace = {"client_request_id": name, "traceparent": f"00-{name}-{name[:16]}-01"}
        return request(app, at, "POST", b"{}", audience=None, Content_Type="application/json", **trace)

    with ThreadPoolExecutor(len(ids)) as pool:
        answers = list(pool.map(ask, ids))
    for name, answer in zip(ids, answers, strict=True):
        said = answer.json()
        error = said.get("error") if isinstance(said, dict) else None
        inner = error.get("innerError") if isinstance(error, dict) else None
        if not isinstance(inner, dict) or inner.get("client-request-id") != name:
            raise DeploymentError(
                f"Of two requests at once to {at} one was answered {answer}, "
                f"not under its own client-request-id. {_OLD}"
            )
    query = f"AppTraces | where OperationId in {tuple(ids)} and Message has 'caller.refused'"
    return (
        "Two requests at once were each answered under their own id. Whether their log lines are told apart, the "
        f"workspace knows in some minutes; 1 for each is right: {query} | summarize count() by OperationId"
    )


def _post(app: App, url: str, body: bytes) -> Answer:
    return request(app, url, "POST", body, audience=None, Content_Type="application/json")
