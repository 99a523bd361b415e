"""The package that `make package` builds: what is in it, and that it runs alone."""

import ast
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution, distributions
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZipFile

import pytest

from deployment.dependencies import PLATFORM, PYTHON, SITE_PACKAGES, UNUSED
from deployment.sdk import SDK, imported, nodes
from sandbox.packaged import alone
from tests.e2e.running import Sandbox, running, titled
from tests.e2e.test_start_up import FUNCTIONS

ROOT = Path(__file__).parents[2]
INSTALLED = Path(sysconfig.get_path("purelib"))
AS_AZURE = (platform.system(), platform.machine()) == ("Linux", "x86_64")
pytestmark = pytest.mark.proof  # the build takes half a minute; its steps are in test_build_steps.py and test_sdk.py
like_azure = pytest.mark.skipif(not AS_AZURE, reason="the package is for Linux on x86-64")


def build(dist: Path, routes: Path, **environment: str) -> Path:
    program = [sys.executable, "-m", "deployment.package", "--dist", str(dist), "--routes", str(routes)]
    subprocess.run(program, cwd=ROOT, env=os.environ | environment, check=True)
    return dist


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside of the checkout with one route, `shop`."""
    folder = tmp_path_factory.mktemp("our-routes")
    for name, text in {
        "route.toml": 'source = "key"\n',
        "templates/paid.html.j2": '{% extends "mail.html.j2" %}{% block subject %}Paid: {{ at("n") }}{% endblock %}',
        "templates/draft.txt": "not read",
        "examples/paid.json": "not needed in Azure",
    }.items():
        (folder / "shop" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "shop" / name).write_text(text)
    (folder / "logo.png").write_bytes(b"a picture")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("[remote]")
    return folder


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory, routes: Path) -> Path:
    return build(tmp_path_factory.mktemp("dist"), routes)


@pytest.fixture(scope="module")
def package(dist: Path) -> Path:
    return dist / "package"


@pytest.fixture(scope="module")
def manifest(dist: Path) -> Mapping[str, Any]:
    read: dict[str, Any] = json.loads((dist / "manifest.json").read_text())
    return read


@pytest.fixture(scope="module")
def files(dist: Path) -> dict[PurePosixPath, bytes]:
    """What the archive holds."""
    with ZipFile(dist / "mailroom.zip") as archive:
        return {PurePosixPath(name): archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def packages(files: dict[PurePosixPath, bytes]) -> list[PurePosixPath]:
    return [path.relative_to(SITE_PACKAGES) for path in files if path.is_relative_to(SITE_PACKAGES)]


def test_the_manifest_describes_the_archive(
    dist: Path, manifest: Mapping[str, Any], files: dict[PurePosixPath, bytes]
) -> None:
    packed = (dist / "mailroom.zip").read_bytes()
    assert manifest["archive"] == {"bytes": len(packed), "sha256": hashlib.sha256(packed).hexdigest()}
    found = {str(path): [len(content), hashlib.sha256(content).hexdigest()] for path, content in files.items()}
    assert manifest["content"] == found
    assert set(manifest["functions"]) == FUNCTIONS
    assert len(packed) < 20e6
    assert (manifest["bytes"] < 64e6, manifest["files"] < 5_000) == (True, True)


def test_azd_makes_an_archive_of_the_same_files(package: Path, files: dict[PurePosixPath, bytes]) -> None:
    """By azd's rules: .azure, .funcignore and local.settings.json are out, and what .funcignore names: nothing.

    Azure/azure-dev, cli/azd/pkg/project/project_utils.go, createDeployableZip.
    """
    assert not [line for line in (package / ".funcignore").read_text().splitlines() if not line.startswith("#")]
    found = {path.relative_to(package): path for path in package.rglob("*") if path.is_file()}
    out = {path for path in found if path.name in {".funcignore", "local.settings.json"} or ".azure" in path.parts}
    assert {PurePosixPath(path): found[path].read_bytes() for path in found.keys() - out} == files
    assert {file.stat().st_mode & 0o777 for file in found.values()} == {0o644}


def test_it_holds_the_app_and_its_packages_without_tests_stubs_and_texts(
    files: dict[PurePosixPath, bytes], packages: list[PurePosixPath]
) -> None:
    top = {path.parts[0] for path in files}
    assert top == {
        ".python_packages",
        "__pycache__",
        "docs",
        "function_app.py",
        "host.json",
        "requirements.txt",
        "routes",
        "shared",
    }
    own = {str(path) for path in files if path.parts[0] == "routes"}
    assert own == {"routes/logo.png", "routes/shop/route.toml", "routes/shop/templates/paid.html.j2"}
    assert not [path for path in packages if {"tests", "test", "bin"} & {*path.parts[:-1]}]
    in_packages = [path for path in packages if not path.parts[0].endswith(".dist-info") and path.parts[0] != "tzdata"]
    suffixes = {path.suffix for path in in_packages if not path.name.startswith("LICENSE")}
    assert suffixes <= {".pyc", ".so", ".pem", ".json", ".css", ".js", ".png", ".yaml"}
    assert {path.parts[0] for path in in_packages}.isdisjoint(UNUSED)


def test_nothing_tells_who_installed_it_or_where(
    dist: Path, files: dict[PurePosixPath, bytes], packages: list[PurePosixPath]
) -> None:
    """Installers write the first ones; an index's address could be in them."""
    written = {"INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_cache.json", ".lock"}
    assert not [path for path in packages if path.name in written]
    here = [str(folder).encode() for folder in (dist, ROOT, INSTALLED, Path.home() / ".cache")]
    assert not [path for path, content in files.items() if any(folder in content for folder in here)]


def test_every_package_of_the_lock_is_in_it_with_its_version_and_its_licence(
    package: Path, manifest: Mapping[str, Any], packages: list[PurePosixPath]
) -> None:
    pins = re.findall(r"^([\w.-]+)==(\S+) \\$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    wanted = {name: version for name, version in pins if name not in UNUSED.values()}
    assert {name.lower().replace("_", "-"): version for name, version in manifest["packages"].items()} == wanted
    kept = {path.name for path in packages}
    for each in distributions(path=[str(package / SITE_PACKAGES)]):
        licences = [Path(name).name for name in each.metadata.get_all("License-File", [])]
        assert kept.issuperset(licences), each.name
        assert not (each.read_text("METADATA") or "").partition("\n\n")[2], each.name
    assert f"--python-version {PYTHON} --python-platform {PLATFORM}" in (ROOT / "Makefile").read_text()


def test_everything_is_compiled_and_used_without_comparing_it(files: dict[PurePosixPath, bytes]) -> None:
    assert {content[4:8] for path, content in files.items() if path.suffix == ".pyc"} == {b"\x01\x00\x00\x00"}
    for source in (path for path in files if path.suffix == ".py"):
        assert source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc" in files
        assert not source.is_relative_to(SITE_PACKAGES)


def test_no_module_imports_one_that_was_left_out(packages: list[PurePosixPath]) -> None:
    """Read from the sources, with imports inside functions. For the SDK other rules hold: test_sdk.py."""
    there = {_module(path) for path in packages if path.suffix in {".pyc", ".so"}}
    left_out = {name for name in _locked_modules() - there if name.partition(".")[0] != SDK}
    words = {name.rpartition(".")[2].encode() for name in left_out}  # one of them is in every import of such a module
    wrong = set()
    for path in (path for path in packages if path.suffix == ".pyc" and path.parts[0] != SDK):
        package = _module(path) if path.stem == "__init__" else _module(path).rpartition(".")[0]
        source = (INSTALLED / path.with_suffix(".py")).read_bytes()
        for node in nodes(ast.parse(source)) if words & set(re.findall(rb"\w+", source)) else ():
            if isinstance(node, ast.Import | ast.ImportFrom):
                wrong |= {(_module(path), name) for name in imported(node, package) if name in left_out}
    assert left_out
    assert wrong == set()


def _locked_modules() -> set[str]:
    """Every module of the packages that are locked for Azure, deployed or not, as they are installed here."""
    names = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    files = (PurePosixPath(file) for name in names for file in distribution(name).files or ())
    return {_module(file) for file in files if file.suffix in {".py", ".so"} and file.parts[0] != ".."}


def _module(path: PurePosixPath) -> str:
    name = path.with_name(path.name.partition(".")[0])
    return ".".join((name.parent if name.name == "__init__" else name).parts)


@like_azure
def test_entry_points_are_found_in_it(package: Path, tmp_path: Path) -> None:
    """opentelemetry, on which the SDK depends, finds its parts by them."""
    look = "from importlib.metadata import entry_points, version; print(version('msgraph-sdk'))"
    load = "[each.load() for each in entry_points(group='opentelemetry_context')]"
    line, environment = alone(package, (sys.executable, "-c", f"{look}; print(len({load}))"), {}, tmp_path)
    result = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"1\.\d+\.\d+\n1\n", result.stdout)


@pytest.fixture(scope="module")
def sandbox(package: Path) -> Iterator[Sandbox]:
    quick = {"MAIL_SEND_TIMEOUT": "2", "MAIL_LEASE_MARGIN": "1", "MAIL_VERIFY_DELAYS": "0.5 1 2"}
    with running("--without", "mail", "--app", str(package), **quick) as started:
        yield started


@like_azure
def test_alone_it_sends_verifies_and_turns_events_into_mails(sandbox: Sandbox) -> None:
    answer = sandbox.send(titled("from the package"))
    assert answer.status_code == 202, answer.text
    assert "from the package" in sandbox.subjects()
    sandbox.fault(kind="lost", count=1)
    assert sandbox.send(titled("lost answer") | {"saveToSentItems": "true"}).status_code == 202
    sandbox.arrives("lost answer")
    event = {"route": "shop", "id": "1", "type": "paid", "data": {"n": 7}}
    sandbox.put("mail-events", json.dumps(event))
    with sandbox.carried():
        pass
    assert "Paid: 7" in sandbox.subjects()


def test_built_again_elsewhere_it_is_the_same_to_the_byte(dist: Path, routes: Path, tmp_path: Path) -> None:
    again = build(tmp_path / "somewhere" / "else", routes, PYTHONHASHSEED="1", TZ="Asia/Tokyo", LC_ALL="C")
    assert (again / "mailroom.zip").read_bytes() == (dist / "mailroom.zip").read_bytes()
    assert (again / "manifest.json").read_bytes() == (dist / "manifest.json").read_bytes()
