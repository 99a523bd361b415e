"""A mailbox that does not say whether a mail has gone: what the operator is told, and who waits for it."""

import json
from datetime import datetime

import pytest

from shared.delivery.row import Row
from shared.delivery.verification import Finding
from shared.delivery.worker import Worker
from shared.graph.outcome import Outcome, Rejected, Throttled, Unanswered, Unknown
from shared.telemetry import LogEvent
from tests.delivery.memory import Unpaced
from tests.delivery.samples import (
    NO_PERMISSION,
    NOT_CONNECTED,
    THROTTLED,
    TIMED_OUT,
    Office,
    ScriptedGraph,
    outgoing_mail,
    work,
)


async def deliver_next(office: Office) -> None:
    """The next message of mail-work, when it is due."""
    due, message = office.outbox.messages.pop(0)
    office.clock.at = max(office.clock.at, due)
    await Worker(office.engine).deliver(message)


@pytest.mark.parametrize(
    ("outcome", "event"),
    [
        (Rejected(401, "InvalidAuthenticationToken", "permission"), LogEvent.GRAPH_PERMISSION),
        (NO_PERMISSION, LogEvent.GRAPH_PERMISSION),
        (THROTTLED, LogEvent.GRAPH_THROTTLED),
        (NOT_CONNECTED, LogEvent.GRAPH_UNREACHED),
        (Unknown("status", 503), LogEvent.MAIL_UNVERIFIED),
        (Rejected(404, "ErrorInvalidUser", "permanent"), LogEvent.MAIL_UNVERIFIED),
    ],
)
async def test_why_a_mailbox_did_not_say_whether_a_mail_has_gone_is_an_event(
    outcome: Outcome, event: LogEvent, caplog: pytest.LogCaptureFixture
) -> None:
    """The one that the alerts count for a mail that met the same."""

    async def silent(row: Row) -> Finding:
        return Unanswered(outcome)

    office = Office(graph=ScriptedGraph([TIMED_OUT]), verifier=silent)
    kept = outgoing_mail()
    await Worker(office.engine).deliver(work(kept), kept)
    caplog.clear()
    await deliver_next(office)
    assert (await office.row()).state == "unknown"
    said = [json.loads(record.getMessage())["event"] for record in caplog.records]
    assert [one for one in said if one != LogEvent.MAIL_WAITING] == [event]


async def test_a_look_that_is_throttled_blocks_its_mailbox() -> None:
    throttled: list[tuple[str, float | None]] = []

    class Throttling(Unpaced):
        async def throttled(self, mailbox: str, after: float | None, code: str = "") -> datetime:
            throttled.append((mailbox, after))
            return await super().throttled(mailbox, after)

    async def silent(row: Row) -> Finding:
        return Unanswered(Throttled(20.0))

    office = Office(graph=ScriptedGraph([TIMED_OUT]), verifier=silent)
    office.pace = Throttling(office.clock.now)
    kept = outgoing_mail()
    await Worker(office.engine).deliver(work(kept), kept)
    await deliver_next(office)
    assert throttled == [((await office.row()).mailbox, 20.0)]
