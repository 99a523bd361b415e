"""All routes: those that come with Mailroom, and those of MAIL_ROUTES_DIR, which replace routes of the same name.

The reason why a route cannot be used is kept, so that only this route is answered 503 and the operator can be told.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.settings.config import secret_setting
from shared.telemetry import LogEvent, emit
from shared.webhooks.routing.route import Route
from shared.webhooks.routing.route_file import FILE, RouteError, fault_at, read_route

if TYPE_CHECKING:
    from shared.webhooks.rendering.mails import Renderer

BUILT_IN: Final = Path(__file__).parent.parent / "routes"


@dataclass(frozen=True, slots=True)
class Catalog:
    """Routes by name; and why others cannot be used, for the operator. missing: why no route can be used at all."""

    routes: Mapping[str, Route] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    missing: str | None = None

    def named(self, name: str) -> str:
        """The name of the route that a sender means: this one, or one that differs from it in case only."""
        if name in self.routes or name in self.problems:
            return name
        return next((known for known in (*self.routes, *self.problems) if known.lower() == name.lower()), name)

    def addresses(self) -> frozenset[str] | None:
        """The addresses that stand in routes, their senders too. None: some route cannot be read."""
        if self.missing or self.problems:
            return None
        found: set[str] = set()
        for route in self.routes.values():
            found |= {route.sender or "", *(route.allow.literal if route.allow else ())}
            for _, rules in route.every_rules():
                found.update(*(many or () for many in (rules.recipients, rules.cc, rules.bcc, rules.reply_to)))
        return frozenset(found)


def load(extra: Path | None = None, renderer: "Renderer | None" = None, built_in: Path = BUILT_IN) -> Catalog:
    """Read every route. Never raises. renderer: checks the templates of `extra` too."""
    if extra is not None and not extra.is_dir():
        # Continuing without it would send by the routes that it was to replace.
        return Catalog(missing=f"MAIL_ROUTES_DIR: {extra} is no folder")
    folders = {folder.name: folder for root in (built_in, extra) if root for folder in _folders(root)}
    routes: dict[str, Route] = {}
    problems: dict[str, str] = {}
    if extra and (stray := extra / FILE).is_file():
        problems["MAIL_ROUTES_DIR"] = f"{stray} is no route: expected a folder of routes, {extra / '<route>' / FILE}."
    sharing = defaultdict[str, list[str]](list)
    for name, folder in folders.items():
        sharing[secret_setting(name)].append(name)
        try:
            routes[name] = read_route(name, folder)
        except RouteError as error:
            problems[name] = str(error)
            continue
        faults = template_faults(routes[name], renderer) if renderer and folder.parent == extra else ()
        if (fault := next(iter(faults), None)) is not None:
            del routes[name]
            problems[name] = fault
    for setting, names in sharing.items():
        for name in names if len(names) > 1 else ():
            others = ", ".join(other for other in names if other != name)
            problems[name] = f"{folders[name]}: its secret would be {setting}, as that of {others}; rename one."
            routes.pop(name, None)
    return Catalog(routes, problems)


def report_unusable(missing: str | None, problems: Mapping[str, str]) -> None:
    """Log why routes cannot be used. missing, problems: see Catalog."""
    if missing:
        emit(LogEvent.ROUTE_REFUSED, why=missing)
    for name, problem in problems.items():
        emit(LogEvent.ROUTE_REFUSED, route=name, why=problem)


def template_faults(route: Route, renderer: "Renderer") -> Iterator[str]:
    """The faults of a route's templates and subjects that can be found without an event, with file and line."""
    yield from map(str, renderer.check(route.folder / "templates"))
    folders = (route.folder / "templates", BUILT_IN / route.source.name / "templates")
    for place, rules in route.every_rules():
        if rules.template and not renderer.has(rules.template, folders):
            text = f"there is no template {rules.template} in {folders[0]}"
            yield str(fault_at(route, (*place, "template"), text))
        if rules.subject and (fault := renderer.check_subject(rules.subject)):
            yield str(fault_at(route, (*place, "subject"), fault))


def _folders(root: Path) -> Iterable[Path]:
    """Not hidden or empty folders, nor those that begin with `_`."""
    folders = (folder for folder in sorted(root.iterdir()) if folder.is_dir() and folder.name[0] not in "._")
    return (folder for folder in folders if any(folder.iterdir()))
