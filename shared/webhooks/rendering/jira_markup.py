"""Converts Jira's wiki markup to HTML that has only structure and links. It is converted to Markdown first.

https://jira.atlassian.com/secure/WikiRendererHelpAction.jspa?section=all
"""

import re
from typing import Any, Final

from markupsafe import Markup

from shared.webhooks.rendering.filters import cut
from shared.webhooks.rendering.markdown import LONGEST_MARKDOWN, markdown

_CODE: Final = re.compile(r"\{(?:code|noformat)(?::[^}\n]{0,100})?\}(.*?)\{(?:code|noformat)\}", re.DOTALL)
# In this order: lists before what is bold, links before people.
_RULES: Final = (
    (re.compile(r"^h[1-6]\. ?", re.MULTILINE), "#### "),
    (re.compile(r"^bq\. ?", re.MULTILINE), "> "),
    (re.compile(r"^#{1,6} ", re.MULTILINE), "1. "),
    (re.compile(r"^[*-]{1,6} ", re.MULTILINE), "- "),
    (re.compile(r"\{(?:color|panel|quote|anchor)(?::[^}\n]{0,100})?\}", re.MULTILINE), ""),
    (re.compile(r"\{\{([^{}\n]{1,500})\}\}", re.MULTILINE), r"`\1`"),
    (re.compile(r"\[~(?:accountid:)?([^\]\n|]{1,100})\]", re.MULTILINE), r"@\1"),
    (
        re.compile(r"\[([^\]\n|\[]{1,300})\|(https?://[^\]\n|\s]{1,2000})(?:\|[^\]\n]{0,50})?\]", re.MULTILINE),
        r"[\1](\2)",
    ),
    (re.compile(r"\[([^\]\n|\[]{1,300})\|[^\]\n]{1,2000}\]", re.MULTILINE), r"\1"),
    (re.compile(r"\[(https?://[^\]\n|\s]{1,2000})\]", re.MULTILINE), r"<\1>"),
    (re.compile(r"!([^!\n|\s]{1,200})(?:\|[^!\n]{0,100})?!", re.MULTILINE), r"\1"),
    (re.compile(r"(?<![\w*])\*(?!\s)([^*\n]{1,500})(?<!\s)\*(?![\w*])", re.MULTILINE), r"**\1**"),
)


def jira_markup(value: Any) -> Markup | None:
    """A description or comment of Jira as HTML, or None where there is none."""
    if value is None:
        return None
    pieces = _CODE.split(cut(value, LONGEST_MARKDOWN))
    return markdown("".join(_fenced(one) if at % 2 else _rewritten(one) for at, one in enumerate(pieces)))


def _rewritten(text: str) -> str:
    for pattern, written in _RULES:
        text = pattern.sub(written, text)
    return text


def _fenced(code: str) -> str:
    return f"\n~~~~~\n{code.strip(chr(10))}\n~~~~~\n"
