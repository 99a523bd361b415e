"""Renders the subject and the HTML of an event's mail.

The first template that exists is used. These are looked for in each of the route's folders: the template that the route
names for this type of event; `<type>.html.j2`, with the type in lower case and dashes for everything but letters,
digits, dots, dashes and underscores; the same without its last `.part`, and so on; the template that the route names
for all events; the general table. The table also replaces a template that fails, so no event is lost because of its
template.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import css_inline
from jinja2 import Template, TemplateNotFound, TemplateSyntaxError
from markupsafe import Markup, escape

from shared.webhooks.rendering.bounds import bounded
from shared.webhooks.rendering.checks import TemplateFault, faults_in, faults_of
from shared.webhooks.rendering.environment import (
    IMPORTANCES,
    SUFFIX,
    TONES,
    TemplateSandbox,
    at_in,
    list_in,
    object_in,
    text_in,
)
from shared.webhooks.rendering.event_file import event_file
from shared.webhooks.rendering.filters import IMPOSSIBLE, one_line, shorten
from shared.webhooks.rendering.look import Look
from shared.webhooks.rendering.markup import too_deep
from shared.webhooks.rendering.plain_text import text_of
from shared.webhooks.rendering.summary import summary_of
from shared.webhooks.sources.source import SourceEvent

TABLE: Final = "table"
PLAIN: Final = Look()
ATTACHED: Final = "The whole event is attached: event.json"
TOO_LARGE: Final = "There is more in the event, which is too large to be attached."
LONGEST: Final = 1_000_000  # characters before styles; more than the largest table has
LONGEST_ATTRIBUTE: Final = 1_000  # characters
LARGEST: Final = 2_000_000  # bytes; Graph takes four million in all
LONGEST_PREHEADER: Final = 150  # characters; mail programs show fewer
READ_FOR_PREHEADER: Final = 5_000  # characters of the body's HTML
# What the layout has where the preheader goes, and around the body.
PREHEADER: Final = "<!--preheader-->"
BODY: Final = "<!--body-->"
BODY_END: Final = "<!--/body-->"
_BUTTONS: Final = re.compile(r'<table[^>]* class="buttons">.*?</table>', re.DOTALL)
# Control characters, which the output of programs contains, as Unicode's pictures of them.
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # str.translate takes 10 ms for a mail
_THESE: Final = bytes(one for one in range(0x80) if _CONTROLS.match(chr(one)))


@dataclass(frozen=True, slots=True)
class Rendered:
    """preheader: what mail programs show beside the subject. template: the one used, without its suffix; "table" for
    the general one. importance: as the template sets it.

    file: the whole event as JSON, where the general mail leaves something out.
    failed: why the event's own template was not used, in a sentence that quotes nothing from the event.
    """

    subject: str
    html: str
    preheader: str
    template: str
    failed: str | None = None
    importance: Literal["low", "normal", "high"] | None = None
    file: bytes | None = None


class _TooLarge(Exception):  # noqa: N818
    """A template produces more than a mail can hold, or nests it too deeply."""


class _NoMail(Exception):  # noqa: N818
    """A file of macros that has the name of an event's type."""


class Renderer:
    """One for a process. layout: the folder of the templates that all mails share. Compiled templates are kept."""

    def __init__(self, layout: Path) -> None:
        self._layout = layout
        self._sandboxes: dict[tuple[tuple[Path, ...], ZoneInfo | None], TemplateSandbox] = {}
        self._names: dict[Path, frozenset[str]] = {}
        self._subjects: dict[tuple[TemplateSandbox, str], Template] = {}
        self._inliner = css_inline.CSSInliner(load_remote_stylesheets=False, keep_at_rules=True, minify_css=True)

    def render(  # noqa: PLR0913
        self,
        event: SourceEvent,
        route_name: str,
        templates: Path | Sequence[Path] | None,
        template: str | None = None,
        subject: str | None = None,
        *,
        chosen: str | None = None,
        look: Look = PLAIN,
    ) -> Rendered:
        """The mail of an event.

        templates: the route's folders. template: the route's, for events without one of their own. chosen: the route's
        for just this type of event. subject: a template of one line, which takes precedence over the mail's. look: of
        the route's mails.
        """
        whole, (event, left_out) = event.data, _bounded_event(event)
        folders = _folders(templates)
        sandbox = self._sandbox(folders, look.zone)
        values = {
            "event": event,
            "data": event.data,
            "route": route_name,
            "look": look,
            "at": lambda path, default=None: at_in(event.data, path, default),
            "text_at": lambda *paths: text_in(event.data, *paths),
            "list_at": lambda path: list_in(event.data, path),
            "object_at": lambda path: object_in(event.data, path),
            "tones": TONES,
            "given_subject": None,
            "left_out": left_out,
        }
        name, failed = self._named(event.type, folders, chosen, template)
        if subject is not None:
            try:
                pieces = _pieces(self._subject(sandbox, subject), values)
                values["given_subject"] = Markup("").join(Markup(piece) for piece in pieces)  # noqa: S704 - escaped there
            except Exception as error:  # noqa: BLE001 - whatever a template raises, the mail is sent
                failed = failed or f"The subject in the route failed ({_kind(error)})."
        if name != TABLE:
            try:
                return self._mail(sandbox, name, values, failed)
            except Exception as error:  # noqa: BLE001
                failed = self.reason(error, name)
        summary = summary_of(event, route_name, sandbox.filters["moment"])
        file = event_file(whole) if summary.left_out or left_out else None
        remarks = [f"{failed} So this mail is a summary of the event."] if failed else []
        if summary.left_out or left_out:
            remarks.append(ATTACHED if file else TOO_LARGE)
        values |= {"left_out": (), "summary": summary, "remarks": remarks}
        return replace(self._mail(sandbox, TABLE, values, failed), file=file)

    def check(self, templates: Path | Sequence[Path]) -> list[TemplateFault]:
        """The faults of the templates in the first of these folders that can be found without an event.

        The templates may extend those of the other folders.
        """
        folders = _folders(templates)
        return faults_in(self._sandbox(folders, None), self._layout, folders[0]) if folders else []

    def check_subject(self, subject: str) -> str | None:
        """What is wrong with the subject of a route; None: nothing."""
        return next((fault for _, fault in faults_of(self._sandbox((), None), subject)), None)

    def reason(self, error: Exception, name: str) -> str:
        """A sentence that names the place. It leaves out the text of the error, which may quote the event."""
        if isinstance(error, TemplateSyntaxError):
            return f"The template {error.name or f'{name}{SUFFIX}'} is wrong in line {error.lineno}."
        if isinstance(error, TemplateNotFound):
            return f"The template {name}{SUFFIX} uses another one that does not exist."
        if isinstance(error, _TooLarge):
            return f"The template {name}{SUFFIX} produces more than a mail can hold."
        if isinstance(error, _NoMail):
            return f"The template {name}{SUFFIX} does not extend mail.html.j2."
        line = _line(error.__traceback__, f"{name}{SUFFIX}")
        return f"The template {name}{SUFFIX} failed{f' in line {line}' if line else ''} ({_kind(error)})."

    def has(self, template: str, templates: Sequence[Path]) -> bool:
        """Whether one of the folders has a template of this name; true for the general table."""
        name = template.removesuffix(SUFFIX)
        return name == TABLE or any(name in self._in(folder) for folder in templates)

    def _named(
        self, kind: str, folders: Sequence[Path], chosen: str | None, template: str | None
    ) -> tuple[str, str | None]:
        """The name of the template for this type of event, and what is wrong with that choice."""
        wanted = [name.removesuffix(SUFFIX) for name in (chosen, template) if name]
        names = wanted[:1] if chosen else [*_names_for(kind), *wanted]
        for folder in folders:
            there = self._in(folder)
            for name in names:
                if name in there:
                    return name, None
        missing = wanted and wanted[0] != TABLE
        return TABLE, f"There is no template {wanted[0]}{SUFFIX}." if missing else None

    def _in(self, folder: Path) -> frozenset[str]:
        """The names of the templates in a folder. Routes cannot replace those of the layout."""
        if folder not in self._names:
            files = {path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}")}
            self._names[folder] = frozenset(name for name in files if not (self._layout / f"{name}{SUFFIX}").exists())
        return self._names[folder]

    def _mail(self, sandbox: TemplateSandbox, name: str, values: dict[str, Any], failed: str | None) -> Rendered:
        template = sandbox.get_template(f"{name}{SUFFIX}")
        context = template.new_context(values)
        html = _sound("".join(_bounded(template.root_render_func(context))))
        if "subject_line" not in context.vars:
            raise _NoMail
        if too_deep(html):
            raise _TooLarge
        subject = context.vars["subject_line"]
        preheader = preheader_of(subject, context.vars["preheader"], html.partition(BODY)[2].partition(BODY_END)[0])
        html = html.replace(BODY, "", 1).replace(BODY_END, "", 1).replace(PREHEADER, escape(preheader), 1)
        html = self._inliner.inline(html)
        if len(html.encode()) > LARGEST:
            raise _TooLarge
        importance = context.vars.get("importance")
        return Rendered(subject, html, preheader, name, failed, importance if importance in IMPORTANCES else None)

    def _sandbox(self, folders: tuple[Path, ...], zone: ZoneInfo | None) -> TemplateSandbox:
        if (folders, zone) not in self._sandboxes:
            self._sandboxes[folders, zone] = TemplateSandbox(self._layout, folders, zone)
        return self._sandboxes[folders, zone]

    def _subject(self, sandbox: TemplateSandbox, text: str) -> Template:
        if (sandbox, text) not in self._subjects:
            self._subjects[sandbox, text] = sandbox.from_string(text)
        return self._subjects[sandbox, text]


def preheader_of(subject: str, given: str, body: str) -> str:
    """What the template gives, or the beginning of the body where that says nothing that the subject does not."""
    if given and given.casefold().strip(" .") not in subject.casefold():
        return shorten(given, LONGEST_PREHEADER)
    text = text_of(
        _BUTTONS.sub("", body if len(body) <= READ_FOR_PREHEADER else body[:READ_FOR_PREHEADER].rpartition("<")[0]),
        addresses=False,
    )
    lines = map(str.strip, text.splitlines())
    new = [line for line in lines if line and line.casefold().strip(" .") not in subject.casefold()]
    return shorten(one_line(" · ".join(new[:5])), LONGEST_PREHEADER)


def _bounded_event(event: SourceEvent) -> tuple[SourceEvent, tuple[str, ...]]:
    """The event with attributes and data of bounded size; and what is left out."""
    names = ("id", "source", "type", "subject", "thread")
    short: dict[str, Any] = {
        name: shorten(value, LONGEST_ATTRIBUTE) for name in names if (value := getattr(event, name))
    }
    data, left_out = bounded(event.data)
    return replace(event, **short, data=data), left_out


def _folders(templates: Path | Sequence[Path] | None) -> tuple[Path, ...]:
    return tuple(dict.fromkeys([templates] if isinstance(templates, Path) else templates or ()))


def _names_for(kind: str) -> Iterator[str]:
    """The type, then without its last part, and so on: `workflow_run.completed`, `workflow_run`."""
    name = re.sub(r"[^a-z0-9._-]", "-", kind.lower())
    while name:
        yield name
        name = name.rpartition(".")[0]


def _pieces(template: Template, values: dict[str, Any]) -> Iterator[str]:
    return _bounded(template.root_render_func(template.new_context(values)))


def _bounded(pieces: Iterator[str]) -> Iterator[str]:
    room = LONGEST
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            raise _TooLarge
        yield piece


def _sound(html: str) -> str:
    """With pictures of control characters, and U+FFFD for what is no character."""
    if html.isascii() and len(html.encode().translate(None, _THESE)) == len(html):  # it has none, found at once
        return html
    shown = _CONTROLS.sub(lambda found: "\u2421" if found[0] == "\x7f" else chr(0x2400 + ord(found[0])), html)
    return IMPOSSIBLE.sub("\ufffd", shown)


def _line(trace: TracebackType | None, name: str) -> int | None:
    """The line in the template: of the innermost frame of its compiled code."""
    found = None
    while trace:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None and template.name == name:
            found = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return found


def _kind(error: Exception) -> str:
    return "too long" if isinstance(error, _TooLarge) else type(error).__name__
