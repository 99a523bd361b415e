"""`python -m sandbox.host --app DIR`: start a functions host.

When HTTP is served and every queue is polled, one JSON line goes to stdout: `url`, `keys`, `functions`, `pid`, and
`error` with the traceback when function_app.py does not import. Everything else, what functions print included, goes
to stderr. What makes the host unusable is said there too, and the exit status is 2. SIGTERM and SIGINT end it: nothing
new is taken, running invocations have ten seconds.
"""

import argparse
import asyncio
import json
import logging
import os
import secrets
import sys
from pathlib import Path
from typing import Any, NoReturn

from sandbox.loop import LOOPS, chosen, factory
from sandbox.options import lease

from .keys import Keys
from .lifetime import Options, run
from .sealed import seal
from .settings import UnusableError

EVERYTHING = 2


def main() -> NoReturn:
    """Parse the command line, run the host, leave."""
    options, loop, verbose = _arguments()
    ready_line = _take_stdout()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    if verbose < EVERYTHING:  # a line for each request to storage is too much for most
        logging.getLogger("azure.core").setLevel(logging.WARNING)

    def announce(line: dict[str, Any]) -> None:
        os.write(ready_line, json.dumps(line).encode() + b"\n")

    asyncio.run(_run(options, announce), loop_factory=factory(loop))
    raise AssertionError("the host leaves by itself")


async def _run(options: Options, announce: Any) -> NoReturn:
    try:
        _leave(0 if await run(options, announce) else 1)
    except UnusableError as error:
        for line in str(error).splitlines():
            print(f"sandbox.host: {line}", file=sys.stderr)
        _leave(2)


def _leave(status: int) -> NoReturn:
    """End the process at once: a function may hold a thread or a task that never ends, and Azure does not wait."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _take_stdout() -> int:
    """Keep stdout for the ready line: from here on, whatever the process prints goes to stderr."""
    kept = os.dup(1)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # a TextIOWrapper, as nothing replaced it yet
    return kept


def _arguments() -> tuple[Options, str, int]:
    parser = argparse.ArgumentParser(prog="python -m sandbox.host", description="An Azure Functions host on a laptop.")
    parser.add_argument(
        "--app", type=Path, required=True, metavar="DIR", help="folder of function_app.py and host.json"
    )
    parser.add_argument("--bind", default="127.0.0.1", metavar="ADDRESS")
    parser.add_argument(
        "--host-name",
        action="append",
        default=[],
        metavar="NAME",
        help="a name beside loopback's that requests may be for; may be given again",
    )
    parser.add_argument("--port", type=int, default=7071, help="0 picks a free one")
    parser.add_argument("--tls", nargs=2, type=os.path.abspath, metavar=("CERTFILE", "KEYFILE"), help="serve https")
    parser.add_argument(
        "--queue-lease", type=lease, default=600, metavar="SECONDS", help="how long a received message stays invisible"
    )
    parser.add_argument("--loop", choices=LOOPS, default=chosen(), help="event loop of functions (uvloop, as in Azure)")
    parser.add_argument("--default-key", metavar="KEY", help="opens functions of level function; random if not given")
    parser.add_argument("--master-key", metavar="KEY", help="opens everything; random if not given")
    parser.add_argument(
        "--sealed",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="end when a module of this package is asked for that is not there; may be given again",
    )
    parser.add_argument(
        "--verbose",
        action="count",
        default=0,
        help="log invocations and what functions log as information; twice: every request to storage too",
    )
    given = parser.parse_args()
    seal(given.sealed)
    options = Options(
        app=given.app.resolve(),
        bind=given.bind,
        host_names=(given.bind, *given.host_name),
        port=given.port,
        # The app's folder becomes the working directory, so no path may depend on it.
        tls=tuple(given.tls) if given.tls else None,
        queue_lease=given.queue_lease,
        keys=Keys(given.default_key or secrets.token_urlsafe(40), given.master_key or secrets.token_urlsafe(40)),
    )
    return options, given.loop, given.verbose


if __name__ == "__main__":
    main()
