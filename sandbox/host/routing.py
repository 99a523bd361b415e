"""From a path to a function: ASP.NET Core's route templates, as far as function apps use them.

A template is a row of segments: text, `{name}`, `{name:int}`, a last `{name?}`, a last `{*rest}`. Text matches in any
case; a value is percent-decoded, except `%2F`, which stays as it came (as Kestrel hands it on).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

_CONSTRAINTS: Mapping[str, re.Pattern[str]] = {
    "alpha": re.compile(r"[A-Za-z]*"),
    "bool": re.compile(r"(?i:true|false)"),
    "guid": re.compile(r"\{?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?|[0-9A-Fa-f]{32}"),
    "int": re.compile(r"[+-]?[0-9]{1,10}"),
    "long": re.compile(r"[+-]?[0-9]{1,19}"),
}
_BITS = {"int": 31, "long": 63}
_PARAMETER = re.compile(r"\{(\*{0,2})([A-Za-z_][A-Za-z0-9_-]*)((?::[^{}:?=]+)*)(\??)\}")


@dataclass(frozen=True, slots=True)
class _Segment:
    """Text to match, or else a parameter."""

    text: str = ""
    parameter: str = ""
    constraints: tuple[str, ...] = ()
    optional: bool = False
    catch_all: bool = False

    @property
    def rank(self) -> int:
        """Smaller is more particular: text, constrained parameter, parameter, catch-all."""
        if not self.parameter:
            return 0
        return (3 if self.catch_all else 1) + (not self.constraints)

    def accepts(self, value: str) -> bool:
        if not self.parameter:
            return value.lower() == self.text.lower()
        return bool(value) and all(_satisfies(value, constraint) for constraint in self.constraints)


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed route template."""

    text: str
    segments: tuple[_Segment, ...]

    @property
    def rank(self) -> tuple[int, ...]:
        """Order in which templates are tried: text wins over a parameter, segment by segment."""
        return tuple(segment.rank for segment in self.segments)

    def match(self, path: Sequence[str]) -> dict[str, str] | None:
        """The parameters' values when the path fits, else None. Optional parameters not given are left out."""
        values: dict[str, str] = {}
        for position, segment in enumerate(self.segments):
            if segment.catch_all:
                rest = "/".join(path[position:])
                if rest and not all(_satisfies(rest, constraint) for constraint in segment.constraints):
                    return None
                return {**values, segment.parameter: rest} if rest else values
            if position >= len(path):
                return values if segment.optional else None
            if not segment.accepts(path[position]):
                return None
            if segment.parameter:
                values[segment.parameter] = path[position]
        return values if len(path) <= len(self.segments) else None


@dataclass(frozen=True, slots=True)
class Route:
    """A function's template and the methods it takes; None means every method."""

    function: str
    template: Template
    methods: frozenset[str] | None

    def takes(self, method: str) -> bool:
        return self.methods is None or method.upper() in self.methods


def parse_template(text: str) -> Template:
    """Parse a template such as `api/users/{id:int}/{*rest}`.

    Raises ValueError naming what ASP.NET Core would not take, or what this host does not know.
    """
    if text.startswith("/") or "//" in text:
        raise ValueError(f"route {text!r} must not begin with a slash nor have two in a row")
    segments = tuple(_parse_segment(text, part) for part in text.rstrip("/").split("/"))
    names = [segment.parameter.lower() for segment in segments if segment.parameter]
    if len(names) != len(set(names)):
        raise ValueError(f"route {text!r} names a parameter twice")
    if any(segment.optional or segment.catch_all for segment in segments[:-1]):
        raise ValueError(f"route {text!r}: only its last segment may be optional or catch-all")
    return Template(text, segments)


def split_path(raw: bytes) -> list[str] | None:
    """Segments of a request's path, percent-decoded; None when the bytes are not UTF-8 or hold a NUL."""
    try:
        path = unquote(re.sub(r"%2[Ff]", "%252F", raw.decode("ascii")), errors="strict")
    except UnicodeDecodeError:
        return None
    return None if "\0" in path else path.removeprefix("/").removesuffix("/").split("/")


def overlap(one: Route, other: Route) -> bool:
    """Whether some request could go to either route."""
    if one.methods is not None and other.methods is not None and not one.methods & other.methods:
        return False
    return _overlap(one.template.segments, other.template.segments)


def _overlap(one: Sequence[_Segment], other: Sequence[_Segment]) -> bool:
    if not one or not other:
        return all(segment.optional or segment.catch_all for segment in (*one, *other))
    if one[0].catch_all or other[0].catch_all:
        return True
    if one[0].parameter and other[0].parameter:
        fits = True
    elif one[0].parameter:
        fits = one[0].accepts(other[0].text)
    else:
        fits = other[0].accepts(one[0].text)
    return fits and _overlap(one[1:], other[1:])


def _parse_segment(route: str, part: str) -> _Segment:
    if "{" not in part and "}" not in part:
        if any(character in part for character in "*?"):
            raise ValueError(f"route {route!r}: segment {part!r} has a character that belongs in a parameter")
        return _Segment(text=part)
    found = _PARAMETER.fullmatch(part)
    if not found:
        raise ValueError(f"route {route!r}: segment {part!r} is not supported; use text or one {{parameter}}")
    stars, name, constraints, optional = found.groups()
    asked = tuple(_known(route, constraint) for constraint in constraints.split(":") if constraint)
    if stars and optional:
        raise ValueError(f"route {route!r}: the catch-all {part!r} cannot be optional")
    return _Segment(parameter=name, constraints=asked, optional=bool(optional), catch_all=bool(stars))


def _known(route: str, constraint: str) -> str:
    if constraint.lower() not in _CONSTRAINTS:
        known: Iterable[str] = sorted(_CONSTRAINTS)
        raise ValueError(f"route {route!r}: constraint {constraint!r} is not supported (known: {', '.join(known)})")
    return constraint.lower()


def _satisfies(value: str, constraint: str) -> bool:
    if not _CONSTRAINTS[constraint].fullmatch(value):
        return False
    bits = _BITS.get(constraint)
    return bits is None or -(1 << bits) <= int(value) < 1 << bits
