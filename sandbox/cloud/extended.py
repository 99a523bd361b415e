"""MAPI extended properties: their ids, the values that fit a type, and when two ids name one property.

Source: singleValueLegacyExtendedProperty in Graph's reference. Matching in $filter: the name counts mail by mail,
the value does not.
"""

import base64
import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sandbox.cloud.edm import refuse

_TYPES = frozenset(
    {
        "applicationtime",
        "binary",
        "boolean",
        "clsid",
        "currency",
        "double",
        "error",
        "float",
        "integer",
        "long",
        "null",
        "object",
        "short",
        "string",
        "systemtime",
    }
)
_GUID = r"\{[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}"
_ID = re.compile(
    rf"(?P<type>[A-Za-z]+) (?:(?P<guid>{_GUID}) (?:Name (?P<name>\S(?:.*\S)?)|Id (?P<id>0x[0-9A-Fa-f]{{1,8}}))"
    r"|(?P<tag>0x[0-9A-Fa-f]{1,4}))"
)
_BOUND = {"short": 2**15, "integer": 2**31, "long": 2**63}


@dataclass(frozen=True, slots=True)
class PropertyId:
    """What an id such as `String {guid} Name X` means; equal for equal properties."""

    type: str
    set: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None when the text is no well-formed id."""
        match = _ID.fullmatch(text)
        if match is None:
            return None
        number = match["id"] or match["tag"]
        name = match["name"] or f"{int(number, 16):#x}"
        return cls(match["type"].lower(), (match["guid"] or "").lower(), f"name {name}" if match["name"] else name)


def check_single_value(value: Any, path: str) -> None:
    """The id of a single-value property and a value of its type."""
    prop = _parsed(value["id"], f"{path}.id", _TYPES)
    if not _fits(prop.type, value["value"]):
        refuse(f"The value does not fit the type {prop.type}.", f"{path}.value", "ErrorInvalidExtendedPropertyValue")


def check_multi_value(value: Any, path: str) -> None:
    """The id of a multi-value property, `StringArray …`, and values of its type."""
    prop = _parsed(value["id"], f"{path}.id", frozenset(f"{name}array" for name in _TYPES))
    for index, item in enumerate(value["value"]):
        if not _fits(prop.type.removesuffix("array"), item):
            text = f"The value does not fit the type {prop.type}."
            refuse(text, f"{path}.value[{index}]", "ErrorInvalidExtendedPropertyValue")


def _parsed(text: str, path: str, types: frozenset[str]) -> PropertyId:
    prop = PropertyId.parse(text)
    if prop is None or prop.type not in types:
        text = f"'{text}' is no id of an extended property. Expected e.g. 'String {{guid}} Name X' or 'String 0x1042'."
        refuse(text, path, "ErrorInvalidExtendedProperty")
    return prop


def _fits(kind: str, text: str) -> bool:
    try:
        match kind:
            case "short" | "integer" | "long":
                return -_BOUND[kind] <= int(text) < _BOUND[kind]
            case "double" | "float" | "currency":
                float(text)
            case "boolean":
                return text.lower() in {"true", "false"}
            case "systemtime" | "applicationtime":
                datetime.fromisoformat(text)
            case "clsid":
                uuid.UUID(text)
            case "binary":
                base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return True
