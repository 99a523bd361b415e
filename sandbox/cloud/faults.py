"""Faults on request: what goes wrong with the next requests, or with some of them by chance.

kind                  what the client sees                               is the mail accepted?
throttle              429 with a fractional Retry-After                  no
unavailable           503                                                no
gateway_timeout       504                                                yes
gateway_timeout_lost  504                                                no
lost                  the connection breaks without an answer            yes
dropped               the same                                           no
slow                  the answer comes after `seconds`                   yes, after `seconds`
redirect              302 to a page that answers 200                     no
ok200                 200 instead of 202                                 no
html502               502 with an HTML body                              no
unauthorized          401 InvalidAuthenticationToken                     no
forbidden             403 ErrorAccessDenied                              no
quota                 400 ErrorQuotaExceeded                             no
message_limit         403 ErrorExceededMessageLimit                      no
expired               404, the upload session is gone (on upload only)   no
"""

import asyncio
import random
import re
from dataclasses import asdict, dataclass
from typing import Any, Self

from starlette.responses import HTMLResponse, JSONResponse, Response

from sandbox.cloud.errors import Cut, Ids, Refusal, graph_error

DEFAULT_RETRY_AFTER = "2.128"
# What a fault can be set on: sendMail and send; reading; drafts and attachments; upload URLs; the identity endpoint.
OPERATIONS = ("send", "read", "write", "upload", "identity")

_REFUSED = {
    "throttle": (429, "TooManyRequests", "Too many requests."),
    "unavailable": (503, "ErrorServerBusy", "The server cannot service this request right now. Try again later."),
    "gateway_timeout_lost": (504, "UnknownError", ""),
    "unauthorized": (401, "InvalidAuthenticationToken", "Access token validation failure."),
    "forbidden": (403, "ErrorAccessDenied", "Access is denied. Check credentials and try again."),
    "quota": (400, "ErrorQuotaExceeded", "The mailbox has exceeded its quota. Sent Items is full."),
    "message_limit": (403, "ErrorExceededMessageLimit", "The message limit of the mailbox has been exceeded."),
}
_ACCEPTING = ("gateway_timeout", "lost", "slow")
KINDS = (*_REFUSED, *_ACCEPTING, "dropped", "redirect", "ok200", "html502", "expired")


@dataclass(slots=True)
class Fault:
    """One fault. count: requests it still hits; or probability: of hitting each request, for ever.

    skip: requests that it lets pass first, so that one in the middle can be hit.
    """

    kind: str
    on: str = "send"
    count: int | None = None
    probability: float | None = None
    retry_after: str | None = None
    seconds: float = 2.0
    skip: int = 0

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Raises ValueError that says what is wrong."""
        if not isinstance(value, dict) or not set(value) <= set(cls.__slots__):
            raise ValueError(f"A fault is an object with some of {', '.join(cls.__slots__)}.")
        if value.get("kind") not in KINDS:
            raise ValueError(f"kind: found {value.get('kind')!r}, expected one of {', '.join(sorted(KINDS))}.")
        if value.get("on", "send") not in OPERATIONS:
            raise ValueError(f"on: found {value['on']!r}, expected one of {', '.join(OPERATIONS)}.")
        if value.get("kind") == "expired" and value.get("on") != "upload":
            raise ValueError("expired: expected on upload.")
        count, probability = value.get("count"), value.get("probability")
        _check_numbers(value, count, probability)
        if probability is None and count is None:
            value = {**value, "count": 1}
        if value.get("retry_after") is not None:
            value = {**value, "retry_after": str(value["retry_after"])}
        return cls(**value)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """`kind`, `kind:count` or `kind=probability`, each with `@operation` or without. Raises ValueError."""
        match = re.fullmatch(r"(\w+)(?::(\d+)|=(\d*\.?\d+))?(?:@(\w+))?", text)
        if match is None:
            raise ValueError(f"{text!r} is no fault; expected KIND, KIND:COUNT or KIND=PROBABILITY, then maybe @WHERE.")
        kind, count, probability, where = match.groups()
        value: dict[str, Any] = {"kind": kind, "on": where or "send"}
        if count is not None:
            value["count"] = int(count)
        if probability is not None:
            value["probability"] = float(probability)
        return cls.from_json(value)


class Faults:
    """The faults that are set, in order; the first that hits a request is the one it gets."""

    def __init__(self, faults: tuple[Fault, ...] = (), seed: int | None = None) -> None:
        self._faults = list(faults)
        self._random = random.Random(seed)  # noqa: S311 - chance with a seed, not secrecy

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)

    def clear(self) -> None:
        self._faults.clear()

    def all(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._faults]

    def draw(self, operation: str) -> Fault | None:
        """The fault for this request, if any; counted."""
        for fault in self._faults:
            if fault.on != operation:
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.probability is not None:
                if self._random.random() < fault.probability:
                    return fault
            elif fault.count:
                fault.count -= 1
                return fault
        return None

    def give_back(self, fault: Fault) -> None:
        """The request would have been refused anyway, so the fault has not been used up."""
        if fault.count is not None:
            fault.count += 1


async def before(fault: Fault, ids: Ids) -> Response | None:
    """The answer in place of doing what was asked, or None: it is to be done (slow: after waiting here)."""
    match fault.kind:
        case "slow":
            await asyncio.sleep(fault.seconds)
            return None
        case "dropped":
            return Cut()
        case "redirect":
            return Response(status_code=302, headers={"Location": "/redirected"})
        case "ok200":
            return JSONResponse({})
        case "html502":
            return HTMLResponse("<html><head><title>502 Bad Gateway</title></head><body></body></html>", 502)
    if fault.kind in _ACCEPTING or fault.kind == "expired":
        return None
    headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
    if fault.kind == "throttle":
        headers.setdefault("Retry-After", DEFAULT_RETRY_AFTER)
    return graph_error(Refusal(*_REFUSED[fault.kind], headers), ids)


def after(fault: Fault, ids: Ids) -> Response | None:
    """The answer in place of the true one, once what was asked has been done, or None."""
    match fault.kind:
        case "lost":
            return Cut()
        case "gateway_timeout":
            return graph_error(Refusal(504, "UnknownError", ""), ids)
    return None


def _check_numbers(value: dict[str, Any], count: Any, probability: Any) -> None:
    """Raises ValueError for how often, how likely, how long, and after how many."""
    if count is not None and probability is not None:
        raise ValueError("Give count or probability, not both.")
    if probability is not None and not (_is_number(probability) and 0 <= probability <= 1):
        raise ValueError(f"probability: found {probability!r}, expected a number from 0 to 1.")
    if count is not None and not (_is_number(count) and count > 0 and count == int(count)):
        raise ValueError(f"count: found {count!r}, expected a whole number above 0.")
    skip = value.get("skip", 0)
    if not (_is_number(skip) and skip >= 0 and skip == int(skip)):
        raise ValueError(f"skip: found {skip!r}, expected a whole number.")
    if not (_is_number(value.get("seconds", 0)) and value.get("seconds", 0) >= 0):
        raise ValueError(f"seconds: found {value['seconds']!r}, expected a number of seconds.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
