"""What waits must not make a mail dearer: the delivery code with a thousand, ten and a hundred thousand mails waiting.

Ledger, outbox and pacing are in memory, for Azurite's own queue slows with its length; and one run has it, with 1,000.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from bench.machine import median, table
from bench.rig import Window, mail, mailroom, put_at_once, wait_for
from sandbox.loop import chosen, factory
from shared.delivery.engine import Engine
from shared.delivery.queue_messages import Work, work_of
from shared.delivery.row import Row
from shared.delivery.worker import Worker
from shared.graph.outcome import Accepted, Outcome
from shared.mail.model import SendMail
from shared.mail.outgoing import Origin, OutgoingMail, fingerprint, identity
from shared.mail.parse import send_mail
from shared.policy.pre_send import Declined, Goes, before_send
from shared.ratelimit.rate_limits import RateLimits
from shared.settings.address_patterns import Patterns
from shared.settings.config import Settings
from shared.telemetry import logger
from tests.delivery.memory import MemoryLedger, MemoryOutbox
from tests.delivery.samples import mailer
from tests.e2e.running import eventually
from tests.ratelimit.far import LIMITS, MemoryStore

MEASURED, ROUNDS, RATE = 1000, 5, 30_000
MAILBOXES = [f"shared{number}@sandbox.example" for number in range(1, 21)]


def measure(*, quick: bool) -> Iterator[str]:
    sizes = (1_000, 10_000) if quick else (1_000, 10_000, 100_000)
    logger.disabled = True
    rounds = 2 if quick else ROUNDS
    found = {size: [asyncio.run(_drain(size), loop_factory=factory(chosen())) for _ in range(rounds)] for size in sizes}
    logger.disabled = False
    base = median(found[sizes[0]])
    yield f"The first {MEASURED} mails of the backlog, in memory, without Graph; medians of {rounds} runs:"
    yield ""
    rows = [(f"{size:,}", f"{median(found[size]) * 1e6:.0f}", f"{median(found[size]) / base:.2f}") for size in sizes]
    yield from table(("mails in ledger and queue", "CPU, microseconds a mail", "times"), rows)
    yield ""
    yield "In Azurite, from `mail-outbox`, the host's own share not taken off (see `mail`):"
    yield ""
    yield from table(("mails in the queue", "CPU, ms a mail"), _azurite((50, 100) if quick else (100, 1_000)))


@dataclass(frozen=True, slots=True)
class _Nobody:
    """The pre-send policy, with an empty suppression list."""

    settings: Settings

    async def verdict(self, mail: OutgoingMail, *, admitted: bool = False) -> Goes | Declined:
        return before_send(mail, self.settings, frozenset(), admitted=admitted)


async def _drain(size: int) -> float:
    """Processor seconds a mail."""

    async def accept(mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
        del mail, row, still_ours
        return Accepted("r", "c")

    settings = Settings(rate_per_minute=RATE, allowed_senders=Patterns.parse("*"))
    pace = RateLimits(MemoryStore(), **LIMITS | {"per_minute": RATE})
    ledger, outbox = MemoryLedger(), MemoryOutbox()
    policy: Any = _Nobody(settings)
    worker = Worker(Engine(settings, ledger, outbox, pace, policy, mailer(settings, accept)))
    waiting: deque[tuple[Work, OutgoingMail]] = deque()
    for number in range(size):
        mail = _mail(number)
        work = work_of(mail)
        waiting.append((work, mail))
        row = Row(
            id=mail.id,
            state="accepted",
            scope=mail.scope,
            fingerprint=mail.fingerprint,
            mailbox=mail.sender,
            accepted_at=mail.accepted_at,
            queued=True,
        )
        await ledger.write(row)

    async def carry() -> None:
        for _ in range(MEASURED // 16):
            work, mail = waiting.popleft()
            await worker.deliver(work, mail)

    await worker.deliver(*waiting.pop())  # what is made on first use is there
    began = time.process_time()
    await asyncio.gather(*(carry() for _ in range(16)))
    spent = time.process_time() - began
    return spent / (MEASURED // 16 * 16)


@cache
def _parsed() -> SendMail:
    return send_mail(json.dumps(mail("backlog")).encode())


def _mail(number: int) -> OutgoingMail:
    sender = MAILBOXES[number % len(MAILBOXES)]
    return OutgoingMail(
        id=identity("bench", str(number)),
        scope="bench",
        fingerprint=fingerprint(sender, _parsed()),
        sender=sender,
        request=_parsed(),
        origin=Origin(kind="queue", name="mail-outbox"),
        accepted_at=datetime.now(UTC),
    )


def _azurite(sizes: tuple[int, int]) -> Iterator[tuple[str, str]]:
    with mailroom() as sandbox:
        for size in (20, *sizes):
            sandbox.reset()
            texts = [json.dumps({"sender": sandbox.sender, "key": f"{size} {n}", **mail("queue")}) for n in range(size)]
            put_at_once(sandbox, "mail-outbox", texts, 3 + size // 50)
            window = Window(sandbox, 0.0)
            wait_for(sandbox, size, 300)
            eventually(lambda: sandbox.count("mail-outbox") == 0)
            if size in sizes:
                yield f"{size:,}", f"{window.seconds() / size * 1000:.2f}"
