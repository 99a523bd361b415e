"""Who calls over HTTP, as the bearer token proves it."""

from typing import Final

import azure.functions as func

from shared.entra import Caller
from shared.errors import Unauthenticated
from shared.services import Services

__all__ = ["OPERATE", "authenticated", "scope_of"]

OPERATE: Final = "Mailroom.Operate"  # the app role of operators


async def authenticated(app: Services, req: func.HttpRequest) -> Caller:
    """The caller; what it may do is still to be asked. Raises Unauthenticated, KeysUnavailable."""
    if app.verifier is None:
        raise Unauthenticated("No caller can be known: MAIL_API_TENANT and MAIL_API_CLIENT_ID are not set.")
    return await app.verifier.verify(req.headers.get("authorization"))


def scope_of(caller: Caller) -> str:
    """Within this its keys name its mails, and it sees these mails and no other ones. Users of one app are apart."""
    scope = f"http:{caller.tenant}:{caller.application_id}"
    return f"{scope}:{caller.user}" if caller.delegated else scope
