"""Which requests to storage are tried again, and when."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError

from shared.storage.queues import Queues
from shared.storage.storage_http import StorageAnswer, StorageHttp, StorageRequest
from shared.storage.storage_service import StorageService
from shared.storage.tables import Tables
from tests.graph.service import Service
from tests.serving import serving

ACCOUNT = "AccountName=mail;AccountKey=a2V5"
PASSING = [408, 429, 500, 502, 503, 504]
UNREACHED, UNANSWERED = ServiceRequestError("refused"), ServiceResponseError("broken")


class Scripted(StorageHttp):
    """Answers as told, and with 200 after that."""

    def __init__(self, *told: int | AzureError, headers: dict[str, str] | None = None) -> None:
        super().__init__()
        self.told, self.headers, self.seen = list(told), headers or {}, list[StorageRequest]()

    async def send(self, request: StorageRequest) -> StorageAnswer:
        self.seen.append(request)
        said = self.told.pop(0) if self.told else 200
        if isinstance(said, AzureError):
            raise said
        return StorageAnswer(said, self.headers, b"")


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    made = list[float]()

    async def sleep(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return made


@pytest.mark.parametrize(
    ("kind", "method", "again"),
    [
        *[(Tables, method, [*PASSING, UNREACHED, UNANSWERED]) for method in ("GET", "PUT", "DELETE")],
        (Tables, "POST", [500, 503, 504]),  # an insert finds what it has inserted; else it may never have come
        (Queues, "POST", [*PASSING, UNREACHED, UNANSWERED]),  # a second message is a copy
    ],
)
async def test_what_may_pass_is_tried_again_where_a_second_try_does_no_harm(
    kind: type[StorageService], method: str, again: list[int | AzureError]
) -> None:
    for said in (400, 403, 404, 408, 409, 412, 429, 500, 501, 502, 503, 504, UNREACHED, UNANSWERED):
        http = Scripted(said)
        service = kind.of_connection_string(ACCOUNT, http)
        if said in again:
            assert (await service.send(method, "x", {})).status == 200
        else:
            with pytest.raises(AzureError):
                await service.send(method, "x", {})
        assert len(http.seen) == (2 if said in again else 1), said


async def test_three_retries_are_made_the_first_at_once_and_the_last_error_is_raised(pauses: list[float]) -> None:
    http = Scripted(503, UNANSWERED, 500, 504)
    with pytest.raises(HttpResponseError) as caught:
        await Tables.of_connection_string(ACCOUNT, http).send("GET", "x", {})
    assert caught.value.status_code == 504
    assert pauses == [0, 1, 2]
    assert len(http.seen) == 4


async def test_storage_is_asked_again_when_it_says_but_within_a_request(pauses: list[float]) -> None:
    for asked in ("7", "86400", "soon"):
        await Tables.of_connection_string(ACCOUNT, Scripted(503, headers={"Retry-After": asked})).send("GET", "x", {})
    assert pauses == [7, 10, 0]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    async with serving(service.serve) as service.port:
        yield service


async def test_no_answer_is_azure_cores_error_and_says_whether_storage_was_reached(service: Service) -> None:
    http = StorageHttp()
    service.say(200, body=b"whole", cut=3)
    service.say(200, body=b"whole", cut=42)
    for _ in range(2):
        with pytest.raises(ServiceResponseError):
            await http.send(StorageRequest("POST", f"http://127.0.0.1:{service.port}/x", {}, b"x"))
    with pytest.raises(ServiceRequestError):
        await http.send(StorageRequest("POST", "http://127.0.0.1:1/x", {}, b"x"))
    await http.close()
