"""Converts Markdown from events to HTML that has only structure and links, or to plain text."""

import re
from functools import cache
from html import unescape
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

from shared.webhooks.rendering.filters import shown
from shared.webhooks.rendering.markup import KEPT, clean_html, html_to_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

KNOWN: Final = KEPT | {"details", "summary", "picture", "source", "center", "small"}
_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TAG: Final = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]*)([^<>]*)>")
_ATTRIBUTE: Final = re.compile(r"\b(src|alt)=[\"']([^\"']*)[\"']", re.IGNORECASE)
LONGEST_MARKDOWN: Final = 10_000  # characters
# The reader fills up the rows of a table, so that a short text can have 65,536 cells. Larger ones are read as text.
MOST_COLUMNS: Final = 20
MOST_LINES: Final = 400  # of a text with tables


def markdown(value: Any) -> Markup | None:
    """Markdown as GitHub, GitLab and Azure DevOps write it. HTML in it is cleaned; pictures become links."""
    return None if value is None else clean_html(_html(value))


def markdown_to_text(value: Any) -> str | None:
    """Markdown as plain text, without the addresses of its links."""
    return None if value is None else html_to_text(_html(value), addresses=False)


def _html(value: Any) -> str:
    text = shown(value)
    more = len(text) - LONGEST_MARKDOWN
    text = text[:LONGEST_MARKDOWN]
    lines = text.splitlines()
    tables = len(lines) <= MOST_LINES and all(line.count("|") <= MOST_COLUMNS for line in lines)
    html: str = _reader(tables=tables).render(text)
    return html + (f"<p>… ({more:,} more characters)</p>" if more > 0 else "")


@cache
def _reader(*, tables: bool) -> "MarkdownIt":
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"breaks": True}).enable(["strikethrough", *(["table"] if tables else [])])
    reader.core.ruler.push("mails", _as_in_mails)
    reader.add_render_rule("html_inline", _known_html)
    reader.add_render_rule("html_block", _known_html)
    return reader


def _known_html(_: Any, tokens: "Sequence[Token]", at: int, *__: Any) -> str:
    """HTML within Markdown: what its authors use for structure, pictures as links; the rest as the text that it is."""
    return _TAG.sub(_known_tag, _COMMENT.sub("", tokens[at].content))


def _known_tag(found: re.Match[str]) -> str:
    name = found[2].lower()
    if name == "img":
        given = {attribute.lower(): text for attribute, text in _ATTRIBUTE.findall(found[3])}
        return Markup('<a href="{}">{}</a>').format(
            unescape(given.get("src", "")), unescape(given.get("alt") or "Picture")
        )
    return found[0] if name in KNOWN else str(escape(found[0]))


def _as_in_mails(state: "StateCore") -> None:
    """Nothing is fetched when a mail is opened: a picture becomes a link to it, or its text where it is a link's.

    Headings are below those of the mail.
    """
    from markdown_it.token import Token

    for block in state.tokens:
        if block.type in ("heading_open", "heading_close"):
            block.tag = "h3"
        found: list[Token] = []
        in_link = 0
        for token in block.children or ():
            in_link += token.nesting if token.type in ("link_open", "link_close") else 0
            if token.type != "image":
                found.append(token)
                continue
            name = Token("text", "", 0, content=token.content or "Picture")
            around = in_link == 0
            found += [Token("link_open", "a", 1, {"href": token.attrs["src"]})] if around else []
            found.append(name)
            found += [Token("link_close", "a", -1)] if around else []
        if block.children:
            block.children = found
