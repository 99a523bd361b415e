"""How many mails a minute those may send who ask for them, over all instances: applications, producers, routes.

Who waits for an answer is refused, with the time at which it may come again; who does not, a queue's producer, is given
a time for each mail. So they are counted apart, also where both come to the same route.
"""

from datetime import datetime, timedelta
from typing import Final

from shared.delivery.pacing.clock import Clock
from shared.delivery.pacing.gcra import Rate
from shared.delivery.pacing.quotas import PerMinute, Quotas
from shared.delivery.pacing.reservations import Reservations
from shared.delivery.pacing.store import PacingStore, mailbox_key
from shared.telemetry import Event, emit

__all__ = ["Callers"]

SAID_AGAIN: Final = timedelta(minutes=1)


class Callers:
    """All of them, as one process knows them. name: what a rate belongs to, such as `application <id>`."""

    def __init__(self, store: PacingStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._quotas = Quotas(store, clock)
        self._schedules: dict[float, Reservations] = {}
        self._said: dict[str, datetime] = {}

    async def ask(self, name: str, per_minute: int, mails: int = 1) -> datetime | None:
        """None: they may come now; else when they may. Raises PacingUnavailable."""
        until = await self._quotas.take(_key(name), PerMinute(per_minute), mails)
        if until is not None:
            self._say(name, until)
        return until

    def put_back(self, name: str, mails: int = 1) -> None:
        """So many were none: they had come before. No storage."""
        self._quotas.put_back(_key(name), mails)

    async def reserve(self, name: str, per_minute: int) -> datetime:
        """The time at which a mail may go: now, or later. Raises PacingUnavailable."""
        rate = Rate.per_minute(per_minute)
        schedule = self._schedules.setdefault(per_minute, Reservations(self._store, lambda: rate, self._clock))
        time = await schedule.reserve(_key(f"queue of {name}"))
        if time > self._clock.now():
            self._say(name, time)
        return time

    def _say(self, name: str, until: datetime) -> None:
        now = self._clock.now()
        if now - self._said.get(name, now - SAID_AGAIN) >= SAID_AGAIN:
            self._said[name] = now
            emit(Event.CALLER_LIMITED, caller=name, seconds=round((until - now).total_seconds(), 1))


def _key(name: str) -> str:
    return mailbox_key(f"mails of {name}")
