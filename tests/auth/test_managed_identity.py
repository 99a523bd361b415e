"""How long a token of the managed identity is used before a new one is asked for."""

import time

import pytest
from azure.core.credentials import AccessTokenInfo, TokenRequestOptions
from azure.identity.aio import ManagedIdentityCredential

from shared.auth.managed_identity import Identity


class Endpoint:
    """Its tokens are numbered, and live for so many seconds. refreshed: after how many they are to be renewed."""

    def __init__(self, lifetime: int, refreshed: int | None = None) -> None:
        self.asked = 0
        self._lifetime, self._refreshed = lifetime, refreshed

    async def give(self, *_: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        del options
        self.asked += 1
        now = int(time.time())
        again = None if self._refreshed is None else now + self._refreshed
        return AccessTokenInfo(f"token-{self.asked}", now + self._lifetime, refresh_on=again)


@pytest.mark.parametrize(
    ("lifetime", "refreshed", "asked"), [(3600, None, 1), (200, None, 2), (86400, 0, 2), (86400, 43200, 1)]
)
async def test_a_token_is_renewed_when_it_says_or_before_it_ends(
    monkeypatch: pytest.MonkeyPatch, lifetime: int, refreshed: int | None, asked: int
) -> None:
    endpoint = Endpoint(lifetime, refreshed)
    monkeypatch.setattr(ManagedIdentityCredential, "get_token_info", endpoint.give)
    async with Identity(None) as identity:
        await identity.get_token_info("a")
        assert (await identity.get_token("a")).token == f"token-{asked}"


async def test_each_resource_has_its_own_token_and_claims_get_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint(3600)
    monkeypatch.setattr(ManagedIdentityCredential, "get_token_info", endpoint.give)
    async with Identity(None) as identity:
        found = [(await identity.get_token(scope)).token for scope in ("a", "b", "a")]
        assert found == ["token-1", "token-2", "token-1"]
        assert (await identity.get_token("a", claims="{}")).token == "token-3"
        assert (await identity.get_token("a")).token == "token-3"
