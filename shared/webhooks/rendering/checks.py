"""Checks a template without an event: its syntax, and the names, filters, templates and paths that it uses."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError, nodes

from shared.webhooks.rendering.environment import SUFFIX, TONES, TemplateSandbox
from shared.webhooks.sources.expressions import compiled
from shared.webhooks.sources.source import SourceEvent

CONTEXT: Final = frozenset({
    "at", "caller", "data", "event", "kwargs", "left_out", "list_at", "look", "loop", "object_at", "route", "self",
    "super", "text_at", "varargs",
})  # fmt: skip
ATTRIBUTES: Final = tuple(one.name for one in fields(SourceEvent))  # of an event
# The functions that take JMESPath: which of their arguments do.
PATHS: Final = {
    "at": slice(0, 1), "at_in": slice(1, 2), "list_at": slice(0, 1), "list_in": slice(1, 2),
    "object_at": slice(0, 1), "object_in": slice(1, 2), "text_at": slice(0, None), "text_in": slice(1, None),
}  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class TemplateFault:
    """line: from 1."""

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


def faults_in(sandbox: TemplateSandbox, layout: Path, templates: Path) -> list[TemplateFault]:
    """The faults of all templates in a folder, in the order of files and lines."""
    found = []
    for file in sorted(templates.glob(f"*{SUFFIX}")):
        if (layout / file.name).exists():
            found.append(TemplateFault(file, 1, f"All routes share the template {file.name}; choose another name."))
            continue
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            found.append(TemplateFault(file, 1, f"It cannot be read ({type(error).__name__})."))
            continue
        found.extend(sorted(TemplateFault(file, line, fault) for line, fault in faults_of(sandbox, text)))
    return found


def faults_of(sandbox: TemplateSandbox, text: str) -> Iterator[tuple[int, str]]:
    """Line and fault, for each fault in a template's text."""
    try:
        tree = sandbox.parse(text)
        sandbox.compile(tree)
    except TemplateSyntaxError as error:
        yield error.lineno, (error.message or "wrong syntax").rstrip(".") + "."
        return
    tree = sandbox.parse(text)  # compiling changes it
    yield from _unknown_filters(sandbox, tree)
    yield from _unknown_names(sandbox, tree)
    yield from _missing_templates(sandbox, tree)
    yield from _wrong_paths(tree)
    for got in tree.find_all(nodes.Getattr):
        if isinstance(got.node, nodes.Name) and got.node.name == "event" and got.attr not in ATTRIBUTES:
            yield got.lineno, f"An event has no {got.attr}; it has {', '.join(ATTRIBUTES)}."
    for modifier in tree.find_all(nodes.ScopedEvalContextModifier):
        yield modifier.lineno, "Escaping cannot be turned off; use clean_html for other people's HTML."
    for assigned in tree.find_all(nodes.Assign):
        named = isinstance(assigned.target, nodes.Name) and assigned.target.name == "tone"
        if named and isinstance(assigned.node, nodes.Const) and assigned.node.value not in TONES:
            yield assigned.lineno, f"A tone is one of {', '.join(TONES)}."


def _unknown_filters(sandbox: TemplateSandbox, tree: nodes.Template) -> Iterator[tuple[int, str]]:
    """The compiler ignores filters where nothing is printed."""
    for kind, known in ((nodes.Filter, sandbox.filters), (nodes.Test, sandbox.tests)):
        for node in tree.find_all(kind):
            if node.name not in known:
                yield node.lineno, f"There is no {kind.__name__.lower()} {node.name}."


def _unknown_names(sandbox: TemplateSandbox, tree: nodes.Template) -> Iterator[tuple[int, str]]:
    """Names to which nothing in the file, or in those it extends, assigns a value. The order is not checked."""
    known = CONTEXT | set(sandbox.globals) | set(_given(sandbox, tree))
    guarded = {
        node.node.name
        for node in tree.find_all((nodes.Filter, nodes.Test))
        if isinstance(node.node, nodes.Name) and node.name in ("default", "d", "defined", "undefined")
    }
    for name in tree.find_all(nodes.Name):
        if name.ctx == "load" and name.name not in known | guarded:
            yield name.lineno, f"There is no {name.name} here; parts are imported from parts.html.j2."


def _given(sandbox: TemplateSandbox, tree: nodes.Template, above: frozenset[str] = frozenset()) -> Iterator[str]:
    yield from (name.name for name in tree.find_all(nodes.Name) if name.ctx != "load")
    yield from (macro.name for macro in tree.find_all(nodes.Macro))
    yield from (imported.target for imported in tree.find_all(nodes.Import))
    for imports in tree.find_all(nodes.FromImport):
        yield from (name if isinstance(name, str) else name[1] for name in imports.names)
    for extends in tree.find_all(nodes.Extends):
        name = extends.template.value if isinstance(extends.template, nodes.Const) else ""
        if name and name not in above and (parent := _parsed(sandbox, name)):
            yield from _given(sandbox, parent, above | {name})


def _parsed(sandbox: TemplateSandbox, name: str) -> nodes.Template | None:
    """The template of that name; None where it cannot be read, which is reported where it is used."""
    if sandbox.loader is None:
        return None
    try:
        return sandbox.parse(sandbox.loader.get_source(sandbox, name)[0])
    except (TemplateNotFound, TemplateSyntaxError):
        return None


def _missing_templates(sandbox: TemplateSandbox, tree: nodes.Template) -> Iterator[tuple[int, str]]:
    for node in tree.find_all(nodes.Stmt):
        if not isinstance(node, nodes.Extends | nodes.Include | nodes.Import | nodes.FromImport):
            continue
        if not isinstance(node.template, nodes.Const):
            continue
        name = node.template.value
        try:
            there = sandbox.get_template(name)
            module = there.module if isinstance(node, nodes.FromImport) and not node.with_context else None
        except TemplateNotFound:
            yield node.lineno, f"There is no template {name}."
        except TemplateSyntaxError:
            continue  # reported for that file
        except TemplateError as error:
            yield node.lineno, f"{name} cannot be imported ({type(error).__name__}): it has no access to the event."
        else:
            if isinstance(node, nodes.FromImport) and module is not None:
                wanted = (part if isinstance(part, str) else part[0] for part in node.names)
                yield from ((node.lineno, f"{name} has no {part}.") for part in wanted if not hasattr(module, part))


def _wrong_paths(tree: nodes.Template) -> Iterator[tuple[int, str]]:
    for call in tree.find_all(nodes.Call):
        places = PATHS.get(call.node.name) if isinstance(call.node, nodes.Name) else None
        for path in call.args[places] if places else ():
            if isinstance(path, nodes.Const):
                try:
                    compiled(str(path.value))
                except ValueError as error:
                    yield path.lineno, f"{path.value!r}: {error}."
