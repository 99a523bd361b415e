"""The queues of Mailroom's storage account. Imported at indexing, so this module imports nothing itself."""

from typing import Final

OUTBOX: Final = "mail-outbox"  # where producers put mails
EVENTS: Final = "mail-events"  # where producers put events of routes
WORK: Final = "mail-work"  # Mailroom's own: mails that wait
RESULTS: Final = "mail-results"  # where Mailroom says what became of mails
