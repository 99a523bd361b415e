"""Lists by pages: `top`, how many, and `after`, what the page before gave as `next`."""

from typing import Final

import azure.functions as func

__all__ = ["WRONG_AFTER", "WRONG_TOP", "top_of"]

PAGE: Final = 50
LONGEST_PAGE: Final = 1000
WRONG_TOP: Final = f"top must be a number from 1 to {LONGEST_PAGE}."
WRONG_AFTER: Final = "after must be what an earlier page gave as next."


def top_of(req: func.HttpRequest) -> int | None:
    """How many a page is to hold; None: what is asked for is no such number."""
    most = req.params.get("top", str(PAGE))
    if len(most) > len(str(LONGEST_PAGE)) or not most.isascii() or not most.isdigit():
        return None
    return int(most) if 1 <= int(most) <= LONGEST_PAGE else None
