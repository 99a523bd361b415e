"""The common form of messages for Slack and Teams: a title, a colour, and a list of parts."""

import colorsys
import re
from typing import Any, Final, NamedTuple

from markupsafe import Markup, escape

from shared.webhooks.rendering.filters import first_line, shorten, told
from shared.webhooks.rendering.plain_text import text_of
from shared.webhooks.sources.json_values import text

MOST_PARTS: Final = 150  # of one message; Slack takes fifty blocks
DEEPEST_PART: Final = 8  # levels of containers
_BREAK: Final = re.compile(r"<br>|</p>|(?=<blockquote>|<pre>)")
_MORE: Final = re.compile(r"<(?!/?(?:b|code|em|i|p|s|strong)>)")  # links, and what has lines of its own
_HEX: Final = re.compile(r"#?([0-9A-Fa-f]{6})")
_NAMED: Final = {"good": "ok", "warning": "warning", "danger": "critical", "attention": "critical", "accent": "info"}
_SATURATED: Final = 0.25
# Where the colours of a wheel begin, in degrees.
_HUES: Final = ((345, "critical"), (170, "info"), (75, "ok"), (20, "warning"), (0, "critical"))


class ChatPart(NamedTuple):
    """kind: heading, text, quiet, quote or code, of a text; facts or buttons, of pairs; bullets, of a list."""

    kind: str
    value: Any


class ChatMessage(NamedTuple):
    """name: who sends it, if the message says so. left_out: how many parts more there were."""

    title: str
    name: str
    tone: str
    parts: list[ChatPart]
    left_out: int


class Parts:
    """Collects the parts of a message up to their number. What has no text is no part."""

    def __init__(self) -> None:
        self.kept: list[ChatPart] = []
        self.left_out = 0
        self.tone = ""
        self.titles: list[str] = []

    def add(self, kind: str, value: Any) -> None:
        if isinstance(value, list):
            value = [one for one in value if one and (not isinstance(one, tuple) or told(one[1]))]
        if kind == "facts":
            for nameless in [one for one in value if not one[0]]:
                self.add("text", nameless[1])
            value = [one for one in value if one[0]]
        if not value or (not isinstance(value, list) and told(value) is None):
            return
        if len(self.kept) < MOST_PARTS:
            self.kept.append(ChatPart(kind, value))
        else:
            self.left_out += 1

    def title(self, value: Any) -> None:
        """A text that may be the title, if none before it is."""
        if len(self.titles) < MOST_PARTS and (line := plain_line(value)):
            self.titles.append(line)

    def color(self, value: Any) -> None:
        self.tone = self.tone or tone_of(value)

    def message(self, name: Any = None) -> ChatMessage:
        texts = (part.value for part in self.kept if part.kind in ("heading", "text"))
        title = self.titles[0] if self.titles else next(map(plain_line, texts), "")
        self._drop(title)
        return ChatMessage(title, told(name) or "", self.tone or "info", self.kept, self.left_out)

    def _drop(self, title: str) -> None:
        """The title is not said again below it, unless it leads somewhere."""
        kind, value = self.kept[0] if self.kept else ("", "")
        html = value if isinstance(value, Markup) else escape(value)
        end = _BREAK.search(html)
        head, rest = (html[: end.start()], html[end.end() :].strip()) if end else (html, "")
        if kind not in ("heading", "text") or _MORE.search(head) or plain_line(head) != title:
            return
        if rest and head.startswith("<p>") and end and end[0] == "<br>":
            rest = Markup("<p>") + rest
        self.kept[:1] = [ChatPart(kind, rest)] if rest else []


def said(value: Any, *path: str | int) -> str | None:
    """The text at a path, if it tells a reader something."""
    return told(text(value, *path))


def plain_line(value: Any) -> str:
    """The first line with a text, without markup."""
    plain = text_of(str(value)[:8000], addresses=False) if isinstance(value, Markup) else value
    return shorten(first_line(plain), 250)


def tone_of(color: Any) -> str:
    """The tone of a colour: named as Slack and Teams do, or in hex; "" where it says nothing, as grey does."""
    if not isinstance(color, str):
        return ""
    found = _HEX.fullmatch(color.strip())
    if found is None:
        return _NAMED.get(color.strip().lower(), "")
    red, green, blue = (int(found[1][at : at + 2], 16) / 255 for at in (0, 2, 4))
    hue, saturation, _ = colorsys.rgb_to_hsv(red, green, blue)
    return next(tone for begin, tone in _HUES if hue * 360 >= begin) if saturation >= _SATURATED else ""
