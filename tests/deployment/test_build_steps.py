"""The steps of building a package, each alone: which files, their names, bytecode, extension modules, the archive."""

import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

from deployment import DeploymentError, archive
from deployment.dependencies import without_debugging
from deployment.package import check_names, deployed, isolated, packed_routes
from tests.infra.deployed import ROOT

INSTALLED = Path(sysconfig.get_path("purelib"))


# Which files of the checkout


def test_the_app_and_nothing_else_is_deployed() -> None:
    """Not even a stray pattern leaves out a module or a route."""
    paths = list(deployed(ROOT))
    assert {path.parts[0] for path in paths} == {"docs", "function_app.py", "host.json", "requirements.txt", "shared"}
    assert [str(path) for path in paths if path.parts[0] == "docs"] == ["docs/openapi.json"]
    assert not [path for path in paths if {"examples", "__pycache__"}.intersection(path.parts)]
    routes = ROOT / "shared" / "webhooks" / "routes"
    wanted = {*ROOT.glob("shared/**/*.py"), *routes.glob("**/*.j2"), *routes.glob("*/*.toml")}
    assert wanted <= {ROOT / path for path in paths}


@pytest.mark.skipif(not shutil.which("git"), reason="git is missing: install git")
def test_funcignore_is_read_as_git_reads_gitignore(tmp_path: Path) -> None:
    paths = [
        "function_app.py", "host.json", "requirements.txt", "README.md", "Makefile", "LICENSE", "azure.yaml",
        "local.settings.json", "local.settings.example.json", ".env", ".github/workflows/ci.yml", ".venv/lib/x.py",
        "dist/mailroom.zip", "deployment/package.py", "infra/main.bicep", "scripts/x.ps1", "tests/test_x.py",
        "sandbox/host/x.py", "docs/x.md", "docs/x/y.md", "docs/openapi.json",
        "shared/settings/config.py", "shared/__pycache__/config.cpython-313.pyc", "shared/.DS_Store",
        "shared/dist/x.py", "shared/README.md", "shared/tests/x.py", "shared/webhooks/routes/own/examples/a.json",
        "shared/webhooks/routes/own/route.toml",
        "shared/webhooks/routes/own/templates/examples/a.html.j2", ".python_packages/lib/site-packages/x.py",
    ]  # fmt: skip
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    shutil.copy(ROOT / ".funcignore", tmp_path)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    shutil.copy(ROOT / ".funcignore", tmp_path / ".git/info/exclude")
    listed = subprocess.run(
        ["git", "-C", tmp_path, "-c", "core.excludesFile=/dev/null", "ls-files", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert sorted(path.as_posix() for path in deployed(tmp_path)) == sorted(listed)
    assert "shared/settings/config.py" in listed


# Their names


@pytest.mark.parametrize(
    ("own", "brought", "why"),
    [
        ("host.json", "shared/__init__.pyc", "brings a module 'shared'"),
        ("host.json", "shared/deep/module.py", "brings a module 'shared'"),
        ("host.json", "shared.py", "brings a module 'shared'"),
        ("host.json", "shared.cpython-313-x86_64-linux-gnu.so", "brings a module 'shared'"),
        ("queue/__init__.py", "aiohttp/client.pyc", "Python itself has a module 'queue'"),
        ("host.json", "azure/functions/shared.py", None),
        ("host.json", "shared-1.0.dist-info/METADATA", None),
        ("host.json", "host.json", None),
    ],
)
def test_a_name_that_would_find_another_module_in_azure_is_refused(own: str, brought: str, why: str | None) -> None:
    ours = [Path("function_app.py"), Path("shared/settings/config.py"), Path(own)]
    if why is None:
        check_names(ours, [Path(brought)])
        return
    with pytest.raises(DeploymentError, match=why):
        check_names(ours, [Path("aiohttp/client.pyc"), Path(brought)])


# Bytecode

SOURCE = '''"""A module."""
NAMES = frozenset({"b", "a", "self", "x"})


def fail(self, x="shared"):
    raise ValueError(f"{x} {sorted(NAMES)}")
'''
BESIDE = "__pycache__/beside.cpython-313.pyc"


def compiled(folder: Path) -> Path:
    (folder / "shared").mkdir(parents=True)
    for name in ("alone", "beside"):
        (folder / "shared" / f"{name}.py").write_text(SOURCE)
    isolated("compile", root=str(folder), in_place=["shared/alone.py"], beside=["shared/beside.py"])
    return folder / "shared"


def test_bytecode_is_the_same_anywhere_and_used_without_comparing_it_with_the_source(tmp_path: Path) -> None:
    """PEP 552: the lowest bit of the flags says that the file goes by a hash, the next that the hash is checked."""
    first, second = compiled(tmp_path / "a"), compiled(tmp_path / "a" / "much" / "deeper")
    for name in ("alone.pyc", BESIDE):
        assert (first / name).read_bytes() == (second / name).read_bytes()
        assert (first / name).read_bytes()[4:8] == b"\x01\x00\x00\x00"
        assert str(tmp_path).encode() not in (first / name).read_bytes()
    assert not (first / "alone.py").exists()
    program = (
        "import alone, beside, traceback\nfor one in alone, beside:\n"
        " try: one.fail(0)\n except ValueError: traceback.print_exc()"
    )
    result = subprocess.run(
        [sys.executable, "-B", "-c", program], cwd=first, capture_output=True, text=True, check=True
    )
    assert 'File "shared/alone.py", line 6, in fail\nValueError' in result.stderr
    assert 'beside.py", line 6, in fail\n    raise ValueError(f' in result.stderr
    (second / "beside.py").write_text("raise SystemExit('compiled anew')")
    os.utime(second / "beside.py", (1, 1))
    subprocess.run([sys.executable, "-B", "-c", "import beside; beside.NAMES"], cwd=second, check=True)


def test_a_source_that_does_not_compile_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.py").write_text("def :\n")
    with pytest.raises(DeploymentError, match=r"'compile' of deployment/isolated\.py failed"):
        isolated("compile", root=str(tmp_path), in_place=[], beside=["bad.py"])
    assert "bad.py" in capfd.readouterr().err


# Extension modules


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="extension modules here are not ELF files"
)
def test_an_extension_module_without_debugging_data_is_smaller_and_works(tmp_path: Path) -> None:
    """The wheel of this one comes with debugging sections. Loaded sections are never cut off."""
    [file] = INSTALLED.glob("multidict/_multidict.*.so")
    before = file.read_bytes()
    after = without_debugging(before)
    assert len(after) < len(before) / 2
    assert without_debugging(after) == after
    (tmp_path / "_multidict.so").write_bytes(after)
    program = "import _multidict; print(_multidict.__file__); print(_multidict.CIMultiDict(A='1')['a'])"
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [str(tmp_path / "_multidict.so"), "1"]
    odd = bytearray(before)
    table, count = int.from_bytes(odd[40:48], "little"), int.from_bytes(odd[60:62], "little")
    odd[table + (count - 1) * 64 + 8] |= 2  # the last section, after all others, says that it is loaded
    assert without_debugging(bytes(odd)) == bytes(odd)


@pytest.mark.parametrize("content", [b"", b"MZ\x90", b"\x7fELF\x01\x01" + bytes(100), b"\x7fELF\x02\x02" + bytes(100)])
def test_a_file_of_another_kind_stays_as_it_is(content: bytes) -> None:
    assert without_debugging(content) == content


# The archive

FILES = {"function_app.py": b"x = 1\n", "shared/a.py": b"", "shared/b/c.bin": bytes(range(256)) * 100}


def packed(folder: Path, *, backwards: bool = False) -> dict[str, object]:
    """Write FILES into a folder, and pack it; returns the manifest."""
    for name, content in sorted(FILES.items(), reverse=backwards):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "function_app.py").chmod(0o755 if backwards else 0o644)
    os.utime(folder / "function_app.py", (2e9, 2e9) if backwards else None)
    contents = list(archive.read(folder))
    archive.write(folder, contents, folder.with_suffix(".zip"))
    return archive.manifest(folder.with_suffix(".zip"), contents, ["health"], {"aiohttp": "3.14.5"}, mailroom="0.1.0")


def test_an_archive_depends_on_names_and_contents_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    first, second = tmp_path / "one", tmp_path / "elsewhere" / "two"
    assert packed(first) == packed(second, backwards=True)
    assert first.with_suffix(".zip").read_bytes() == second.with_suffix(".zip").read_bytes()
    with ZipFile(first.with_suffix(".zip")) as made:
        assert {name: made.read(name) for name in made.namelist()} == FILES
        assert made.namelist() == sorted(FILES)
        assert {entry.external_attr >> 16 for entry in made.infolist()} == {0o100644}
    found = [each.path for each in archive.read(first, leave_out=["shared/a.py"])]
    assert found == ["function_app.py", "shared/b/c.bin"]


def test_the_manifest_describes_the_package_and_its_digest_tells_packages_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = packed(tmp_path / "package")
    archive.write_manifest(made, tmp_path / "manifest.json")
    read = json.loads((tmp_path / "manifest.json").read_text())
    assert read == made
    assert read["content"]["shared/b/c.bin"][0] == 25600
    assert (read["files"], read["bytes"]) == (3, 25606)
    assert (read["functions"], read["packages"]) == (["health"], {"aiohttp": "3.14.5"})
    monkeypatch.setitem(FILES, "shared/a.py", b"#")
    assert packed(tmp_path / "package")["digest"] != made["digest"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, "has no routes"), ("source = key", r"shop/route\.toml:1: no TOML"), ("", "shop/route.toml:1: the entry")],
)
def test_routes_that_cannot_be_used_are_not_packed(tmp_path: Path, text: str | None, expected: str) -> None:
    if text is not None:
        (tmp_path / "shop").mkdir()
        (tmp_path / "shop" / "route.toml").write_text(text)
    with pytest.raises(DeploymentError, match=expected):
        list(packed_routes(tmp_path))
