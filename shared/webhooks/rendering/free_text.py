"""Shows texts of an undeclared format: HTML, Markdown, Slack's links, columns, or plain words."""

import re
from dataclasses import dataclass
from typing import Any, Final

from shared.webhooks.rendering.filters import cut, first_line, one_line
from shared.webhooks.rendering.markdown import markdown, markdown_to_text
from shared.webhooks.rendering.markup import clean_html, html_to_text

LONGEST_TEXT: Final = 4_000  # characters
READ_FOR_TITLE: Final = 2_000  # of a text whose first line is the title
_SLACK_LINK: Final = re.compile(r"<(https?://[^|<>\s]+)\|([^<>\n]+)>")
_MARKDOWN: Final = re.compile(r"\*\*\S|\]\(https?://|^#{1,4} |^```|^[-*] |%%%", re.MULTILINE)
_HTML: Final = re.compile(r"</(?:p|div|a|b|strong|span|li|td|h\d)>|<br ?/?>", re.IGNORECASE)
_COLUMNS: Final = re.compile(r"\S {2,}\S|\t")
_CODE_NAME: Final = re.compile(r"(?:log|logs|output|stdout|stderr|stacktrace|trace|traceback|stack|query|command)$")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """kind: text (with Markup of its own, or plain) or code. heading: "" for what needs none."""

    heading: str
    text: Any
    kind: str = "text"


def paragraph(heading: str, name: str, text: str) -> Paragraph:
    """name: of the value that holds the text."""
    text = cut(text, LONGEST_TEXT)
    if _HTML.search(text):
        return Paragraph(heading, clean_html(text))
    if _MARKDOWN.search(text) or _SLACK_LINK.search(text):
        return Paragraph(heading, markdown(_as_markdown(text)))
    columns = sum(bool(_COLUMNS.search(line)) for line in text.splitlines()) > 1
    is_code = columns or (_CODE_NAME.search(name) and "\n" in text)
    return Paragraph(heading, text, "code" if is_code else "text")


def plain_first_line(text: str) -> str:
    text = text[:READ_FOR_TITLE]
    if _HTML.search(text):
        text = html_to_text(text, addresses=False) or ""
    elif _MARKDOWN.search(text) or _SLACK_LINK.search(text):
        text = markdown_to_text(_as_markdown(text)) or ""
    return one_line(first_line(text))


def _as_markdown(text: str) -> str:
    return _SLACK_LINK.sub(r"[\2](\1)", text).replace("%%%", "")
