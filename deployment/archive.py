"""The package as a zip file, and the manifest that describes it.

The same files give the same bytes: they are sorted by name, and times, modes and the creating system are constants.
(Another implementation of zlib may compress differently; the content stays the same, and so does its digest.)
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

UNPACKED, ARCHIVE, MANIFEST = "package", "mailroom.zip", "manifest.json"
"""What `make package` puts into dist/."""

_EARLIEST = (1980, 1, 1, 0, 0, 0)  # a zip file knows no time before
_UNIX = 3
_MODE = 0o100644 << 16


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """One file: its path in the package, its size in bytes, its SHA-256 in hex."""

    path: str
    bytes: int
    sha256: str


def read(folder: Path, leave_out: Iterable[str] = ()) -> Iterator[PackagedFile]:
    """The files of an unpacked package, sorted by their paths."""
    left_out = set(leave_out)
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name in sorted(paths.keys() - left_out):
        content = paths[name].read_bytes()
        yield PackagedFile(name, len(content), hashlib.sha256(content).hexdigest())


def write(folder: Path, contents: Sequence[PackagedFile], archive: Path) -> None:
    """Write a zip file of `contents`, which are in `folder`."""
    with ZipFile(archive, "w", ZIP_DEFLATED, compresslevel=9) as zipped:
        for content in contents:
            entry = ZipInfo(content.path, _EARLIEST)
            entry.create_system, entry.external_attr, entry.compress_type = _UNIX, _MODE, ZIP_DEFLATED
            zipped.writestr(entry, (folder / content.path).read_bytes())


def manifest(
    archive: Path, contents: Sequence[PackagedFile], functions: Sequence[str], packages: Mapping[str, str], **more: str
) -> dict[str, Any]:
    """A description of the package: a digest of its contents, its functions, packages with versions, and files."""
    lines = "".join(f"{each.sha256}  {each.path}\n" for each in contents)
    packed = archive.read_bytes()
    return {
        **more,
        "digest": hashlib.sha256(lines.encode()).hexdigest(),
        "archive": {"bytes": len(packed), "sha256": hashlib.sha256(packed).hexdigest()},
        "files": len(contents),
        "bytes": sum(each.bytes for each in contents),
        "functions": list(functions),
        "packages": dict(packages),
        "content": {each.path: [each.bytes, each.sha256] for each in contents},
    }


def write_manifest(described: Mapping[str, Any], file: Path) -> None:
    """Write a manifest as JSON, a line for each file of the package, so that two can be compared with diff."""
    head = json.dumps({name: value for name, value in described.items() if name != "content"}, indent=2)
    content = ",\n".join(f"    {json.dumps(path)}: {json.dumps(facts)}" for path, facts in described["content"].items())
    file.write_text(f'{head.removesuffix("\n}")},\n  "content": {{\n{content}\n  }}\n}}\n', encoding="utf-8")
