"""Who exists: the tenant, its applications and its mailboxes.

Every address of `sandbox.example` has a mailbox, but for two that exist to fail. An object id is arithmetic on the
address, so it is the same in every run; the emulator resolves it once it has seen the address.
"""

import uuid

from sandbox.cloud.errors import Refusal
from sandbox.cloud.recipients import is_address

TENANT = "7b1e5c2a-0f7d-4c55-9d7e-5a0d0c10a001"
# The app registration of Mailroom's own API.
API_CLIENT_ID = "7b1e5c2a-0f7d-4c55-9d7e-5a0d0c10b001"
# Programs that call that API.
CALLER_CLIENT_ID = "7b1e5c2a-0f7d-4c55-9d7e-5a0d0c10c001"
OTHER_CALLER_CLIENT_ID = "7b1e5c2a-0f7d-4c55-9d7e-5a0d0c10c002"
CALLERS = frozenset({CALLER_CLIENT_ID, OTHER_CALLER_CLIENT_ID})
# The system-assigned managed identity of the function app.
IDENTITY_CLIENT_ID = "7b1e5c2a-0f7d-4c55-9d7e-5a0d0c10d001"

DOMAIN = "sandbox.example"
SENDER = f"mailroom@{DOMAIN}"
SENDER_OID = "7b1e5c2a-0f7d-4c55-9d7e-5a0d0c10e001"
KNOWN = (SENDER, f"alerts@{DOMAIN}", f"orders@{DOMAIN}", *(f"shared{n}@{DOMAIN}" for n in range(1, 21)))
MISSING = f"nobody@{DOMAIN}"
WITHOUT_EXCHANGE = f"noexchange@{DOMAIN}"


def object_id(name: str) -> str:
    """The object id of a user (by address, any case) or of a service principal (by client id)."""
    name = name.lower()
    return SENDER_OID if name == SENDER else str(uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox:{name}"))


class Directory:
    """The mailboxes of the tenant and who may send as whom."""

    def __init__(self) -> None:
        self._addresses = {object_id(address): address for address in KNOWN}
        self._grants: set[tuple[str, str]] = set()

    def address(self, key: str) -> str:
        """The lower-cased address for an address or object id, whether there is a mailbox or not."""
        name = key.strip().lower()
        return self._addresses.get(name, name)

    def mailbox(self, key: str) -> str:
        """The same of a mailbox. Raises Refusal 404 as Exchange does where there is none."""
        address = self.address(key)
        if address == WITHOUT_EXCHANGE:
            raise Refusal(
                404,
                "MailboxNotEnabledForRESTAPI",
                "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
            )
        if address == MISSING or not address.endswith(f"@{DOMAIN}") or not is_address(address):
            raise Refusal(404, "ErrorInvalidUser", f"The requested user '{key}' is invalid.")
        self._addresses.setdefault(object_id(address), address)
        return address

    def may_send_as(self, mailbox: str, address: str) -> bool:
        """Whether a mail of `mailbox` may name `address` in `from` or `sender`."""
        address = self.address(address)
        return address == mailbox or (mailbox, address) in self._grants

    def grant(self, mailbox: str, address: str) -> None:
        """Lets `mailbox` send as `address`."""
        self._grants.add((self.mailbox(mailbox), address.strip().lower()))

    def grants(self) -> list[dict[str, str]]:
        return [{"mailbox": mailbox, "sendAs": address} for mailbox, address in sorted(self._grants)]

    def clear_grants(self) -> None:
        self._grants.clear()
