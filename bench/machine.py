"""What a number was measured on, and with: the processor seconds and the memory of processes, and the machine's line.

Reads /proc, so the benchmarks run on Linux only.
"""

import os
import platform
import statistics
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PACKAGES = ("msgraph-sdk", "azure-core", "azure-storage-queue", "azure-functions-runtime", "aiohttp", "httpx")


def cpu(*pids: int) -> float:
    """Processor seconds, user and system, that these processes have used since they started; to a hundredth."""
    return sum(sum(map(int, _stat(pid)[11:13])) for pid in pids) / TICK


def peak(pid: int) -> float:
    """The most memory that a process has had resident, since it started or since forget_peak, in MiB."""
    return _status(pid, "VmHWM")


def resident(pid: int) -> float:
    """The memory that a process has resident, in MiB."""
    return _status(pid, "VmRSS")


def forget_peak(pid: int) -> None:
    """Begin a new peak with what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", "utf-8")


def _status(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"/proc/{pid}/status has no {name}.")


def this_machine() -> str:
    """One line: processor, cores, system, Python, versions, and how busy it was."""
    text = Path("/proc/cpuinfo").read_text("utf-8")
    model = next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {'.'.join(map(str, sys.version_info[:3]))}, {packages}; load before: {load}"
    )


def median(numbers: Iterable[float]) -> float:
    return statistics.median(numbers)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in Markdown; all columns but the first are numbers."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'--:|' * (len(head) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which may have blanks in it."""
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
