"""Stripe: https://docs.stripe.com/webhooks. Events of both kinds: snapshots, and the thin ones of `v2.core.event`.

Stripe tries again for three days, in no order, and may send the same event twice; each attempt is signed anew.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from shared.errors import Malformed
from shared.webhooks.sources.json_values import moment, pick, read_object, text
from shared.webhooks.sources.signatures import fresh, header, mac, octets, one_of, unhex
from shared.webhooks.sources.source import Event, RawRequest, Source, Unverified

__all__ = ["Stripe"]

TOLERANCE: Final = 300.0  # seconds, to both sides
API: Final = "https://api.stripe.com"
OTHERS: Final = ("sk_", "rk_", "pk_", "we_")  # what stands near the signing secret, and signs nothing

# What a payment's objects have in common: each names, first of all, the invoice it pays, and so on.
BELONGS: Final = ("invoice", "payment_intent", "charge")


class Stripe(Source, frozen=True, kw_only=True):
    """Events of an account, or of the accounts that are connected to it."""

    name: ClassVar[str] = "stripe"
    unverified: ClassVar[int] = 400

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:
        """`Stripe-Signature: t=…,v1=…`, over `{t}.{body}`, with the whole secret, `whsec_` too.

        Any of the v1 may match: there are several while a secret is replaced. Other schemes, such as v0, prove nothing.
        """
        pairs = [part.strip().partition("=") for part in header(request, "Stripe-Signature").split(",")]
        times = [value for name, _, value in pairs if name == "t"]
        if len(times) != 1:
            raise Unverified("The header Stripe-Signature has no timestamp, or more than one.")
        given = [unhex(value) for name, _, value in pairs if name == "v1"]
        fresh(times[0], now, TOLERANCE)
        signed = b"%b.%b" % (octets(times[0]), request.body)
        one_of(given, [mac(secret, signed) for secret in secrets])

    def fault_of(self, secret: str) -> str | None:
        if secret.startswith(OTHERS):
            return (
                "it is a key of the API or the number of an endpoint; expected the endpoint's signing secret, whsec_…"
            )
        return None

    def events(self, request: RawRequest, now: datetime) -> list[Event]:  # noqa: ARG002 - what Stripe says
        data = read_object(request.body, request.charset)
        identifier, kind = text(data, "id"), text(data, "type")
        if identifier is None or kind is None:
            missing = "$.id" if identifier is None else "$.type"
            raise Malformed(400, "BadRequest", "Not an event of Stripe: its id or its type is missing.", missing)
        account = text(data, "account") or text(data, "context")
        about = pick(data, "data", "object") or pick(data, "related_object")
        return [
            Event(
                id=identifier,
                source=f"{API}/v1/accounts/{account}" if account else API,
                type=kind,
                key=identifier,
                data=data,
                subject=text(about, "id"),
                time=moment(pick(data, "created")),
                thread=_thread(about),
            )
        ]


def _thread(about: Any) -> str | None:
    """One conversation for all that happens to an invoice, or else to a payment: charges, refunds, disputes.

    What is neither, such as a payout or a subscription, is its own.
    """
    if pick(about, "object") != "invoice":  # which names the payment that pays it, too
        for name in BELONGS:
            if found := text(about, name) or text(about, name, "id"):
                return found
    return text(about, "id")
