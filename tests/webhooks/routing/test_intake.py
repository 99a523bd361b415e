"""Events come in, by webhook and by queue; what each sender is told."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError, ServiceRequestError

from shared.auth.entra_keys import KeysUnavailable
from shared.delivery.queue import Kept, Receipt
from shared.delivery.queue_messages import Work
from shared.delivery.row import Row
from shared.delivery.worker import Worker
from shared.errors import NotAllowed
from shared.mail.outgoing import OutgoingMail
from shared.webhooks.rendering.mails import Renderer
from shared.webhooks.routing import intake as intake_module
from shared.webhooks.routing.catalog import BUILT_IN, Catalog, load
from shared.webhooks.routing.compose import Composer
from shared.webhooks.routing.event_mails import EventMails
from shared.webhooks.routing.event_messages import parse_event
from shared.webhooks.routing.intake import Intake
from shared.webhooks.routing.route import RouteUnusable
from shared.webhooks.routing.secrets import AGAIN, KEPT, Secrets
from shared.webhooks.sources import json_values
from shared.webhooks.sources.source import RawRequest, TokenRule, WebhookReply
from tests.delivery.memory import MemoryOutbox, Unpaced
from tests.delivery.samples import Office
from tests.webhooks.routing.samples import NOW, settings
from tests.webhooks.routing.test_secrets import FakeVault

RENDERER = Renderer(BUILT_IN / "_layout")
SECRETS = {
    "MAIL_SECRET_SHOP": "secret",
    "MAIL_SECRET_GITHUB": "secret",
    "MAIL_SECRET_CLOUDEVENTS": "secret",
    "MAIL_SECRET_STRIPE": "secret",
}


class FullOutbox(MemoryOutbox):
    """Storage that takes so many messages, and then none."""

    def __init__(self, takes: int) -> None:
        super().__init__()
        self.takes = takes

    async def put(self, work: Work, *rest: Any, **options: Any) -> Receipt:
        if len(self.messages) >= self.takes:
            raise ServiceRequestError("away")
        return await super().put(work, *rest, **options)

    async def set_aside(self, row: Row, kept: Kept) -> None:
        if self.takes == 0:
            raise ServiceRequestError("away")
        await super().set_aside(row, kept)


@dataclass
class Counter:
    """Where events come in."""

    folder: Path
    routes: Mapping[str, str] = field(default_factory=lambda: {"shop": ""})
    environ: Mapping[str, str] = field(default_factory=lambda: SECRETS)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    token: Exception | None = None
    office: Office = field(init=False)
    intake: Intake = field(init=False)

    def __post_init__(self) -> None:
        for name, text in self.routes.items():
            (self.folder / name).mkdir()
            source = "" if "source =" in text else 'source = "key"\n'
            (self.folder / name / "route.toml").write_text(source + text)
        given = settings(**self.environ)
        self.office = Office(settings=given, outbox=self.outbox)
        composer = Composer(given, RENDERER)
        catalog = load(self.folder)
        courier = Worker(self.office.engine)
        mails = EventMails(composer, self.outbox, courier, now=lambda: NOW)
        self.intake = Intake(catalog, Secrets(given), self.tokens, mails)

    async def tokens(self, rule: TokenRule, authorization: str | None) -> None:
        if self.token:
            raise self.token

    async def post(self, body: Any, route: str = "shop", **headers: str) -> WebhookReply:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        proof = {"x-api-key": "secret", "content-type": "application/json"}
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.intake.receive(route, RawRequest(content, {**proof, **names}, {"secret": "secret"}))

    async def mails(self) -> list[OutgoingMail]:
        found = [await self.outbox.mail_of(work) for _, work in self.outbox.messages]
        return [mail for mail in found if mail]


async def test_a_verified_event_is_durable_before_it_is_acknowledged(tmp_path: Path) -> None:
    """One message in mail-work; no row, and no request to Graph. A repeated event has the same id."""
    counter = Counter(tmp_path)
    for total in (12, 13):
        reply = await counter.post({"total": total}, idempotency_key="order 1")
        assert (reply.status, reply.body) == (202, b"")
    mail, again = await counter.mails()
    assert (mail.id, mail.fingerprint, mail.origin.name) == (again.id, again.fingerprint, "shop")
    (_, work) = counter.outbox.messages[0]
    assert (work.route, work.known) == ("shop", False)
    assert await counter.office.ledger.read(mail.id) is None


async def test_a_route_may_be_named_in_another_case(tmp_path: Path) -> None:
    """By webhook, where its secret is still required, and by queue."""
    counter = Counter(tmp_path)
    assert (await counter.post({}, "Shop")).status == 202
    assert (await counter.post({}, "SHOP", x_api_key="wrong")).status == 401
    await counter.intake.take_message("m", b'{"route": "sHOP", "id": "1"}')
    assert [mail.origin.name for mail in await counter.mails()] == ["shop", "shop"]


async def test_what_was_signed_is_read_in_the_encoding_that_it_is_in(tmp_path: Path) -> None:
    """The signature is over the bytes as they were received."""
    counter = Counter(tmp_path)
    for title, codec, kind in (
        ("Tür", "latin-1", "application/json"),
        ("Tür", "utf-16", "application/json"),
        ("Žár", "cp1250", "a/json; charset=cp1250"),
    ):
        body = f'{{"action": "opened", "issue": {{"title": "{title}"}}, "repository": {{}}}}'.encode(codec)
        sent = {**signed("github", body), "x_github_delivery": codec, "content_type": kind}
        assert (await counter.post(body, "github", **sent)).status == 202
        assert (await counter.post(body + b" ", "github", **sent)).status == 401
    found = "".join(str(mail.request.message.subject) for mail in await counter.mails())
    assert found.count("Tür") == 2
    assert "Žár" in found


@pytest.mark.parametrize("route", ["shop", "github", "stripe", "cloudevents", "grafana"])
async def test_nothing_of_a_request_is_read_before_its_proof_whatever_it_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    """A stranger's ten megabytes cost no parsing, and a fault of a parser is no stranger's to use."""
    read: list[str] = []
    routes = {"shop": "", **{name: f'source = "{name}"' for name in ("github", "stripe", "cloudevents", "grafana")}}
    counter = Counter(tmp_path, routes=routes, environ={**SECRETS, "MAIL_SECRET_GRAFANA": "secret"})
    source = type(counter.intake.catalog.routes[route].source)
    for method in ("handshake", "events"):
        monkeypatch.setattr(source, method, lambda *_, method=method: read.append(method))
    for body in (b"{}", b"{", b"[" * 100_000, b""):
        assert (await counter.post(body, route, x_api_key="guess", authorization="Bearer guess")).status in (400, 401)
    assert read == []


@pytest.mark.parametrize(
    ("body", "headers", "status", "word"),
    [
        (b"no json", {"x_api_key": "wrong"}, 401, ""),  # nothing is read before the proof
        (b" " * (2 * 1024 * 1024 + 1), {"x_api_key": "wrong"}, 413, ""),  # nor before the size is known
        (b"{}" + b" " * (2 * 1024 * 1024 - 2), {}, 202, ""),  # the largest
        (b'{"a": }', {}, 400, "line 1"),
        *((b"{}", {"content_encoding": encoding}, 415, "Content-Encoding") for encoding in ("gzip", "br", "x")),
        (b"{}", {"content_encoding": "gzip, identity"}, 415, "Content-Encoding"),
        (b"{}", {"content_encoding": "Identity"}, 202, ""),
    ],
)
async def test_a_packed_body_is_refused_before_anything_unpacks_it(
    tmp_path: Path, body: bytes, headers: dict[str, str], status: int, word: str
) -> None:
    """And a large or broken one, and one of a stranger."""
    counter = Counter(tmp_path)
    reply = await counter.post(body, **headers)
    assert reply.status == status
    assert word in reply.detail
    assert len(counter.outbox.messages) == (status == 202)


async def test_a_setting_that_is_missing_or_wrong_is_named_to_the_sender_and_not_to_a_stranger(tmp_path: Path) -> None:
    """The table of such settings is in test_compose.py."""
    counter = Counter(tmp_path, environ={**SECRETS, "MAIL_TO": ""})
    reply = await counter.post({})
    assert (reply.status, reply.headers["Retry-After"]) == (503, "30")
    assert "MAIL_TO" in reply.detail
    assert "@" not in reply.detail
    assert (await counter.post({}, x_api_key="wrong")).status == 401
    assert not counter.outbox.messages


@pytest.mark.parametrize(
    ("text", "secret", "word"),
    [
        ("", "\ufeffhush", "byte order mark"),
        ("", "@Microsoft.KeyVault(SecretUri=https://contoso.example/hush)", "Key Vault reference"),
        ('[options]\naccept = ["basic"]', "hush", "user:password"),
    ],
)
async def test_a_secret_that_can_prove_nothing_is_a_fault_of_the_route_and_its_name_is_for_the_operator(
    tmp_path: Path, text: str, secret: str, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The table of such secrets is in tests/webhooks/sources/test_contract.py."""
    counter = Counter(tmp_path, routes={"shop": text}, environ={"MAIL_SECRET_SHOP": secret})
    reply = await counter.post({})
    assert (reply.status, reply.detail) == (503, intake_module.UNUSABLE)
    (line,) = (json.loads(record.message) for record in caplog.records)
    assert line["event"] == "event.deferred"
    assert line["why"].startswith("MAIL_SECRET_SHOP")
    assert word in line["why"]
    assert secret not in caplog.text


HOSTILE = (
    RawRequest(b"{}"),
    RawRequest(b" " * (26 * 1024 * 1024)),
    RawRequest(b"{}", {"content-encoding": "gzip"}),
    RawRequest(b"{}", {"x-api-key": "guess", "authorization": "Bearer guess", "stripe-signature": "t=1,v1=ab"}),
    RawRequest(method="GET"),
    RawRequest(method="HEAD"),
    RawRequest(method="OPTIONS"),
    RawRequest(headers={"webhook-request-origin": "eventgrid.azure.net"}, method="OPTIONS"),
)


@pytest.mark.parametrize("vault", [False, True])
async def test_a_route_without_a_secret_answers_as_one_that_does_not_exist(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    vault: bool,  # noqa: FBT001
) -> None:
    """Whatever is sent to it; the operator is told once a day, and no alert is raised."""
    caplog.set_level("INFO")
    asked: list[str] = []

    async def nothing(name: str) -> str:
        asked.append(name)
        raise ResourceNotFoundError("none")

    counter = Counter(tmp_path, routes={"shop": "", "hook": "probe = true"}, environ={})
    if vault:
        counter.intake = replace(counter.intake, secrets=Secrets(settings(), nothing))
    off = ["azure-devops", "cloudevents", "github", "hook", "shop", "stripe"]
    for request in HOSTILE:
        missing = await counter.intake.answer("nothing", request)
        for name in (*off, "Shop"):
            assert await counter.intake.answer(name, request) == missing
    assert missing.status == 200
    assert (await counter.post({})).status == 404
    lines = [json.loads(record.message) for record in caplog.records]
    assert all(line["event"] == "route.off" and line["count"] == 1 for line in lines)
    assert sorted(line["route"] for line in lines) == off
    assert {record.levelname for record in caplog.records} == {"INFO"}
    assert len(asked) == (6 if vault else 0)  # one read for each route, whatever was sent


async def test_a_vault_that_cannot_be_read_puts_off_whatever_is_sent_and_says_no_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also for a route without a secret: nobody knows that it has none."""

    async def away(name: str) -> str:
        raise ServiceRequestError("away")

    counter = Counter(tmp_path, routes={"hook": "probe = true"}, environ={})
    counter.intake = replace(counter.intake, secrets=Secrets(settings(), away))
    for request in HOSTILE[:6]:
        reply = await counter.intake.answer("hook", request)
        assert (reply.status, reply.detail) == (503, intake_module.UNUSABLE)
        assert reply.headers["Retry-After"]
    assert (await counter.intake.answer("cloudevents", HOSTILE[-1])).status == 503
    assert '"event":"event.deferred"' in caplog.text


async def test_a_route_is_on_as_soon_as_the_vault_has_its_secret(tmp_path: Path) -> None:
    """A route that was off is not taken for off while the vault is away, nor with a blank secret."""
    vault = FakeVault()
    counter = Counter(tmp_path, environ={})
    counter.intake = replace(counter.intake, secrets=vault.secrets())
    answers = ((ResourceNotFoundError("none"), 404), (ServiceRequestError("away"), 503), ("old secret", 202))
    for answer, status in answers:
        vault.now += AGAIN + 1
        vault.answers["mail-secret-shop"] = answer
        assert (await counter.post({})).status == status
    assert (await counter.post({}, x_api_key="guess")).status == 401
    vault.now += KEPT + 1
    vault.answers["mail-secret-shop"] = " "
    assert (await counter.post({}, x_api_key="")).status == 503


async def test_one_broken_route_or_secret_takes_nothing_from_the_others(tmp_path: Path) -> None:
    routes = {"shop": '[options]\naccept = ["basic"]', "broken": "colour = 1"}
    counter = Counter(tmp_path, routes=routes, environ={"MAIL_SECRET_SHOP": "x a:b"})
    assert (await counter.post({}, authorization="Basic YTpi")).status == 202
    assert (await counter.post({}, "broken")).status == 503


async def test_what_the_route_does_not_want_is_done_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    counter = Counter(tmp_path, routes={"shop": "when = 'data.total > `20`'"})
    assert (await counter.post({"total": 12})).status == 202
    assert not counter.outbox.messages
    assert any('"event.filtered","route":"shop"' in record.message for record in caplog.records)


def signed(route: str, body: bytes) -> dict[str, str]:
    digest = hmac.new(b"secret", body, hashlib.sha256).hexdigest()
    marker = str(int(NOW.timestamp()))
    stripe = hmac.new(b"secret", f"{marker}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "shop": {},
        "github": {"x_github_event": "issues", "x_github_delivery": "1", "x_hub_signature_256": f"sha256={digest}"},
        "stripe": {"stripe_signature": f"t={marker},v1={stripe}"},
        "cloudevents": {"content_type": "application/cloudevents+json", "authorization": "Bearer secret"},
    }[route]


@pytest.mark.parametrize(("route", "status"), {"shop": 503, "github": 503, "stripe": 503, "cloudevents": 429}.items())
async def test_storage_that_is_away_is_told_in_each_senders_own_terms(tmp_path: Path, route: str, status: int) -> None:
    counter = Counter(tmp_path, outbox=FullOutbox(0))
    event = {"specversion": "1.0", "id": "evt_1", "source": "/a", "type": "a", "action": "opened"}
    body = json.dumps({**event, "issue": {"number": 1}}).encode()
    reply = await counter.post(body, route, **signed(route, body))
    assert reply.status == status
    assert reply.headers["Retry-After"]
    assert "storage" in reply.detail


async def test_storage_that_hangs_is_not_waited_for_until_the_sender_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging(MemoryOutbox):
        async def put(self, *rest: Any, **options: Any) -> Any:
            await asyncio.sleep(60)
            raise AssertionError

    monkeypatch.setattr(intake_module, "PATIENCE", 0.05)
    assert (await Counter(tmp_path, outbox=Hanging()).post({})).status == 503


async def test_a_batch_is_acknowledged_when_all_of_it_is_put_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One above the largest number of events is refused with its place."""
    monkeypatch.setattr(json_values, "MOST_EVENTS", 3)
    headers = {"content_type": "application/cloudevents-batch+json", "authorization": "Bearer secret"}
    batch = [{"specversion": "1.0", "id": str(number), "source": "/a", "type": "a.b"} for number in range(4)]
    counter = Counter(tmp_path)
    reply = await counter.post(batch, "cloudevents", **headers)
    assert (reply.status, counter.outbox.messages) == (413, [])
    assert "$[3]" in reply.detail
    assert (await counter.post(batch[:3], "cloudevents", **headers)).status == 202
    assert len(counter.outbox.messages) == 3
    (tmp_path / "two").mkdir()
    short = Counter(tmp_path / "two", outbox=FullOutbox(2))
    assert (await short.post(batch[:3], "cloudevents", **headers)).status == 429
    assert {work.id for _, work in short.outbox.messages} < {work.id for _, work in counter.outbox.messages}


REFUSING = 'recipients_from = "data.to"\nallow = ["*@contoso.com"]\n'
NOT_OURS = {"to": "a@fabrikam.com"}


@pytest.mark.parametrize("way", ["put back by its operator", "sent again by hand"])
async def test_an_event_whose_recipient_may_not_be_mailed_is_set_aside_and_can_be_put_back(
    tmp_path: Path, way: str
) -> None:
    """Its sender cannot mend that and is told that it is done; an operator finds it.

    What is kept of its refusal has an id of its own, so the mail finds no row that says it has failed.
    """
    counter = Counter(tmp_path, routes={"shop": REFUSING})
    assert (await counter.post(NOT_OURS, idempotency_key="1")).status == 202
    assert not counter.outbox.messages
    ((refused, kept),) = counter.outbox.dead.items()
    assert (kept.kind, kept.queue, kept.reason) == ("message", "mail-events", "ErrorAccessDenied")
    assert (await counter.office.row(refused)).state == "failed"
    counter.office.clock.move(hours=1)
    if way == "sent again by hand":
        assert (await counter.post({"to": "a@contoso.com"}, idempotency_key="1")).status == 202
    else:
        again = json.loads(kept.content)
        again["data"]["to"] = "a@contoso.com"
        await counter.intake.take_message("message", json.dumps(again).encode())
    ((_, message),) = counter.outbox.messages
    await Worker(counter.office.engine).deliver(message)
    assert counter.office.graph.sent == [message.id]
    assert ((await counter.office.row(message.id)).state, message.id != refused) == ("sent", True)


async def test_nothing_is_acknowledged_that_could_not_be_set_aside(tmp_path: Path) -> None:
    counter = Counter(tmp_path, routes={"shop": REFUSING}, outbox=FullOutbox(0))
    assert (await counter.post(NOT_OURS)).status == 503


async def test_what_is_refused_under_a_key_that_counts_for_a_while_is_kept_again_later(tmp_path: Path) -> None:
    """An alert without a name or a time an hour later is another one; both can be put back, and are two mails."""
    text = f'source = "azure-monitor"\n{REFUSING}[options]\nheader = "x-api-key"\n'
    counter = Counter(tmp_path, {"shop": text})
    for hours in (0, 1):
        later = replace(counter.intake.mails, now=partial(NOW.__add__, timedelta(hours=hours)))
        counter.intake = replace(counter.intake, mails=later)
        for _ in range(2):  # each with a retry
            assert (await counter.post(NOT_OURS)).status == 200
    kept = [json.loads(one.content)["id"] for one in counter.outbox.dead.values()]
    assert len(kept) == len(set(kept)) == 2


@pytest.mark.parametrize("key", ["order 1", "k" * 300])
async def test_what_is_refused_under_a_lasting_key_is_kept_once_and_keeps_it_where_it_fits(
    tmp_path: Path, key: str
) -> None:
    """So that it is one mail, whether its operator puts it back or its sender repeats it."""
    counter = Counter(tmp_path, {"shop": REFUSING})
    for _ in range(2):
        assert (await counter.post(NOT_OURS, idempotency_key=key)).status == 202
    (kept,) = counter.outbox.dead.values()
    assert parse_event(kept.content)[0] == "shop"
    assert (json.loads(kept.content)["id"] == key) is (len(key) < 256)


TENANTLESS = 'source = "azure-monitor"\n[options]\naudience = "api://mailroom"\n'


async def test_entra_tokens_replace_a_secret_and_need_a_tenant(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    routes = {"alerts": f'{TENANTLESS}tenant = "11111111-1111-1111-1111-111111111111"\n', "tenantless": TENANTLESS}
    counter = Counter(tmp_path, routes=routes)
    alert = {"schemaId": "azureMonitorCommonAlertSchema", "data": {"essentials": {"alertId": "1"}}}
    assert (await counter.post(alert, "alerts")).status == 200
    for error, status in ((NotAllowed("another application"), 401), (KeysUnavailable("away"), 503)):
        counter.token = error
        assert (await counter.post(alert, "alerts")).status == status
    reply = await counter.post({}, "tenantless")
    assert (reply.status, reply.detail) == (503, intake_module.UNUSABLE)
    assert "MAIL_API_TENANT" in caplog.text


async def test_options_names_the_methods_that_the_route_has_and_tells_nothing_else(tmp_path: Path) -> None:
    counter = Counter(
        tmp_path,
        routes={"shop": "", "hook": "probe = true", "clouds": 'source = "cloudevents"\nprobe = true'},
        environ={**SECRETS, "MAIL_SECRET_HOOK": "secret", "MAIL_SECRET_CLOUDS": "secret"},
    )
    asked = RawRequest(headers={"webhook-request-origin": "eventgrid.azure.net"}, method="OPTIONS")
    names = ("shop", "nothing", "hook", "clouds", "cloudevents")
    replies = {name: await counter.intake.answer(name, asked) for name in names}
    assert {name: reply.headers["Allow"] for name, reply in replies.items()} == {
        "shop": "OPTIONS, POST",
        "nothing": "OPTIONS, POST",
        "hook": "GET, HEAD, OPTIONS, POST",
        "clouds": "GET, HEAD, OPTIONS, POST",
        "cloudevents": "POST",  # of the handshake, as its standard shows it
    }
    assert replies["cloudevents"].headers["WebHook-Allowed-Origin"]
    assert replies["shop"] == replies["nothing"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_route_with_probe_answers_get_and_head_and_delivers_nothing(tmp_path: Path, method: str) -> None:
    """Any other name is 405, so that nobody takes it for delivery: some senders use GET for their events by default."""
    counter = Counter(tmp_path, routes={"shop": "probe = true", "other": "", "broken": "probe = true\ncolour = 1"})
    asked = RawRequest(b'{"total": 12}', {"x-api-key": "secret"}, {"message": "down"}, method)
    reply = await counter.intake.answer("shop", asked)
    assert (reply.status, reply.body, reply.detail) == (200, b"", "")
    first, *others = [
        await counter.intake.answer(name, asked) for name in ("other", "cloudevents", "broken", "nothing")
    ]
    assert (first.status, first.headers) == (405, {"Allow": "OPTIONS, POST"})
    assert first.detail
    assert others == [first] * 3
    assert not counter.outbox.messages


async def test_a_missing_folder_of_routes_stops_every_route(tmp_path: Path) -> None:
    counter = Counter(tmp_path)
    intake = replace(counter.intake, catalog=Catalog(missing="MAIL_ROUTES_DIR: gone"))
    assert (await intake.receive("github", RawRequest())).status == 503
    with pytest.raises(RouteUnusable, match="MAIL_ROUTES_DIR"):
        await intake.take_message("m", b'{"route": "shop"}')


async def test_an_event_by_webhook_and_by_queue_under_one_key_is_one_mail(tmp_path: Path) -> None:
    """A message of the queue needs no secret and uses the same route."""
    counter = Counter(tmp_path)
    await counter.post({"total": 12}, idempotency_key="order 1")
    counter.intake = replace(counter.intake, secrets=Secrets(settings()))
    await counter.intake.take_message("m", b'{"route": "shop", "id": "order 1", "data": {"total": 12}}')
    first, second = await counter.mails()
    assert (first.id, second.origin.name) == (second.id, "shop")


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{", "BadRequest"), (b'{"route": "nothing"}', "UnknownRoute"), (b'{"route": "shop", "x": 1}', "BadRequest")],
)
async def test_a_message_that_is_no_event_is_set_aside_with_its_reason(tmp_path: Path, body: bytes, code: str) -> None:
    counter = Counter(tmp_path)
    await counter.intake.take_message("m", body)
    assert counter.outbox.dead["m"] == Kept("message", code, body, "mail-events")


async def test_a_message_for_a_broken_route_waits_for_it_to_be_mended(tmp_path: Path) -> None:
    counter = Counter(tmp_path, routes={"shop": "colour = 1"})
    with pytest.raises(RouteUnusable, match="shop"):
        await counter.intake.take_message("m", b'{"route": "shop"}')
    assert not counter.outbox.dead


async def test_the_log_holds_nothing_of_the_event(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    counter = Counter(tmp_path, routes={"shop": '[options]\ntype = "data.kind"'})
    await counter.post({"kind": "hello bob@contoso.com", "total": "hush"}, idempotency_key="order of bob")
    text = " ".join(record.getMessage() for record in caplog.records)
    assert "mail.accepted" in text
    assert not any(word in text for word in ("bob", "hush", "@"))


class Rated(Unpaced):
    """A minute's mails, and a time a minute later for each one that does not wait for an answer."""

    def __init__(self, mails: int) -> None:
        super().__init__(lambda: NOW)
        self.mails = mails
        self.times = 0
        self.route = "route shop"

    async def ask(self, caller: str, per_minute: int, mails: int = 1) -> datetime | None:
        assert (caller, per_minute) == (self.route, 3)
        if self.mails < 1:
            return NOW + timedelta(seconds=12.3)
        self.mails -= mails
        return None

    def asked_in_vain(self, caller: str, mails: int = 1) -> None:
        self.mails += mails

    async def come_at(self, caller: str, per_minute: int) -> datetime:
        self.times += 1
        return NOW + timedelta(minutes=self.times)


def rated(folder: Path, pacing: Rated, text: str = "") -> Counter:
    counter = Counter(folder, routes={"shop": f"rate_per_minute = 3\n{text}"})
    counter.office.pace = pacing
    paced = replace(counter.intake.mails, worker=Worker(counter.office.engine))
    counter.intake = replace(counter.intake, mails=paced)
    return counter


async def test_a_route_over_its_rate_answers_like_an_overloaded_one_and_keeps_nothing(tmp_path: Path) -> None:
    counter = rated(tmp_path, Rated(1))
    assert (await counter.post({"n": 1})).status == 202
    reply = await counter.post({"n": 2})
    assert (reply.status, reply.headers["Retry-After"]) == (503, "13")
    assert "rate_per_minute" in reply.detail
    assert len(counter.outbox.messages) == 1


async def test_events_that_get_no_mail_do_not_count(tmp_path: Path) -> None:
    pacing = Rated(1)
    counter = rated(tmp_path, pacing, "when = 'data.n == `1`'")
    for _ in range(3):
        assert (await counter.post({"n": 2})).status == 202
    assert pacing.mails == 1
    assert (await counter.post({"n": 1})).status == 202
    assert pacing.mails == 0


async def test_events_of_the_queue_over_the_rate_are_mailed_when_their_time_comes(tmp_path: Path) -> None:
    counter = rated(tmp_path, Rated(0))
    for number in range(2):
        body = json.dumps({"route": "shop", "id": str(number), "type": "x", "data": {}}).encode()
        await counter.intake.take_message(str(number) * 32, body)
    assert [due for due, _ in counter.outbox.messages] == [NOW + timedelta(minutes=minutes) for minutes in (1, 2)]
