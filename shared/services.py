"""What the functions share in one process: the settings, and the clients made from them on first use.

Azure runs all functions of a process on one event loop, so there is one of each. Importing this loads no client: that
keeps indexing short. Whatever opens one first pays for it, and only for what it needs.
"""

import os
import uuid
from functools import cache, cached_property
from typing import TYPE_CHECKING

import msgspec

from shared.config import Settings, read
from shared.delivery.ledger import Row
from shared.entra import Verifier
from shared.letters.letter import Letter
from shared.telemetry import Event, emit

if TYPE_CHECKING:
    from shared.delivery.attempts import Attempts, StillOurs
    from shared.delivery.control import Control
    from shared.delivery.courier import Courier
    from shared.delivery.direct import DirectRequests
    from shared.delivery.outbox import Outbox
    from shared.delivery.pacing.pacer import Pacer
    from shared.delivery.protocol import Finding
    from shared.delivery.upkeep import Upkeep
    from shared.graph.client import GraphConnection
    from shared.graph.outcome import Outcome
    from shared.storage import StorageAccount

__all__ = ["Services", "services"]


class Services:
    """Lazily made. Nothing here may be used while `settings.problems` is not empty."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def verifier(self) -> Verifier | None:
        """Verifies callers' tokens; None when MAIL_API_TENANT and MAIL_API_CLIENT_ID are not set."""
        return Verifier(self.settings.api) if self.settings.api else None

    @cached_property
    def storage(self) -> "StorageAccount":
        from shared.storage import StorageAccount

        return StorageAccount(self.settings.storage)

    @cached_property
    def graph(self) -> "GraphConnection":
        from shared.graph.client import open_client

        return open_client(self.settings.graph.base_url, self.settings.identity_client_id)

    @cached_property
    def attempts(self) -> "Attempts":
        from shared.delivery.attempts import Attempts

        verifier = self._look if self.settings.verify_sent else None
        return Attempts(self.settings, self.storage.ledger(), self.outbox, self._send, self.pacer, verifier)

    @cached_property
    def outbox(self) -> "Outbox":
        return self.storage.outbox()

    @cached_property
    def pacer(self) -> "Pacer":
        from shared.delivery.pacing.pacer import Pacer

        settings = self.settings
        store = self.storage.pacing()
        return Pacer(store, rate_per_minute=settings.rate_per_minute, concurrency=settings.concurrency)

    @cached_property
    def control(self) -> "Control":
        from shared.delivery.control import Control

        return Control(self.attempts)

    @cached_property
    def upkeep(self) -> "Upkeep":
        from shared.delivery.upkeep import Upkeep

        return Upkeep(self.attempts)

    @cached_property
    def courier(self) -> "Courier":
        from shared.delivery.courier import Courier

        return Courier(self.attempts)

    @cached_property
    def direct(self) -> "DirectRequests":
        from shared.delivery.direct import DirectRequests

        return DirectRequests(self.attempts)

    async def _send(self, letter: Letter, row: Row, still_ours: "StillOurs") -> "Outcome":
        from shared.graph.send import send_mail
        from shared.letters.model import send_mail_body
        from shared.letters.stamp import stamped

        message = stamped(letter.mail.message, letter.id)
        return await send_mail(
            self.graph,
            row.mailbox,
            send_mail_body(msgspec.structs.replace(letter.mail, message=message)),
            client_request_id=str(uuid.uuid4()),
            deadline=self.settings.send_timeout,
            still_ours=still_ours,
        )

    async def _look(self, row: Row) -> "Finding":
        from shared.graph.look import look
        from shared.letters.stamp import STAMP_PROPERTY

        return await look(self.graph, row.mailbox, STAMP_PROPERTY, row.id, self.settings.send_timeout)


@cache
def services() -> Services:
    """The one of this process. The first call, at indexing, says which settings cannot be used."""
    settings = read(os.environ)
    for problem in settings.problems:
        emit(Event.SETTING_REFUSED, setting=problem.setting, expected=problem.expected)
    return Services(settings)
