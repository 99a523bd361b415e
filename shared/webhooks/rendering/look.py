"""The appearance of an organisation's mails, and the time zone of the times in them."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Look:
    """brand: a name; "": Mailroom's. color: of buttons and links, as #rrggbb; "": the default. logo: the mail has it as
    an inline attachment, `cid:logo`. zone: of times; None: UTC alone. mailbox: what the mail is sent from.
    """

    brand: str = ""
    color: str = ""
    logo: bool = False
    zone: ZoneInfo | None = None
    mailbox: str = ""
