"""Numbers and names of mails that settings need too: here, so that reading settings loads no more than this."""

from typing import Final, Literal

__all__ = ["MARKER_GUID", "MAX_RECIPIENTS", "Mode"]

MAX_RECIPIENTS: Final = 500  # to, cc and bcc together
MARKER_GUID: Final = "502bbd30-de57-442a-aa11-c718c124b3ff"  # see marker.py
Mode = Literal["live", "redirect", "capture"]  # see policy/before_send.py
