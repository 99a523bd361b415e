"""Hands accepted mails over to a mail catcher by SMTP: in the background, one after the other, in order."""

import asyncio
import contextlib
import logging
import smtplib
from collections.abc import Callable
from dataclasses import dataclass

_log = logging.getLogger("sandbox.cloud.handover")
_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Parcel:
    """One mail with its envelope (RFC 5321). reference: the request id, for the log. content: makes the MIME."""

    reference: str
    sender: str
    recipients: tuple[str, ...]
    content: Callable[[], bytes]


class Handover:
    """A queue before one SMTP server. A failure is tried again after each of `delays` (seconds), then a warning."""

    def __init__(self, host: str, port: int, delays: tuple[float, ...] = (0.2, 1.0)) -> None:
        self._host, self._port, self._delays = host, port, delays
        self._queue: asyncio.Queue[Parcel] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None

    def put(self, parcel: Parcel) -> None:
        """Returns at once."""
        self._queue.put_nowait(parcel)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def drained(self) -> None:
        """Waits until every parcel is handed over or given up."""
        await self._queue.join()

    async def close(self, grace: float = 1.0) -> None:
        """Gives what waits `grace` seconds, then stops."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.drained(), grace)
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker

    async def _work(self) -> None:
        while True:
            parcel = await self._queue.get()
            try:
                await self._deliver(parcel)
            except Exception:  # noqa: BLE001 - the next mail must not suffer from this one
                _log.warning("Mail of request %s was not handed over.", parcel.reference, exc_info=True)
            finally:
                self._queue.task_done()

    async def _deliver(self, parcel: Parcel) -> None:
        for delay in (*self._delays, None):
            try:
                refused = await asyncio.to_thread(self._send, parcel)
            except (OSError, smtplib.SMTPException) as error:
                if delay is None:
                    _log.warning("Mail of request %s was not handed over: %s", parcel.reference, error)
                    return
                await asyncio.sleep(delay)
            else:
                if refused:
                    _log.warning("Mail of request %s: %d recipients refused.", parcel.reference, len(refused))
                return

    def _send(self, parcel: Parcel) -> dict[str, tuple[int, bytes]]:
        addresses = (parcel.sender, *parcel.recipients)
        options = () if all(address.isascii() for address in addresses) else ("SMTPUTF8", "BODY=8BITMIME")
        with smtplib.SMTP(self._host, self._port, local_hostname="localhost", timeout=_TIMEOUT) as smtp:
            return smtp.sendmail(parcel.sender, parcel.recipients, parcel.content(), mail_options=options)
