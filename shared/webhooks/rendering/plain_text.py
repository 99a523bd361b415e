"""Converts HTML to plain text, for Mailroom's own mails and for HTML from others.

Facts become "Name: value", and links "text <address>". List items begin with "- ", and the cells of Mailroom's own
tables are separated by bars. Hidden elements are left out.
"""

import re
from html.parser import HTMLParser
from typing import Final, override

_SILENT: Final = frozenset({"head", "script", "style", "title", "template", "noscript", "svg"})
_BLOCKS: Final = frozenset({
    "address", "article", "aside", "blockquote", "dd", "div", "dl", "dt", "fieldset", "figure", "footer", "form",
    "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table",
    "tr", "ul",
})  # fmt: skip
_SPACED: Final = frozenset({"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul"})
VOID: Final = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr",
})  # fmt: skip


def text_of(html: str, *, addresses: bool = True) -> str:
    """The text of well-formed HTML, without white space at the ends of lines and never two empty lines in a row.

    addresses: links have theirs beside them.
    """
    reader = _TextReader(addresses=addresses)
    reader.feed(html)
    reader.close()
    text = "\n".join(line.rstrip(" \t") for line in "".join(reader.written).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


class _TextReader(HTMLParser):
    def __init__(self, *, addresses: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.with_addresses = addresses
        self.written: list[str] = []
        self.silent: list[str] = []  # the element that is left out, and those in it
        self.preformatted = 0
        self.addresses: list[tuple[str, int]] = []  # of open links, and where their texts begin
        self.names: list[bool] = []  # of open cells: whether it is the name of a fact

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in VOID:
            if not self.silent:
                self.void(tag)
            return
        if self.silent or tag in _SILENT or _hidden(given):
            self.silent.append(tag)
            return
        if tag in _BLOCKS:
            self.end_line(spaced=tag in _SPACED)
        if tag == "li":
            self.written.append("- ")
        elif tag == "pre":
            self.preformatted += 1
        elif tag == "a":
            self.addresses.append((given.get("href") or "", len(self.written)))
        elif tag in ("td", "th"):
            classes = (given.get("class") or "").split()
            self.names.append("name" in classes)
            if self.at_text():
                self.written.append(" | " if {"cell", "column"}.intersection(classes) else " ")

    @override
    def handle_endtag(self, tag: str) -> None:
        if self.silent:
            if tag in self.silent:
                del self.silent[len(self.silent) - 1 - self.silent[::-1].index(tag) :]
            return
        if tag == "pre":
            self.preformatted = max(0, self.preformatted - 1)
        elif tag == "a" and self.addresses:
            self.end_link(*self.addresses.pop())
        elif tag in ("td", "th") and self.names and self.names.pop():
            self.written.append(":")
        if tag in _BLOCKS:
            self.end_line(spaced=tag in _SPACED)

    @override
    def handle_data(self, data: str) -> None:
        if self.silent:
            return
        if self.preformatted:
            self.written.append(data)
            return
        text = re.sub(r"[ \t\r\n\f\xa0]+", " ", data)
        if not self.at_text() or self.written[-1].endswith(" "):
            text = text.removeprefix(" ")
        if text:
            self.written.append(text)

    def void(self, tag: str) -> None:
        if tag == "br":
            self.written.append("\n")
        elif tag == "hr":
            self.end_line(spaced=True)

    def end_link(self, address: str, begin: int) -> None:
        text = "".join(self.written[begin:]).strip()
        if self.with_addresses and address and address not in (text, f"mailto:{text}"):
            self.written.append(f" <{address}>" if text else f"<{address}>")

    def at_text(self) -> bool:
        """Whether this line has text."""
        return bool(self.written) and not self.written[-1].endswith("\n")

    def end_line(self, *, spaced: bool) -> None:
        if self.at_text() and self.written[-1] != "- ":
            self.written.append("\n")
        if spaced and self.written and self.written[-1] != "- ":
            self.written.append("\n")


def _hidden(attributes: dict[str, str | None]) -> bool:
    return "hidden" in attributes or re.search(r"display:\s*none", attributes.get("style") or "") is not None
