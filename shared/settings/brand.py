"""Parsers for `MAIL_BRAND_…` and `MAIL_TIME_ZONE`, the settings for the appearance of mails."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.settings.environ import Wrong

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

APP: Final = Path(__file__).parents[2]  # relative paths are of the app's folder, wherever the process runs
LONGEST_BRAND: Final = 60  # characters
LARGEST_LOGO: Final = 50_000  # bytes: every mail carries it
LEAST_CONTRAST: Final = 4.5  # https://www.w3.org/TR/WCAG22/#contrast-minimum
# What mail programs show, by the bytes that such a file begins with.
PICTURES: Final = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


@dataclass(frozen=True, slots=True)
class Logo:
    content: bytes
    content_type: str

    @property
    def file_name(self) -> str:
        return f"logo.{self.content_type.partition('/')[2]}"


def brand_name(value: str) -> str:
    if len(value) > LONGEST_BRAND or not value.isprintable():
        raise ValueError
    return value


def brand_color(value: str) -> str:
    """#rrggbb, on which white can be read, and which can be read on white."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        raise ValueError
    # https://www.w3.org/TR/WCAG22/#dfn-relative-luminance
    parts = (int(value[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)  # noqa: PLR2004
    contrast = 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
    if contrast < LEAST_CONTRAST:
        raise Wrong(f"{value}, whose contrast to white is {contrast:.1f}")
    return value.lower()


def logo(value: str) -> Logo:
    try:
        with (APP / value).open("rb") as file:
            content = file.read(LARGEST_LOGO + 1)
    except (OSError, ValueError) as error:
        raise Wrong(f"{value!r}, which cannot be read ({type(error).__name__})") from error
    kind = next((kind for begin, kind in PICTURES.items() if content.startswith(begin)), None)
    if kind is None or len(content) > LARGEST_LOGO:
        raise Wrong(f"{value!r}, which is larger than that" if kind else f"{value!r}, which is not such an image")
    return Logo(content, kind)


def time_zone(value: str) -> "ZoneInfo":
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(value)
    except (OSError, ValueError, KeyError) as error:  # a folder of zones, a path, a name that nobody knows
        raise ValueError from error
