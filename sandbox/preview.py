"""`python -m sandbox.preview`, what `make preview` calls: the examples of routes as mails, to look at.

One example: its HTML in a file, and the JSON that Graph would get on standard output. Several: one page with all.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

import msgspec
from kiota_serialization_json.json_serialization_writer import JsonSerializationWriter

from sandbox.examples import Example, ExampleMail, Studio, examples_of, expected_text
from sandbox.options import ROOT
from shared.errors import Refused
from shared.mail.marker import with_marker
from shared.mail.outgoing import OutgoingMail
from shared.mail.sdk_message import send_mail_body
from shared.mail.threading import threaded
from shared.webhooks.routing.catalog import load
from shared.webhooks.routing.compose import templates_of
from shared.webhooks.routing.route import Route, RouteUnusable

OUT: Final = ROOT / ".preview"
HEAD: Final = """\
<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Mails of all examples</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>
:root { color-scheme: light } body { margin: 24px; font: 14px/1.5 system-ui, sans-serif; background: #e7eaee }
section { margin: 0 0 48px } h2 { margin: 0; font-size: 16px } dl { margin: 4px 0 10px; color: #444c56 }
dt { float: left; clear: left; width: 90px } dd { margin: 0 0 0 90px } .failed { color: #a31515; font-weight: 600 }
.frames { display: flex; gap: 24px; align-items: start } iframe { border: 1px solid #b8c0c9; background: Canvas }
.dark iframe { color-scheme: dark } button { position: fixed; top: 12px; right: 16px }
</style></head><body><button onclick="document.body.classList.toggle('dark')">light / dark</button>
"""
FOOT: Final = """
<script>
const fit = frame => frame.height = frame.contentDocument.documentElement.scrollHeight + 4
for (const frame of document.querySelectorAll("iframe")) { frame.onload = () => fit(frame); fit(frame) }
</script></body></html>
"""
# Frames run no scripts; of the same origin only so that the page can see how tall they are.
FRAME: Final = '<iframe sandbox="allow-same-origin" width="{width}" height="900" srcdoc="{html}"></iframe>'


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
    problems = [why for name, why in catalog.problems.items() if options.route in (None, name)]
    problems += [catalog.missing] if catalog.missing else []
    for name, route in catalog.routes.items():
        if options.route in (None, name):
            problems += [str(problem) for problem in studio.renderer.check(templates_of(route))]
    chosen = [
        (route, example)
        for route, example in examples_of(catalog)
        if options.route in (None, route.name) and options.event in (None, example.name)
    ]
    done: list[tuple[Route, Example, list[ExampleMail]]] = []
    for route, example in chosen:
        try:
            mails = studio.mails(route, example)
            done.append((route, example, mails))
            if options.write:
                example.expected.write_text(expected_text(mails), "utf-8")
        except (ValueError, Refused, RouteUnusable) as error:
            problems.append(f"{example.file}: {error}")
    failures = [(example, mail.rendered.failed) for _, example, mails in done for mail in mails if mail.rendered.failed]
    problems += [f"{example.file}: {why}" for example, why in failures]
    for problem in problems:
        print(problem, file=sys.stderr)
    if not chosen:
        print("There is no such example; they are in shared/webhooks/routes/<route>/examples/.", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    if options.event and len(done) == 1:
        _show(options.out, *done[0])
    else:
        page = options.out / "index.html"
        page.write_text(HEAD + "\n".join(_sections(*one) for one in done) + FOOT, "utf-8")
        print(page)
    return 1 if problems else 0


def graph_body(outgoing: OutgoingMail) -> bytes:
    """The JSON that goes to Graph, as the SDK writes it."""
    mail = threaded(outgoing)
    writer = JsonSerializationWriter()
    writer.write_object_value(
        None, send_mail_body(msgspec.structs.replace(mail, message=with_marker(mail.message, outgoing.id)))
    )
    return writer.get_serialized_content()


def _show(out: Path, route: Route, example: Example, mails: list[ExampleMail]) -> None:
    for number, mail in enumerate(mails, 1):
        file = out / f"{route.name}-{example.name}{f'-{number}' if number > 1 else ''}.html"
        file.write_text(mail.rendered.html, "utf-8")
        print(json.dumps(json.loads(graph_body(mail.mail)), indent=2, ensure_ascii=False))
        print(file, file=sys.stderr)
    if not mails:
        print("Filtered: no mail.", file=sys.stderr)


def _sections(route: Route, example: Example, mails: list[ExampleMail]) -> str:
    title = escape(f"{route.name} / {example.name}")
    if not mails:
        return f"<section><h2>{title}</h2><dl><dt>Filtered</dt><dd>no mail</dd></dl></section>"
    return "\n".join(_section(title, mail) for mail in mails)


def _section(title: str, mail: ExampleMail) -> str:
    importance = mail.mail.request.message.importance
    head = {
        "Subject": mail.rendered.subject,
        "To": mail.to,
        "Importance": importance.value if importance else None,
        "Thread": mail.mail.thread,
        "Template": f"{mail.rendered.template}, {len(mail.rendered.html.encode()) / 1024:.1f} KB",
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in head.items() if value)
    failed = f'<p class="failed">{escape(mail.rendered.failed)}</p>' if mail.rendered.failed else ""
    frames = "".join(FRAME.format(width=width, html=escape(mail.rendered.html)) for width in (700, 390))
    return f'<section><h2>{title}</h2><dl>{rows}</dl>{failed}<div class="frames">{frames}</div></section>'


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
    parser.add_argument("--out", type=Path, metavar="FOLDER", default=OUT, help=f"where the HTML goes ({OUT.name})")
    parser.add_argument("--write", action="store_true", help="write the expected mail beside each example anew")
    given = parser.parse_args(arguments)
    return PreviewOptions(given.route, given.event, given.routes, given.out, given.write)


if __name__ == "__main__":
    sys.exit(main())
