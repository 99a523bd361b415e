"""What is compiled ahead is used, whatever becomes of times and paths."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from deployment.errors import DeploymentError

from deployment import isolated

BYTECODE = Path(__file__).parents[2] / "deployment" / "bytecode.py"
SOURCE = '''"""A module."""
NAMES = frozenset({"b", "a", "self", "x"})


def fail(self, x="shared"):
    raise ValueError(f"{x} {sorted(NAMES)}")
'''
CACHED = "__pycache__/one.cpython-313.pyc"


def compiled(folder: Path, *, in_place: bool = False) -> Path:
    (folder / "shared").mkdir(parents=True)
    for name in ("shared/one.py", "shared/two.py"):
        (folder / name).write_text(SOURCE)
    names = {"in_place": ["shared/one.py"] if in_place else [], "beside": ["shared/two.py"]}
    if not in_place:
        names["beside"].append("shared/one.py")
    isolated.run(BYTECODE, {"root": str(folder), **names})
    return folder / "shared"


def run(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("in_place", [False, True])
def test_the_same_source_gives_the_same_bytes_anywhere(tmp_path: Path, *, in_place: bool) -> None:
    first = compiled(tmp_path / "a", in_place=in_place)
    second = compiled(tmp_path / "a" / "much" / "deeper", in_place=in_place)
    name = "one.pyc" if in_place else CACHED
    assert (first / name).read_bytes() == (second / name).read_bytes()
    assert str(tmp_path).encode() not in (first / name).read_bytes()


def test_nobody_compares_it_with_its_source(tmp_path: Path) -> None:
    """PEP 552: the lowest bit of the flags says that it goes by a hash, the next that the hash is to be checked."""
    folder = compiled(tmp_path)
    assert (folder / CACHED).read_bytes()[4:8] == b"\x01\x00\x00\x00"
    (folder / "one.py").write_text("raise SystemExit('compiled anew')")
    os.utime(folder / "one.py", (1, 1))
    assert run(folder, "import one; print(sorted(one.NAMES))").stdout == "['a', 'b', 'self', 'x']\n"


def test_without_its_source_it_is_imported_and_named_by_its_path_in_the_package(tmp_path: Path) -> None:
    folder = compiled(tmp_path, in_place=True)
    assert not (folder / "one.py").exists()
    result = run(folder, "import one; one.fail(0)")
    assert 'File "shared/one.py", line 6, in fail' in result.stderr


def test_with_its_source_a_traceback_shows_the_line(tmp_path: Path) -> None:
    assert "raise ValueError(f" in run(compiled(tmp_path), "import two; two.fail(0)").stderr


def test_a_source_that_does_not_compile_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.py").write_text("def :\n")
    with pytest.raises(DeploymentError, match=r"bytecode\.py failed"):
        isolated.run(BYTECODE, {"root": str(tmp_path), "in_place": [], "beside": ["bad.py"]})
    assert "bad.py" in capfd.readouterr().err
