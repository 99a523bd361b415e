"""`python -m sandbox.route_checks`, what `make check-routes` calls: everything that can be known about routes before
an event comes.

Faults of route.toml and templates, examples that no longer become the mail beside them, and, as warnings, rules and
templates that no event reaches. Each is one line, `error: <file>:<line>: <text>`; GitHub Actions and Azure Pipelines
get it as they show it beside the file. Exit status: 0 no error, 1 an error, 2 there is no such folder.
"""

import argparse
import difflib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sandbox.examples import Example, ExampleMail, Studio, examples_of, expected_text
from sandbox.unreachable import unreachable
from shared.errors import Refused
from shared.webhooks.routing.catalog import Catalog, load, template_faults
from shared.webhooks.routing.route import Route, RouteUnusable

PLACE: Final = re.compile(r"(?P<file>[^\n]+?):(?P<line>\d+): (?P<text>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Finding:
    """text: with file and line before it, where they are known."""

    kind: Literal["error", "warning"]
    text: str

    def told(self, environment: Mapping[str, str]) -> str:
        """A line of a log, as this CI reads it."""
        found = PLACE.fullmatch(self.text)
        if found and environment.get("GITHUB_ACTIONS"):
            text = found["text"].replace("%", "%25").replace("\n", "%0A")
            return f"::{self.kind} file={found['file']},line={found['line']}::{text}"
        if found and environment.get("TF_BUILD"):
            place = f"type={self.kind};sourcepath={found['file']};linenumber={found['line']}"
            return f"##vso[task.logissue {place}]{found['text'].splitlines()[0]}"
        return f"{self.kind}: {self.text}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is found, and a summary. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.route_checks", description="Check routes.")
    parser.add_argument("--routes", type=Path, metavar="FOLDER", help="your own; without it the ready ones")
    folder = parser.parse_args(arguments).routes
    if folder is not None and not folder.is_dir():
        print(f"check-routes: there is no folder {folder}", file=sys.stderr)
        return 2
    catalog, studio = load(folder), Studio()
    names = names_of(catalog, folder)
    found = [*faults_of(catalog, studio, names), *compared(catalog, studio, names)]
    for finding in found:
        print(finding.told(os.environ))
    errors = sum(finding.kind == "error" for finding in found)
    print(f"{len(names)} routes: {errors} errors, {len(found) - errors} warnings")
    return 1 if errors else 0


def names_of(catalog: Catalog, folder: Path | None) -> list[str]:
    """The routes in this folder; without one, all."""
    if folder is None:
        return sorted({*catalog.routes, *catalog.problems})
    own = [name for name, route in catalog.routes.items() if route.folder.parent == folder]
    return sorted({*own, *catalog.problems})


def faults_of(catalog: Catalog, studio: Studio, names: Sequence[str]) -> Iterator[Finding]:
    """What is wrong with the files of these routes, and what no event reaches."""
    for name in names:
        if name in catalog.problems:
            yield Finding("error", catalog.problems[name])
            continue
        route = catalog.routes[name]
        yield from (Finding("error", fault) for fault in template_faults(route, studio.renderer))
        yield from (Finding("warning", text) for text in unreachable(route))


def compared(catalog: Catalog, studio: Studio, names: Sequence[str]) -> Iterator[Finding]:
    """Examples that fail, or become another mail than the one that is written beside them."""
    for route, example in examples_of(catalog):
        if route.name not in names:
            continue
        mails = mails_or_fault(studio, route, example)
        if isinstance(mails, str):
            yield Finding("error", mails)
            continue
        failures = [mail.failure for mail in mails if mail.failure]
        yield from (Finding("error", f"{failure} (example {example.name})") for failure in failures)
        if not failures and (difference := different(example, mails)):
            yield Finding("error", difference)


def mails_or_fault(studio: Studio, route: Route, example: Example) -> list[ExampleMail] | str:
    """The mails of an example, or why there are none."""
    try:
        return studio.mails(route, example)
    except (ValueError, Refused, RouteUnusable) as error:
        return str(error) if str(error).startswith(str(example.file)) else f"{example.file}:1: {error}"


def different(example: Example, mails: list[ExampleMail]) -> str | None:
    """Where an example's mail differs from the one that is written beside it."""
    if not example.expected.exists():
        return f"{example.file}:1: There is no {example.expected.name} beside it; make preview ARGS=--write writes it."
    before, now = example.expected.read_text("utf-8").splitlines(), expected_text(mails).splitlines()
    for tag, begin, end, start, stop in difflib.SequenceMatcher(None, before, now, autojunk=False).get_opcodes():
        if tag != "equal":
            found, expected = " / ".join(now[start:stop]), " / ".join(before[begin:end])
            return f"{example.expected}:{begin + 1}: found {found!r}; expected {expected!r}"
    return None


if __name__ == "__main__":
    sys.exit(main())
