"""Checks a template without an event: its syntax, and the names, filters, templates and paths that it uses."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from inspect import signature
from itertools import chain
from pathlib import Path
from typing import Any, Final

from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError, nodes
from jinja2.filters import FILTERS as JINJA_FILTERS

from shared.webhooks.rendering.environment import IMPORTANCES, SUFFIX, TONES, TemplateSandbox
from shared.webhooks.sources.expressions import check
from shared.webhooks.sources.source import SourceEvent

CONTEXT: Final = frozenset({
    "at", "caller", "data", "event", "kwargs", "left_out", "list_at", "look", "loop", "object_at", "route", "self",
    "super", "text_at", "varargs",
})  # fmt: skip
ATTRIBUTES: Final = tuple(one.name for one in fields(SourceEvent))  # of an event
CHOICES: Final = {"importance": IMPORTANCES, "tone": TONES}
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
        faults = [*faults_of(sandbox, text)] or [*_unseen(sandbox, file.name, text)]
        found.extend(sorted(TemplateFault(file, line, fault) for line, fault in faults))
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
    yield from _wrong_arguments(sandbox, tree)
    for got in _every(tree, nodes.Getattr):
        if isinstance(got.node, nodes.Name) and got.node.name == "event" and got.attr not in ATTRIBUTES:
            yield got.lineno, f"An event has no {got.attr}; it has {', '.join(ATTRIBUTES)}."
    for modifier in _every(tree, nodes.ScopedEvalContextModifier):
        yield modifier.lineno, "Escaping cannot be turned off; use clean_html for other people's HTML."
    for assigned in _every(tree, nodes.Assign):
        name = assigned.target.name if isinstance(assigned.target, nodes.Name) else ""
        if name in CHOICES and isinstance(assigned.node, nodes.Const) and assigned.node.value not in CHOICES[name]:
            yield assigned.lineno, f"Found {assigned.node.value!r}; {name} is one of {', '.join(CHOICES[name])}."


@lru_cache(maxsize=8)
def _nodes(tree: nodes.Template) -> tuple[nodes.Node, ...]:
    return tuple(tree.find_all(nodes.Node))


def _every[N: nodes.Node](tree: nodes.Template, *kinds: type[N]) -> Iterator[N]:
    """Like tree.find_all, which goes through the whole tree for each question."""
    return (node for node in _nodes(tree) if isinstance(node, kinds))


def _unseen(sandbox: TemplateSandbox, name: str, text: str) -> Iterator[tuple[int, str]]:
    """What no mail shows: a template that is no whole mail, and what stands outside the blocks of its parent.

    Files whose names begin with `_` are no mails, but parts of them.
    """
    tree = sandbox.parse(text)
    extends = next(_every(tree, nodes.Extends), None)
    if extends is None:
        if not name.startswith("_"):
            yield 1, 'A mail extends mail.html.j2; expected {% extends "mail.html.j2" %}, or a name that begins with _.'
        return
    blocks = set(_blocks(sandbox, extends))
    for node in tree.body:
        if isinstance(node, nodes.Block) and blocks and node.name not in blocks:
            yield node.lineno, f"There is no block {node.name}; a mail has {', '.join(sorted(blocks))}."
        if isinstance(node, nodes.Output):
            for part in node.nodes:
                if not isinstance(part, nodes.TemplateData) or part.data.strip():
                    yield part.lineno, "This stands outside the blocks, where no mail shows it; expected it in a block."
                    return


def _blocks(sandbox: TemplateSandbox, extends: nodes.Extends) -> Iterator[str]:
    """The blocks of the template that this extends, and of those that it extends itself."""
    name = extends.template.value if isinstance(extends.template, nodes.Const) else ""
    seen: set[str] = set()
    while name and name not in seen and (parent := _parsed(sandbox, name)):
        seen.add(name)
        yield from (block.name for block in _every(parent, nodes.Block))
        above = next(_every(parent, nodes.Extends), None)
        name = above.template.value if above and isinstance(above.template, nodes.Const) else ""


def _unknown_filters(sandbox: TemplateSandbox, tree: nodes.Template) -> Iterator[tuple[int, str]]:
    """The compiler ignores filters where nothing is printed."""
    for kind, known in ((nodes.Filter, sandbox.filters), (nodes.Test, sandbox.tests)):
        for node in _every(tree, kind):
            if node.name not in known:
                yield node.lineno, f"There is no {kind.__name__.lower()} {node.name}."


def _unknown_names(sandbox: TemplateSandbox, tree: nodes.Template) -> Iterator[tuple[int, str]]:
    """Names to which nothing in the file, or in those it extends, assigns a value. The order is not checked."""
    known = CONTEXT | set(sandbox.globals) | set(_given(sandbox, tree))
    guarded = {
        node.node.name
        for node in _every(tree, nodes.Filter, nodes.Test)
        if isinstance(node.node, nodes.Name) and node.name in ("default", "d", "defined", "undefined")
    }
    for name in _every(tree, nodes.Name):
        if name.ctx == "load" and name.name not in known | guarded:
            yield name.lineno, f"There is no {name.name} here; parts are imported from parts.html.j2."


def _given(sandbox: TemplateSandbox, tree: nodes.Template, above: frozenset[str] = frozenset()) -> Iterator[str]:
    yield from (name.name for name in _every(tree, nodes.Name) if name.ctx != "load")
    yield from (macro.name for macro in _every(tree, nodes.Macro))
    yield from (imported.target for imported in _every(tree, nodes.Import))
    for imports in _every(tree, nodes.FromImport):
        yield from (name if isinstance(name, str) else name[1] for name in imports.names)
    for extends in _every(tree, nodes.Extends):
        name = extends.template.value if isinstance(extends.template, nodes.Const) else ""
        if name and name not in above and (parent := _parsed(sandbox, name)):
            yield from _given(sandbox, parent, above | {name})


@lru_cache(maxsize=8)  # every template of a route extends the same one, and imports the same parts
def _parsed(sandbox: TemplateSandbox, name: str) -> nodes.Template | None:
    """The template of that name; None where it cannot be read, which is reported where it is used."""
    if sandbox.loader is None:
        return None
    try:
        return sandbox.parse(sandbox.loader.get_source(sandbox, name)[0])
    except (TemplateNotFound, TemplateSyntaxError):
        return None


def _missing_templates(sandbox: TemplateSandbox, tree: nodes.Template) -> Iterator[tuple[int, str]]:
    for node in _every(tree, nodes.Stmt):
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
    for call in _every(tree, nodes.Call):
        places = PATHS.get(call.node.name) if isinstance(call.node, nodes.Name) else None
        for path in call.args[places] if places else ():
            if isinstance(path, nodes.Const):
                try:
                    check(str(path.value))
                except ValueError as error:
                    yield path.lineno, f"{path.value!r}: {error}."


def _wrong_arguments(sandbox: TemplateSandbox, tree: nodes.Template) -> Iterator[tuple[int, str]]:
    """Calls of our filters, and of macros, with too few, too many or other arguments than they take."""
    macros = {macro.name: macro_parameters(macro) for macro in _every(tree, nodes.Macro)}
    for imports in _every(tree, nodes.FromImport):
        name = imports.template.value if isinstance(imports.template, nodes.Const) else ""
        parsed = _parsed(sandbox, name)
        there = {macro.name: macro for macro in _every(parsed, nodes.Macro)} if parsed else {}
        given = [(one, one) if isinstance(one, str) else one for one in imports.names]
        macros |= {here: macro_parameters(there[name]) for name, here in given if name in there}
    calls: Iterator[nodes.Call | nodes.Filter] = chain(_every(tree, nodes.Call), _every(tree, nodes.Filter))
    for call in calls:
        takes: list[str] | None = None
        if isinstance(call, nodes.Filter) and call.name in sandbox.filters and call.name not in JINJA_FILTERS:
            name, takes = call.name, filter_parameters(sandbox.filters[call.name])
        elif isinstance(call, nodes.Call) and isinstance(call.node, nodes.Name) and call.node.name in macros:
            name, takes = call.node.name, macros[call.node.name]
        if takes is not None and call.dyn_args is None and call.dyn_kwargs is None:
            named = {one.key for one in call.kwargs}
            rest = takes[len(call.args) :]
            left = [one for one in rest if "=" not in one and one not in named]
            if left or len(call.args) > len(takes) or not named <= {one.partition("=")[0] for one in rest}:
                yield call.lineno, f"Expected {name}({', '.join(takes)})."


def filter_parameters(function: Callable[..., Any]) -> list[str]:
    """What a filter takes after its value: `length`, or `length=4000` where it may be left out."""
    taken = list(signature(function).parameters.values())[1:]
    given = [one for one in taken if one.name not in getattr(function, "keywords", ())]  # moment's zone is the route's
    return [one.name if one.default is one.empty else f"{one.name}={one.default}" for one in given]


def macro_parameters(macro: nodes.Macro) -> list[str] | None:
    """The same of a part; None where it takes any."""
    if any(name.name in ("kwargs", "varargs") for name in macro.find_all(nodes.Name)):
        return None
    names = [argument.name for argument in macro.args]
    plain = len(names) - len(macro.defaults)
    shown = [getattr(default, "value", "…") for default in macro.defaults]
    return names[:plain] + [f"{name}={value}" for name, value in zip(names[plain:], shown, strict=True)]
