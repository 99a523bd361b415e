"""Addresses: their syntax (RFC 5321 and 6531, without comments and routes) and the recipients of a message."""

import re
from typing import Any

from sandbox.cloud.errors import Refusal

KINDS = ("toRecipients", "ccRecipients", "bccRecipients")
MAX_RECIPIENTS = 500

_ATOM = r"[^\s\x00-\x20\x7f()<>\[\]:;@\\,.\"]+"
_LABEL = r"[^\W_](?:(?:[^\W_]|-)*[^\W_])?"
_ADDRESS = re.compile(
    rf"""(?P<local>{_ATOM}(?:\.{_ATOM})*|"(?:[^"\\\x00-\x1f]|\\[\x20-\x7e])*")"""
    rf"@(?P<domain>{_LABEL}(?:\.{_LABEL})+|\[[0-9A-Fa-f.:]+\])"
)


def is_address(text: str) -> bool:
    """Whether `text` is one mail address that Exchange could resolve."""
    match = _ADDRESS.fullmatch(text)
    if match is None or len(text) > 320 or len(match["local"].encode()) > 64:  # noqa: PLR2004 - RFC 5321, 4.5.3.1
        return False
    return all(len(label) <= 63 for label in match["domain"].split("."))  # noqa: PLR2004 - RFC 1035, 2.3.4


def address_of(recipient: Any) -> str | None:
    """The address in a `microsoft.graph.recipient`, or None."""
    email = recipient.get("emailAddress") if isinstance(recipient, dict) else None
    address = email.get("address") if isinstance(email, dict) else None
    return address if isinstance(address, str) else None


def recipients_of(message: dict[str, Any]) -> list[str]:
    """All addresses the message goes to, in the order to, cc, bcc; missing ones as the empty text."""
    return [address_of(recipient) or "" for kind in KINDS for recipient in message.get(kind) or ()]


def check_recipients(addresses: list[str]) -> None:
    """Raises Refusal 400 for none, for more than 500, and for any that is no address."""
    if not addresses:
        text = "At least one recipient isn't valid., A message can't be sent because it contains no recipients."
        raise Refusal(400, "ErrorInvalidRecipients", text)
    if len(addresses) > MAX_RECIPIENTS:
        text = f"The message has {len(addresses)} recipients; the limit is {MAX_RECIPIENTS}."
        raise Refusal(400, "ErrorInvalidRecipients", text)
    for address in addresses:
        if not is_address(address):
            text = (
                f"At least one recipient is not valid., Recipient '{address}' is not resolved. "
                "All recipients must be resolved before a message can be submitted."
            )
            raise Refusal(400, "ErrorInvalidRecipients", text)
