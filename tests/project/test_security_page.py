"""docs/security.md: the tests that it names are there, and its limits are the code's."""

import re
from importlib import import_module
from operator import attrgetter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
LIMITS = re.findall(r"^\| .* \| ([\d,]+) \| `([\w.]+):([\w.]+)` \|$", PAGE, re.MULTILINE)


def section(title: str) -> list[str]:
    """The rows of the table under a heading."""
    text = PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    return [line for line in text.splitlines() if line.startswith("| ")][1:]


def test_the_tests_that_the_page_names_are_there() -> None:
    there = {
        file: set(re.findall(r"^ *(?:async )?def (\w+)", (ROOT / file).read_text(), re.MULTILINE)) for file, _ in NAMED
    }
    assert [f"{file}::{name}" for file, name in NAMED if name not in there[file]] == []


def test_every_threat_names_a_test_that_holds_it() -> None:
    rows = section("Threats, and the test that holds each")
    assert len(rows) > 20
    assert [row for row in rows if not re.search(r"`tests/[\w/]+\.py::test_\w+`", row)] == []


def test_every_limit_names_its_constant() -> None:
    rows = section("Limits")
    assert len(rows) > 20
    assert len(LIMITS) == len(rows)


def test_the_limits_are_the_codes() -> None:
    found = {f"{module}:{name}": attrgetter(name)(import_module(module)) for _, module, name in LIMITS}
    assert found == {f"{module}:{name}": int(number.replace(",", "")) for number, module, name in LIMITS}
