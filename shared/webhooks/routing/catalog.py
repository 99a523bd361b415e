"""All routes: those that come with Mailroom, and those of MAIL_ROUTES_DIR, which win where both have one.

One that cannot be used is kept with its reason, so that it alone is answered 503 and its operator told.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.settings.config import secret_setting
from shared.webhooks.routing.route import FILE, Route, RouteError, read_route

if TYPE_CHECKING:
    from shared.webhooks.rendering.mails import Renderer

__all__ = ["BUILT_IN", "Catalog", "load"]

BUILT_IN: Final = Path(__file__).parent.parent / "routes"


@dataclass(frozen=True, slots=True)
class Catalog:
    """Routes by name; and for those that cannot be used why, for their operator. missing: nothing can be, and why."""

    routes: Mapping[str, Route] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    missing: str | None = None

    def named(self, name: str) -> str:
        """The name of the route that a sender means: its own, or the one that differs from it in case only."""
        if name in self.routes or name in self.problems:
            return name
        return next((known for known in (*self.routes, *self.problems) if known.lower() == name.lower()), name)


def load(extra: Path | None = None, renderer: "Renderer | None" = None, built_in: Path = BUILT_IN) -> Catalog:
    """Read every route. Never raises. renderer: checks the templates of `extra` too."""
    if extra is not None and not extra.is_dir():
        # Going on without it would send by the routes that it was to replace.
        return Catalog(missing=f"MAIL_ROUTES_DIR: {extra} is no folder")
    folders = {folder.name: folder for root in (built_in, extra) if root for folder in _folders(root)}
    routes: dict[str, Route] = {}
    problems: dict[str, str] = {}
    if extra and (stray := extra / FILE).is_file():
        problems["MAIL_ROUTES_DIR"] = f"{stray} is no route: each has a folder of its own, whose name is the route's."
    for name, folder in folders.items():
        try:
            routes[name] = read_route(name, folder)
            if renderer and folder.parent == extra:
                _check_templates(routes[name], renderer)
        except RouteError as error:
            routes.pop(name, None)
            problems[name] = str(error)
    for setting, names in _sharing(folders).items():
        for name in names:
            others = ", ".join(other for other in names if other != name)
            problems[name] = f"{folders[name]}: its secret would be {setting}, as that of {others}; rename one."
            routes.pop(name, None)
    return Catalog(routes, problems)


def _check_templates(route: Route, renderer: "Renderer") -> None:
    """Raise RouteError for the first fault that can be seen without an event."""
    for problem in renderer.check(route.folder / "templates"):
        raise RouteError(str(problem))
    folders = (route.folder / "templates", BUILT_IN / route.source.name / "templates")
    for rules in (route.rules, *route.events.values()):
        if rules.template and not renderer.has(rules.template, folders):
            raise RouteError(f"{route.folder / FILE}: template: there is none that is called {rules.template}.")
        if rules.subject and (fault := renderer.check_subject(rules.subject)):
            raise RouteError(f"{route.folder / FILE}: subject: {fault}")


def _folders(root: Path) -> Iterable[Path]:
    """Hidden ones, and those that begin with `_`, are no routes; nor is a folder with nothing of a route in it."""
    folders = (folder for folder in sorted(root.iterdir()) if folder.is_dir() and folder.name[0] not in "._")
    return (folder for folder in folders if any(folder.iterdir()))


def _sharing(names: Iterable[str]) -> dict[str, list[str]]:
    """Names of routes by the setting that they would share."""
    by_setting: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_setting[secret_setting(name)].append(name)
    return {setting: same for setting, same in by_setting.items() if len(same) > 1}
