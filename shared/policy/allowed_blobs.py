"""Which blobs may be attached by whom: containers, or folders in them.

    container            every blob in it
    container/folder     every blob below the folder

Mailroom's own containers and those of the platform are never among them, whoever asks: they hold other people's mails,
keys and code.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from shared.mail.blob_names import CONTAINER, split

__all__ = ["NO_BLOBS", "BlobRules"]

# Of the host, and the names under which Azure, its portal and its tools keep the code of an app.
RESERVED: Final = re.compile(r"mail-payloads|mail-dead|azure-.*|app-package.*|deployment.*|function-releases")


@dataclass(frozen=True, slots=True)
class BlobRules:
    """places: container and the folder in it, with a slash at its end, or empty for all of it."""

    places: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Raises ValueError for what names no container, or one that is never given away."""
        places = set[tuple[str, str]]()
        for text in texts:
            bare = text.rstrip("/")
            container, name = split(bare) if "/" in bare else (bare, "")
            if not CONTAINER.fullmatch(container):
                raise ValueError(f"{text!r} names no container")
            if RESERVED.fullmatch(container):
                raise ValueError(f"the container {container} is Mailroom's own, or the platform's")
            places.add((container, f"{name}/" if name else ""))
        return cls(frozenset(places))

    def allow(self, container: str, name: str) -> bool:
        """Both decoded, as `split` gives them."""
        if RESERVED.fullmatch(container):
            return False
        return any(container == allowed and name.startswith(folder) for allowed, folder in self.places)


NO_BLOBS: Final = BlobRules()
