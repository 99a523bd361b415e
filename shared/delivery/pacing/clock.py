"""The clocks and the chance that pacing goes by; tests have their own. All waiting is on the event loop's clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random, SystemRandom

__all__ = ["Clock"]


@dataclass(frozen=True, slots=True)
class Clock:
    """now: in UTC, roughly what other hosts' clocks say. monotonic: in seconds, without jumps, this process's own."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    random: Random = field(default_factory=SystemRandom)
