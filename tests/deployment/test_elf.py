"""Extension modules lose what only debuggers read, and work as before."""

import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from deployment.elf import without_debugging

INSTALLED = Path(sysconfig.get_path("purelib"))
MODULE = "multidict/_multidict"
on_linux = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="extension modules of this machine are no ELF",
)


def extension() -> bytes:
    [file] = INSTALLED.glob(f"{MODULE}.*.so")
    return file.read_bytes()


@on_linux
def test_an_extension_module_gets_smaller_and_still_works(tmp_path: Path) -> None:
    """Where its wheel comes with debugging sections; this one's does."""
    before = extension()
    after = without_debugging(before)
    assert len(after) < len(before) / 2
    (tmp_path / "_multidict.so").write_bytes(after)
    program = "import _multidict; print(_multidict.__file__); print(_multidict.CIMultiDict(A='1')['a'])"
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [str(tmp_path / "_multidict.so"), "1"]


@on_linux
def test_cutting_twice_is_cutting_once() -> None:
    assert without_debugging(without_debugging(extension())) == without_debugging(extension())


@on_linux
def test_what_is_loaded_is_never_cut_off() -> None:
    """A section that says it is loaded and lies behind everything else: the file stays as it is."""
    content = bytearray(extension())
    table, count = int.from_bytes(content[40:48], "little"), int.from_bytes(content[60:62], "little")
    last = table + (count - 1) * 64
    content[last + 8] |= 2
    assert without_debugging(bytes(content)) == bytes(content)


@pytest.mark.parametrize("content", [b"", b"MZ\x90", b"\x7fELF\x01\x01" + bytes(100), b"\x7fELF\x02\x02" + bytes(100)])
def test_what_is_no_such_file_stays_as_it_is(content: bytes) -> None:
    assert without_debugging(content) == content
