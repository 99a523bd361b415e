"""Converts a message for Slack (`text`, `blocks` and `attachments`) into the parts of a mail.

https://docs.slack.dev/reference/block-kit/blocks
https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments
"""

import re
from typing import Any, Final

from markupsafe import Markup, escape

from shared.webhooks.rendering.chat_parts import DEEPEST_PART, ChatMessage, Parts, said
from shared.webhooks.rendering.filters import moment, told
from shared.webhooks.rendering.markdown import markdown
from shared.webhooks.rendering.markup import link
from shared.webhooks.rendering.mrkdwn import emoji, mrkdwn
from shared.webhooks.sources.json_values import pick

# "*Status:* down" in a field of a block: a name and a value.
_FIELD: Final = re.compile(r"\*([^*\n]{1,200})\*:?(.*)", re.DOTALL)
_STYLES: Final = {"bold": "b", "italic": "i", "strike": "s", "code": "code"}


def slack_message(data: Any) -> ChatMessage:
    """The parts of the message. Whatever is no part of one is passed over."""
    parts = Parts()
    blocks, main = _objects(data, "blocks"), _mrkdwn(pick(data, "text"))
    for block in blocks:
        if said(block, "type") == "header":
            parts.title(_text(block.get("text")))
    parts.title(main)
    if not blocks:  # beside blocks it is what a notification of the desktop shows
        parts.add("text", main)
    for block in blocks:
        _block(parts, block)
    for attachment in _objects(data, "attachments"):
        _attachment(parts, attachment)
    return parts.message(said(data, "username") or said(data, "attachments", 0, "author_name"))


def _attachment(parts: Parts, one: dict[str, Any]) -> None:
    parts.color(one.get("color"))
    pretext, title, main = (_mrkdwn(one.get(name)) for name in ("pretext", "title", "text"))
    shown = len(parts.kept)
    parts.add("text", pretext)
    parts.add("heading", title)
    parts.add("text", main)
    for block in _objects(one, "blocks"):
        _block(parts, block)
    for heading in (title, pretext, main, _mrkdwn(one.get("fallback"))):
        parts.title(heading)
    if len(parts.kept) == shown:
        parts.add("text", _mrkdwn(one.get("fallback")))
    parts.add("facts", [
        (said(field, "title") or "", _mrkdwn(said(field, "value"))) for field in _objects(one, "fields")
    ])  # fmt: skip
    actions = [(said(action, "text") or "Open", said(action, "url")) for action in _objects(one, "actions")]
    parts.add("buttons", [("Open", said(one, "title_link")), *actions][:6])
    parts.add("text", link("Picture", one.get("image_url")) if said(one, "image_url") else None)
    stamp = one.get("ts")
    when = moment(float(stamp)) if isinstance(stamp, str) and stamp.replace(".", "", 1).isdigit() else moment(stamp)
    parts.add("quiet", Markup(" · ").join(filter(None, [_mrkdwn(one.get("footer")), escape(when) if when else None])))


def _block(parts: Parts, block: dict[str, Any]) -> None:
    match said(block, "type"):
        case "header":
            parts.add("heading", _text(block.get("text")))
        case "section":
            parts.add("text", _text(block.get("text")))
            fields = [_text(field) for field in _objects(block, "fields")]
            pairs = [_FIELD.fullmatch((said(field, "text") or "").strip()) for field in _objects(block, "fields")]
            if fields and all(pairs):
                parts.add("facts", [(pair[1].rstrip(": "), _mrkdwn(pair[2].strip())) for pair in pairs if pair])
            else:
                parts.add("bullets", fields)
            _elements(parts, [block.get("accessory")])
        case "context":
            found = [_text(element) for element in _objects(block, "elements")]
            parts.add("quiet", Markup(" · ").join(filter(None, found)))
        case "actions":
            _elements(parts, _objects(block, "elements"))
        case "image":
            parts.add(
                "text", link(_text(block.get("title")) or block.get("alt_text") or "Picture", block.get("image_url"))
            )
        case "markdown":
            parts.add("text", markdown(said(block, "text")))
        case "rich_text":
            _rich(parts, block)
        case "table":
            rows = [row for row in block.get("rows") or [] if isinstance(row, list)][:100]
            parts.add("bullets", [Markup(" · ").join(filter(None, map(_text, row[:20]))) for row in rows])


def _elements(parts: Parts, elements: list[Any]) -> None:
    """Of what can be pressed only what leads somewhere."""
    buttons = [(_text(pick(one, "text")) or "Open", said(one, "url")) for one in elements]
    parts.add("buttons", [button for button in buttons if button[1]][:6])


def _rich(parts: Parts, block: dict[str, Any]) -> None:
    for element in _objects(block, "elements"):
        match said(element, "type"):
            case "rich_text_list":
                parts.add("bullets", [_run(item, 1) for item in _objects(element, "elements")])
            case "rich_text_preformatted":
                parts.add("code", _raw(element))
            case "rich_text_quote":
                parts.add("quote", _run(element, 1))
            case _:
                parts.add("text", _run(element, 1))


def _raw(element: dict[str, Any]) -> str:
    return "".join(said(one, "text") or said(one, "url") or "" for one in _objects(element, "elements"))


def _run(element: Any, depth: int) -> Markup:
    """The elements of a section of rich text, one after the other."""
    made: list[Markup] = []
    for one in _objects(element, "elements"):
        match said(one, "type"):
            case "link":
                made.append(link(said(one, "text") or said(one, "url"), one.get("url")) or Markup(""))
            case "emoji":
                made.append(escape(emoji(said(one, "name") or "question")))
            case "user" | "channel" | "usergroup" | "broadcast":
                named = next(
                    (value for name in ("range", "user_id", "channel_id") if (value := said(one, name))), "group"
                )
                made.append(escape(("#" if said(one, "type") == "channel" else "@") + named))
            case "date":
                made.append(escape(said(one, "fallback") or moment(one.get("timestamp")) or ""))
            case "text":
                made.append(_styled(one))
            case _ if depth < DEEPEST_PART:
                made.append(_run(one, depth + 1))
    return Markup("").join(made)


def _styled(one: dict[str, Any]) -> Markup:
    """A run of text; blanks between two others count."""
    content = one.get("text")
    if not isinstance(content, str) or (content.strip() and told(content) is None):
        return Markup("")
    made = Markup("<br>").join(content.split("\n"))
    for style, tag in _STYLES.items():
        if pick(one, "style", style) is True:
            made = Markup(f"<{tag}>{{}}</{tag}>").format(made)  # noqa: S704 - of the table above
    return made


def _text(value: Any) -> Markup | None:
    """A text object, `mrkdwn` or `plain_text`; a picture as a link to it; rich text in a cell of a table."""
    match said(value, "type"):
        case "image":
            return link(said(value, "alt_text") or "Picture", pick(value, "image_url"))
        case "plain_text" | "raw_text":
            return escape(said(value, "text") or "")
        case "rich_text":
            return _run(value, 1)
    return _mrkdwn(said(value) or said(value, "text"))


def _mrkdwn(value: Any) -> Markup | None:
    return mrkdwn(said(value))


def _objects(value: Any, name: str) -> list[dict[str, Any]]:
    found = pick(value, name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
