"""The packages that Mailroom needs, for the machines that Azure runs it on, and which of their files are deployed."""

import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path, PurePosixPath

from uv import find_uv_bin

from deployment import DeploymentError

PYTHON = "3.13"
PLATFORM = "x86_64-manylinux_2_28"
"""Flex Consumption runs on Debian 12, whose glibc is 2.36; `make lock` resolves for the same."""

SITE_PACKAGES = PurePosixPath(".python_packages/lib/site-packages")
"""Where the Functions host looks for an app's packages."""

UNUSED: Mapping[str, str] = {
    # They write and compile extension modules. cryptography loads only _cffi_backend, which is a file beside cffi.
    "cffi": "cffi",
    "pycparser": "pycparser",
}
"""Packages that others require and Mailroom never imports: the module's name, and the distribution's."""

# Type stubs, sources of compiled modules, texts: none is read when the app runs.
_NEVER_READ = frozenset({".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h", ".md", ".rst"})
_NEVER_READ_NAMES = frozenset({"py.typed", "kiota-dom-export.txt", "kiota-lock.json"})
_TESTS = frozenset({"tests", "test"})
# Of a package's metadata: its version, its entry points, and its licence, which has to be deployed with it.
_METADATA = "METADATA"
_ENTRY_POINTS = "entry_points.txt"
_LICENCES = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "AUTHORS")

_ELF_64_LITTLE = b"\x7fELF\x02\x01"
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_NO_BITS = 8  # the type of a section without content in the file
_LOADED = 0x2


def install(requirements: Path, folder: Path) -> None:
    """Install a lock file with hashes into an empty folder. Do not change its files: they may be links into uv's cache.

    Wheels only: a source distribution would be compiled for this machine. The certificates are this machine's, as for
    pip, since a company's proxy may have one. Raises DeploymentError.
    """
    target = ["--target", str(folder), "--python", sys.executable]
    platform = ["--python-platform", PLATFORM, "--python-version", PYTHON]
    locked = ["--require-hashes", "--only-binary", ":all:", "--requirements", str(requirements)]
    options = ["--quiet", "--no-progress", "--system-certs"]
    command = [find_uv_bin(), "pip", "install", *options, *target, *platform, *locked]
    if subprocess.run(command, check=False).returncode:
        raise DeploymentError(f"{requirements.name} could not be installed for {PLATFORM}; uv says above why.")


def needed(installed: Path, leave_out: str) -> Iterator[PurePosixPath]:
    """The files of an installed folder that the app may read, and those that the licences require.

    leave_out: a module of which nothing is wanted; the SDK has more files than all others together.
    """
    found = versions(installed)
    metadata = (f"{name}-{found[name]}.dist-info" for name in UNUSED.values() if name in found)
    unused = {leave_out, *UNUSED, *metadata}
    for top in sorted(installed.iterdir()):
        if top.name in unused:
            continue
        files = (path for path in top.rglob("*") if path.is_file()) if top.is_dir() else (top,)
        yield from filter(_needed, (PurePosixPath(path.relative_to(installed)) for path in files))


def content(installed: Path, path: PurePosixPath) -> bytes:
    """A file as it is deployed: metadata without the README at its end, extension modules without debugging data."""
    found = (installed / path).read_bytes()
    if path.suffix == ".so":
        return without_debugging(found)
    if path.name == _METADATA and path.parts[0].endswith(".dist-info"):
        return found.replace(b"\r\n", b"\n").partition(b"\n\n")[0] + b"\n"
    return found


def versions(site_packages: Path) -> Mapping[str, str]:
    """The packages in a folder and their versions, by name."""
    found = {each.name: each.version for each in distributions(path=[str(site_packages)])}
    return dict(sorted(found.items()))


def _needed(path: PurePosixPath) -> bool:
    if path.name.startswith(_LICENCES):
        return True
    top, *rest = path.parts
    if top.endswith(".dist-info"):
        return path.name in {_METADATA, _ENTRY_POINTS} or "licenses" in rest
    return not (
        top == "bin"
        or path.name.startswith((".", "_testcapi."))
        or path.suffix in _NEVER_READ
        or path.name in _NEVER_READ_NAMES
        or _TESTS.intersection(path.parts[1:-1])
    )


def without_debugging(content: bytes) -> bytes:
    """A 64-bit little-endian shared object, cut off after what is loaded. Any other content is returned unchanged.

    Some wheels come with their debugging sections, for aiohttp four fifths of the file. In an ELF file the program
    headers name what is loaded, and that comes first; after it lie sections that no program reads, and their table.
    `strip` is not on every machine that builds, so the file is cut off there and its header says that it has no
    sections (man 5 elf). A file with a loaded section after the cut, which no linker writes, stays as it is.
    """
    if not content.startswith(_ELF_64_LITTLE):
        return content
    header = list(_HEADER.unpack_from(content))
    segments_at, sections_at, segments, sections = header[5], header[6], header[10], header[12]
    end = segments_at + segments * _SEGMENT.size
    for number in range(segments):
        segment = _SEGMENT.unpack_from(content, segments_at + number * _SEGMENT.size)
        end = max(end, segment[2] + segment[5])  # offset and size in the file
    for number in range(sections):
        section = _SECTION.unpack_from(content, sections_at + number * _SECTION.size)
        kind, flags, offset, size = section[1], section[2], section[4], section[5]
        if flags & _LOADED and kind != _NO_BITS and offset + size > end:
            return content
    header[6] = header[12] = header[13] = 0  # the section table's offset and length, and the index of the names
    return _HEADER.pack(*header) + content[_HEADER.size : end]
