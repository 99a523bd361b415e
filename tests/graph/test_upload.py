"""The PUT loop: every byte once and in order, whatever becomes of a chunk."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import httpx
import pytest

from shared.graph.outcome import Interrupted, Outcome, Stopped, Throttled
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


# The faults, what has become of the upload, the requests, and the pauses
COURSES: dict[str, tuple[dict[int, Fault], Uploaded | Outcome, str, list[float]]] = {
    "the answer to the last chunk is lost": ({4: lost}, Uploaded.UNSURE, "PUT PUT PUT PUT GET", [1.0]),
    "a session that cannot be asked": ({2: lost, 3: status(405)}, Uploaded.UNSURE, "PUT PUT GET DELETE", [1.0]),
    "three failures without a byte more": (
        dict.fromkeys(range(2, 100), status(503)), Interrupted("upload", 503), "PUT PUT GET PUT GET PUT DELETE",
        [1.0, 2.0],
    ),
    "four with a byte more between them": (
        dict.fromkeys((1, 3, 5, 7), half), Uploaded.WHOLE, "PUT GET " * 4 + "PUT PUT PUT", [1.0] * 4,
    ),
    "a long Retry-After, which the queue waits for": (
        {2: status(429, retry_after="60")}, Throttled(60.0), "PUT PUT DELETE", [],
    ),
    "a short one": ({2: status(429, retry_after="2.128")}, Uploaded.WHOLE, "PUT PUT GET PUT PUT PUT", [2.128]),
    **{
        f"{code} to chunk {chunk}: a session that is gone": (
            {chunk: status(code)}, Uploaded.UNSURE, "PUT " * chunk + "DELETE", [],
        )
        for code in (401, 403, 404, 410)
        for chunk in (1, 3)
    },
}  # fmt: skip


@pytest.mark.parametrize(("faults", "became", "methods", "slept"), COURSES.values(), ids=COURSES)
async def test_an_upload_takes_its_course(
    faults: dict[int, Fault], became: Uploaded | Outcome, methods: str, slept: list[float]
) -> None:
    session = Session(faults=faults)
    try:
        result: object = await upload(session)
    except Stopped as stopped:
        result = stopped.outcome
    assert result == became
    assert (session.methods(), session.slept) == (methods.split(), slept)
    assert session.data == DATA or became is not Uploaded.WHOLE


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
