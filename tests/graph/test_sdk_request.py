"""What an exception means for the mail, by its class and by how far the request came."""

import httpx
import pytest
from azure.core.exceptions import ClientAuthenticationError
from kiota_abstractions.method import Method
from kiota_abstractions.request_information import RequestInformation

from shared.graph.client import GraphConnection
from shared.graph.outcome import NotConnected, Outcome, Rejected, Unknown
from shared.graph.sdk_request import OUTCOMES, outcome_of, timed_out
from shared.graph.transport import PhaseTracker, RequestPhase
from tests.graph.service import Service

TOKEN, BUILDING, HANDED_OVER, CONNECTING, SENDING = RequestPhase


def at(phase: RequestPhase) -> PhaseTracker:
    tracker = PhaseTracker()
    tracker.phase = phase
    return tracker


@pytest.mark.parametrize(
    ("phase", "error", "outcome"),
    [
        (SENDING, httpx.ConnectError("x"), NotConnected("connect")),
        (SENDING, httpx.ConnectTimeout("x"), NotConnected("connect")),
        (SENDING, httpx.UnsupportedProtocol("x"), NotConnected("connect")),
        (SENDING, ClientAuthenticationError("x"), NotConnected("identity")),
        (SENDING, httpx.ReadError("x"), Unknown("connection")),
        (SENDING, httpx.DecodingError("x"), Unknown("connection")),
        (SENDING, type("NewError", (httpx.WriteError,), {})("x"), Unknown("connection")),
        (SENDING, KeyError("a@b.example"), Unknown("KeyError")),
        (SENDING, Exception("a@b.example"), Unknown("Exception")),
        (SENDING, MemoryError(), Unknown("MemoryError")),
        (HANDED_OVER, RuntimeError(), Unknown("RuntimeError")),
        (CONNECTING, RuntimeError(), NotConnected("connect")),
        (CONNECTING, httpx.ReadError("x"), NotConnected("connect")),
        (BUILDING, OSError(), NotConnected("internal")),
        (BUILDING, ImportError(), NotConnected("internal")),
        (BUILDING, MemoryError(), NotConnected("internal")),
        (BUILDING, ClientAuthenticationError("x"), NotConnected("identity")),
    ],
    ids=repr,
)
def test_class_and_phase_decide_and_never_the_text(phase: RequestPhase, error: Exception, outcome: Outcome) -> None:
    """A fault of the machine is retried; a class in no row is unknown by its name, if the mail may have left."""
    assert outcome_of(error, at(phase)) == outcome


@pytest.mark.parametrize("phase", [TOKEN, BUILDING, CONNECTING])
@pytest.mark.parametrize("error", [*(kind for kind, _ in OUTCOMES), TypeError, KeyError, OSError, RuntimeError])
def test_before_the_first_byte_no_exception_leaves_the_mail_in_doubt(
    phase: RequestPhase, error: type[Exception]
) -> None:
    """The worker then retries without verifying."""
    assert isinstance(outcome_of(error("x"), at(phase)), NotConnected | Rejected)


def test_whatever_fails_while_the_token_is_fetched_is_the_identitys() -> None:
    assert outcome_of(KeyError("resource"), at(TOKEN)) == NotConnected("identity")


@pytest.mark.parametrize("error", [TypeError("a@b.example"), httpx.InvalidURL("a@b.example"), RecursionError()])
def test_a_body_that_cannot_be_written_today_cannot_be_written_tomorrow(error: Exception) -> None:
    outcome = outcome_of(error, at(BUILDING))
    assert isinstance(outcome, Rejected)
    assert (outcome.kind, "a@b.example" in outcome.message) == ("permanent", False)


@pytest.mark.parametrize(
    ("phase", "outcome"),
    [
        (TOKEN, NotConnected("identity")),
        (BUILDING, NotConnected("identity")),
        (CONNECTING, NotConnected("connect")),
        (HANDED_OVER, Unknown("timeout")),
        (SENDING, Unknown("timeout")),
    ],
)
def test_a_deadline_leaves_the_mail_in_doubt_only_after_the_first_byte(phase: RequestPhase, outcome: Outcome) -> None:
    assert timed_out(at(phase)) == outcome


@pytest.mark.parametrize(
    ("events", "may_have_left"),
    [
        (["connecting"], False),
        (["connecting", "connected"], True),
        (["connected"], True),
        (["connected", "connecting"], True),
        ([], True),
    ],
)
def test_a_request_may_have_left_unless_it_was_seen_connecting(events: list[str], may_have_left: bool) -> None:  # noqa: FBT001 - a value of the table
    tracker = at(HANDED_OVER)
    for event in events:
        getattr(tracker, event)()
    assert tracker.may_have_left == may_have_left


async def test_the_token_goes_to_graph_alone(service: Service, connection: GraphConnection) -> None:
    await connection.ensure_token()
    port = f":{service.port}"
    for address, sent in (
        (f"{service.base_url}/users", True),
        ("https://elsewhere.example/v1.0/users", False),
        (f"{service.base_url.replace(port, '.elsewhere.example')}/users", False),
        (f"{service.base_url}.elsewhere.example/users", False),
    ):
        information = RequestInformation(Method.GET)
        information.url = address
        request = await connection.client.request_adapter.convert_to_native_async(information)
        assert isinstance(request, httpx.Request)
        assert ("authorization" in request.headers) is sent, address
