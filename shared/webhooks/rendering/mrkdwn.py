"""Converts Slack's mrkdwn to HTML: bold, italics, code, links, mentions, dates, emoji. All text is escaped.

Mentions refer to accounts that a mail cannot reach, so `<!here>` becomes "@here" and `<@U123|zoe>` becomes "@zoe". Only
http, https and mailto become links. https://docs.slack.dev/messaging/formatting-message-text
"""

import re
from typing import Any, Final

from markupsafe import Markup, escape

from shared.webhooks.rendering.filters import cut, moment
from shared.webhooks.rendering.markup import link, web_address

LONGEST_MRKDWN: Final = 20_000  # characters
NESTED: Final = 3  # levels of bold in italics and the like
EMOJI: Final = {
    "white_check_mark": "✅", "heavy_check_mark": "✔️", "ballot_box_with_check": "☑️", "x": "❌", "warning": "⚠️",
    "rotating_light": "🚨", "fire": "🔥", "boom": "💥", "bug": "🐛", "bell": "🔔", "tada": "🎉", "rocket": "🚀",
    "eyes": "👀", "thumbsup": "👍", "+1": "👍", "thumbsdown": "👎", "-1": "👎", "wave": "👋", "star": "⭐",
    "red_circle": "🔴", "large_orange_circle": "🟠", "large_yellow_circle": "🟡", "large_green_circle": "🟢",
    "large_blue_circle": "🔵", "white_circle": "⚪", "exclamation": "❗", "question": "❓", "no_entry": "⛔",
    "information_source": "\u2139\ufe0f", "hourglass": "⌛", "calendar": "📅", "link": "🔗", "lock": "🔒", "key": "🔑",
    "chart_with_upwards_trend": "📈", "chart_with_downwards_trend": "📉", "construction": "🚧", "zap": "⚡",
    "point_right": "👉", "memo": "📝", "package": "📦", "gear": "⚙️", "mag": "🔍", "skull": "💀", "sos": "🆘",
}  # fmt: skip
_BLOCK: Final = re.compile(r"```(.*?)```", re.DOTALL)
_TOKEN: Final = re.compile(
    r"`(?P<code>[^`\n]{1,3000})`"
    r"|<(?P<angle>[^<>\n]{1,3000})>"
    r"|:(?P<emoji>[a-z0-9_+-]{1,50}):"
    r"|(?<![\w*])\*(?P<b>(?!\s)[^*\n]{1,3000}(?<!\s))\*(?![\w*])"
    r"|(?<![\w_])_(?P<i>(?!\s)[^_\n]{1,3000}(?<!\s))_(?![\w_])"
    r"|(?<![\w~])~(?P<s>(?!\s)[^~\n]{1,3000}(?<!\s))~(?![\w~])"
)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_MAILTO: Final = re.compile(r"mailto:[^\s<>\"'?&@]{1,64}@[\w.-]{1,255}", re.ASCII)


def mrkdwn(value: Any) -> Markup | None:
    """A text of Slack as HTML; None where there is none."""
    if value is None:
        return None
    pieces = _BLOCK.split(cut(value, LONGEST_MRKDWN))
    made = [
        Markup("<pre>{}</pre>").format(_plain(one).strip("\n")) if at % 2 else _lines(one)
        for at, one in enumerate(pieces)
    ]
    return Markup("").join(made)


def emoji(name: str) -> str:
    """The character, or the name between colons where it is one of a workspace's own."""
    return EMOJI.get(name, f":{name}:")


def _lines(text: str) -> Markup:
    """Lines with their breaks; those that begin with ">" are a quotation."""
    made: list[Markup] = []
    quoted: list[Markup] = []
    for line in [*text.strip("\n").split("\n"), ""]:
        mark = next((one for one in ("&gt;", ">") if line.startswith(one)), None)
        if mark:
            quoted.append(_inline(line.removeprefix(mark).strip(), 0))
            continue
        if quoted:
            made.append(Markup("<blockquote>{}</blockquote>").format(Markup("<br>").join(quoted)))
            quoted = []
        made.append(_inline(line, 0))
    return Markup("<br>").join(made[:-1])


def _inline(text: str, depth: int) -> Markup:
    made, end = [], 0
    for found in _TOKEN.finditer(text):
        made += [escape(_plain(text[end : found.start()])), _token(found, depth)]
        end = found.end()
    return Markup("").join([*made, escape(_plain(text[end:]))])


def _token(found: re.Match[str], depth: int) -> Markup:
    kind, inner = found.lastgroup, found[found.lastgroup or 0]
    match kind:
        case "code":
            return Markup("<code>{}</code>").format(_plain(inner))
        case "angle":
            return _angle(inner)
        case "emoji":
            return escape(emoji(inner))
    content = _inline(inner, depth + 1) if depth < NESTED else escape(_plain(inner))
    return Markup({"b": "<b>{}</b>", "i": "<i>{}</i>"}.get(kind or "", "<s>{}</s>")).format(content)  # noqa: S704


def _angle(text: str) -> Markup:
    """What stands between angle brackets: a mention, a date, a link, or just that."""
    body, _, label = (_plain(part) for part in text.partition("|"))
    match body[:1]:
        case "@" | "#":
            return escape(body[0] + (label.lstrip("@#") or body[1:]))
        case "!":
            return escape(_special(body[1:], label))
    if _MAILTO.fullmatch(body):
        return Markup('<a href="{}">{}</a>').format(body, label or body.removeprefix("mailto:"))
    if web_address(body):
        return link(label or body, body) or Markup("")
    return escape(label or body) if _SCHEME.match(body) else escape(f"<{text}>")


def _special(name: str, label: str) -> str:
    """`here`, `subteam^S1`, or `date^1392734382^{date} at {time}^https://…`, each with what older programs show."""
    kind, *rest = name.split("^")
    if kind == "date":
        stamp = rest[0] if rest else ""
        known = moment(int(stamp)) if stamp.isascii() and stamp.isdigit() and len(stamp) < 12 else None  # noqa: PLR2004
        return label or known or stamp
    return "@" + (label.lstrip("@") or ("group" if kind == "subteam" else kind))


def _plain(text: str) -> str:
    """The three characters that Slack's senders escape."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
