"""OData query options of message listings: the part of $filter, $expand, $select and paging that Exchange documents
for finding a mail again. What is not known is refused, never ignored.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Self

from starlette.datastructures import QueryParams

from sandbox.cloud.errors import Refusal
from sandbox.cloud.extended import PropertyId
from sandbox.cloud.mailboxes import Item, Mailboxes, folder_id
from sandbox.cloud.wire import MESSAGE

_TEXT = r"'((?:[^']|'')*)'"
_EXTENDED = ("singleValueExtendedProperties", "multiValueExtendedProperties")
_BY_PROPERTY = re.compile(
    rf"singleValueExtendedProperties/any\(\s*(\w+)\s*:\s*\1/id\s+eq\s+{_TEXT}\s+and\s+\1/value\s+eq\s+{_TEXT}\s*\)",
    re.IGNORECASE,
)
_BY_MESSAGE_ID = re.compile(rf"internetMessageId\s+eq\s+{_TEXT}")
_EXPAND = re.compile(r"(\w+)(?:\(\s*\$filter\s*=\s*(.*?)\s*\))?")
_ID_EQ = re.compile(rf"\(?\s*id\s+eq\s+{_TEXT}\s*\)?", re.IGNORECASE)
_ORDER = re.compile(r"(?:receivedDateTime|sentDateTime|createdDateTime|lastModifiedDateTime)(?:\s+(asc|desc))?")
_MAX_TOP = 1000


@dataclass(frozen=True, slots=True)
class Query:
    """by_property: (id, value). expand: navigation property → property ids asked for. top and skip: messages."""

    by_property: tuple[PropertyId, str] | None = None
    by_message_id: str | None = None
    expand: dict[str, tuple[PropertyId, ...]] = field(default_factory=dict)
    select: frozenset[str] | None = None
    ascending: bool = False
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
                    fields["ascending"] = _order(value.strip())
                case "$top" | "$skip":
                    fields[name[1:]] = _number(name, value)
                case "$count" if value.lower() in {"true", "false"}:
                    fields["count"] = value.lower() == "true"
                case _ if name.startswith("$"):
                    raise _refusal(f"The query option '{name}={value}' is not supported.")
        return cls(**fields)


def matches(query: Query, item: Item) -> bool:
    """Whether the filter lets the message through. A property's name counts mail by mail, its value does not."""
    if query.by_message_id is not None and item.message.get("internetMessageId") != query.by_message_id:
        return False
    if query.by_property is None:
        return True
    wanted, value = query.by_property
    return any(
        PropertyId.parse(prop["id"]) == wanted and prop["value"].casefold() == value.casefold()
        for prop in item.message.get("singleValueExtendedProperties") or ()
    )


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
        found = item.message.get(name) or []
        if name == "attachments":
            answer[name] = found
        elif kept := [prop for prop in found if PropertyId.parse(prop["id"]) in wanted]:
            answer[name] = kept
    return answer


def _filter(text: str) -> dict[str, Any]:
    if match := _BY_PROPERTY.fullmatch(text):
        return {"by_property": (_property(match[2]), _unquoted(match[3]))}
    if match := _BY_MESSAGE_ID.fullmatch(text):
        return {"by_message_id": _unquoted(match[1])}
    raise _refusal(f"Invalid filter clause: '{text}'.")


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


def _order(text: str) -> bool:
    match = _ORDER.fullmatch(text)
    if match is None:
        raise _refusal(f"The $orderby '{text}' is not supported.")
    return match[1] != "desc"


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
