"""Stripe: https://docs.stripe.com/webhooks. Reads both kinds of events, snapshots and the thin `v2.core.event`.

Stripe retries for three days, in no order, and may send the same event twice; each attempt has a new signature.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from shared.errors import Malformed
from shared.webhooks.sources.json_values import moment, pick, read_object, text
from shared.webhooks.sources.signatures import header, mac, octets, one_of, recent, unhex
from shared.webhooks.sources.source import RawRequest, Source, SourceEvent, Unverified

API: Final = "https://api.stripe.com"
OTHERS: Final = ("sk_", "rk_", "pk_", "we_")  # what Stripe shows near the signing secret, and signs nothing with

# What the objects of a payment have in common, in this order.
BELONGS: Final = ("invoice", "payment_intent", "charge")


class Stripe(Source, frozen=True, kw_only=True):
    """Events of an account, or of the accounts that are connected to it."""

    name: ClassVar[str] = "stripe"
    unverified: ClassVar[int] = 400
    retries_for: ClassVar[float | None] = 72 * 3600.0

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:
        """`Stripe-Signature: t=…,v1=…`, over `{t}.{body}`, with the whole secret, `whsec_` too.

        Any of the v1 may match: there are several while a secret is being replaced. Other schemes are ignored.
        """
        pairs = [part.strip().partition("=") for part in header(request, "Stripe-Signature").split(",")]
        times = [value for name, _, value in pairs if name == "t"]
        if len(times) != 1:
            raise Unverified("The header Stripe-Signature has no timestamp, or more than one.")
        given = [unhex(value) for name, _, value in pairs if name == "v1"]
        recent(times[0], now)
        signed = b"%b.%b" % (octets(times[0]), request.body)
        one_of(given, [mac(secret, signed) for secret in secrets])

    def fault_of(self, secret: str) -> str | None:
        if secret.startswith(OTHERS):
            return "it is an API key or the id of an endpoint; expected the endpoint's signing secret, whsec_…"
        return None

    def event(self, request: RawRequest) -> SourceEvent:
        data = read_object(request.body, request.charset)
        identifier, kind = text(data, "id"), text(data, "type")
        if identifier is None or kind is None:
            missing = "$.id" if identifier is None else "$.type"
            raise Malformed(400, "BadRequest", "The event has no id, or no type.", missing)
        account = text(data, "account") or text(data, "context")
        about = pick(data, "data", "object") or pick(data, "related_object")
        return SourceEvent(
            **self.known(identifier, request),
            source=f"{API}/v1/accounts/{account}" if account else API,
            type=kind,
            data=data,
            subject=text(about, "id"),
            time=moment(pick(data, "created")),
            thread=_thread(about),
        )


def _thread(about: Any) -> str | None:
    """One conversation for everything that happens to an invoice, or else to a payment: charges, refunds, disputes.

    Anything else, such as a payout or a subscription, has its own.
    """
    if pick(about, "object") != "invoice":  # an invoice names its payment, too
        for name in BELONGS:
            if found := text(about, name) or text(about, name, "id"):
                return found
    return text(about, "id")
