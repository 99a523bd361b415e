"""The packages that Mailroom needs, for the machine that Azure runs it on."""

import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path, PurePosixPath

from uv import find_uv_bin

from deployment.errors import DeploymentError

__all__ = ["PLATFORM", "PYTHON", "SITE_PACKAGES", "install", "versions"]

PYTHON = "3.13"
PLATFORM = "x86_64-manylinux_2_28"
"""Flex Consumption runs on Debian 12, whose glibc is 2.36; `make lock` resolves for the same."""

SITE_PACKAGES = PurePosixPath(".python_packages/lib/site-packages")
"""Where the Functions host looks for an app's packages."""

# Type stubs, sources of what is compiled, texts: nothing of it is read when the app runs.
_NEVER_READ = frozenset({".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h", ".md", ".rst"})
_NEVER_READ_NAMES = frozenset({"py.typed", "kiota-dom-export.txt", "kiota-lock.json"})
_TESTS = frozenset({"tests", "test"})
# Of a package's metadata: its version, what others look up in it, and its licence, which has to come along.
_METADATA = frozenset({"METADATA", "entry_points.txt"})
_LICENCES = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "AUTHORS")


def install(requirements: Path, site_packages: Path) -> None:
    """Install a lock file with hashes into an empty folder, and take out what is never read.

    Wheels only: what would have to be compiled here would be compiled for this machine. Raises DeploymentError.
    """
    # uv's own choice would be links into its cache, and what is changed here would be changed there.
    target = ["--target", str(site_packages), "--link-mode", "copy", "--python", sys.executable]
    platform = ["--python-platform", PLATFORM, "--python-version", PYTHON]
    locked = ["--require-hashes", "--only-binary", ":all:", "--requirements", str(requirements)]
    command = [find_uv_bin(), "pip", "install", "--quiet", "--no-progress", *target, *platform, *locked]
    if subprocess.run(command, check=False).returncode:
        raise DeploymentError(f"{requirements.name} could not be installed for {PLATFORM}; uv says above why.")
    for path in sorted(site_packages.rglob("*")):
        if path.is_file() and not needed(PurePosixPath(path.relative_to(site_packages))):
            path.unlink()
    for folder in sorted((path for path in site_packages.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def needed(path: PurePosixPath) -> bool:
    """Whether a file of site-packages may be read when the app runs, or has to come along by its licence."""
    if path.name.startswith(_LICENCES):
        return True
    top, *rest = path.parts
    if top.endswith(".dist-info"):
        return path.name in _METADATA or "licenses" in rest
    return not (
        top == "bin"
        or path.name.startswith((".", "_testcapi."))
        or path.suffix in _NEVER_READ
        or path.name in _NEVER_READ_NAMES
        or _TESTS.intersection(path.parts[1:-1])
    )


def versions(site_packages: Path) -> Mapping[str, str]:
    """The packages in a folder and their versions, by name."""
    found = {each.name: each.version for each in distributions(path=[str(site_packages)])}
    return dict(sorted(found.items()))
