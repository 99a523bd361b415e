"""What an operator asks for: that an address is mailed no more."""

from typing import Annotated

import msgspec
from msgspec import Meta

from shared.mail.graph_types import LINE

__all__ = ["NewSuppression"]


class NewSuppression(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """reason: for those who look at the list later."""

    address: Annotated[str, Meta(min_length=1, max_length=320)]
    reason: Annotated[str, Meta(pattern=LINE, max_length=500)] = ""
