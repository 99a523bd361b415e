"""OData query options of message listings: the part of $filter, $expand, $select and paging that Exchange documents
for finding a mail again. What is not known is refused, never ignored.
"""

import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from starlette.datastructures import QueryParams

from sandbox.cloud.errors import Refusal
from sandbox.cloud.extended import PropertyId
from sandbox.cloud.mailboxes import Item, Mailboxes, folder_id
from sandbox.cloud.wire import MESSAGE

_TEXT = r"'((?:[^']|'')*)'"
_EXTENDED = ("singleValueExtendedProperties", "multiValueExtendedProperties")
# Of values that are texts: eq, ne, contains and startswith (singleValueLegacyExtendedProperty in Graph's reference).
_BY_PROPERTY = re.compile(
    r"singleValueExtendedProperties/any\(\s*(\w+)\s*:\s*\1/id\s+eq\s+" + _TEXT + r"\s+and\s+"
    rf"(?:\1/value\s+(eq|ne)\s+{_TEXT}|(contains|startswith)\(\1/value,\s*{_TEXT}\))\s*\)",
    re.IGNORECASE,
)
_BY_TIME = re.compile(r"receivedDateTime\s+(ge|gt|le|lt)\s+(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
    "eq": operator.eq,
    "ne": operator.ne,
    "contains": operator.contains,
    "startswith": str.startswith,
}
_CLAUSES = re.compile(r"\s+and\s+(?=receivedDateTime|internetMessageId|singleValueExtendedProperties)")
_BY_MESSAGE_ID = re.compile(rf"internetMessageId\s+eq\s+{_TEXT}")
_EXPAND = re.compile(r"(\w+)(?:\(\s*\$filter\s*=\s*(.*?)\s*\))?")
_ID_EQ = re.compile(rf"\(?\s*id\s+eq\s+{_TEXT}\s*\)?", re.IGNORECASE)
_ORDER = re.compile(r"(?:receivedDateTime|sentDateTime|createdDateTime|lastModifiedDateTime)(?:\s+(asc|desc))?")
_MAX_TOP = 1000
_CLASS, _SIZE = PropertyId("string", "", "0x1a"), PropertyId("integer", "", "0xe08")
_FILTERED = {"by_property", "by_time", "by_message_id"}


@dataclass(frozen=True, slots=True)
class Query:
    """by_property: (id, operator, value). by_time: (operator, time received). expand: navigation property → property
    ids asked for. ordered: by time received. top and skip: messages.
    """

    by_property: tuple[PropertyId, str, str] | None = None
    by_time: tuple[tuple[str, datetime], ...] = ()
    by_message_id: str | None = None
    expand: dict[str, tuple[PropertyId, ...]] = field(default_factory=dict)
    select: frozenset[str] | None = None
    ordered: str | None = None
    top: int = 10
    skip: int = 0
    count: bool = False

    @classmethod
    def parse(cls, options: QueryParams) -> Self:
        """Raises Refusal 400."""
        fields: dict[str, Any] = {}
        for name, value in options.multi_items():
            match name:
                case "$filter":
                    fields |= _filter(value.strip())
                case "$expand":
                    fields["expand"] = _expand(value)
                case "$select":
                    fields["select"] = _select(value)
                case "$orderby":
                    fields["ordered"] = _order(value.strip())
                case "$top" | "$skip":
                    fields[name[1:]] = _number(name, value)
                case "$count" if value.lower() in {"true", "false"}:
                    fields["count"] = value.lower() == "true"
                case _ if name.startswith("$"):
                    raise _refusal(f"The query option '{name}={value}' is not supported.")
        if "ordered" in fields and fields.keys() & _FILTERED and not options["$filter"].startswith("receivedDateTime"):
            # "Using filter and orderby in the same query", in Graph's reference of the list of messages.
            text = "The restriction or sort order is too complex for this operation."
            raise Refusal(400, "InefficientFilter", text)
        return cls(**fields)


def matches(query: Query, item: Item) -> bool:
    """Whether the filter lets the message through. A property's name counts mail by mail, its value does not."""
    if query.by_message_id is not None and item.message.get("internetMessageId") != query.by_message_id:
        return False
    if not all(_COMPARED[test](item.created.replace(microsecond=0), time) for test, time in query.by_time):
        return False
    if query.by_property is None:
        return True
    wanted, test, value = query.by_property
    return any(_COMPARED[test](prop["value"].casefold(), value.casefold()) for prop in properties_of(item, (wanted,)))


def properties_of(item: Item, wanted: tuple[PropertyId, ...]) -> list[dict[str, str]]:
    """The wanted ones of a message's single-value properties, with those that Exchange gives it."""
    given: list[dict[str, str]] = item.message.get("singleValueExtendedProperties") or []
    found = [prop for prop in given if PropertyId.parse(prop["id"]) in wanted]
    if _CLASS in wanted:
        found.append({"id": "String 0x1a", "value": item.message_class})
    if _SIZE in wanted:
        size = len(item.mime if item.mime is not None else json.dumps(item.message))
        found.append({"id": "Integer 0xe08", "value": str(size)})
    return found


def render(item: Item, mailboxes: Mailboxes, query: Query) -> dict[str, Any]:
    """The message as Graph shows it: extended properties and attachments only when expanded, internet headers only
    when selected.
    """
    marker = item.created.strftime("%Y-%m-%dT%H:%M:%SZ")
    content = (item.message.get("body") or {}).get("content") or ""
    shown: dict[str, Any] = {
        "createdDateTime": marker,
        "lastModifiedDateTime": marker,
        "receivedDateTime": marker,
        "sentDateTime": marker,
        "subject": "",
        "bodyPreview": " ".join(re.sub(r"<[^>]*>", " ", content).split())[:255],
        "importance": "normal",
        "isRead": True,
        **dict.fromkeys(("toRecipients", "ccRecipients", "bccRecipients", "replyTo", "categories"), ()),
        **{name: value for name, value in item.message.items() if "@" not in name},
        "id": item.id,
        "parentFolderId": folder_id(item.mailbox, mailboxes.folder(item) or item.folder),
        "isDraft": item.is_draft,
        "hasAttachments": any(not found.get("isInline") for found in item.message.get("attachments") or ()),
    }
    hidden = {"attachments", "extensions", *_EXTENDED}
    if query.select is None:
        hidden.add("internetMessageHeaders")
    else:
        hidden |= shown.keys() - query.select - {"id"}
    answer = {"@odata.etag": f'W/"{item.id[-12:]}"', **{name: shown[name] for name in shown if name not in hidden}}
    for name, wanted in query.expand.items():
        found = properties_of(item, wanted) if name == _EXTENDED[0] else item.message.get(name) or []
        if name == "attachments":
            answer[name] = found
        elif kept := [prop for prop in found if PropertyId.parse(prop["id"]) in wanted]:
            answer[name] = kept
    return answer


def _filter(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for clause in _CLAUSES.split(text):
        if match := _BY_TIME.fullmatch(clause):
            found["by_time"] = (*found.get("by_time", ()), (match[1], datetime.fromisoformat(match[2])))
        elif (match := _BY_PROPERTY.fullmatch(clause)) and "by_property" not in found:
            test, value = (match[3], match[4]) if match[3] else (match[5], match[6])
            found["by_property"] = _property(match[2]), test.lower(), _unquoted(value)
        elif (match := _BY_MESSAGE_ID.fullmatch(clause)) and "by_message_id" not in found:
            found["by_message_id"] = _unquoted(match[1])
        else:
            raise _refusal(f"Invalid filter clause: '{text}'.")
    return found


def _expand(text: str) -> dict[str, tuple[PropertyId, ...]]:
    found: dict[str, tuple[PropertyId, ...]] = {}
    for part in re.split(r",(?![^(]*\))", text):
        match = _EXPAND.fullmatch(part.strip())
        if match is None or match[1] not in {"attachments", *_EXTENDED}:
            raise _refusal(f"The $expand '{part}' is not supported.")
        if match[1] == "attachments":
            found["attachments"] = ()
            continue
        terms = [_ID_EQ.fullmatch(term) for term in re.split(r"\s+or\s+(?=\(?\s*id\s+eq\s)", match[2] or "")]
        if not all(terms):
            raise _refusal(f"{match[1]} has to be expanded with ($filter=id eq '…').")
        found[match[1]] = tuple(_property(term[1]) for term in terms if term)
    return found


def _select(text: str) -> frozenset[str]:
    names = frozenset(name.strip() for name in text.split(","))
    for name in names - MESSAGE.properties.keys():
        raise _refusal(f"Could not find a property named '{name}' on type 'microsoft.graph.message'.")
    return names


def _order(text: str) -> str:
    match = _ORDER.fullmatch(text)
    if match is None:
        raise _refusal(f"The $orderby '{text}' is not supported.")
    return match[1] or "asc"


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or (name == "$top" and not 1 <= int(text) <= _MAX_TOP):
        raise _refusal(f"Invalid value '{text}' for the query option '{name}'.")
    return int(text)


def _property(text: str) -> PropertyId:
    prop = PropertyId.parse(_unquoted(text))
    if prop is None:
        raise _refusal(f"'{text}' is no id of an extended property.")
    return prop


def _unquoted(text: str) -> str:
    return text.replace("''", "'")


def _refusal(text: str) -> Refusal:
    return Refusal(400, "BadRequest", text)
