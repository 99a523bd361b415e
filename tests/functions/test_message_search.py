"""Finding mails over HTTP: whose mails are found, what is refused, and what a page costs."""

import json
from collections.abc import AsyncIterator, Callable
from copy import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import azure.functions as func
import pytest

from shared.app import App
from shared.delivery.attention import AttentionIndex
from shared.delivery.cancel_replay_retry import Control
from shared.delivery.ledger import Ledger
from shared.delivery.queue import Kept
from shared.delivery.results import Bounce
from shared.delivery.row import Row
from shared.functions import message_search, messages
from shared.mail.outgoing import encode, identity, key_hash
from shared.settings.config import read
from shared.storage.tables import Tables
from tests.auth.test_entra import APPLICATION, OTHER, TENANT, USER, Entra, app_claims, bearer, user_claims
from tests.delivery.samples import NOON, Office, answering, outgoing_mail
from tests.functions.samples import ENVIRONMENT, answer_of, request
from tests.wire import Wire

OPERATOR = bearer(app_claims(roles=["Mailroom.Operate"]))
SCOPE = f"http:{TENANT}:{APPLICATION}"
ROW = Row(
    id="0" * 32, state="failed", scope=SCOPE, fingerprint="f", mailbox="desk@contoso.com", accepted_at=NOON,
    settled_at=NOON, code="ErrorInvalidRecipients", status=400, key=key_hash("k 1"), recipients="a" * 64,
)  # fmt: skip


class Site:
    """The app on an office in memory."""

    def __init__(self, install: Callable[[App], App]) -> None:
        self.office = Office()
        self.app = install(App(read(ENVIRONMENT)))
        self.app.__dict__ |= {"engine": self.office.engine, "control": Control(self.office.engine)}
        self.app.__dict__["verifier"] = Entra().verifier()
        self.app.__dict__["table_identities"] = (Unreplaced(), None)

    async def ask(self, function: Any, token: str | None = OPERATOR, /, **params: str) -> tuple[int, Any]:
        headers = {"Authorization": token} if token else {"x-functions-key": "k"}
        answer = await function(request(headers=headers, params=params))
        return answer.status_code, answer_of(answer)

    async def found(self, token: str | None = OPERATOR, /, **params: str) -> list[str]:
        status, body = await self.ask(message_search.messages, token, **params)
        assert status == 200, body
        return [one["id"] for one in body["messages"]]

    async def have(self, *rows: Row) -> None:
        for row in rows:
            await self.office.ledger.write(row)


class Unreplaced:
    async def known(self) -> None:
        return None


@pytest.fixture
def site(install: Callable[[App], App]) -> Site:
    return Site(install)


CALLERS = {
    "an application": (app_claims(), SCOPE),
    "a user of it": (user_claims(), f"{SCOPE}:{USER}"),
    "another application": (app_claims(azp=OTHER), f"http:{TENANT}:{OTHER}"),
}


async def test_a_caller_finds_the_mail_of_its_own_key_and_never_anothers(site: Site) -> None:
    """Whatever else it asks for; an operator finds all of them."""
    mails = {
        who: replace(ROW, id=identity(scope, "idempotency-key:k 1"), scope=scope) for who, (_, scope) in CALLERS.items()
    }
    await site.have(*mails.values(), replace(ROW, id=identity("queue:mail-outbox:desk@contoso.com", "k 1"), key=None))
    for who, (claims, _) in CALLERS.items():
        assert await site.found(bearer(claims), key="k 1") == [mails[who].id]
        assert await site.found(bearer(claims), key="k 2") == []
        assert await site.found(bearer(claims), key="k 1", caller=OTHER) in ([], [mails[who].id])
        assert await site.found(bearer(claims), key="k 1", state="sent") == []
        for more in ({}, {"keyHash": ROW.key}, {"state": "failed"}, {"recipient": "a" * 64}):
            status, _ = await site.ask(message_search.messages, bearer(claims), **more)
            assert status == 403
    assert sorted(await site.found(key="k 1")) == sorted(one.id for one in mails.values())
    assert sorted(await site.found(keyHash=str(ROW.key))) == sorted(one.id for one in mails.values())


async def test_an_operator_who_says_whose_key_it_is_finds_it_in_one_reading(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_search(*_: Any) -> None:
        raise AssertionError("the ledger was searched")

    monkeypatch.setattr(message_search, "search", no_search)
    by_http = replace(ROW, id=identity(SCOPE, "idempotency-key:k 1"))
    scope = "queue:mail-outbox:desk@contoso.com"
    by_queue = replace(ROW, id=identity(scope, "k 1"), scope=scope, mailbox="one-of-a-pool@contoso.com")
    by_route = replace(ROW, id=identity("route:github", "k 1"), scope="route:github", route="github")
    await site.have(by_http, by_queue, by_route)
    assert await site.found(key="k 1", caller=APPLICATION.upper()) == [by_http.id]
    assert await site.found(key="k 1", sender="DESK@contoso.com") == [by_queue.id]
    assert await site.found(key="k 1", route="github") == [by_route.id]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"status": "failed"}, "'status' is not known, expected state, since, until, route,"),
        ({"state": "lost"}, "state is 'lost', expected one of scheduled"),
        ({"intake": "mail"}, "intake is 'mail', expected one of http, queue, route"),
        ({"since": "yesterday"}, "since is 'yesterday', expected a time with its offset"),
        ({"until": "2026-07-01T08:00:00"}, "until is '2026-07-01T08:00:00', expected"),
        ({"since": "0001-01-01T00:00:00Z"}, "since is"),
        ({"since": "9999-12-31T23:59:59-12:00"}, "since is"),
        ({"route": ""}, "route has 0 characters"),
        ({"code": "x" * 321}, "code has 321 characters"),
        ({"sender": "a@b@c"}, "sender is no mailbox"),
        ({"recipient": "jane.doe@contoso.com"}, "recipient has 20 characters, expected a SHA-256"),
        ({"keyHash": "x"}, "keyHash has 1 characters"),
        ({"key": "k", "keyHash": "0" * 64}, "both key and keyHash"),
        ({"top": "0"}, "top is '0'"),
        ({"after": "nowhere"}, "after cannot be read"),
    ],
)
async def test_a_wrong_parameter_is_named_with_what_is_expected(site: Site, params: dict[str, str], words: str) -> None:
    status, body = await site.ask(message_search.messages, **params)
    assert (status, words in body["detail"]) == (400, True), body
    assert "jane" not in body["detail"], "an address is not quoted"


@pytest.mark.parametrize("query", ["state=failed&code=", "state=failed&since", "state=failed&dryRun="])
async def test_a_parameter_without_a_value_is_not_taken_for_one_that_is_left_out(site: Site, query: str) -> None:
    """The platform gives a function only those that have one. Without them, everything would be replayed."""
    await site.have(ROW)
    headers, params = {"x-functions-key": "k"}, {"state": "failed"}
    asked = func.HttpRequest("POST", f"https://x.test/?{query}", headers=headers, params=params, body=b"")
    answer = await message_search.operator_message_replays(asked)
    assert (answer.status_code, b" is empty; expected a value" in answer.get_body()) == (400, True)


async def test_a_function_key_in_the_address_is_no_filter(site: Site) -> None:
    """The platform takes `code` for the key. Taken for a filter, or left out, it would silently find something else."""
    await site.have(ROW)
    by_address = request(params={"code": "the-key"})
    for function in (message_search.operator_messages, message_search.operator_message_replays):
        answer = await function(by_address)
        assert (answer.status_code, b"x-functions-key" in answer.get_body()) == (400, True)
        assert b"the-key" not in answer.get_body()
    status, body = await site.ask(message_search.operator_messages, None, code="ErrorInvalidRecipients")
    assert (status, [one["id"] for one in body["messages"]]) == (200, [ROW.id])


async def test_a_mail_says_why_when_and_what_is_next_and_no_recipient(site: Site) -> None:
    bounce = Bounce(recipient="b" * 64, code="5.1.1", kind="failed", at=NOON)
    row = replace(
        ROW, reason="Expected an address. - at `$.message.toRecipients[0]`", attempted_at=NOON, listed_at=NOON,
        bounces=json.dumps([{"recipient": "b" * 64, "code": "5.1.1", "class": "failed", "at": "2026-07-01T12:00:00Z"}]),
    )  # fmt: skip
    said = messages.shown(row)
    assert said["bounces"] == [
        {"recipient": bounce.recipient, "code": "5.1.1", "class": "failed", "at": "2026-07-01T12:00:00Z"}
    ]
    assert {name: said[name] for name in ("intake", "caller", "sender", "keyHash", "reason", "nextStep")} == {
        "intake": "http", "caller": APPLICATION, "sender": "desk@contoso.com", "keyHash": ROW.key,
        "reason": row.reason, "nextStep": "operator",
    }  # fmt: skip
    assert {said[name] for name in ("acceptedAt", "lastAttemptAt", "settledAt", "attentionSince")} == {
        "2026-07-01T12:00:00Z"
    }
    assert "a" * 64 not in json.dumps(said)
    await site.have(replace(row, wants_results=True))
    _, body = await site.ask(message_search.messages, state="failed")
    assert body["messages"][0]["resultsTold"] is False


@pytest.mark.parametrize(
    ("state", "next_step"),
    [("scheduled", "send"), ("accepted", "send"), ("sending", "record"), ("unknown", "verify"), ("sent", None),
     ("cancelled", None), ("failed", "operator"), ("review", "operator"), ("suppressed", "operator"),
     ("captured", "operator")],
)  # fmt: skip
def test_the_next_step_follows_from_the_state(state: Any, next_step: str | None) -> None:
    assert messages.shown(replace(ROW, state=state)).get("nextStep") == next_step


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with Wire() as wire:
        yield wire


@pytest.mark.parametrize("days", [1, 40])
async def test_a_page_of_what_needs_attention_takes_three_requests_at_most_and_has_the_newest_first(
    site: Site, storage: str, wire: Wire, days: int
) -> None:
    """Whatever the ledger holds, and over how many days."""
    tables = Tables.of_connection_string(storage, wire)
    index = AttentionIndex(tables.table(f"t{uuid4().hex}"))
    ledger = Ledger(tables.table(f"t{uuid4().hex}"), index)
    rows = [replace(ROW, id=f"{at:032x}", settled_at=NOON + timedelta(days=at % days, seconds=at)) for at in range(80)]
    for row in rows:
        await ledger.write(row)
    site.app.__dict__["engine"] = replace(site.office.engine, ledger=ledger)
    found, params = list[str](), {"top": "25"}
    while True:
        wire.requests = 0
        status, body = await site.ask(message_search.attention, **params)
        assert (status, wire.requests <= 3) == (200, True)
        found += [one["id"] for one in body["messages"]]
        if "next" not in body:
            break
        params["after"] = body["next"]
    assert found == [row.id for row in sorted(rows, key=lambda row: row.settled_at or NOON, reverse=True)]


# Replay by filter.


async def kept(site: Site, mail: str, **changes: Any) -> Row:
    sent = replace(outgoing_mail(mail), scope=SCOPE)
    row = replace(ROW, id=mail, fingerprint=sent.fingerprint, **changes)
    site.office.outbox.dead[mail] = Kept("mail", "x", encode(sent))
    await site.have(row)
    return row


async def test_what_a_filter_finds_is_replayed_each_verified_first_and_never_by_force(site: Site) -> None:
    await kept(site, "1" * 32)
    await kept(site, "2" * 32, code="Other")
    await kept(site, "3" * 32, may_have_gone=True)
    await site.have(replace(ROW, id="4" * 32))
    for finding, told in ((answering("sent"), "found"), (None, "not-replayed")):
        site.office.verifier = finding
        site.app.__dict__["control"] = Control(site.office.engine)
        for dry in ("true", "false"):
            before = (list(site.office.outbox.messages), await site.office.row("3" * 32))
            status, body = await site.ask(
                message_search.message_replays, state="failed", code="ErrorInvalidRecipients", dryRun=dry
            )
            assert (status, body["dryRun"]) == (200, dry == "true")
            results = {one["id"][0]: one["result"] for one in body["messages"]}
            assert results == {"1": "replayed", "3": told, "4": "not-replayed"}
            if dry == "true":
                assert (site.office.outbox.messages, await site.office.row("3" * 32)) == before
        assert {message.id[0] for _, message in site.office.outbox.messages} == {"1"}
        await site.office.ledger.write(replace(await site.office.row("3" * 32), state="failed", code=ROW.code))


@pytest.mark.parametrize("state", [None, "sent", "accepted"])
async def test_many_are_replayed_of_a_state_that_is_named_and_can_be(site: Site, state: str | None) -> None:
    status, body = await site.ask(message_search.message_replays, **({"state": state} if state else {}))
    assert (status, "expected one of captured, failed, review, suppressed" in body["detail"]) == (400, True)


async def test_a_replay_of_many_ends_in_time_and_its_next_begins_with_the_same_page(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await kept(site, f"{number:032x}")
    monkeypatch.setattr(message_search, "TIME", -1.0)
    _, body = await site.ask(message_search.message_replays, state="failed")
    assert (body["messages"], body["next"]) == ([], "00")
    monkeypatch.undo()
