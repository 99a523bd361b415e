"""`python -m deployment.package`, what `make package` calls: build the package that Azure runs, into dist/.

    dist/package         unpacked: what azd puts into a zip file and deploys
    dist/mailroom.zip    the same, packed: what `python -m deployment.publish` deploys
    dist/manifest.json   its digest, functions, packages with versions, and files with sizes and SHA-256

A build that fails leaves what was there before. Exit status 1, with a sentence that says what to do.
"""

import argparse
import platform
import shutil
import sys
import sysconfig
import tempfile
import time
import tomllib
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

from deployment import archive, dependencies, isolated, sdk
from deployment.archive import ARCHIVE, MANIFEST, UNPACKED
from deployment.dependencies import SITE_PACKAGES
from deployment.errors import DeploymentError
from deployment.sources import IGNORE_FILE, deployed

__all__ = ["build", "main"]

ROOT = Path(__file__).resolve().parent.parent

# azd leaves out __pycache__ where it finds no .funcignore, and of a folder that has one what it says.
_NOTHING_IGNORED = b"# All of this is deployed: `make package` has chosen it.\n"


def build(dist: Path) -> dict[str, Any]:
    """Build the package into `dist` and return its manifest. Raises DeploymentError."""
    if platform.python_implementation() != "CPython" or platform.python_version_tuple()[:2] != ("3", "13"):
        raise DeploymentError(
            f"Bytecode is compiled by the Python that runs it, CPython {dependencies.PYTHON}; "
            f"this is {platform.python_implementation()} {platform.python_version()}."
        )
    dist.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=dist, prefix=".building-") as building:
        made = Path(building)
        package = made / UNPACKED
        _assemble(package, made / "installed")
        contents = list(archive.read(package, leave_out=[IGNORE_FILE]))
        archive.write(package, contents, made / ARCHIVE)
        described = archive.manifest(
            made / ARCHIVE,
            contents,
            _functions(package),
            dependencies.versions(package / SITE_PACKAGES),
            mailroom=tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"],
            python=dependencies.PYTHON,
            platform=dependencies.PLATFORM,
        )
        archive.write_manifest(described, made / MANIFEST)
        if (dist / UNPACKED).exists():
            shutil.rmtree(dist / UNPACKED)
        for name in (UNPACKED, ARCHIVE, MANIFEST):
            (made / name).replace(dist / name)
    return described


def _assemble(package: Path, installed: Path) -> None:
    """Put into `package` what is deployed. installed: a folder for the packages as they come."""
    own = list(deployed(ROOT))
    for path in own:
        _put(package / path, (ROOT / path).read_bytes())
    sources = [path.as_posix() for path in own if path.suffix == ".py"]

    dependencies.install(ROOT / "requirements.txt", installed)
    reachable = sdk.reachable(installed, sdk.mentions(ROOT / source for source in sources))
    modules = []
    for path in dependencies.needed(installed):
        if path.parts[0] == sdk.SDK and path not in reachable:
            continue
        _put(package / SITE_PACKAGES / path, dependencies.content(installed, path))
        if path.suffix == ".py":
            modules.append((SITE_PACKAGES / path).as_posix())
    check_names(own, (path.relative_to(package / SITE_PACKAGES) for path in (package / SITE_PACKAGES).rglob("*")))
    # Of other people's modules the compiled ones are enough: tracebacks have their lines' numbers, not their text.
    isolated.run(ROOT / "deployment" / "bytecode.py", {"root": str(package), "in_place": modules, "beside": sources})
    _put(package / IGNORE_FILE, _NOTHING_IGNORED)


def check_names(own: Iterable[PurePath], brought: Iterable[PurePath]) -> None:
    """Raises DeploymentError where an import of our own would find another's module.

    In Azure the app is the last on sys.path, behind its packages and the standard library. own, brought: files,
    relative to where they are imported from.
    """
    ours, theirs = _top_level(own), _top_level(brought)
    for name in sorted(ours & theirs):
        raise DeploymentError(
            f"A package brings a module {name!r}, and so does Mailroom. In Azure the package's is imported."
        )
    for name in sorted(ours & sys.stdlib_module_names):
        raise DeploymentError(
            f"Python itself has a module {name!r}, and so has Mailroom. In Azure Python's is imported."
        )


def _top_level(files: Iterable[PurePath]) -> set[str]:
    """The names that can be imported from where these files are. A folder counts by what is in it."""
    modules = (path for path in files if path.suffix in {".py", ".pyc", ".so"})
    return {path.parts[0].partition(".")[0] for path in modules}


def _put(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(0o644)  # azd deploys the modes that it finds


def _functions(package: Path) -> list[str]:
    """Indexed with the package's own packages; where they cannot be loaded, with the same ones for this machine."""
    here = (platform.system(), platform.machine()) == ("Linux", "x86_64")
    site_packages = package / SITE_PACKAGES if here else Path(sysconfig.get_path("purelib"))
    request = {"package": str(package), "site_packages": str(site_packages), "checkout": str(ROOT)}
    found: list[str] = isolated.run(ROOT / "deployment" / "indexing.py", request)
    if not found:
        raise DeploymentError("function_app.py has no functions.")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Build, and say what was made. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deployment.package", description="Build the package for Azure.")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", metavar="DIR", help="where to (dist)")
    dist = parser.parse_args(arguments).dist
    start = time.monotonic()
    try:
        made = build(dist)
    except DeploymentError as error:
        print(f"make package: {error}", file=sys.stderr)
        return 1
    packed = (dist / ARCHIVE).stat().st_size
    print(
        f"{dist / ARCHIVE}: {packed / 1e6:.1f} MB, unpacked {made['bytes']:,} bytes in {made['files']:,} files, "
        f"{len(made['functions'])} functions ({time.monotonic() - start:.0f} s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
