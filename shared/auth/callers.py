"""Who calls over HTTP, as a verified bearer token proves it, and what that caller may do."""

from typing import TYPE_CHECKING, Final

from shared.auth.entra import Caller, TokenVerifier, require
from shared.errors import NotAllowed, Unauthenticated
from shared.mail.outgoing import Origin
from shared.settings.clouds import Registration
from shared.settings.config import Settings

if TYPE_CHECKING:
    from shared.webhooks.sources.source import TokenRule

OPERATE: Final = "Mailroom.Operate"  # the app role of operators
# The scope of an application with which a person operates. Not the role's name: Entra keeps both in one namespace.
OPERATE_AS_USER: Final = "Mailroom.OperateAsUser"
NO_OPERATOR: Final = (
    f"This needs the app role {OPERATE}; and where a user is signed in, the scope {OPERATE_AS_USER} too, in a token of "
    "an application that MAIL_OPERATOR_APPS names."
)


def operates(caller: Caller, settings: Settings) -> bool:
    """Whether this is an operator. An application is one by its role.

    A user's role is in every token of theirs for this API, whichever application asked for it and for what: so the
    application must be one that is meant for operating, and the user, or an administrator, must have consented to it.
    """
    if OPERATE not in caller.roles:
        return False
    if not caller.delegated:
        return True
    return OPERATE_AS_USER in caller.scopes and caller.application_id in settings.operator_apps


def origin_of(caller: Caller) -> Origin:
    """The caller as policy knows it."""
    return Origin(
        kind="user" if caller.delegated else "application",
        name=caller.application_id,
        tenant=caller.tenant,
        user=caller.user,
    )


def scope_of(caller: Caller) -> str:
    """The scope of the caller's keys and mails: it sees no others. Users of one application have separate scopes."""
    scope = f"http:{caller.tenant}:{caller.application_id}"
    return f"{scope}:{caller.user}" if caller.delegated else scope


class WebhookTokens:
    """Verifies the Entra tokens of webhooks, whose routes name tenant, audience and applications."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._verifiers: dict[tuple[str | None, str], TokenVerifier] = {}  # by tenant and audience: they keep keys

    async def verify(self, rule: "TokenRule", authorization: str | None) -> None:
        """Return if the token satisfies the route's rule. Raises Unauthenticated, NotAllowed, KeysUnavailable."""
        verifier = self._verifiers.get((rule.tenant, rule.audience))
        if verifier is None:
            tenant = rule.tenant or (self._settings.api.tenant if self._settings.api else None)
            if tenant is None:
                raise Unauthenticated("The route has no tenant, and MAIL_API_TENANT is not set.")
            verifier = TokenVerifier(
                Registration(tenant, rule.audience.removeprefix("api://"), self._settings.authority)
            )
            self._verifiers[rule.tenant, rule.audience] = verifier
        caller = await verifier.verify(authorization)
        if caller.delegated or caller.application_id not in {app.lower() for app in rule.allowed_apps}:
            raise NotAllowed("The token's application is not among the route's allowed_apps.")
        if rule.app_role is not None:
            require(caller, rule.app_role)
