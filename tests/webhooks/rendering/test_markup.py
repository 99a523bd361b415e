"""Links, and other people's HTML."""

from html.parser import HTMLParser
from typing import override

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from shared.webhooks.rendering.markup import (
    DEEPEST,
    LONGEST_HTML,
    clean_html,
    html_to_text,
    lines,
    link,
    too_deep,
    web_address,
)
from shared.webhooks.rendering.plain_text import text_of

ALLOWED = {
    "a", "b", "blockquote", "br", "code", "dd", "del", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6",
    "hr", "i", "ins", "kbd", "li", "ol", "p", "pre", "s", "span", "strong", "sub", "sup", "table", "tbody", "td",
    "th", "thead", "tr", "u", "ul",
}  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>", "<img src=https://t.example/p.gif onerror=alert(1)>",
    "<a href='javascript:alert(1)'>x",
    "<a href='JaVaScRiPt&#58;alert(1)'>x", "<a href=' data:text/html,x'>x", "<a href=//t.example>x", "<svg onload=x>",
    "<style>@import 'https://t.example'</style>", "<p style='background:url(https://t.example)'>", "<form action=x>",
    "<iframe src=https://t.example>", "<math><mtext><table><mglyph><style><!--</style><img title='--><img src=x>'>",
    "<b", "</td></tr></table>", "<![CDATA[", "<!--", "]]>", "<!DOCTYPE", "<?php", "&lt;script&gt;", "\x00", "<title>",
    "<p class=bar id=x>", "<td bgcolor=red background=x>", "<plaintext>", "<template><p>", "<base href=x>",
)  # fmt: skip


class Found(HTMLParser):
    """Tags and attributes in what was cleaned."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "JAVASCRIPT:alert(1)", " java\nscript:alert(1)", "data:text/html,x", "vbscript:x",
        "file:///etc/passwd", "//example.com", "/path", "example.com", "https://", "https:///x", "http:x", "",
        "https://example.com/\r\nx", "https://example.com/ x", 'https://example.com/"x', "https://[x", "ftp://a.example",
        "https://example.com/" + "x" * 2000, None, 7, True, {}, "mailto:a@example.com", "https://\u202emoc.example",
    ],
)  # fmt: skip
def test_only_web_addresses_become_links(url: object) -> None:
    assert web_address(url) is None
    found = link("text", url)
    assert found == "text"
    assert isinstance(found, Markup)


def test_a_link_escapes_its_text_and_its_address() -> None:
    assert link("<b>", "https://example.com/?a=1&b='") == (
        '<a href="https://example.com/?a=1&amp;b=&#39;">&lt;b&gt;</a>'
    )
    assert link(None, "https://example.com") == '<a href="https://example.com">https://example.com</a>'
    assert link(None, "javascript:x") is None
    assert link("<b>") == "&lt;b&gt;"


def test_lines_keep_their_breaks_and_lose_heaps_of_empty_ones() -> None:
    assert lines("a <b>\r\nc\n \n\n\nd\n") == "a &lt;b&gt;<br>c<br><br>d"
    assert lines(Markup("<i>x</i>")) == "<i>x</i>"


def test_other_peoples_html_keeps_structure_and_links() -> None:
    given = '<p>Hello <b>you</b>, see <a href="https://example.com/a" onclick="x">this</a></p><ul><li>one</ul>'
    assert clean_html(given) == (
        '<p>Hello <b>you</b>, see <a href="https://example.com/a" rel="noopener noreferrer nofollow">this</a></p>'
        "<ul><li>one</li></ul>"
    )


def _safe(html: str) -> None:
    for tag, attributes in Found(html).tags:
        assert tag in ALLOWED
        assert not attributes.keys() - {"href", "rel", "colspan", "rowspan"}
        address = attributes.get("href") or "https:"
        assert address.lower().startswith(("http:", "https:", "mailto:"))


@given(st.lists(st.sampled_from(HOSTILE) | st.text(max_size=8)))
def test_other_peoples_html_loses_everything_else(pieces: list[str]) -> None:
    cleaned = clean_html("".join(pieces))
    assert isinstance(cleaned, Markup)
    _safe(cleaned)


MARKS = [*HOSTILE, "<p>", "<li>", "<br>", "<a href=https://e.example>", "</a>"]


@given(st.lists(st.sampled_from(MARKS) | st.text().filter(lambda text: "secret" not in text)))
def test_html_can_always_be_read_as_text_without_its_scripts(pieces: list[str]) -> None:
    text = html_to_text("<script>secret()</script>" + "".join(pieces))
    assert text is not None
    assert "secret" not in text


def test_html_is_read_as_a_person_does() -> None:
    given = (
        "<html><head><title>x</title><style>p{}</style></head><body><h1>Build&nbsp;failed</h1><p>In   <b>main</b><br>"
        'by <a href="https://example.com/u">Ada</a> (<a href="mailto:ada@example.com">ada@example.com</a>)</p>'
        "<ul><li>one<li>two</ul><table><tr><td>a</td><td>b</td></tr></table></body></html>"
    )
    assert html_to_text(given) == (
        "Build failed\n\nIn main\nby Ada <https://example.com/u> (ada@example.com)\n\n- one\n- two\n\na b"
    )


@pytest.mark.parametrize("piece", ["<b>", "<ul><li>", "<b><p>", "<div>", "<table><tr><td>", "<![", "&"])
def test_deep_or_long_html_is_bounded(piece: str) -> None:
    """css_inline ends the process on thousands of elements in each other."""
    cleaned = clean_html(piece * 21_000)
    assert cleaned is not None
    assert not too_deep(cleaned, DEEPEST // 2)
    assert len(cleaned) <= 6 * LONGEST_HTML
    assert "more characters of HTML" in cleaned


def test_what_is_hidden_is_not_read() -> None:
    hidden = '<p style="display:none">a</p><div hidden>b<p>c</p></div><span style="color:red;display: none">d</span>'
    assert text_of(f"<p>seen</p>{hidden}<p>too</p>") == "seen\n\ntoo"


def test_depth_counts_elements_that_are_open_and_no_more() -> None:
    for html, depth in (
        ("<p>a<br><b>b</b><i>c</i></p><p>d</p>", 2),
        ("<div></b><div></b><div>", 3),
        ("", 0),
        ("<p>" * 300 + "</p>" * 300, 300),
        ("<p>a</p>" * 300, 1),
    ):
        assert (too_deep(html, depth), too_deep(html, depth - 1)) == (False, depth > 0)


@given(st.none() | st.integers() | st.lists(st.text()))
def test_what_is_no_text_is_cleaned_too(value: object) -> None:
    cleaned = clean_html(value)
    assert (cleaned is None) == (value is None)
    _safe(cleaned or "")
