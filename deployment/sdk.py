"""The part of the Graph SDK that Mailroom can reach; the rest, more than 16,000 modules, is taken out.

The SDK is generated and regular: a request builder for each segment of a path, a model for each type, each in a module
of its own, imported at the top of another module (base classes) or inside the function that needs it. So what can be
reached is determined from the sources, Mailroom's and the SDK's, without running them:

1. Whatever Mailroom's own files import from the SDK, under TYPE_CHECKING too, or name in a string; for a name that is
   composed in an f-string, every module that fits.
2. The models with the name of a class of Mailroom's: the wire model finds them by the names of its own classes.
3. Whatever a reached module imports, at its top or inside a function, except for two kinds of functions:
   - One that leads to another request builder and whose name occurs nowhere in Mailroom's files, neither as an
     attribute nor as a string: it is never called. A name that occurs for another reason keeps a few modules too many.
   - One that reads an answer into an Entity. Each of these imports its relatives, and so every entity; and Mailroom
     takes answers unread (NativeResponseHandler).

A module that is needed and missing does not fail silently: it raises ModuleNotFoundError, the end-to-end tests run on
the package alone, and the sandbox ends when a module of the SDK is requested that a package does not have.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath

from deployment import DeploymentError

SDK = "msgraph"
_MODELS = f"{SDK}.generated.models"
_ENTITY = f"{_MODELS}.entity"
_BUILDER = "_request_builder"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_READS_ANSWERS = frozenset({"create_from_discriminator_value", "get_field_deserializers"})


@dataclass(slots=True)
class Mentions:
    """What sources mention: modules of the SDK, classes, and attributes or strings.

    patterns: a package, and a regular expression for names of modules in it.
    """

    modules: set[str] = field(default_factory=set)
    patterns: set[tuple[str, str]] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)


def mentions(sources: Iterable[Path]) -> Mentions:
    """Read Mailroom's own sources."""
    found = Mentions()
    for node in (node for source in sources for node in ast.walk(ast.parse(source.read_bytes(), source.name))):
        match node:
            case ast.Import() | ast.ImportFrom():
                found.modules.update(name for name in imported(node, "") if name.partition(".")[0] == SDK)
            case ast.ClassDef(name=name):
                found.classes.add(name)
            case ast.Attribute(attr=name):
                found.names.add(name)
            case ast.JoinedStr(values=[ast.Constant(value=str(head)), *_] as parts) if head.startswith(f"{SDK}."):
                found.patterns.add((head.rpartition(".")[0], "".join(map(_pattern, parts))))
            case ast.Constant(value=str(text)) if text.startswith(f"{SDK}."):
                found.modules.add(text)
            case ast.Constant(value=str(text)):
                found.names.add(text)
    return found


def reachable(installed: Path, said: Mentions) -> set[PurePosixPath]:
    """The files of the SDK, by their paths in `installed`, that sources with these mentions can import."""
    found = _Walk(installed, said).files()
    if not found:
        raise DeploymentError(
            f"Nothing of {SDK} can be reached; the rules of deployment/sdk.py do not fit Mailroom any more."
        )
    return {PurePosixPath(file.relative_to(installed)) for file in found}


class _Walk:
    def __init__(self, installed: Path, said: Mentions) -> None:
        self._root = installed
        self._said = said
        self._tree = cache(self._parsed)
        self._entity = cache(self._is_entity)

    def files(self) -> set[Path]:
        todo = [*self._said.modules, *(f"{_MODELS}.{_snake(name)}" for name in self._said.classes), *self._fitting()]
        seen: set[str] = set()
        while todo:
            module = todo.pop()
            if module in seen or not self._file(module):
                continue
            seen.add(module)
            todo += self._imports(module)
            todo += (module[:dot] for dot, letter in enumerate(module) if letter == ".")  # its packages come first
        return {file for module in seen if (file := self._file(module))}

    def _fitting(self) -> Iterator[str]:
        for package, pattern in self._said.patterns:
            for file in self._root.joinpath(*package.split(".")).rglob("*.py"):
                name = ".".join(file.relative_to(self._root).with_suffix("").parts)
                if re.fullmatch(pattern, name):
                    yield name

    def _imports(self, module: str) -> Iterator[str]:
        """What a module may import, by the rules above, including names that are not modules."""
        package = module if self._is_package(module) else module.rpartition(".")[0]
        for node in nodes(self._tree(module)):
            if not isinstance(node, _FUNCTIONS) or (node.name in _READS_ANSWERS and self._entity(module)):
                continue
            for name in imports_below(node, package):
                if not name.endswith(_BUILDER) or node.name in self._said.names:
                    yield name
        yield from self._at_top(module)

    def _at_top(self, module: str) -> Iterator[str]:
        package = module if self._is_package(module) else module.rpartition(".")[0]
        for node in nodes(self._tree(module), functions=False):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield from imported(node, package)

    def _is_entity(self, module: str) -> bool:
        """At their top, models import no other models than their bases."""
        bases = (name for name in self._at_top(module) if name.startswith(f"{_MODELS}.") and self._file(name))
        return module == _ENTITY or any(self._entity(name) for name in bases)

    def _parsed(self, module: str) -> ast.Module:
        file = self._file(module)
        assert file is not None  # noqa: S101 - called only for modules that exist
        return ast.parse(file.read_bytes(), file.name)

    def _file(self, module: str) -> Path | None:
        if module.partition(".")[0] != SDK:
            return None
        path = self._root.joinpath(*module.split("."))
        candidates = (path / "__init__.py", path.with_name(f"{path.name}.py"))
        return next((file for file in candidates if file.is_file()), None)

    def _is_package(self, module: str) -> bool:
        file = self._file(module)
        return file is not None and file.name == "__init__.py"


def _pattern(part: ast.expr) -> str:
    return re.escape(part.value) if isinstance(part, ast.Constant) and isinstance(part.value, str) else ".*"


def _snake(name: str) -> str:
    """Message becomes message, FileAttachment file_attachment: so the SDK names the modules of its models."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def nodes(tree: ast.AST, *, functions: bool = True) -> Iterator[ast.AST]:
    """Every node below `tree` except those under `if TYPE_CHECKING`. functions: whether to enter functions, too."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        if not functions and isinstance(child, _FUNCTIONS):
            continue
        yield child
        yield from nodes(child, functions=functions)


def imports_below(tree: ast.AST, package: str) -> Iterator[str]:
    """The names that the imports below `tree` mention, as in `imported`."""
    for node in nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(node, package)


def imported(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
    """The absolute names that an import in a module of `package` mentions: modules, and names that may be modules."""
    if isinstance(node, ast.Import):
        yield from (each.name for each in node.names)
        return
    base = node.module or ""
    if node.level:
        above = package.split(".")
        base = ".".join([*above[: len(above) - node.level + 1], *([node.module] if node.module else [])])
    yield base
    yield from (f"{base}.{each.name}" for each in node.names)
