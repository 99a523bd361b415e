"""The list of planted faults fits the project as it is. That each is caught, `make mutants` shows."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.mutants.faults import ROOT, Fault, NotPlanted, faults, planted

LIST = faults()


def test_no_fault_is_ever_removed() -> None:
    """Whoever adds one raises `count`; where the code of one has gone, plant it in what took the place of that."""
    assert len(LIST.fault) == LIST.count
    assert len({fault.name for fault in LIST.fault}) == LIST.count


def test_every_fault_can_be_planted_and_leaves_code_that_can_be_read() -> None:
    assert [f"{fault.name}: {wrong}" for fault in LIST.fault for wrong in _wrong_with(fault)] == []


def test_every_test_that_is_named_for_a_fault_exists() -> None:
    assert [fault.name for fault in LIST.fault if not fault.tests] == []
    missing = [f"{fault.name}: {test}" for fault in LIST.fault for test in fault.tests if not _exists(test)]
    assert missing == []


def test_a_fault_that_fits_nowhere_or_twice_is_refused(tmp_path: Path) -> None:
    fault = Fault("name", "breaks", "file.py", "old", "new", ("tests",))
    with pytest.raises(NotPlanted, match=r"file\.py does not exist"):
        planted(fault, tmp_path)
    (tmp_path / "file.py").write_text("old and old")
    with pytest.raises(NotPlanted, match="2 times"):
        planted(fault, tmp_path)
    (tmp_path / "file.py").write_text("the old one")
    assert planted(fault, tmp_path) == "the new one"


def _wrong_with(fault: Fault) -> Iterator[str]:
    try:
        text = planted(fault)
        if fault.file.endswith(".py"):
            ast.parse(text)
    except (NotPlanted, SyntaxError) as error:
        yield str(error)
    if fault.old == fault.new:
        yield "`old` and `new` are the same."


def _exists(test: str) -> bool:
    file, _, name = test.partition("::")
    return (ROOT / file).is_file() and (not name or name.partition("[")[0] in _functions(file))


@cache
def _functions(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
