"""The app's managed identity: the one credential that all clients use.

It differs from the SDK's credential in three ways: it gives up after some seconds, every failure is an azure-core
error, and it reads no proxy from the environment.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.identity.aio import ManagedIdentityCredential

from shared.event_loop import within

PATIENCE: Final = 8.0  # seconds for a token, its retries included
# The identity endpoint is on the same machine: it answers at once, unless it is starting.
RETRIES: Final = 3
BACKOFF: Final = 0.2
RENEWED: Final = 300  # seconds before its end a token is renewed that does not say when


class Identity(ManagedIdentityCredential):
    """client_id: of a user-assigned identity, None: the app's own. patience: seconds for a token.

    A token is remembered until it says that it is to be renewed: every request to Graph and to storage needs one, and
    what the SDK does before it finds the same in its cache costs more than anything else about it.
    """

    def __init__(self, client_id: str | None, patience: float = PATIENCE) -> None:
        super().__init__(client_id=client_id, retry_total=RETRIES, retry_backoff_factor=BACKOFF, use_env_settings=False)
        self._patience = patience
        self._known: dict[tuple[str, ...], AccessTokenInfo] = {}

    async def get_token(
        self, *scopes: str, claims: str | None = None, tenant_id: str | None = None, **kwargs: Any
    ) -> AccessToken:
        """Raises AzureError."""
        given = {"claims": claims, "tenant_id": tenant_id, "enable_cae": kwargs.get("enable_cae")}
        options = cast("TokenRequestOptions", {name: value for name, value in given.items() if value is not None})
        token = await self.get_token_info(*scopes, options=options)
        return AccessToken(token.token, token.expires_on)

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """The same, as newer clients ask. With claims it is a new one. Raises AzureError."""
        known = self._known.get(scopes)
        if known is None or (options and "claims" in options) or _renewal(known) <= time.time():
            async with _in_time(self._patience):
                known = self._known[scopes] = await super().get_token_info(*scopes, options=options)
        return known


def _renewal(token: AccessTokenInfo) -> float:
    return token.refresh_on or token.expires_on - RENEWED


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
