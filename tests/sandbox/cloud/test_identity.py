"""The managed-identity endpoint, and tokens, metadata and keys as Entra has them."""

import time

import httpx
import jwt
import pytest

from sandbox.cloud.app import Options, create_app
from sandbox.cloud.directory import API_CLIENT_ID, CALLER_CLIENT_ID, IDENTITY_CLIENT_ID, SENDER_OID, TENANT
from tests.sandbox.cloud.emulator import API_SCOPE, TOKEN_PATH, Emulator

MSI = {"api-version": "2019-08-01", "resource": "https://graph.microsoft.com"}
V2_METADATA = f"/{TENANT}/v2.0/.well-known/openid-configuration"


async def read(emulator: Emulator, token: str, **checks: str) -> dict[str, object]:
    """The claims, verified as a client of Entra does: metadata, keys, kid."""
    metadata = (await emulator.client.get(V2_METADATA)).json()
    keys = jwt.PyJWKSet.from_dict((await emulator.client.get(metadata["jwks_uri"])).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=["RS256"], **checks)  # type: ignore[arg-type]  # audience and issuer


@pytest.mark.parametrize(
    "resource",
    [
        "https://graph.microsoft.com",
        "https://storage.azure.com",
        "https://vault.azure.net",
    ],
)
async def test_the_managed_identity_gets_a_token_for_the_resource(emulator: Emulator, resource: str) -> None:
    answer = await emulator.client.get(
        "/msi/token", params=MSI | {"resource": resource}, headers={"X-IDENTITY-HEADER": "secret"}
    )
    body = answer.json()
    assert answer.status_code == 200
    assert body["expires_on"].isdigit()
    assert int(body["expires_on"]) - time.time() == pytest.approx(24 * 3600, abs=60)
    assert (body["resource"], body["token_type"], body["client_id"]) == (resource, "Bearer", IDENTITY_CLIENT_ID)
    claims = await read(emulator, body["access_token"], audience=resource)
    assert claims["appid"] == IDENTITY_CLIENT_ID
    assert "roles" not in claims


@pytest.mark.parametrize(
    ("header", "params"),
    [
        ("wrong", MSI),
        (None, MSI),
        ("secret", {**MSI, "api-version": "2018-02-01"}),
        ("secret", {"api-version": "2019-08-01"}),
        ("secret", {**MSI, "resource": "nonsense"}),
        ("secret", {**MSI, "client_id": "nobody"}),
    ],
)
async def test_the_identity_endpoint_refuses_what_is_wrong(
    emulator: Emulator, header: str | None, params: dict[str, str]
) -> None:
    headers = {} if header is None else {"X-IDENTITY-HEADER": header}
    answer = await emulator.client.get("/msi/token", params=params, headers=headers)
    assert answer.status_code == 400
    assert "access_token" not in answer.text


@pytest.mark.parametrize("version", ["1", "2"])
async def test_an_application_gets_a_token_of_either_version_with_the_role(emulator: Emulator, version: str) -> None:
    """The second is the default."""
    form = {"client_id": CALLER_CLIENT_ID, "scope": API_SCOPE} | ({"version": "1"} if version == "1" else {})
    answer = await emulator.client.post(TOKEN_PATH, data=form)
    second = {"audience": API_CLIENT_ID, "issuer": f"https://login.microsoftonline.com/{TENANT}/v2.0"}
    first = {"audience": f"api://{API_CLIENT_ID}", "issuer": f"https://sts.windows.net/{TENANT}/"}
    claims = await read(emulator, answer.json()["access_token"], **(first if version == "1" else second))
    assert (claims["ver"], claims["tid"], claims["roles"]) == (f"{version}.0", TENANT, ["Mail.Send"])
    assert claims["appid" if version == "1" else "azp"] == CALLER_CLIENT_ID
    assert claims["idtyp"] == "app"
    assert claims["oid"] == claims["sub"]
    assert {"iat", "nbf", "exp"} <= claims.keys()
    assert "scp" not in claims


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_user_gets_a_delegated_token(emulator: Emulator, version: str) -> None:
    form = {
        "client_id": CALLER_CLIENT_ID,
        "scope": f"api://{API_CLIENT_ID}/Mail.Send",
        "grant_type": "password",
        "username": "Mailroom@Sandbox.Example",
        "password": "any",
        "version": version,
    }
    answer = await emulator.client.post(TOKEN_PATH, data=form)
    audience = API_CLIENT_ID if version == "2" else f"api://{API_CLIENT_ID}"
    claims = await read(emulator, answer.json()["access_token"], audience=audience)
    assert (claims["scp"], claims["oid"]) == ("Mail.Send", SENDER_OID)
    assert claims["preferred_username" if version == "2" else "upn"] == "mailroom@sandbox.example"
    assert "idtyp" not in claims
    assert "roles" not in claims


@pytest.mark.parametrize(
    ("changes", "error", "number"),
    [
        ({"client_id": "nobody"}, "unauthorized_client", 700016),
        ({"scope": ""}, "invalid_scope", 70011),
        ({"scope": "Mail.Send"}, "invalid_resource", 500011),
        ({"scope": f"api://{API_CLIENT_ID}/Mail.Send"}, "invalid_scope", 70011),
        ({"scope": "api://other/.default"}, "invalid_resource", 500011),
        ({"grant_type": "magic"}, "unsupported_grant_type", 70003),
        ({"grant_type": "password", "username": "nobody@sandbox.example"}, "invalid_grant", 50034),
        ({"grant_type": "password"}, "invalid_grant", 50034),
    ],
)
async def test_the_token_endpoint_refuses_as_entra_does(
    emulator: Emulator, changes: dict[str, str], error: str, number: int
) -> None:
    form = {"client_id": CALLER_CLIENT_ID, "scope": API_SCOPE} | changes
    if changes == {"scope": "Mail.Send"}:
        form["grant_type"] = "password"
    answer = await emulator.client.post(TOKEN_PATH, data=form)
    assert answer.status_code == 400
    assert answer.json()["error"] == error
    assert answer.json()["error_description"].startswith(f"AADSTS{number}: ")


async def test_a_minted_token_is_as_bad_as_asked_for(emulator: Emulator) -> None:
    body = {"claims": {"aud": "other", "roles": None}, "headers": {"kid": "unknown"}, "version": "1", "lifetime": -60}
    token = (await emulator.control("POST", "mint", body))["token"]
    assert jwt.get_unverified_header(token)["kid"] == "unknown"
    key = emulator.cloud.issuer.jwks()["keys"][-1]
    claims = jwt.decode(token, jwt.PyJWK(key), algorithms=["RS256"], audience="other", options={"verify_exp": False})
    assert "roles" not in claims
    assert claims["ver"] == "1.0"
    assert claims["exp"] < time.time()
    user = await emulator.control("POST", "mint", {"user": "orders@sandbox.example", "headers": {"kid": None}})
    assert "kid" not in jwt.get_unverified_header(user["token"])


async def test_rotation_makes_a_new_key_and_keeps_the_old_one() -> None:
    app = create_app(Options(identity_header="secret"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:1") as client:
        form = {"client_id": CALLER_CLIENT_ID, "scope": API_SCOPE}
        old = (await client.post(TOKEN_PATH, data=form)).json()["access_token"]
        kid = (await client.post("/_control/rotate")).json()["kid"]
        new = (await client.post(TOKEN_PATH, data=form)).json()["access_token"]
        keys = jwt.PyJWKSet.from_dict((await client.get(f"/{TENANT}/discovery/v2.0/keys")).json())
    assert jwt.get_unverified_header(new)["kid"] == kid != jwt.get_unverified_header(old)["kid"]
    for token in (old, new):
        jwt.decode(token, keys[jwt.get_unverified_header(token)["kid"]], algorithms=["RS256"], audience=API_CLIENT_ID)
