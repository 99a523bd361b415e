"""The part of the Graph SDK that Mailroom can reach; the rest, more than 16,000 modules, is taken out.

The SDK is generated, and regular: a request builder for each segment of a path, a model for each type, each in a module
of its own, imported at the top of another module (base classes) or inside the function that needs it. So what can be
reached is read from the sources, Mailroom's and the SDK's, and nothing is run:

1. Whatever Mailroom's own files import of the SDK, under TYPE_CHECKING too, or name in a string; of a name that is put
   together in an f-string, whatever fits.
2. The models that are called like a class of Mailroom's: the wire model builds them by its own classes' names.
3. Whatever a module that is reached imports, at its top or inside a function, but for two kinds of functions:
   - One that leads to another request builder, and whose name Mailroom's files mention nowhere, neither as an attribute
     nor as a string: nobody can call it. A name that is mentioned for another reason only keeps a few modules more.
   - One that reads an answer into an Entity. Each of these imports its relatives, and so all entities there are; and
     Mailroom takes answers as they come (NativeResponseHandler) and never lets the SDK read them.

What was taken out although it is needed does not fail in silence: it is a ModuleNotFoundError, the end-to-end tests run
on the package alone, and the sandbox ends when a module of the SDK is asked for that a package does not have.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath

from deployment.errors import DeploymentError
from deployment.imports import FUNCTIONS, imported, imports_below, nodes

__all__ = ["SDK", "Mentions", "mentions", "reachable"]

SDK = "msgraph"
_MODELS = f"{SDK}.generated.models"
_ENTITY = f"{_MODELS}.entity"
_BUILDER = "_request_builder"
_READS_ANSWERS = frozenset({"create_from_discriminator_value", "get_field_deserializers"})


@dataclass(slots=True)
class Mentions:
    """What sources say that matters here: modules of the SDK, names of classes, and names of attributes.

    patterns: regular expressions for names of modules.
    """

    modules: set[str] = field(default_factory=set)
    patterns: set[str] = field(default_factory=set)
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
                found.patterns.add("".join(map(_pattern, parts)))
            case ast.Constant(value=str(text)) if text.startswith(f"{SDK}."):
                found.modules.add(text)
            case ast.Constant(value=str(text)):
                found.names.add(text)
    return found


def reachable(installed: Path, said: Mentions) -> set[PurePosixPath]:
    """The files of the SDK, by their paths in `installed`, that sources which say this can import."""
    found = _Walk(installed, said).files()
    if not found:
        raise DeploymentError(f"Nothing of {SDK} can be reached; what deployment/sdk.py knows of Mailroom is wrong.")
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
            todo += (module[:dot] for dot, mail in enumerate(module) if mail == ".")  # its packages come first
        return {file for module in seen if (file := self._file(module))}

    def _fitting(self) -> Iterator[str]:
        if self._said.patterns:
            fits = re.compile("|".join(self._said.patterns)).fullmatch
            files = (path.relative_to(self._root).with_suffix("") for path in (self._root / SDK).rglob("*.py"))
            yield from filter(fits, (".".join(file.parts) for file in files))

    def _imports(self, module: str) -> Iterator[str]:
        """What a module may import, by the rules above; among it names that are no modules."""
        package = module if self._is_package(module) else module.rpartition(".")[0]
        for node in nodes(self._tree(module)):
            if not isinstance(node, FUNCTIONS) or (node.name in _READS_ANSWERS and self._entity(module)):
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
        """Models import nothing of their kind at the top but their base."""
        bases = (name for name in self._at_top(module) if name.startswith(f"{_MODELS}.") and self._file(name))
        return module == _ENTITY or any(self._entity(name) for name in bases)

    def _parsed(self, module: str) -> ast.Module:
        file = self._file(module)
        assert file is not None  # noqa: S101 - asked only for modules that are there
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
    """Message becomes message, FileAttachment file_attachment: how the SDK names the modules of its models."""
    return "".join(f"_{mail.lower()}" if mail.isupper() else mail for mail in name).lstrip("_")
