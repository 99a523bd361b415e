"""No text from callers costs time or memory out of proportion: every reader, with the shapes that cost it most.

Seconds say little on a machine that does other things, so growth is asserted: twice as much may take at most three
times as long, where it takes long enough to be measured. What takes the square of the time is slow at less than a tenth
of a megabyte, so `make test` stays below that; `make proof` goes to the largest size that each reader has. `make bench
PART=readers` has the times.
"""

import pkgutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from inspect import isfunction
from operator import itemgetter
from types import CodeType
from typing import Any, Final

import pytest

import shared
from shared.webhooks.sources.source import SOURCES
from tests.readers.events import ROUTES
from tests.readers.reader import ANSWERS, MEGABYTE, Reader, cpu, peak, weight
from tests.readers.shapes import Shape
from tests.readers.table import READERS

MEASURED: Final = 0.08  # seconds of CPU: below that it does not matter, and is not told from chance
GROWTH: Final = 3.0
TIMES: Final = 10  # of its own size that a text may take in memory
BESIDE: Final = 32_000_000  # bytes, and so much more
QUICK: Final = 25_000  # bytes at most, in `make test`
# What `make test` measures; `make proof` measures all. All routes read and render with the same functions, so two stand
# for them.
SOME = [
    reader
    for reader in READERS
    if " of the route " not in reader.name or reader.name.endswith(("alertmanager", "generic"))
]

# Packages whose public functions read text from callers, or are named below.
PACKAGES: Final = (
    "auth.entra", "bounces.delivery_report", "delivery.outbox_mail", "delivery.queue_messages", "functions.access",
    "functions.http_answers",
    "mail", "mime", "parsing", "policy", "rendering", "routing", "sources",
)  # fmt: skip
NO_READERS: Final = {
    "the operator's own files and settings": """
        rendering.checks:faults_in rendering.checks:faults_of rendering.checks:filter_parameters
        rendering.checks:macro_parameters routing.catalog:load routing.catalog:report_unusable
        routing.catalog:template_faults routing.route_file:fault_at sources.expressions:check
        routing.recipients:check_fixed routing.route_file:read_route routing.secrets:vault_name auth.entra_keys:fetch
        routing.route_status:secret_fault routing.route_status:faults_of_secrets routing.route_status:status_of
        routing.route_status:shadows_of_vault routing.route_status:tenant_fault
    """,
    "made by Mailroom itself, of what was read": """
        routing.batches:packed routing.batches:unpacked functions.http_answers:lost_its_body
        delivery.queue_messages:apart delivery.queue_messages:work_of mail.outgoing:new_id
        functions.http_answers:graph_error functions.http_answers:json_answer functions.http_answers:problem
        functions.http_answers:rfc_3339 functions.http_answers:settings_refused auth.entra:require
        rendering.bounds:size_of auth.entra:operates functions.http_answers:unavailable
        functions.access:report_refused functions.access:wrong_after functions.access:operable
        routing.event_messages:as_message routing.event_mails:caller_of mail.graph_types:odata_type
    """,
    "a mail that a reader has read, gone through once for each recipient, header, file or property": """
        policy.size_limits:body_too_large mail.sizes:file_size mail.sizes:in_one_request mail.sizes:plan_of
        mail.sizes:needs_draft mail.sizes:size_with_marker mail.sizes:weight mail.limits:too_large
        mail.limits:waiting_until mail.marker:with_marker
        mail.sdk_message:attachment_to_sdk mail.sdk_message:to_sdk
        policy.pre_send:before_send
    """,
    "a header that the platform bounds, compared with a few characters": """
        functions.http_answers:request_ids functions.access:page_size functions.access:authenticated
        functions.http_answers:length_required
    """,
}  # fmt: skip


@pytest.mark.parametrize("reader", SOME, ids=lambda reader: reader.name)
def test_time_and_memory_are_in_proportion(reader: Reader) -> None:
    """Also beyond the limit of what has one: it is refused at once."""
    assert out_of_proportion(reader, QUICK) == []


@pytest.mark.proof
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_at_the_largest_size_too_time_and_memory_are_in_proportion(reader: Reader) -> None:
    assert out_of_proportion(reader, reader.largest) == []


def out_of_proportion(reader: Reader, most: int) -> list[str]:
    """The shapes that take too long or too much memory, at the reader's largest size but at this one at most.

    Memory: ten times its size and 32 MB at the largest size, and the same in proportion where less than that is read.
    """
    size = min(reader.largest, most)
    beyond = reader.bounded and size == reader.largest
    found = []
    for name, shape in reader.shapes.items():
        value = shape(size)
        found += _too_slow(reader, name, shape, size, [value, shape(4 * size)] if beyond else [value])
        if reader.largest < most:  # texts of some KB never come near the 32 MB
            continue
        took = peak(reader, value)
        room = BESIDE * min(1.0, max(size, weight(value)) / min(reader.largest, MEGABYTE))
        if took > TIMES * weight(value) + room:
            found.append(f"{name}: {took:,} bytes for {weight(value):,}")
    return found


def _too_slow(reader: Reader, name: str, shape: Shape, size: int, values: list[Any]) -> list[str]:
    took = max(cpu(reader, value) for value in values)
    if took <= MEASURED:
        return []
    half = shape(size // 2)
    # Shapes come in whole pieces: what is meant as twice as much may be more.
    most_times = GROWTH * max(1.0, weight(values[0]) / weight(half) / 2)
    if took <= 0.8 * most_times * cpu(reader, half):  # so far from the square of the time, once is enough
        return []
    for rounds in (3, 9):  # other work on the machine makes the one or the other slow
        first = cpu(reader, half, rounds)
        if took <= most_times * first:
            return []
        took = max(cpu(reader, value, rounds) for value in values)
        if took <= max(MEASURED, most_times * first):
            return []
    return [f"{name}: {first:.3f} s, then {took:.3f} s"]


def test_every_public_function_is_run_by_a_reader_or_is_said_to_read_nothing_foreign() -> None:
    """Whoever writes a new one says what a stranger can make it do: in texts.py, mails.py or events.py, or above."""
    there = dict(public())
    listed = set(" ".join(NO_READERS.values()).split())
    assert sorted(listed - there.keys()) == [], "functions that are gone"
    wanted = {function.__code__: name for name, function in there.items() if name not in listed}
    assert sorted(wanted[code] for code in wanted.keys() - run_by_readers(set(wanted))) == []
    assert SOURCES.keys() - {route.source.name for route in ROUTES.values()} == {"hmac"}  # read in texts.py


def public() -> Iterator[tuple[str, Any]]:
    """The public functions of these packages, `mail.parse:send_mail`."""
    for module in pkgutil.walk_packages(shared.__path__, "shared."):
        name = module.name.removeprefix("shared.").removeprefix("webhooks.")
        if name.startswith(PACKAGES):
            for one, value in vars(import_module(module.name)).items():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
                function = getattr(value, "__wrapped__", value)
                if isfunction(function) and function.__module__ == module.name and not one.startswith("_"):
                    yield f"{name}:{one}", function


def run_by_readers(wanted: set[CodeType]) -> set[CodeType]:
    """Those that run while every reader reads a small value of each shape."""
    ran = set[CodeType]()
    monitoring = sys.monitoring

    def started(code: CodeType, _: int) -> object:
        ran.add(code)
        return monitoring.DISABLE

    monitoring.use_tool_id(monitoring.PROFILER_ID, "readers")
    monitoring.register_callback(monitoring.PROFILER_ID, monitoring.events.PY_START, started)
    try:
        for code in wanted:
            monitoring.set_local_events(monitoring.PROFILER_ID, code, monitoring.events.PY_START)
        shapes = [(n, reader, shape) for reader in READERS for n, shape in enumerate(reader.shapes.values())]
        for _, reader, shape in sorted(shapes, key=itemgetter(0)):  # the first ones of all readers run most functions
            if ran >= wanted:
                break
            with suppress(*ANSWERS):
                reader.read(shape(min(reader.largest, 600)))
    finally:
        monitoring.free_tool_id(monitoring.PROFILER_ID)
    return ran


def test_the_test_notices_the_square_of_the_time_and_too_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]  # virtual, so that other work on the machine does not hide what has to be noticed

    def growing(power: int) -> Reader:
        def read(text: str) -> None:
            clock[0] += (len(text) / 30_000) ** power

        return Reader("", read, 30_000, {"a": lambda size: "a" * size})

    with monkeypatch.context() as patched:
        patched.setattr("time.process_time", lambda: clock[0])
        assert len(out_of_proportion(growing(2), 30_000)) == 1
        assert out_of_proportion(growing(1), 30_000) == []
    reader = Reader("", lambda text: [text] * 5_000_000, 1_000, {"a": lambda _: "a"})
    assert len(out_of_proportion(reader, 1_000)) == 1
