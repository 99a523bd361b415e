"""Memory: what a worker's process holds when it is idle, with small mails, and while a body of 35 MB is taken in.

The worker library is driven as the host drives it, by bench/programs/memory.py, with nothing of the sandbox's host in
the process but what speaks to it. In Azure a body comes to the worker by gRPC, which holds it once more, and the .NET
host stands beside it; neither is in these numbers.
"""

from collections.abc import Iterator
from typing import Any

from bench.machine import table
from bench.rig import ask, mail, mailroom
from tests.e2e.running import ROOT

MAILS = 100
BODIES = ((4_000_000, 1), (4_000_000, 16), (35_000_000, 1))
"""Bytes of a request, and so many at once: as much as the host hands to a worker by default, and the largest."""

LARGE = {"MAIL_LARGE_ATTACHMENTS": "true", "MAIL_MAX_REQUEST_MB": "35"}


def measure(*, quick: bool) -> Iterator[str]:
    mails = 10 if quick else MAILS
    with mailroom(**LARGE) as sandbox:
        question: dict[str, Any] = {"app": str(ROOT), "path": sandbox.sender, "token": sandbox.token()}
        question |= {"body": mail("small"), "mails": mails, "bodies": [(_of(size), times) for size, times in BODIES]}
        found = ask("memory.py", question, **sandbox.facts["environment"], **LARGE)
    yield (
        "Memory that the worker's process has resident, MiB; for bodies with them in hand, and the peak while they are "
        "taken in:"
    )
    yield ""
    rows = [
        ("indexed, nothing asked yet", found["indexed"], ""),
        ("one mail sent", found["first"], ""),
        (f"{mails} small mails later, 16 at a time", found["mails"], ""),
        *(
            (f"{times} x {size / 1e6:.0f} MB at once", one["before"], one["peak"])
            for (size, times), one in zip(BODIES, found["bodies"], strict=True)
        ),
        ("afterwards", found["after"], ""),
    ]
    head = ("when", "resident", "peak")
    yield from table(head, [(name, f"{now:.0f}", f"{most:.0f}" if most else "") for name, now, most in rows])


def _of(size: int) -> int:
    """Bytes of a file with which a request is just below so many bytes."""
    return (size - 2_000) // 4 * 3
