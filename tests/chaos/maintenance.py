"""`python -m tests.chaos.maintenance`: what the timer does in an hour, of the whole ledger, as if it were later.

A claim that nobody gave back is looked into an hour after it has run out: a run does not wait so long. Everything else
is the app's own: its settings from the environment, its clients, its code. Nothing but the clock is another one.
"""

import asyncio
import logging
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.app import App
from shared.delivery.ledger import PARTITIONS
from shared.delivery.maintenance import Maintenance
from shared.settings.config import read

LATER: Final = timedelta(hours=2)
AT_ONCE: Final = 8  # runs, each of its own partitions


async def maintain() -> None:
    app = App(read(os.environ))
    assert not app.settings.problems, app.settings.problems
    maintenance = Maintenance(replace(app.engine, now=lambda: datetime.now(UTC) + LATER))
    await asyncio.gather(*(maintenance.run(range(first, PARTITIONS, AT_ONCE)) for first in range(AT_ONCE)))


if __name__ == "__main__":
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stdout, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("mailroom").setLevel(logging.INFO)
    asyncio.run(maintain())
