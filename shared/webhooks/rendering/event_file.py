"""The whole event as a file of the mail, without secrets."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from shared.webhooks.rendering.bounds import size_of

LARGEST_FILE: Final = 500_000  # bytes: a mail has four million in all
HIDDEN: Final = "not shown here"
# Names of secrets, which do not belong in a mail.
_SECRET: Final = re.compile(
    r"(?:secret|password|passwd|passphrase|apikey|token|privatekey|credentials?|authorization|cookie)$"
)
_SIGNS: Final = re.compile(r"[\W_]+")


def is_secret(name: str) -> bool:
    """Whether a value is a secret, by its name."""
    return bool(_SECRET.search(_SIGNS.sub("", name[-100:]).lower()))


def event_file(data: Any) -> bytes | None:
    """The event as indented JSON, with secrets hidden; None where that is more than 500,000 bytes."""
    if size_of(data, LARGEST_FILE) > LARGEST_FILE:
        return None
    text = json.dumps(_masked(data), ensure_ascii=False, indent=2)
    content = text.encode("utf-8", "replace")
    return content if len(content) <= LARGEST_FILE else None


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if is_secret(str(name)) and one not in (None, "") else _masked(one)
            for name, one in value.items()
        }
    return [_masked(one) for one in value] if isinstance(value, list) else value
