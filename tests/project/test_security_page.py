"""docs/security.md: the tests that it names are there, and its limits are the code's."""

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
LIMITS = re.findall(r"^\| .* \| ([\d,]+) \| `([\w.]+):([\w.]+)` \|$", PAGE, re.MULTILINE)


def section(title: str) -> list[str]:
    """The rows of the table under a heading."""
    text = PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    return [line for line in text.splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda value: value)
def test_a_test_that_the_page_names_is_there(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert name in functions


def test_every_threat_names_a_test_that_holds_it() -> None:
    rows = section("Threats, and the test that holds each")
    assert len(rows) > 20
    assert [row for row in rows if not re.search(r"`tests/[\w/]+\.py::test_\w+`", row)] == []


def test_every_limit_names_its_constant() -> None:
    rows = section("Limits")
    assert len(rows) > 20
    assert len(LIMITS) == len(rows)


@pytest.mark.parametrize(("number", "module", "name"), LIMITS, ids=lambda value: value)
def test_a_limit_is_the_codes(number: str, module: str, name: str) -> None:
    found: Any = import_module(module)
    for step in name.split("."):
        found = getattr(found, step)
    assert found == int(number.replace(",", ""))
