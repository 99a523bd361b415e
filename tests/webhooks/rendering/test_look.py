"""What makes a mail look right in Outlook, on a phone and in the dark: see shared/webhooks/routes/_layout/mail.css."""

import re
from pathlib import Path

import pytest

from shared.webhooks.rendering.environment import TONES
from shared.webhooks.rendering.mails import Renderer
from tests.webhooks.rendering.samples import LAYOUT, event, rendered, templates

ALL_PARTS = """
{{ paragraph("A build has failed.") }}
{{ facts([("Repository", "contoso/shop"), ("Branch", "main"), ("Commit", link("a1b2c3d", "https://example.com/c")),
          ("Author", "Ada"), ("Started", "2026-11-22T10:00:00Z"|moment), ("Took", 200|duration)]) }}
{{ heading("What failed") }}{{ bullets(["one", "two"]) }}{{ code("a\\n b") }}{{ quote("Please look.") }}
{{ buttons([("View", "https://example.com/1"), ("Again", "https://example.com/2")]) }}
"""


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return rendered(tmp_path_factory.mktemp("templates"), ALL_PARTS).html


def test_styles_stand_on_the_elements_since_outlook_reads_no_sheet(html: str) -> None:
    head, _, body = html.partition("</head>")
    for name in ("inside", "card", "name", "value", "quote", "code"):
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
    assert all('role="presentation"' in table and 'cellpadding="0"' in table for table in tables)
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
    for text in (".inside", ".value", ".name", ".quiet", ".quote", "a[href]"):
        assert _contrast(colour(text, "color"), card) >= 4.5
    assert _contrast(colour(".foot td", "color"), page) >= 4.5
    assert _contrast(colour(".inside", "color"), colour(".code", "background-color")) >= 4.5
    for pair in BADGES:
        assert _contrast(colour(pair, "color"), colour(pair, "background-color")) >= 4.5
    assert _contrast(colour(".button.first a", "color"), colour(".first", "background-color")) >= 4.5
