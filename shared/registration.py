"""The app registration of this API: a setting, so it stands apart from what verifies tokens by it."""

from dataclasses import dataclass

__all__ = ["Registration"]


@dataclass(frozen=True, slots=True)
class Registration:
    """The Entra app registration of this API.

    tenant, client_id: GUIDs. authority: where the tenant's metadata is, `https://login.microsoftonline.com`.
    """

    tenant: str
    client_id: str
    authority: str = "https://login.microsoftonline.com"
