"""Names of the queues that functions listen to, and of the setting that says where they are."""

from typing import Final

__all__ = ["ALL", "CONNECTION", "EVENTS", "OUTBOX", "WORK"]

OUTBOX: Final = "mail-outbox"
WORK: Final = "mail-work"
EVENTS: Final = "mail-events"
ALL: Final = (EVENTS, OUTBOX, WORK, f"{EVENTS}-poison", f"{OUTBOX}-poison", f"{WORK}-poison")
CONNECTION: Final = "AzureWebJobsStorage"
