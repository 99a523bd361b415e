"""The emulator as one ASGI application."""

import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

from starlette.applications import Starlette

from sandbox.cloud import control, graph, identity
from sandbox.cloud.faults import Fault, Faults
from sandbox.cloud.handover import Handover
from sandbox.cloud.mailboxes import Mailboxes
from sandbox.cloud.state import Cloud, Settings
from sandbox.cloud.throttling import Throttling
from sandbox.cloud.tokens import Issuer


@dataclass(frozen=True, slots=True)
class Options:
    """smtp: (host, port) that accepted mails are handed to, or None. seed: for faults with a probability."""

    smtp: tuple[str, int] | None = None
    settings: Settings = field(default_factory=Settings)
    faults: tuple[Fault, ...] = ()
    seed: int | None = None
    identity_header: str = field(default_factory=lambda: secrets.token_hex(16).upper())


def create_app(
    options: Options | None = None, *, issuer: Issuer | None = None, clock: Callable[[], float] = time.monotonic
) -> Starlette:
    """The application; its `state.cloud` is what it knows. Works in process over httpx.ASGITransport as well.

    issuer: tests share one, since making a key takes a moment. clock: seconds, for the delay of sent copies and for the
    limits.
    """
    options = options or Options()
    cloud = Cloud(
        issuer=issuer or Issuer(),
        identity_header=options.identity_header,
        settings=replace(options.settings),
        faults=Faults(options.faults, options.seed),
        handover=Handover(*options.smtp) if options.smtp else None,
        mailboxes=Mailboxes(clock),
        throttling=Throttling(clock),
    )
    cloud.mailboxes.in_outbox = options.settings.in_outbox

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        if cloud.handover is not None:
            await cloud.handover.close()

    app = Starlette(routes=[*control.ROUTES, *graph.ROUTES, *identity.ROUTES], lifespan=lifespan)
    app.router.redirect_slashes = False
    app.state.cloud = cloud
    app.state.initial_settings = options.settings
    return app
