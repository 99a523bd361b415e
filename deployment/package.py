"""`python -m deployment.package`, what `make package` calls: build the package that Azure runs, into dist/.

    dist/package         unpacked: what azd puts into a zip file and deploys
    dist/mailroom.zip    the same, packed: what `python -m deployment.publish` deploys
    dist/manifest.json   its digest, functions, packages with versions, and files with sizes and SHA-256

With a folder of routes, --routes, these are in the package too, as the folder `routes`, which is the app's default for
MAIL_ROUTES_DIR. A build that fails leaves what was there before. Exit status 1, with a sentence that says what to do.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Final

from pathspec import GitIgnoreSpec

from deployment import DeploymentError, archive, dependencies, sdk
from deployment.archive import ARCHIVE, MANIFEST, UNPACKED
from deployment.dependencies import SITE_PACKAGES
from shared.settings.config import PACKED_ROUTES
from shared.webhooks.rendering.environment import SUFFIX
from shared.webhooks.rendering.mails import Renderer
from shared.webhooks.routing.catalog import BUILT_IN, load
from shared.webhooks.routing.route_file import FILE

ROOT: Final = Path(__file__).resolve().parent.parent
LOGOS: Final = {".gif", ".jpeg", ".jpg", ".png"}
IGNORE_FILE: Final = ".funcignore"

# azd leaves out __pycache__ when it finds no .funcignore, and otherwise what that names.
_NOTHING_IGNORED = b"# All of this is deployed: `make package` has chosen it.\n"


def build(dist: Path, routes: Path | None = None) -> dict[str, Any]:
    """Build the package into `dist` and return its manifest. routes: your own. Raises DeploymentError."""
    own_routes = list(packed_routes(routes)) if routes else []
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
        for path in own_routes:
            _put(package / PACKED_ROUTES.name / path.relative_to(routes or path), path.read_bytes())
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
    """Put into `package` what is deployed. installed: a temporary folder for the packages as they are installed."""
    own = list(deployed(ROOT))
    for path in own:
        _put(package / path, (ROOT / path).read_bytes())
    sources = [path.as_posix() for path in own if path.suffix == ".py"]

    dependencies.install(ROOT / "requirements.txt", installed)
    reachable = sdk.reachable(installed, sdk.mentions(ROOT / source for source in sources))
    modules = []
    for path in sorted([*dependencies.needed(installed, leave_out=sdk.SDK), *reachable]):
        _put(package / SITE_PACKAGES / path, dependencies.content(installed, path))
        if path.suffix == ".py":
            modules.append((SITE_PACKAGES / path).as_posix())
    check_names(own, (path.relative_to(package / SITE_PACKAGES) for path in (package / SITE_PACKAGES).rglob("*")))
    # Other people's modules are deployed without sources: tracebacks show the numbers of their lines, not the text.
    isolated("compile", root=str(package), in_place=modules, beside=sources)
    _put(package / IGNORE_FILE, _NOTHING_IGNORED)


def packed_routes(folder: Path) -> Iterator[Path]:
    """The files of a folder of routes that the app reads, a logo beside them too.

    Raises DeploymentError where a route cannot be used.
    """
    catalog = load(folder, Renderer(BUILT_IN / "_layout"))
    if problems := [*catalog.problems.values(), *([catalog.missing] if catalog.missing else [])]:
        raise DeploymentError("\n".join(problems))
    own = [route.folder for route in catalog.routes.values() if route.folder.parent == folder]
    if not own:
        raise DeploymentError(f"{folder} has no routes: expected {folder / '<route>' / FILE}.")
    yield from sorted(file for file in folder.glob("*.*") if file.suffix.lower() in LOGOS)
    for route in own:
        yield route / FILE
        yield from sorted(route.glob(f"templates/*{SUFFIX}"))


def deployed(checkout: Path) -> Iterator[PurePosixPath]:
    """The files of a checkout that Azure runs: all that .funcignore does not name, as sorted paths in the checkout.

    .funcignore has the syntax of .gitignore, and the files of an ignored folder are ignored: the Functions tools and
    azd read it like this. Raises FileNotFoundError when there is none, since everything would be deployed.
    """
    ignored = GitIgnoreSpec.from_lines((checkout / IGNORE_FILE).read_text(encoding="utf-8").splitlines())
    for folder, below, files in os.walk(checkout):
        here = PurePosixPath(Path(folder).relative_to(checkout).as_posix())
        below[:] = sorted(name for name in below if not ignored.match_file(f"{here / name}/"))
        yield from (here / name for name in sorted(files) if not ignored.match_file(here / name))


def isolated(step: str, **arguments: Any) -> Any:
    """Run a step of deployment/isolated.py in an interpreter of its own. Raises DeploymentError."""
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "SYSTEMROOT", "TMPDIR"}}
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(ROOT / "deployment" / "isolated.py")]
    request = json.dumps({"do": step, "with": arguments}).encode()
    result = subprocess.run(command, input=request, stdout=subprocess.PIPE, env=environment, check=False)
    if result.returncode:
        raise DeploymentError(f"The step {step!r} of deployment/isolated.py failed; its message is above.")
    return json.loads(result.stdout)


def check_names(own: Iterable[PurePath], brought: Iterable[PurePath]) -> None:
    """Raise DeploymentError if an import of one of our modules would find another module of that name.

    In Azure the app comes last on sys.path, after its packages and the standard library. own, brought: files, relative
    to where they are imported from.
    """
    ours, theirs = _top_level(own), _top_level(brought)
    for name in sorted(ours & theirs):
        raise DeploymentError(
            f"A package brings a module {name!r}, and so does Mailroom. In Azure the package's would be imported."
        )
    for name in sorted(ours & sys.stdlib_module_names):
        raise DeploymentError(
            f"Python itself has a module {name!r}, and so has Mailroom. In Azure Python's would be imported."
        )


def _top_level(files: Iterable[PurePath]) -> set[str]:
    """The names that can be imported from the folder of these files."""
    modules = (path for path in files if path.suffix in {".py", ".pyc", ".so"})
    return {path.parts[0].partition(".")[0] for path in modules}


def _put(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(0o644)  # azd deploys files with the modes they have


def _functions(package: Path) -> list[str]:
    """Indexed with the package's own packages; on another platform than Azure's, with those installed here."""
    here = (platform.system(), platform.machine()) == ("Linux", "x86_64")
    site_packages = package / SITE_PACKAGES if here else Path(sysconfig.get_path("purelib"))
    found: list[str] = isolated("functions", package=str(package), site_packages=str(site_packages), checkout=str(ROOT))
    if not found:
        raise DeploymentError("function_app.py has no functions.")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Build, and say what was built. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deployment.package", description="Build the package for Azure.")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", metavar="DIR", help="where to (dist)")
    parser.add_argument("--routes", type=Path, metavar="DIR", help="a folder of routes of your own, to be packed too")
    given = parser.parse_args(arguments)
    dist = given.dist
    start = time.monotonic()
    try:
        made = build(dist, given.routes)
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
