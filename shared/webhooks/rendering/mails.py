"""An event becomes the subject and the HTML of a mail.

The template is the first of these that there is, in each of the route's folders in turn: `<type>.html.j2`, with the
event's type in lower case and all but letters, digits, dots, dashes and underscores as dashes; the same with its last
`.part` cut off, again and again; the one that the route names. One that the route has for just this type of event goes
before all of them. Then the general table, which also stands in for a
template that fails: an event is never lost for the sake of its looks.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal

import css_inline
from jinja2 import Template, TemplateNotFound, TemplateSyntaxError
from markupsafe import Markup

from shared.webhooks.rendering.bounds import bounded
from shared.webhooks.rendering.checks import Problem, problems_in, problems_of
from shared.webhooks.rendering.environment import SUFFIX, TONES, Sandbox
from shared.webhooks.rendering.facts_table import table_of
from shared.webhooks.rendering.filters import IMPOSSIBLE, shorten
from shared.webhooks.rendering.markup import DEEPEST, depth_of
from shared.webhooks.rendering.paths import at_in, list_in, object_in, text_in
from shared.webhooks.sources.source import Event

__all__ = ["TABLE", "Problem", "Rendered", "Renderer"]

TABLE: Final = "table"
IMPORTANCES: Final = ("low", "normal", "high")
LONGEST: Final = 1_000_000  # characters before styles; more than the largest table has
LONGEST_ATTRIBUTE: Final = 1_000  # characters
LARGEST: Final = 2_000_000  # bytes; Graph takes four million in all
# Controls that come with the output of programs, as the signs that Unicode has for them.
_CONTROLS: Final = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n\r"} | {0x7F: 0x2421}


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a mail says. template: the one used, without its suffix; "table" for the general one.

    failed: why it is not the one that the event was to have, in a sentence without anything of the event. importance:
    what the template has set.
    """

    subject: str
    html: str
    template: str
    failed: str | None = None
    importance: Literal["low", "normal", "high"] | None = None


class _TooLarge(Exception):  # noqa: N818 - a bound, named in the reason
    """A template makes more than a mail can hold, or nests it too deeply."""


class _NoMail(Exception):  # noqa: N818 - the same
    """A file of parts that has the name of an event's type."""


class Renderer:
    """One for a process. layout: the folder of what all mails share. Compiled templates are kept."""

    def __init__(self, layout: Path) -> None:
        self._layout = layout
        self._sandboxes: dict[tuple[Path, ...], Sandbox] = {}
        self._names: dict[Path, frozenset[str]] = {}
        self._subjects: dict[str, Template] = {}
        self._inliner = css_inline.CSSInliner(load_remote_stylesheets=False, keep_at_rules=True, minify_css=True)

    def render(  # noqa: PLR0913 - what an event and its route have to say
        self,
        event: Event,
        route_name: str,
        templates: Path | Sequence[Path] | None,
        template: str | None = None,
        subject: str | None = None,
        *,
        chosen: str | None = None,
    ) -> Rendered:
        """The mail of an event.

        templates: where the route's are; of several folders the first that has one for the event. template: the one of
        the route, for events that have none of their own. chosen: the one that the route has for just this event.
        subject: a template of one line, which wins over the mail's.
        """
        whole, (event, left_out) = event.data, _bounded_event(event)
        folders = _folders(templates)
        sandbox = self._sandbox(folders)
        values = {
            "event": event,
            "data": event.data,
            "route": route_name,
            "at": lambda path, default=None: at_in(event.data, path, default),
            "text_at": lambda *paths: text_in(event.data, *paths),
            "list_at": lambda path: list_in(event.data, path),
            "object_at": lambda path: object_in(event.data, path),
            "tones": TONES,
            "given_subject": None,
            "notice": None,
            "left_out": left_out,
        }
        name, failed = self._named(event.type, folders, chosen, template)
        if subject is not None:
            try:
                pieces = _pieces(self._subject(sandbox, subject), values)
                values["given_subject"] = Markup("").join(Markup(piece) for piece in pieces)  # noqa: S704 - escaped there
            except Exception as error:  # noqa: BLE001 - whatever a template raises, the mail goes
                failed = failed or f"The subject in the route failed ({_kind(error)})."
        if name != TABLE:
            try:
                return self._mail(sandbox, name, values, failed)
            except Exception as error:  # noqa: BLE001 - the same
                failed = _reason(error, name)
        return self._mail(sandbox, TABLE, values | {"notice": failed, "left_out": (), "table": table_of(whole)}, failed)

    def check(self, templates: Path | Sequence[Path]) -> list[Problem]:
        """What is wrong with the templates in a folder, the first of several, as far as that is seen without an event.

        They may extend those of the other folders.
        """
        folders = _folders(templates)
        return problems_in(self._sandbox(folders), self._layout, folders[0]) if folders else []

    def check_subject(self, subject: str) -> str | None:
        """What is wrong with the subject of a route; None: nothing."""
        return next((problem for _, problem in problems_of(self._sandbox(()), subject)), None)

    def has(self, template: str, templates: Sequence[Path]) -> bool:
        """Whether one of the folders has a template of this name, or it is the general table."""
        name = template.removesuffix(SUFFIX)
        return name == TABLE or any(name in self._in(folder) for folder in templates)

    def _named(
        self, kind: str, folders: Sequence[Path], chosen: str | None, template: str | None
    ) -> tuple[str, str | None]:
        """The name of the template for this type of event, and what is wrong with the choice."""
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
        """The names of the templates in a folder. Those of the layout are not for routes to replace."""
        if folder not in self._names:
            files = {path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}")}
            self._names[folder] = frozenset(name for name in files if not (self._layout / f"{name}{SUFFIX}").exists())
        return self._names[folder]

    def _mail(self, sandbox: Sandbox, name: str, values: dict[str, Any], failed: str | None) -> Rendered:
        template = sandbox.get_template(f"{name}{SUFFIX}")
        context = template.new_context(values)
        html = _sound("".join(_bounded(template.root_render_func(context))))
        if "subject_line" not in context.vars:
            raise _NoMail
        if depth_of(html) > DEEPEST:
            raise _TooLarge
        html = self._inliner.inline(html)
        if len(html.encode()) > LARGEST:
            raise _TooLarge
        importance = context.vars.get("importance")
        return Rendered(
            context.vars["subject_line"], html, name, failed, importance if importance in IMPORTANCES else None
        )

    def _sandbox(self, folders: tuple[Path, ...]) -> Sandbox:
        if folders not in self._sandboxes:
            self._sandboxes[folders] = Sandbox(self._layout, folders)
        return self._sandboxes[folders]

    def _subject(self, sandbox: Sandbox, text: str) -> Template:
        if text not in self._subjects:
            self._subjects[text] = sandbox.from_string(text)
        return self._subjects[text]


def _bounded_event(event: Event) -> tuple[Event, tuple[str, ...]]:
    """With attributes that a reader takes in, and data that a template gets through; and what is left out."""
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
    """With signs that show controls, and U+FFFD for what is no character."""
    return IMPOSSIBLE.sub("\ufffd", html.translate(_CONTROLS))


def _reason(error: Exception, name: str) -> str:
    """A sentence that names the place. The text of the error may quote the event, and is left out."""
    if isinstance(error, TemplateSyntaxError):
        return f"The template {error.name or f'{name}{SUFFIX}'} is wrong in line {error.lineno}."
    if isinstance(error, TemplateNotFound):
        return f"The template {name}{SUFFIX} asks for another that does not exist."
    if isinstance(error, _TooLarge):
        return f"The template {name}{SUFFIX} makes more than a mail can hold."
    if isinstance(error, _NoMail):
        return f"The template {name}{SUFFIX} does not extend mail.html.j2."
    line = _line(error.__traceback__, f"{name}{SUFFIX}")
    return f"The template {name}{SUFFIX} failed{f' in line {line}' if line else ''} ({_kind(error)})."


def _line(trace: TracebackType | None, name: str) -> int | None:
    """Where in the template: of the frames of its compiled code, the innermost."""
    found = None
    while trace:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None and template.name == name:
            found = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return found


def _kind(error: Exception) -> str:
    return "too long" if isinstance(error, _TooLarge) else type(error).__name__
