"""The PUT loop: every byte once and in order, whatever becomes of a chunk."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import httpx
import pytest

from shared.graph.outcome import Interrupted, Stopped, Throttled
from shared.graph.upload import CHUNK, Uploaded, Uploader

URL = "http://127.0.0.1:1/upload/secret"
DATA = Random(0).randbytes(3 * CHUNK + 1000)
Fault = Callable[["Session", httpx.Request], httpx.Response | None]


@dataclass
class Session:
    """An upload session with Outlook's ranges. faults: by the number of the request, before or instead of its work."""

    dash: bool = False
    data: bytes = b""
    faults: dict[int, Fault] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    gone: bool = False

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.method == "DELETE":
            return httpx.Response(204)
        fault = self.faults.get(len([one for one in self.requests if one.method != "DELETE"]))
        answer = fault(self, request) if fault else None
        return answer or self.work(request)

    def work(self, request: httpx.Request) -> httpx.Response:
        if self.gone:
            return httpx.Response(404)
        if request.method == "PUT":
            start, end = map(int, request.headers["content-range"].split()[1].split("/")[0].split("-"))
            if start != len(self.data):
                return httpx.Response(416)
            chunk = request.read()
            assert len(chunk) == end - start + 1 <= 4_000_000
            assert end + 1 == len(DATA) or len(chunk) % (320 * 1024) == 0
            self.data += chunk
            if len(self.data) == len(DATA):
                return httpx.Response(201)
        return httpx.Response(200, json={"nextExpectedRanges": [f"{len(self.data)}{'-' if self.dash else ''}"]})

    def methods(self) -> list[str]:
        return [request.method for request in self.requests]


async def upload(session: Session, stay: Callable[[], None] = lambda: None) -> Uploaded:
    uploader = Uploader("127.0.0.1", 5, transport=httpx.MockTransport(session), sleep=session.sleep)

    async def read(start: int, length: int) -> bytes:
        assert 0 < length <= CHUNK
        return DATA[start : start + length]

    async def staying() -> None:
        stay()

    try:
        return await uploader.upload(URL, len(DATA), read, staying)
    finally:
        await uploader.close()


@pytest.mark.parametrize("dash", [False, True])
async def test_a_file_goes_in_chunks_with_or_without_a_dash_in_the_ranges(*, dash: bool) -> None:
    session = Session(dash=dash)
    assert await upload(session) is Uploaded.WHOLE
    assert session.data == DATA
    assert session.methods() == ["PUT"] * 4


async def test_the_upload_host_gets_no_token_and_its_name() -> None:
    session = Session()
    await upload(session)
    for request in session.requests:
        assert "authorization" not in request.headers
        assert request.headers["host"] == "127.0.0.1:1"
        assert request.extensions["sni_hostname"] == "127.0.0.1"


def status(code: int, **headers: str) -> Fault:
    """An answer in place of the work."""
    return lambda _, __: httpx.Response(code, headers={name.replace("_", "-"): text for name, text in headers.items()})


def broken(_: Session, request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("broken", request=request)


def lost(session: Session, request: httpx.Request) -> httpx.Response:
    """The work is done, and nobody hears of it."""
    session.work(request)
    raise httpx.ReadError("lost", request=request)


def half(session: Session, request: httpx.Request) -> httpx.Response:
    """A part of the chunk is taken."""
    session.data += request.read()[: 320 * 1024]
    raise httpx.WriteError("broken", request=request)


FAULTS: dict[str, Fault] = {
    "broken": broken,
    "lost": lost,
    "half": half,
    "503": status(503),
    "429": status(429, retry_after="1"),
    "302": status(302, location="http://127.0.0.1:1/elsewhere"),
    "HTML": lambda _, __: httpx.Response(200, text="<html>"),
    "a range that is none": lambda _, __: httpx.Response(200, json={"nextExpectedRanges": ["all"]}),
    "a range beyond the file": lambda _, __: httpx.Response(200, json={"nextExpectedRanges": [str(len(DATA) + 1)]}),
}


@pytest.mark.parametrize("chunk", [1, 2, 3])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_after_a_broken_chunk_the_session_is_asked_where_it_stands(fault: Fault, chunk: int) -> None:
    session = Session(faults={chunk: fault})
    assert await upload(session) is Uploaded.WHOLE
    assert session.data == DATA
    assert session.methods().count("GET") == 1
    assert {str(request.url) for request in session.requests} == {URL}  # no redirect is followed


async def test_when_the_answer_to_the_last_chunk_is_lost_the_draft_has_to_be_asked() -> None:
    session = Session(faults={4: lost})
    assert await upload(session) is Uploaded.UNSURE
    assert session.data == DATA


@pytest.mark.parametrize("code", [401, 403, 404, 410])
@pytest.mark.parametrize("chunk", [1, 3])
async def test_a_session_that_is_gone_is_no_failure_of_the_file(code: int, chunk: int) -> None:
    session = Session(faults={chunk: status(code)})
    assert await upload(session) is Uploaded.UNSURE


async def test_a_session_that_cannot_be_asked_is_as_good_as_gone() -> None:
    session = Session(faults={2: lost, 3: status(405)})
    assert await upload(session) is Uploaded.UNSURE
    assert session.methods()[-1] == "DELETE"


async def test_three_failures_without_a_byte_more_give_the_file_up_and_cancel_the_session() -> None:
    session = Session(faults=dict.fromkeys(range(2, 100), status(503)))
    with pytest.raises(Stopped) as caught:
        await upload(session)
    assert caught.value.outcome == Interrupted("upload", 503)
    assert session.methods() == ["PUT", "PUT", "GET", "PUT", "GET", "PUT", "DELETE"]
    assert session.slept == [1.0, 2.0]


async def test_three_failures_with_a_byte_more_between_them_do_not() -> None:
    session = Session(faults=dict.fromkeys((1, 3, 5, 7), half))
    assert await upload(session) is Uploaded.WHOLE
    assert session.data == DATA


async def test_a_long_retry_after_is_waited_for_in_the_queue() -> None:
    session = Session(faults={2: status(429, retry_after="60")})
    with pytest.raises(Stopped) as caught:
        await upload(session)
    assert caught.value.outcome == Throttled(60.0)
    assert session.slept == []
    assert session.methods()[-1] == "DELETE"


async def test_a_short_one_is_waited_for_here() -> None:
    session = Session(faults={2: status(429, retry_after="2.128")})
    assert await upload(session) is Uploaded.WHOLE
    assert session.slept == [2.128]


async def test_when_the_claim_is_lost_no_other_byte_goes_and_the_session_is_cancelled() -> None:
    session = Session()

    def stay() -> None:
        if len(session.requests) == 2:
            raise LookupError

    with pytest.raises(LookupError):
        await upload(session, stay)
    assert session.methods() == ["PUT", "PUT", "DELETE"]


async def test_a_url_that_may_not_be_uploaded_to_gets_nothing() -> None:
    session = Session()
    uploader = Uploader("graph.microsoft.com", 5, transport=httpx.MockTransport(session), sleep=session.sleep)

    async def never(start: int, length: int) -> bytes:
        raise AssertionError

    async def nor() -> None:
        raise AssertionError

    with pytest.raises(Stopped) as caught:
        await uploader.upload("https://127.0.0.1/x", 10, never, nor)
    assert caught.value.outcome == Interrupted("upload-url", code="UploadUrlRefused")
    assert session.requests == []
    await uploader.close()
