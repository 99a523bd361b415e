"""How mails are spread: 256 partitions, evenly whatever the ids are made of. Rows and payloads share them."""

import hashlib
from typing import Final

__all__ = ["PARTITIONS", "partition"]

PARTITIONS: Final = 256


def partition(mail: str) -> str:
    """The partition of a mail: two hex digits. Ids without a key begin with the time, so they are hashed first."""
    return hashlib.sha256(mail.encode()).hexdigest()[:2]
