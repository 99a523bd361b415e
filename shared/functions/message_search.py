"""Finds mails by key, by filters, or because they need attention; and replays those that a filter finds."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, get_args
from urllib.parse import parse_qsl, urlsplit

import azure.functions as func
import msgspec

from shared.app import App
from shared.auth.entra import NO_OPERATOR
from shared.delivery.row import REPLAYABLE, Row, State
from shared.delivery.search import FIRST, INTAKES, Filters, SearchPage, search
from shared.errors import Malformed, NotAllowed
from shared.functions.access import operable, page_size, wrong_after
from shared.functions.http_answers import NO_STORE, json_answer, time_of
from shared.functions.messages import Scope, described, flag, operator, scope_of, shown, unreplayed
from shared.mail.addresses import mailbox_name
from shared.mail.limits import MAX_KEY
from shared.mail.outgoing import HASH, identity, key_hash
from shared.settings.address_patterns import GUID
from shared.settings.queue_names import OUTBOX

LONGEST: Final = 320  # characters of a value
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
TIME: Final = 60.0  # seconds after which a replay of many begins no other one
MOST_REPLAYED: Final = 100
OPERATORS: Final = f"Only operators can search; a caller finds a mail of its own by key. {NO_OPERATOR}"
PAGING: Final = ("top", "after")


class _WrongError(ValueError):
    """A parameter has an invalid value. The text says what was found and what is expected."""


def _one_of(*values: str) -> Callable[[str], str]:
    def read(given: str) -> str:
        if given not in values:
            raise _WrongError(f"is {given[:20]!r}, expected one of {', '.join(values)}")
        return given

    return read


def _time(given: str) -> datetime:
    at = time_of(given)
    if at is not None and EARLIEST <= at < LATEST:
        return at
    expected = "a time with its offset (RFC 3339), such as 2026-07-01T06:00:00Z; a + is written %2B in a URL"
    raise _WrongError(f"is {given[:40]!r}, expected {expected}")


def _text(given: str) -> str:
    if not given or len(given) > LONGEST or not given.isprintable():
        raise _WrongError(f"has {len(given)} characters, expected 1 to {LONGEST}, all of them printable")
    return given


def _mailbox(given: str) -> str:
    try:
        return mailbox_name(_text(given))
    except _WrongError:
        raise
    except ValueError:
        raise _WrongError("is no mailbox, expected its address or object id, or the name of a pool") from None


def _hash(given: str) -> str:
    if HASH.fullmatch(given) is None:  # not quoted: it may be an address, or a key
        raise _WrongError(
            f"has {len(given)} characters, expected a SHA-256 in 64 hex digits, of which URLs tell nothing"
        )
    return given


def _key(given: str) -> str:
    if not given or len(given) > MAX_KEY:
        raise _WrongError(f"has {len(given)} characters, expected 1 to {MAX_KEY}")
    return key_hash(given)


def _caller(given: str) -> str:
    return _text(given).lower() if GUID.fullmatch(given) else _text(given)


# Each parameter: the filter that it is, and how it is read.
FILTERS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "state": ("state", _one_of(*get_args(State))),
    "since": ("since", _time),
    "until": ("until", _time),
    "route": ("route", _text),
    "sender": ("sender", _mailbox),
    "caller": ("caller", _caller),
    "code": ("code", _text),
    "intake": ("intake", _one_of(*INTAKES)),
    "recipient": ("recipient", _hash),
    "key": ("key", _key),
    "keyHash": ("key", _hash),
}


def _filters(req: func.HttpRequest, *others: str) -> Filters:
    """Parse the filters of a request. others: further parameters that are allowed. Raises Malformed."""
    given = dict(req.params)
    by_header = req.headers.get("x-functions-key") or req.headers.get("authorization")
    if "code" in given and not by_header:
        text = "The platform reads code in the URL as the function key. Send the key in the header x-functions-key."
        raise _bad(text)
    if "key" in given and "keyHash" in given:
        raise _bad("Found both key and keyHash, expected one of them.")
    _known(req, (*FILTERS, *others))
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name in FILTERS:
            column, read = FILTERS[name]
            try:
                found[column] = read(value)
            except _WrongError as wrong:
                raise _bad(f"{name} {wrong}.") from None
    return Filters(**found)


def _known(req: func.HttpRequest, names: tuple[str, ...]) -> None:
    # The platform leaves out what has no value: a filter that a script has left empty would find, or replay, all.
    # An empty `after` is a program's first page.
    given = parse_qsl(urlsplit(req.url).query, keep_blank_values=True)
    empty = [name for name, value in given if not value and name != "after"]
    for name in (*req.params, *empty):
        if name not in names and not (name == "code" and not req.headers.get("x-functions-key")):
            raise _bad(f"{name[:40]!r} is not known, expected {', '.join(names)}.")
    if empty:
        raise _bad(f"{empty[0][:40]} is empty; expected a value. Leave the parameter out to search without it.")


def _bad(text: str) -> Malformed:
    return Malformed(400, "BadRequest", text)


async def _list(app: App, req: func.HttpRequest, scope: Scope) -> func.HttpResponse:
    if scope is not None:
        return await _page(app, await _own(app, req, scope))
    filters = _filters(req, *PAGING)
    most = page_size(req)
    if "key" in req.params and (rows := await _by_id(app, filters, req.params["key"])):
        return await _page(app, rows)
    try:
        found = await _search(app, filters, most, req.params.get("after"))
    except ValueError:
        return wrong_after()
    return await _page(app, found.rows, found)


async def _own(app: App, req: func.HttpRequest, scope: str) -> list[Row]:
    """Find a caller's own mail by its key, with one read."""
    if "key" not in req.params:
        raise NotAllowed(OPERATORS)
    filters = _filters(req)
    row = await app.engine.ledger.read(identity(scope, f"idempotency-key:{req.params['key']}"))
    return [row] if row is not None and row.scope == scope and filters.matches(row) else []


async def _by_id(app: App, filters: Filters, key: str) -> list[Row]:
    """The mails of a key, where who gave it is known well enough: then their ids follow from it."""
    ids: dict[str, Filters] = {}
    if filters.caller and app.settings.api:
        scope = f"http:{app.settings.api.tenant.lower()}:{filters.caller}"
        ids[identity(scope, f"idempotency-key:{key}")] = filters
    if filters.sender:  # which may be a pool, of which the row has one mailbox
        ids[identity(f"queue:{OUTBOX}:{filters.sender}", key)] = replace(filters, sender=None)
    if filters.route:
        ids[identity(f"route:{filters.route}", key)] = filters
    found = {one: await app.engine.ledger.read(one) for one in ids}
    return [row for one, row in found.items() if row is not None and ids[one].matches(row)]


async def _search(app: App, filters: Filters, most: int, after: str | None) -> SearchPage:
    tenant = app.settings.api.tenant.lower() if app.settings.api else None
    return await search(app.engine.ledger, filters, most, after, tenant)


async def _page(app: App, rows: list[Row], found: SearchPage | None = None) -> func.HttpResponse:
    body: dict[str, object] = {"messages": [await described(app, row) for row in rows]}
    return json_answer(200, body | _far(found), NO_STORE)


def _far(found: SearchPage | None) -> dict[str, object]:
    """How far a search got, and where the next page continues."""
    if found is None:
        return {}
    searched = {"partitions": found.partitions, "rows": found.read, "requests": found.requests}
    return {"searched": searched} | ({"next": found.after} if found.after else {})


async def _attention(app: App, req: func.HttpRequest, _: Scope) -> func.HttpResponse:
    _known(req, PAGING)
    most = page_size(req)
    try:
        rows, after = await app.engine.ledger.listed(most, req.params.get("after"))
    except ValueError:
        return wrong_after()
    body: dict[str, object] = {"messages": [shown(row) for row in rows]}
    return json_answer(200, body | ({"next": after} if after else {}), NO_STORE)


async def _replay(app: App, req: func.HttpRequest, _: Scope) -> func.HttpResponse:
    """Replay a page of what a filter finds. If the time is over, the next request starts with this page again."""
    filters = _filters(req, *PAGING, "dryRun")
    if filters.state not in REPLAYABLE:
        raise _bad(f"state is {filters.state or 'missing'}, expected one of {', '.join(sorted(REPLAYABLE))}.")
    dry = flag(req, "dryRun")
    most = page_size(req)
    end = time.monotonic() + TIME
    try:
        found = await _search(app, filters, min(most, MOST_REPLAYED), req.params.get("after"))
    except ValueError:
        return wrong_after()
    results = []
    for row in found.rows:
        if time.monotonic() >= end:
            found = replace(found, after=req.params.get("after") or FIRST)
            break
        results.append(await _replayed(app, row, dry=dry))
    return json_answer(200, {"dryRun": dry, "messages": results, **_far(found)}, NO_STORE)


async def _replayed(app: App, row: Row, *, dry: bool) -> dict[str, object]:
    from shared.functions.kept_messages import refused

    done = await app.control.replay(row, dry=dry, refused=partial(refused, app))
    if isinstance(done, Row):
        return {"id": row.id, "result": "found" if done.state == "sent" else "replayed"}
    return {"id": row.id, "result": "not-replayed", "reason": unreplayed(done)}


async def _summary(app: App, req: func.HttpRequest, _: Scope) -> func.HttpResponse:
    _known(req, ())
    found = await app.summary.read(datetime.now(UTC))
    return json_answer(200, msgspec.to_builtins(found), NO_STORE)


messages, operator_messages = operable("messages", _list, scope_of, None)
message_replays, operator_message_replays = operable("message_replays", _replay, operator, None)
attention, operator_attention = operable("attention", _attention, operator, None)
summary, operator_summary = operable("summary", _summary, operator, None)
