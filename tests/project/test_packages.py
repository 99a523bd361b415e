"""Which packages of shared/ may import which others; CONTRIBUTING.md has the same as a picture."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
ANYBODYS: Final = {"errors", "event_loop", "telemetry"}
ALLOWED: Final = {
    "functions": "app auth delivery mail mime parsing policy settings storage webhooks.routing webhooks.sources",
    "app": "auth bounces delivery graph policy ratelimit settings storage webhooks.rendering webhooks.routing",
    "bounces": "delivery graph mail mime policy ratelimit settings storage",
    "webhooks.routing": (
        "auth delivery mail parsing policy ratelimit settings storage webhooks.rendering webhooks.sources"
    ),
    "webhooks.rendering": "webhooks.sources",
    "webhooks.sources": "mail parsing",
    "delivery": "graph mail mime parsing policy ratelimit settings storage",
    "graph": "auth settings",
    "ratelimit": "storage",
    "auth": "settings",
    "policy": "mail mime settings storage",
    "settings": "mail",
    "storage": "auth mail settings",
    "mime": "mail parsing",
    "mail": "parsing",
    "parsing": "",
}


def package(module: str) -> str:
    """`delivery` of shared.delivery.engine; of webhooks the folder within it."""
    parts = module.split(".")[1:]
    return ".".join(parts[:2]) if parts[0] == "webhooks" else parts[0]


def imports() -> Iterator[tuple[str, str]]:
    """Each module of shared/, with each other package that it imports, lazily or for its types alone included."""
    for path in (ROOT / "shared").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in found:
                if name.startswith("shared.") and package(name) not in {*ANYBODYS, package(module)}:
                    yield module, package(name)


def test_every_import_follows_an_arrow_and_every_arrow_has_one() -> None:
    against: list[tuple[str, str]] = []
    used: dict[str, set[str]] = {name: set() for name in ALLOWED}
    for module, imported in imports():
        if imported in ALLOWED[package(module)].split():
            used[package(module)].add(imported)
        else:
            against.append((module, imported))
    assert against == []
    assert used == {name: set(names.split()) for name, names in ALLOWED.items()}


def test_the_arrows_have_no_circle() -> None:
    TopologicalSorter({name: names.split() for name, names in ALLOWED.items()}).prepare()


def test_the_picture_has_the_same_arrows() -> None:
    """The picture leaves out an arrow where a path of others leads to the same package. Mermaid reserves `graph`."""
    (picture,) = re.findall(r"```mermaid\n(flowchart.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    arrows: dict[str, set[str]] = {name: set() for name in ALLOWED}
    for source, targets in re.findall(r"^ *([a-z.]+)\S* --> (.*)$", picture, re.MULTILINE):
        arrows[source] |= {target.removesuffix("_") for target in targets.split(" & ")}

    def reached(name: str) -> set[str]:
        return arrows[name].union(*map(reached, arrows[name]))

    for name, allowed in ALLOWED.items():
        assert arrows[name] <= set(allowed.split()) <= reached(name), name


def test_a_name_stands_for_one_idea() -> None:
    """No two modules, classes or types of shared/ have the same name."""
    found: dict[str, list[str]] = {}
    for path in (ROOT / "shared").rglob("*.py"):
        names = [path.name] if path.name != "__init__.py" else []
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                names.append(node.name)
            elif isinstance(node, ast.TypeAlias):
                names.append(node.name.id)
        for name in names:
            found.setdefault(name, []).append(str(path))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("pure", ["mime", "parsing", "settings", "webhooks/rendering", "webhooks/sources"])
def test_a_package_without_io_imports_no_client(pure: str) -> None:
    text = "".join(path.read_text() for path in (ROOT / "shared" / pure).rglob("*.py"))
    assert re.findall(r"^ *(?:from|import) ((?:azure|aiohttp|httpx|msgraph|kiota)\S*)", text, re.MULTILINE) == []


def test_each_function_on_a_mails_way_is_where_its_link_leads() -> None:
    links = re.findall(r"\[`([\w.]+)`\]\((shared/[\w/]+\.py)\)", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(links) > 10
    for name, path in links:
        for part in name.split("."):
            defined = rf"^ *(?:async )?(?:def|class|type) {part}\b"
            assert re.search(defined, (ROOT / path).read_text(), re.MULTILINE), f"{name} in {path}"
