"""Where tokens come from: App Service's managed-identity endpoint and Entra's metadata, keys and token endpoint."""

import time
import uuid
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.cloud import faults
from sandbox.cloud.directory import API_CLIENT_ID, CALLERS, IDENTITY_CLIENT_ID, TENANT
from sandbox.cloud.errors import Ids, Refusal
from sandbox.cloud.state import Cloud
from sandbox.cloud.tokens import GRAPH_AUDIENCES, ISSUER_V1, ISSUER_V2, app_claims, user_claims

# The platform caches a managed identity's token about a day.
_IDENTITY_LIFETIME = 24 * 3600
_LIFETIME = 3600
_GRAPH_SCOPES = "Mail.Read Mail.ReadWrite Mail.Send User.Read"


async def managed_identity(request: Request) -> Response:
    """`GET /msi/token`, the 2019-08-01 protocol of App Service and Functions."""
    cloud: Cloud = request.app.state.cloud
    if request.headers.get("x-identity-header") != cloud.identity_header:
        return _identity_refusal("The X-IDENTITY-HEADER header is missing or wrong.")
    query = request.query_params
    if query.get("api-version") != "2019-08-01":
        return _identity_refusal("The api-version is missing or not supported; expected 2019-08-01.")
    resource = query.get("resource", "")
    if not resource.startswith(("https://", "api://")) and not _is_guid(resource):
        return _identity_refusal("The resource is missing or not valid.")
    client_id = query.get("client_id", IDENTITY_CLIENT_ID)
    if not _is_guid(client_id):
        return _identity_refusal("No managed identity has this client_id.")
    fault = cloud.faults.draw("identity")
    if fault is not None and (instead := await faults.before(fault, Ids.of(request))) is not None:
        return instead
    token = cloud.issuer.sign(app_claims(client_id, resource, version="1", lifetime=_IDENTITY_LIFETIME))
    return JSONResponse(
        {
            "access_token": token,
            "expires_on": str(int(time.time()) + _IDENTITY_LIFETIME),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": client_id,
        }
    )


async def metadata(request: Request) -> Response:
    """OpenID Connect Discovery of the tenant, v1 and v2: the issuer differs."""
    if (refused := _wrong_tenant(request)) is not None:
        return refused
    second = "/v2.0/" in request.url.path
    root = f"{request.base_url}{TENANT}"
    return JSONResponse(
        {
            "issuer": ISSUER_V2 if second else ISSUER_V1,
            "jwks_uri": f"{root}/discovery/v2.0/keys" if second else f"{root}/discovery/keys",
            "token_endpoint": f"{root}/oauth2/v2.0/token" if second else f"{root}/oauth2/token",
            "authorization_endpoint": f"{root}/oauth2/v2.0/authorize" if second else f"{root}/oauth2/authorize",
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
    )


async def keys(request: Request) -> Response:
    """The tenant's signing keys."""
    if (refused := _wrong_tenant(request)) is not None:
        return refused
    cloud: Cloud = request.app.state.cloud
    return JSONResponse(cloud.issuer.jwks())


async def token(request: Request) -> Response:
    """`POST /{tenant}/oauth2/v2.0/token`: client_credentials (the default) or password; secrets are not asked for."""
    if (refused := _wrong_tenant(request)) is not None:
        return refused
    cloud: Cloud = request.app.state.cloud
    form = {name: values[-1] for name, values in parse_qs((await request.body()).decode("utf-8", "replace")).items()}
    try:
        claims = _claims(cloud, form)
    except _TokenError as error:
        return _entra_refusal(*error.args)
    answer = {"token_type": "Bearer", "expires_in": _LIFETIME - 1, "ext_expires_in": _LIFETIME - 1}
    if "scp" in claims:
        answer["scope"] = form["scope"]
    return JSONResponse(answer | {"access_token": cloud.issuer.sign(claims)}, headers={"Cache-Control": "no-store"})


ROUTES = [
    Route("/msi/token", managed_identity, methods=["GET"]),
    Route("/{tenant}/.well-known/openid-configuration", metadata, methods=["GET"]),
    Route("/{tenant}/v2.0/.well-known/openid-configuration", metadata, methods=["GET"]),
    Route("/{tenant}/discovery/keys", keys, methods=["GET"]),
    Route("/{tenant}/discovery/v2.0/keys", keys, methods=["GET"]),
    Route("/{tenant}/oauth2/v2.0/token", token, methods=["POST"]),
]


class _TokenError(Exception):
    """(error, AADSTS number, text)."""


def _claims(cloud: Cloud, form: dict[str, str]) -> dict[str, Any]:
    client_id = form.get("client_id", "").lower()
    if client_id not in CALLERS:
        text = f"Application with identifier '{client_id}' was not found in the directory."
        raise _TokenError("unauthorized_client", 700016, text)
    grant = form.get("grant_type", "client_credentials")
    resource, _, permission = form.get("scope", "").rpartition("/")
    delegated = grant == "password"
    allowed = {".default", "Mail.Send"} if delegated else {".default"}
    if permission not in allowed:
        raise _TokenError(
            "invalid_scope",
            70011,
            f"The provided value for the input parameter 'scope' is not valid: {form.get('scope', '')!r}.",
        )
    version = "1" if form.get("version") == "1" else "2"
    if resource.removeprefix("api://") == API_CLIENT_ID:
        audience, scopes = API_CLIENT_ID, "Mail.Send"
    elif resource.rstrip("/") in GRAPH_AUDIENCES:
        audience, version, scopes = resource, "1", _GRAPH_SCOPES
    else:
        text = f"The resource principal named {resource} was not found in the tenant."
        raise _TokenError("invalid_resource", 500011, text)
    if grant == "client_credentials":
        return app_claims(client_id, audience, version=version, lifetime=_LIFETIME)
    if not delegated:
        raise _TokenError("unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{grant}'.")
    try:
        address = cloud.directory.mailbox(form.get("username", ""))
    except Refusal:
        raise _TokenError("invalid_grant", 50034, "The user account does not exist in the directory.") from None
    return user_claims(address, client_id, audience, version=version, scopes=scopes, lifetime=_LIFETIME)


def _wrong_tenant(request: Request) -> Response | None:
    tenant = request.path_params["tenant"]
    if tenant.lower() == TENANT:
        return None
    return _entra_refusal("invalid_tenant", 90002, f"Tenant '{tenant}' not found.")


def _entra_refusal(error: str, number: int, text: str) -> Response:
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    body = {
        "error": error,
        "error_description": f"AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation}",
        "error_codes": [number],
        "trace_id": trace,
        "correlation_id": correlation,
    }
    return JSONResponse(body, 400)


def _identity_refusal(text: str) -> Response:
    return JSONResponse({"statusCode": 400, "message": text, "correlationId": str(uuid.uuid4())}, 400)


def _is_guid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
