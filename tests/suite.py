"""A pytest plugin, `-p tests.suite`, which `make test` names: who runs what, the progress, and what to say in the end.

Files that share something that is slow to start run in the same worker, so that it is started once. What waits most
of its time, and what takes longest, comes first: else one worker has it left when the others have ended.
"""

import faulthandler
import gc
import os
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from math import inf
from time import monotonic
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

FIRST: Final = (
    "tests/chaos/", "tests/e2e/", "tests/delivery/test_exactly_once.py", "tests/webhooks/routes/",
    "tests/webhooks/rendering/", "tests/readers/", "tests/runtime/", "tests/infra/", "tests/sandbox/",
    "tests/delivery/", "tests/deployment/",
)  # fmt: skip
# What files share that begin so; the first entry counts.
SHARED: Final = {
    "tests/e2e/test_large": "the sandbox for large mails",
    "tests/e2e/test_client": "the second sandbox",
    "tests/e2e/test_cost": "the second sandbox",
    "tests/e2e/test_fuzzing": "the second sandbox",
    "tests/e2e/test_limits": "the second sandbox",
    "tests/e2e/test_modes": "the second sandbox",
    "tests/e2e/": "the sandbox of tests/e2e/conftest.py",
    "tests/infra/kusto/": "the language service",
    "tests/infra/test_alerts": "the language service",
    "tests/project/test_pages": "the language service",
    "tests/scripts/": "PowerShell",
    "tests/webhooks/rendering/": "compiled templates",
    "tests/webhooks/routes/": "compiled templates",
}
# What a test that never ends is doing is told after so many seconds at least. Pytest's own timer is a thread
# for each test, which costs more than most tests.
PATIENCE: Final = 300
STDERR: Final = os.dup(2)  # before it is captured


def group(nodeid: str) -> str:
    """Tests of one group run in one worker."""
    return next((what for place, what in SHARED.items() if nodeid.startswith(place)), nodeid.partition("::")[0])


class ByGroup(LoadScopeScheduling):  # type: ignore[misc] # of a module without types
    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByGroup:
    config.option.loadscopereorder = False  # the order of collection says what comes first
    return ByGroup(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Each worker imports other modules first: in a new checkout it then finds compiled what others had to compile."""
    worker = getattr(session.config, "workerinput", None)
    if worker is None or session.config.args != session.config.getini("testpaths"):
        return
    root = session.config.rootpath
    files = sorted((root / "tests").rglob("test_*.py"))
    for file in files[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]:
        with suppress(Exception, pytest.skip.Exception):  # what is wrong with it, its collection tells
            import_module(".".join(file.relative_to(root).with_suffix("").parts))


@cache
def rank(file: str) -> int:
    return next((n for n, place in enumerate(FIRST) if file.startswith(place)), len(FIRST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.nodeid.partition("::")[0]))


def pytest_collection_finish() -> None:
    """The collected tests stay to the end: the garbage collector need not visit them again and again."""
    gc.freeze()
    gc.enable()


_set_at = -inf


def pytest_runtest_logstart() -> None:
    global _set_at  # noqa: PLW0603
    if monotonic() - _set_at > PATIENCE / 2:
        _set_at = monotonic()
        faulthandler.dump_traceback_later(1.5 * PATIENCE, file=STDERR)


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # while modules are imported and tests collected
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(config))


class Progress:
    """A line for each file when its first test starts and for each test that fails, and one in the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._began = monotonic()
        self._total = self._finished = 0
        self._seen: set[str] = set()
        self._counts: Counter[str] = Counter()

    def _say(self, line: str, **markup: bool) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        assert reporter
        reporter.write_line(line, **markup)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = self._total or len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: Sequence[str]) -> None:
        self._total = len(ids)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        file = nodeid.partition("::")[0]
        if file not in self._seen:
            self._seen.add(file)
            self._say(f"[{100 * self._finished // max(1, self._total):3} %] {file}")

    def pytest_runtest_logfinish(self) -> None:
        self._finished += 1

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self) -> Generator[None, Any, tuple[str, str, str]]:
        """Pytest's own, but no letter is printed for it."""
        category, _, word = yield
        return category, "", word

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._counts["failed"] += 1
            self._say(f"FAILED {report.nodeid}", red=True)
        elif report.skipped or report.when == "call":
            self._counts[report.outcome] += 1

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> Iterator[None]:
        yield  # pytest says what failed and what was skipped
        minutes, seconds = divmod(round(monotonic() - self._began), 60)
        failed, skipped = self._counts["failed"], self._counts["skipped"]
        if failed:
            self._say(f"{failed} of {self._total:,} tests failed, named above. To run one of them alone:", red=True)
            self._say("make test ARGS='-n 0 FILE::TEST'", red=True)
        elif exitstatus:
            self._say("The tests were not run to their end; the lines above say why.", red=True)
        else:
            more = f" {skipped} were skipped; the lines above say what to install for them." if skipped else ""
            self._say(f"All {self._counts['passed']:,} tests passed in {minutes} min {seconds} s.{more}", green=True)
