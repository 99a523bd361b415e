"""The connection to Microsoft Graph: the official SDK's client under the app's managed identity.

One per process and event loop, opened on first use: the imports and the first client cost tenths of a second, and an
HTTP client cannot be shared by two loops.

What differs from the SDK's defaults, and why:

- No RetryHandler. It repeats a POST after 503 and 504, which can send a mail twice. Only shared/delivery retries.
- No RedirectHandler. It turns a redirected POST into a GET, whose 200 looks like success.
- No second request after a claims challenge (401), for the same reason. The refused token is not used again.
- HTTP/1.1. Graph accepts four requests at a time for a mailbox, so sharing one HTTP/2 connection saves little; and when
  it breaks, the outcome of every mail on it is unknown.
- An authentication provider of our own (kiota's extension point). `ensure_token` fetches the token before a request is
  built; the SDK's provider would fetch it a second time.
- A transport of our own (transport.py), which is twice as fast and records how far a request came.
- Models that do not track changes (PlainStore in mail/sdk_message.py).
- No URLs in spans and logs, because URLs name the mailbox. The SDK's option is set; its UrlReplaceHandler, which writes
  the URL into a span all the same, is left out (only `/me` needs it); and httpx's request lines are filtered.
- No proxy from the environment: the network decides how Graph and the identity endpoint are reached.
"""

import contextlib
import importlib
import logging
import time
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from azure.core.exceptions import AzureError
from kiota_abstractions.authentication import AuthenticationProvider
from kiota_abstractions.request_information import RequestInformation
from kiota_http.middleware import ParametersNameDecodingHandler
from kiota_http.observability_options import ObservabilityOptions
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_request_adapter import options as sdk_options
from msgraph.graph_service_client import GraphServiceClient

# msgraph_core has types but does not say so (no py.typed).
from msgraph_core import GraphClientFactory  # type: ignore[import-untyped]
from msgraph_core.middleware import GraphTelemetryHandler  # type: ignore[import-untyped]
from msgraph_core.middleware.options import GraphTelemetryHandlerOption  # type: ignore[import-untyped]

from shared.auth.managed_identity import Identity
from shared.graph.transport import AiohttpTransport, PhaseHandler
from shared.settings.clouds import GraphEndpoint

# A refused token is replaced before the next request, but not more often than this, in seconds.
RENEWAL_PAUSE = 60.0


@dataclass(eq=False, repr=False)
class GraphConnection:
    """An open connection.

    client: the SDK's client; its requests go to `{base_url}/users/…`. scope: of its tokens. token_at: when the present
    token was requested from the platform. The platform caches tokens for up to a day and cannot be made to ask Entra
    sooner: a token that is new here may lack a grant that is younger than that.
    """

    client: GraphServiceClient
    credential: Identity
    scope: str
    _transport: httpx.AsyncBaseTransport
    _bearer: "_Bearer"
    token_at: datetime | None = None
    _refused: bool = False
    _renew_from: float = 0.0

    async def ensure_token(self, newer_than: datetime | None = None) -> None:
        """Fetch a token, so that the request that follows need not wait for one.

        newer_than: if the present token is older, ask for a new one, unless that was done within the last minute.
        Raises azure-core's errors; nothing was sent to Graph then.
        """
        old = newer_than is not None and self.token_at is not None and self.token_at <= newer_than
        if (self._refused or old) and time.monotonic() >= self._renew_from:
            self._refused, self._renew_from = False, time.monotonic() + RENEWAL_PAUSE
            with contextlib.suppress(AzureError):  # the old token may still serve other mailboxes
                # Claims make the credential bypass its cache; a managed identity accepts any.
                renewed = await self.credential.get_token(self.scope, claims="{}", enable_cae=True)
                self._bearer.token, self.token_at = renewed.token, datetime.now(UTC)
        token = await self.credential.get_token(self.scope, enable_cae=True)
        if token.token != self._bearer.token:
            self._bearer.token, self.token_at = token.token, datetime.now(UTC)

    def distrust_token(self) -> None:
        """Graph refused the token or its rights: ask for a new one before the next request.

        The credential caches a token for up to twelve hours; one from before a grant would be refused that long.
        """
        self._refused = True

    async def close(self) -> None:
        """Close every socket; the connection cannot be used afterwards. May be called twice."""
        await self._transport.aclose()
        await self.credential.close()


def open_client(base_url: str, client_id: str | None) -> GraphConnection:
    """Build the client for `base_url` (GRAPH_BASE_URL) under the user-assigned identity `client_id`, or the app's own.

    Needs no network and no running loop. Raises ValueError unless a token may go to the host of base_url.
    """
    endpoint = GraphEndpoint.parse(base_url)
    credential = Identity(client_id)
    transport = AiohttpTransport()
    bearer = _Bearer(f"{endpoint.base_url}/")
    adapter = _OneRequestAdapter(bearer, client=_http_client(transport))
    adapter.base_url = endpoint.base_url
    adapter.observability_options = ObservabilityOptions(include_euii_attributes=False)
    logging.getLogger("httpx").addFilter(_no_request_lines)
    client = GraphServiceClient(request_adapter=adapter)
    _load(client)
    return GraphConnection(client, credential, endpoint.scope, transport, bearer)


class _Bearer(AuthenticationProvider):
    """Puts the token that `ensure_token` has fetched on requests to Graph, and on no other."""

    def __init__(self, base_url: str) -> None:
        self.token = ""
        self._base_url = base_url

    async def authenticate_request(
        self,
        request: RequestInformation,
        additional_authentication_context: dict[str, Any] | None = None,  # noqa: ARG002 - the SDK's signature
    ) -> None:
        if request.url.startswith(self._base_url):
            request.headers.try_add("Authorization", f"Bearer {self.token}")


class _NoCookies(httpx.Cookies):
    """Keeps no cookies and looks for none, because that takes longer than reading Graph's answer."""

    def extract_cookies(self, response: httpx.Response) -> None: ...


class _Client(httpx.AsyncClient):
    cookies = _NoCookies()  # type: ignore[override] # a property there


class _OneRequestAdapter(GraphRequestAdapter):
    """The SDK's adapter, without its second request after a claims challenge."""

    async def retry_cae_response_if_required(
        self,
        resp: httpx.Response,
        request_info: RequestInformation,  # noqa: ARG002 - the SDK's signature
        claims: str,  # noqa: ARG002
    ) -> httpx.Response:
        return resp


def _http_client(transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    client = _Client(
        transport=transport,
        timeout=None,  # the transport has its own
        follow_redirects=False,
        headers={"Accept-Encoding": "identity"},  # an answer is a few bytes; its decoding is one more thing to fail
    )
    telemetry = sdk_options[GraphTelemetryHandlerOption.get_key()]
    middleware = [ParametersNameDecodingHandler(), GraphTelemetryHandler(telemetry), PhaseHandler()]
    GraphClientFactory.create_with_custom_middleware(middleware, client=client)  # changes the client it is given
    return client


def _load(client: GraphServiceClient) -> None:
    """Import what sendMail needs now, not under a mail's deadline.

    The SDK's modules warn of their own deprecated classes when they are imported; nothing here can change that.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        _ = client.users.by_user_id("-").send_mail
        importlib.import_module("msgraph.generated.models.o_data_errors.o_data_error")


def _no_request_lines(record: logging.LogRecord) -> bool:
    """Httpx logs the URL of each request at INFO."""
    return record.levelno >= logging.WARNING
