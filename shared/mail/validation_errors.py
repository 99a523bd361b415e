"""Turns msgspec's validation errors into errors like Graph's: a code, a JSON path and a sentence.

msgspec's texts have the form "what - at `path`". The sentences here say what was found and what is expected. Of the
body they quote only the names of properties.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from shared.errors import Malformed
from shared.mail.graph_types import HEADER_NAME, LINE, UNKNOWN
from shared.parsing.strict_json import TYPE, member

_AT: Final = " - at `$"
_PATH: Final = re.compile(r"([\w.@\[\]]+)`")
_NAME: Final = re.compile(r"\.(@odata\.type|\w+)")
_MESSAGE: Final = re.compile(r"\$\.[mM]essage[.\[]")
_RECIPIENT: Final = re.compile(r"\.(?:toRecipients|ccRecipients|bccRecipients|replyTo|from|sender)\b")
_WORDS: Final = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_PROPERTY: Final = re.compile(r"Object (?P<fault>contains unknown|missing required) field `(?P<name>.*)`", re.DOTALL)
_SENTENCES: Final = {  # by how msgspec's text ends
    "Invalid base64 encoded string": "Expected base64 (RFC 4648, section 4) with its padding.",
    repr(LINE): "Expected one line of text without control characters.",
    repr(HEADER_NAME): "Expected a header name of printable ASCII that begins with x- or X-.",
}


def explain(error: msgspec.ValidationError, root: type[msgspec.Struct]) -> Malformed:
    """Graph's answer to a body that is JSON but does not fit `root`.

    400 RequestBodyRead inside the message, UnableToDeserializePostBody around it. ErrorInvalidRecipients for a
    recipient without address, InvalidInternetMessageHeaderCollection for headers.
    """
    text = str(error)
    what, at, path = text.rpartition(_AT)  # the last: a property's name may hold anything; none at the top
    found = _PATH.fullmatch(path) if at else None
    what, path = (what, f"${found[1]}") if found else (text, "$")
    sentence, path = _sentence(what, path, root)
    return Malformed(400, _code(what, path), sentence, path)


def _sentence(what: str, path: str, root: type[msgspec.Struct]) -> tuple[str, str]:
    """What was found and what is expected, and the path of the fault."""
    if match := _PROPERTY.fullmatch(what):
        path = member(path, match["name"])
        if match["fault"] == "contains unknown":
            return "Unknown property; expected only properties that Graph lets a sender set.", path
        return f"Missing; it is required{_one_of(_choices(path, root) if match['name'] == TYPE else [])}.", path
    if what.startswith(UNKNOWN):  # of graph_types.Complex
        return what, member(path, TYPE)
    if what.startswith("Invalid value ") and "referenceattachment" in what.lower():
        text = "Graph v1.0 cannot attach by reference; expected a fileAttachment, an itemAttachment, or a file"
        return f"{text} in a blob as a #mailroom.blobAttachment.", path
    if what.startswith(("Invalid enum value ", "Invalid value ")):
        return f"{UNKNOWN}{_one_of(_choices(path, root))}.", path
    if match := re.fullmatch(r"Expected `([^`]*)`, got `([^`]*)`", what):
        expected = " or ".join(_WORDS.get(word, word) for word in match[1].removesuffix(" | null").split(" | "))
        return f"Found {_WORDS.get(match[2], match[2])}, expected {expected}.", path
    if match := re.fullmatch(r"Expected `str` of length <= (\d+)", what):
        return f"Found a longer text, expected {int(match[1]):,} characters at most.", path
    return next((sentence for ending, sentence in _SENTENCES.items() if what.endswith(ending)), f"{what}."), path


def _code(what: str, path: str) -> str:
    if not _MESSAGE.match(path):
        return "UnableToDeserializePostBody"
    if "internetMessageHeaders" in path and not what.startswith("Object contains unknown"):
        return "InvalidInternetMessageHeaderCollection"
    if "missing required" in what and path.endswith(("emailAddress", ".address")) and _RECIPIENT.search(path):
        return "ErrorInvalidRecipients"
    return "RequestBodyRead"


def _one_of(choices: list[str]) -> str:
    return f"; expected one of {', '.join(choices)}" if choices else ""


def _choices(path: str, root: type[msgspec.Struct]) -> list[str]:
    """The values that the model allows at this path: names of an enumeration, or of types."""
    from msgspec import inspect  # only needed once something is wrong

    nodes: list[Any] = [inspect.type_info(root)]
    for name in _NAME.findall(path):
        structs = [node for node in _parts(nodes) if isinstance(node, inspect.StructType)]
        fields = [field.type for node in structs for field in node.fields if field.encode_name == name]
        if name == TYPE and not fields:
            return [str(node.tag) for node in structs if node.tag is not None]
        nodes = fields
    found: list[str] = []
    for node in _parts(nodes):
        if isinstance(node, inspect.EnumType):
            found += [str(choice.value) for choice in node.cls]
    return found


def _parts(nodes: Iterable[Any]) -> Iterator[Any]:
    """The types that may stand at one place: members of unions, items of arrays."""
    for node in nodes:
        if hasattr(node, "types"):
            yield from _parts(node.types)
        elif hasattr(node, "item_type"):
            yield from _parts([node.item_type])
        else:
            yield node
