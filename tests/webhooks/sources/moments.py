"""The time at which the tests of sources take place."""

from datetime import UTC, datetime
from typing import Final

__all__ = ["NOW"]

NOW: Final = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
