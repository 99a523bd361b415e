"""Reads `route.toml`, what a route says, strictly.

    source = "github"                      # SOURCES in shared/webhooks/sources/source.py
    sender = "builds@contoso.com"          # a mailbox or a pool; MAIL_SENDER
    recipients = ["ops@contoso.com"]       # MAIL_TO; also cc, bcc, reply_to
    recipients_from = "data.customer.email"  # JMESPath; needs allow = ["*@contoso.com"]
    when = "data.ref == 'refs/heads/main'"   # JMESPath over the event; if it is not true, the event is filtered out
    ...
    [options]                              # of the source
    [events."workflow_run.*"]              # for some types of events only; the most specific pattern wins
    importance = "high"

Every error names the file and the line, and affects this route alone.
"""

import re
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from shared.mail.addresses import checked, mailbox_name
from shared.settings.address_patterns import Patterns
from shared.settings.brand import time_zone
from shared.webhooks.routing.route import Route, RouteRules, Text
from shared.webhooks.sources.expressions import check
from shared.webhooks.sources.source import SOURCES, SourceEvent, source_named

FILE: Final = "route.toml"
NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
NAMES: Final = tuple(SourceEvent(id="", source="", type="", key="", data=None).as_object())  # that JMESPath sees
KINDS: Final = {
    "array": 'a list, ["…"]', "bool": "true or false", "float": "a number", "int": "a whole number",
    "object": "a table", "str": "a text",
}  # fmt: skip


class RouteError(Exception):
    """A route's folder cannot be used. The text names the file, the line and what is expected there."""


class _RouteFile(RouteRules, frozen=True, kw_only=True):
    source: str
    sender: Text | None = None
    allow: tuple[str, ...] = ()
    on_unknown: Literal["resend", "review"] | None = None
    rate_per_minute: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    probe: bool = False
    time_zone: Text | None = None
    results: bool = False
    repeat_window_minutes: Annotated[float, Meta(gt=0, le=10_080)] | None = None
    # A message in a queue may be a duplicate of one that is a week old: see MAIL_RETENTION_DAYS.
    keep_days: Annotated[int, Meta(ge=8, le=3650)] | None = None


def read_route(name: str, folder: Path) -> Route:
    """Read `route.toml` in this folder. Raises RouteError for the first fault."""
    path = folder / FILE
    if not NAME.fullmatch(name):
        raise RouteError(f"{folder}: a route's name consists of a to z, digits, dots, dashes and underscores.")
    try:
        text = path.read_text("utf-8-sig")  # editors of Windows write a mark
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RouteError(_no_toml(path, text, str(error))) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RouteError(f"{path}: cannot be read ({type(error).__name__}).") from None
    return _RouteReader(path, text).route(name, tree)


def fault_at(route: Route, place: tuple[str, ...], text: str) -> RouteError:
    """What is wrong with an entry of a route that was read: with its line."""
    path = route.folder / FILE
    return _RouteReader(path, path.read_text("utf-8-sig")).wrong(place, text)


def _no_toml(path: Path, text: str, error: str) -> str:
    """error: as tomllib words it."""
    message, _, place = error.partition(" (at ")
    lines = text.splitlines() or [""]
    number = int(found[1]) if (found := re.match(r"line (\d+)", place)) else len(lines)
    line = lines[min(number, len(lines)) - 1].strip()
    return f'{path}:{number}: no TOML: {message}: {line}. Expected entries such as subject = "text", each in its line.'


@dataclass(frozen=True, slots=True)
class _RouteReader:
    path: Path
    text: str

    def route(self, name: str, tree: dict[str, Any]) -> Route:
        options, events = tree.pop("options", {}), tree.pop("events", {})
        file = self.converted(tree, _RouteFile, ())
        if file.source not in SOURCES:
            raise self.wrong(("source",), f"{file.source!r} is none of {', '.join(SOURCES)}")
        source = self.converted(options, source_named(file.source), ("options",))
        if not isinstance(events, dict):
            raise self.wrong(("events",), 'expected tables such as [events."push"]')
        per_type = {
            kind: self.addressed(self.converted(rules, RouteRules, ("events", kind)), ("events", kind))
            for kind, rules in events.items()
        }
        route = Route(
            name=name,
            folder=self.path.parent,
            source=source,
            rules=self.addressed(RouteRules(**{one: getattr(file, one) for one in RouteRules.__struct_fields__}), ()),
            events=per_type,
            sender=self.sender(file.sender),
            allow=self.patterns(file.allow),
            on_unknown=file.on_unknown,
            window=None if file.repeat_window_minutes is None else file.repeat_window_minutes * 60,
            keep_days=file.keep_days,
            rate_per_minute=file.rate_per_minute,
            probe=file.probe,
            time_zone=self.time_zone(file.time_zone),
            results=file.results,
        )
        self.check(route)
        return route

    def check(self, route: Route) -> None:
        """What the types do not express."""
        if route.allow is not None and not any(rules.recipients_from for _, rules in route.every_rules()):
            raise self.wrong(("allow",), "nothing uses this without recipients_from; it limits no other recipients")
        for place, rules in route.every_rules():
            for name in ("when", "recipients_from"):
                try:
                    check(getattr(rules, name) or "@", NAMES)
                except ValueError as error:
                    raise self.wrong((*place, name), str(error)) from None
            if rules.recipients_from and route.allow is None:
                expected = 'recipients from events need a list of who may get mail: allow = ["*@contoso.com"]'
                raise self.wrong((*place, "recipients_from"), expected)

    def time_zone(self, name: str | None) -> ZoneInfo | None:
        try:
            return None if name is None else time_zone(name)
        except ValueError:
            raise self.wrong(("time_zone",), f"{name!r} is no time zone, such as Europe/Berlin") from None

    def converted[S: msgspec.Struct](self, tree: Any, shape: type[S], place: tuple[str, ...]) -> S:
        try:
            return msgspec.convert(tree, shape)
        except msgspec.ValidationError as error:
            message, _, at = str(error).replace(" | null", "").partition(" - at `$")  # TOML has no null
            steps = re.findall(r"[^.`\[\]]+", at.split("[")[0])
            if unknown := re.search(r"unknown field `(.+)`", message):
                steps.append(unknown[1])
                message = _unknown(unknown[1], shape, place, tree)
            elif found := re.search(r"Invalid enum value (.+)", message):
                message = f"{found[1]} is none of {', '.join(_choices(shape, steps))}"
            elif missing := re.search(r"missing required field `(.+)`", message):
                message = f"the entry {missing[1]} is missing"
            elif (option := re.match(r"(\w+)(?:, \w+)*: ", message)) and option[1] in shape.__struct_fields__:
                steps, message = [option[1]], message[option.end() :]
            message = re.sub(r"`(\w+)`", lambda kind: KINDS.get(kind[1], kind[0]), message)
            raise self.wrong((*place, *steps), message.replace(", got ", ", found ")) from None

    def patterns(self, allow: tuple[str, ...]) -> Patterns | None:
        try:
            return Patterns.of(allow) if allow else None
        except ValueError as error:
            raise self.wrong(("allow",), str(error)) from None

    def addressed(self, rules: RouteRules, place: tuple[str, ...]) -> RouteRules:
        """The rules with every address as Graph expects it."""
        lists = {
            name: tuple(self.address((*place, name), at, address) for at, address in enumerate(addresses))
            for name in ("recipients", "cc", "bcc", "reply_to")
            if (addresses := getattr(rules, name))
        }
        return msgspec.structs.replace(rules, **lists)

    def address(self, place: tuple[str, ...], at: int, address: str) -> str:
        try:
            return checked(address)
        except ValueError as error:
            raise self.wrong(place, f"entry {at + 1} is no mail address: {error}") from None

    def sender(self, text: str | None) -> str | None:
        try:
            return mailbox_name(text) if text else None
        except ValueError as error:
            raise self.wrong(("sender",), f"no mail address: {error}") from None

    def wrong(self, place: tuple[str, ...], text: str) -> RouteError:
        text = text.rstrip(".")
        name = ".".join(step if re.fullmatch(r"[\w-]+", step) else f'"{step}"' for step in place)
        where = f"{self.path}:{_line(self.text, place)}"
        return RouteError(f"{where}: {name}: {text}." if name else f"{where}: {text}.")


def _unknown(name: str, shape: type[msgspec.Struct], place: tuple[str, ...], tree: Any) -> str:
    """What to say of an entry that there is not: where it may have been meant to stand."""
    known = [*shape.__struct_fields__, *(() if place else ("options", "events"))]
    if place == ("options",) and name in _RouteFile.__struct_fields__:
        return "a source has no such option; expected it above [options]"
    if not place and tree.get("source") in SOURCES and name in source_named(tree["source"]).__struct_fields__:
        return "this is an option of the source; expected it below [options]"
    if place[:1] == ("events",) and isinstance(tree.get(name), dict):
        return f'unknown entry; expected [events."{place[-1]}.{name}"] for this type of events'
    nearest = get_close_matches(name, known, 1)
    hint = f"the nearest is {nearest[0]}; " if nearest else ""
    return f"unknown entry; {hint}known entries: {', '.join(known) or 'none'}"


def _choices(shape: type[msgspec.Struct], steps: list[str]) -> list[str]:
    """The values that an entry, or each member of a list, may have."""
    todo = [one.type for one in msgspec.structs.fields(shape) if steps and one.name == steps[-1]]
    choices: list[str] = []
    while todo:
        inner = get_args(todo.pop())
        choices += [one for one in inner if isinstance(one, str)]
        todo += [one for one in inner if not isinstance(one, str)]
    return choices


_TABLE: Final = re.compile(r"\s*\[([^\[].*?)\]\s*(?:#.*)?")
_ENTRY: Final = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=""")
_STEP: Final = re.compile(r""""([^"]*)"|'([^']*)'|([\w-]+)""")


def _line(text: str, place: tuple[str, ...]) -> int:
    """The line, from 1, of an entry or, where it has none of its own, of the closest table or entry above it."""
    best, found = 0, 1
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if heading := _TABLE.fullmatch(line):
            table = here = _steps(heading[1])
        elif entry := _ENTRY.match(line):
            here = (*table, *_steps(entry[1]))
        else:
            continue
        if len(here) > best and here == place[: len(here)]:
            best, found = len(here), number
    return found


def _steps(key: str) -> tuple[str, ...]:
    return tuple(double or single or bare for double, single, bare in _STEP.findall(key))
