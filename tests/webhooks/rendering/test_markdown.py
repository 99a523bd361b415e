"""Markdown from events: readable, safe, and without anything that is fetched."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.webhooks.rendering.markdown import LONGEST_MARKDOWN, markdown, markdown_to_text

MARKS = st.text(st.sampled_from("*_`[]()!<>|-#~&\\\n \"'=:/.ax")) | st.text()


@pytest.mark.parametrize(
    ("text", "html", "plain"),
    [
        ("**bold** and\n~~gone~~", "<p><strong>bold</strong> and<br>\n<s>gone</s></p>", "bold and\ngone"),
        ("# Steps\n1. Log in", "<h3>Steps</h3>\n<ol>\n<li>Log in</li>\n</ol>", "Steps\n\n- Log in"),
        ("`a < b`", "<p><code>a &lt; b</code></p>", "a < b"),
        ("```js\nx && y\n```", "<pre><code>x &amp;&amp; y\n</code></pre>", "x && y"),
        ("|a|b|\n|-|-|\n|1|2|", "<td>1</td>", "a  b\n1  2"),
        ("[see](https://a.example)", 'href="https://a.example"', "see"),
        ("![shot](https://a.example/x.png)", '<a href="https://a.example/x.png"', "shot"),
        ("[![badge](https://a.example/x.svg)](https://b.example)", '<a href="https://b.example"', "badge"),
        ("![](https://a.example/x.png)", ">Picture</a>", "Picture"),
        ("<details><summary>More</summary>\n\nbody</details><!-- note -->", "<p>body</p>", "More\n\nbody"),
        ("Ask <the shop> first", "Ask &lt;the shop&gt; first", "Ask <the shop> first"),
        ('<img alt="shot" src="https://a.example/x.png">', '<a href="https://a.example/x.png"', "shot"),
        ("a<br>b", "<p>a<br>b</p>", "a\nb"),
    ],
)
def test_markdown_is_read_as_on_github(text: str, html: str, plain: str) -> None:
    assert html in (markdown(text) or "")
    assert markdown_to_text(text) == plain


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert(1))", "[x](data:text/html,y)", "[x](vbscript:y)", "<a href='javascript:alert(1)'>x</a>",
        "[x](java&#10;script:alert)", "![x](javascript:alert(1))", "<javascript:alert(1)>", "[x]: javascript:y\n[x]",
        "<img src=x onerror=alert(1)>", "<script>alert(1)</script>", "<p style='position:fixed' onclick=x>y</p>",
        "<iframe src=//a.example></iframe>", "![x](https://a.example/p.gif)", "<style>*{}</style>", "[x](/relative)",
    ],
)  # fmt: skip
def test_markdown_brings_no_scripts_no_styles_and_nothing_to_fetch(text: str) -> None:
    assert not unsafe(markdown(text) or "")


def unsafe(html: str) -> list[str]:
    """Tags of other kinds, and addresses of other schemes."""
    tags = re.findall(
        r"<(?!/?(?:a|p|br|hr|em|strong|s|code|pre|h[1-6]|[uo]l|li|t[hrd]|table|thead|tbody|blockquote)\b)\S*", html
    )
    return tags + re.findall(r'<[^>]*(?:\bon\w+=|style=|src=)[^>]*>|href="(?!https?:|mailto:)[^"]*', html)


@given(MARKS)
def test_any_text_is_safe_markdown(text: str) -> None:
    html = markdown(text) or ""
    assert not re.search(r"<(?:img|script|style|iframe)\b|<[^>]*\s(?:on\w+|src)=", html)
    assert isinstance(markdown_to_text(text), str)


def test_what_is_none_stays_none_and_long_text_says_what_is_left_out() -> None:
    assert markdown(None) is None
    assert markdown_to_text(None) is None
    assert "(5 more characters)" in (markdown("x" * (LONGEST_MARKDOWN + 5)) or "")


def test_a_table_that_would_grow_a_hundredfold_is_read_as_text() -> None:
    text = "|a" * 500 + "\n" + "|-" * 500 + "\n" + "|\n" * 4_000
    assert "<td>" not in (markdown(text) or "")
