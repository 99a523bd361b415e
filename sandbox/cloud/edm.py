"""JSON as OData reads it: strict parsing and the checks of Edm types, put together into tables of entities.

A check takes a value and its JSON path and raises Refusal 400 with the code and wording of the real service. It
changes nothing: what was received is kept as it came.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Never

from sandbox.cloud.errors import Refusal

type Check = Callable[[Any, str], None]

_DATE_TIME_OFFSET = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,12})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_NOT_JSON = (
    "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format."
)


def parse(body: bytes) -> Any:
    """The JSON value in `body`. Refuses other encodings than UTF-8, duplicate keys, NaN, lone surrogates and nesting
    that has no end. Raises Refusal 400.
    """
    if not body.strip():
        raise Refusal(400, "BadRequest", "Empty Payload. JSON content expected.")
    try:
        value = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Refusal(400, "BadRequest", _NOT_JSON) from None
    return value


def run(check: Check, value: Any, path: str = "$") -> None:
    """Runs a check on foreign data of any depth."""
    try:
        check(value, path)
    except RecursionError:
        raise Refusal(400, "BadRequest", _NOT_JSON) from None


def refuse(message: str, path: str, code: str = "RequestBodyRead") -> Never:
    """Raises the Refusal 400 for what stands at this JSON path."""
    raise Refusal(400, code, f"{message} (at {path})")


def string(value: Any, path: str) -> None:
    if not isinstance(value, str):
        _literal(value, "Edm.String", path)


def boolean(value: Any, path: str) -> None:
    if not isinstance(value, bool):
        _literal(value, "Edm.Boolean", path)


def int32(value: Any, path: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**31) <= value < 2**31:
        _literal(value, "Edm.Int32", path)


def date_time_offset(value: Any, path: str) -> None:
    if not isinstance(value, str) or not _DATE_TIME_OFFSET.fullmatch(value):
        _literal(value, "Edm.DateTimeOffset", path)


def binary(value: Any, path: str) -> None:
    """Standard base64 with its padding, nothing else in it."""
    try:
        string(value, path)
        base64.b64decode(value, validate=True)
    except ValueError:
        _literal(value, "Edm.Binary", path)


def enum(name: str, *members: str) -> Check:
    """One of the members, in any case."""
    known = {member.lower() for member in members}

    def check(value: Any, path: str) -> None:
        if not isinstance(value, str) or value.lower() not in known:
            _literal(value, f"microsoft.graph.{name}", path)

    return check


def nullable(check: Check) -> Check:
    def inner(value: Any, path: str) -> None:
        if value is not None:
            check(value, path)

    return inner


def collection(check: Check) -> Check:
    def inner(value: Any, path: str) -> None:
        if not isinstance(value, list):
            refuse(f"A '{_node(value)}' node was found where a 'StartArray' node was expected.", path)
        for index, item in enumerate(value):
            check(item, f"{path}[{index}]")

    return inner


@dataclass(frozen=True, slots=True)
class Entity:
    """An object of one type. `type_required`: `@odata.type` has to be there. `open_type`: further properties may be."""

    name: str
    properties: Mapping[str, Check]
    required: tuple[str, ...] = ()
    type_required: bool = False
    open_type: bool = False

    def __call__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            refuse(f"A '{_node(value)}' node was found where a 'StartObject' node was expected.", path)
        type_name = _type_name(value, path)
        if type_name is None and self.type_required:
            refuse(f"The annotation '@odata.type' is missing; expected '#microsoft.graph.{self.name}'.", path)
        if type_name not in {None, self.name}:
            text = f"A type named 'microsoft.graph.{type_name}' is not assignable to 'microsoft.graph.{self.name}'."
            refuse(text, f"{path}['@odata.type']")
        for name in self.required:
            if value.get(name) is None:
                refuse(f"The required property '{name}' is missing or null.", path)
        for name, item in value.items():
            self._property(name, item, f"{path}.{name}")

    def _property(self, name: str, item: Any, path: str) -> None:
        check = self.properties.get(name)
        if check is not None:
            check(item, path)
        elif "@" in name:
            string(item, path)
            if not re.fullmatch(r"[A-Za-z]*@(odata|microsoft\.graph)\.[A-Za-z.]+", name):
                refuse(f"The annotation '{name}' is not known.", path)
        elif not self.open_type:
            text = (
                f"The property '{name}' does not exist on type 'microsoft.graph.{self.name}'. "
                "Make sure to only use property names that are defined by the type."
            )
            refuse(text, path)


@dataclass(frozen=True, slots=True)
class Derived:
    """An object of one of several types, told apart by a required `@odata.type`."""

    name: str
    types: Mapping[str, Check]

    def __call__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            refuse(f"A '{_node(value)}' node was found where a 'StartObject' node was expected.", path)
        type_name = _type_name(value, path)
        if type_name is None:
            text = (
                f"The abstract type 'microsoft.graph.{self.name}' cannot be made: '@odata.type' is missing. "
                f"Expected one of {', '.join(self.types)}."
            )
            refuse(text, path)
        check = self.types.get(type_name)
        if check is None:
            text = f"A type named 'microsoft.graph.{type_name}' is no 'microsoft.graph.{self.name}' that can be sent."
            refuse(text, f"{path}['@odata.type']")
        check(value, path)


def _type_name(value: dict[str, Any], path: str) -> str | None:
    if "@odata.type" not in value:
        return None
    name = value["@odata.type"]
    if not isinstance(name, str) or not name.removeprefix("#").startswith("microsoft.graph."):
        refuse(f"A type named '{name}' could not be resolved by the model.", f"{path}['@odata.type']")
    return name.removeprefix("#").removeprefix("microsoft.graph.")


def _literal(value: Any, expected: str, path: str) -> Never:
    shown = json.dumps(value)
    shown = shown if len(shown) <= 40 else f"{shown[:40]}…"  # noqa: PLR2004 - enough to recognise it by
    refuse(f"Cannot convert the literal '{shown}' to the expected type '{expected}'.", path)


def _node(value: Any) -> str:
    if isinstance(value, dict):
        return "StartObject"
    return "StartArray" if isinstance(value, list) else "PrimitiveValue"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate key")
    return value


def _no_constant(name: str) -> Never:
    raise ValueError(name)
