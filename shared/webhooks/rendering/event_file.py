"""Attaches the whole event to its mail as a file, without secrets."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from shared.errors import Malformed
from shared.webhooks.rendering.bounds import size_of
from shared.webhooks.sources.json_values import read_json

LARGEST_FILE: Final = 500_000  # bytes: a mail has four million in all
HIDDEN: Final = "not shown here"
# Names of secrets, which do not belong in a mail.
_SECRET: Final = re.compile(
    r"(?:secret|password|passwd|passcode|passphrase|pwd|apikey|accesskey|secretkey|token|privatekey|credentials?|"
    r"authorization|cookie)$"
)
_SIGNS: Final = re.compile(r"[\W_]+")
_IN_QUERY: Final = re.compile(r"([?&;#])([\w.\[\]-]{1,60})=([^&\s\"'<>#]+)")
_QUERY_SECRETS: Final = frozenset({"auth", "sig", "signature"})
_USER: Final = re.compile(r"://([^\s/@:]{0,100}):[^\s/@]{1,200}@")
_SCHEME: Final = re.compile(r"\b(Bearer|Basic) [\w.~+/=-]{8,}", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether a value is a secret, by its name."""
    return bool(_SECRET.search(_SIGNS.sub("", name[-100:]).lower()))


def hide_in_text(text: str) -> str:
    """A text without secrets in addresses, and without those of a header Authorization."""
    if "://" in text:
        text = _USER.sub("://\\1:\u2026@", text)
    if "=" in text:
        text = _IN_QUERY.sub(_query, text)
    return _SCHEME.sub("\\1 \u2026", text)


def _query(found: re.Match[str]) -> str:
    sign, name, value = found.groups()
    hidden = is_secret(name) or name.lower() in _QUERY_SECRETS
    return f"{sign}{name}={'\u2026' if hidden else value}"


def event_file(data: Any) -> bytes | None:
    """The event as indented JSON, with secrets hidden; None where that is more than 500,000 bytes."""
    if size_of(data, LARGEST_FILE) > LARGEST_FILE:
        return None
    text = json.dumps(_masked(data), ensure_ascii=False, indent=2)
    content = text.encode("utf-8", "replace")
    return content if len(content) <= LARGEST_FILE else None


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        pair = is_secret(str(value.get("name") or value.get("key") or ""))
        return {
            name: HIDDEN
            if (is_secret(str(name)) or (pair and name == "value")) and one not in (None, "")
            else _masked(one)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [_masked(one) for one in value]
    if not isinstance(value, str):
        return value
    if value.lstrip()[:1] in ("{", "[", '"'):  # JSON in a text
        try:
            inner = read_json(value.encode("utf-8", "replace"))
        except Malformed:
            return hide_in_text(value)
        return value if (masked := _masked(inner)) == inner else json.dumps(masked, ensure_ascii=False)
    return hide_in_text(value)
