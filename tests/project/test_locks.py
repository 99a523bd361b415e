"""The lock files say what pyproject.toml says."""

import json
import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEPLOYED = PROJECT["project"]["dependencies"]
DEVELOPMENT = DEPLOYED + PROJECT["dependency-groups"]["dev"]
# What Azure runs, whatever machine runs this test.
AZURE = {
    "extra": "",
    "implementation_name": "cpython",
    "implementation_version": "3.13.0",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.13.0",
    "python_version": "3.13",
    "sys_platform": "linux",
}


def locked(name: str) -> dict[str, Version]:
    pins = re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==(\S+) \\$", (ROOT / name).read_text(), re.MULTILINE)
    return {canonicalize_name(package): Version(version) for package, version in pins}


def wanted(requirements: Iterable[str]) -> dict[str, list[Requirement]]:
    """Every requirement, one's own and those of what it asks for, by package; read from the installed packages."""
    found: dict[str, list[Requirement]] = {}
    todo = [(Requirement(line), "") for line in requirements]
    seen: set[tuple[str, str]] = set()
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({**AZURE, "extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        found.setdefault(name, []).append(requirement)
        for wanted_extra in ("", *requirement.extras):
            if (name, wanted_extra) in seen:
                continue
            seen.add((name, wanted_extra))
            try:
                todo += [(Requirement(line), wanted_extra) for line in requires(name) or ()]
            except PackageNotFoundError:
                pytest.fail(f"{name} is asked for and not installed: pyproject.toml has changed; run `make lock`")
    return found


@pytest.mark.parametrize(
    ("lock", "requirements"), [("requirements.txt", DEPLOYED), ("requirements-dev.txt", DEVELOPMENT)]
)
def test_a_lock_holds_exactly_what_pyproject_asks_for(lock: str, requirements: list[str]) -> None:
    """Nothing is missing, nothing is left over, and every pin is in every range asked for."""
    pins, asked = locked(lock), wanted(requirements)
    assert set(pins) == set(asked)
    wrong = [
        f"{name}=={pins[name]} is not {requirement}"
        for name, found in asked.items()
        for requirement in found
        if not requirement.specifier.contains(pins[name], prereleases=True)
    ]
    assert not wrong


def test_both_locks_have_the_same_versions() -> None:
    """What is tested is what is deployed."""
    deployed, development = locked("requirements.txt"), locked("requirements-dev.txt")
    assert deployed.items() <= development.items()


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_a_python_lock_has_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert len(re.findall(r"==\S+ \\\n    --hash=sha256:", text)) == len(locked(lock))


def test_the_npm_lock_has_hashes_and_no_download_addresses() -> None:
    packages = json.loads((ROOT / "sandbox/package-lock.json").read_text())["packages"]
    assert all("integrity" in package and "resolved" not in package for name, package in packages.items() if name)


def test_the_npm_lock_holds_what_package_json_asks_for() -> None:
    asked = json.loads((ROOT / "sandbox/package.json").read_text())["devDependencies"]
    packages = json.loads((ROOT / "sandbox/package-lock.json").read_text())["packages"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in asked} == asked
    assert packages[""]["devDependencies"] == asked
