"""How Azure's services prove their requests: by a secret in the URL or in a header, or by an Entra token.

They are set up with a URL, and some cannot send a custom header, so the secret may be in the query.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from shared.webhooks.sources import signatures
from shared.webhooks.sources.source import RawRequest, Source, TokenRule, Unverified


class AzureService(Source, frozen=True, kw_only=True):
    """A service that calls with a secret in the query, `?secret=…`, or in a header, or with an Entra token.

    header: its name, where the service can send one; the query is ignored then. audience: the client id, or `api://…`,
    of the registration that the service gets tokens for; secrets are ignored then. allowed_apps: the application ids of
    the callers. app_role: the role that their tokens must have; empty: none. tenant: None: MAIL_API_TENANT.
    """

    done: ClassVar[int] = 200

    header: str | None = None
    audience: str | None = None
    allowed_apps: tuple[str, ...] = ()
    app_role: str | None = None
    tenant: str | None = None

    def __post_init__(self) -> None:
        if not self.audience and (idle := self.given("allowed_apps", "app_role", "tenant")):
            raise ValueError(f"{', '.join(idle)}: nothing uses this without audience")
        if self.audience and not self.allowed_apps:
            raise ValueError("allowed_apps is empty: no application may call")
        if self.audience and self.header:
            raise ValueError("header and audience are two ways to prove a request: choose one")

    @property
    def token_rule(self) -> TokenRule | None:
        if not self.audience:
            return None
        apps = frozenset(app.lower() for app in self.allowed_apps)
        return TokenRule(self.audience, apps, self.app_role or None, self.tenant or None)

    def fault_of(self, secret: str) -> str | None:  # noqa: ARG002
        return "the route takes Entra tokens (audience), and no secret" if self.audience else None

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:  # noqa: ARG002
        if self.audience:
            raise Unverified("This route accepts Entra tokens, and no secrets.")
        if self.header:
            signatures.in_chosen_header(request, self.header, secrets)
        else:
            signatures.in_query(request, "secret", secrets)
