"""The same files give the same package, and the manifest says which."""

import json
import os
from pathlib import Path
from zipfile import ZipFile

from deployment import archive

FILES = {"function_app.py": b"x = 1\n", "shared/a.py": b"", "shared/b/c.bin": bytes(range(256)) * 100}


def unpacked(folder: Path, *, backwards: bool = False) -> Path:
    for name, content in sorted(FILES.items(), reverse=backwards):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_neither_time_nor_mode_nor_order_of_making_shows(tmp_path: Path) -> None:
    first, second = unpacked(tmp_path / "one"), unpacked(tmp_path / "elsewhere" / "two", backwards=True)
    (second / "function_app.py").chmod(0o755)
    os.utime(second / "function_app.py", (2e9, 2e9))
    for folder in (first, second):
        archive.write(folder, list(archive.read(folder)), folder.with_suffix(".zip"))
    assert first.with_suffix(".zip").read_bytes() == second.with_suffix(".zip").read_bytes()


def test_the_archive_holds_every_file_readable_for_all(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "package")
    archive.write(folder, list(archive.read(folder)), tmp_path / "made.zip")
    with ZipFile(tmp_path / "made.zip") as made:
        assert {name: made.read(name) for name in made.namelist()} == FILES
        assert made.namelist() == sorted(FILES)
        assert {entry.external_attr >> 16 for entry in made.infolist()} == {0o100644}


def test_what_is_left_out_is_in_neither(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "package")
    assert [each.path for each in archive.read(folder, leave_out=["shared/a.py"])] == [
        "function_app.py", "shared/b/c.bin"
    ]  # fmt: skip


def described(folder: Path) -> dict[str, object]:
    contents = list(archive.read(folder))
    archive.write(folder, contents, folder.with_suffix(".zip"))
    return archive.manifest(folder.with_suffix(".zip"), contents, ["health"], {"aiohttp": "3.14.5"}, mailroom="0.1.0")


def test_the_manifest_is_json_and_says_what_is_in_the_package(tmp_path: Path) -> None:
    made = described(unpacked(tmp_path / "package"))
    archive.write_manifest(made, tmp_path / "manifest.json")
    read = json.loads((tmp_path / "manifest.json").read_text())
    assert read == made
    assert read["content"]["shared/b/c.bin"][0] == 25600
    assert (read["files"], read["bytes"]) == (3, 25606)
    assert read["functions"] == ["health"]
    assert read["packages"] == {"aiohttp": "3.14.5"}


def test_the_digest_tells_packages_apart_and_not_their_compression(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "package")
    first = described(folder)
    assert described(folder)["digest"] == first["digest"]
    (folder / "shared/a.py").write_bytes(b"#")
    assert described(folder)["digest"] != first["digest"]
