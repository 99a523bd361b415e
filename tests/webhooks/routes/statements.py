"""The table of what mails state and what proves it: statements.tsv, beside this file."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Statement:
    """A row of the table; its head says what the columns are."""

    kinds: str
    said: str
    proof: str


def read_statements() -> tuple[Statement, ...]:
    lines = (Path(__file__).parent / "statements.tsv").read_text("utf-8").splitlines()
    return tuple(Statement(*line.split("\t")) for line in lines if line and not line.startswith("#"))
