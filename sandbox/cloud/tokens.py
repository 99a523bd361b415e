"""Tokens as Entra issues them: the signing keys, the claims of each kind, and what Graph checks in its own."""

import base64
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.cloud.directory import API_CLIENT_ID, TENANT, object_id
from sandbox.cloud.errors import Refusal

ISSUER_V1 = f"https://sts.windows.net/{TENANT}/"
ISSUER_V2 = f"https://login.microsoftonline.com/{TENANT}/v2.0"
# Microsoft's published endpoints: global, US government (GCC High, DoD), China (21Vianet), and Graph's application id.
GRAPH_AUDIENCES = frozenset(
    {
        "https://graph.microsoft.com",
        "https://graph.microsoft.us",
        "https://dod-graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
        "00000003-0000-0000-c000-000000000000",
    }
)

type Claims = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a token for Graph stands for. scopes is None for an application, the delegated scopes for a user."""

    app_id: str
    oid: str
    scopes: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class _SigningKey:
    kid: str
    private: rsa.RSAPrivateKey


class Issuer:
    """Signs tokens with the newest of its keys and publishes all of them."""

    def __init__(self) -> None:
        self._keys: list[_SigningKey] = []
        self.rotate()

    def rotate(self) -> str:
        """Makes a new signing key, keeps the old ones published, and gives the new `kid`."""
        key = _SigningKey(_unpadded(uuid.uuid4().bytes), rsa.generate_private_key(public_exponent=65537, key_size=2048))
        self._keys.append(key)
        return key.kid

    def jwks(self) -> dict[str, Any]:
        """The public keys, as `discovery/v2.0/keys` answers them (RFC 7517)."""
        return {"keys": [_jwk(key) for key in self._keys]}

    def sign(self, claims: Mapping[str, Any], headers: Mapping[str, Any] | None = None) -> str:
        """A signed token. `headers` are added to kid; one that is None is left out."""
        key = self._keys[-1]
        given = {"kid": key.kid, **(headers or {})}
        return jwt.encode(
            dict(claims),
            key.private,
            algorithm="RS256",
            headers={name: value for name, value in given.items() if value is not None},
        )

    def graph_caller(self, authorization: str | None) -> Caller:
        """Whom the Authorization header of a request to Graph stands for. Raises Refusal 401."""
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise _unauthenticated("Access token is empty.")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = next((key for key in self._keys if key.kid == kid), None)
            if key is None:
                raise _unauthenticated("Access token validation failure. Invalid signature.")
            claims = jwt.decode(
                token,
                key.private.public_key(),
                algorithms=["RS256"],
                options={"verify_aud": False, "require": ["exp", "nbf", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise _unauthenticated("Lifetime validation failed, the token is expired.") from None
        except jwt.InvalidTokenError:
            raise _unauthenticated("Access token validation failure.") from None
        return _caller(claims)


def app_claims(client_id: str, audience: str = API_CLIENT_ID, *, version: str = "2", lifetime: int = 3600) -> Claims:
    """An application's token. The audience of Mailroom's API comes as Entra writes it for the version (1 or 2) and
    carries the app role Mail.Send; Graph's carries none, as under RBAC for Applications.
    """
    claims: Claims = {**_common(audience, version, lifetime), "idtyp": "app"}
    claims |= {"oid": object_id(client_id), "sub": object_id(client_id)}
    claims |= {"appid": client_id, "appidacr": "1"} if version == "1" else {"azp": client_id, "azpacr": "1"}
    if audience in {API_CLIENT_ID, f"api://{API_CLIENT_ID}"}:
        claims["roles"] = ["Mail.Send"]
    return claims


def user_claims(  # noqa: PLR0913 - each is one claim
    address: str,
    client_id: str,
    audience: str = API_CLIENT_ID,
    *,
    version: str = "2",
    scopes: str = "Mail.Send",
    lifetime: int = 3600,
) -> Claims:
    """A delegated token of the user with this address."""
    claims: Claims = {**_common(audience, version, lifetime), "scp": scopes, "name": address.partition("@")[0]}
    claims |= {"oid": object_id(address), "sub": _unpadded(uuid.uuid5(uuid.NAMESPACE_URL, address + client_id).bytes)}
    if version == "1":
        return claims | {"appid": client_id, "appidacr": "0", "upn": address, "unique_name": address}
    return claims | {"azp": client_id, "azpacr": "0", "preferred_username": address}


def _common(audience: str, version: str, lifetime: int) -> Claims:
    now = int(time.time())
    first = version == "1"
    return {
        "aud": f"api://{API_CLIENT_ID}" if first and audience == API_CLIENT_ID else audience,
        "iss": ISSUER_V1 if first else ISSUER_V2,
        "iat": now,
        "nbf": now,
        "exp": now + lifetime,
        "tid": TENANT,
        "uti": _unpadded(uuid.uuid4().bytes),
        "ver": "1.0" if first else "2.0",
    }


def _caller(claims: Claims) -> Caller:
    audience = claims["aud"]
    if not isinstance(audience, str) or audience.rstrip("/") not in GRAPH_AUDIENCES:
        raise _unauthenticated("Access token validation failure. Invalid audience.")
    if claims["iss"] not in {ISSUER_V1, ISSUER_V2} or claims.get("tid") != TENANT:
        raise _unauthenticated("Access token validation failure. Invalid issuer.")
    scopes = claims.get("scp")
    app_id = str(claims.get("appid") or claims.get("azp") or "")
    return Caller(app_id, str(claims.get("oid", "")), None if scopes is None else frozenset(str(scopes).split()))


def _unauthenticated(message: str) -> Refusal:
    challenge = f'Bearer realm="", authorization_uri="https://login.microsoftonline.com/{TENANT}/oauth2/authorize"'
    return Refusal(401, "InvalidAuthenticationToken", message, {"WWW-Authenticate": challenge})


def _jwk(key: _SigningKey) -> dict[str, str]:
    numbers = key.private.public_key().public_numbers()
    modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)
    exponent = numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8)
    return {
        "kty": "RSA",
        "use": "sig",
        "kid": key.kid,
        "n": _unpadded(modulus),
        "e": _unpadded(exponent),
    }


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
