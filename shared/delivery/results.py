"""Reports what became of mails in the queue `mail-results`: a CloudEvent for each end and each bounce.

Each result is reported at least once, and in any order. The message is put first, then the row records that. If a
process dies in between, maintenance reports the result again, with the same event id. docs/results.md is for consumers.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shared.delivery.explanations import reason_of
from shared.settings.queue_names import RESULTS

if TYPE_CHECKING:
    from shared.delivery.row import Row

type PutIntoQueue = Callable[[str, bytes], Awaitable[None]]
"""Puts a message into the queue of this name."""

SOURCE: Final = "/mailroom"


class Bounce(msgspec.Struct, frozen=True, kw_only=True, rename={"kind": "class"}):
    """What a non-delivery report says of one recipient. recipient: the hash of its address. code: as RFC 3463 has it.

    report: the id of the report, a hash too. at: when the report came.
    """

    recipient: str
    code: str
    kind: str
    at: datetime
    report: str = ""


def bounces_of(row: "Row") -> list[Bounce]:
    return msgspec.json.decode(row.bounces, type=list[Bounce]) if row.bounces else []


def untold(row: "Row") -> bool:
    """Whether its end, or one of its bounces, is still to be told."""
    if not row.wants_results or row.settled_at is None:
        return False
    return row.told_end != row.settled_at or row.told_bounces < len(bounces_of(row))


async def tell(row: "Row", put: PutIntoQueue) -> dict[str, Any]:
    """Put what is untold of a mail that has ended. Returns what its row is to say then. Raises what `put` raises."""
    bounces = bounces_of(row)
    if row.told_end != row.settled_at:
        await put(RESULTS, _event(row, f"mail.{row.state}", _moment(row.settled_at), row.settled_at))
    for at, bounce in enumerate(bounces[row.told_bounces :], row.told_bounces):
        await put(RESULTS, _event(row, "mail.bounced", f"bounce-{at}", bounce.at, bounce=bounce))
    return {"told_end": row.settled_at, "told_bounces": len(bounces)}


def _event(row: "Row", kind: str, name: str, at: datetime | None, **more: object) -> bytes:
    """A CloudEvent 1.0 as JSON, without addresses and without the key itself: whoever gave that knows its hash."""
    facts = {"id": row.id, "key": row.key, "caller": row.caller, "route": row.route, "state": row.state}
    data = {**facts, "code": row.code, "reason": reason_of(row), **more}
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": f"{row.id}-{name}",
            "source": SOURCE,
            "type": kind,
            "subject": row.id,
            "time": at,
            "datacontenttype": "application/json",
            "data": {name: value for name, value in data.items() if value is not None},
        }
    )


def _moment(at: datetime | None) -> str:
    return f"{at.timestamp():.6f}".replace(".", "") if at is not None else ""
