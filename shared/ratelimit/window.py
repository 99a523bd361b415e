"""A limit for any stretch of time: recipients in a day, bytes in five minutes.

Time is cut into short pieces. What is counted in a piece counts until the whole stretch has passed since the piece
ended, so no stretch has more than the limit, wherever it begins.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

__all__ = ["BYTES", "Counts", "Window", "text_of"]

type Counts = dict[int, int]
"""By number of the piece, counted from 1970."""


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` in a stretch of so many pieces, each of so many seconds."""

    limit: int
    seconds: int
    pieces: int

    def piece(self, at: datetime) -> int:
        return int(at.timestamp() // self.seconds)

    def read(self, text: object, now: datetime) -> Counts:
        """The counts in a row, without those that have expired."""
        counts = json.loads(text) if isinstance(text, str) else {}
        return {int(piece): count for piece, count in counts.items() if int(piece) >= self.piece(now) - self.pieces}

    def counting(self, counts: Counts, at: datetime) -> Counts:
        """Those that count at that time; also what is counted for later, since some stretch has both."""
        return {piece: count for piece, count in counts.items() if piece >= self.piece(at) - self.pieces}

    def full_until(self, counts: Counts, at: datetime, need: int) -> datetime | None:
        """None: there is room for so much at that time. Else when there may be."""
        counting = self.counting(counts, at)
        used, last = sum(counting.values()), self.piece(at)
        if used + need <= self.limit:
            return None
        for last in sorted(counting):
            used -= counting[last]
            if used + need <= self.limit:
                break
        return datetime.fromtimestamp((last + self.pieces + 1) * self.seconds, UTC)


def text_of(counts: Counts) -> str:
    """Counts as a row has them."""
    return json.dumps({str(piece): count for piece, count in sorted(counts.items()) if count}, separators=(",", ":"))


# Graph takes 150 MB for one mailbox in five minutes (https://learn.microsoft.com/graph/throttling-limits). The rest is
# for what the instances have not counted yet, each less than a megabyte.
BYTES: Final = Window(140_000_000, seconds=10, pieces=30)
