"""How much memory large mails take in a functions host."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import Sandbox, eventually, running, titled
from tests.e2e.test_large import MB, NOTHING, SETTINGS, content, expected, files, inline, large, left, stored

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of another process are Linux's"),
]
ABOVE_IDLE = 64 * 1024 * 1024
IN_AN_INSTANCE = 300 * 1024 * 1024  # of the 512 MB of Azure's smallest one, which has more to hold


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running("--without", "mail", **SETTINGS) as sandbox:
        limit = {"message_size_limit": 200 * MB}
        assert sandbox.http.post(f"{sandbox.facts['control']}/settings", json=limit).status_code == 200
        sandbox.ends(large(sandbox, "warm", stored(sandbox, "warm.bin", content(5 * MB))))
        yield sandbox


class Memory:
    """Of the sandbox's host: what it has now, and its peak since `forget`."""

    def __init__(self, sandbox: Sandbox) -> None:
        storage = sandbox.facts["storage"].encode()
        [self._process] = [
            folder
            for folder in Path("/proc").glob("[0-9]*")
            if b"sandbox.host" in _read(folder / "cmdline") and storage in _read(folder / "environ")
        ]

    def forget(self) -> int:
        """Begin a new peak. Returns what there is now, in bytes."""
        (self._process / "clear_refs").write_text("5")
        return self._value("VmRSS")

    def peak(self) -> int:
        return self._value("VmHWM")

    def _value(self, name: str) -> int:
        lines = (self._process / "status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # gone meanwhile, or somebody else's
        return b""


def test_a_file_of_100_mb_goes_from_blob_to_graph_within_64_mb(sandbox: Sandbox) -> None:
    data = content(100 * MB)
    memory = Memory(sandbox)
    attachment = stored(sandbox, "hundred.bin", data)
    idle = memory.forget()
    sandbox.ends(large(sandbox, "100 MB", attachment), seconds=300)
    above = memory.peak() - idle
    print(f"100 MB: {above / MB:.1f} MB above {idle / MB:.1f} MB")
    assert files(sandbox, "100 MB") == [expected(("hundred.bin", data))]
    assert left(sandbox) == NOTHING
    assert above < ABOVE_IDLE


def test_two_of_them_at_once_take_no_more_than_twice_a_few_chunks(sandbox: Sandbox) -> None:
    one, two = content(60 * MB, 1), content(60 * MB, 2)
    memory = Memory(sandbox)
    attachments = [stored(sandbox, "one.bin", one), stored(sandbox, "two.bin", two)]
    idle = memory.forget()
    answers = [large(sandbox, f"of two: {one['name']}", one) for one in attachments]
    for answer in answers:
        sandbox.ends(answer, seconds=300)
    above = memory.peak() - idle
    print(f"two of 60 MB: {above / MB:.1f} MB above {idle / MB:.1f} MB")
    assert files(sandbox, "of two: one.bin") == [expected(("one.bin", one))]
    assert files(sandbox, "of two: two.bin") == [expected(("two.bin", two))]
    assert above < ABOVE_IDLE


def test_a_body_of_35_mb_is_read_and_stored_in_a_bounded_multiple_of_it(sandbox: Sandbox) -> None:
    """A function gets its body whole, so it is held whole; what it takes is said in the documentation."""
    data = content(26 * MB)
    memory = Memory(sandbox)
    body = titled("35 MB inline", attachments=[inline("body.bin", data)])
    idle = memory.forget()
    answer = sandbox.send(body)
    assert answer.status_code == 202
    above = memory.peak() - idle
    print(f"a body of {len(base64.b64encode(data)) / MB:.1f} MB: {above / MB:.1f} MB above {idle / MB:.1f} MB")
    eventually(lambda: sandbox.message(answer).json()["state"] == "sent", 120)
    assert files(sandbox, "35 MB inline") == [expected(("body.bin", data))]
    assert above < IN_AN_INSTANCE
