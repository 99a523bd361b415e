"""Converts a message for Microsoft Teams (a MessageCard, or Adaptive Cards) into the parts of a mail.

https://learn.microsoft.com/outlook/actionable-messages/message-card-reference
https://adaptivecards.io/explorer/
"""

import json
import re
from typing import Any, Final

from markupsafe import Markup

from shared.webhooks.rendering.chat_parts import DEEPEST_PART, ChatMessage, Parts, plain_line, said
from shared.webhooks.rendering.filters import moment
from shared.webhooks.rendering.markdown import markdown
from shared.webhooks.rendering.markup import link
from shared.webhooks.sources.json_values import pick

_LARGE: Final = ("large", "extralarge", "medium")
_MENTION: Final = re.compile(r"</?at>")
_DATE: Final = re.compile(r"\{\{(?:DATE|TIME)\(([^,)}]{1,40})[^)}]{0,40}\)\}\}")  # of Adaptive Cards


def teams_message(data: Any) -> ChatMessage:
    """The parts of the message. Whatever is no part of one is passed over."""
    parts = Parts()
    attachments = _objects(pick(data, "attachments"))
    cards = [card for one in attachments if (card := _content(one)) is not None]
    if not cards and (isinstance(pick(data, "body"), list) or said(data, "type") == "AdaptiveCard"):
        cards = [data]
    for card in cards[:20]:
        _elements(parts, card.get("body"), 0)
        _actions(parts, card.get("actions"))
    if not cards:
        _message_card(parts, data)
    for name in ("title", "summary", "text"):
        parts.title(plain_line(_markdown(said(data, name))))
    return parts.message()


def _content(attachment: dict[str, Any]) -> dict[str, Any] | None:
    """The card that is attached, which some write as text."""
    content = attachment.get("content")
    if isinstance(content, str) and len(content) < 100_000 and content.lstrip().startswith("{"):  # noqa: PLR2004
        try:
            content = json.loads(content)
        except (ValueError, RecursionError):
            return None
    return content if isinstance(content, dict) else None


def _message_card(parts: Parts, card: Any) -> None:
    parts.color(pick(card, "themeColor"))
    parts.title(plain_line(_markdown(said(card, "title"))))
    parts.add("text", _markdown(said(card, "text")))
    for section in _objects(pick(card, "sections")):
        for name in ("title", "activityTitle"):
            heading = _markdown(said(section, name))
            parts.title(plain_line(heading))
            parts.add("heading", plain_line(heading))
        for name in ("activitySubtitle", "activityText", "text"):
            parts.add("text", _markdown(said(section, name)))
        parts.add(
            "facts",
            [(said(fact, "name") or "", _markdown(said(fact, "value"))) for fact in _objects(section.get("facts"))],
        )
        _actions(parts, section.get("potentialAction"))
    _actions(parts, pick(card, "potentialAction"))


def _actions(parts: Parts, actions: Any) -> None:
    """Of what can be pressed only what leads somewhere."""
    found = []
    for one in _objects(actions):
        address = said(one, "url") or said(one, "targets", 0, "uri") or said(one, "target", 0)
        found.append((said(one, "title") or said(one, "name") or "Open", address))
    parts.add("buttons", found[:6])


def _elements(parts: Parts, elements: Any, depth: int) -> None:
    for one in _objects(elements):
        if depth < DEEPEST_PART:
            _element(parts, one, depth)
        else:
            parts.left_out += 1


def _element(parts: Parts, one: dict[str, Any], depth: int) -> None:
    match said(one, "type"):
        case "TextBlock":
            _text_block(parts, one)
        case "RichTextBlock":
            runs = one.get("inlines")
            found = [said(run) or said(run, "text") or "" for run in runs] if isinstance(runs, list) else []
            parts.add("text", "".join(found))
        case "FactSet":
            parts.add(
                "facts",
                [(said(fact, "title") or "", _markdown(said(fact, "value"))) for fact in _objects(one.get("facts"))],
            )
        case "Image":
            parts.add("text", link(said(one, "altText") or "Picture", one.get("url")))
        case "ActionSet":
            _actions(parts, one.get("actions"))
        case "CodeBlock":
            parts.add("code", said(one, "codeSnippet"))
        case "ColumnSet":
            _columns(parts, _objects(one.get("columns")), depth)
        case "Table":
            rows = [
                [_joined(cell) for cell in _objects(row.get("cells"))[:20]] for row in _objects(one.get("rows"))[:100]
            ]
            parts.add("bullets", [Markup(" · ").join(filter(None, row)) for row in rows])
        case _:  # Container, Column, ImageSet, and those that are still to come
            parts.color(one.get("style"))
            for name in ("items", "images", "body"):
                _elements(parts, one.get(name), depth + 1)


def _text_block(parts: Parts, one: dict[str, Any]) -> None:
    written = _markdown(said(one, "text"))
    parts.color(one.get("color"))
    large = (said(one, "size") or "").lower() in _LARGE or said(one, "style") == "heading"
    bold = (said(one, "weight") or "").lower() == "bolder"
    if large or (bold and not parts.titles):
        parts.title(plain_line(written))
        parts.add("heading", plain_line(written))
    else:
        parts.add("quiet" if one.get("isSubtle") is True else "text", written)


def _columns(parts: Parts, columns: list[dict[str, Any]], depth: int) -> None:
    """Two columns of as many texts are names and values; other columns come one after the other."""
    texts = [[_markdown(said(item, "text")) for item in _objects(column.get("items"))] for column in columns]
    if len(texts) == 2 and len(texts[0]) == len(texts[1]) and all(texts[0]) and all(texts[1]):  # noqa: PLR2004
        parts.add("facts", [(plain_line(name).rstrip(":"), value) for name, value in zip(*texts, strict=True)])
    else:
        for column in columns:
            _element(parts, column, depth + 1)


def _joined(cell: dict[str, Any]) -> Markup:
    return Markup(" ").join(filter(None, (_markdown(said(item, "text")) for item in _objects(cell.get("items")))))


def _markdown(value: str | None) -> Markup | None:
    """Mentions as "@Zoe", and dates in words, which is the work of the reader's program in Teams."""
    made = (
        markdown(_DATE.sub(lambda found: moment(found[1]) or "", _MENTION.sub("", value.replace("<at>", "@"))))
        if value
        else None
    )
    if (
        made is None
        or made.count("<p>") != 1
        or not made.strip().startswith("<p>")
        or not made.strip().endswith("</p>")
    ):
        return made
    return Markup(made.strip()[3:-4])  # noqa: S704 - one paragraph of it, which a cell needs not be


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
