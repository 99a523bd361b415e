"""How each kind of sender proves its requests: what the shared security suite needs to know of it.

One Signer for each way in which a source can be proved: a source that takes bearer and basic has two. test_security.py
runs all of them through the same cases, and fails for a source that has none. The list SIGNERS here has those of
github, stripe, standard-webhooks, hmac and key; all others are in signers_b.py.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from standardwebhooks.webhooks import Webhook

from shared.webhooks.sources.github import GitHub
from shared.webhooks.sources.hmac_signed import Hmac
from shared.webhooks.sources.key import Key
from shared.webhooks.sources.source import RawRequest, Source
from shared.webhooks.sources.standard_webhooks import StandardWebhooks
from shared.webhooks.sources.stripe import Stripe

__all__ = ["SIGNERS", "Signer", "basic_header", "body_of", "digest_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """One way for one kind of sender to prove a request.

    name: of the test, "github" or "grafana-basic". kind: a signature is made over the body, a credential comes along
    with it. sign(body, secret, now): the whole request, as that sender makes it. body: one that gives an event.
    secrets: three different ones of the form that this way needs. strange: one that has characters outside ASCII, if
    this way can have such. headers, query: in lower case, where the proof stands, everything that `authenticate` reads.
    tolerance: seconds that a timestamp may be old; None: there is none. forged(body, secret, now): the same request
    with the right secret, but another algorithm than the source takes; None where there is nothing like it.
    """

    name: str
    source: Source
    kind: Literal["signature", "credential"]
    sign: Callable[[bytes, str, datetime], RawRequest]
    body: bytes
    secrets: tuple[str, str, str] = ("the-first-secret", "the-second-secret", "a-stranger's-secret")
    strange: str | None = "grüße-Ω-秘密-🔑"
    headers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    tolerance: float | None = None
    forged: Callable[[bytes, str, datetime], RawRequest] | None = None


def body_of(value: Any) -> bytes:
    """A body as most senders write it: not as Python's json would, so that one who serialises anew is found out."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def digest_of(secret: str, message: bytes, algorithm: str = "sha256") -> bytes:
    """Made by the standard library alone, so that a fault of proofs.py does not judge itself."""
    return hmac.new(secret.encode(), message, getattr(hashlib, algorithm)).digest()


def basic_header(secret: str) -> str:
    return "Basic " + base64.b64encode(secret.encode()).decode()


PUSH = {"ref": "refs/heads/main", "repository": {"full_name": "contoso/shop"}, "note": "für 5 €"}
PAID = {"id": "evt_1", "object": "event", "type": "charge.failed", "data": {"object": {"id": "ch_1"}}, "note": "5 €"}
HIRED = {"type": "user.created", "timestamp": "2026-11-22T10:00:00Z", "data": {"name": "Zoë"}}
ORDER = {"order": 4711, "total": 12.50, "customer": "Zoë"}


def seconds(now: datetime) -> str:
    return str(int(now.timestamp()))


def github(body: bytes, secret: str, now: datetime, header: str = "x-hub-signature-256") -> RawRequest:
    algorithm = "sha256" if header.endswith("256") else "sha1"
    headers = {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        header: f"{algorithm}={digest_of(secret, body, algorithm).hex()}",
    }
    return RawRequest(body, headers)


def github_sha1(body: bytes, secret: str, now: datetime) -> RawRequest:
    """The older header, which Mailroom does not trust."""
    return github(body, secret, now, "x-hub-signature")


def stripe(body: bytes, secret: str, now: datetime, scheme: str = "v1") -> RawRequest:
    signature = digest_of(secret, f"{seconds(now)}.".encode() + body).hex()
    return RawRequest(body, {"stripe-signature": f"t={seconds(now)},{scheme}={signature}"})


def stripe_v0(body: bytes, secret: str, now: datetime) -> RawRequest:
    """The scheme of test events, which proves nothing."""
    return stripe(body, secret, now, "v0")


def standard(body: bytes, secret: str, now: datetime) -> RawRequest:
    """Signed by the library of the specification's authors."""
    signature = Webhook(secret).sign("msg_1", now, body.decode("utf-8", "surrogateescape"))
    return RawRequest(body, {"webhook-id": "msg_1", "webhook-timestamp": seconds(now), "webhook-signature": signature})


def standard_sha512(body: bytes, secret: str, now: datetime) -> RawRequest:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = hmac.digest(key, f"msg_1.{seconds(now)}.".encode() + body, "sha512")
    headers = dict(standard(body, secret, now).headers)
    return RawRequest(body, {**headers, "webhook-signature": "v1," + base64.b64encode(signature).decode()})


def plain_hmac(body: bytes, secret: str, now: datetime, algorithm: str = "sha256") -> RawRequest:
    return RawRequest(body, {"x-signature": digest_of(secret, body, algorithm).hex()})


def plain_hmac_sha512(body: bytes, secret: str, now: datetime) -> RawRequest:
    return plain_hmac(body, secret, now, "sha512")


def timed_hmac(body: bytes, secret: str, now: datetime, algorithm: str = "sha512") -> RawRequest:
    signature = digest_of(secret, f"v0:{seconds(now)}:".encode() + body, algorithm)
    return RawRequest(body, {"x-signature": "v0=" + base64.b64encode(signature).decode(), "x-timestamp": seconds(now)})


def timed_hmac_sha256(body: bytes, secret: str, now: datetime) -> RawRequest:
    return timed_hmac(body, secret, now, "sha256")


def with_header(name: str, value: Callable[[str], str]) -> Callable[[bytes, str, datetime], RawRequest]:
    return lambda body, secret, now: RawRequest(body, {name: value(secret)})


SIGNERS = [
    Signer(
        name="github",
        source=GitHub(),
        kind="signature",
        sign=github,
        body=body_of(PUSH),
        headers=("x-hub-signature-256",),
        forged=github_sha1,
    ),
    Signer(
        name="stripe",
        source=Stripe(),
        kind="signature",
        sign=stripe,
        body=body_of(PAID),
        secrets=("whsec_first", "whsec_second", "whsec_stranger"),
        headers=("stripe-signature",),
        tolerance=300,
        forged=stripe_v0,
    ),
    Signer(
        name="standard-webhooks",
        source=StandardWebhooks(),
        kind="signature",
        sign=standard,
        body=body_of(HIRED),
        secrets=("whsec_Zmlyc3Qtc2VjcmV0", "whsec_c2Vjb25kLXNlY3JldA==", "whsec_c3RyYW5nZXI="),
        strange=None,  # base64 has none
        headers=("webhook-id", "webhook-timestamp", "webhook-signature"),
        tolerance=300,
        forged=standard_sha512,
    ),
    Signer(
        name="hmac",
        source=Hmac(header="X-Signature"),
        kind="signature",
        sign=plain_hmac,
        body=body_of(ORDER),
        headers=("x-signature",),
        forged=plain_hmac_sha512,
    ),
    Signer(
        name="hmac-timed",
        source=Hmac(
            header="X-Signature",
            algorithm="sha512",
            encoding="base64",
            prefix="v0=",
            timestamp_header="X-Timestamp",
            tolerance=60,
            signed="v0:{timestamp}:{body}",
        ),
        kind="signature",
        sign=timed_hmac,
        body=body_of(ORDER),
        headers=("x-signature", "x-timestamp"),
        tolerance=60,
        forged=timed_hmac_sha256,
    ),
    Signer(
        name="key-bearer",
        source=Key(),
        kind="credential",
        sign=with_header("authorization", "Bearer {}".format),
        body=body_of(ORDER),
        headers=("authorization",),
    ),
    Signer(
        name="key-header",
        source=Key(),
        kind="credential",
        sign=with_header("x-api-key", str),
        body=body_of(ORDER),
        headers=("x-api-key",),
    ),
    Signer(
        name="key-basic",
        source=Key(),
        kind="credential",
        sign=with_header("authorization", basic_header),
        body=body_of(ORDER),
        secrets=("shop:first", "shop:second:with-a-colon", "shop:stranger"),
        strange="läden:grüße-Ω-秘密",
        headers=("authorization",),
    ),
]
