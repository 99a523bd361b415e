"""Names of blobs in mails and settings: `container/name`, as text that may be percent-encoded once.

What could name one blob to a check and another one to storage is refused: more than one layer of encoding, `.` and `..`
between slashes, a query or a snapshot, backslashes, control characters. Rules for names: "Naming and referencing
containers, blobs, and metadata" in Azure Storage's documentation.
"""

import re
from typing import Final
from urllib.parse import unquote

CONTAINER: Final = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
LONGEST: Final = 1024  # characters of a blob's name
_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_REFUSED: Final = re.compile(r"[\\?#\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd]")


def split(text: str) -> tuple[str, str]:
    """Container and name, decoded. Raises ValueError with a sentence that does not quote the text."""
    decoded = unquote(text, errors="replace")
    if _ENCODED.search(decoded):
        raise ValueError("The name is percent-encoded twice.")
    if _REFUSED.search(decoded):
        raise ValueError("The name holds a backslash, a question mark, a number sign or a control character.")
    container, _, name = decoded.partition("/")
    if not CONTAINER.fullmatch(container):
        raise ValueError("Expected container/name, the container in lower-case letters, digits and dashes.")
    if not name or len(name) > LONGEST:
        raise ValueError(f"Expected container/name, the name with 1 to {LONGEST} characters.")
    if any(segment in ("", ".", "..") for segment in name.split("/")):
        raise ValueError("A part of the name between slashes is empty, or only dots.")
    return container, name
