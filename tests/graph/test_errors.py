import importlib
import inspect
import pkgutil
from datetime import UTC, datetime
from types import ModuleType

import azure.core.exceptions
import azure.identity
import httpx
import kiota_abstractions
import kiota_authentication_azure
import kiota_http
import kiota_serialization_json
import pytest
from azure.core.exceptions import AzureError, ClientAuthenticationError
from kiota_abstractions.api_error import APIError
from msgraph.generated.models.o_data_errors.main_error import MainError
from msgraph.generated.models.o_data_errors.o_data_error import ODataError

from shared.graph.errors import OUTCOMES, outcome_of, timed_out
from shared.graph.outcome import NotConnected, Outcome, Rejected, Throttled, Unknown
from shared.graph.request_phase import PhaseTracker, RequestPhase

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def at(stage: RequestPhase) -> PhaseTracker:
    progress = PhaseTracker()
    progress.stage = stage
    return progress


def modules(package: ModuleType) -> list[ModuleType]:
    """The package with every module in it that can be imported here."""
    names = [package.__name__]
    if hasattr(package, "__path__"):
        names += [module.name for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
    names = [name for name in names if name != "httpx._main"]  # its command line, whose needs are not installed
    return [importlib.import_module(name) for name in names]


def exceptions(package: ModuleType) -> set[type[Exception]]:
    found: set[type[Exception]] = set()
    for module in modules(package):
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if issubclass(cls, Exception) and not issubclass(cls, Warning):
                found.add(cls)
    return {cls for cls in found if cls.__module__.split(".")[0] == package.__name__.split(".")[0]}


SDK = [kiota_abstractions, kiota_http, kiota_authentication_azure, kiota_serialization_json, httpx]
IDENTITY = [azure.core.exceptions, azure.identity]


@pytest.mark.parametrize("package", SDK, ids=lambda package: package.__name__)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the libraries' own, of walking all of them
def test_every_exception_of_the_sdk_has_a_row(package: ModuleType) -> None:
    """A class that a new version brings fails here until someone has thought about it."""
    assert exceptions(package) <= set(OUTCOMES)


@pytest.mark.parametrize("package", IDENTITY, ids=lambda package: package.__name__)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_exception_of_the_identity_falls_under_a_row(package: ModuleType) -> None:
    """azure-core and azure-identity speak of the token only, so their roots have the rows."""
    for cls in exceptions(package):
        rows = [ancestor for ancestor in cls.__mro__ if ancestor in OUTCOMES]
        assert rows, cls
        assert OUTCOMES[rows[0]] == NotConnected("identity")


def test_the_walk_finds_something() -> None:
    """The two tests above look at the classes they are meant for."""
    assert {httpx.ConnectError, httpx.InvalidURL, httpx.StreamClosed} <= exceptions(httpx)
    assert APIError in exceptions(kiota_abstractions)
    assert {AzureError, ClientAuthenticationError} <= exceptions(azure.core.exceptions)
    assert len(exceptions(kiota_http)) >= 6


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (httpx.ConnectError("x"), NotConnected("connect")),
        (httpx.PoolTimeout("x"), NotConnected("connect")),
        (httpx.ReadTimeout("x"), Unknown("timeout")),
        (httpx.RemoteProtocolError("x"), Unknown("connection")),
        (type("NewError", (httpx.WriteError,), {})("x"), Unknown("connection")),
        (ClientAuthenticationError("x"), NotConnected("identity")),
        (APIError("x", 429, {"Retry-After": "3"}), Throttled(3.0)),
        (APIError("x", 403), Rejected(403, None, "permission")),
        (APIError("x"), Unknown("connection")),
        (ODataError(response_status_code=400, error=None), Rejected(400, None, "permanent")),
        (KeyError("a@b.example"), Unknown("KeyError")),
        (Exception("a@b.example"), Unknown("Exception")),
        (MemoryError(), Unknown("MemoryError")),
    ],
    ids=repr,
)
def test_an_exception_after_the_request_left_has_its_rows_outcome(error: Exception, outcome: Outcome) -> None:
    """The most specific class wins; what is in no table is Unknown by its name, never its text."""
    assert outcome_of(error, at(RequestPhase.SENDING), NOW) == outcome


def test_an_odata_error_is_classified_by_its_code() -> None:
    """Should the SDK raise Graph's error after all, its code counts as it would in an answer."""
    error = ODataError(response_status_code=400, error=MainError(code="ErrorQuotaExceeded", message="Full."))
    outcome = outcome_of(error, at(RequestPhase.SENDING), NOW)
    assert isinstance(outcome, Rejected)
    assert (outcome.kind, outcome.code, outcome.message) == ("quota", "ErrorQuotaExceeded", "Full.")


def test_a_status_error_of_httpx_is_classified_by_its_answer() -> None:
    """The same for httpx's own."""
    request = httpx.Request("POST", "https://graph.microsoft.com")
    error = httpx.HTTPStatusError("x", request=request, response=httpx.Response(429, headers={"Retry-After": "7"}))
    assert outcome_of(error, at(RequestPhase.SENDING), NOW) == Throttled(7.0)


@pytest.mark.parametrize("stage", [RequestPhase.TOKEN, RequestPhase.BUILDING, RequestPhase.CONNECTING])
@pytest.mark.parametrize("error", [*OUTCOMES, TypeError, KeyError, OSError, RuntimeError, MemoryError])
def test_what_did_not_leave_is_never_unknown(stage: RequestPhase, error: type[Exception]) -> None:
    """Whatever breaks before the first byte, the mail did not go."""
    raised = error.__new__(error)  # some constructors want an answer; the class decides
    if isinstance(raised, httpx.HTTPStatusError):
        raised.response = httpx.Response(503)
    if isinstance(raised, APIError):
        raised.response_status_code = 503
    assert isinstance(outcome_of(raised, at(stage), NOW), NotConnected | Rejected)


@pytest.mark.parametrize(
    ("stage", "error", "outcome"),
    [
        (RequestPhase.TOKEN, TypeError(), NotConnected("identity")),
        (RequestPhase.BUILDING, OSError(), NotConnected("internal")),
        (RequestPhase.BUILDING, ImportError(), NotConnected("internal")),
        (RequestPhase.BUILDING, MemoryError(), NotConnected("internal")),
        (RequestPhase.CONNECTING, RuntimeError(), NotConnected("connect")),
        (RequestPhase.HANDED_OVER, RuntimeError(), Unknown("RuntimeError")),
    ],
)
def test_the_stage_decides_what_the_class_does_not(stage: RequestPhase, error: Exception, outcome: Outcome) -> None:
    """A fault of the machine is tried again; where the stage is in doubt, so is the mail."""
    assert outcome_of(error, at(stage), NOW) == outcome


def test_a_fault_of_the_body_is_permanent() -> None:
    """A body that cannot be written today cannot be written tomorrow."""
    outcome = outcome_of(TypeError("a@b.example"), at(RequestPhase.BUILDING), NOW)
    assert isinstance(outcome, Rejected)
    assert outcome.kind == "permanent"
    assert "a@b.example" not in outcome.message


@pytest.mark.parametrize(
    ("stage", "outcome"),
    [
        (RequestPhase.TOKEN, NotConnected("identity")),
        (RequestPhase.BUILDING, NotConnected("identity")),
        (RequestPhase.CONNECTING, NotConnected("connect")),
        (RequestPhase.HANDED_OVER, Unknown("timeout")),
        (RequestPhase.SENDING, Unknown("timeout")),
    ],
)
def test_a_deadline_means_what_its_stage_says(stage: RequestPhase, outcome: Outcome) -> None:
    """A deadline ends a request anywhere; only after the first byte is the mail in doubt."""
    assert timed_out(at(stage)) == outcome


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
def test_progress_is_in_doubt_unless_seen(events: list[str], may_have_left: bool) -> None:  # noqa: FBT001
    """Only connecting is known to come before the first byte; silence counts as sending."""
    progress = at(RequestPhase.HANDED_OVER)
    for event in events:
        getattr(progress, event)()
    assert progress.may_have_left == may_have_left
