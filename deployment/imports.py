"""What Python sources import, read from their syntax trees."""

import ast
from collections.abc import Iterator

__all__ = ["FUNCTIONS", "imported", "imports_below", "nodes"]

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def nodes(tree: ast.AST, *, functions: bool = True) -> Iterator[ast.AST]:
    """Every node below `tree` that is there when the program runs: nothing under `if TYPE_CHECKING`.

    functions: False leaves out what is inside them, and so keeps to what happens when the module is imported.
    """
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        if not functions and isinstance(child, FUNCTIONS):
            continue
        yield child
        yield from nodes(child, functions=functions)


def imports_below(tree: ast.AST, package: str) -> Iterator[str]:
    """The names that the imports below `tree` mention, see `imported`."""
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
