"""`python -m sandbox.cloud`: the Graph emulator with its identity endpoint and token issuer, on loopback.

When it answers, it prints one JSON line with its addresses on stdout; warnings go to stderr. Ends with 0 on SIGTERM
and SIGINT, with 2 when it cannot start.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from types import FrameType

import uvicorn

from sandbox.cloud.app import Options, create_app
from sandbox.cloud.connections import CuttableProtocol
from sandbox.cloud.directory import API_CLIENT_ID, CALLER_CLIENT_ID, SENDER, SENDER_OID, TENANT
from sandbox.cloud.faults import KINDS, Fault
from sandbox.cloud.state import Settings
from sandbox.options import count, seconds
from sandbox.own_names import OwnNames

HOST = "127.0.0.1"


def main(arguments: list[str] | None = None) -> int:
    """Runs until it is told to stop; gives the exit code."""
    options, port = _read(arguments)
    logging.basicConfig(level=logging.WARNING, format="sandbox.cloud: %(levelname)s: %(message)s", stream=sys.stderr)
    try:
        listener = socket.create_server((HOST, port), backlog=128)
    except OSError as error:
        print(f"sandbox.cloud: cannot listen on {HOST}:{port}: {os.strerror(error.errno or 0)}.", file=sys.stderr)
        return 2
    config = uvicorn.Config(
        OwnNames(create_app(options), guarded="/_control"),
        http=CuttableProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config, json.dumps(_addresses(listener.getsockname()[1], options)))
    with server.stopped_by_signals():
        asyncio.run(server.serve(sockets=[listener]))
    return 0


class _Server(uvicorn.Server):
    """uvicorn's server that says when it is ready, and ends a signal with exit code 0 instead of raising it anew."""

    def __init__(self, config: uvicorn.Config, announcement: str) -> None:
        super().__init__(config)
        self._announcement = announcement

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._announcement, flush=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @contextlib.contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        def stop(_: int, __: FrameType | None) -> None:
            self.should_exit = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _read(arguments: list[str] | None) -> tuple[Options, int]:
    parser = argparse.ArgumentParser("python -m sandbox.cloud", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 (the default): a free one")
    parser.add_argument("--smtp", type=_endpoint, metavar="HOST:PORT", help="where accepted mails are handed to")
    parser.add_argument(
        "--sent-delay", type=seconds, default=0.0, metavar="SECONDS", help="until the copy is in Sent Items"
    )
    parser.add_argument("--latency", type=seconds, default=0.0, metavar="SECONDS", help="added to each Graph request")
    parser.add_argument(
        "--concurrency", type=count, default=4, help="requests at a time per application and mailbox (default 4)"
    )
    parser.add_argument(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="KIND[:COUNT|=PROBABILITY][@WHERE]",
        help=f"what goes wrong; kinds: {', '.join(KINDS)}",
    )
    parser.add_argument("--seed", type=int, help="for faults with a probability")
    parser.add_argument("--identity-header", help="the secret of the managed-identity endpoint (default: random)")
    given = parser.parse_args(arguments)
    settings = Settings(sent_delay=given.sent_delay, latency=given.latency, concurrency=given.concurrency)
    secret = {"identity_header": given.identity_header} if given.identity_header else {}
    return Options(given.smtp, settings, tuple(given.fault), given.seed, **secret), given.port


def _addresses(port: int, options: Options) -> dict[str, object]:
    root = f"http://{HOST}:{port}"
    return {
        "graph": f"{root}/v1.0",
        "identity": f"{root}/msi/token",
        "identity_header": options.identity_header,
        "authority": root,
        "token": f"{root}/{TENANT}/oauth2/v2.0/token",
        "jwks": f"{root}/{TENANT}/discovery/v2.0/keys",
        "tenant": TENANT,
        "api_client_id": API_CLIENT_ID,
        "caller_client_id": CALLER_CLIENT_ID,
        "sender": SENDER,
        "sender_oid": SENDER_OID,
        "control": f"{root}/_control",
        "pid": os.getpid(),
    }


def _endpoint(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def _fault(text: str) -> Fault:
    try:
        return Fault.from_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
