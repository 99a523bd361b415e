"""The list of planted faults, faults.toml, and how one of them is put into a copy of the project."""

from pathlib import Path
from typing import Final

import msgspec

__all__ = ["LIST", "ROOT", "Fault", "Faults", "NotPlanted", "faults", "planted"]

ROOT: Final = Path(__file__).parents[2]
LIST: Final = Path(__file__).with_name("faults.toml")


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mistake that somebody could make.

    breaks: what a user would notice. old: text that occurs exactly once in `file`; new: what it becomes. tests: files
    and node ids of which at least one has to fail; few and fast.
    """

    name: str
    breaks: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """count: how many faults there are. Whoever adds one raises it; it never gets smaller."""

    count: int
    fault: tuple[Fault, ...]


class NotPlanted(Exception):  # noqa: N818 - the state of the list, not of this program
    """A fault does not fit the project any more. The text says what was found in which file."""


def faults(path: Path = LIST) -> Faults:
    """Read the list. Raises msgspec.ValidationError."""
    return msgspec.toml.decode(path.read_text("utf-8"), type=Faults)


def planted(fault: Fault, root: Path = ROOT) -> str:
    """The text of the fault's file with the fault in it. Raises NotPlanted."""
    file = root / fault.file
    if not file.is_file():
        raise NotPlanted(f"{fault.file} does not exist.")
    text = file.read_text("utf-8")
    times = text.count(fault.old)
    if times != 1:
        raise NotPlanted(f"Found `old` {times} times in {fault.file}, expected once.")
    return text.replace(fault.old, fault.new)
