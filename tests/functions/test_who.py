"""Who may do what over HTTP, and that it is asked before anything of a body is read."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import azure.functions as func
import pytest

from shared.app import App
from shared.auth.entra import Caller
from shared.functions import messages, send_mail, suppressions
from shared.mail import parse
from shared.mail.limits import MAX_ENCODED, MAX_REQUEST
from shared.settings.config import Settings, read
from tests.auth.test_entra import (
    APPLICATION,
    CLIENT,
    OTHER,
    PRINCIPAL,
    TENANT,
    USER,
    Entra,
    app_claims,
    bearer,
    user_claims,
)
from tests.functions.samples import ENVIRONMENT, SENDER, answer_of, request
from tests.indexed import indexed
from tests.logged import said

Function = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]
OPERATOR: dict[str, Any] = {"azp": OTHER, "roles": ["Mailroom.Operate"], "scp": "openid Mailroom.OperateAsUser"}


@pytest.fixture
def app(install: Callable[[App], App]) -> App:
    made = install(App(read(ENVIRONMENT)))
    made.__dict__["verifier"] = Entra().verifier()
    return made


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """No reader of bodies may be called."""

    def reader(*_: Any, **__: Any) -> None:
        raise AssertionError("the body was read")

    monkeypatch.setattr(parse, "send_mail", reader)
    monkeypatch.setattr(send_mail, "_mime", reader)


async def ask(function: Function, body: bytes = b"{}", token: str | None = None, **params: Any) -> func.HttpResponse:
    headers = {"Content-Type": params.pop("kind", "application/json"), "Authorization": token}
    return await function(request(params.pop("method", "POST"), body, headers, **params))


def code_of(answer: func.HttpResponse) -> str:
    return str(answer_of(answer)["error"]["code"])


NOT_ALLOWED = [
    ("a caller that MAIL_CALLERS does not name", app_claims(azp=OTHER), SENDER, "ErrorAccessDenied"),
    ("a user of such a caller", user_claims(azp=OTHER), USER, "ErrorAccessDenied"),
    ("without the role", app_claims(roles=["Mail.Read"]), SENDER, "ErrorAccessDenied"),
    ("a mailbox that its senders do not have", app_claims(), "ceo@fabrikam.com", "ErrorSendAsDenied"),
    ("one that MAIL_ALLOWED_SENDERS does not have", app_claims(), PRINCIPAL, "ErrorSendAsDenied"),
    ("a pool with one that may not", app_claims(), "team", "ErrorSendAsDenied"),
    ("another user's mailbox", user_claims(), SENDER, "ErrorSendAsDenied"),
    ("an address without a canonical form", app_claims(), "mailroom@\uff43ontoso.com", "ErrorSendAsDenied"),
    ("no mailbox", app_claims(), "../x@contoso.com", "ErrorSendAsDenied"),
]


@pytest.mark.usefixtures("app", "unread")
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "image/png"])
@pytest.mark.parametrize(
    ("claims", "mailbox", "code"), [row[1:] for row in NOT_ALLOWED], ids=[r[0] for r in NOT_ALLOWED]
)
async def test_who_may_not_send_is_refused_before_the_body_is_read(
    claims: dict[str, Any], mailbox: str, code: str, kind: str
) -> None:
    answer = await ask(send_mail.send_mail, b"{" * 1000, bearer(claims), id=mailbox, kind=kind)
    assert (answer.status_code, code_of(answer)) == (403, code)


@pytest.mark.usefixtures("app", "unread")
async def test_nor_is_it_for_me() -> None:
    for claims, status, words in (
        (app_claims(), 400, b"/me request is only valid with delegated authentication flow."),
        (user_claims(azp=OTHER), 403, b""),
        (user_claims(oid=OTHER), 403, b""),
    ):
        answer = await ask(send_mail.send_my_mail, b"{", bearer(claims))
        assert (answer.status_code, words in answer.get_body()) == (status, True)


@pytest.mark.usefixtures("app")
async def test_a_refused_caller_is_logged_by_its_application_and_a_code(caplog: pytest.LogCaptureFixture) -> None:
    """The text of the refusal is for the caller alone."""
    await ask(send_mail.send_mail, token=bearer(app_claims()), id="ceo@fabrikam.com")
    [line] = said(caplog)
    refused = {"event": "caller.refused", "status": 403, "code": "ErrorSendAsDenied", "application": APPLICATION}
    assert line == {**refused, "count": 1}


@pytest.mark.usefixtures("app")
async def test_whoever_may_send_learns_what_is_wrong_with_the_body() -> None:
    for function, claims in ((send_mail.send_mail, app_claims()), (send_mail.send_my_mail, user_claims())):
        answer = await ask(function, b"{", bearer(claims), id="MAILROOM@Contoso.com")
        assert answer.status_code == 400
        assert "JSON" in answer_of(answer)["error"]["message"]


@pytest.mark.usefixtures("app", "unread")
async def test_a_body_that_is_too_long_is_refused_by_its_length_alone() -> None:
    for kind, most in (("application/json", MAX_REQUEST), ("text/plain", MAX_ENCODED), ("", MAX_REQUEST)):
        assert (await ask(send_mail.send_mail, bytes(most + 1), "Bearer x", id=SENDER, kind=kind)).status_code == 413
        assert (await ask(send_mail.send_mail, bytes(most), "Bearer x", id=SENDER, kind=kind)).status_code == 401
    assert (await ask(suppressions.suppressions, bytes(suppressions.LARGEST + 1), "Bearer x")).status_code == 413
    assert (await ask(suppressions.suppressions, bytes(suppressions.LARGEST), "Bearer x")).status_code == 401


# What is asked for is wrong in a way that only an operator hears of, so that no storage is needed.
OPERATING: list[tuple[str, str, dict[str, Any], bytes]] = [
    ("messages", "GET", {}, b""),
    ("attention", "GET", {}, b""),
    ("message_replays", "POST", {}, b""),
    ("summary", "GET", {}, b""),
    ("message_replay", "POST", {"id": "none"}, b""),
    ("message_retry", "POST", {"id": "none"}, b""),
    ("suppressions", "POST", {}, b"{"),
    ("suppression", "DELETE", {"id": "none"}, b""),
]
MORE_BY_KEY: list[tuple[str, str, dict[str, Any], bytes]] = [
    ("message", "GET", {"id": "none"}, b""),
    ("message", "DELETE", {"id": "none"}, b""),
    ("suppressions", "GET", {}, b""),
    ("suppression", "GET", {"id": "none"}, b""),
]
OPERATORS = [
    ("an application with the role", app_claims(roles=["Mailroom.Operate"]), True),
    ("a user with role, scope and application", user_claims(**OPERATOR), True),
    ("without the role", user_claims(**OPERATOR | {"roles": ["Mail.Send"]}), False),
    ("the scope in place of the role", user_claims(**OPERATOR | {"roles": ["Mailroom.OperateAsUser"]}), False),
    ("with any scope", user_claims(**OPERATOR | {"scp": "Mail.Send profile"}), False),
    ("with the role's name as a scope", user_claims(**OPERATOR | {"scp": "Mailroom.Operate"}), False),
    ("with no scope", user_claims(**OPERATOR | {"scp": ""}), False),
    ("in an application that is not allowed", user_claims(**OPERATOR | {"azp": APPLICATION}), False),
    ("an application with the scope's name", app_claims(roles=["Mailroom.OperateAsUser"]), False),
]


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(("claims", "operates"), [row[1:] for row in OPERATORS], ids=[row[0] for row in OPERATORS])
async def test_a_user_operates_with_role_scope_and_application_and_an_application_with_the_role(
    claims: dict[str, Any],
    operates: bool,  # noqa: FBT001 - a value of the table
) -> None:
    for name, method, route, body in OPERATING:
        function = indexed()[name].get_user_function()
        answer = await function(request(method, body, {"Authorization": bearer(claims)}, {"top": "0"}, **route))
        assert answer.status_code in ((400, 404) if operates else (403,)), name


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    "claims",
    [
        user_claims(**OPERATOR | {"scp": ["Mailroom.OperateAsUser"]}),
        user_claims(**OPERATOR | {"roles": "Mailroom.Operate"}),
        app_claims(roles="Mailroom.Operate Mail.Send"),
    ],
)
async def test_roles_and_scopes_of_another_shape_than_entras_prove_nothing(claims: dict[str, Any]) -> None:
    assert (await ask(messages.message, token=bearer(claims), id="none", method="GET")).status_code == 401


def test_no_application_may_operate_for_users_until_one_is_named() -> None:
    assert Settings().operator_apps == frozenset()
    found = read(ENVIRONMENT)
    assert found.operator_apps == {OTHER, CLIENT}
    wrong = read({**ENVIRONMENT, "MAIL_OPERATOR_APPS": "portal"})
    assert [problem.setting for problem in wrong.problems] == ["MAIL_OPERATOR_APPS"]
    assert wrong.operator_apps == frozenset()


@pytest.mark.parametrize("value", ["", "true", "False"])
async def test_function_keys_open_the_operators_paths_unless_they_are_switched_off(
    install: Callable[[App], App], value: str
) -> None:
    """The platform has checked the key. With MAIL_OPERATOR_KEYS=false it opens nothing, and no storage is asked."""
    install(App(read({**ENVIRONMENT, "MAIL_OPERATOR_KEYS": value})))
    for name, method, route, body in OPERATING + MORE_BY_KEY:
        function = indexed()[f"operator_{name}"].get_user_function()
        answer = await function(request(method, body, params={"top": "0"}, **route))
        if value == "False":
            assert answer.status_code == 403, name
            assert "MAIL_OPERATOR_KEYS" in answer_of(answer)["detail"]
        else:
            assert answer.status_code in (400, 404), name


def test_every_path_under_operator_is_among_those_that_can_be_switched_off() -> None:
    routes = {name: function.get_trigger().get_dict_repr().get("route", "") for name, function in indexed().items()}
    by_key = {name for name, route in routes.items() if str(route).startswith("operator/")}
    assert by_key == {f"operator_{name}" for name, *_ in OPERATING + MORE_BY_KEY}


def test_mails_belong_to_an_application_of_a_tenant_and_of_a_user_where_it_acts_for_one() -> None:
    """Nobody else sees or cancels them, nor meets their keys."""
    application = Caller(application_id=APPLICATION, tenant=TENANT)
    others = [
        replace(application, application_id=OTHER),
        replace(application, tenant=OTHER),
        replace(application, user=USER, delegated=True),
        replace(application, user=OTHER, delegated=True),
    ]
    assert len({one.scope for one in (application, *others)}) == 5
    assert replace(application, roles=frozenset({"Mail.Send"})).scope == application.scope
