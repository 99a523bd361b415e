"""What makes a mail look right in Outlook, on a phone and in the dark: see shared/webhooks/routes/_layout/mail.css."""

import re
from html import unescape
from pathlib import Path

import pytest

from shared.webhooks.rendering.environment import TONES
from shared.webhooks.rendering.look import Look
from shared.webhooks.rendering.mails import Renderer
from shared.webhooks.rendering.markup import link
from shared.webhooks.rendering.plain_text import text_of
from tests.webhooks.rendering.samples import LAYOUT, event, rendered, templates

ALL_PARTS = """
{{ paragraph("A build has failed.") }}
{{ facts([("Repository", "contoso/shop"), ("Branch", "main"), ("Commit", link("a1b2c3d", "https://example.com/c")),
          ("Author", "Ada"), ("Started", "2026-11-22T10:00:00Z"|moment), ("Took", 200|duration)]) }}
{{ table(["Host", "Value"], [["web-1", "93 %"]]) }}
{{ heading("What failed") }}{{ bullets(["one", "two"]) }}{{ code("a\\n b") }}{{ quote("Please look.") }}
{{ buttons([("View", "https://example.com/1"), ("Again", "https://example.com/2")]) }}
"""


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return rendered(tmp_path_factory.mktemp("templates"), ALL_PARTS).html


def test_styles_stand_on_the_elements_since_outlook_reads_no_sheet(html: str) -> None:
    head, _, body = html.partition("</head>")
    for name in ("inside", "card", "name", "value", "column", "cell", "quote", "code"):
        elements = re.findall(rf'<\w+ class="{name}[^>]*>', body)
        assert elements
        assert all("style=" in element for element in elements)
    sheets = re.findall(r"<style>(.*?)</style>", re.sub(r"<!--.*?-->", "", head, flags=re.DOTALL), re.DOTALL)
    assert all(sheet.strip().startswith("@media") for sheet in sheets)


def test_phones_and_dark_mode_keep_their_sheet(html: str) -> None:
    assert "@media (max-width: 520px)" in html
    assert "@media (prefers-color-scheme: dark)" in html
    assert '<meta name="color-scheme" content="light dark">' in html
    assert '<meta name="viewport"' in html
    assert 'class="name"' in html


def test_nothing_is_fetched_when_a_mail_is_opened(html: str) -> None:
    assert not re.search(r"<(img|link|script|iframe|object|embed|video|audio|input|form|base)\b", html)
    assert not re.search(r"url\(|@import|@font-face|\bsrc=|\bbackground=", html)


def test_outlook_gets_tables_of_a_fixed_width_and_nothing_that_it_cannot_lay_out(html: str) -> None:
    tables = re.findall(r"<table[^>]*>", html)
    assert all('cellpadding="0"' in table for table in tables)
    assert [table for table in tables if 'role="presentation"' not in table] == re.findall(
        r'<table[^>]*class="grid"[^>]*>', html
    )
    assert re.search(r'<!--\[if mso\]><table [^>]*width="600"', html)
    assert html.count("<!--[if mso]>") == html.count("<![endif]-->")
    assert not re.search(r"display:\s*(flex|grid)|position:|float:|rgba\(|var\(|calc\(", html)


def test_a_usual_mail_is_small(html: str) -> None:
    assert len(html.encode()) < 12_000


def test_a_screen_reader_knows_the_language_and_the_title(html: str) -> None:
    assert '<html lang="en">' in html
    assert "<title>order.paid</title>" in html


@pytest.mark.parametrize("tone", TONES)
def test_every_tone_has_a_colour_of_its_own(tmp_path: Path, tone: str) -> None:
    def bar(tone: str) -> str:
        folder = templates(tmp_path, order=f'{{% set tone = "{tone}" %}}{{% set label = "x" %}}')
        found = re.search(
            r'<td class="bar[^>]*background-color:(#\w+)', Renderer(LAYOUT).render(event(), "s", folder).html
        )
        assert found
        return found[1]

    assert [other for other in TONES if bar(other) == bar(tone)] == [tone]
    assert bar("unheard of") == bar("neutral")


def test_the_colour_of_the_brand_is_that_of_buttons_and_links(tmp_path: Path) -> None:
    folder = templates(tmp_path, order="{% block body %}{{ buttons([('See', 'https://a.example')]) }}{% endblock %}")
    html = Renderer(LAYOUT).render(event(), "shop", folder, look=Look(color="#7a1fa2")).html
    assert re.search(r'<td class="button first"[^>]*background-color:#7a1fa2', html)
    assert re.search(r'<a href="https://a.example"[^>]*color:#ffffff', html)
    assert ".first { background-color: #7a1fa2 !important; }" in html


def test_a_table_leaves_out_a_column_of_nothing_and_says_how_many_rows_there_are(tmp_path: Path) -> None:
    rows = [[n, "", link("Silence", "https://a.example")] for n in range(102)]
    call = "{{ table(['Host', 'Value', 'Silence'], data.rows) }}{{ table(['a'], []) }}{{ table(['a'], none) }}"
    text = text_of(rendered(tmp_path, call, {"rows": rows}).html)
    assert "Host | Silence\n0 | Silence <https://a.example>\n1 | Silence" in text
    assert "\n99 | Silence <https://a.example>\n\nand 2 more\n" in text


@pytest.mark.parametrize(
    ("subject", "given", "body", "expected"),
    [
        ("Disk full", "web-1 has 1 % left", "", "web-1 has 1 % left"),
        ("[web-1] Disk full", "Disk full.", "<p>Disk full</p><p>1 % left</p>", "1 % left"),
        ("Disk full", "", '<p>At <a href="https://a.example/x">/var</a></p><p>1 % left</p>', "At /var · 1 % left"),
        ("Disk full", "", '<table class="buttons"><tr><td>View</td></tr></table><p>x &amp; y</p>', "x & y"),
        ("Disk full", "", "", ""),
        ("Disk full", "x" * 400, "", "x" * 149 + "…"),
    ],
)
def test_the_preheader_says_what_the_subject_does_not(
    tmp_path: Path, subject: str, given: str, body: str, expected: str
) -> None:
    blocks = {"subject": subject, "preheader": given, "body": body}
    text = "".join(f"{{% block {name} %}}{one}{{% endblock %}}" for name, one in blocks.items())
    mail = Renderer(LAYOUT).render(event(), "shop", templates(tmp_path, order=text))
    assert (mail.preheader, mail.failed) == (expected, None)
    shown = re.search(r'<div class="preheader"[^>]*>(.*?)</div>', mail.html)
    assert shown
    assert unescape(shown[1]) == expected
    assert "<!--/body" not in mail.html


def _luminance(colour: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


SHEET = (LAYOUT / "mail.css").read_text("utf-8")
LIGHT, _, DARK = SHEET.partition("@media (prefers-color-scheme: dark)")
BADGES = [f".badge.{tone}" for tone in TONES]


@pytest.mark.parametrize("sheet", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_can_be_read_on_what_it_stands_on(sheet: str) -> None:
    """A contrast of 4.5 at least, https://www.w3.org/TR/WCAG22/#contrast-minimum."""

    def colour(selector: str, kind: str) -> str:
        rules = re.findall(r"^ *([^{}@/]+) \{([^}]*)\}", sheet, re.MULTILINE)
        values = [
            found[1]
            for names, body in rules
            if selector in names.split(", ") and (found := re.search(rf"(?:^|[ ;]){kind}: (#\w{{6}})", body))
        ]
        assert values, (selector, kind)
        return values[-1]

    card, page = colour(".card", "background-color"), colour(".page", "background-color")
    for text in (".inside", ".value", ".name", ".cell", ".column", ".brand", ".quiet", ".quote", "a[href]"):
        assert _contrast(colour(text, "color"), card) >= 4.5
    assert _contrast(colour(".foot td", "color"), page) >= 4.5
    assert _contrast(colour(".inside", "color"), colour(".code", "background-color")) >= 4.5
    for pair in BADGES:
        assert _contrast(colour(pair, "color"), colour(pair, "background-color")) >= 4.5
    assert _contrast(colour(".button.first a", "color"), colour(".first", "background-color")) >= 4.5
