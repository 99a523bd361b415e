"""Who calls over HTTP, as the bearer token proves it."""

from typing import Final

import azure.functions as func

from shared.app import Services
from shared.auth.entra import Caller
from shared.errors import NotAllowed, Refused, Unauthenticated
from shared.functions.answers import problem
from shared.mail.outgoing import Origin
from shared.settings.config import Settings
from shared.telemetry import LogEvent, emit

__all__ = [
    "NO_OPERATOR",
    "OPERATE",
    "OPERATE_AS_USER",
    "authenticated",
    "key_refused",
    "operates",
    "origin_of",
    "report_refused",
    "scope_of",
]

OPERATE: Final = "Mailroom.Operate"  # the app role of operators
# The scope of an application with which a person operates. Not the role's name: Entra keeps both in one namespace.
OPERATE_AS_USER: Final = "Mailroom.OperateAsUser"
NO_OPERATOR: Final = (
    f"This needs the app role {OPERATE}; and where a user is signed in, the scope {OPERATE_AS_USER} too, in a token of "
    "an application that MAIL_OPERATOR_APPS names."
)


async def authenticated(app: Services, req: func.HttpRequest) -> Caller:
    """The caller; what it may do is still to be asked. Raises Unauthenticated, KeysUnavailable."""
    if app.verifier is None:
        raise Unauthenticated("No caller can be known: MAIL_API_TENANT and MAIL_API_CLIENT_ID are not set.")
    return await app.verifier.verify(req.headers.get("authorization"))


def report_refused(refusal: Refused, caller: Caller | None = None) -> None:
    """Say in an event that somebody was not let in. What else is wrong with a request is for its sender alone."""
    if isinstance(refusal, Unauthenticated | NotAllowed):
        application = caller.application_id if caller else None
        emit(LogEvent.CALLER_REFUSED, status=refusal.status, code=refusal.code, application=application)


def operates(caller: Caller, settings: Settings) -> bool:
    """Whether this is an operator. An application is one by its role.

    A user's role is in every token of theirs for this API, whichever application asked for it and for what: so the
    application must be one that is meant for operating, and the user, or an administrator, must have let it.
    """
    if OPERATE not in caller.roles:
        return False
    if not caller.delegated:
        return True
    return OPERATE_AS_USER in caller.scopes and caller.application_id in settings.operator_apps


def key_refused(settings: Settings) -> func.HttpResponse | None:
    """The answer to whoever comes with a function key to a path of operators; None: the key opens it.

    The platform has checked the key by then, and cannot be told to take none. A key names nobody and does not expire.
    """
    if settings.operator_keys:
        return None
    return problem(
        403, f"Function keys open nothing here: MAIL_OPERATOR_KEYS is false. Leave out /operator. {NO_OPERATOR}"
    )


def origin_of(caller: Caller) -> Origin:
    """Who asks, as policy knows it."""
    return Origin(
        kind="user" if caller.delegated else "application",
        name=caller.application_id,
        tenant=caller.tenant,
        user=caller.user,
    )


def scope_of(caller: Caller) -> str:
    """Within this its keys name its mails, and it sees these mails and no other ones. Users of one app are apart."""
    scope = f"http:{caller.tenant}:{caller.application_id}"
    return f"{scope}:{caller.user}" if caller.delegated else scope
