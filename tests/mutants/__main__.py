"""`python -m tests.mutants`, what `make mutants` calls: plants each fault of faults.toml, and says which test notices.

Everything happens in copies of the checkout as it is now, with its uncommitted changes, in a temporary directory. First
the tests run without any fault: what fails then can prove nothing. Exit status 1 if a fault is not caught.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from tests.mutants.faults import ROOT, Fault, NotPlanted, faults, planted

LEFT_OUT: Final = (
    ".git",
    ".venv",
    "node_modules",
    "dist",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    ".bench",
    ".preview",
)
LINKED: Final = (".venv", "sandbox/node_modules")
LONGEST: Final = 600.0  # seconds for the tests of one fault
SHOWN: Final = 30  # lines of a run that could not be read
FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (tests/\S+?::.*?)(?: - .*)?$", re.MULTILINE)
PASSED: Final = re.compile(r"\b(\d+) passed\b")
# Of the plugins only what tests need: to load all of them takes longer than most tests.
PLUGINS: Final = ("-p", "no:cacheprovider", "-p", "anyio", "-p", "xdist")
WHOLE: Final = (
    "-m",
    "not proof",
    "--ignore=tests/mutants",
    "--dist",
    "loadfile",
)  # tests/mutants reads the code's text


@dataclass(frozen=True, slots=True)
class Run:
    """One run of pytest. failed: node ids. why: it could not tell, and this is what it said; empty: it could."""

    seconds: float
    passed: int
    failed: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What has become of a fault. by: the test that caught it. why: it was not caught."""

    fault: Fault
    seconds: float
    by: str = ""
    why: str = ""


def main(arguments: list[str] | None = None) -> int:
    """Plant the faults. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults, by name or pattern ('rate-*'); default: all")
    parser.add_argument("--list", action="store_true", help="print the faults, and plant none")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="copies of the checkout, tested at once (1)")
    parser.add_argument(
        "--all-tests", action="store_true", help="run the whole suite on each fault, not only the tests named for it"
    )
    given = parser.parse_args(arguments)
    chosen = _chosen(given.names, parser)
    if given.list:
        for fault in chosen:
            print(f"{fault.name:<40}  {fault.file}\n    {fault.breaks}")
        return 0
    began = time.monotonic()
    with _copies(1 if given.all_tests else given.jobs) as copies:
        whole = [*WHOLE, "-n", str(given.jobs)] if given.all_tests else []
        clean = _without_fault(copies[0], whole or sorted({test for fault in chosen for test in fault.tests}))
        if clean.why or (whole and clean.failed):
            return 1
        unproved = [fault for fault in chosen if any(failed.startswith(fault.tests) for failed in clean.failed)]
        verdicts = [Verdict(fault, 0.0, why="its tests fail without it too.") for fault in unproved]
        verdicts += _tried([fault for fault in chosen if fault not in unproved], copies, whole)
    left = [verdict.fault.name for verdict in verdicts if verdict.why]
    seconds = time.monotonic() - began
    if left:
        print(f"{len(left)} of {len(verdicts)} planted faults are not caught: {', '.join(left)} ({seconds:.0f} s).")
        return 1
    print(f"All {len(verdicts)} planted faults are caught by the tests ({seconds:.0f} s).")
    return 0


def _chosen(names: Sequence[str], parser: argparse.ArgumentParser) -> list[Fault]:
    every = faults().fault
    for name in names:
        if not any(fnmatchcase(fault.name, name) for fault in every):
            nearest = get_close_matches(name, [fault.name for fault in every], 1, 0.0)[0]
            parser.error(f"there is no fault {name!r}; the nearest is {nearest}")
    return [fault for fault in every if not names or any(fnmatchcase(fault.name, name) for name in names)]


@contextmanager
def _copies(number: int) -> Iterator[list[Path]]:
    """So many copies of the checkout, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="mailroom-mutants-") as parent:
        copies = [Path(parent, str(at)) for at in range(number)]
        for copy in copies:
            shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
            for name in LINKED:
                if (ROOT / name).exists():
                    (copy / name).symlink_to((ROOT / name).resolve(), target_is_directory=True)
        yield copies


def _without_fault(copy: Path, tests: Sequence[str]) -> Run:
    """Run the tests on an unchanged copy: one that fails there cannot prove anything."""
    run = _pytest(copy, tests)
    print(f"Without any fault {run.passed} tests pass ({run.seconds:.0f} s).", flush=True)
    if run.failed or run.why:
        print("These fail, so they cannot prove anything:", *(run.failed or [run.why]), sep="\n", flush=True)
    return run


def _tried(chosen: Sequence[Fault], copies: Sequence[Path], whole: Sequence[str]) -> Iterator[Verdict]:
    """Plant each fault, in as many copies at once as there are, and print what has become of it."""
    free: SimpleQueue[Path] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def tried(fault: Fault) -> Verdict:
        copy = free.get()
        try:
            with _planted(fault, copy):
                return _verdict(fault, _pytest(copy, ["-x", *(whole or fault.tests)]))
        except NotPlanted as error:
            return Verdict(fault, 0.0, why=str(error))
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        try:
            for done in as_completed([pool.submit(tried, fault) for fault in chosen]):
                verdict = done.result()
                word, said = ("NOT CAUGHT", verdict.why) if verdict.why else ("caught", verdict.by)
                print(f"{word:<10} {verdict.seconds:6.1f} s  {verdict.fault.name}: {said}", flush=True)
                yield verdict
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # who stops it waits for the tests that run, not for all
            raise


@contextmanager
def _planted(fault: Fault, copy: Path) -> Iterator[None]:
    """While the fault is in the copy. Raises NotPlanted."""
    file = copy / fault.file
    text = file.read_text("utf-8") if file.is_file() else ""
    _write(file, planted(fault, copy))
    try:
        yield
    finally:
        _write(file, text)


def _write(file: Path, text: str) -> None:
    """Without what Python has compiled of it: two texts of one length within one second look the same to it."""
    file.write_text(text, "utf-8")
    for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
        compiled.unlink()


def _verdict(fault: Fault, run: Run) -> Verdict:
    if run.failed:
        return Verdict(fault, run.seconds, by=run.failed[0])
    if run.why:
        return Verdict(fault, run.seconds, why=run.why)
    if not run.passed:
        return Verdict(fault, run.seconds, why="its tests are all skipped here; they say what to install.")
    return Verdict(fault, run.seconds, why=f"{fault.breaks} {run.passed} tests pass all the same.")


def _pytest(copy: Path, arguments: Sequence[str]) -> Run:
    """Run tests in a copy, and nothing of the checkout's."""
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=short", *PLUGINS, *arguments]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a copy is compiled once, and again where a fault is planted
    environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    began = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=copy,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            _end(process)
            return Run(LONGEST, 0, why=f"its tests did not end within {LONGEST:.0f} seconds.")
        except BaseException:
            _end(process)
            raise
    seconds = time.monotonic() - began
    passed = sum(map(int, PASSED.findall(said.rstrip().rpartition("\n")[2])))
    failed = tuple(FAILED.findall(said))
    if process.returncode != (1 if failed else 0):
        last = "\n".join(said.splitlines()[-SHOWN:])
        return Run(seconds, passed, why=f"pytest ended with status {process.returncode}:\n{last}")
    return Run(seconds, passed, failed)


def _end(process: "subprocess.Popen[str]") -> None:
    """With what it has started: tests start hosts and storage."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # its copies go with it
    sys.exit(main())
