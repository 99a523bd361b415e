"""Access keys: who may call what.

A request carries a key in the header `x-functions-key`, or else in the query parameter `code` (the header wins). The
default key opens functions of level "function", the master key everything; "anonymous" needs none.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """The two keys of a host."""

    default: str
    master: str

    def is_master(self, key: str) -> bool:
        return _same(key, self.master)

    def opens(self, level: str, key: str) -> bool:
        """Whether a key, empty for none, is enough for an auth level."""
        if level == "anonymous":
            return True
        # Both are always compared, so that the time taken tells nothing.
        master, default = _same(key, self.master), _same(key, self.default)
        return master or (default and level == "function")


def key_of(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """The key a request carries, or an empty string; names of headers and parameters are lower-case here."""
    return headers["x-functions-key"] if "x-functions-key" in headers else query.get("code", "")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
