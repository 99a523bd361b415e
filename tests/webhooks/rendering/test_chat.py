"""Messages that were meant for Slack, Teams or Jira: what they say, and what they cannot do."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from shared.webhooks.rendering.chat_parts import MOST_PARTS, ChatMessage, tone_of
from shared.webhooks.rendering.jira_markup import jira_markup
from shared.webhooks.rendering.mrkdwn import mrkdwn
from shared.webhooks.rendering.plain_text import text_of
from shared.webhooks.rendering.slack_message import slack_message
from shared.webhooks.rendering.teams_message import teams_message
from tests.webhooks.rendering.samples import rendered
from tests.webhooks.rendering.test_markup import ALLOWED, HOSTILE, Found
from tests.webhooks.sources.anything import any_json

PIECES = st.lists(
    st.sampled_from([
        *HOSTILE, "*", "_", "~", "`", "```", "<", ">", "|", "&lt;b&gt;", "<javascript:alert(1)|x>", "\n", "> ", ":x:",
        '<https://a.test/"onclick=x|y>', "<mailto:a@b.test?bcc=c@d.test|m>", "<!date^1^{date}^javascript:x|z>", "a b",
        "[x|javascript:alert(1)]", "{code}", "{{x}}", "[~", "h1. ", "!x.png!", "{{ 7*7 }}", "{% raw %}",
    ]),
    max_size=12,
).map("".join)  # fmt: skip


@pytest.mark.parametrize(
    ("written", "html"),
    [
        ("*bold* _it_ ~no~ `a*b*`", "<b>bold</b> <i>it</i> <s>no</s> <code>a*b*</code>"),
        ("2 * 3 * 4, snake_case_name", "2 * 3 * 4, snake_case_name"),
        ("*_both_*", "<b><i>both</i></b>"),
        ("<https://a.test|the page>", '<a href="https://a.test">the page</a>'),
        ("<https://a.test?a=1&amp;b=2>", '<a href="https://a.test?a=1&amp;b=2">https://a.test?a=1&amp;b=2</a>'),
        ("<mailto:zoe@a.test|Zoë>", '<a href="mailto:zoe@a.test">Zoë</a>'),
        ("<javascript:alert(1)|press me> <ftp://a.test>", "press me ftp://a.test"),
        ("<!here> <!subteam^S1|@ops> <@U1> <@U1|zoe> <#C1|ops>", "@here @ops @U1 @zoe #ops"),
        ("<!date^1795341300^{time}|09:55> <!date^1795341300^{time}>", "09:55 22 Nov 2026, 09:55 UTC"),
        (":fire: :our-own: 10:30:45", "🔥 :our-own: 10:30:45"),
        ("a &lt;b&gt; &amp;amp; <c> &lt;i&gt;", "a &lt;b&gt; &amp;amp; &lt;c&gt; &lt;i&gt;"),
        ("> said\n&gt; too\nend", "<blockquote>said<br>too</blockquote><br>end"),
        ("```\n*raw* <x>\n```", "<pre>*raw* &lt;x&gt;</pre>"),
    ],
)
def test_mrkdwn_looks_as_in_slack(written: str, html: str) -> None:
    assert mrkdwn(written) == html


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("h2. Steps\n# one\n# two", "Steps one two"),
        ("*urgent* {{x}} [the log|https://a.test/7] [~zoe] {color:red}red{color}", "urgent x the log @zoe red"),
        ("{code:python}a = *b*{code}", "a = *b*"),
        ("[x|javascript:alert(1)] !shot.png|thumbnail!", "x shot.png"),
    ],
)
def test_jiras_markup_is_shown_by_its_meaning(written: str, text: str) -> None:
    assert (jira_markup(written) or Markup("")).striptags() == text


def parts(message: ChatMessage) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for kind, value in message.parts:
        found.setdefault(kind, []).append(value)
    return found


def test_beside_blocks_the_text_is_the_title_only() -> None:
    block = {"type": "section", "text": {"type": "mrkdwn", "text": "all of it"}}
    message = slack_message({"text": "in short", "blocks": [block]})
    assert (message.title, parts(message)) == ("in short", {"text": ["all of it"]})


@pytest.mark.parametrize(
    ("color", "tone"),
    [
        ("danger", "critical"), ("good", "ok"), ("warning", "warning"), ("Attention", "critical"),
        ("#D63232", "critical"), ("36a64f", "ok"), ("#FFA500", "warning"), ("0076D7", "info"), ("#cccccc", ""),
        ("red", ""), (None, ""), (7, ""),
    ],
)  # fmt: skip
def test_a_colour_counts_where_it_says_something(color: Any, tone: str) -> None:
    assert tone_of(color) == tone


@pytest.mark.parametrize("read", [slack_message, teams_message])
@given(data=any_json)
@settings(max_examples=60)
def test_whatever_a_message_is_it_has_parts(read: Any, data: Any) -> None:
    for value in (data, {"text": data, "blocks": [data], "attachments": [data], "body": [data], "sections": data}):
        message = read(value)
        assert len(message.parts) <= MOST_PARTS
        assert all(isinstance(part.value, str | list) for part in message.parts)


def nested(levels: int, inner: dict[str, Any]) -> dict[str, Any]:
    for _ in range(levels):
        inner = {"type": "Container", "items": [inner]}
    return inner


def test_more_parts_and_deeper_ones_are_counted_not_shown() -> None:
    block = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}}
    message = slack_message({"text": "t", "blocks": [block] * 400})
    assert (len(message.parts), message.left_out) == (MOST_PARTS, 250)
    text = {"type": "TextBlock", "text": "deep"}
    assert teams_message({"type": "AdaptiveCard", "body": [nested(6, text)]}).title == "deep"
    message = teams_message({"type": "AdaptiveCard", "body": [nested(60, text)]})
    assert (message.parts, message.left_out) == ([], 1)


@given(text=PIECES)
@settings(max_examples=150)
def test_no_text_brings_markup_scripts_or_other_links_into_a_mail(text: str) -> None:
    card = {"type": "AdaptiveCard", "body": [{"type": "TextBlock", "text": text}], "actions": [{"url": text}]}
    made = [mrkdwn(text), jira_markup(text)]
    for message in (
        slack_message({"text": text, "attachments": [{"title": text, "title_link": text}]}),
        teams_message(card),
    ):
        for part in message.parts:
            values = part.value if isinstance(part.value, list) else [part.value]
            made += [one for value in values for one in (value if isinstance(value, tuple) else [value])]
    for html in filter(None, made):
        if isinstance(html, Markup):
            for tag, attributes in Found(html).tags:
                assert tag in ALLOWED | {"pre"}
                assert set(attributes) <= {"href", "rel"}
                assert re.match(r"https?://|mailto:", attributes.get("href") or "https://")


@pytest.mark.parametrize("kind", ["slack", "teams"])
def test_a_text_is_never_a_template(kind: str, tmp_path: Any) -> None:
    text = "{{ 7 * 7 }} {% include 'mail.html.j2' %}<script>x</script>"
    body = f"{{% from '_chat.html.j2' import parts_of %}}{{{{ parts_of(data|{kind}_message) }}}}"
    data = {"title": "t", "text": text, "sections": [{"text": text}], "attachments": [{"text": text}]}
    html = rendered(tmp_path, body, data).html
    assert "{{ 7 * 7 }}" in html
    assert "49" not in text_of(html)
    assert "<script" not in html
