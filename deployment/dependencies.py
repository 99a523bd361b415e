"""The packages that Mailroom needs, for the machine that Azure runs it on, and of them what is read when it runs."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path, PurePosixPath

from uv import find_uv_bin

from deployment.elf import without_debugging
from deployment.errors import DeploymentError

__all__ = ["PLATFORM", "PYTHON", "SITE_PACKAGES", "UNUSED", "content", "install", "needed", "versions"]

PYTHON = "3.13"
PLATFORM = "x86_64-manylinux_2_28"
"""Flex Consumption runs on Debian 12, whose glibc is 2.36; `make lock` resolves for the same."""

SITE_PACKAGES = PurePosixPath(".python_packages/lib/site-packages")
"""Where the Functions host looks for an app's packages."""

UNUSED: Mapping[str, str] = {
    # They write and compile extension modules. cryptography loads _cffi_backend alone, which is a file beside cffi.
    "cffi": "cffi",
    "pycparser": "pycparser",
}
"""Packages that others ask for and Mailroom never imports: the module's name, and the distribution's."""

# Type stubs, sources of what is compiled, texts: nothing of it is read when the app runs.
_NEVER_READ = frozenset({".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h", ".md", ".rst"})
_NEVER_READ_NAMES = frozenset({"py.typed", "kiota-dom-export.txt", "kiota-lock.json"})
_TESTS = frozenset({"tests", "test"})
# Of a package's metadata: its version, what others look up in it, and its licence, which has to come along.
_METADATA = "METADATA"
_ENTRY_POINTS = "entry_points.txt"
_LICENCES = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "AUTHORS")


def install(requirements: Path, folder: Path) -> None:
    """Install a lock file with hashes into an empty folder, to be read only: its files may be uv's own.

    Wheels only: what would have to be compiled here would be compiled for this machine. The certificates are the
    machine's own, as for pip: a company's proxy has one. Raises DeploymentError.
    """
    target = ["--target", str(folder), "--python", sys.executable]
    platform = ["--python-platform", PLATFORM, "--python-version", PYTHON]
    locked = ["--require-hashes", "--only-binary", ":all:", "--requirements", str(requirements)]
    command = [
        find_uv_bin(),
        "pip",
        "install",
        "--quiet",
        "--no-progress",
        "--system-certs",
        *target,
        *platform,
        *locked,
    ]
    if subprocess.run(command, check=False).returncode:
        raise DeploymentError(f"{requirements.name} could not be installed for {PLATFORM}; uv says above why.")


def needed(installed: Path) -> Iterator[PurePosixPath]:
    """The files of an installed folder that may be read when the app runs, or have to come along by their licence."""
    paths = (PurePosixPath(path.relative_to(installed)) for path in sorted(installed.rglob("*")) if path.is_file())
    unused = (*UNUSED, *(f"{name}-{version}.dist-info" for name, version in _versions(installed)))
    return (path for path in paths if path.parts[0] not in unused and _needed(path))


def content(installed: Path, path: PurePosixPath) -> bytes:
    """A file as it is deployed: of metadata the head, not the README behind it; of extension modules what is loaded."""
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


def _versions(installed: Path) -> Iterator[tuple[str, str]]:
    """The distributions that are left out, as their folders are called."""
    found = versions(installed)
    return ((name, found[name]) for name in UNUSED.values() if name in found)


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
