"""`python -m sandbox.preview`, what `make preview` calls: the examples of routes as mails, to look at.

Each mail is a file of HTML, and index.html lists them all and shows one, light, dark and on a phone. Of one example it
also prints the JSON that Graph would get.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from kiota_serialization_json.json_serialization_writer import JsonSerializationWriter

from sandbox.examples import Example, ExampleMail, Studio, examples_of, expected_text
from sandbox.options import ROOT
from sandbox.route_checks import Finding, faults_of, mails_or_fault, names_of
from shared.mail.marker import with_marker
from shared.mail.outgoing import OutgoingMail
from shared.mail.sdk_message import send_mail_body
from shared.mail.threading import threaded
from shared.webhooks.routing.catalog import BUILT_IN, load
from shared.webhooks.routing.route import Route

OUT: Final = ROOT / ".preview"
INDEX: Final = Path(__file__).with_name("preview.html")


@dataclass(frozen=True, slots=True)
class PreviewOptions:
    """route and event: names, or None for all. routes: a folder as MAIL_ROUTES_DIR has it."""

    route: str | None
    event: str | None
    routes: Path | None
    out: Path
    write: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 all is well, 1 a route, a template or an example is wrong, 2 there is no such example."""
    options = _parsed(arguments)
    catalog, studio = load(options.routes), Studio()
    if catalog.missing:
        print(catalog.missing, file=sys.stderr)
        return 2
    names = [options.route] if options.route else names_of(catalog, options.routes)
    known = [name for name in names if name in catalog.routes or name in catalog.problems]
    found = list(faults_of(catalog, studio, known))
    chosen = [
        (route, example)
        for route, example in examples_of(catalog)
        if route.name in names and options.event in (None, example.name)
    ]
    done: list[tuple[Route, Example, list[ExampleMail]]] = []
    for route, example in chosen:
        mails = mails_or_fault(studio, route, example)
        if isinstance(mails, str):
            found.append(Finding("error", mails))
            continue
        done.append((route, example, mails))
        found += [Finding("error", f"{mail.failure} (example {example.name})") for mail in mails if mail.failure]
        if options.write:
            example.expected.write_text(expected_text(mails), "utf-8")
    for finding in found:
        print(finding.told({}), file=sys.stderr)
    if not chosen:
        folder = (options.routes or BUILT_IN) / (options.route or "<route>") / "examples"
        print(f"There is no such example: expected {folder / (options.event or '<what>')}.json", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    shown = [entry for one in done for entry in _entries(options.out, *one)]
    if options.event and len(done) == 1:
        for mail in done[0][2]:
            print(json.dumps(json.loads(graph_body(mail.mail)), indent=2, ensure_ascii=False))
    page = options.out / "index.html"
    listed = json.dumps(shown, ensure_ascii=False).replace("<", "\\u003c")
    page.write_text(INDEX.read_text("utf-8").replace("MAILS", listed), "utf-8")
    print(page, file=sys.stderr if options.event else sys.stdout)
    return 1 if any(finding.kind == "error" for finding in found) else 0


def graph_body(outgoing: OutgoingMail) -> bytes:
    """The JSON that goes to Graph, as the SDK writes it."""
    mail = threaded(outgoing)
    writer = JsonSerializationWriter()
    writer.write_object_value(
        None, send_mail_body(msgspec.structs.replace(mail, message=with_marker(mail.message, outgoing.id)))
    )
    return writer.get_serialized_content()


def _entries(out: Path, route: Route, example: Example, mails: list[ExampleMail]) -> list[dict[str, Any]]:
    """Write each mail of an example into a file of its own, and describe it for the page."""
    entries = []
    for number, mail in enumerate(mails, 1):
        name = re.sub(r"[^\w.-]", "-", f"{route.name}-{example.name}{f'-{number}' if number > 1 else ''}.html")
        (out / name).write_text(mail.rendered.html, "utf-8")
        importance = mail.mail.request.message.importance
        entries.append(
            {
                "route": route.name,
                "example": example.name,
                "file": name,
                "Subject": mail.rendered.subject,
                "Preheader": mail.rendered.preheader,
                "To": mail.to,
                "Importance": importance.value if importance else "",
                "Thread": mail.mail.thread or "",
                "Template": f"{mail.rendered.template}, {len(mail.rendered.html.encode()) / 1024:.1f} KB",
                "Failed": mail.failure or "",
            }
        )
    return entries or [{"route": route.name, "example": example.name, "Subject": "Filtered: no mail"}]


def _parsed(arguments: Sequence[str] | None) -> PreviewOptions:
    parser = argparse.ArgumentParser(prog="python -m sandbox.preview", description=__doc__, allow_abbrev=False)
    own = os.environ.get("MAIL_ROUTES_DIR", "").strip()
    parser.add_argument("--route", metavar="NAME", help="the examples of this route only")
    parser.add_argument("--event", metavar="EXAMPLE", help="this example only, by its file's name without .json")
    parser.add_argument(
        "--routes",
        type=Path,
        metavar="FOLDER",
        default=Path(own) if own else None,
        help="routes of your own (MAIL_ROUTES_DIR)",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", default=OUT, help="where the HTML goes (.preview)")
    parser.add_argument("--write", action="store_true", help="write the expected mail beside each example anew")
    given = parser.parse_args(arguments)
    return PreviewOptions(given.route, given.event, given.routes, given.out, given.write)


if __name__ == "__main__":
    sys.exit(main())
