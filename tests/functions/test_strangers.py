"""Whatever is sent by somebody who proves nothing, what is written of it is little, and counts all of it."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator

import pytest
from azure.core.exceptions import ResourceNotFoundError, ServiceRequestError

from shared import telemetry
from shared.app import App, current_app
from shared.telemetry import MOST, STRANGERS, Bounded, LogEvent
from shared.webhooks.routing.secrets import Secrets
from tests.auth.test_entra import NEXT_KEY, Entra, app_claims, bearer
from tests.functions.samples import ENVIRONMENT, request
from tests.indexed import indexed
from tests.logged import said

ANONYMOUS = sorted(
    name
    for name, function in indexed().items()
    if (trigger := function.get_trigger().get_dict_repr())["type"] == "httpTrigger"
    and str(trigger["authLevel"]).rpartition(".")[2].lower() == "anonymous"
)
METHODS = ("GET", "OPTIONS", "POST")
BODIES = (b"", b"{}", b"[" * 1000, b"\xff\x00", b" " * 5_000_000)
TOKENS = (
    None,
    "Bearer x.y.z",
    "Basic eA==",
    bearer({}),
    bearer(app_claims(aud="other")),
    bearer(app_claims(), NEXT_KEY, "k2"),
    bearer(app_claims(azp="11111111-1111-1111-1111-111111111111")),
)
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"content-type": "application/json", "x-hub-signature-256": "sha256=00", "x-github-event": "push"},
    {"content-encoding": "gzip"},
    {"transfer-encoding": "chunked"},
    {"webhook-request-origin": "example.com", "aeg-event-type": "SubscriptionValidation"},
)
NAMES = ("github", "stripe", "grafana", "cloudevents", "nothing", "a@contoso.com")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def vault(name: str) -> str:
    """One route has a secret, of one it cannot be said, the others have none."""
    if name == "mail-secret-stripe":
        raise ServiceRequestError("away")
    if name != "mail-secret-github":
        raise ResourceNotFoundError("none")
    return "secret"


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    current_app.cache_clear()
    made = current_app()
    made.__dict__["secrets"] = Secrets(made.settings, vault)
    yield made
    current_app.cache_clear()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(telemetry, "_bounded", Bounded(STRANGERS, clock))
    return clock


async def everything() -> int:
    """Send all of it to every function that takes requests of anybody. Returns how many there were."""
    number = 0
    asked = [(name, target) for name in ANONYMOUS for target in (NAMES if name == "events" else NAMES[-1:])]
    for (name, target), method, headers in itertools.product(asked, METHODS, HEADERS):
        for body, token in zip(BODIES + BODIES[:2], TOKENS, strict=True):
            given = b"" if "transfer-encoding" in headers else body
            sent = request(method, given, {**headers, "authorization": token}, route=target, id=target)
            answer = await indexed()[name].get_user_function()(sent)
            assert answer.status_code < 500 or answer.status_code == 503
            number += 1
    return number


@pytest.mark.usefixtures("app")
async def test_a_flood_is_a_line_a_second_of_each_kind_and_every_request_is_counted(
    app: App, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The same again within the second writes nothing; a second later, it writes what was counted."""
    caplog.set_level("INFO")
    entra = Entra()
    entra.is_down = True
    app.__dict__["verifier"] = entra.verifier()
    await everything()  # the tenant's keys cannot be fetched
    app.__dict__["verifier"] = Entra().verifier()
    await everything()
    first = said(caplog)
    caplog.clear()
    await everything()
    assert said(caplog) == []
    clock.now = 1.0
    await everything()
    second = said(caplog)
    for lines in (first, second):
        kinds = Counter(json.dumps({**line, "count": 0}) for line in lines)
        assert set(kinds.values()) == {1}
        assert len(lines) < MOST
        assert all(line["event"] in STRANGERS and int(str(line["count"])) >= 1 for line in lines)
    assert {line["event"] for line in first} == set(STRANGERS)
    refused = [int(str(line["count"])) for line in second if line["event"] == LogEvent.CALLER_REFUSED]
    assert sum(refused) > 2 * 100  # the second in which nothing was written is in it


@pytest.mark.usefixtures("app")
async def test_nothing_that_a_stranger_sends_names_a_setting(app: App) -> None:
    """Neither one that is missing nor one that is wrong; what is wrong with all of them says so to everybody."""
    app.__dict__["verifier"] = Entra().verifier()
    for target, method, headers in itertools.product(NAMES, METHODS, HEADERS):
        answer = await indexed()["events"].get_user_function()(request(method, b"{}", headers, route=target))
        assert b"MAIL_" not in answer.get_body()
