"""Converts links, lines and other people's HTML from events. Every function escapes what it is given."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from html import unescape
from typing import Any, Final
from urllib.parse import urlsplit

import nh3
from markupsafe import Markup, escape

from shared.webhooks.rendering.filters import cut, shown
from shared.webhooks.rendering.plain_text import VOID, text_of

DEEPEST: Final = 200  # nested elements; css_inline recurses into them, and thousands end the process
LONGEST_HTML: Final = 20_000  # characters of other people's HTML
LONGEST_ADDRESS: Final = 2_000  # characters
# Without characters that end an address in a mail, and marks that change the direction of the text.
_ADDRESS: Final = re.compile(
    r"https?://[^\s\x00-\x20\x7f-\x9f<>\"\\`\u200e\u200f\u202a-\u202e\u2066-\u2069]+", re.IGNORECASE
)
_TAG: Final = re.compile(r"<(/?)([a-z][a-z0-9]*)", re.IGNORECASE)
_ANY_TAG: Final = re.compile(r"<[^>]*+>?")
KEPT: Final = frozenset({
    "a", "b", "blockquote", "br", "code", "dd", "del", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6",
    "hr", "i", "ins", "kbd", "li", "ol", "p", "pre", "s", "span", "strong", "sub", "sup", "table", "tbody", "td",
    "th", "thead", "tr", "u", "ul",
})  # fmt: skip
_UNREAD: Final = frozenset({"script", "style", "template", "title"})
_CLEANER: Final = nh3.Cleaner(
    tags=KEPT,
    attributes={"a": {"href"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="noopener noreferrer nofollow",
    clean_content_tags=_UNREAD,
)
# For html_to_text: without elements that bad nesting multiplies, such as <b>. The rest is valid for Python's parser,
# which fails on some HTML that browsers accept.
_READER: Final = nh3.Cleaner(
    tags=KEPT - {"b", "code", "em", "i", "ins", "kbd", "s", "span", "strong", "sub", "sup", "u"},
    attributes={"a": {"href"}},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    clean_content_tags=_UNREAD,
)


def web_address(value: Any) -> str | None:
    """The URL, if it is http or https with a host; None for everything else."""
    text = shown(value).strip()
    if len(text) > LONGEST_ADDRESS or not _ADDRESS.fullmatch(text):
        return None
    try:
        return text if urlsplit(text).hostname else None
    except ValueError:
        return None


def link(text: Any, url: Any = None) -> Markup | None:
    """A link, or the text alone where there is no valid URL. None where there is neither."""
    address = web_address(url)
    label = cut(text if shown(text) else address, 500)
    if not label:
        return None
    return Markup('<a href="{}">{}</a>').format(address, label) if address else escape(label)


def lines(value: Any, length: int = 4000) -> Markup:
    """A text with its line breaks, at most one empty line in a row. Markup stays as it is."""
    if isinstance(value, Markup):
        return value
    found = cut(value, length).strip().splitlines()
    kept = [line if line.strip() else "" for line in found]
    return Markup("<br>").join(line for at, line in enumerate(kept) if line or kept[at - 1])


def html_to_text(value: Any, *, addresses: bool = True) -> str | None:
    """Other people's HTML as plain text, with or without the addresses of its links."""
    if value is None:
        return None
    text, more = _begin(shown(value))
    if too_deep(text, DEEPEST // 2):
        return unescape(_ANY_TAG.sub(" ", text)) + more  # repairing it takes quadratic time in its depth
    return text_of(_READER.clean(text)[: 5 * LONGEST_HTML], addresses=addresses) + more


def clean_html(value: Any) -> Markup | None:
    """Other people's HTML with its structure and links only: no images, styles or scripts."""
    if value is None:
        return None
    text, more = _begin(shown(value))
    if too_deep(text, DEEPEST // 2):
        return lines(html_to_text(value), LONGEST_HTML)
    cleaned = _CLEANER.clean(text)
    # Badly nested HTML grows when it is repaired.
    if len(cleaned) > 5 * LONGEST_HTML or too_deep(cleaned, DEEPEST // 2):
        return lines(html_to_text(value), LONGEST_HTML)
    return Markup(cleaned + more)  # noqa: S704 - nh3 has cleaned it


def _begin(html: str) -> tuple[str, str]:
    """The part that is read, and a remark on the rest."""
    more = len(html) - LONGEST_HTML
    return html[:LONGEST_HTML], f" … ({more:,} more characters of HTML)" if more > 0 else ""


def too_deep(html: str, most: int = DEEPEST) -> bool:
    """Whether more elements than that are nested, counting those that are not closed as open to the end."""
    if html.count("<") <= most:  # as in nearly every mail
        return False
    is_open: Counter[str] = Counter()
    depth = 0
    for closing, tag in _TAG.findall(html):
        name = tag.lower()
        if closing and is_open[name]:
            is_open[name] -= 1
            depth -= 1
        elif not closing and name not in VOID:
            is_open[name] += 1
            depth += 1
            if depth > most:
                return True
    return False


MARKUP_FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "clean_html": clean_html,
    "html_to_text": html_to_text,
    "lines": lines,
    "web_address": web_address,
}
