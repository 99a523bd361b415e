"""The examples of routes, and the mail that each of them becomes.

An example is `examples/<what>.json` in a route's folder: `{"headers": {…}, "query": {…}, "body": <JSON>}`, a request as
the sender makes it, without its proof. Beside it, `<what>.txt` is the mail that it must become. The clock stands still,
and there are no settings but a sender and a recipient, so that nothing changes but the mail.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from traceback import walk_tb
from typing import Final

from shared.mail.outgoing import OutgoingMail
from shared.settings.config import read
from shared.webhooks.rendering.mails import Rendered, Renderer
from shared.webhooks.rendering.plain_text import text_of
from shared.webhooks.routing.catalog import BUILT_IN, Catalog
from shared.webhooks.routing.compose import Composer
from shared.webhooks.routing.route import Route
from shared.webhooks.sources.source import RawRequest

NOW: Final = datetime(2026, 11, 22, 10, tzinfo=UTC)
ENVIRONMENT: Final = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "MAIL_SENDER": "mailroom@example.com",
    "MAIL_TO": "ops@example.com",
    "MAIL_ALLOWED_SENDERS": "*",
}
BETWEEN: Final = "\n\n" + "=" * 40 + "\n\n"  # mails of one request


@dataclass(frozen=True, slots=True, order=True)
class Example:
    """file: the request, `….json`."""

    file: Path

    @property
    def name(self) -> str:
        return self.file.stem

    @property
    def expected(self) -> Path:
        """The mail that it must become."""
        return self.file.with_suffix(".txt")

    def request(self) -> RawRequest:
        """As it would arrive over HTTP. Raises ValueError where the file has another shape."""
        try:
            written = json.loads(self.file.read_text("utf-8"))
            body = json.dumps(written["body"], ensure_ascii=False).encode()
            headers = {"content-type": "application/json"}
            headers |= {name.lower(): str(value) for name, value in written.get("headers", {}).items()}
            query = {name: str(value) for name, value in written.get("query", {}).items()}
        except json.JSONDecodeError as error:
            raise ValueError(f"{self.file}:{error.lineno}: no JSON: {error.msg} in column {error.colno}.") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            text = 'expected {"headers": {…}, "query": {…}, "body": <the payload>}'
            raise ValueError(f"{self.file}:1: {text} ({type(error).__name__}).") from error
        return RawRequest(body=body, headers=headers, query=query)


@dataclass(frozen=True, slots=True)
class ExampleMail:
    """A mail, and what its template made of the event. failure: why that was not used, with the template's file."""

    mail: OutgoingMail
    rendered: Rendered
    failure: str | None = None

    @property
    def to(self) -> str:
        people = self.mail.request.message.to_recipients or ()
        return ", ".join(person.email_address.address for person in people)

    def text(self) -> str:
        """Its text, with the head that its readers see."""
        importance = self.mail.request.message.importance
        head = {
            "Subject": self.rendered.subject,
            "Preheader": self.rendered.preheader,
            "To": self.to,
            "Importance": importance.value if importance and importance.value != "normal" else None,
            "Thread": self.mail.thread,
        }
        lines = [f"{name}: {value}" for name, value in head.items() if value]
        # Without the footer, which is the same in all mails.
        return "\n".join(lines) + "\n\n" + text_of(self.rendered.html).rpartition("\n\nYou get this because")[0]


class _Noting(Renderer):
    """Keeps what it has rendered last: a mail does not tell its template, nor the error of one that failed."""

    last: Rendered | None = None
    error: Exception | None = None

    def render(self, *arguments: object, **options: object) -> Rendered:
        self.error = None
        self.last = super().render(*arguments, **options)  # type: ignore[arg-type]  # as they came
        return self.last

    def reason(self, error: Exception, name: str) -> str:
        self.error = error
        return super().reason(error, name)

    def failure(self) -> str | None:
        """Why the template of the last mail was not used: file and line where they are known."""
        if self.last is None or self.last.failed is None:
            return None
        if self.error is None:
            return self.last.failed
        place = ""
        for frame, line in walk_tb(self.error.__traceback__):
            template = frame.f_globals.get("__jinja_template__")
            if template is not None and Path(template.filename).parent.name == "templates":
                place = f"{template.filename}:{template.get_corresponding_lineno(line)}: "
        return f"{place}{self.last.failed} {self.error}"


class Studio:
    """Makes the mails of examples as the app would, without sending them."""

    def __init__(self) -> None:
        self.renderer = _Noting(BUILT_IN / "_layout")
        self._composer = Composer(read(ENVIRONMENT), self.renderer)

    def mails(self, route: Route, example: Example) -> list[ExampleMail]:
        """The mails of all events in the request that the route does not filter out.

        Raises ValueError for a file of another shape, and what sources and routes raise.
        """
        found = []
        # An event that its sender does not name has another id each time that it is read.
        for event, again in zip(*(route.source.events(example.request()) for _ in range(2)), strict=True):
            event = event if event.id == again.id else replace(event, id="example")  # noqa: PLW2901
            mail = self._composer.compose(route, event, NOW)
            if mail and self.renderer.last:
                found.append(ExampleMail(mail, self.renderer.last, self.renderer.failure()))
        return found


def expected_text(mails: list[ExampleMail]) -> str:
    """What the file beside an example contains."""
    return (BETWEEN.join(mail.text() for mail in mails) if mails else "Filtered") + "\n"


def examples_of(catalog: Catalog) -> Iterator[tuple[Route, Example]]:
    """All examples, in the order of routes and names."""
    for _, route in sorted(catalog.routes.items()):
        for file in sorted((route.folder / "examples").glob("*.json")):
            yield route, Example(file)
