"""Numbers and names of mails that settings need too: here, so that reading settings loads no more than this."""

from typing import Final, Literal

__all__ = ["MAX_RECIPIENTS", "STAMP_GUID", "Mode"]

MAX_RECIPIENTS: Final = 500  # to, cc and bcc together
STAMP_GUID: Final = "502bbd30-de57-442a-aa11-c718c124b3ff"  # see stamp.py
Mode = Literal["live", "redirect", "capture"]  # see policy/before_send.py
