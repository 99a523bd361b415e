"""The app's managed identity, as every client here asks for its tokens.

Unlike the SDK's own, it takes seconds at most for a token, every failure is an azure-core error, and no proxy is read
from the environment.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.identity.aio import ManagedIdentityCredential

from shared.event_loop import within

PATIENCE: Final = 8.0  # seconds for a token, its retries included
# The identity endpoint is on the same machine: it answers at once, unless it is starting.
RETRIES: Final = 3
BACKOFF: Final = 0.2


class Identity(ManagedIdentityCredential):
    """client_id: of a user-assigned identity, None: the app's own. patience: seconds for a token."""

    def __init__(self, client_id: str | None, patience: float = PATIENCE) -> None:
        super().__init__(client_id=client_id, retry_total=RETRIES, retry_backoff_factor=BACKOFF, use_env_settings=False)
        self._patience = patience

    async def get_token(
        self, *scopes: str, claims: str | None = None, tenant_id: str | None = None, **kwargs: Any
    ) -> AccessToken:
        """Raises AzureError."""
        async with _in_time(self._patience):
            token: AccessToken = await super().get_token(*scopes, claims=claims, tenant_id=tenant_id, **kwargs)
        return token

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """The same, as newer clients ask. Raises AzureError."""
        async with _in_time(self._patience):
            token: AccessTokenInfo = await super().get_token_info(*scopes, options=options)
        return token


@asynccontextmanager
async def _in_time(patience: float) -> AsyncIterator[None]:
    try:
        async with within(patience):
            yield
    except AzureError:
        raise
    except TimeoutError as error:
        raise ClientAuthenticationError(f"no token within {patience:g} seconds") from error
    except Exception as error:  # an answer without `resource` ends in a KeyError, for one
        raise ClientAuthenticationError(f"no token: {type(error).__name__}") from error
