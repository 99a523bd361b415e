"""Running an app that brings its packages along on those alone, as Azure does.

Azure puts `.python_packages/lib/site-packages` of an app on the path. Here a host on such an app gets an interpreter
without the packages of this checkout's environment: it has the app's, and of its own those that the app does not bring.
What `make package` makes is run like this, so that what is missing in it is missing.
"""

import os
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from sandbox.options import ROOT

_PACKAGES = Path(".python_packages", "lib", "site-packages")
_HOSTS_OWN = ("croniter", "starlette", "uvicorn", "uvloop")
"""What `sandbox.host` needs that an app does not bring: Azure's host is another program, and its worker has uvloop."""

_SEALED = ("msgraph", "cffi", "pycparser")
"""What a package has in part, or not at all: a host on it ends when more of that is asked for."""


def brought(app: Path) -> Path | None:
    """The folder of the packages that an app brings along, if it does."""
    folder = app / _PACKAGES
    return folder if folder.is_dir() else None


def alone(
    app: Path, program: tuple[str, ...], environment: Mapping[str, str], folder: Path
) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """How `program`, a Python interpreter and its arguments, runs `app`: as given, or on the packages that it brings.

    folder: where links to the host's own packages may be put.
    """
    packages = brought(app)
    if packages is None:
        return program, environment
    own = folder / "host-packages"
    own.mkdir()
    for name, path in _hosts_own():
        # In a package a single module may be there as bytecode alone.
        if not (packages / name).exists() and not (packages / name).with_suffix(".pyc").exists():
            (own / name).symlink_to(path)
    interpreter, *arguments = program
    sealed = [word for name in _SEALED for word in ("--sealed", name)]
    # -S: no site-packages. -P: no working directory, which is the checkout.
    command = (interpreter, "-S", "-P", "-B", *arguments, *sealed)
    return command, {**environment, "PYTHONPATH": os.pathsep.join([str(packages), str(own)])}


def _hosts_own() -> Iterator[tuple[str, Path]]:
    """Names and places of what the host needs: its packages, those that these ask for, and its own code."""
    yield "sandbox", ROOT / "sandbox"
    todo, seen = [distribution(name) for name in _HOSTS_OWN], set[str]()
    while todo:
        found = todo.pop()
        if found.name in seen:
            continue
        seen.add(found.name)
        yield from _top_level(found)
        asked = map(Requirement, found.requires or ())
        todo += (distribution(each.name) for each in asked if not each.marker or each.marker.evaluate({"extra": ""}))


def _top_level(found: Distribution) -> Iterator[tuple[str, Path]]:
    names = {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}
    return ((name, Path(str(found.locate_file(name)))) for name in sorted(names))
