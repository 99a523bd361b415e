"""A caller proves who it is, or nothing is sent."""

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.e2e.running import EXAMPLE, Sandbox

ALERTS = "alerts@sandbox.example"  # one that the application may send as
OTHER = "99999999-0000-4000-8000-000000000009"


def unsigned(sandbox: Sandbox) -> str:
    """`alg: none`."""
    claims = jwt.decode(sandbox.token(), options={"verify_signature": False})
    return jwt.encode(claims, "", algorithm="none")


def signed_with_the_public_key(sandbox: Sandbox) -> str:
    """HS256 with the published key as its secret: what a verifier that trusts `alg` takes for genuine."""
    token = sandbox.token()
    key = httpx.get(sandbox.facts["jwks"], trust_env=False).json()["keys"][0]
    public = jwt.PyJWK(key).key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = jwt.decode(token, options={"verify_signature": False})
    encode = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT", "kid": key["kid"]}, claims)]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in encode)
    import hashlib
    import hmac

    signature = base64.urlsafe_b64encode(hmac.digest(public, signed, hashlib.sha256)).rstrip(b"=")
    return (signed + b"." + signature).decode()


def tampered(sandbox: Sandbox) -> str:
    head, claims, signature = sandbox.token().split(".")
    other = json.loads(base64.urlsafe_b64decode(claims + "=="))
    other["azp"] = OTHER
    return ".".join([head, base64.urlsafe_b64encode(json.dumps(other).encode()).decode().rstrip("="), signature])


UNAUTHENTICATED: dict[str, Callable[[Sandbox], str]] = {
    "none": lambda _: "",
    "garbage": lambda _: "garbage",
    "three garbage parts": lambda _: "a.b.c",
    "expired": lambda sandbox: sandbox.mint(lifetime=-3600),
    "wrong audience": lambda sandbox: sandbox.token(scope="https://graph.microsoft.com/.default"),
    "wrong issuer": lambda sandbox: sandbox.mint(claims={"iss": f"https://login.microsoftonline.com/{OTHER}/v2.0"}),
    "issuer of the other version": lambda sandbox: sandbox.mint(
        claims={"iss": f"https://sts.windows.net/{sandbox.facts['tenant']}/"}
    ),
    "wrong tenant": lambda sandbox: sandbox.mint(claims={"tid": OTHER}),
    "alg none": unsigned,
    "HS256 signed with the public key": signed_with_the_public_key,
    "tampered": tampered,
}


@pytest.mark.parametrize("name", UNAUTHENTICATED)
def test_a_token_that_proves_nothing_is_401_and_nothing_is_sent(sandbox: Sandbox, name: str) -> None:
    answer = sandbox.send(EXAMPLE, token=UNAUTHENTICATED[name](sandbox))
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "InvalidAuthenticationToken"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert sandbox.requests() == 0


NOT_ALLOWED: dict[str, Callable[[Sandbox], str]] = {
    "missing role": lambda sandbox: sandbox.mint(claims={"roles": None}),
    "another role": lambda sandbox: sandbox.mint(claims={"roles": ["Mail.Read"]}),
    "a caller nobody named": lambda sandbox: sandbox.mint(claims={"azp": OTHER}),
    "a scope with a role beside it, for another mailbox": lambda sandbox: sandbox.mint(
        claims={"scp": "Mail.Send", "roles": ["Mail.Send"], "idtyp": None, "oid": OTHER}
    ),
    "a scope that is not Mail.Send": lambda sandbox: sandbox.mint(
        claims={"scp": "User.Read", "idtyp": None, "oid": sandbox.facts["sender_oid"]}
    ),
}


@pytest.mark.parametrize("name", NOT_ALLOWED)
def test_a_caller_that_may_not_is_403_and_nothing_is_sent(sandbox: Sandbox, name: str) -> None:
    answer = sandbox.send(EXAMPLE, token=NOT_ALLOWED[name](sandbox))
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] in ("ErrorAccessDenied", "ErrorSendAsDenied")
    assert sandbox.requests() == 0


@pytest.mark.parametrize("version", ["1", "2"])
def test_tokens_of_both_versions_of_one_registration_send(sandbox: Sandbox, version: str) -> None:
    assert sandbox.send(EXAMPLE, token=sandbox.token(version=version)).status_code == 202
    assert len(sandbox.accepted()) == 1


def test_a_delegated_token_sends_as_its_own_mailbox_by_its_object_id(sandbox: Sandbox) -> None:
    token, oid = sandbox.delegated(), sandbox.facts["sender_oid"]
    assert sandbox.send(EXAMPLE, token=token, path=f"users/{oid}/sendMail").status_code == 202
    assert sandbox.send(EXAMPLE, token=token).status_code == 403  # the address proves nothing
    assert len(sandbox.accepted()) == 1


def test_a_delegated_token_sends_as_me(sandbox: Sandbox) -> None:
    assert sandbox.send(EXAMPLE, token=sandbox.delegated(), path="me/sendMail").status_code == 202
    assert [mail["mailbox"] for mail in sandbox.accepted()] == [sandbox.sender]


def as_sender(name: str, address: str) -> dict[str, Any]:
    return {**EXAMPLE, "message": {**EXAMPLE["message"], name: {"emailAddress": {"address": address}}}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("users/{address}/sendMail", EXAMPLE),
        ("users/{other}/sendMail", EXAMPLE),
        ("users/{other_oid}/sendMail", EXAMPLE),
        ("users/team/sendMail", EXAMPLE),
        ("me/sendMail", "from"),
        ("me/sendMail", "sender"),
        ("users/{oid}/sendMail", "from"),
        ("users/{oid}/sendMail", "sender"),
    ],
)
def test_a_delegated_token_sends_as_no_other_mailbox_though_its_application_may(
    sandbox: Sandbox, path: str, body: Any
) -> None:
    """Not even as its own by an address: no token proves one. The application itself was given all of these."""
    names = {"address": sandbox.sender, "other": ALERTS, "oid": sandbox.facts["sender_oid"], "other_oid": OTHER}
    whole = as_sender(body, sandbox.sender) if isinstance(body, str) else body
    answer = sandbox.send(whole, token=sandbox.delegated(), path=path.format(**names))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ErrorSendAsDenied")
    assert sandbox.requests() == 0
