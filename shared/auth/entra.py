"""Verifies the Microsoft Entra access tokens of callers.

Entra issues tokens of version 1 and of version 2 for the same registration. They differ in issuer, in audience, and in
the claim that names the application. A token is accepted if it is signed (RS256) with a key that the tenant's metadata
lists for that version, and if its version, issuer, tenant, audience and times are right.
https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-tokens

Importing this module loads no cryptography and no HTTP client; the first token does.
"""

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.auth.entra_keys import Fetch, SigningKeys, fetch
from shared.errors import NotAllowed, Unauthenticated
from shared.settings.address_patterns import GUID
from shared.settings.clouds import Registration
from shared.settings.config import Settings

if TYPE_CHECKING:
    from jwt import PyJWK

LONGEST_HEADER = 16 * 1024  # characters; Entra's tokens stay below, with every group and role in them
LEEWAY = 60  # seconds that two clocks may differ
LATEST = 253_402_300_799  # the end of the year 9999, in seconds since 1970
OPERATE = "Mailroom.Operate"  # the app role of operators
# The scope of an application with which a person operates. Not the role's name: Entra keeps both in one namespace.
OPERATE_AS_USER = "Mailroom.OperateAsUser"
NO_OPERATOR = (
    f"This needs the app role {OPERATE}; and where a user is signed in, the scope {OPERATE_AS_USER} too, in a token of "
    "an application that MAIL_OPERATOR_APPS names."
)
# Seconds for which a verified token is not verified again: clients send the same token for an hour, and verifying costs
# as much as reading a mail. A token is forgotten when it ends, and a withdrawn key works no longer than this.
REMEMBERED = 60.0
MOST_REMEMBERED = 1000
_BEARER = re.compile(r"bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*) *", re.IGNORECASE | re.ASCII)


type _Guid = Annotated[str, Meta(pattern=rf"(?i)\A{GUID.pattern}\Z")]  # of applications, users and service principals
_UNTIL = Meta(ge=0, le=LATEST)
type _Time = Annotated[int, _UNTIL] | Annotated[float, _UNTIL]  # NumericDate, RFC 7519, section 2


class _Claims(msgspec.Struct, frozen=True):
    """The claims that are read, by the type that Entra gives them; appid or azp names the application, by `ver`.

    https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
    """

    aud: str  # PyJWT also takes a list, of which Entra writes none
    iss: str
    exp: _Time  # PyJWT also takes a number in a string
    nbf: _Time
    iat: _Time
    tid: str
    oid: _Guid
    ver: Literal["1.0", "2.0"]
    appid: _Guid | UnsetType = UNSET
    azp: _Guid | UnsetType = UNSET
    sub: str | UnsetType = UNSET
    idtyp: str | UnsetType = UNSET
    scp: str | UnsetType = UNSET
    roles: frozenset[str] = frozenset()

    @property
    def is_app_only(self) -> bool:
        """Whether a token without `scp` is an application's own.

        An id token has no `scp` either, the same issuer, audience and keys, and a user's roles; but its subject is the
        user as this application sees it, where an application's subject is its own object id.
        https://learn.microsoft.com/entra/identity-platform/optional-claims-reference (idtyp)
        """
        return self.idtyp in (UNSET, "app") and self.sub == self.oid


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a verified token speaks for. GUIDs in lower case.

    user: the object id of the user on whose behalf the application acts, if delegated. A delegated caller has the
    user's rights and no more: its roles are the user's, not the application's.
    """

    application_id: str
    tenant: str
    user: str | None = field(default=None, repr=False)
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    delegated: bool = False

    @property
    def scope(self) -> str:
        """The scope of the caller's keys and mails; it sees no others. Users of an application have separate scopes."""
        scope = f"http:{self.tenant}:{self.application_id}"
        return f"{scope}:{self.user}" if self.delegated else scope


def operates(caller: Caller, settings: Settings) -> bool:
    """Whether this is an operator. An application is one by its role.

    A user's role is in every token of theirs for this API, whichever application asked for it and for what: so the
    application must be one that is meant for operating, and the user, or an administrator, must have consented to it.
    """
    if OPERATE not in caller.roles:
        return False
    return not caller.delegated or (
        OPERATE_AS_USER in caller.scopes and caller.application_id in settings.operator_apps
    )


def require(caller: Caller, permission: str = "Mail.Send") -> None:
    """Raise NotAllowed unless the application has the app role, or acts for a user with the scope, `permission`."""
    granted = caller.scopes if caller.delegated else caller.roles
    if permission not in granted:
        kind = "scope" if caller.delegated else "app role"
        raise NotAllowed(f"Access is denied. The token has no {kind} {permission} for this API.")


class TokenVerifier:
    """Verifies the tokens of one registration. One per process and event loop: it keeps the tenant's keys."""

    def __init__(
        self, registration: Registration, fetch: Fetch = fetch, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """clock: in seconds, for the age of keys only; tokens are checked by the time of day."""
        client_id = registration.client_id.lower()
        self._tenant = registration.tenant.lower()
        self._audiences = [client_id, f"api://{client_id}"]
        self._keys = SigningKeys(self._tenant, registration.authority, fetch, clock)
        self._clock = clock
        self._remembered: dict[bytes, tuple[Caller, float]] = {}  # by the token's hash; until when, of the clock

    async def verify(self, authorization: str | None) -> Caller:
        """Who sent this Authorization header.

        Raises Unauthenticated when the header proves nothing, and KeysUnavailable when that cannot be decided.
        """
        token = _bearer_token(authorization)
        name = hashlib.sha256(token.encode()).digest()
        caller, until = self._remembered.get(name, (None, 0.0))
        if caller is not None and self._clock() < until:
            return caller
        version, key_id = _read(token)
        found = await self._keys.find(version, key_id)
        if found is None:
            raise Unauthenticated("Access token validation failure. The signing key is unknown.")
        key, issuer = found
        claims = _verified(token, key, issuer, self._audiences)
        caller = self._caller(claims)
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[name] = caller, self._clock() + min(REMEMBERED, claims.exp + LEEWAY - time.time())
        return caller

    async def ready(self) -> None:
        """Return if the tenant's keys can be fetched. Raises KeysUnavailable."""
        await self._keys.load("2.0")

    def _caller(self, claims: _Claims) -> Caller:
        if claims.tid != self._tenant:
            raise Unauthenticated("Access token validation failure. Invalid tenant.")
        application = claims.appid if claims.ver == "1.0" else claims.azp
        # A token with `scp` acts for a user, whatever `roles` says: a user's token carries the user's roles too.
        delegated = claims.scp is not UNSET
        if application is UNSET or not (delegated or claims.is_app_only):
            raise Unauthenticated("Access token validation failure. This is not an access token for this API.")
        return Caller(
            application_id=application.lower(),
            tenant=self._tenant,
            user=claims.oid.lower() if delegated else None,
            roles=claims.roles,
            scopes=frozenset() if claims.scp is UNSET else frozenset(claims.scp.split()),
            delegated=delegated,
        )


def _bearer_token(authorization: str | None) -> str:
    if not authorization:
        raise Unauthenticated("Access token is empty.")
    match = _BEARER.fullmatch(authorization) if len(authorization) <= LONGEST_HEADER else None
    if not match:
        raise Unauthenticated("The Authorization header is invalid; expected `Bearer` and an access token.")
    return match[1]


def _read(token: str) -> tuple[str, str]:
    """Version and key id that an unverified token claims to have."""
    import jwt

    try:
        unproved = jwt.decode_complete(token, options={"verify_signature": False})
    except Exception as error:  # a token is untrusted input, and a parser that fails has rejected it
        raise Unauthenticated("The access token cannot be read.") from error
    version, key_id, algorithm = unproved["payload"].get("ver"), *map(unproved["header"].get, ("kid", "alg"))
    if algorithm != "RS256" or version not in ("1.0", "2.0") or not isinstance(key_id, str):
        text = "The access token is not from Microsoft Entra; expected RS256, a key id, and version 1.0 or 2.0."
        raise Unauthenticated(text)
    return version, key_id


def _verified(token: str, key: "PyJWK", issuer: str, audiences: list[str]) -> _Claims:
    import jwt

    reasons: dict[type[Exception], str] = {
        jwt.ExpiredSignatureError: "Lifetime validation failed, the token is expired.",
        jwt.ImmatureSignatureError: "Lifetime validation failed, the token is not yet valid.",
        jwt.InvalidAudienceError: "Access token validation failure. Invalid audience.",
        jwt.InvalidIssuerError: "Access token validation failure. Invalid issuer.",
    }
    try:
        claims = jwt.decode(token, key, algorithms=["RS256"], audience=audiences, issuer=issuer, leeway=LEEWAY)
        return msgspec.convert(claims, _Claims)
    except msgspec.ValidationError as error:  # which names the claim, not its value
        raise Unauthenticated(f"Access token validation failure. {error}.") from error
    except Exception as error:  # as above
        raise Unauthenticated(reasons.get(type(error), "Access token validation failure.")) from error
